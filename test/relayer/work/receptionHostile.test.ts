// Whatever nodes claim and clients do, in any order: nobody who asks for a node is left without an answer, and nothing is left behind.
import { expect } from "chai";
import fc from "fast-check";
import { CURVE, offer } from "./fleetRig.ts";
import { ReceptionRig, settled, type Asked } from "./receptionRig.ts";
import type { SaturationAttestation } from "../../../protocol/generated/structs.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import type { Outcome } from "../../../relayer/work/routingRequest.ts";

const isDeep = process.env["DEEP_TESTS"] === "1";
const NODES = [1, 2, 3, 4] as const;
/** Longer than anybody may wait: deferred for ten minutes, an answer each second. */
const SETTLED_SECONDS_MAX = 700;

const anyNode = fc.constantFrom(...NODES);
const anyCurve = fc.constantFrom(CURVE, { ...CURVE, aNs: 2e8 }, { ...CURVE, bNs: 5e6 }, { aNs: 0, bNs: 0, cNs: 0, dNs: 0, ePs: 0 }, { aNs: 1e12, bNs: 1e12, cNs: 1e12, dNs: 1e12, ePs: 1e12 });
const anyBps = fc.integer({ min: 0, max: 65_535 });
const anyClaims: fc.Arbitrary<Partial<SaturationAttestation>> = fc.oneof(
  fc.constant({}),
  fc.record({
    slots: fc.constantFrom(0, 1, 2, 65_535), computeBps: anyBps, memoryBps: anyBps, queueBps: anyBps, networkBps: anyBps, queuedTokens: fc.constantFrom(0, 100, 2 ** 32 - 1),
    kvFreeTokens: fc.constantFrom(0, 1, 100_000, 2 ** 32 - 1),
  }),
  fc.constantFrom({ validUntilMs: 0 }, { observedAtMs: 0, validUntilMs: 2 ** 47 }),
);
const anyEvent = fc.oneof(
  { weight: 2, arbitrary: fc.record({ what: fc.constant("joins" as const), nodeId: anyNode, curve: anyCurve, stakedSlots: fc.integer({ min: 1, max: 8 }), claims: anyClaims }) },
  fc.record({ what: fc.constant("goes" as const), nodeId: anyNode }),
  fc.record({ what: fc.constant("attests" as const), nodeId: anyNode, claims: anyClaims }),
  { weight: 4, arbitrary: fc.record({
    what: fc.constant("asks" as const), payer: fc.constantFrom("p", "q", "r"), waitMsMax: fc.constantFrom(0, 0, 0, 1_000, 60_000, 600_000), isDeferrable: fc.boolean(), attempt: fc.constantFrom(0, 0, 0, 1),
    inputTokens: fc.constantFrom(0, 20, 900), forMs: fc.constantFrom(3_000, 3_600_000, 3_600_000),
  }) },
  fc.record({ what: fc.constant("answers" as const), which: fc.nat(), afterMs: fc.constantFrom(0, 10, 100_000) }),
  fc.record({ what: fc.constant("ends" as const), which: fc.nat(), outcome: fc.constantFrom<Outcome>("completed", "completed", "cancelled", "refused_full", "refused", "rejected", "failed", "unsent") }),
  fc.record({ what: fc.constant("leaves" as const), which: fc.nat() }),
  { weight: 3, arbitrary: fc.record({ what: fc.constant("passes" as const), ms: fc.constantFrom(50, 500, 1_000) }) },
);
type Event = typeof anyEvent extends fc.Arbitrary<infer Any> ? Any : never;

interface One {
  readonly asked: Asked;
  isOver: boolean;
}

class Hostile {
  readonly trouble: unknown[] = [];
  readonly rig = new ReceptionRig(undefined, undefined, { debug: () => {}, info: () => {}, warn: () => {}, error: (...told: unknown[]) => this.trouble.push(told) } as Log);
  readonly #up = new Set<number>();
  readonly #asked: One[] = [];

