// The loop over the relayer's own vital signs: told once when a step changes, measured always.
import { expect } from "chai";
import { Overload } from "../../../relayer/loops/overload.ts";
import { systemVitals } from "../../../relayer/adapters/vitals.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";

describe("the overload loop", () => {
  it("tells each change of step once, and measures every round", () => {
    let [nowMs, loopLagMs, queueAgeMs] = [0, 1, 0];
    const steps: string[] = [];
    const levels: number[] = [];
    const loop = new Overload({
      clock: { ...systemClock, monotonicMs: () => nowMs }, log: silentLog, queueAgeMs: () => queueAgeMs, onStep: (step) => steps.push(step),
      metrics: { ...noMetrics, gauge: (name, value) => { if (name === "overload_level") levels.push(value); } },
      vitals: { read: () => ({ loopLagMs, memoryPart: 0.1 }), stop: () => {} },
    });
    const round = (): void => {
      nowMs += 500;
      loop.round();
    };
    round();
    loopLagMs = 300;
    round();
    round();
    [loopLagMs, queueAgeMs] = [1, 200_000];
    round();
    round();
    queueAgeMs = 0;
    for (let i = 0; i < 40; i++) round();
    expect(steps).to.deep.equal(["lean", "no_flex", "closed", "no_flex", "lean", "calm"]);
    expect(levels).to.have.length(45);
    expect(loop.step).to.equal("calm");
  });

  it("reads real signs: lag rises while the loop is held up, memory is a part of what there is", async () => {
    const vitals = systemVitals();
    await systemClock.sleep(50);
    vitals.read();
    await systemClock.sleep(30);
    const untilMs = performance.now() + 300;
    while (performance.now() < untilMs);
    await systemClock.sleep(30);
    const { loopLagMs, memoryPart } = vitals.read();
    expect(loopLagMs).to.be.above(20);
    expect(memoryPart).to.be.within(0.001, 0.95);
    vitals.stop();
  });
});
