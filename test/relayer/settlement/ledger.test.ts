// A session's books: whatever happens in whatever order, what is promised stays covered.
import { expect } from "chai";
import fc from "fast-check";
import { bucketLevelAt, SessionLedger, type LockReading } from "../../../relayer/settlement/ledger.ts";
import { Mode } from "../../../protocol/constants.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Hash } from "../../../protocol/units.ts";

const task = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const reading = (bends: Partial<LockReading> = {}): LockReading => ({ lock: 1_000n, charged: 0n, bucketLevel: 0n, readAtSeconds: 100, ...bends });
const voucherLedger = (charged = 0n, cap = 0n): SessionLedger => {
  const ledger = new SessionLedger({ mode: Mode.VOUCHER, maxTotal: 800n, maxPerDay: 0n }, charged, cap);
  ledger.read(reading());
  return ledger;
};
const codeOf = (work: () => void): string => {
  try {
    work();
    return "none";
  } catch (error) {
    return error instanceof TidelaneError ? error.code : `not a TidelaneError: ${String(error)}`;
  }
};

describe("the ledger of a VOUCHER session", () => {
  it("needs a cap for charges, orders in flight and the new order together", () => {
    const ledger = voucherLedger();
    ledger.reserve(task(1), 100n, 100n, 100);
    expect(codeOf(() => ledger.reserve(task(2), 50n, 149n, 100))).to.equal("voucher_cap_too_low");
    ledger.reserve(task(2), 50n, 150n, 100);
    ledger.charge(task(1), 10n);
    ledger.release(task(2));
    expect([ledger.charged, ledger.reserved]).to.deep.equal([10n, 0n]);
    expect(codeOf(() => ledger.reserve(task(3), 50n, 59n, 100))).to.equal("voucher_cap_too_low");
    ledger.reserve(task(3), 50n, 60n, 100);
  });

  it("counts the greatest voucher, also an earlier one, once it is journaled", () => {
    const ledger = voucherLedger();
    ledger.reserve(task(1), 10n, 500n, 100);
    expect(codeOf(() => ledger.reserve(task(2), 10n, 15n, 100))).to.equal("voucher_cap_too_low");
    ledger.journaledCap(500n);
    ledger.reserve(task(2), 10n, 15n, 100);
  });

  it("stays within lock and maxTotal", () => {
    const ledger = voucherLedger();
    expect(codeOf(() => ledger.reserve(task(1), 801n, 10_000n, 100))).to.equal("insufficient_escrow");
    ledger.read(reading({ lock: 300n }));
    expect(codeOf(() => ledger.reserve(task(1), 301n, 10_000n, 100))).to.equal("insufficient_escrow");
    ledger.reserve(task(1), 300n, 10_000n, 100);
    expect(ledger.exposure(100)).to.equal(0n);
  });

  it("covers nothing before the chain was read", () => {
    const ledger = new SessionLedger({ mode: Mode.VOUCHER, maxTotal: 800n, maxPerDay: 0n }, 0n, 0n);
    expect(codeOf(() => ledger.reserve(task(1), 1n, 100n, 100))).to.equal("insufficient_escrow");
    expect(ledger.exposure(100)).to.equal(0n);
  });

  it("takes an order once while it runs, and ends it once", () => {
    const ledger = voucherLedger();
    ledger.reserve(task(1), 10n, 800n, 100);
    expect(codeOf(() => ledger.reserve(task(1), 10n, 800n, 100))).to.equal("order_replayed");
    expect(() => ledger.charge(task(1), 11n)).to.throw(RangeError);
    ledger.charge(task(1), 10n);
    ledger.charge(task(1), 10n);
    ledger.release(task(1));
    expect([ledger.charged, ledger.reserved, ledger.inFlight]).to.deep.equal([10n, 0n, 0]);
  });

  it("ignores a reading older than the last, and believes the chain over an old copy of the journal", () => {
    const ledger = voucherLedger(5n);
    ledger.read(reading({ lock: 50n, readAtSeconds: 99 }));
    expect(ledger.exposure(100)).to.equal(795n);
    ledger.read(reading({ charged: 70n, readAtSeconds: 101 }));
    expect(ledger.charged).to.equal(70n);
  });
});

