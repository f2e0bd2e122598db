// Decides whether a task's receipt holds: everything signed by the keys that the chain names, and every leaf under the roots
// that the chain stores. Pure: the receipt and the chain's facts go in, checks come out; no word of the relayer is believed.
import { chargeDown } from "../protocol/fees.ts";
import { Status } from "../protocol/constants.ts";
import { walkProof, type SumNode, type SumProof } from "../protocol/merkleSum.ts";
import { checkRecord, leafOf, sessionLeaf, tabLeaf, type AttemptRecord } from "../protocol/records.ts";
import { isSignedBy, recoverWithViem, type Recover } from "../protocol/signing.ts";
import { hashStruct, type Domain } from "../protocol/typedData.ts";
import type { BatchView, SignedAttemptView, TaskView } from "../protocol/taskView.ts";
import type { Address, Hash, Seconds, TokenAmount } from "../protocol/units.ts";

/** A key and the time in which it speaks; `closedAtSeconds` is 0 while its epoch is open. */
export interface KeyFact {
  readonly key: Address;
  readonly openedAtSeconds: Seconds;
  readonly closedAtSeconds: Seconds;
}

/** A batch as the chain holds it. */
export interface BatchFact {
  readonly batchHash: Hash;
  readonly sessionRoot: Hash;
  readonly tabRoot: Hash;
  readonly totalDebit: TokenAmount;
  readonly totalCredit: TokenAmount;
  readonly leafCount: number;
  readonly postedAtSeconds: Seconds;
  /** The transaction that posted it, from the chain's own log; null where this chain's logs do not reach back that far. */
  readonly posting: { readonly transactionHash: Hash; readonly blockNumber: bigint; readonly gasUsed: bigint } | null;
}

/** All that the chain says about one receipt; read for it by `auditor/sources.ts`. Keys are named `id:epoch`. */
export interface ChainFacts {
  readonly domain: Domain;
  readonly windowSeconds: Seconds;
  readonly nodeKeys: ReadonlyMap<string, KeyFact>;
  readonly relayerKeys: ReadonlyMap<string, KeyFact>;
  /** Who opened a session with these limits: the chain checked the payer's signature then. */
  readonly sessionPayers: ReadonlyMap<Hash, Address>;
  /** Null where the chain holds no batch of that relayer and number, or the receipt names none. */
  readonly batch: BatchFact | null;
}

export const keyName = (id: number, epoch: number): string => `${id}:${epoch}`;

export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** One sentence: what holds, or what does not. */
  readonly detail: string;
}

/** `unsettled`: nothing is wrong, but the chain does not hold the batch yet. */
export type Verdict = "verified" | "wrong" | "unsettled";

export interface Verification {
  readonly verdict: Verdict;
  readonly checks: readonly Check[];
}

/**
 * Checks a receipt for the task that was asked about.
 * @param recover replaces the signature recovery, for callers with native code.
 * @returns every check that was made; the verdict is `wrong` where a single one fails.
 */
export async function verifyTask(taskId: Hash, view: TaskView, facts: ChainFacts, recover: Recover = recoverWithViem): Promise<Verification> {
  const checks: Check[] = [checkDomain(view, facts), checkTask(taskId, view), checkTotals(view)];
  for (const [i, attempt] of view.attempts.entries()) {
    checks.push(...await checkAttempt(label(view, i), attempt, facts, recover));
  }
  if (view.batch) checks.push(...await checkBatch(view, view.batch, facts, recover));
  if (view.batch && facts.batch) for (const [i, attempt] of view.attempts.entries()) checks.push(...checkLeaf(label(view, i), attempt, facts.batch));
  const isWrong = checks.some((check) => !check.passed);
  return { verdict: isWrong ? "wrong" : view.batch && facts.batch ? "verified" : "unsettled", checks };
}

/** The checks that failed. */
export const findingsOf = (verification: Verification): Check[] => verification.checks.filter((check) => !check.passed);

const label = (view: TaskView, i: number): string => (view.attempts.length === 1 ? "" : ` of attempt ${i + 1}`);

const check = (name: string, found: readonly string[], holds: string): Check =>
  ({ name, passed: found.length === 0, detail: found.length === 0 ? holds : found.join("; ") });

