// The node link: what a node agent and a relayer process say to each other over one reversed HTTP/2 connection.
//
//   node                                                    relayer
//    │ GET /node  Upgrade: tidelane-node, node id, nonce  ──▶ │
//    │ ◀── 101, relayer id and epoch, nonce, signature,       │  the node checks the registered signer
//    │          this process, further processes              │
//    │ (roles turn: the node is now the HTTP/2 server)         │
//    │ ◀── POST /auth {}          ── key epoch, signature ──▶ │  the relayer checks the registered hot key
//    │ ◀── GET  /info             ── NodeInfo             ──▶ │
//    │ ◀── GET  /attestations     ── lines, for ever      ──▶ │
//    │ ◀── POST /attempts {...}   ── lines until the end  ──▶ │  one stream per attempt
//    │ ◀── GET  /attempts/HASH?offset=N ── lines from the Nth │  what is running or ended within a minute; 404 otherwise
//    │ ◀── POST /cancel, /acks                                │
//
// Streams of lines are newline-delimited JSON; a line is at most LINE_BYTES_MAX.
import { z } from "zod";
import { concatHex, keccak256, numberToHex, stringToHex } from "viem/utils";
import { parse, structFromJson, structToJson } from "./json.ts";
import { coveredFromJson, coveredToJson, signatureFromJson, type CoveredOrder } from "./records.ts";
import { InvalidValueError } from "./errors.ts";
import type { Domain } from "./typedData.ts";
import type { Ack, Assignment, Refusal, SaturationAttestation, TaskReceipt } from "./generated/structs.ts";
import type { Hash, Hex, Signature, TokenAmount } from "./units.ts";

export const LINK_PROTOCOL = "tidelane-node";
export const LINK_PATH = "/node";
export const LINE_BYTES_MAX = 1_048_576;
export const REQUEST_BYTES_MAX = 2_097_152;
/** A node's attestation counts for this long on the relayer's receive clock. */
export const ATTESTATION_VALID_MS = 5_000;

export const LinkHeader = {
  nodeId: "x-tidelane-node", nonce: "x-tidelane-nonce", relayerId: "x-tidelane-relayer",
  relayerEpoch: "x-tidelane-relayer-epoch", signature: "x-tidelane-signature",
  /** 32 random bytes that name the process, so that two addresses of one process are told apart from two processes. */
  process: "x-tidelane-process",
  /** URLs of further processes of the same relayer, separated by commas: a node keeps one connection to each. */
  processes: "x-tidelane-processes",
} as const;

/** A relayer names at most so many further processes to its nodes. */
export const PROCESSES_MAX = 16;

/** Both parties sign both nonces, each under its own name, so that neither's answer can be turned against the other. */
export function linkDigest(domain: Domain, party: "node" | "relayer", link: { nodeId: number; relayerId: number; nodeNonce: Hash; relayerNonce: Hash }): Hash {
  return keccak256(concatHex([
    stringToHex(`${LINK_PROTOCOL}/1 ${party}`, { size: 32 }), numberToHex(domain.chainId, { size: 32 }), domain.verifyingContract,
    numberToHex(link.nodeId, { size: 4 }), numberToHex(link.relayerId, { size: 4 }), link.nodeNonce, link.relayerNonce,
  ]));
}

/** A node's price and slots for one model; offersHash covers the list. */
export interface Offer {
  readonly modelId: Hash;
  readonly slots: number;
  readonly priceInPerMTok: TokenAmount;
  readonly priceOutPerMTok: TokenAmount;
}

/** (modelId, slots, priceIn, priceOut) words of each, in the order of the list. */
export const offersBytes = (offers: readonly Offer[]): Hex => concatHex(offers.flatMap((offer) => [
  offer.modelId, numberToHex(offer.slots, { size: 32 }), numberToHex(offer.priceInPerMTok, { size: 32 }), numberToHex(offer.priceOutPerMTok, { size: 32 }),
]));

export const offersHash = (offers: readonly Offer[]): Hash => keccak256(offersBytes(offers));

const hash = z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hash);
const count = z.number().int().min(0).max(2 ** 32 - 1);
const amount = z.string().regex(/^(0|[1-9]\d{0,28})$/).transform((value) => BigInt(value));

/** What one model on a node can do. Names of parameters are OpenAI's. */
export const modelInfoSchema = z.object({
  modelId: hash,
  /** The canonical name, `org/model@quantisation`. */
  name: z.string().min(1).max(200),
  aliases: z.array(z.string().min(1).max(200)).max(32),
  kind: z.enum(["generate", "embed"]),
  contextTokens: count.min(1),
  /** Names the tokenizer where it is known, so that counts can be checked exactly; `""` where it is not. */
  tokenizer: z.string().max(200),
  /** Request parameters beyond the common ones that this engine honours: tools, response_format, logprobs, images, ... */
  capabilities: z.array(z.string().max(64)).max(64),
  /** Numbers of an embedding; 0 for generation. */
  dimensions: count,
});
export type ModelInfo = z.infer<typeof modelInfoSchema>;

