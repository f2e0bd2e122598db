// Publishes the node table: a new picture when the last one is a second old or the fleet has changed, chained to the one before.
import { NodeTable, type LoadEvent, type Shard, type TableEntry } from "../routing/table.ts";
import { PARAMETERS, TABLE_EVERY_MS } from "../routing/parameters.ts";
import { ZERO_HASH, type Hash, type Millis } from "../../protocol/units.ts";
import type { AttestedState } from "./attestedState.ts";
import type { FleetNode } from "./fleetNode.ts";
import type { Clock, Crypto } from "../ports/world.ts";

/** A table with the live states it was made of. */
export interface Picture {
  readonly table: NodeTable;
  readonly madeAtMs: Millis;
  readonly stateOf: ReadonlyMap<number, AttestedState>;
}

export interface TablesOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly processId: Hash;
  readonly onTable: (root: Hash, text: string) => void;
}

export class Tables {
  readonly #options: TablesOptions;
  #picture: Picture | null = null;
  #isOutdated = true;
  #events: LoadEvent[] = [];
  #sequence = 0;

  constructor(options: TablesOptions) {
    this.#options = options;
  }

  /** Numbers a dispatch, a first token or a release: one count for all, so that their order can be told later. */
  next(): number {
    return ++this.#sequence;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Writes down an event of a booking; the next table tells it. */
  tell(kind: LoadEvent["kind"], booking: number): void {
    this.#events.push({ sequence: this.next(), kind, booking });
  }

  /** The fleet has changed so that waiting for the next second would keep a node out. */
  outdate(): void {
    this.#isOutdated = true;
  }

  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  get root(): Hash | null {
    return this.#picture?.table.root ?? null;
  }

  /** Publishes what has ended since the last table, where something has: the newest table then tells all up to now. @returns its root */
  tellRest(nodes: Iterable<FleetNode>): Hash | null {
    if (this.#events.length > 0) this.#publish(nodes, this.#options.clock.monotonicMs());
    return this.root;
  }

  /** The picture to decide by now. */
  current(nodes: Iterable<FleetNode>): Picture {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#picture && !this.#isOutdated && nowMs - this.#picture.madeAtMs < TABLE_EVERY_MS) return this.#picture;
    return this.#publish(nodes, nowMs);
  }

  #publish(nodes: Iterable<FleetNode>, nowMs: Millis): Picture {
    const { clock, crypto, processId, onTable } = this.#options;
    const stateOf = new Map<number, AttestedState>();
    const entries: TableEntry[] = [];
    for (const node of nodes) {
      const state = node.validState(nowMs);
      if (!state || state.attested.slots === 0) continue;
      stateOf.set(node.nodeId, state);
      for (const modelId of node.models.keys()) {
        const row = node.rowFor(modelId, state, nowMs, crypto);
        if (row) entries.push({ modelId, row, own: node.own });
      }
    }
    const head = {
      processId, sequence: this.#sequence, previous: this.#picture?.table.root ?? ZERO_HASH, publishedAtMs: clock.nowMs(), events: this.#events,
    };
    const table = new NodeTable(head, entries, PARAMETERS, crypto.keccak256);
    this.#picture = { table, madeAtMs: nowMs, stateOf };
    this.#events = [];
    this.#isOutdated = false;
    onTable(table.root, table.text);
    return this.#picture;
  }
}

export const shardOf = (picture: Picture, modelId: Hash): Shard | undefined => picture.table.shards.get(modelId);
