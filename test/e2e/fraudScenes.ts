// One scene for each function of FraudProofs: somebody commits the offence on chain, and says what it should cost.
import { encodeFunctionData } from "viem";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { RefusalReason } from "../../protocol/constants.ts";
import { structToJson } from "../../protocol/json.ts";
import { attestationToJson } from "../../protocol/link.ts";
import { leafOf, type AttemptRecord } from "../../protocol/records.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { viewsOf } from "../../auditor/proofs/treeView.ts";
import { answerDataCall } from "../../protocol/demands.ts";
import type { Finding } from "../../auditor/watch/findings.ts";
import { leavesOf } from "../../relayer/routing/pool.ts";
import { accounts } from "../relayer/localChain.ts";
import { Books, postRefused } from "./fraudBatch.ts";
import { BOND, EPOCH_SECONDS, MODEL_ID, STAKE, type Actor, type FraudWorld } from "./fraudWorld.ts";

export interface Scene {
  readonly functionName: Finding["functionName"];
  readonly party: "node" | "relayer";
  readonly actor: Actor;
  /** What may be left of the bond: where one batch holds two offences, their order is open. */
  readonly left: readonly bigint[];
}

/** Messages that stand in nobody's data, as the file of `--evidence` holds them. */
export interface HandedIn {
  readonly format: "tidelane-evidence/1";
  readonly attestations: Record<string, unknown>[];
  readonly refusals: Record<string, unknown>[];
  readonly assignments: Record<string, unknown>[];
}

type Act = (world: FraudWorld, node: Actor, handedIn: HandedIn) => Promise<Scene>;

const tenthLess = (bond: bigint): bigint => bond - bond / 10n;
const ofRelayer = (functionName: Scene["functionName"], actor: Actor, ...left: bigint[]): Scene => ({ functionName, party: "relayer", actor, left });

/** Two tasks of one session, settled in one batch. */
async function twoTasks(world: FraudWorld, node: Actor): Promise<{ relayer: Actor; books: Books; rows: [AttemptRecord, AttemptRecord] }> {
  const relayer = await world.relayer();
  const session = await world.session(relayer);
  return { relayer, books: new Books(world, relayer), rows: [await world.attempt(relayer, node, session), await world.attempt(relayer, node, session)] };
}

/** F13 needs W to pass: the force is paid first, and its receipt settled afterwards all the same. */
export async function forceFirst(world: FraudWorld, node: Actor, windowSeconds: number): Promise<() => Promise<Scene>> {
  const { relayer, books, rows: [forced] } = await twoTasks(world, node);
  const receiptHash = await world.force(relayer, forced, await world.now() - windowSeconds);
  await world.pass(windowSeconds + 1);
  await world.local.send(accounts.nodeOwner, world.at("BatchSettlement"), encodeFunctionData({ abi: BatchSettlementAbi, functionName: "resolveForce", args: [receiptHash] }));
  return async () => {
    // Beyond the second in which the force was paid.
    await world.pass(1);
    await books.post([forced]);
    const { fee, charge } = leafOf(forced);
    return ofRelayer("provePaidAfterForce", relayer, BOND - 2n * charge + (charge - fee));
  };
}

/** F9 that is answered: the record that was withheld stands in calldata then, and is not one that holds. */
export async function withheldAndShown(world: FraudWorld, node: Actor): Promise<{ scene: Scene; answer(): Promise<void> }> {
  const { relayer, books, rows: [one] } = await twoTasks(world, node);
  const dear = await world.attempt(relayer, node, one.authorization, { body: { fee: leafOf(one).fee + 1n } });
  const { batchId } = await books.post([dear], { isWithheld: true });
  const answer = answerDataCall(relayer.id, batchId, dear, viewsOf([dear]).session.proof(0));
  return { scene: ofRelayer("proveInvalidLeaf", relayer, BOND - 50_000_000n), answer: () => world.local.send(accounts.relayerOwner, world.at("FraudProofs"), answer) };
}