/** iteration_ns = a + b * prefill + (e * sum(chunk_end^2 - chunk_start^2)) / 1000 + c * context + d * batch. Integers. */
export const curveSchema = z.object({
  aNs: z.number().int().min(0).max(10 ** 12), bNs: z.number().int().min(0).max(10 ** 12), cNs: z.number().int().min(0).max(10 ** 12),
  dNs: z.number().int().min(0).max(10 ** 12), ePs: z.number().int().min(0).max(10 ** 12),
});
export type ServiceCurve = z.infer<typeof curveSchema>;

export const nodeInfoSchema = z.object({
  nodeId: count.min(1),
  agent: z.string().max(64),
  models: z.array(modelInfoSchema).min(1).max(64),
  /** The curve that the node states for itself, pacing included. */
  curve: curveSchema,
  /** Engine that answers: `llama.cpp (embedded)`, `openai-compatible`, `timed`, ... */
  engine: z.string().max(64),
});
export type NodeInfo = z.infer<typeof nodeInfoSchema>;

/** Who listens to requests on a node, and to how many of those that run. */
export interface Presence {
  readonly party: string;
  readonly running: number;
}

/**
 * A party to a node: a process of a relayer. The process's name is its own choice; the relayer is the one that proved its key when the
 * node dialled, so that nobody is told of under another's name.
 * @param process the 32 bytes that the process named itself by; null where it did not
 */
export const partyOf = (relayerId: number, process: Hash | null): string => (process === null ? `${relayerId}` : `${relayerId} ${process}`);

/** The relayer whose process a party is. */
export const relayerOfParty = (party: string): string => party.split(" ", 1)[0]!;

/** A node tells of at most so many. */
export const PRESENCES_MAX = 256;
const PARTY_CHARS_MAX = 80;

export interface SignedAttestation {
  readonly attestation: SaturationAttestation;
  readonly signature: Signature;
  readonly offers: readonly Offer[];
  /** Told beside it on the link, unsigned and kept nowhere: who shares the node at the moment. */
  readonly presences?: readonly Presence[];
}

const offerSchema = z.object({ modelId: hash, slots: count.max(65_535), priceInPerMTok: amount, priceOutPerMTok: amount });

export const attestationToJson = (signed: SignedAttestation): Record<string, unknown> => ({
  attestation: structToJson("SaturationAttestation", signed.attestation), signature: signed.signature,
  offers: signed.offers.map((offer) => ({ ...offer, priceInPerMTok: String(offer.priceInPerMTok), priceOutPerMTok: String(offer.priceOutPerMTok) })),
});

/** A line of GET /attestations. */
export const attestationLineToJson = (signed: SignedAttestation): Record<string, unknown> => ({ ...attestationToJson(signed), presences: signed.presences ?? [] });

/** What is told in a form that is not known here is nobody's presence: it is manners, and no reason to do without a node of another version. */
const presencesSchema = z.object({ presences: z.array(z.object({ party: z.string().min(1).max(PARTY_CHARS_MAX), running: count.max(65_535) })).max(PRESENCES_MAX).catch([]) });

/** @throws InvalidValueError */
export const attestationLineFromJson = (json: unknown): SignedAttestation => ({ ...attestationFromJson(json), presences: parse(presencesSchema, json, "attestation").presences });

/** @throws InvalidValueError; also where the offers are not those that were signed. */
export function attestationFromJson(json: unknown): SignedAttestation {
  const from = parse(z.object({ attestation: z.unknown(), signature: z.unknown(), offers: z.array(offerSchema).max(64) }), json, "attestation");
  const attestation = structFromJson("SaturationAttestation", from.attestation);
  if (attestation.offersHash !== offersHash(from.offers)) throw new InvalidValueError("attestation.offersHash", "the hash of the offers beside it");
  return { attestation, signature: signatureFromJson(from.signature, "attestation.signature"), offers: from.offers };
}

/** What the engine gets: the client's body exactly as it came, so that the node can check the commitment. */
export interface AttemptInput {
  readonly kind: "chat" | "completion" | "embeddings";
  /** inputCommit = keccak256(salt || utf8(body)). */
  readonly salt: Hash;
  /** The request's JSON text. */
  readonly body: string;
}

/** What a relayer sends to start an attempt. */
export interface AttemptRequest {
  readonly covered: CoveredOrder;
  readonly assignment: Assignment;
  readonly assignmentSignature: Signature;
  readonly input: AttemptInput;
}

export const attemptToJson = (request: AttemptRequest): Record<string, unknown> => ({
  covered: coveredToJson(request.covered),
  assignment: structToJson("Assignment", request.assignment), assignmentSignature: request.assignmentSignature, input: request.input,
});

