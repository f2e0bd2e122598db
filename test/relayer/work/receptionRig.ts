// A reception before a fleet of made-up nodes, on a clock that the test moves: time passes only in `pass`, and every sleeper is woken in turn.
import { FleetRig, ManualClock, request } from "./fleetRig.ts";
import { Reception } from "../../../relayer/work/reception.ts";
import type { EpochSeeds } from "../../../relayer/work/fleet.ts";
import type { Wish } from "../../../relayer/work/hall.ts";
import type { Waiting } from "../../../relayer/work/place.ts";
import type { Choice, ChooseRequest } from "../../../relayer/work/routingRequest.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import type { Log, Metrics } from "../../../relayer/ports/world.ts";
import type { Millis } from "../../../protocol/units.ts";

class StepClock extends ManualClock {
  readonly #sleepers: { readonly untilMs: Millis; readonly wake: () => void }[] = [];

  override sleep = (ms: Millis = 0): Promise<void> => new Promise((wake) => this.#sleepers.push({ untilMs: this.monoMs + ms, wake }));

  /** Lets time pass in steps, and everybody do what was due in each. */
  async passBy(ms: Millis, stepMs = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.pass(stepMs);
      for (const due of this.#sleepers.filter((one) => one.untilMs <= this.monoMs)) {
        this.#sleepers.splice(this.#sleepers.indexOf(due), 1);
        due.wake();
      }
      await settled();
    }
  }
}

/** What is promised has happened: signatures too, which take a real turn of the loop. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A task that asked for a node. */
export interface Asked {
  readonly told: Waiting[];
  choice: Choice | null;
  error: TidelaneError | null;
  readonly leave: () => void;
}

export class ReceptionRig {
  readonly clock = new StepClock();
  readonly nodes: FleetRig;
  readonly reception: Reception;

  /** For seeds of one's own. */
  hasSeeds = true;

  constructor(seeds?: EpochSeeds, metrics: Metrics = noMetrics, log: Log = silentLog) {
    this.nodes = new FleetRig({ clock: this.clock, ...(seeds ? { seeds } : {}) }, this.clock);
    const dice = { bytes32: (): `0x${string}` => `0x${"80".repeat(32)}` };
    this.reception = new Reception({ clock: this.clock, dice, log, metrics, fleet: this.nodes.fleet, party: "me" });
    this.nodes.events = this.reception;
  }

  ask(wish: Partial<Wish> = {}, changes: Partial<ChooseRequest> = {}): Asked {
    const client = new AbortController();
    const asked: Asked = { told: [], choice: null, error: null, leave: () => client.abort() };
    const waits = this.reception.enter(request({ inputTokens: 20, maxOutTokens: 50, ...changes }), {
      payer: "payer", waitMsMax: 60_000, isDeferrable: false, weight: 1, untilMs: this.clock.monoMs + 3_600_000, ...wish,
    }, client.signal);
    void (async () => {
      try {
        for (;;) {
          const next = await waits.next();
          if (next.done) return (asked.choice = next.value);
          asked.told.push(next.value);
        }
      } catch (error) {
        if (!(error instanceof TidelaneError)) throw error;
        return (asked.error = error);
      }
    })();
    return asked;
  }

  /** An answer as it comes: first token, some tokens, a good receipt. */
  finish({ choice }: Asked, outTokens = 20): void {
    choice!.booking.firstToken(10);
    choice!.booking.progress(outTokens);
    choice!.booking.release("completed");
  }

  /** All nodes go on attesting while time passes. */
  async passAttesting(ms: Millis, nodeIds: readonly number[], slots = 2): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await this.clock.passBy(Math.min(1_000, ms - passed));
      for (const nodeId of nodeIds) await this.nodes.attest(nodeId, { slots });
    }
  }
}