function checkDomain(view: TaskView, facts: ChainFacts): Check {
  const found: string[] = [];
  if (view.domain.chainId !== facts.domain.chainId) found.push(`the receipt is for chain ${view.domain.chainId}, this chain is ${facts.domain.chainId}`);
  if (view.domain.verifyingContract !== facts.domain.verifyingContract) {
    found.push(`the receipt is for the contract ${view.domain.verifyingContract}, the deployment's is ${facts.domain.verifyingContract}`);
  }
  return check("deployment", found, `chain ${facts.domain.chainId}, contract ${facts.domain.verifyingContract}`);
}

/** The receipt is about the order that was asked about, and about nothing else. */
function checkTask(taskId: Hash, view: TaskView): Check {
  const found: string[] = [];
  if (view.taskId !== taskId) found.push(`the receipt names task ${view.taskId}`);
  if (view.attempts.length === 0) found.push("the receipt holds no signed attempt");
  for (const { record } of view.attempts) {
    if (hashStruct("TaskOrder", record.order) !== taskId) found.push("a record's order does not hash to the task");
  }
  return check("order", found, "the payer's order hashes to the task");
}

/** Over all attempts: charges within maxFee, no attempt twice, input paid once per subtask, one batch for all. */
function checkTotals(view: TaskView): Check {
  const found: string[] = [];
  const charges = view.attempts.reduce((sum, { record }) => sum + chargeDown(record.receipt.body.fee, record.assignment.feeBps), 0n);
  const maxFee = view.attempts[0]?.record.order.maxFee ?? 0n;
  if (charges > maxFee) found.push(`the charges of ${charges} exceed the order's maxFee ${maxFee}`);
  const names = view.attempts.map(({ record }) => `${record.assignment.subtask}/${record.assignment.attempt}`);
  if (new Set(names).size < names.length) found.push("an attempt stands twice in the receipt");
  if (paysInputTwice(view.attempts.map(({ record }) => record))) found.push("the input of one subtask is paid twice");
  if (view.batch && view.state === "open") found.push("the task is called open, but stands in a batch");
  return check("charges", found, `${charges} charged in all, at most ${maxFee} ordered`);
}

function paysInputTwice(records: readonly AttemptRecord[]): boolean {
  const paying = records.filter(({ receipt, assignment }) =>
    receipt.body.status !== Status.ABORTED && assignment.priceInPerMTok > 0n && receipt.body.inputTokens > 0).map(({ assignment }) => assignment.subtask);
  return new Set(paying).size < paying.length;
}

async function checkAttempt(of: string, { record }: SignedAttemptView, facts: ChainFacts, recover: Recover): Promise<Check[]> {
  const { assignment, receipt, authorization } = record;
  const nodeKey = facts.nodeKeys.get(keyName(receipt.nodeId, receipt.keyEpoch)) ?? null;
  const relayerKey = facts.relayerKeys.get(keyName(assignment.relayerId, assignment.relayerEpoch)) ?? null;
  const found = await checkRecord(record, {
    domain: facts.domain, recover,
    nodeKey: async (nodeId, keyEpoch) => facts.nodeKeys.get(keyName(nodeId, keyEpoch))?.key ?? null,
    relayerKey: async (relayerId, epoch) => facts.relayerKeys.get(keyName(relayerId, epoch))?.key ?? null,
  });
  const times = [
    ...inEpoch("the node's key", nodeKey, assignment.issuedAt, facts.windowSeconds),
    ...inEpoch("the relayer's key", relayerKey, assignment.issuedAt, facts.windowSeconds),
  ];
  const opener = facts.sessionPayers.get(hashStruct("SpendingAuthorization", authorization));
  const payer = opener === authorization.payer ? [] : ["the chain knows no session that this payer opened with these limits"];
  return [
    check(`record${of}`, found, `links, limits, fee and signatures hold; node ${receipt.nodeId}, ${receipt.body.inputTokens} tokens in, ${receipt.body.outputTokens} out, fee ${receipt.body.fee}`),
    check(`keys${of}`, times, "the keys of node and relayer were theirs at that time"),
    check(`session${of}`, payer, `opened on chain by ${authorization.payer}`),
  ];
}

