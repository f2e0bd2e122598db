// The simulator against closed forms: the same node code with one slot and an iteration of 1 ms, geometric outputs of mean 1,000.
// Quick mode states its tolerance; DEEP_TESTS=1 (no TIDELANE_ name: processes refuse those they do not know) runs at least five million arrivals each and the tolerances of the design.
import { expect } from "chai";
import { geometricSecondMoment, supermarketTail, waitOfServers, waitOfSingleServer } from "../../../bench/sim/closedForms.ts";
import { chooser, powerOfTwo, random } from "../../../bench/sim/baselines/simple.ts";
import { simulate } from "../../../bench/sim/simulation.ts";
import { ENDLESS, fleetOfOne, poisson, profileOf } from "./helpers.ts";
import type { Job } from "../../../bench/sim/job.ts";
import type { PolicyKind } from "../../../bench/sim/policy.ts";

const isDeep = process.env["DEEP_TESTS"] === "1";
const MEAN_TOKENS = 1_000;

/** One queue for all, first come, first served. */
const central: PolicyKind = {
  name: "central", hasAdmission: false,
  make: (world) => {
    const free = world.profiles.map((_, node) => node);
    let held: Job[] = [];
    let from = 0;
    return {
      arrived: (job) => void (free.length > 0 ? world.send(job, free.pop()!) : held.push(job)),
      ended: (job) => {
        if (from === held.length) return void free.push(job.node);
        world.send(held[from++]!, job.node);
        if (from > 10_000) [held, from] = [held.slice(from), 0];
      },
    };
  },
};

/** @returns the mean wait in units of the mean service time, the first tenth left out */
function meanWait(servers: number, utilisation: number, arrivals: number, seed: number): number {
  const load = poisson(arrivals, (servers * utilisation) / MEAN_TOKENS, MEAN_TOKENS, seed);
  let [sum, count] = [0, 0];
  simulate({
    fleet: fleetOfOne(profileOf(), servers), arrivals: load, policy: servers === 1 ? random : central, seed, targetsOf: () => ENDLESS, attestationAgeMs: 0,
    onOver: (job) => {
      if (job.id < arrivals / 10) return;
      sum += job.ttftMs - 1;
      count++;
    },
  });
  return sum / count / MEAN_TOKENS;
}

describe("the simulator against closed forms", function () {
  this.timeout(isDeep ? 600_000 : 60_000);
  // The mean wait of correlated customers converges slowly: these bounds are about three standard errors of the quick runs.
  const cases = [
    { servers: 1, utilisation: 0.5, quick: 300_000, quickTolerance: 0.03 }, { servers: 1, utilisation: 0.8, quick: 600_000, quickTolerance: 0.06 },
    { servers: 8, utilisation: 0.5, quick: 300_000, quickTolerance: 0.06 }, { servers: 8, utilisation: 0.8, quick: 600_000, quickTolerance: 0.06 },
  ];
  for (const { servers, utilisation, quick, quickTolerance } of cases) {
    const [count, tolerance] = isDeep ? [6_000_000, 0.02] : [quick, quickTolerance];
    it(`waits as ${servers === 1 ? "M/M/1" : `Erlang C with ${servers} servers`} at ${utilisation}, within ${tolerance * 100} %`, () => {
      // One server is checked exactly, discreteness included; for many the geometric service differs from the exponential by 1 / mean.
      const exact = servers === 1 ? waitOfSingleServer(utilisation, geometricSecondMoment(MEAN_TOKENS)) : waitOfServers(servers, utilisation);
      expect(meanWait(servers, utilisation, count, 7) / exact).to.be.within(1 - tolerance, 1 + tolerance);
    });
  }

  it(`fills queues as the supermarket model at 0.9 with ${isDeep ? "1,000 nodes, within 5 %" : "200 nodes, within 8 %"}`, () => {
    const [nodes, arrivals, tolerance] = isDeep ? [1_000, 5_000_000, 0.05] : [200, 500_000, 0.08];
    const atLeast = new Float64Array(8);
    let samples = 0;
    // The lengths that an arrival meets are those of a random moment (PASTA); a sample of them is enough.
    const observed: PolicyKind = {
      ...powerOfTwo,
      make: (world) => {
        const inner = powerOfTwo.make(world);
        const lengths = new Int32Array(nodes);
        return {
          arrived: (job, nowMs) => {
            if (job.id > arrivals / 4 && job.id % nodes === 0) {
              samples++;
              for (const length of lengths) for (let k = 1; k <= Math.min(length, 7); k++) atLeast[k]!++;
            }
            inner.arrived(job, nowMs);
            lengths[job.node]!++;
          },
          ended: (job, isDone, nowMs) => {
            lengths[job.node]!--;
            inner.ended!(job, isDone, nowMs);
          },
        };
      },
    };
    simulate({
      fleet: fleetOfOne(profileOf(), nodes), arrivals: poisson(arrivals, (nodes * 0.9) / MEAN_TOKENS, MEAN_TOKENS, 3), policy: observed, seed: 3,
      targetsOf: () => ENDLESS, attestationAgeMs: 0, onOver: () => {},
    });
    for (let k = 1; k <= 4; k++) expect(atLeast[k]! / samples / nodes / supermarketTail(0.9, 2, k), `tail ${k}`).to.be.within(1 - tolerance, 1 + tolerance);
  });

  it("tells a chooser that sends to the longer queue apart", () => {
    const waitOf = (policy: PolicyKind): number => {
      let sum = 0;
      simulate({
        fleet: fleetOfOne(profileOf(), 20), arrivals: poisson(50_000, (20 * 0.8) / MEAN_TOKENS, MEAN_TOKENS, 5), policy, seed: 5, targetsOf: () => ENDLESS,
        attestationAgeMs: 0, onOver: (job) => (sum += job.ttftMs),
      });
      return sum;
    };
    const longer: PolicyKind = {
      name: "longer", hasAdmission: false,
      make: (world) => chooser(world, (_, book) => {
        const [one, other] = [world.random.below(20), world.random.below(20)];
        return book.inFlight[one]! > book.inFlight[other]! ? one : other;
      }),
    };
    expect(waitOf(powerOfTwo) * 2).to.be.below(waitOf(random));
    expect(waitOf(random) * 2).to.be.below(waitOf(longer));
  });
});