  get waiting(): number {
    return this.#asked.filter(({ asked }) => !asked.choice && !asked.error).length;
  }

  async happens(event: Event): Promise<void> {
    switch (event.what) {
      case "joins":
        if (this.#up.has(event.nodeId)) return;
        this.#up.add(event.nodeId);
        this.rig.nodes.connect(event.nodeId, event);
        return this.attests(event.nodeId, event.claims);
      case "goes":
        if (this.#up.delete(event.nodeId)) this.rig.nodes.events.disconnected(event.nodeId);
        return;
      case "attests":
        return this.attests(event.nodeId, event.claims);
      case "asks":
        return this.#asks(event);
      case "answers":
        return this.#running(event.which)?.asked.choice!.booking.firstToken(event.afterMs);
      case "ends":
        return this.#ends(this.#running(event.which), event.outcome);
      case "leaves":
        return this.#asked[event.which % Math.max(1, this.#asked.length)]?.asked.leave();
      case "passes":
        return this.rig.clock.passBy(event.ms, 250);
    }
  }

  async attests(nodeId: number, claims: Partial<SaturationAttestation> = {}): Promise<void> {
    if (this.#up.has(nodeId)) await this.rig.nodes.attest(nodeId, { slots: 2, ...claims }, [offer({ slots: claims.slots ?? 2 })]);
  }

  /** Honest nodes from here on, each answer at once. @returns seconds until nobody waits */
  async calms(): Promise<number> {
    for (const nodeId of NODES) await this.happens({ what: "joins", nodeId, curve: CURVE, stakedSlots: 8, claims: {} });
    for (let second = 0; second < SETTLED_SECONDS_MAX; second++) {
      this.#endsAll();
      for (const nodeId of NODES) await this.attests(nodeId);
      await this.rig.clock.passBy(1_000, 250);
      if (this.waiting > 0) continue;
      this.#endsAll();
      return second;
    }
    return Infinity;
  }

  #endsAll(): void {
    for (const one of this.#asked) if (one.asked.choice) this.#ends(one, "completed");
  }

  #asks({ payer, waitMsMax, isDeferrable, attempt, inputTokens, forMs }: Extract<Event, { what: "asks" }>): void {
    const asked = this.rig.ask({ payer, waitMsMax, isDeferrable, untilMs: this.rig.clock.monoMs + forMs }, { inputTokens, ...(attempt > 0 ? { attempt, cause: "no_answer" } : {}) });
    this.#asked.push({ asked, isOver: false });
  }

  #running(which: number): One | undefined {
    const running = this.#asked.filter(({ asked, isOver }) => asked.choice && !isOver);
    return running[which % Math.max(1, running.length)];
  }

  #ends(one: One | undefined, outcome: Outcome): void {
    if (!one || one.isOver) return;
    one.isOver = true;
    if (outcome === "completed") this.rig.finish(one.asked);
    else one.asked.choice!.booking.release(outcome);
  }
}

describe("the reception under hostile nodes and hasty clients", function () {
  this.timeout(isDeep ? 1_800_000 : 60_000);

  it("leaves nobody without an answer, no load behind, and no figure that is none", async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyEvent, { minLength: 40, maxLength: 160 }), async (events) => {
      const hostile = new Hostile();
      for (const event of events) {
        await hostile.happens(event);
        await settled();
        for (const { nodeId, inFlight } of hostile.rig.nodes.fleet.status().nodes) expect(inFlight, `node ${nodeId}`).to.be.within(0, 8);
      }
      expect(JSON.stringify(hostile.rig.reception.status())).not.to.include("null");
      expect(await hostile.calms()).to.be.below(SETTLED_SECONDS_MAX);
      for (const { nodeId, inFlight } of hostile.rig.nodes.fleet.status().nodes) expect(inFlight, `node ${nodeId}, in the end`).to.equal(0);
      expect(hostile.trouble).to.deep.equal([]);
    }), { endOnFailure: true, ...(isDeep ? { numRuns: 1_000 } : { numRuns: 8, seed: 16 }) });
  });
});
