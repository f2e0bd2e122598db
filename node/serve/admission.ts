// What is checked before a node works: that the registered relayer asks, that the order fits the offer, that a payer's
// signature and lock cover the share. Each check that fails is a refusal with its reason; nothing here costs an engine's time.
import { capabilitiesNeeded } from "../../protocol/capabilities.ts";
import { checkAssignment, checkCover } from "../../protocol/records.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { isSignedBy } from "../../protocol/signing.ts";
import { saltedCommit } from "../../protocol/ids.ts";
import { feeWithinDown, pricedDown } from "../../protocol/fees.ts";
import { pricesAtTide, TIER_BPS, tideStep } from "../../protocol/tide.ts";
import { Mode, RefusalReason, Role, type RefusalReasonValue, type TierValue } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { TOKENS_PER_PRICE, type Hash, type Hex, type Seconds, type Tokens } from "../../protocol/units.ts";
import type { AttemptRequest } from "../../protocol/link.ts";
import type { ChainKey, ChainSession, Clock, RelayerPeer } from "../ports.ts";
import type { ChainView } from "./chainView.ts";
import type { Exposure } from "./exposure.ts";
import type { ServedModel } from "./models.ts";

/** The node does not take this assignment; the signed refusal carries the reason. */
export class RefusedError extends TidelaneError {
  readonly reason: RefusalReasonValue;
  constructor(reason: RefusalReasonValue, message: string) {
    super(message, { code: "refused", details: { reason } });
    this.reason = reason;
  }
}

export interface Admitted {
  readonly model: ServedModel;
  readonly body: Readonly<Record<string, unknown>>;
  readonly maxOutTokens: Tokens;
  /** Gives the reserved share back; idempotent. */
  readonly release: () => void;
}

export interface AdmissionWorld {
  readonly nodeId: number;
  readonly keyEpoch: number;
  readonly domain: Domain;
  readonly windowSeconds: Seconds;
  readonly models: readonly ServedModel[];
  readonly chain: ChainView;
  readonly exposure: Exposure;
  /** Whether this node attested that lately, to that relayer. */
  readonly hasAttested: (relayerId: number, attestationHash: Hash) => boolean;
  readonly clock: Clock;
}

/** Clocks of relayer and node may differ by this much. */
const SKEW_SECONDS: Seconds = 30;
const DEPTH_MAX = 64;
const { ASSIGNMENT, INPUT, MODEL, UNPAID } = RefusalReason;

/** @throws RefusedError; other errors (chain unreachable) mean that nothing could be said. */
export async function admit(world: AdmissionWorld, peer: RelayerPeer, request: AttemptRequest): Promise<Admitted> {
  const nowSeconds = Math.floor(world.clock.nowMs() / 1_000);
  checkAddressed(world, peer, request, nowSeconds);
  const model = modelOf(world, request);
  const body = bodyOf(request, model);
  await checkPrices(world, request, model);
  const key = await world.chain.relayerKey(request.assignment.relayerId, request.assignment.relayerEpoch);
  await checkRelayer(world, request, key);
  await checkPayer(world, request, nowSeconds);
  const session = await world.chain.session(request.covered.order.sessionId);
  const release = reserve(world, request, session);
  return { model, body, maxOutTokens: outTokensPaid(request), release };
}

function checkAddressed(world: AdmissionWorld, peer: RelayerPeer, { assignment }: AttemptRequest, nowSeconds: Seconds): void {
  if (assignment.nodeId !== world.nodeId || assignment.keyEpoch !== world.keyEpoch) throw new RefusedError(ASSIGNMENT, "the assignment is for another node or key epoch");
  if (assignment.relayerId !== peer.relayerId) throw new RefusedError(ASSIGNMENT, "the assignment is another relayer's than the connection's");
  if (assignment.issuedAt > nowSeconds + SKEW_SECONDS) throw new RefusedError(ASSIGNMENT, `issued ${assignment.issuedAt - nowSeconds} s in the future`);
  if (assignment.deadline < nowSeconds) throw new RefusedError(ASSIGNMENT, `expired ${nowSeconds - assignment.deadline} s ago`);
  if (assignment.deadline > assignment.issuedAt + world.windowSeconds) throw new RefusedError(ASSIGNMENT, "the deadline is more than W after the issue");
  // The attestation is this node's word about its load, and an assignment may quote no other.
  if (!world.hasAttested(peer.relayerId, assignment.attestationHash)) throw new RefusedError(ASSIGNMENT, "the assignment names no attestation that this node signed for the relayer of late");
}

function modelOf(world: AdmissionWorld, { covered, input, assignment }: AttemptRequest): ServedModel {
  const model = world.models.find((one) => one.info.modelId === covered.order.modelId && one.engine.load().up);
  if (!model) throw new RefusedError(MODEL, "the order's model is not served here");
  const embeds = input.kind === "embeddings";
  if (embeds !== (model.info.kind === "embed")) throw new RefusedError(MODEL, `the model does not serve ${input.kind}`);
  if (assignment.role !== (embeds ? Role.EMBED : Role.GENERATE)) throw new RefusedError(ASSIGNMENT, "the role does not fit the kind of input");
  return model;
}

function bodyOf({ input, assignment }: AttemptRequest, model: ServedModel): Record<string, unknown> {
  const bytes: Hex = `0x${Buffer.from(input.body, "utf8").toString("hex")}`;
  if (saltedCommit(input.salt, bytes) !== assignment.inputCommit) throw new RefusedError(ASSIGNMENT, "the input is not what the assignment commits to");
  const body = objectOf(input.body);
  const lacking = capabilitiesNeeded(body).filter((name) => !model.info.capabilities.includes(name));
  if (lacking.length > 0) throw new RefusedError(INPUT, `not supported by this model: ${lacking.slice(0, 8).join(", ")}`);
  return body;
}

