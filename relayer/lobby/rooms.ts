// Rooms: the few nodes that could take anything at all now, kind by kind; the rest need not be asked.
//
// Nodes of a kind are much alike, so most questions have one answer for all of them.
import { AHEAD_MS, type Market } from "./market.ts";
import { workMs } from "./readClock.ts";
import { GATES, OPEN } from "../routing/decide.ts";
import type { Breaker } from "./pace.ts";
import type { Floor } from "./floor.ts";
import type { Grants } from "./grants.ts";
import type { NodeModel } from "./predict.ts";
import type { Millis, Tokens } from "../../protocol/units.ts";

/** Of a larger fleet so many nodes are looked over in turn for who may be next; the choice itself draws from all. */
const LOOKED_OVER_MAX = 1_024;
const [FULL, BUSY, BROKEN] = [GATES.indexOf("full"), GATES.indexOf("busy"), GATES.indexOf("broken")];

/** Nodes of one kind that have room. */
export class Room {
  readonly kind: number;
  readonly nodes: number[] = [];
  /** Of what makes up a reading time, the least of all nodes. */
  readonly #quickest = { bNs: Infinity, ePs: Infinity };

  constructor(kind: number) {
    this.kind = kind;
  }

  add(node: number, { curve }: NodeModel): void {
    this.nodes.push(node);
    this.#quickest.bNs = Math.min(this.#quickest.bNs, curve.bNs);
    this.#quickest.ePs = Math.min(this.#quickest.ePs, curve.ePs);
  }

  /** No first token comes sooner from one that holds nothing of the prompt. */
  leastTtftMs(inputTokens: Tokens): Millis {
    return workMs(this.#quickest, inputTokens, inputTokens ** 2);
  }

  /** What a request wastes here, of its waste on each kind; of a kind that came later it is not known yet. */
  wasteOf({ fits }: { readonly fits: readonly number[] }): number {
    return fits[this.kind] ?? 1;
  }
}

export class Rooms {
  readonly #floor: Floor<unknown>;
  readonly #market: Market;
  readonly #breakers: readonly Breaker[];
  readonly #grants: Grants | null;
  #found: readonly Room[] = [];
  /** The same for those who may go anywhere; null where it was not looked for since. */
  #foundToFree: readonly Room[] | null = null;
  #lookFrom = 0;

  /** @param breakers of the nodes on the floor @param grants null where nobody else sends to them */
  constructor(floor: Floor<unknown>, market: Market, breakers: readonly Breaker[], grants: Grants | null) {
    this.#floor = floor;
    this.#market = market;
    this.#breakers = breakers;
    this.#grants = grants;
  }

  /** Looks anew. */
  find(nowMs: Millis, isTurningAway: boolean): void {
    this.#found = this.#look(nowMs, isTurningAway, false);
    this.#foundToFree = null;
    this.#lookFrom = (this.#lookFrom + LOOKED_OVER_MAX) % Math.max(LOOKED_OVER_MAX, this.#floor.models.length);
  }

  /** As found last. @param isFree for one that may go to any node, granted or not */
  for(isFree: boolean, nowMs: Millis): readonly Room[] {
    return isFree ? (this.#foundToFree ??= this.#look(nowMs, true, true)) : this.#found;
  }

  /** Whether a node could take anything, as a number of GATES. */
  gate(node: number, nowMs: Millis, isTurningAway: boolean, isFree: boolean): number {
    return this.#gate(node, nowMs, this.#aheadMsMax(nowMs, isTurningAway || isFree), isFree);
  }

  #look(nowMs: Millis, isTurningAway: boolean, isFree: boolean): readonly Room[] {
    const { models } = this.#floor;
    const aheadMs = this.#aheadMsMax(nowMs, isTurningAway);
    const rooms: Room[] = [];
    for (let i = 0; i < Math.min(models.length, LOOKED_OVER_MAX); i++) {
      const node = (this.#lookFrom + i) % models.length;
      if (this.#gate(node, nowMs, aheadMs, isFree) !== OPEN) continue;
      const kind = this.#market.kindOf(node);
      (rooms[kind] ??= new Room(kind)).add(node, models[node]!);
    }
    return rooms.filter(Boolean);
  }

  #aheadMsMax(nowMs: Millis, isTurningAway: boolean): Millis {
    return isTurningAway ? AHEAD_MS : this.#market.aheadMs(nowMs);
  }

  #gate(node: number, nowMs: Millis, aheadMs: Millis, isFree: boolean): number {
    const floor = this.#floor;
    if (floor.runningOn(node) >= floor.models[node]!.slots) return FULL;
    if (!this.#breakers[node]!.isOpenTo(nowMs, floor.inFlight[node]!)) return BROKEN;
    // Where others send too, what they have there now is not known: the own part of the node's time is what can be kept to.
    const isRoomy = !isFree && this.#grants?.isDivided(nowMs) ? this.#grants.aheadMs(node, nowMs) <= AHEAD_MS : floor.passingMs(node, nowMs) <= aheadMs;
    return isRoomy ? OPEN : BUSY;
  }
}
