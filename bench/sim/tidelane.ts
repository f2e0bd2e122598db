// Our policy: the relayer's own lobby in front, the relayer's own `decide` for the choice, fed what the relayer would know.
import { FrontDesk } from "./frontDesk.ts";
import { floorOf, modelOf } from "./view.ts";
import { shadowPrices, wasteOf, type Kind, type Prices } from "../../relayer/lobby/prices.ts";
import { Lobby, LOBBY, type LobbyParameters, type LobbyRequest } from "../../relayer/lobby/lobby.ts";
import { fullTpotMs, hasMemory } from "../../relayer/lobby/predict.ts";
import { Breaker } from "../../relayer/lobby/pace.ts";
import { GATES } from "../../relayer/routing/decide.ts";
import type { Waiting } from "../../relayer/lobby/fairQueue.ts";
import type { Floor } from "../../relayer/lobby/floor.ts";
import type { Job } from "./job.ts";
import type { Snapshot } from "./node.ts";
import type { Policy, PolicyKind, World } from "./policy.ts";

/** Predictions are off by some parts in a hundred: this much of a target is not planned with. */
const TTFT_PART = 0.95;
const TPOT_PART = 0.98;
/** While nobody is turned away, first tokens are to come in the least of these parts of their target that any node can keep. */
const EBB_TTFT_PARTS = [0.2, 0.35, 0.5] as const;
/** Prompts wait in the lobby, where they can still go anywhere: a node gets the next one when it has about so much left to read. */
const AHEAD_MS = 150;
/**
 * At the ebb a strong node may have more, for a long prompt behind others there is read sooner than alone on a weak one: so much up to
 * this part of what the fleet can carry, then less and less.
 */
const [EBB_AHEAD_MS, EBB_LOAD, FLOOD_LOAD] = [600, 0.75, 0.88] as const;
/** The rate of arrivals is averaged over about this time. */
const RATE_MS = 10_000;
const EXPIRE_EVERY_MS = 50;
const REPRICE_EVERY_MS = 10_000;
/** A first token so long overdue, and so many times its predicted time, is given up. */
const [SILENCE_MS, SILENCE_TIMES] = [1_000, 2] as const;
const [OPEN, FULL, UNFIT] = [GATES.indexOf("open"), GATES.indexOf("full"), GATES.indexOf("unfit")];

export const tidelane: PolicyKind = { name: "tidelane", hasAdmission: true, make: (world) => new Tidelane(world, false, LOBBY) };

/** The same when every client says that it will wait however long it takes: nobody is turned away, each is told when it starts. */
export const tidelaneWaiting: PolicyKind = {
  name: "tidelane_waiting", hasAdmission: true, make: (world) => new Tidelane(world, true, { ...LOBBY, waitingMax: Infinity, waitingPerPayerMax: Infinity }),
};

interface Request extends LobbyRequest {
  readonly job: Job;
  /** How well it suits each kind of node. */
  readonly fits: readonly number[];
}

class Tidelane implements Policy {
  readonly #world: World;
  readonly #floor: Floor<number>;
  readonly #desk: FrontDesk;
  readonly #lobby: Lobby<Request>;
  readonly #allWait: boolean;
  readonly #breakers: readonly Breaker[];
  /** Sent, and no token yet. */
  readonly #silent = new Set<Job>();
  readonly #requests = new Map<number, Request>();
  /** Those that would be too late one day. */
  readonly #hurried = new Map<number, Waiting<Request>>();
  readonly #kinds: readonly Kind[];
  readonly #kindOf: readonly number[];
  #roomy: number[] = [];
  #prices: Prices | null = null;
  #repriceAtMs = 5_000;
  /** Arrivals per millisecond, as of the last one. */
  #perMs = 0;
  #perMsAtMs = 0;
  #isWakeSet = false;

  constructor(world: World, allWait: boolean, parameters: LobbyParameters) {
    this.#world = world;
    this.#allWait = allWait;
    this.#lobby = new Lobby(parameters);
    this.#floor = floorOf(world);
    this.#desk = new FrontDesk(world, this.#floor);
    this.#breakers = world.profiles.map(() => new Breaker());
    const profiles = [...new Set(world.profiles)];
    this.#kindOf = world.profiles.map((profile) => profiles.indexOf(profile));
    this.#kinds = profiles.map((profile, kind) => ({ model: modelOf(profile), count: this.#kindOf.filter((one) => one === kind).length }));
  }