export const acts: readonly Act[] = [
  async function f1(world, _, handedIn) {
    const [relayer, node] = [await world.relayer(), await world.node()];
    const one = await world.attestation(relayer, node);
    await world.commit(relayer, [one]);
    handedIn.attestations.push(attestationToJson(await world.attestation(relayer, node, { ...one.attestation, slots: 3 })));
    return { functionName: "proveSaturationEquivocation", party: "node", actor: node, left: [tenthLess(STAKE)] };
  },
  async function f2(world) {
    const [relayer, node] = [await world.relayer(), await world.node()];
    const [session, books] = [await world.session(relayer), new Books(world, relayer)];
    const one = await world.attempt(relayer, node, session);
    await books.post([one]);
    await books.post([await world.attempt(relayer, node, session, { receipt: { nodeSeq: one.receipt.nodeSeq } })]);
    return { functionName: "proveReceiptEquivocation", party: "node", actor: node, left: [0n] };
  },
  async function f3(world, _, handedIn) {
    const [relayer, node] = [await world.relayer(), await world.node()];
    const [session, books] = [await world.session(relayer), new Books(world, relayer)];
    const free = await world.attestation(relayer, node);
    const attestationHash = hashStruct("SaturationAttestation", free.attestation);
    await world.commit(relayer, [free]);
    const refused = await world.attempt(relayer, node, session, { assignment: { attestationHash } });
    const served = await world.attempt(relayer, node, session, { order: refused.order, assignment: { attempt: 1 } });
    await books.post([served], { failed: [refused] });
    const refusal = {
      assignmentHash: hashStruct("Assignment", refused.assignment), nodeId: node.id, relayerId: relayer.id, keyEpoch: 1, attestationSeq: free.attestation.seq, accepted: 1,
      reason: RefusalReason.FULL, refusedAtMs: free.attestation.observedAtMs + 100,
    };
    handedIn.refusals.push({ refusal: structToJson("Refusal", refusal), signature: await world.sign(node.key, "Refusal", refusal) });
    return { functionName: "proveFalseRefusal", party: "node", actor: node, left: [STAKE - STAKE / 100n] };
  },
  async function f4(world, node) {
    const { relayer, books, rows: [one] } = await twoTasks(world, node);
    const dear = await world.attempt(relayer, node, one.authorization, { body: { fee: leafOf(one).fee + 1n } });
    await books.post([one, dear]);
    return ofRelayer("proveInvalidLeaf", relayer, BOND - 50_000_000n);
  },
  async function f5(world, node) {
    // Posted by a contract that makes the call out of other bytes, as one would who hides what it moves.
    const relayer = await world.relayer();
    await world.postThroughInverter(relayer);
    const [books, sessions] = [new Books(world, relayer), [await world.session(relayer), await world.session(relayer)]];
    const attempts = async () => [await world.attempt(relayer, node, sessions[0]!), await world.attempt(relayer, node, sessions[1]!)];
    await books.post(await attempts());
    const rows = await attempts();
    const excess = 10n;
    await books.post(rows, { debits: (debits) => debits.map((debit, i) => ({ ...debit, change: debit.change + (i === 0 ? excess : -excess) })) });
    // The session that is debited too little is a wrong change of its own.
    return ofRelayer("proveWrongChange", relayer, tenthLess(tenthLess(BOND) - excess), tenthLess(tenthLess(BOND)) - excess);
  },
  async function f5Task(world, node) {
    const { relayer, books, rows: [one] } = await twoTasks(world, node);
    const order = { ...one.order, maxFee: 1_000n };
    const first = await world.attempt(relayer, node, one.authorization, { order });
    const second = await world.attempt(relayer, node, one.authorization, { order, assignment: { attempt: 1, priceInPerMTok: 0n } });
    await books.post([first, second]);
    const leaves = [leafOf(first), leafOf(second)];
    const charged = leaves.reduce((sum, { charge }) => sum + charge, 0n);
    const fees = leaves.reduce((sum, { charge, fee }) => sum + charge - fee, 0n);
    return ofRelayer("proveTaskAboveMaxFee", relayer, tenthLess(BOND) - 2n * (charged - order.maxFee) + fees);
  },
  async function f6(world, node) {
    const { relayer, books, rows } = await twoTasks(world, node);
    const bump = 5n;
    await books.post(rows, { bump, debits: (debits) => debits.map((debit) => ({ ...debit, change: debit.change + bump })) });
    return ofRelayer("proveBadSum", relayer, 0n);
  },
  async function f7Twice(world, node) {
    const { relayer, books, rows: [one, other] } = await twoTasks(world, node);
    await books.post([one]);
    await books.post([other, await world.attempt(relayer, node, one.authorization, { order: one.order, assignment: { attempt: 1, priceInPerMTok: 0n } })]);
    return ofRelayer("proveTaskInTwoBatches", relayer, 0n);
  },
  async function f7Input(world, node) {
    const { relayer, books, rows: [one] } = await twoTasks(world, node);
    await books.post([one, await world.attempt(relayer, node, one.authorization, { order: one.order, assignment: { attempt: 1 } })]);
    return ofRelayer("proveSecondInput", relayer, 0n);
  },
  async function f7Order(world, node) {
    const { relayer, books, rows } = await twoTasks(world, node);
    const inOrder = rows.toSorted((a, b) => (a.assignment.taskId < b.assignment.taskId ? -1 : 1));
    await books.post(rows, { sessionRows: inOrder.toReversed() });
    return ofRelayer("proveDisorder", relayer, 0n);
  },
  async function f8(world, node) {
    const { relayer, books, rows: [one, other] } = await twoTasks(world, node);
    const posted = await books.build([one]);
    await postRefused(world, books, [one, other], { header: { prevBatchHash: hashStruct("BatchHeader", posted.header) } });
    await books.post([one]);
    return ofRelayer("proveHeaderEquivocation", relayer, 0n);
  },
  async function f9(world, node) {
    const { relayer, books, rows } = await twoTasks(world, node);
    await books.post(rows, { isWithheld: true });
    return ofRelayer("challengeData", relayer, 0n);
  },
  async function f10(world, node, handedIn) {
    const { relayer, books, rows } = await twoTasks(world, node);
    await books.post(rows);
    const other = { ...rows[0].assignment, nodeId: 2 };
    handedIn.assignments.push({ assignment: structToJson("Assignment", other), signature: await world.sign(relayer.key, "Assignment", other) });
    return ofRelayer("proveDoubleAssignment", relayer, tenthLess(BOND));
  },
  async function f10Shares(world, node) {
    const { relayer, books, rows: [one] } = await twoTasks(world, node);
    const order = { ...one.order, maxFee: 2_000n };
    const part = (subtask: number): Promise<AttemptRecord> => world.attempt(relayer, node, one.authorization, { order, assignment: { subtask, subtasks: 2 } });
    await books.post([await part(0), await part(1)]);
    return ofRelayer("proveSharesAboveMaxFee", relayer, tenthLess(BOND));
  },
  async function f11(world, node) {
    const { relayer, books, rows: [one, shown] } = await twoTasks(world, node);
    const hidden = await world.attempt(relayer, node, one.authorization);
    await books.post([one, shown], { tabRows: [one, hidden], unsettled: [hidden] });
    return ofRelayer("proveAsymmetry", relayer, 0n);
  },
  async function f12Bad(world, node) {
    const relayer = await world.relayer();
    const one = await world.attestation(relayer, node);
    const [leaf] = leavesOf(one.attestation, hashStruct("SaturationAttestation", one.attestation), one.offers, 100);
    await world.commit(relayer, [one], { leaves: [{ ...leaf!, slots: one.attestation.slots + 1 }] });
    return ofRelayer("proveBadBoardLeaf", relayer, tenthLess(BOND));
  },
  async function f12Stale(world, node, handedIn) {
    const { relayer, books, rows: [one] } = await twoTasks(world, node);
    const early = await world.attestation(relayer, node);
    const epoch = await world.commit(relayer, [early]);
    const late = await world.attestation(relayer, node, { seq: early.attestation.seq + 1n, computeBps: 9_000, observedAtMs: epoch * EPOCH_SECONDS * 1_000 });
    await books.post([await world.attempt(relayer, node, one.authorization, { assignment: { attestationHash: hashStruct("SaturationAttestation", late.attestation), issuedAt: epoch * EPOCH_SECONDS + 3 } })]);
    handedIn.attestations.push(attestationToJson(late));
    return ofRelayer("proveStaleBoardLeaf", relayer, tenthLess(BOND));
  },
  async function f12Omitted(world, node, handedIn) {
    const [{ relayer, books, rows: [one] }, other] = [await twoTasks(world, node), await world.node()];
    const epoch = await world.commit(relayer, [await world.attestation(relayer, node)]);
    const left = await world.attestation(relayer, other, { observedAtMs: epoch * EPOCH_SECONDS * 1_000 });
    await books.post([await world.attempt(relayer, other, one.authorization, { assignment: { attestationHash: hashStruct("SaturationAttestation", left.attestation), issuedAt: epoch * EPOCH_SECONDS + 3 } })]);
    handedIn.attestations.push(attestationToJson(left));
    return ofRelayer("proveOmittedBoardLeaf", relayer, tenthLess(BOND));
  },
  async function f12Pool(world, node) {
    const relayer = await world.relayer();
    const one = await world.attestation(relayer, node);
    await world.commit(relayer, [one], { pools: [{ modelId: MODEL_ID, slots: 4n, slotBps: 4n * 9_000n }] });
    return ofRelayer("proveWrongPool", relayer, tenthLess(BOND));
  },
];
