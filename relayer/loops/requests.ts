// Answers contracts' requests: finds them in the gateway's events, has them worked on, delivers the signed answers.
//
//   seen ─▶ running ─▶ answered ─▶ committed (open requests) ─▶ delivered ─▶ forgotten, REORG_BLOCKS later
//            ▲  │ failed: tried again, with further attempt numbers
//            └──┘
//
// What the chain says counts in every round, and blocks are read again until they are old: a request that a reorganisation
// took back is dropped, one that it brought back is seen again, a delivery that it undid is sent again. What must outlive a
// restart is the block to read on from and, for each request at hand, the salt of its commit and the next attempt's number;
// the answer itself is in the journal, its text among the records.
import { encodeFunctionData } from "viem/utils";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { Status } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { commitmentOf, promptOfHex } from "../../protocol/requests.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import type { AttemptRecord } from "../../protocol/records.ts";
import type { Address, Hash, Hex, Millis, Seconds } from "../../protocol/units.ts";
import { promptByUri } from "../work/contractPrompt.ts";
import { contractTaskOf, type ContractTry } from "../work/contractTask.ts";
import type { FleetModel } from "../work/fleet.ts";
import type { Clock, Dice, Identity, Log, Metrics } from "../ports/world.ts";
import type { Chain } from "../ports/chain.ts";
import type { GatewayReader, PromptSource, RequestState, SeenRequest } from "../ports/readers.ts";
import type { EndedAttempt, Journal, RecordStore } from "../ports/journal.ts";
import { atLeastZero, blockRanges, REORG_BLOCKS } from "./blocks.ts";
import { runRounds } from "./rounds.ts";

export interface RequestsOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly identity: Identity;
  readonly journal: Pick<Journal, "task" | "getFact" | "setFact" | "finishTask">;
  readonly records: Pick<RecordStore, "get">;
  readonly chain: Pick<Chain, "head" | "submit">;
  readonly reader: GatewayReader;
  readonly gateway: Address;
  readonly models: () => readonly FleetModel[];
  readonly prompts: PromptSource;
  /** Has one try made; resolves when the answer is journaled. @throws TidelaneError why there is none yet */
  readonly answer: (one: ContractTry) => Promise<void>;
  /** Only the process that sends the relayer's transactions serves requests. */
  readonly isLeading: () => boolean;
  /** Where this relayer's records can be fetched, for answers over 4 KB; null where nobody can. */
  readonly recordsUrl: string | null;
}