describe("the ledger of an ALLOWANCE session", () => {
  const allowance = (bucketLevel: bigint, charged = 0n, settled = 0n): SessionLedger => {
    const ledger = new SessionLedger({ mode: Mode.ALLOWANCE, maxTotal: 10_000n, maxPerDay: 864n }, charged, 0n);
    ledger.read(reading({ lock: 10_000n, bucketLevel, charged: settled }));
    return ledger;
  };

  it("refuses once unsettled and reserved exceed the bucket, and goes on as it refills", () => {
    const ledger = allowance(100n, 40n, 10n);
    ledger.reserve(task(1), 70n, null, 100);
    expect(codeOf(() => ledger.reserve(task(2), 1n, null, 100))).to.equal("allowance_exhausted");
    ledger.reserve(task(2), 1n, null, 200);
    expect(ledger.exposure(300)).to.equal(1n);
  });

  it("knows that a settlement moves bucket and unsettled charges together", () => {
    const ledger = allowance(100n, 40n, 0n);
    const before = ledger.exposure(100);
    ledger.read(reading({ lock: 10_000n, bucketLevel: 60n, charged: 40n, readAtSeconds: 100 }));
    expect(ledger.exposure(100)).to.equal(before);
  });

  it("refills by maxPerDay in 24 h up to twice that", () => {
    const at = (seconds: number): bigint => bucketLevelAt(reading({ bucketLevel: 5n }), 864n, 100 + seconds);
    expect([at(-50), at(0), at(99), at(100), at(86_400), at(10 * 86_400)]).to.deep.equal([5n, 5n, 5n, 6n, 869n, 1_728n]);
  });
});

describe("every ledger", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("reserve" as const), task: fc.nat(20), fee: fc.bigInt(0n, 300n), cap: fc.bigInt(0n, 1_200n) }),
    fc.record({ kind: fc.constant("charge" as const), task: fc.nat(20), part: fc.integer({ min: 0, max: 100 }) }),
    fc.record({ kind: fc.constant("release" as const), task: fc.nat(20) }),
    fc.record({ kind: fc.constant("settle" as const) }),
    fc.record({ kind: fc.constant("wait" as const), seconds: fc.nat(10_000) }),
  );

  for (const mode of [Mode.VOUCHER, Mode.ALLOWANCE]) {
    it(`keeps its promises over any history (${mode === Mode.VOUCHER ? "VOUCHER" : "ALLOWANCE"})`, () => {
      let accepted = 0;
      fc.assert(fc.property(fc.array(operation, { minLength: 20, maxLength: 80 }), (operations) => {
        const ledger = new SessionLedger({ mode, maxTotal: 1_000n, maxPerDay: 400n }, 0n, 0n);
        const held = new Map<number, bigint>();
        const chain = { charged: 0n, level: 800n, now: 100 };
        const read = (): void => ledger.read({ lock: 900n, charged: chain.charged, bucketLevel: chain.level, readAtSeconds: chain.now });
        let charged = 0n;
        let cap = 0n;
        read();
        for (const one of operations) {
          if (one.kind === "reserve") {
            const code = codeOf(() => ledger.reserve(task(one.task), one.fee, mode === Mode.VOUCHER ? one.cap : null, chain.now));
            if (code !== "none") continue;
            expect(held.has(one.task)).to.equal(false);
            accepted += 1;
            held.set(one.task, one.fee);
            if (mode === Mode.VOUCHER) ledger.journaledCap(one.cap);
            if (one.cap > cap) cap = one.cap;
          } else if (one.kind === "charge") {
            const fee = held.get(one.task);
            const charge = fee === undefined ? 0n : (fee * BigInt(one.part)) / 100n;
            ledger.charge(task(one.task), charge);
            if (held.delete(one.task)) charged += charge;
          } else if (one.kind === "release") {
            ledger.release(task(one.task));
            held.delete(one.task);
          } else if (one.kind === "settle") {
            // The chain's own rule: the change must fit the bucket, else the batch would revert.
            const change = charged - chain.charged;
            if (mode === Mode.ALLOWANCE) expect(change <= chain.level, "the bucket covers what is settled").to.equal(true);
            chain.level -= change;
            chain.charged = charged;
            read();
          } else {
            chain.level = bucketLevelAt({ lock: 0n, charged: 0n, bucketLevel: chain.level, readAtSeconds: chain.now }, 400n, chain.now + one.seconds);
            chain.now += one.seconds;
          }
          const reserved = [...held.values()].reduce((sum, fee) => sum + fee, 0n);
          expect([ledger.charged, ledger.reserved]).to.deep.equal([charged, reserved]);
          expect(charged + reserved <= 900n, "lock and maxTotal cover all").to.equal(true);
          if (mode === Mode.VOUCHER) expect(charged + reserved <= cap, "the greatest voucher covers all").to.equal(true);
        }
      }), { numRuns: 300 });
      expect(accepted).to.be.greaterThan(500);
    });
  }
});
