// Our policy: the relayer's own guide and lobby in front, the relayer's own `decide` for the choice, fed what the relayer would know.
import { FrontDesk } from "./frontDesk.ts";
import { Floor } from "../../relayer/lobby/floor.ts";
import { modelOf } from "./view.ts";
import { COMMON_PROMPT_TOKENS, Grants } from "../../relayer/lobby/grants.ts";
import { aloneMs } from "../../relayer/lobby/prices.ts";
import { Guide } from "../../relayer/lobby/guide.ts";
import type { Errand } from "../../relayer/lobby/errand.ts";
import { LOBBY, type LobbyParameters } from "../../relayer/lobby/lobby.ts";
import { ttftTargetMs } from "../../relayer/lobby/targets.ts";
import { GATES, OPEN } from "../../relayer/routing/decide.ts";
import type { SizeMix } from "../../relayer/lobby/sizeMix.ts";
import type { Job } from "./job.ts";
import type { Snapshot } from "./node.ts";
import type { Policy, PolicyKind, World } from "./policy.ts";
import type { Presence } from "../../protocol/link.ts";

const HARDWARE_CLASSES = ["HIGH", "MID", "LOW"] as const;
const WAKE_EVERY_MS = 50;
const [FULL, UNFIT] = [GATES.indexOf("full"), GATES.indexOf("unfit")];

export interface Variant {
  /** Every client says that it will wait however long it takes. */
  readonly allWait: boolean;
  /** The length of each answer is known beforehand, as nobody knows it. */
  readonly knowsLengths: boolean;
  readonly parameters: LobbyParameters;
  /** Whether the node may have one more like this, beside what it holds: not where the slots of its lane are taken. */
  hasSlot(node: number, job: Job): boolean;
}

export const PLAIN: Variant = { allWait: false, knowsLengths: false, parameters: LOBBY, hasSlot: () => true };

const variantOf = (name: string, changes: Partial<Variant>): PolicyKind => ({ name, hasAdmission: true, make: (world) => new Tidelane(world, { ...PLAIN, ...changes }) });

export const tidelane: PolicyKind = variantOf("tidelane", {});

/** Nobody is turned away, each is told when it starts. */
export const tidelaneWaiting: PolicyKind = variantOf("tidelane_waiting", { allWait: true, parameters: { ...LOBBY, waitingMax: Infinity, waitingPerPayerMax: Infinity } });

/** The difference to this one tells what it costs not to know the lengths of answers. */
export const tidelaneClairvoyant: PolicyKind = variantOf("tidelane_clairvoyant", { knowsLengths: true });

export class Tidelane implements Policy {
  readonly #world: World;
  readonly #desk: FrontDesk;
  readonly #guide: Guide<Job>;
  readonly #grants: Grants;
  readonly #variant: Variant;
  #isWakeSet = false;

  constructor(world: World, variant: Variant) {
    const floor = new Floor<Job>();
    const profiles = [...new Set(world.profiles)];
    this.#world = world;
    this.#variant = variant;
    this.#desk = new FrontDesk(world, floor);
    this.#grants = new Grants(floor, world.party);
    this.#guide = new Guide<Job>(floor, {
      gate: (node, { key }) => (!world.fits(node, key) ? UNFIT : variant.hasSlot(node, key) ? OPEN : FULL),
      holderOf: ({ key }) => this.#desk.holderOf(key),
      choose: ({ key }, expectedOutTokens, nowMs, gate) => this.#desk.decide(key, expectedOutTokens, nowMs, gate),
      start: ({ key }, node, expectedOutTokens) => {
        this.#desk.sent(key, node, expectedOutTokens);
        world.send(key, node);
      },
      refuse: ({ key }) => world.refuse(key),
      bestTtftMs: (inputTokens) => this.#desk.bestTtftOf(inputTokens),
    }, variant.parameters, this.#grants);
    for (const [node, profile] of world.profiles.entries()) {
      this.#guide.join(modelOf(profile), profiles.indexOf(profile));
      this.#grants.stand(node, { nodeId: node, hardwareClass: HARDWARE_CLASSES.indexOf(profile.hardwareClass), readMs: aloneMs(modelOf(profile), COMMON_PROMPT_TOKENS) });
    }
  }

  /** What it has learnt of the requests it was given. */
  get mix(): SizeMix {
    return this.#guide.floor.mix;
  }

  get waiting(): number {
    return this.#guide.waiting;
  }

  /** Opens or closes a node; what runs there goes on. */
  open(node: number, isOpen: boolean): void {
    const model = modelOf(this.#world.profiles[node]!);
    this.#guide.floor.restate(node, isOpen ? model : { ...model, slots: 0 });
    this.#desk.divided();
  }

  ttftTargetMs(inputTokens: number): number {
    return ttftTargetMs(this.#desk.bestTtftOf(inputTokens));
  }

  arrived(job: Job, nowMs: number): void {
    const announced = this.#guide.arrived(this.#errandOf(job), nowMs);
    if (announced === null) return;
    job.announcedStartMs = announced.expectedStartMs;
    this.#wake(nowMs);
  }

  attested(node: number, snapshot: Snapshot, nowMs: number, presences: readonly Presence[] = []): void {
    this.#grants.told(node, presences);
    this.#guide.floor.attested(node, snapshot);
    this.#desk.attested(node, snapshot, nowMs);
  }

  firstToken(job: Job, nowMs: number): void {
    this.#desk.firstToken(job);
    this.#guide.firstToken(job, job.node, nowMs);
  }

  ended(job: Job, isDone: boolean, nowMs: number): void {
    this.#desk.ended(job);
    this.#desk.deed(job.node, isDone ? "kept" : "silent", nowMs);
    this.#guide.ended(job, isDone ? job.outputTokens : null, job.outputTokens, nowMs);
  }

  bounced(job: Job, nowMs: number): void {
    this.#elsewhere(job, nowMs);
  }

  woken(nowMs: number): void {
    this.#isWakeSet = false;
    this.#guide.passed(nowMs, ({ key }) => {
      if (this.#world.abandon(key)) this.#elsewhere(key, nowMs);
    });
    if (this.#guide.isWatching) this.#wake(nowMs);
  }

  #elsewhere(job: Job, nowMs: number): void {
    this.#desk.ended(job);
    this.#desk.deed(job.node, "silent", nowMs);
    this.#guide.elsewhere(job, job.node, nowMs);
    this.#wake(nowMs);
  }

  #errandOf(job: Job): Errand<Job> {
    return {
      key: job, payer: String(job.payer), conversation: "", arrivalMs: job.arrivalMs, inputTokens: job.inputTokens, maxOutTokens: job.maxOutTokens, ttftTargetMs: job.ttftTargetMs,
      tpotTargetMs: job.tpotTargetMs, bestTtftMs: this.#desk.bestTtftMs(job), isPatient: this.#variant.allWait,
      waitMsMax: Infinity, dueMs: null, weight: 1, ...(this.#variant.knowsLengths ? { foretoldOutTokens: job.outputTokens } : {}),
    };
  }

  #wake(nowMs: number): void {
    if (this.#isWakeSet) return;
    this.#isWakeSet = true;
    this.#world.wakeAt(nowMs + WAKE_EVERY_MS);
  }
}
