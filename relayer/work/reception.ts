// The reception: where tasks ask for a node. Whoever cannot start at once waits in its model's hall, or is told at once why not.
//
//   enter ─▶ nobody could ever take it ─▶ refused            links ── attested, disconnected ──▶ fleet, halls
//        └─▶ hall: guide and lobby ─▶ a node ─▶ started
//               └─▶ too long, overloaded, closing, deadline, no node for a while ─▶ refused, never in silence
import { Hall, type Guest, type Wish } from "./hall.ts";
import { Place, type Waiting } from "./place.ts";
import { cannotWait, deadlineWhileWaiting, goneWhileWaiting, overloaded, shuttingDown, unavailableError } from "./taskErrors.ts";
import { BOOKING_SLACK_MS, LOBBY, type LobbyParameters, type Refusal } from "../lobby/lobby.ts";
import { LANES, type LaneLoad } from "../lobby/lanes.ts";
import { LaneWatch, laneOfKind, type LanesStatus } from "./laneWatch.ts";
import type { GivenElsewhere } from "../lobby/others.ts";
import type { OverloadStep } from "../lobby/overload.ts";
import type { TallyEntry } from "../lobby/tally.ts";
import type { Fleet } from "./fleet.ts";
import type { LearntNode } from "./learnt.ts";
import type { Choice, ChooseRequest } from "./routingRequest.ts";
import type { Standing } from "./standing.ts";
import type { SignedAttestation } from "../../protocol/link.ts";
import type { ChainNode } from "../ports/chain.ts";
import type { ConnectedNode, NodeLinkEvents } from "../ports/nodes.ts";
import type { Clock, Dice, Log, Metrics } from "../ports/world.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

export interface ReceptionOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly fleet: Fleet;
  /** The name by which nodes tell of this process's requests; by default it takes all that it sees to be its own. */
  readonly party?: string;
  /** By default LOBBY, with starts counted over a longer time, for a small fleet starts seldom, and prices found seldom and in a hurry. */
  readonly parameters?: LobbyParameters;
}

/** Plain JSON values for the status page. */
export interface LobbyStatus {
  readonly waiting: number;
  readonly deferred: number;
  /** Of what is asked for, in percent. */
  readonly refusedPercent: number;
  /** How long one who comes now would wait, at the worst model. */
  readonly expectedWaitMs: Millis;
  readonly overload: OverloadStep;
  readonly lanes: LanesStatus;
}

const LIVE: LobbyParameters = Object.freeze({ ...LOBBY, rateMs: 8_000, priceClassesMax: 12, repriceEveryMs: 30_000 });
const TICK_MS: Millis = 50;
const ANNOUNCE_EVERY_MS: Millis = 1_000;
/** Very long lines are told less often: so many waiting take another second. */
const ANNOUNCED_PER_SECOND = 5_000;
/** A model whose nodes have all gone for so long, or a booking so long overdue that nobody can take, is not waited for. */
const HOPELESS_MS: Millis = 10_000;
const HALLS_MAX = 10_000;

