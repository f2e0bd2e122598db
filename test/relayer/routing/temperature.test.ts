import { expect } from "chai";
import fc from "fast-check";
import { PARAMETERS } from "../../../relayer/routing/parameters.ts";
import { temperatureUs, type ShardPressure } from "../../../relayer/routing/temperature.ts";

const pressure = (changes: Partial<ShardPressure> = {}): ShardPressure =>
  ({ nodes: 10, othersInFlight: 40, serviceMs: 4_000, slopeUs: 100_000, attestedAgeMs: 500, ...changes });

describe("temperature", () => {
  it("is slope times the dispatches of others since the picture", () => {
    // 40 in flight / 4 s = 10 dispatches/s over 10 nodes; a picture of 2 s: 2 each; 2 * 100 ms
    expect(temperatureUs(pressure(), 1_500, PARAMETERS)).to.equal(200_000);
  });

  it("is least where nobody else dispatches: what one did oneself is known", () => {
    expect(temperatureUs(pressure({ othersInFlight: 0 }), 5_000, PARAMETERS)).to.equal(PARAMETERS.temperatureUsMin);
  });

  it("rises with age and with others' work, inside its bounds", () => {
    const anyPressure = fc.record({
      nodes: fc.integer({ min: 0, max: 100_000 }), othersInFlight: fc.integer({ min: 0, max: 2 ** 27 }), serviceMs: fc.integer({ min: 0, max: 2 ** 33 }),
      slopeUs: fc.integer({ min: -5, max: 2 ** 40 }), attestedAgeMs: fc.integer({ min: 0, max: 10_000 }),
    });
    fc.assert(fc.property(anyPressure, fc.integer({ min: -1_000, max: 10 ** 9 }), fc.nat(10_000), (some, ageMs, more) => {
      const here = temperatureUs(some, ageMs, PARAMETERS);
      expect(Number.isSafeInteger(here)).to.equal(true);
      expect(here).to.be.within(PARAMETERS.temperatureUsMin, PARAMETERS.temperatureUsMax);
      expect(temperatureUs(some, ageMs + more, PARAMETERS)).to.be.at.least(here);
      expect(temperatureUs({ ...some, othersInFlight: some.othersInFlight + more }, ageMs, PARAMETERS)).to.be.at.least(here);
    }));
  });
});
