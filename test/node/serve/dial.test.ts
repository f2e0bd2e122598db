import { expect } from "chai";
import fc from "fast-check";
import { backoffMs, keepLinked } from "../../../node/serve/dial.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { systemDice } from "../../../node/adapters/clock.ts";
import { silentLog, TestLinks } from "../fixtures.ts";
import { worldOf } from "./world.ts";
import type { Clock } from "../../../node/ports.ts";

describe("dialling", () => {
  it("property: waits longer with each failure, at most 15 s, half of it by chance", () => {
    fc.assert(fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, unit) => {
      for (const isAway of [true, false]) {
        const wait = backoffMs(failures, unit, isAway);
        expect(wait).to.be.within(100, 15_000);
        expect(backoffMs(failures + 1, unit, isAway)).to.be.at.least(wait);
        expect(wait).to.be.at.least(backoffMs(failures, 0.999, isAway) / 2);
        expect(wait).to.be.at.least(backoffMs(failures, unit, true));
      }
    }));
  });

  it("dials again for as long as it is wanted, and forgets old failures after a good connection", async () => {
    const stop = new AbortController();
    const waits: number[] = [];
    let now = 0;
    const clock: Clock = { nowMs: () => now, monotonicMs: () => now, sleep: async (ms) => void waits.push(ms) };
    const links = new TestLinks();
    let dialled = 0;
    links.serve = async () => {
      dialled++;
      if (dialled === 6) now += 60_000;
      else if (dialled === 8) stop.abort();
      else throw new TidelaneError("test", { code: dialled < 5 ? "link_failed" : "link_refused" });
    };
    await keepLinked("http://127.0.0.1:1", 1, worldOf().agent, { links, clock, dice: { ...systemDice, unit: () => 0 }, log: silentLog }, stop.signal);
    expect(waits).to.deep.equal([200, 400, 500, 500, 3_200, 100, 200, 400]);
  });
});
