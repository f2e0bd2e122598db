// What the tide multiplies prices by: the board's multiplier of every model that was asked for, read again each second.
//
// The contract decides; this only remembers. While no RPC answers, the last reading stands: a node reads for itself, and takes
// what differs by one epoch's step.
import { TIDE_ONE, type TideMultiplier } from "../../protocol/tide.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { TideReader } from "../ports/readers.ts";
import type { Clock, Log, Metrics } from "../ports/world.ts";

export interface TideOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly relayerId: number;
  readonly reader: TideReader;
}

const ROUND_MS: Millis = 1_000;
/** As the pools that the board takes for an epoch: a greater fleet is read in turns. */
const READINGS_PER_ROUND = 64;
/** Models beyond these are not known to the tide: they cost what their nodes ask. */
const MODELS_MAX = 10_000;

export class Tide {
  readonly #world: TideOptions;
  /** The one read longest ago first. */
  readonly #known = new Map<Hash, TideMultiplier>();
  readonly #first = new Map<Hash, Promise<void>>();
  #isSilent = false;

  constructor(world: TideOptions) {
    this.#world = world;
  }

  multiplierOf(modelId: Hash): TideMultiplier {
    return this.#known.get(modelId) ?? TIDE_ONE;
  }

  /** Resolves at once for a model that was asked for before. */
  ready(modelId: Hash): Promise<void> {
    if (this.#known.has(modelId)) return Promise.resolve();
    const reading = this.#first.get(modelId) ?? this.#read(modelId).finally(() => this.#first.delete(modelId));
    this.#first.set(modelId, reading);
    return reading;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.round();
      await this.#world.clock.sleep(ROUND_MS, signal);
    }
  }

  /** Reads those again that were read longest ago. */
  async round(): Promise<void> {
    await Promise.all([...this.#known.keys()].slice(0, READINGS_PER_ROUND).map((modelId) => this.#read(modelId)));
  }

  async #read(modelId: Hash): Promise<void> {
    const { reader, relayerId, log, metrics } = this.#world;
    const before = this.#known.get(modelId);
    if (before === undefined && this.#known.size >= MODELS_MAX) return;
    try {
      const multiplier = await reader.tideMultiplier(relayerId, modelId);
      this.#known.delete(modelId);
      this.#known.set(modelId, multiplier);
      if (multiplier !== before) metrics.gauge("tide_multiplier", multiplier, { model: modelId });
      this.#isSilent = false;
    } catch (error) {
      metrics.count("tide_readings_failed_total");
      // A model read for the first time is known from now on, and asked for in every round.
      if (before === undefined) this.#known.set(modelId, TIDE_ONE);
      if (!this.#isSilent) log.warn({ code: error instanceof TidelaneError ? error.code : "unknown", error: String(error) }, "the tide cannot be read; prices stay as they are");
      this.#isSilent = true;
    }
  }
}