/**
 * Base prices, at the tide that the chain shows and the order's tier. The relayer may have read the board just before or after
 * an epoch was committed there, so one step less is taken too. A hedge or a later attempt may carry no input price: of a
 * subtask's attempts only one does.
 */
async function checkPrices(world: AdmissionWorld, { assignment, covered }: AttemptRequest, model: ServedModel): Promise<void> {
  const multiplier = tideStep(await world.chain.tideMultiplier(assignment.relayerId, model.info.modelId), 0);
  const tier = covered.order.tier as TierValue;
  if (!Object.hasOwn(TIER_BPS, tier)) throw new RefusedError(UNPAID, `tier ${tier} is none`);
  const least = pricesAtTide(model, multiplier, tier);
  const inputFree = assignment.attempt > 0 && assignment.priceInPerMTok === 0n;
  if (!inputFree && assignment.priceInPerMTok < least.priceInPerMTok) throw new RefusedError(UNPAID, "the input price is below this node's at the tide and tier of the order");
  if (assignment.priceOutPerMTok < least.priceOutPerMTok) throw new RefusedError(UNPAID, "the output price is below this node's at the tide and tier of the order");
}

async function checkRelayer(world: AdmissionWorld, request: AttemptRequest, key: ChainKey | null): Promise<void> {
  const { assignment } = request;
  if (!key || !isInEpoch(key, assignment.issuedAt, world.windowSeconds)) throw new RefusedError(ASSIGNMENT, "the relayer has no such key epoch at that time");
  if (!await isSignedBy(key.key, world.domain, "Assignment", assignment, request.assignmentSignature)) throw new RefusedError(ASSIGNMENT, "not signed by the registered relayer");
}

/** A signature counts in its epoch if opened - W <= issued < closed + W. */
export const isInEpoch = (key: ChainKey, issuedAt: Seconds, windowSeconds: Seconds): boolean =>
  key.openedAt - windowSeconds <= issuedAt && (key.closedAt === 0 || issuedAt < key.closedAt + windowSeconds);

async function checkPayer(world: AdmissionWorld, { covered, assignment }: AttemptRequest, nowSeconds: Seconds): Promise<void> {
  const [found] = [...checkCover(covered), ...checkAssignment(covered, assignment)];
  if (found) throw new RefusedError(UNPAID, found);
  const { authorization, order, voucher, voucherSignature } = covered;
  // A request is valid from its block on, whose time may be ahead of this clock.
  const isEarly = authorization.mode !== Mode.REQUEST && nowSeconds < authorization.validAfter;
  if (isEarly || nowSeconds >= authorization.validUntil) throw new RefusedError(UNPAID, "the authorization is not valid now");
  if (order.deadline < nowSeconds) throw new RefusedError(UNPAID, "the order has expired");
  if (voucher && !await isSignedBy(authorization.sessionKey, world.domain, "Voucher", voucher, voucherSignature)) throw new RefusedError(UNPAID, "the voucher is not signed by the session key");
}

function reserve(world: AdmissionWorld, { covered, assignment }: AttemptRequest, session: ChainSession | null): () => void {
  if (!session) throw new RefusedError(UNPAID, "the session is not open on chain");
  if (session.closing) throw new RefusedError(UNPAID, "the session is closing");
  // A request's relayer, where it names one, is checked against the authorization that its id is the hash of.
  const isOther = session.mode !== Mode.REQUEST && session.relayerId !== assignment.relayerId;
  if (session.mode !== covered.authorization.mode || isOther) throw new RefusedError(UNPAID, "the session on chain is another one");
  const reserved = world.exposure.reserve(covered.order.sessionId, session, covered.voucher?.cumulativeCap ?? null, assignment.shareCap);
  if (typeof reserved === "string") throw new RefusedError(UNPAID, reserved);
  return reserved;
}

/**
 * Input that costs more than the whole share would be read for nothing, in part.
 * @param inputTokens as the engine counts them, or its low estimate. @throws RefusedError
 */
export function checkPaysInput({ assignment }: AttemptRequest, inputTokens: Tokens): void {
  const paid = feeWithinDown(assignment.shareCap, assignment.feeBps);
  const costs = pricedDown(inputTokens, 0, assignment);
  if (costs > paid) throw new RefusedError(UNPAID, `the input of ${inputTokens} tokens costs ${costs}; the share pays ${paid}`);
}

/** Output beyond what the share pays would be worked for nothing. */
function outTokensPaid({ covered, assignment, input }: AttemptRequest): Tokens {
  if (input.kind === "embeddings") return 0;
  const { priceOutPerMTok, shareCap, feeBps } = assignment;
  if (priceOutPerMTok === 0n) return covered.order.maxOutTokens;
  const paid = (feeWithinDown(shareCap, feeBps) * BigInt(TOKENS_PER_PRICE)) / priceOutPerMTok + 1n;
  return paid < BigInt(covered.order.maxOutTokens) ? Number(paid) : covered.order.maxOutTokens;
}

function objectOf(text: string): Record<string, unknown> {
  if (depthOf(text) > DEPTH_MAX) throw new RefusedError(INPUT, `nested deeper than ${DEPTH_MAX}`);
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch {
    // Said below, without the text.
  }
  throw new RefusedError(INPUT, "the body is no JSON object");
}

/** Brackets open at once, strings skipped; a loop, because what recurses can be made to overflow. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString && char === "\\") i++;
    else if (char === "\"") inString = !inString;
    else if (inString) continue;
    else if (char === "[" || char === "{") most = Math.max(most, ++depth);
    else if (char === "]" || char === "}") depth--;
  }
  return most;
}

export const assignmentHashOf = (request: AttemptRequest): Hash => hashStruct("Assignment", request.assignment);
