// The forecast: exact on what is straight, ahead of what rises, and not to be upset by what is no load.
import { expect } from "chai";
import fc from "fast-check";
import { Forecast, FORECAST } from "../../../relayer/lobby/forecast.ts";

const fed = (loadAt: (ms: number) => number, untilMs: number, everyMs = 1_000): Forecast => {
  const forecast = new Forecast();
  for (let ms = 0; ms <= untilMs; ms += everyMs) forecast.observe(loadAt(ms), ms);
  return forecast;
};

describe("the forecast", () => {
  it("knows nothing at first, and what stays stays", () => {
    expect(new Forecast().expect(60_000)).to.equal(0);
    expect(fed(() => 7, 600_000).expect(60_000)).to.be.closeTo(7, 1e-9);
  });

  it("sees a rising tide before it has risen, and a falling one before it has fallen", () => {
    const rising = fed((ms) => ms / 10_000, 1_800_000);
    expect(rising.expect(60_000)).to.be.closeTo(186, 2);
    expect(rising.trendPerMinute).to.be.closeTo(6, 0.2);
    const falling = fed((ms) => 200 - ms / 10_000, 1_800_000);
    expect(falling.expect(60_000)).to.be.within(10, 20);
  });

  it("believes a burst at once, and forgets it within minutes", () => {
    const forecast = fed(() => 10, 600_000);
    for (let ms = 601_000; ms <= 630_000; ms += 1_000) forecast.observe(40, ms);
    expect(forecast.expect(5_000)).to.be.above(20);
    for (let ms = 631_000; ms <= 1_500_000; ms += 1_000) forecast.observe(10, ms);
    expect(forecast.expect(5_000)).to.be.within(8, 12);
  });

  it("does not depend on how often it is told", () => {
    const often = fed((ms) => 50 + 30 * Math.sin(ms / 300_000), 1_200_000, 500);
    const seldom = fed((ms) => 50 + 30 * Math.sin(ms / 300_000), 1_200_000, 4_000);
    expect(Math.abs(often.expect(30_000) - seldom.expect(30_000))).to.be.below(4);
  });

  it("is a number from 0 on, whatever it is told and whenever", () => {
    const odd = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -1, 1e300, 0));
    fc.assert(fc.property(fc.array(fc.tuple(odd, odd), { maxLength: 40 }), odd, (told, ahead) => {
      const forecast = new Forecast();
      for (const [load, ms] of told) forecast.observe(Math.min(load, 1e12), ms);
      const found = forecast.expect(Number.isNaN(ahead) ? 0 : ahead);
      expect(found).to.be.at.least(0).and.satisfy(Number.isFinite);
    }));
  });

  it("looks no further than its horizon", () => {
    const rising = fed((ms) => ms / 1_000, 600_000);
    expect(rising.expect(FORECAST.horizonMsMax)).to.equal(rising.expect(1e15));
  });
});
