// Readiness: what is missing is named, and a chain that hangs is not waited for.
import { expect } from "chai";
import { ReadinessProbe, type ReadinessWorld } from "../../../relayer/api/readiness.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import type { FleetStatus } from "../../../relayer/work/fleet.ts";

describe("readiness", () => {
  const worldOf = (over: Partial<ReadinessWorld> = {}): ReadinessWorld => ({
    chain: { head: async () => ({ number: 1n, timestampSeconds: 1, hash: "0x" }) }, journal: { isUp: () => true }, clock: systemClock, isStopping: () => false,
    fleet: { status: () => ({ attested: 2 }) as FleetStatus }, ...over,
  });
  const missing = async (over: Partial<ReadinessWorld>): Promise<string[]> => (await new ReadinessProbe(worldOf(over)).checks()).filter((check) => !check.ok).map((check) => check.name);

  it("misses nothing where all is there", async () => expect(await missing({})).to.deep.equal([]));

  it("names chain, journal, nodes and the shutdown", async () => {
    expect(await missing({ chain: { head: async () => { throw new Error("down"); } } })).to.deep.equal(["chain"]);
    expect(await missing({ journal: { isUp: () => false } })).to.deep.equal(["journal"]);
    expect(await missing({ fleet: { status: () => ({ attested: 0 }) as FleetStatus } })).to.deep.equal(["nodes"]);
    expect(await missing({ isStopping: () => true })).to.deep.equal(["running"]);
  });

  it("does not wait for a chain that hangs, and asks it once for many questions", async () => {
    let asked = 0;
    const clock = { ...systemClock, sleep: async () => {} };
    const probe = new ReadinessProbe(worldOf({ clock, chain: { head: () => { asked++; return new Promise(() => {}); } } }));
    const answers = await Promise.all(Array.from({ length: 10 }, () => probe.checks()));
    expect(answers.every((checks) => checks.some((check) => check.name === "chain" && !check.ok))).to.equal(true);
    expect(asked).to.equal(1);
  });
});