export class Reception implements NodeLinkEvents {
  readonly #options: ReceptionOptions;
  readonly #halls = new Map<Hash, Hall>();
  /** What each connected node says of its models. */
  readonly #standings = new Map<number, readonly Standing[]>();
  readonly #lanes: LaneWatch;
  #recalled: ReadonlyMap<number, LearntNode> = new Map();
  #isTicking = false;
  #isClosed = false;
  #overload: OverloadStep = "calm";
  #announceAtMs: Millis = 0;
  #hopelessAtMs: Millis = 0;
  #measureAtMs: Millis = 0;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#lanes = new LaneWatch(options.clock.monotonicMs());
  }

  // ---------------------------------------------------------------- tasks

  /** @returns announcements while it waits, then a booked node. @throws TidelaneError where there will be none */
  async *enter(request: ChooseRequest, wish: Wish, client: AbortSignal): AsyncGenerator<Waiting, Choice> {
    this.#requireOpen(request, wish);
    await this.#options.fleet.ready(request.modelId);
    const guest: Guest = { request, wish, arrivedMs: this.#options.clock.monotonicMs(), promised: null, isTold: false, place: new Place(() => this.#halls.get(request.modelId)?.leave(guest)) };
    const hall = this.#halls.get(request.modelId);
    this.#lanes.arrived(laneOfKind(request.kind), request.inputTokens, request.maxOutTokens);
    hall?.enter(guest);
    if (!guest.place.hasNode) this.#requirePossible(guest, hall);
    this.#watch();
    return yield* guest.place.wait(client, goneWhileWaiting);
  }

  /** Waiting helps only where nothing but load stands in the way; why not is looked for where the way was not free at once. */
  #requirePossible(guest: Guest, hall: Hall | undefined): void {
    const found = this.#options.fleet.whyNot(guest.request);
    if (hall && found.reason === "saturated") return;
    hall?.leave(guest);
    this.#options.metrics.count("unavailable_total", { reason: found.reason });
    throw unavailableError(found);
  }

  /** Nothing new is let in, and whoever waits is told to come again. */
  close(): void {
    this.#isClosed = true;
    for (const hall of this.#halls.values()) for (const guest of [...hall.guests()]) this.#turnAway(hall, guest, shuttingDown());
  }

  /** The relayer's own overload decides who may still come in. */
  overload(step: OverloadStep): void {
    this.#overload = step;
    this.#measure();
  }

  /** Whether connections and buffers are to be spared. */
  get isLean(): boolean {
    return this.#overload !== "calm";
  }

  /** Whether what payers are given here, or elsewhere, is anybody's business now. */
  get isSharing(): boolean {
    return [...this.#halls.values()].some((hall) => hall.tally.hasNews || hall.waiting + hall.deferred > 0);
  }

  /** What payers were given lately, model by model; where that is nothing, no entries. @param telling number of the telling */
  tell(telling: number): ReadonlyMap<Hash, readonly TallyEntry[]> {
    return new Map([...this.#halls].map(([modelId, { tally }]) => [modelId, tally.tell(telling)] as const).filter(([, entries]) => entries.length > 0));
  }

  /** What the relayer's other processes gave payers. */
  givenElsewhere(given: readonly GivenElsewhere[]): void {
    for (const one of given) this.#halls.get(one.modelId)?.givenElsewhere(one.payer, one);
  }

  /** How long bookings are overdue at the model where they are least: what is late at one alone is its nodes' trouble, not this process's. */
  get overdueMs(): Millis {
    const present = [...this.#halls.values()].filter((hall) => hall.slots > 0);
    return present.length === 0 ? 0 : Math.min(...present.map((hall) => hall.overdueMs()));
  }

  status(): LobbyStatus {
    const halls = [...this.#halls.values()];
    const worst = halls.reduce((most, hall) => Math.max(most, hall.waiting > 0 ? hall.expectedWaitMs() : 0), 0);
    return {
      waiting: halls.reduce((sum, hall) => sum + hall.waiting, 0), deferred: halls.reduce((sum, hall) => sum + hall.deferred, 0),
      refusedPercent: Math.round(100 * halls.reduce((most, hall) => Math.max(most, hall.refusedPart), 0)), expectedWaitMs: Math.round(worst), overload: this.#overload,
      lanes: this.#lanes.status(this.#standings, this.#byLane((hall) => hall.running), this.#byLane((hall) => hall.waiting)),
    };
  }

  #requireOpen({ attempt }: ChooseRequest, { isDeferrable }: Wish): void {
    if (this.#isClosed) throw shuttingDown();
    // What was begun is carried through.
    if (attempt > 0) return;
    if (this.#overload === "closed" || (this.#overload === "no_flex" && isDeferrable)) throw overloaded(isDeferrable, this.#jittered(5_000));
  }

  // ---------------------------------------------------------------- nodes

  connected(node: ConnectedNode, chain: ChainNode): void {
    this.#options.fleet.connected(node, chain);
    for (const hall of this.#halls.values()) hall.returned(node.nodeId);
    this.#stand(node.nodeId);
  }

  attested(nodeId: number, signed: SignedAttestation, receivedAtMs: Millis): void {
    this.#options.fleet.attested(nodeId, signed, receivedAtMs);
    this.#stand(nodeId);
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#measureAtMs) return;
    this.#measureAtMs = nowMs + ANNOUNCE_EVERY_MS;
    this.#measure();
  }

  disconnected(nodeId: number): void {
    this.#options.fleet.disconnected(nodeId);
    this.#stand(nodeId);
  }

  /** Takes what an earlier process learnt of nodes, before any of them is there. */
  recall(nodes: readonly LearntNode[]): void {
    this.#options.fleet.recall(nodes);
    this.#recalled = new Map(nodes.map((node) => [node.nodeId, node]));
  }

  /** What was learnt of nodes that did anything since the process began. */
  learnt(): readonly LearntNode[] {
    return this.#options.fleet.learnt().map((node) => {
      const models = Object.entries(node.models).map(([modelId, { fit }]) => [modelId, { fit, hall: this.#halls.get(modelId as Hash)?.learntOf(node.nodeId) ?? null }]);
      return { ...node, models: Object.fromEntries(models) as LearntNode["models"] };
    });
  }

  /** Tells each hall what the node is there. */
  #stand(nodeId: number): void {
    const standings = this.#options.fleet.standingsOf(nodeId);
    for (const { modelId } of this.#standings.get(nodeId) ?? []) if (!standings.some((one) => one.modelId === modelId)) this.#halls.get(modelId)?.attested(nodeId, null);
    if (standings.length > 0) this.#standings.set(nodeId, standings);
    else this.#standings.delete(nodeId);
    for (const standing of standings) this.#openHall(standing)?.attested(nodeId, this.#lanes.reserved(nodeId, standing, standings));
    this.#lanes.observe(this.#standings, this.#byLane((hall) => hall.waiting), this.#options.clock.monotonicMs());
  }

  #byLane(count: (hall: Hall) => number): LaneLoad {
    const sums = { decode: 0, prep: 0 };
    for (const hall of this.#halls.values()) sums[hall.lane] += count(hall);
    return sums;
  }

  #openHall({ modelId, kindOfModel }: Standing): Hall | null {
    const known = this.#halls.get(modelId);
    if (known || this.#halls.size >= HALLS_MAX) return known ?? null;
    const { clock, fleet, party = null, parameters = LIVE } = this.#options;
    const hall = new Hall({
      clock, fleet, modelId, lane: laneOfKind(kindOfModel), parameters, party, recalled: (nodeId) => this.#recalled.get(nodeId)?.models[modelId]?.hall ?? null,
      onRefused: (guest, reason, retryAfterMs, expectedWaitMs) => this.#refused(guest, reason, retryAfterMs, expectedWaitMs),
      onStarted: (guest, waitedMs) => this.#started(guest, waitedMs),
    });
    this.#halls.set(modelId, hall);
    return hall;
  }

  /** A promise is kept where it starts within two seconds of what it was told. */
  #started({ promised, arrivedMs }: Guest, waitedMs: Millis): void {
    const { metrics } = this.#options;
    metrics.observe("lobby_wait_ms", waitedMs);
    if (promised) metrics.count("lobby_promises_total", { kept: arrivedMs + waitedMs <= promised.expectedStartMs + BOOKING_SLACK_MS ? "yes" : "late" });
  }

  #refused({ place, wish }: Guest, reason: Refusal, retryAfterMs: Millis, expectedWaitMs: Millis): void {
    this.#options.metrics.count("lobby_refused_total", { reason });
    place.refuse(cannotWait(reason, this.#jittered(retryAfterMs), expectedWaitMs, wish.waitMsMax));
  }

  /** Up to half as long again: those who are refused together must not come back together. */
  #jittered(ms: Millis): Millis {
    return Math.ceil(ms * (1 + Number.parseInt(this.#options.dice.bytes32().slice(2, 10), 16) / 2 ** 33));
  }

  // ---------------------------------------------------------------- time

  #watch(): void {
    if (!this.#isTicking) void this.#tick();
  }

  async #tick(): Promise<void> {
    this.#isTicking = true;
    const { clock, log } = this.#options;
    while ([...this.#halls.values()].some((hall) => hall.isWatched)) {
      await clock.sleep(TICK_MS);
      try {
        this.#round(clock.monotonicMs());
      } catch (error) {
        // One round lost is fifty milliseconds more for those who wait; a process lost is all of them.
        log.error({ error: String(error) }, "a round of the lobby failed; the next one goes on");
      }
    }
    this.#isTicking = false;
    this.#measure();
  }

  #round(nowMs: Millis): void {
    for (const hall of this.#halls.values()) {
      if (!hall.isWatched) continue;
      hall.passed();
      hall.welcome();
    }
    this.#endWaits(nowMs);
    if (nowMs >= this.#announceAtMs) this.#announce(nowMs);
  }

  #announce(nowMs: Millis): void {
    let waiting = 0;
    // A node that says nothing any more is gone, though nobody tells of it.
    for (const nodeId of [...this.#standings.keys()]) this.#stand(nodeId);
    for (const hall of this.#halls.values()) {
      waiting += hall.waiting + hall.deferred;
      hall.announce();
    }
    this.#announceAtMs = nowMs + ANNOUNCE_EVERY_MS * (1 + Math.floor(waiting / ANNOUNCED_PER_SECOND));
    this.#measure();
  }

  /** Who can no longer be served is told so: its order ends, or nobody is there for it any more. */
  #endWaits(nowMs: Millis): void {
    const isHopelessDue = nowMs >= this.#hopelessAtMs;
    if (isHopelessDue) this.#hopelessAtMs = nowMs + ANNOUNCE_EVERY_MS;
    for (const hall of this.#halls.values()) {
      for (const guest of [...hall.guests()]) {
        if (nowMs >= guest.wish.untilMs) this.#turnAway(hall, guest, deadlineWhileWaiting());
        else if (hall.isTriedTooLong(guest, HOPELESS_MS)) this.#refuseRetry(hall, guest);
        else if (isHopelessDue && hall.isHopeless(guest, HOPELESS_MS)) {
          const found = this.#options.fleet.whyNot(guest.request);
          if (found.reason !== "saturated" || hall.slots === 0) this.#turnAway(hall, guest, unavailableError(found));
        }
      }
    }
  }

  #refuseRetry(hall: Hall, guest: Guest): void {
    hall.leave(guest);
    this.#refused(guest, "too_late", HOPELESS_MS, hall.expectedWaitMs());
  }

  #turnAway(hall: Hall, guest: Guest, error: Error): void {
    hall.leave(guest);
    guest.place.refuse(error);
  }

  #measure(): void {
    const { metrics } = this.#options;
    const { waiting, deferred, refusedPercent, expectedWaitMs, lanes } = this.status();
    for (const lane of LANES) {
      for (const [name, value] of Object.entries(lanes[lane])) metrics.gauge(`lane_${snake(name)}`, value, { lane });
    }
    metrics.gauge("lane_switches", lanes.switches);
    metrics.gauge("lobby_parties", Math.max(1, ...[...this.#halls.values()].map((hall) => hall.parties)));
    for (const [name, value] of Object.entries({ lobby_waiting: waiting, lobby_deferred: deferred, lobby_refused_percent: refusedPercent, lobby_expected_wait_ms: expectedWaitMs })) metrics.gauge(name, value);
  }
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