const inputSchema = z.object({ kind: z.enum(["chat", "completion", "embeddings"]), salt: hash, body: z.string().max(REQUEST_BYTES_MAX) });

/** @throws InvalidValueError */
export function attemptFromJson(json: unknown): AttemptRequest {
  const from = parse(z.object({ covered: z.unknown(), assignment: z.unknown(), assignmentSignature: z.unknown(), input: inputSchema }), json, "attempt");
  return {
    covered: coveredFromJson(from.covered, "attempt.covered"),
    assignment: structFromJson("Assignment", from.assignment, "attempt.assignment"),
    assignmentSignature: signatureFromJson(from.assignmentSignature, "attempt.assignmentSignature"), input: from.input,
  };
}

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "cancelled" | "error";

/**
 * What a node answers, in order: one refusal, or start, then deltas or embeddings, then one end or failure.
 * The output's bytes, which outputCommit covers, are those of the deltas in order: UTF-8 of `text`, then of `extra`;
 * for embeddings the float32 values, little-endian, in order.
 */
export type AttemptEvent =
  | { readonly type: "refusal"; readonly refusal: Refusal; readonly signature: Signature }
  /** The receipt claims no more input than this; less where the engine counts at the end only. */
  | { readonly type: "start"; readonly inputTokens: number }
  /** `tokens`: how many output tokens this delta adds. `extra`: JSON text of further members of OpenAI's delta or choice. */
  | { readonly type: "delta"; readonly text: string; readonly tokens: number; readonly extra?: string }
  /** `vector`: base64 of float32 values, little-endian. */
  | { readonly type: "embedding"; readonly index: number; readonly vector: string }
  | { readonly type: "end"; readonly finishReason: FinishReason; readonly receipt: TaskReceipt; readonly signature: Signature }
  /** The attempt ended without a receipt: nothing is owed. */
  | { readonly type: "failed"; readonly code: string; readonly message: string };

const finishReasons = ["stop", "length", "tool_calls", "content_filter", "cancelled", "error"] as const;
const eventSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("refusal"), refusal: z.unknown(), signature: z.unknown() }),
  z.object({ type: z.literal("start"), inputTokens: count }),
  z.object({ type: z.literal("delta"), text: z.string(), tokens: count, extra: z.string().optional() }),
  z.object({ type: z.literal("embedding"), index: count, vector: z.string().max(LINE_BYTES_MAX) }),
  z.object({ type: z.literal("end"), finishReason: z.enum(finishReasons), receipt: z.unknown(), signature: z.unknown() }),
  z.object({ type: z.literal("failed"), code: z.string().max(64), message: z.string().max(2_000) }),
]);

export function eventToJson(event: AttemptEvent): Record<string, unknown> {
  if (event.type === "refusal") return { ...event, refusal: structToJson("Refusal", event.refusal) };
  if (event.type === "end") return { ...event, receipt: structToJson("TaskReceipt", event.receipt) };
  return { ...event };
}

/** @throws InvalidValueError */
export function eventFromJson(json: unknown): AttemptEvent {
  const from = parse(eventSchema, json, "event");
  if (from.type === "refusal") return { type: "refusal", refusal: structFromJson("Refusal", from.refusal), signature: signatureFromJson(from.signature, "event.signature") };
  if (from.type === "end") {
    return { type: "end", finishReason: from.finishReason, receipt: structFromJson("TaskReceipt", from.receipt), signature: signatureFromJson(from.signature, "event.signature") };
  }
  if (from.type === "delta") return from.extra === undefined ? { type: "delta", text: from.text, tokens: from.tokens } : { type: "delta", text: from.text, tokens: from.tokens, extra: from.extra };
  return from;
}

export interface SignedAck {
  readonly ack: Ack;
  readonly signature: Signature;
}

export const acksToJson = (acks: readonly SignedAck[]): Record<string, unknown> =>
  ({ acks: acks.map((signed) => ({ ack: structToJson("Ack", signed.ack), signature: signed.signature })) });

/** @throws InvalidValueError */
export function acksFromJson(json: unknown): SignedAck[] {
  const from = parse(z.object({ acks: z.array(z.object({ ack: z.unknown(), signature: z.unknown() })).max(1_000) }), json, "acks");
  return from.acks.map((signed, i) => ({ ack: structFromJson("Ack", signed.ack, `acks[${i}].ack`), signature: signatureFromJson(signed.signature, `acks[${i}].signature`) }));
}

export const cancelSchema = z.object({ assignmentHash: hash, reason: z.enum(["client", "relayer", "deadline"]) });
export type Cancel = z.infer<typeof cancelSchema>;

export const authAnswerSchema = z.object({ keyEpoch: count, signature: z.string().regex(/^0x[0-9a-f]{130}$/).transform((value) => value as Hex) });
