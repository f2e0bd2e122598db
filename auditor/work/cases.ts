// Cases: what was found, announced, proven; what was demanded, answered, condemned.
//
// Before anything is announced, the judge on chain is asked. A case is on disk before its transaction is sent, and its key is the
// one under which FraudProofs punishes an offence once: a restart repeats nothing that counts.
import { encodeFunctionData, keccak256 } from "viem/utils";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { ZERO_HASH } from "../../protocol/units.ts";
import { ANNOUNCED_BLOCKS, encodeAnnouncement, encodeProof, proofCall } from "../proofs/call.ts";
import { encodeChallenge, encodeCondemn, encodeVoids } from "../proofs/withheld.ts";
import type { FindingOf } from "../watch/findings.ts";
import type { Found } from "../watch/history.ts";
import { trimCases, type Case } from "./state.ts";
import type { Watch } from "./watch.ts";

/** Findings that are brought before a judge by one process: junk that somebody publishes costs this many questions. */
const JUDGED_MAX = 50_000;

/** Opens a case for each finding that its judge upholds. */
export async function openCases(watch: Watch, found: readonly Found[]): Promise<void> {
  for (const one of found) await openCase(watch, one);
}

async function openCase(watch: Watch, { finding, detail }: Found): Promise<void> {
  const { chain, archive, state, judged } = watch;
  if (finding.functionName === "challengeData") return openDemand(watch, finding, detail);
  const call = proofCall(finding);
  const shows = keccak256(encodeProof(call, ZERO_HASH));
  if (judged.has(shows) || judged.size >= JUDGED_MAX) return;
  const proof = encodeProof(call, watch.salt());
  const judgement = await chain.judge(finding.functionName, proof);
  judged.add(shows);
  const { offence, functionName } = finding;
  if (!judgement.holds) return archive.log({ what: "not upheld", offence, functionName, detail, reason: judgement.reason });
  const { key, party, offender, isPunished } = judgement;
  if (isPunished || state.cases.some((one) => one.key === key)) return;
  await add(watch, { ...NEW, key, offence, functionName, party, offender, detail, proof });
}

async function openDemand(watch: Watch, { offence, functionName, evidence }: FindingOf<"challengeData">, detail: string): Promise<void> {
  const { relayerId, batchId, index } = evidence;
  const key = `F9:${relayerId}:${batchId}:${index}`;
  const ofBatch = watch.state.cases.filter((one) => one.place?.relayerId === relayerId && one.place.batchId === batchId);
  if (ofBatch.length >= watch.options.challengesMax || ofBatch.some((one) => one.key === key || one.status === "challenged" || one.status === "found")) return;
  await add(watch, { ...NEW, key, offence, functionName, party: "relayer", offender: relayerId, detail, place: { relayerId, batchId, index } });
}

const NEW = { status: "found", proof: null, place: null, announced: null, challengedAt: null, transaction: null, reason: null } as const;

async function add(watch: Watch, opened: Case): Promise<void> {
  watch.state.cases.push({ ...opened });
  watch.say(`${opened.offence} ${opened.party} ${opened.offender}: ${opened.detail}`);
  await told(watch, opened);
}

/** Brings every case as far as it can go now. */
export async function advanceCases(watch: Watch): Promise<void> {
  if (watch.sender === null || watch.options.isDryRun) return;
  // All are announced before the first is proven: the two blocks of waiting pass once.
  for (const one of watch.state.cases) if (one.status === "found") await (one.place ? demand(watch, one) : announce(watch, one));
  for (const one of watch.state.cases) {
    if (one.status === "announced" || one.status === "proving") await prove(watch, one);
    else if (one.status === "challenged") await condemn(watch, one);
  }
  await voidCondemned(watch);
  await claim(watch);
  trimCases(watch.state);
  await watch.archive.saveState(watch.state);
}

async function announce(watch: Watch, one: Case): Promise<void> {
  const { address, send } = watch.sender!;
  const sent = await tried(watch, one, () => send(encodeAnnouncement(address, one.proof!)));
  if (sent) await moved(watch, one, { status: "announced", announced: { by: address, blockNumber: sent.blockNumber } });
}

