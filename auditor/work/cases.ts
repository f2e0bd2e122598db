// Cases: what was found, announced, proven; what was demanded, answered, condemned.
//
// Before anything is announced, the judge on chain is asked. A case is on disk before its transaction is sent, and its key is the
// one under which FraudProofs punishes an offence once: a restart repeats nothing that counts.
import { encodeFunctionData, keccak256 } from "viem/utils";
import { FraudProofsAbi } from "../../protocol/generated/abi/FraudProofs.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { ANNOUNCED_BLOCKS, encodeAnnouncement, encodeProof, proofCall, type ProvableFinding } from "../proofs/call.ts";
import { encodeChallenge, encodeCondemn, encodeVoids } from "../proofs/withheld.ts";
import type { FindingOf } from "../watch/findings.ts";
import { isGenuine, keysNamed } from "../watch/genuine.ts";
import type { Found } from "../watch/history.ts";
import { isPutOff, trimCases, type Case } from "./state.ts";
import type { Watch } from "./watch.ts";

/** Findings of one batch, board or file that are brought before a judge: one offence is enough for each kind. */
const JUDGED_AT_ONCE_MAX = 500;
/** Findings that are remembered as judged; an older one is asked about again where it turns up again. */
const JUDGED_MAX = 50_000;
/** A demand that was refused is tried again after such a part of W. */
const RETRY_PARTS = 40;

/** Opens a case for each finding that is genuine and that its judge upholds. @returns those, whoever had them punished */
export async function openCases(watch: Watch, found: readonly Found[]): Promise<readonly Found[]> {
  if (found.length === 0) return [];
  const keys = { ...watch.settings, ...await watch.chain.keys(keysNamed(found.map(({ finding }) => finding))), recover: watch.recover };
  const upheld: Found[] = [];
  let questions = 0;
  let unasked = 0;
  for (const one of found) {
    const { finding, detail } = one;
    if (finding.functionName === "challengeData") await openDemand(watch, finding, detail);
    else if (watch.judged.has(whatItShows(finding))) upheld.push(...(watch.judged.get(whatItShows(finding)) ? [one] : []));
    else if (questions >= JUDGED_AT_ONCE_MAX) unasked += 1;
    else if (await isGenuine(finding, keys) && ++questions && await openCase(watch, finding, detail)) upheld.push(one);
  }
  if (unasked > 0) await watch.archive.log({ what: "unasked", detail: `${unasked} findings beside ${JUDGED_AT_ONCE_MAX} others were brought before no judge`, first: found.at(-unasked)!.detail });
  return upheld;
}

const whatItShows = (finding: ProvableFinding): Hash => keccak256(encodeProof(proofCall(finding), ZERO_HASH));

/** @returns whether its judge upholds it */
async function openCase(watch: Watch, finding: ProvableFinding, detail: string): Promise<boolean> {
  const { chain, archive, state, judged } = watch;
  const proof = encodeProof(proofCall(finding), watch.salt());
  const judgement = await chain.judge(finding.functionName, proof);
  if (judged.size >= JUDGED_MAX) judged.delete(judged.keys().next().value!);
  judged.set(whatItShows(finding), judgement.holds);
  const { offence, functionName } = finding;
  if (!judgement.holds) {
    await archive.log({ what: "not upheld", offence, functionName, detail, reason: judgement.reason });
    return false;
  }
  const { key, party, offender, isPunished } = judgement;
  const isKnown = isPunished || state.cases.some((one) => one.key === key);
  if (!isKnown) await add(watch, { ...NEW, key, offence, functionName, party, offender, detail, proof });
  return true;
}

async function openDemand(watch: Watch, { offence, functionName, evidence }: FindingOf<"challengeData">, detail: string): Promise<void> {
  const { relayerId, batchId, index } = evidence;
  const key = `F9:${relayerId}:${batchId}:${index}`;
  if (bondsLostTo(watch, relayerId) >= watch.options.bondsLostMax) return;
  const ofBatch = watch.state.cases.filter((one) => one.place?.relayerId === relayerId && one.place.batchId === batchId);
  if (ofBatch.length >= watch.options.challengesMax || ofBatch.some((one) => one.key === key || one.status === "challenged" || one.status === "found")) return;
  await add(watch, { ...NEW, key, offence, functionName, party: "relayer", offender: relayerId, detail, place: { relayerId, batchId, index } });
}

/** What a relayer took by answering on chain what it would not serve. */
const bondsLostTo = ({ state }: Watch, relayerId: number): number =>
  state.cases.filter(({ place, status }) => status === "answered" && place?.relayerId === relayerId).length;

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
  if (isPutOff(one, (await watch.chain.head()).timestamp)) return;
  const existing = await watch.chain.challenge(relayerId, batchId, index);
  if (!existing) {
    try {
      await watch.sender!.approveBond(watch.settings.challengeBond);
      one.transaction = (await watch.sender!.send(encodeChallenge(relayerId, batchId, index))).transactionHash;
    } catch (error) {
      return putOff(watch, one, reasonOf(error));
    }
  }
  // Somebody else's demand does as well.
  const standing = existing ?? await watch.chain.challenge(relayerId, batchId, index);
  if (standing) await moved(watch, one, { status: "challenged", challengedAt: standing.openedAt, reason: null });
}

/** The bond's tokens may still come: a refusal is final once the batch is older than W. */
async function putOff(watch: Watch, one: Case, reason: string): Promise<void> {
  const { relayerId, batchId } = one.place!;
  const { timestamp } = await watch.chain.head();
  const { windowSeconds } = watch.settings;
  const kept = await watch.archive.batch(relayerId, batchId);
  if (!kept || timestamp > kept.postedAt + windowSeconds) return moved(watch, one, { status: "refused", reason });
  const isNew = one.reason !== reason;
  await moved(watch, one, { reason, retryAt: timestamp + Math.ceil(windowSeconds / RETRY_PARTS) });
  if (!isNew) return;
  await watch.archive.log({ what: "put off", offence: one.offence, relayerId, batchId, reason });
  watch.say(`${one.offence} ${one.party} ${one.offender}: refused, and tried again while there is time (${reason})`);
}

async function condemn(watch: Watch, one: Case): Promise<void> {
  const { chain, settings, sender } = watch;
  const { relayerId, batchId, index } = one.place!;
  const standing = await chain.challenge(relayerId, batchId, index);
  // The demand itself was taken back by a reorganisation.
  if (!standing) return moved(watch, one, { status: "found", challengedAt: null });
  if (standing.isSettled) {
    const isCondemned = await chain.isCondemned(relayerId, batchId);
    // By somebody else, or by a call of ours whose end was not seen: what the batch moved goes back all the same.
    if (isCondemned) watch.state.voids.push({ relayerId, batchId });
    return moved(watch, one, { status: isCondemned ? "condemned" : "answered" });
  }
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
    const reason = await sender!.send(encodeFunctionData({ abi: FraudProofsAbi, functionName: "claim", args: [token, sender!.address] })).then(() => null, reasonOf);
    await archive.log({ what: "claimed", token, amount, reason });
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
