// This node's account at one relayer: the chain of its receipts. Built strictly one after the other, remembered on disk before
// a signature leaves, and resumed so that an old or lost disk can never make it sign against itself.
import { chargeDown } from "../../protocol/fees.ts";
import { digestOfHash, hashStruct, type Domain } from "../../protocol/typedData.ts";
import { isSignedBy, type DigestSigner } from "../../protocol/signing.ts";
import { Status } from "../../protocol/constants.ts";
import { nextSeq } from "../../protocol/ids.ts";
import { ZERO_HASH, type Address, type Millis, type Signature, type TokenAmount } from "../../protocol/units.ts";
import type { ReceiptBody, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { AttemptRequest, SignedAck } from "../../protocol/link.ts";
import type { Clock, NodeChain, NodeStore, RelayerLinks, RelayerPeer, TabHead } from "../ports.ts";

export interface TabWorld {
  readonly nodeId: number;
  readonly domain: Domain;
  readonly signer: DigestSigner;
  readonly store: NodeStore;
  readonly chain: NodeChain;
  readonly links: RelayerLinks;
  readonly clock: Clock;
}

export interface SignedReceipt {
  readonly receipt: TaskReceipt;
  readonly signature: Signature;
}

/** A receipt without an ack for this long is written off, so that one that was lost with a relayer's crash cannot block a tab for ever. */
export const WRITE_OFF_MS: Millis = 3_600_000;
/** A relayer that can use half an answer acks it at once; one that cannot never does, and an engine that fails now and then must not stop its node. */
export const WRITE_OFF_ABORTED_MS: Millis = 60_000;

export class Tab {
  readonly relayerId: number;
  readonly #world: TabWorld;
  #head: TabHead;

  private constructor(relayerId: number, head: TabHead, world: TabWorld) {
    this.relayerId = relayerId;
    this.#head = head;
    this.#world = world;
  }

  /**
   * Continues from the greatest of what the disk, the relayer and the chain know. Where the disk knows less than the others
   * it is old or was lost: then the next receipt names no previous one, because which one it was is not known for certain.
   * @throws retryable errors of the chain; of the relayer only where the disk remembers nothing.
   */
  static async resume(peer: RelayerPeer, world: TabWorld): Promise<Tab> {
    const own = world.store.tab(peer.relayerId);
    const journaled = await relayersLast(peer, world).catch((error: unknown) => {
      if (own === null) throw error;
      return null;
    });
    const proven = await world.chain.provenEarned(peer.relayerId, world.nodeId);
    const known = [own?.cumulative ?? 0n, journaled?.nodeCumulative ?? 0n, proven].reduce((most, one) => (one > most ? one : most));
    if (own && own.cumulative === known) return new Tab(peer.relayerId, own, world);
    const seqs = [own?.nodeSeq ?? 0n, journaled?.nodeSeq ?? 0n];
    return new Tab(peer.relayerId, { nodeSeq: seqs[0]! > seqs[1]! ? seqs[0]! : seqs[1]!, receiptHash: ZERO_HASH, cumulative: known }, world);
  }

  get cumulative(): TokenAmount {
    return this.#head.cumulative;
  }

  /** Receipts that the relayer has not acked; what it owes longest is written off after an hour, aborted work after a minute. */
  unacked(): number {
    const nowMs = this.#world.clock.nowMs();
    let count = 0;
    for (const one of this.#world.store.unacked()) {
      if (one.relayerId !== this.relayerId) continue;
      if (one.signedAtMs < nowMs - (one.isAborted ? WRITE_OFF_ABORTED_MS : WRITE_OFF_MS)) this.#world.store.forget(one.receiptHash);
      else count++;
    }
    return count;
  }

  /**
   * Appends a receipt to the tab and signs it once the disk remembers it.
   * @throws retryable TidelaneError `store_failed`: then nothing was signed, and nothing will be until a restart.
   */
  async sign(request: AttemptRequest, body: Omit<ReceiptBody, "prevReceiptHash">): Promise<SignedReceipt> {
    const { store, signer, domain, nodeId, clock } = this.#world;
    const { assignment } = request;
    const nowMs = clock.nowMs();
    const nodeSeq = nextSeq(this.#head.nodeSeq, nowMs);
    const nodeCumulative = this.#head.cumulative + body.fee;
    const receipt: TaskReceipt = {
      body: { ...body, prevReceiptHash: this.#head.receiptHash }, nodeId, relayerId: this.relayerId, keyEpoch: assignment.keyEpoch, nodeSeq, nodeCumulative,
    };
    const receiptHash = hashStruct("TaskReceipt", receipt);
    // No await up to here: the next receipt builds on this one even while the disk is busy.
    const head: TabHead = { nodeSeq, receiptHash, cumulative: nodeCumulative };
    this.#head = head;
    await store.putReceipt({
      relayerId: this.relayerId, head, receiptHash, sessionId: body.sessionId, charge: chargeDown(body.fee, assignment.feeBps),
      assignmentHash: body.assignmentHash, assignmentDeadline: assignment.deadline, signedAtMs: nowMs,
      isAborted: body.status === Status.ABORTED,
    });
    const signature = await signer.sign(digestOfHash(domain, receiptHash));
    await store.putRecord({ ...request.covered, assignment, assignmentSignature: request.assignmentSignature, receipt, receiptSignature: signature });
    return { receipt, signature };
  }

  /** @returns whether the ack was for a receipt that waits for one, and signed by the key. */
  async take(signed: SignedAck, key: Address): Promise<boolean> {
    const waits = this.#world.store.unacked().some((one) => one.receiptHash === signed.ack.receiptHash && one.relayerId === this.relayerId);
    if (!waits || signed.ack.relayerId !== this.relayerId) return false;
    if (!await isSignedBy(key, this.#world.domain, "Ack", signed.ack, signed.signature)) return false;
    await this.#world.store.putAck(signed);
    return true;
  }
}

/** What the relayer says it journaled counts only with this node's own signature under it. */
async function relayersLast(peer: RelayerPeer, world: TabWorld): Promise<TaskReceipt | null> {
  const last = await world.links.lastReceipt(peer.url, world.nodeId);
  if (!last || last.receipt.nodeId !== world.nodeId || last.receipt.relayerId !== peer.relayerId) return null;
  const key = await world.chain.nodeKey(world.nodeId, last.receipt.keyEpoch);
  return key && await isSignedBy(key.key, world.domain, "TaskReceipt", last.receipt, last.signature) ? last.receipt : null;
}
