// What the relayer needs of the links to its nodes: attempts go out, tokens and receipts come back.
import type { AttemptEvent, AttemptRequest, Cancel, NodeInfo, SignedAck, SignedAttestation } from "../../protocol/link.ts";
import type { Address, Millis } from "../../protocol/units.ts";
import type { ChainNode } from "./chain.ts";

export interface NodeLinkEvents {
  /** The node has proved its hot key and told what it is; `chain` is what the registry and the vault say about it. */
  connected(node: ConnectedNode, chain: ChainNode): void;
  attested(nodeId: number, signed: SignedAttestation, receivedAtMs: Millis): void;
  disconnected(nodeId: number): void;
}

export interface ConnectedNode {
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly hotKey: Address;
  readonly info: NodeInfo;
}

/** The relayer's side of the node links. */
export interface NodeLinks {
  /**
   * Sends an attempt. The stream ends after `refusal`, `end` or `failed`; a cut connection throws a retryable TidelaneError
   * `node_disconnected`. Aborting the signal only stops listening: use `cancel` to stop the work.
   */
  attempt(nodeId: number, request: AttemptRequest, signal?: AbortSignal): AsyncIterable<AttemptEvent>;
  /** Asks the node to stop; its receipt still comes on the attempt's stream. */
  cancel(nodeId: number, cancel: Cancel): Promise<void>;
  /** Best effort; an ack is sent again with the next ones until the node has taken it. */
  ack(nodeId: number, acks: readonly SignedAck[]): Promise<void>;
}
