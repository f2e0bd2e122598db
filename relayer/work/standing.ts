// What a node's attestation says in the lobby's words: how fast, how many at once, how much of it is taken already.
import { BPS, type Hash, type Millis, type Tokens } from "../../protocol/units.ts";
import { COMMON_PROMPT_TOKENS } from "../lobby/grants.ts";
import { aloneMs } from "../lobby/prices.ts";
import type { Presence } from "../../protocol/link.ts";
import { warmSlots } from "../lobby/warmUp.ts";
import type { FleetNode } from "./fleetNode.ts";
import type { AttestedState } from "./attestedState.ts";
import type { NodeModel } from "../lobby/predict.ts";
import type { Reported } from "../lobby/floor.ts";

/** A model on a node. */
export interface Standing {
  readonly modelId: Hash;
  readonly kindOfModel: "generate" | "embed";
  /** Nodes that state the same of themselves are alike. */
  readonly kind: string;
  readonly model: NodeModel;
  readonly reported: Reported;
  readonly hardwareClass: number;
  /** What reading a prompt of COMMON_PROMPT_TOKENS takes, as the node states it: every relayer is told the same. */
  readonly statedReadMs: Millis;
  readonly presences: readonly Presence[];
}

/** What engines read of prompts in one iteration where they do not say: the common default. */
const CHUNK_TOKENS: Tokens = 512;
/** Where an engine tells nothing of its memory, its slots alone bound it. */
const KV_TOKENS_UNKNOWN: Tokens = 2 ** 31;

export function standingsOf(node: FleetNode, nowMs: Millis): Standing[] {
  const state = node.validState(nowMs);
  if (!state) return [];
  return [...node.models].flatMap(([modelId, { fit, info }]) => {
    const offer = state.offerOf(modelId);
    if (!offer) return [];
    const reported = reportedBy(state);
    // What a new node is given bounds this relayer's own requests: the work of others there is no reason to give it none.
    const others = Math.max(0, reported.running - state.attested.base.inFlight);
    const slots = Math.min(offer.slots, state.attested.slots, warmSlots(node.kept) + others);
    const model = { curve: fit.curve, slots, kvTokens: kvTokensOf(state), chunkTokens: CHUNK_TOKENS };
    return [{
      modelId, kindOfModel: info.kind, kind: node.statedCurve, model, reported, hardwareClass: node.hardwareClass,
      statedReadMs: aloneMs({ ...model, curve: node.curve }, COMMON_PROMPT_TOKENS), presences: state.signed.presences ?? [],
    }];
  });
}

/** An engine that says how many tokens are free and which part is used has thereby told how many there are. */
function kvTokensOf({ attested: { kvFreeTokens, memoryBps } }: AttestedState): Tokens {
  return kvFreeTokens > 0 && memoryBps < BPS ? Math.floor((kvFreeTokens * BPS) / (BPS - memoryBps)) : KV_TOKENS_UNKNOWN;
}

function reportedBy({ attested: { slots, computeBps, queueBps, queuedTokens }, atMs }: AttestedState): Reported {
  return { atMs, running: Math.ceil((computeBps * slots) / BPS), waiting: Math.floor((queueBps * slots) / BPS), queuedTokens };
}