  arrived(job: Job, nowMs: number): void {
    this.#floor.mix.arrived(job.inputTokens);
    this.#countArrival(nowMs);
    this.#reprice(nowMs);
    const expectedOutTokens = Math.round(Math.min(job.maxOutTokens, this.#floor.mix.expectedOutTokens(job.inputTokens)));
    const request: Request = {
      job, payer: String(job.payer), inputTokens: job.inputTokens, expectedOutTokens, latestStartMs: this.#latestStartMs(job),
      fits: wasteOf(this.#prices, this.#kinds, job.inputTokens, expectedOutTokens, job.ttftTargetMs),
    };
    const verdict = this.#lobby.offer(request, nowMs);
    if (!verdict.admitted) return this.#world.refuse(job);
    job.announcedStartMs = verdict.expectedStartMs;
    if (request.latestStartMs !== Infinity) this.#hurried.set(job.id, verdict.entry);
    this.#pump(nowMs);
    this.#wake(nowMs);
  }

  attested(node: number, snapshot: Snapshot, nowMs: number): void {
    this.#floor.attested(node, snapshot);
    this.#desk.attested(node, snapshot, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#floor.firstToken(job.id, nowMs);
    this.#desk.firstToken(job);
    this.#silent.delete(job);
    this.#breakers[job.node]!.answered();
    this.#pump(nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#floor.ended(job.id, isDone ? job.outputTokens : null, nowMs);
    this.#desk.ended(job);
    this.#desk.deed(job.node, isDone ? "kept" : "silent", nowMs);
    this.#silent.delete(job);
    this.#lobby.finished(this.#requests.get(job.id)!, job.outputTokens);
    this.#requests.delete(job.id);
    this.#pump(nowMs);
  }

  bounced(job: Job, nowMs: number): void {
    this.#elsewhere(job, nowMs);
  }

  woken(nowMs: number): void {
    this.#isWakeSet = false;
    this.#expire(nowMs);
    this.#watch(nowMs);
    this.#pump(nowMs);
    if (this.#hurried.size + this.#silent.size > 0) this.#wake(nowMs);
  }

  #pump(nowMs: number): void {
    if (this.#lobby.waiting === 0) return;
    this.#findRoom(nowMs);
    if (this.#roomy.length > 0) this.#lobby.pump(nowMs, (request) => this.#fitOf(request, nowMs), (request) => this.#start(request, nowMs));
  }

  #reprice(nowMs: number): void {
    if (nowMs < this.#repriceAtMs) return;
    this.#repriceAtMs = nowMs + REPRICE_EVERY_MS;
    this.#prices = shadowPrices(this.#kinds, this.#floor.mix.classes(), 100, (input) => this.#targetMs(input));
  }

  #targetMs(inputTokens: number): number {
    return Math.max(2_000, 3 * this.#desk.bestTtftOf(inputTokens));
  }

  /** The few nodes that could take anything at all; the rest need not be asked. */
  #findRoom(nowMs: number): void {
    this.#roomy = [];
    const aheadMs = this.#aheadMsMax(nowMs);
    for (const [node, model] of this.#floor.models.entries()) {
      const inFlight = this.#floor.inFlight[node]!;
      if (this.#floor.runningOn(node) < model.slots && this.#breakers[node]!.isOpenTo(nowMs, inFlight) && this.#floor.aheadMs(node, nowMs) <= aheadMs) this.#roomy.push(node);
    }
  }

  #aheadMsMax(nowMs: number): number {
    if (this.#lobby.refusedPart > 0 || this.#prices === null) return AHEAD_MS;
    const perSecond = 1_000 * this.#perMs * Math.exp(-(nowMs - this.#perMsAtMs) / RATE_MS);
    const flood = Math.min(1, Math.max(0, (perSecond / this.#prices.carriedPerSecond - EBB_LOAD) / (FLOOD_LOAD - EBB_LOAD)));
    return EBB_AHEAD_MS + flood * (AHEAD_MS - EBB_AHEAD_MS);
  }

  #countArrival(nowMs: number): void {
    this.#perMs = this.#perMs * Math.exp(-(nowMs - this.#perMsAtMs) / RATE_MS) + 1 / RATE_MS;
    this.#perMsAtMs = nowMs;
  }

  #fitOf(request: Request, nowMs: number): number {
    let least = Infinity;
    for (const node of this.#roomy) {
      const fit = request.fits[this.#kindOf[node]!]!;
      if (fit < least && this.#gate(request, node, nowMs) === OPEN) least = fit;
    }
    return least;
  }

  #start(request: Request, nowMs: number): boolean {
    const { job } = request;
    const node = this.#choose(request, nowMs);
    if (node < 0) return false;
    this.#hurried.delete(job.id);
    this.#requests.set(job.id, request);
    this.#floor.sent(job.id, node, job.inputTokens, this.#desk.cachedTokensOn(node, job), nowMs);
    this.#desk.sent(job, node, request.expectedOutTokens);
    this.#silent.add(job);
    this.#world.send(job, node);
    this.#findRoom(nowMs);
    return true;
  }

  #choose(request: Request, nowMs: number): number {
    const { job, expectedOutTokens } = request;
    const open = (ttftPart: number) => (row: number): number => (this.#roomy.includes(row) ? this.#gate(request, row, nowMs, ttftPart) : FULL);
    for (const part of this.#lobby.refusedPart === 0 ? EBB_TTFT_PARTS : []) {
      const node = this.#desk.decide(job, expectedOutTokens, nowMs, open(part));
      if (node >= 0) return node;
    }
    return this.#desk.decide(job, expectedOutTokens, nowMs, open(TTFT_PART));
  }

  /** A node is open to a request whose targets it is predicted to meet, and that of those it already has. */
  #gate({ job, latestStartMs }: Request, node: number, nowMs: number, ttftPart = TTFT_PART): number {
    if (!this.#world.fits(node, job)) return UNFIT;
    const model = this.#floor.models[node]!;
    if (this.#floor.runningOn(node) >= model.slots ) return FULL;
    const load = this.#floor.loadOf(node, job.inputTokens);
    if (!hasMemory(model, load, this.#floor.mix) || this.#floor.pace(node, nowMs) * fullTpotMs(model, load) > TPOT_PART * job.tpotTargetMs) return FULL;
    const ttftMs = this.#floor.ttftMs(node, job.inputTokens, this.#desk.cachedTokensOn(node, job), nowMs);
    const waitedMs = latestStartMs === Infinity ? 0 : nowMs - job.arrivalMs;
    return waitedMs + ttftMs > ttftPart * job.ttftTargetMs ? FULL : OPEN;
  }

  /** The time after which even an idle node would be too late. */
  #latestStartMs(job: Job): number {
    return this.#allWait ? Infinity : job.arrivalMs + TTFT_PART * job.ttftTargetMs - this.#desk.bestTtftMs(job);
  }

  /** A first token that is long overdue will not come: the request goes elsewhere, and the node is asked less. */
  #watch(nowMs: number): void {
    for (const job of this.#silent) {
      const predictedMs = this.#floor.predictedMs(job.id);
      if (nowMs < predictedMs + SILENCE_MS + SILENCE_TIMES * (predictedMs - job.sentMs) || !this.#world.abandon(job)) continue;
      this.#elsewhere(job, nowMs);
    }
  }

  #elsewhere(job: Job, nowMs: number): void {
    this.#breakers[job.node]!.silent(nowMs);
    this.#floor.ended(job.id, null, nowMs);
    this.#desk.ended(job);
    this.#desk.deed(job.node, "silent", nowMs);
    this.#silent.delete(job);
    const request = this.#requests.get(job.id)!;
    this.#requests.delete(job.id);
    // It was let in once and is not turned away now, however late it becomes.
    this.#lobby.again({ ...request, latestStartMs: Infinity }, nowMs);
    this.#wake(nowMs);
  }

  #expire(nowMs: number): void {
    for (const [id, entry] of this.#hurried) {
      if (entry.item.latestStartMs >= nowMs) continue;
      this.#lobby.expire(entry);
      this.#hurried.delete(id);
      this.#world.refuse(entry.item.job);
    }
  }

  #wake(nowMs: number): void {
    if (this.#isWakeSet) return;
    this.#isWakeSet = true;
    this.#world.wakeAt(nowMs + EXPIRE_EVERY_MS);
  }
}