/** A signature is in its epoch if opened - W <= issuedAt < closed + W. */
function inEpoch(whose: string, fact: KeyFact | null, issuedAt: Seconds, windowSeconds: Seconds): string[] {
  if (!fact) return [`${whose} is not registered under that epoch`];
  if (issuedAt < fact.openedAtSeconds - windowSeconds) return [`${whose} was not registered yet`];
  if (fact.closedAtSeconds !== 0 && issuedAt >= fact.closedAtSeconds + windowSeconds) return [`${whose} was rotated out before`];
  return [];
}

async function checkBatch(view: TaskView, batch: BatchView, facts: ChainFacts, recover: Recover): Promise<Check[]> {
  const { header } = batch;
  const relayerKey = facts.relayerKeys.get(keyName(header.relayerId, header.relayerEpoch));
  const signed: string[] = [];
  if (!relayerKey || !await isSignedBy(relayerKey.key, facts.domain, "BatchHeader", header, batch.signature, recover)) {
    signed.push(`the header is not signed by relayer ${header.relayerId}'s key of epoch ${header.relayerEpoch}`);
  }
  if (view.attempts.some(({ record }) => record.assignment.relayerId !== header.relayerId)) signed.push("the batch is another relayer's than the task's");
  const checks = [check("header", signed, `signed by relayer ${header.relayerId}`)];
  if (facts.batch) return [...checks, check("chain", chainFindings(batch, facts.batch), `batch ${header.batchId} is stored with this header's hash, roots and totals`)];
  const isClaimed = batch.state === "confirmed" ? [`batch ${header.batchId} is said to be posted; the chain holds none of that number`] : [];
  return [...checks, check("chain", isClaimed, `batch ${header.batchId} is not on the chain yet`)];
}

function chainFindings(batch: BatchView, stored: BatchFact): string[] {
  const { header } = batch;
  const found: string[] = [];
  if (hashStruct("BatchHeader", header) !== stored.batchHash) found.push("the header's hash is not the one that the chain stores");
  if (header.sessionRoot !== stored.sessionRoot) found.push("the session root is not the stored one");
  if (header.tabRoot !== stored.tabRoot) found.push("the tab root is not the stored one");
  if (header.totalDebit !== stored.totalDebit || header.totalCredit !== stored.totalCredit) found.push("the totals are not the stored ones");
  if (header.leafCount !== stored.leafCount) found.push("the leaf count is not the stored one");
  if (stored.posting) found.push(...postingFindings(batch, stored.posting));
  return found;
}

/** What the receipt says of the transaction, where it says something, against the chain's log. */
function postingFindings(batch: BatchView, posting: NonNullable<BatchFact["posting"]>): string[] {
  const found: string[] = [];
  if (batch.transactionHash !== posting.transactionHash && batch.state === "confirmed") found.push(`the batch was posted by transaction ${posting.transactionHash}`);
  if (batch.blockNumber !== null && batch.blockNumber !== posting.blockNumber) found.push(`the batch was posted in block ${posting.blockNumber}`);
  if (batch.gasUsed !== null && batch.gasUsed !== posting.gasUsed) found.push(`posting the batch took ${posting.gasUsed} gas`);
  return found;
}

function checkLeaf(of: string, attempt: SignedAttemptView, stored: BatchFact): Check[] {
  const { proofs, record } = attempt;
  if (!proofs) return [check(`inclusion${of}`, ["the receipt carries no proof of inclusion"], "")];
  const leaf = leafOf(record);
  return [
    check(`session tree${of}`, pathFindings(sessionLeaf(leaf), proofs.session, { hash: stored.sessionRoot, sum: stored.totalDebit }, stored.leafCount),
      `leaf ${proofs.session.index} of ${stored.leafCount}, charge ${leaf.charge}, under the stored root`),
    check(`tab tree${of}`, pathFindings(tabLeaf(leaf), proofs.tab, { hash: stored.tabRoot, sum: stored.totalCredit }, stored.leafCount),
      `leaf ${proofs.tab.index} of ${stored.leafCount}, fee ${leaf.fee}, under the stored root`),
  ];
}

function pathFindings(leaf: SumNode, proof: SumProof, root: SumNode, leafCount: number): string[] {
  const walked = walkProof(leaf, proof, leafCount);
  if (!walked) return [`the proof does not fit a tree of ${leafCount} leaves`];
  if (walked.root.hash !== root.hash) return ["the leaf does not hash up to the stored root"];
  return walked.root.sum === root.sum ? [] : [`the tree sums to ${walked.root.sum}, the chain stores ${root.sum}`];
}
