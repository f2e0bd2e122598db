import { expect } from "chai";
import fc from "fast-check";
import { Tally } from "../../client/tally.ts";
import type { Hash } from "../../protocol/units.ts";

const task = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const order = (n: number, maxFee: bigint) => ({ taskId: task(n), maxFee, deadline: 0 });

type Step = { readonly order: bigint } | { readonly end: number; readonly share: number };
const steps = fc.array(fc.oneof(
  fc.record({ order: fc.bigInt(0n, 400n) }), fc.record({ end: fc.nat(40), share: fc.integer({ min: 0, max: 100 }) }),
), { maxLength: 80 });

describe("a payer's tally", () => {
  it("never signs a cap beyond what was charged and may still be charged, nor beyond the session", () => {
    fc.assert(fc.property(steps, fc.bigInt(0n, 2_000n), (history: readonly Step[], limit) => {
      const tally = new Tally(limit);
      const inFlight = new Map<number, bigint>();
      let charged = 0n;
      for (const [n, step] of history.entries()) {
        if ("order" in step) {
          const sum = [...inFlight.values()].reduce((all, one) => all + one, 0n);
          try {
            const cap = tally.reserve(order(n, step.order));
            inFlight.set(n, step.order);
            expect(cap).to.equal(charged + sum + step.order);
            expect(cap <= limit).to.equal(true);
          } catch (error) {
            expect((error as { code: string }).code).to.equal("budget_exhausted");
            expect(charged + sum + step.order > limit).to.equal(true);
          }
        } else {
          const maxFee = inFlight.get(step.end);
          const charge = ((maxFee ?? 0n) * BigInt(step.share)) / 100n;
          tally.settle(task(step.end), charge);
          if (inFlight.delete(step.end)) charged += charge;
        }
        expect(tally.charged).to.equal(charged);
        expect(tally.inFlight).to.equal([...inFlight.values()].reduce((all, one) => all + one, 0n));
        expect(tally.free).to.equal(limit - charged - tally.inFlight);
      }
      expect(new Tally(limit, tally.charged, tally.orders)).to.deep.include({ charged: tally.charged, inFlight: tally.inFlight, free: tally.free });
    }), { numRuns: 500 });
  });

  it("counts the end of an order once", () => {
    const tally = new Tally(100n);
    tally.reserve(order(1, 60n));
    tally.settle(task(1), 25n);
    tally.settle(task(1), 25n);
    expect([tally.charged, tally.inFlight, tally.free]).to.deep.equal([25n, 0n, 75n]);
  });

  it("refuses a charge above what was ordered, and the same order twice", () => {
    const tally = new Tally(100n);
    tally.reserve(order(1, 60n));
    expect(() => tally.settle(task(1), 61n)).to.throw(RangeError);
    expect(() => tally.settle(task(1), -1n)).to.throw(RangeError);
    expect(() => tally.reserve(order(1, 1n))).to.throw(/already/);
    expect(tally.inFlight).to.equal(60n);
  });
});
