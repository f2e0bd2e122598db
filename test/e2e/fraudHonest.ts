// An honest relayer and its nodes through everything that happens to honest people: what a watcher must say nothing about.
import { encodeFunctionData, keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { pathStruct, leafStruct } from "../../protocol/evidence.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { RefusalReason, Status } from "../../protocol/constants.ts";
import { structToJson } from "../../protocol/json.ts";
import { attestationToJson } from "../../protocol/link.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { treesOf } from "../../relayer/settlement/batch.ts";
import { accounts } from "../relayer/localChain.ts";
import { Books, postRefused } from "./fraudBatch.ts";
import type { HandedIn } from "./fraudScenes.ts";
import { EPOCH_SECONDS, type Actor, type FraudWorld } from "./fraudWorld.ts";

export interface Honest {
  readonly relayer: Actor;
  readonly nodes: readonly Actor[];
}

export async function liveHonestly(world: FraudWorld, handedIn: HandedIn): Promise<Honest> {
  const relayer = await world.relayer();
  const nodes = [await world.node(), await world.node()] as const;
  const books = new Books(world, relayer);
  await streamsEnd(world, relayer, nodes, books);
  await headerRebuilt(world, relayer, nodes[0], books);
  await boardAtAnEdge(world, relayer, nodes, books, handedIn);
  await keyRotated(world, relayer, nodes[0], books);
  await forceAnswered(world, relayer, nodes[1], books);
  return { relayer, nodes };
}

/** A node dies, a stream is hedged, another is cancelled, a third aborted and taken over; the session settles over two batches. */
async function streamsEnd(world: FraudWorld, relayer: Actor, [one, other]: readonly [Actor, Actor], books: Books): Promise<void> {
  const session = await world.session(relayer);
  const lost = await world.attempt(relayer, one, session);
  const migrated = await world.attempt(relayer, other, session, { order: lost.order, assignment: { attempt: 1 } });
  const asked = await world.attempt(relayer, other, session);
  const hedge = await world.attempt(relayer, one, session, { order: asked.order, assignment: { attempt: 1, priceInPerMTok: 0n } });
  const cancelled = await world.attempt(relayer, other, session, { body: { status: Status.CANCELLED, outputTokens: 7 } });
  // The lost one's receipt never came: its successor in the tab says so by the running total that it begins from.
  await books.post([migrated, asked, hedge], { failed: [lost] });
  const aborted = await world.attempt(relayer, other, session, { body: { status: Status.ABORTED, outputTokens: 3 } });
  const again = await world.attempt(relayer, one, session, { order: aborted.order, assignment: { attempt: 1 } });
  await books.post([cancelled, aborted, again]);
}

/** The first header came too late; the second begins after the first could no longer be posted. */
async function headerRebuilt(world: FraudWorld, relayer: Actor, node: Actor, books: Books): Promise<void> {
  const record = await world.attempt(relayer, node, await world.session(relayer));
  const now = await world.now();
  await postRefused(world, books, [record], { header: { periodStart: now - 200, periodEnd: now - 120, postBy: now - 60 } });
  await books.post([record]);
}

/** A later attestation that was never sent, one from the other side of an epoch's edge, and a refusal with every slot taken. */
async function boardAtAnEdge(world: FraudWorld, relayer: Actor, [one, other]: readonly [Actor, Actor], books: Books, handedIn: HandedIn): Promise<void> {
  const attested = [await world.attestation(relayer, one), await world.attestation(relayer, other)] as const;
  const epoch = await world.commit(relayer, attested);
  const { attestation } = attested[0];
  const inEpochMs = epoch * EPOCH_SECONDS * 1_000;
  const neverSent = await world.attestation(relayer, one, { seq: attestation.seq + 1n, observedAtMs: inEpochMs });
  const ahead = await world.attestation(relayer, one, { seq: attestation.seq + 2n, observedAtMs: inEpochMs + EPOCH_SECONDS * 1_000 });
  handedIn.attestations.push(attestationToJson(neverSent), attestationToJson(ahead));
  const session = await world.session(relayer);
  const atTheEdge = await world.attempt(relayer, one, session, { assignment: { attestationHash: hashStruct("SaturationAttestation", ahead.attestation), issuedAt: (epoch + 1) * EPOCH_SECONDS - 1 } });
  const refused = await world.attempt(relayer, other, session, { assignment: { attestationHash: hashStruct("SaturationAttestation", attested[1].attestation) } });
  const taken = await world.attempt(relayer, one, session, { order: refused.order, assignment: { attempt: 1 } });
  await books.post([atTheEdge, taken], { failed: [refused] });
  const refusal = {
    assignmentHash: hashStruct("Assignment", refused.assignment), nodeId: other.id, relayerId: relayer.id, keyEpoch: 1, attestationSeq: attested[1].attestation.seq,
    accepted: attested[1].attestation.slots, reason: RefusalReason.FULL, refusedAtMs: attested[1].attestation.observedAtMs + 100,
  };
  handedIn.refusals.push({ refusal: structToJson("Refusal", refusal), signature: await world.sign(other.key, "Refusal", refusal) });
}

/** One batch with assignments of the old key and of the new one. */
async function keyRotated(world: FraudWorld, relayer: Actor, node: Actor, books: Books): Promise<void> {
  const session = await world.session(relayer);
  const before = await world.attempt(relayer, node, session);
  const key = keccak256("0x0123");
  await world.local.send(accounts.relayerOwner, world.at("RelayerRegistry"), encodeFunctionData({
    abi: RelayerRegistryAbi, functionName: "rotateKey", args: [relayer.id, privateKeyToAccount(key).address, await world.consent("RelayerRegistry", accounts.relayerOwner, key)],
  }));
  await books.post([before, await world.attempt({ id: relayer.id, key }, node, session, { assignment: { relayerEpoch: 2 } })]);
}

/** A node claims what is settled a moment later. */
async function forceAnswered(world: FraudWorld, relayer: Actor, node: Actor, books: Books): Promise<void> {
  const record: AttemptRecord = await world.attempt(relayer, node, await world.session(relayer));
  const receiptHash = await world.force(relayer, record, await world.now() - 3_600);
  const { batchId } = await books.post([record]);
  const { tab } = treesOf([record], keccak256);
  await world.local.send(accounts.poster, world.at("BatchSettlement"), encodeFunctionData({ abi: BatchSettlementAbi, functionName: "answerForce", args: [receiptHash, batchId, leafStruct(record), pathStruct(tab.proof(0))] }));
}