const ROUND_MS: Millis = 1_000;
const FACT = "contract_requests";
/** How far back a relayer looks that never looked before. */
const FIRST_LOOK_BLOCKS = 1_000n;
const HELD_MAX = 256;
const RUNNING_MAX = 8;
/** Prompts among those: whoever wrote a URI decides how long it takes, and a slow name holds one of the process's few threads. */
const FETCHING_MAX = 2;
const TRIES_MAX = 8;
const ATTEMPTS_PER_TRY = 3;
const FETCHES_MAX = 5;
/** Numbers of attempts by a process that does not know how many an earlier one made. */
const RECOVERY_ATTEMPT = 128;
const RETRY_MS: Millis = 3_000;
/** Nothing is wrong with the request, and no node was asked: it waits for the ebb, up to its deadline. */
const AT_THE_DOOR: readonly string[] = ["overloaded", "saturated", "no_node", "no_seed", "shutting_down"];
const DELIVERIES_MAX = 10;
/** Work that could not be delivered in time is not begun. */
const MARGIN_SECONDS: Seconds = 10;
const OUTPUT_BYTES_MAX = 4_096;
/** The chain says "not yet": the next round tries again, and nothing is wrong. */
const NOT_YET = /^(CommitTooFresh|ExclusiveToOther)\(/;

type Phase = "waiting" | "running" | "answered" | "given_up";

interface Held {
  readonly seen: SeenRequest;
  readonly taskId: Hash;
  readonly earlier: EndedAttempt[];
  readonly stop: AbortController;
  phase: Phase;
  /** Null until it is fetched, or where it is no text. */
  prompt: string | null;
  fetches: number;
  /** No node serves its model, as far as was looked. */
  isUnserved: boolean;
  salt: Hash | null;
  nextAttempt: number;
  tries: number;
  deliveries: number;
  retryAtMs: Millis;
  /** The block in which it was first seen to have ended. */
  endedIn: bigint | null;
}

interface Kept {
  readonly block: string;
  readonly held: Readonly<Record<Hash, { readonly salt: Hash | null; readonly nextAttempt: number }>>;
}

export class Requests {
  readonly #world: RequestsOptions;
  readonly #held = new Map<Hash, Held>();
  readonly #running = new Set<Promise<void>>();
  #kept: Kept | null = null;
  #keptText = "";
  #nextBlock: bigint | null = null;

  constructor(world: RequestsOptions) {
    this.#world = world;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Runs until aborted, then until what runs has ended, which closed links see to; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    await runRounds(this.#world, { metric: "request_rounds_failed_total", failure: "contracts' requests are looked at again in the next round", pauseMs: ROUND_MS }, signal, () => this.round());
    // Not cancelled: half an answer would end the task, an open one is taken up again after the restart.
    await Promise.all(this.#running);
  }

  /** Reads on, and moves every request that is at hand by one step. */
  async round(): Promise<void> {
    const { chain, clock, isLeading, metrics } = this.#world;
    if (!isLeading()) return;
    const head = await chain.head();
    await this.#readOn(head.number);
    const nowSeconds = Math.max(head.timestampSeconds, Math.floor(clock.nowMs() / 1_000));
    for (const held of [...this.#held.values()]) await this.#step(held, head.number, nowSeconds);
    await this.#keep(head.number);
    metrics.gauge("contract_requests_held", this.#held.size);
  }

  /** @param head blocks up to this one; the last ones again, because they may have changed. */
  async #readOn(head: bigint): Promise<void> {
    const { reader, identity, log } = this.#world;
    this.#kept ??= await this.#load();
    this.#nextBlock ??= this.#kept ? BigInt(this.#kept.block) : atLeastZero(head - FIRST_LOOK_BLOCKS);
    for (const { from, to } of blockRanges(this.#nextBlock, head)) {
      for (const seen of await reader.requests(identity.relayerId, from, to)) {
        if (this.#held.has(seen.requestId)) continue;
        if (this.#held.size >= HELD_MAX && !this.#forgetOneInVain(head)) {
          log.warn({ requestId: seen.requestId }, "too many contracts' requests at once: this one waits");
          this.#nextBlock = seen.blockNumber;
          return;
        }
        this.#held.set(seen.requestId, await this.#heldOf(seen));
      }
    }
    this.#nextBlock = head + 1n;
  }

  /** Anyone may ask for what nobody serves, a month long and for its gas alone: that must not keep others out. @returns whether one is gone */
  #forgetOneInVain(head: bigint): boolean {
    const found = [...this.#held.values()].find(({ phase, isUnserved, seen }) => (phase === "given_up" || isUnserved) && head >= seen.blockNumber + REORG_BLOCKS);
    return found !== undefined && this.#held.delete(found.seen.requestId);
  }

  async #heldOf(seen: SeenRequest): Promise<Held> {
    const { journal, gateway } = this.#world;
    const { taskId } = contractTaskOf(seen, gateway);
    const known = await journal.task(taskId);
    const kept = this.#kept?.held[seen.requestId];
    // Whoever opened it may have used any number up to the recovery's first.
    const nextAttempt = kept?.nextAttempt ?? (known ? RECOVERY_ATTEMPT : 0);
    return {
      seen, taskId, earlier: [], stop: new AbortController(), phase: known?.state === "finished" ? "answered" : "waiting", salt: kept?.salt ?? null,
      prompt: seen.uri === "" ? promptOfHex(seen.prompt) : null, fetches: 0, isUnserved: false,
      nextAttempt: known && nextAttempt < RECOVERY_ATTEMPT ? RECOVERY_ATTEMPT : nextAttempt, tries: 0, deliveries: 0, retryAtMs: 0, endedIn: null,
    };
  }

  async #step(held: Held, head: bigint, nowSeconds: Seconds): Promise<void> {
    const { reader, clock } = this.#world;
    const { requestId, request } = held.seen;
    const state = await reader.state(requestId);
    if (state !== "pending") return this.#forgetOnce(held, state, head);
    held.endedIn = null;
    if (nowSeconds > request.deadline) {
      await this.#giveUp(held, "deadline");
      // Anyone may refund it; nothing is left to do here.
      if (nowSeconds > request.deadline + Number(REORG_BLOCKS)) this.#held.delete(requestId);
      return;
    }
    if (held.phase === "answered") return await this.#deliver(held);
    const isDue = held.phase === "waiting" && clock.monotonicMs() >= held.retryAtMs && nowSeconds + MARGIN_SECONDS <= request.deadline;
    if (isDue && this.#running.size < RUNNING_MAX) await this.#begin(held);
  }

  /** Ended, or never made as far as this chain goes: kept until no reorganisation is likely to bring it back. */
  #forgetOnce(held: Held, state: RequestState, head: bigint): void {
    // An RPC that lags knows nothing yet of what another one told: only an end stops the work.
    if (state !== "none") held.stop.abort();
    held.endedIn ??= head;
    if (head >= held.endedIn + REORG_BLOCKS) this.#held.delete(held.seen.requestId);
  }

  async #begin(held: Held): Promise<void> {
    const { log, metrics } = this.#world;
    const { seen, prompt } = held;
    if (prompt === null && seen.uri === "") return await this.#giveUp(held, "prompt_not_text");
    const model = this.#world.models().find((one) => one.modelId === seen.request.modelId && one.kind === "generate" && one.nodes > 0);
    held.isUnserved = model === undefined;
    // A node that serves it may still come.
    if (!model) return void (held.retryAtMs = this.#world.clock.monotonicMs() + RETRY_MS);
    if (prompt === null) return [...this.#held.values()].filter(isFetching).length < FETCHING_MAX ? this.#fetch(held) : undefined;
    if (held.tries >= TRIES_MAX) return await this.#giveUp(held, "tries");
    const [firstAttempt, attempted] = [held.nextAttempt, held.earlier.length];
    held.nextAttempt += ATTEMPTS_PER_TRY;
    held.tries += 1;
    held.phase = "running";
    // A number that may be used must never be used again, whatever happens next.
    await this.#keep(null);
    log.info({ requestId: seen.requestId, taskId: held.taskId, tries: held.tries }, "a contract's request is worked on");
    this.#inBackground(this.#world.answer({ seen, prompt, model, firstAttempt, earlier: held.earlier, signal: held.stop.signal }).then(() => {
      held.phase = "answered";
      metrics.count("contract_requests_total", { state: "answered" });
    }, (error: unknown) => {
      held.phase = "waiting";
      held.retryAtMs = this.#world.clock.monotonicMs() + RETRY_MS * held.tries;
      // Every signed assignment leaves its attempt behind: without one, the numbers were used by nobody.
      const isTurnedAway = error instanceof TidelaneError && AT_THE_DOOR.includes(error.code) && held.earlier.length === attempted;
      if (isTurnedAway) [held.tries, held.nextAttempt] = [held.tries - 1, firstAttempt];
      log.warn({ requestId: seen.requestId, code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "a contract's request was not answered yet");
    }));
  }

  /** Once for all tries. Where it is not to be had the request is left to others, or to its refund. */
  #fetch(held: Held): void {
    const { log, clock, prompts } = this.#world;
    const { requestId } = held.seen;
    held.phase = "running";
    this.#inBackground(promptByUri(held.seen, prompts).then((prompt) => {
      [held.prompt, held.phase] = [prompt, "waiting"];
    }, async (error: unknown) => {
      held.phase = "waiting";
      held.fetches += 1;
      held.retryAtMs = clock.monotonicMs() + RETRY_MS * held.fetches;
      log.warn({ requestId, code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "a contract's prompt was not fetched");
      const isFinal = !(error instanceof TidelaneError) || !error.retryable || held.fetches >= FETCHES_MAX;
      if (isFinal) await this.#giveUp(held, error instanceof TidelaneError ? error.code : "prompt_unavailable");
    }));
  }

  #inBackground(work: Promise<void>): void {
    const running = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #deliver(held: Held): Promise<void> {
    const { metrics, log } = this.#world;
    const { requestId, request } = held.seen;
    const record = await this.#recordOf(held);
    if (!record) return await this.#giveUp(held, "no_whole_answer");
    try {
      if (request.relayerId === 0 && !await this.#isCommitted(held, record)) return;
      const { transaction, gasUsed } = await this.#fulfil(held, record);
      metrics.count("contract_requests_total", { state: "fulfilled" });
      log.info({ requestId, transaction, gasUsed }, "a contract's request is fulfilled");
    } catch (error) {
      if (!(error instanceof TidelaneError) || error.code !== "call_reverted") throw error;
      if (NOT_YET.test(String(error.details.reason))) return;
      held.deliveries += 1;
      log.warn({ requestId, error: error.message, deliveries: held.deliveries }, "the gateway refused an answer");
      if (held.deliveries >= DELIVERIES_MAX) await this.#giveUp(held, "refused_by_the_gateway");
    }
  }

  /** The finished attempt's record. Half an answer is none here: a contract cannot look at it and ask again. */
  async #recordOf({ taskId }: Held): Promise<AttemptRecord | null> {
    const task = await this.#world.journal.task(taskId);
    const record = task?.attempts.find((attempt) => attempt.signed)?.signed?.record ?? null;
    return record?.receipt.body.status === Status.COMPLETE ? record : null;
  }

  /** @returns true where the commit stands and was made in an earlier round. */
  async #isCommitted(held: Held, { receipt, assignment }: AttemptRecord): Promise<boolean> {
    const { reader, identity, dice, gateway, chain, log } = this.#world;
    const { requestId } = held.seen;
    if (await reader.commit(requestId, identity.relayerId)) return true;
    if (held.salt === null) {
      held.salt = dice.bytes32();
      // Without its salt a commit could never be opened, and its penalty would be lost.
      await this.#keep(null);
    }
    const commitment = commitmentOf(hashStruct("TaskReceipt", receipt), assignment.relayerId, held.salt);
    await chain.submit({ to: gateway, data: encodeFunctionData({ abi: InferenceGatewayAbi, functionName: "commit", args: [requestId, identity.relayerId, commitment] }) });
    log.info({ requestId }, "committed to an open request");
    return false;
  }

  async #fulfil(held: Held, record: AttemptRecord): Promise<{ transaction: Hash; gasUsed: string }> {
    const { chain, gateway, records, recordsUrl } = this.#world;
    const { receipt: { body, ...rest } } = record;
    const { outputCommit } = body;
    const output = await records.get(outputCommit);
    const isShort = output !== null && output.length <= OUTPUT_BYTES_MAX;
    if (!isShort && recordsUrl === null) throw new TidelaneError("The answer is too long for the chain, and this relayer has no place for it.", { code: "call_reverted", details: { reason: "no place for a long answer" } });
    const { hash, gasUsed } = await chain.submit({
      to: gateway,
      data: encodeFunctionData({
        abi: InferenceGatewayAbi, functionName: "fulfil",
        args: [{
          request: held.seen.request, assignment: record.assignment, assignmentSignature: record.assignmentSignature, receipt: { ...body, ...rest },
          receiptSignature: record.receiptSignature, output: isShort ? hexOf(output) : "0x", uri: isShort ? "" : `${recordsUrl}/${outputCommit}`,
          salt: held.salt ?? `0x${"00".repeat(32)}`,
        }],
      }),
    });
    return { transaction: hash, gasUsed: String(gasUsed) };
  }

  /** The requester's money comes back by a refund after the deadline; what was tried goes into the record. */
  async #giveUp(held: Held, reason: string): Promise<void> {
    if (held.phase === "given_up") return;
    const wasAnswered = held.phase === "answered";
    held.phase = "given_up";
    held.stop.abort();
    this.#world.metrics.count("contract_requests_total", { state: "given_up" });
    this.#world.log.warn({ requestId: held.seen.requestId, reason }, "a contract's request is given up");
    if (!wasAnswered && held.tries > 0) await this.#world.journal.finishTask(held.taskId, "failed", held.earlier);
  }

  async #load(): Promise<Kept | null> {
    this.#keptText = await this.#world.journal.getFact(FACT) ?? "";
    return this.#keptText === "" ? null : JSON.parse(this.#keptText) as Kept;
  }

  /** @param head null to write down the requests at hand without moving on. */
  async #keep(head: bigint | null): Promise<void> {
    const atHand = [...this.#held.values()].filter((held) => held.phase !== "given_up");
    const oldest = atHand.reduce((least, { seen }) => (seen.blockNumber < least ? seen.blockNumber : least), head ?? this.#nextBlock ?? 0n);
    const kept: Kept = {
      block: String(oldest), held: Object.fromEntries(atHand.map(({ seen, salt, nextAttempt }) => [seen.requestId, { salt, nextAttempt }])),
    };
    // The block alone moves with the chain; it is written once in a while, for re-reading some is cheap.
    const text = JSON.stringify(kept);
    const isWorth = head === null || JSON.stringify(kept.held) !== JSON.stringify(this.#kept?.held ?? {}) || oldest - BigInt(this.#kept?.block ?? 0) >= REORG_BLOCKS;
    if (!isWorth || text === this.#keptText) return;
    await this.#world.journal.setFact(FACT, text);
    [this.#kept, this.#keptText] = [kept, text];
  }
}

const isFetching = ({ phase, prompt }: Held): boolean => phase === "running" && prompt === null;
const hexOf = (bytes: Uint8Array): Hex => `0x${Buffer.from(bytes).toString("hex")}`;