async function prove(watch: Watch, one: Case): Promise<void> {
  const { chain, sender } = watch;
  const { by, blockNumber } = one.announced!;
  // Announced under another key: whoever holds this one begins anew.
  if (by !== sender!.address) return moved(watch, one, { status: "found", announced: null });
  if ((await chain.head()).number < blockNumber + BigInt(ANNOUNCED_BLOCKS) - 1n) return;
  const judgement = await chain.judge(one.functionName, one.proof!);
  if (!judgement.holds) return moved(watch, one, { status: "refused", reason: judgement.reason });
  if (judgement.isPunished) return moved(watch, one, { status: one.status === "proving" ? "proven" : "lost", reason: "it was punished before" });
  await moved(watch, one, { status: "proving" });
  const sent = await tried(watch, one, () => sender!.send(one.proof!));
  if (sent) await moved(watch, one, { status: "proven", transaction: sent.transactionHash });
}

async function demand(watch: Watch, one: Case): Promise<void> {
  const { relayerId, batchId, index } = one.place!;
  const existing = await watch.chain.challenge(relayerId, batchId, index);
  if (!existing) {
    await watch.sender!.approveBond(watch.settings.challengeBond);
    const sent = await tried(watch, one, () => watch.sender!.send(encodeChallenge(relayerId, batchId, index)));
    if (!sent) return;
    one.transaction = sent.transactionHash;
  }
  // Somebody else's demand does as well.
  const standing = existing ?? await watch.chain.challenge(relayerId, batchId, index);
  if (standing) await moved(watch, one, { status: "challenged", challengedAt: standing.openedAt });
}

async function condemn(watch: Watch, one: Case): Promise<void> {
  const { chain, settings, sender } = watch;
  const { relayerId, batchId, index } = one.place!;
  const standing = await chain.challenge(relayerId, batchId, index);
  // The demand itself was taken back by a reorganisation.
  if (!standing) return moved(watch, one, { status: "found", challengedAt: null });
  if (standing.isSettled) return moved(watch, one, { status: await chain.isCondemned(relayerId, batchId) ? "condemned" : "answered" });
  if ((await chain.head()).timestamp <= standing.openedAt + settings.windowSeconds) return;
  const sent = await tried(watch, one, () => sender!.send(encodeCondemn(relayerId, batchId, index)));
  if (!sent) return;
  watch.state.voids.push({ relayerId, batchId });
  await moved(watch, one, { status: "condemned", transaction: sent.transactionHash });
}

/** Credits first: debits get back what those gave up. */
async function voidCondemned(watch: Watch): Promise<void> {
  const { state, archive, sender } = watch;
  for (const { relayerId, batchId } of state.voids) {
    const kept = await archive.batch(relayerId, batchId);
    for (const data of kept?.debits && kept.credits ? encodeVoids(kept.header, kept.debits, kept.credits) : []) {
      const reason = await sender!.send(data).then(() => null, reasonOf);
      await archive.log({ what: "voided", relayerId, batchId, reason });
    }
  }
  state.voids = [];
}

async function claim({ chain, sender, archive }: Watch): Promise<void> {
  for (const { token, amount } of await chain.owedTo(sender!.address)) {
    if (amount === 0n) continue;
    const { transactionHash } = await sender!.send(encodeFunctionData({ abi: FraudProofsAbi, functionName: "claim", args: [token, sender!.address] }));
    await archive.log({ what: "claimed", token, amount, transaction: transactionHash });
  }
}

/** Null where the contract refused; the case is told why. */
async function tried<Result>(watch: Watch, one: Case, send: () => Promise<Result>): Promise<Result | null> {
  try {
    return await send();
  } catch (error) {
    const reason = reasonOf(error);
    const announcedAt = /^NotAnnounced\([^,]*, (\d+)/.exec(reason)?.[1];
    if (announcedAt !== undefined) {
      // A reorganisation took the announcement back, or the two blocks are not over.
      await moved(watch, one, announcedAt === "0" ? { status: "found", announced: null } : { status: "announced" });
    } else {
      await moved(watch, one, { status: /^PunishedBefore/.test(reason) ? "lost" : "refused", reason });
    }
    return null;
  }
}

/** @throws what is no refusal: the chain did not answer, and the next round tries again */
function reasonOf(error: unknown): string {
  if (error instanceof TidelaneError && error.code === "call_reverted") return String(error.details.reason);
  throw error;
}

async function moved(watch: Watch, one: Case, change: Partial<Case>): Promise<void> {
  const before = one.status;
  Object.assign(one, change);
  if (one.status !== before) await told(watch, one);
  else await watch.archive.saveState(watch.state);
}

async function told({ archive, state, say }: Watch, one: Case): Promise<void> {
  const { status, offence, party, offender, detail, transaction, reason, key } = one;
  await archive.saveState(state);
  await archive.log({ what: status, offence, party, offender, detail, transaction, reason, key });
  if (status !== "found") say(`${offence} ${party} ${offender}: ${status}${reason ? ` (${reason})` : ""}`);
}
