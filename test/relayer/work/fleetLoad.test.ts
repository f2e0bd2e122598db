// Random busy minutes: no node gets more than its slots, and no load stays behind. That each decision can be made again: test/auditor/replay.
import { expect } from "chai";
import fc from "fast-check";
import { FleetRig } from "./fleetRig.ts";
import type { Booking, Outcome } from "../../../relayer/work/fleet.ts";

interface Recorded {
  readonly chosen: number;
}

/** A step of a made-up minute: numbers pick what happens and to whom. */
type Step = readonly ["choose" | "first" | "release" | "attest" | "drop" | "wait", number];
const anySteps = fc.array(fc.tuple(fc.constantFrom<Step[0]>("choose", "choose", "choose", "first", "release", "attest", "drop", "wait"), fc.nat(1_000)), { minLength: 20, maxLength: 80 });
const outcomes: readonly Outcome[] = ["completed", "cancelled", "refused_full", "refused", "failed", "unsent"];

/** Lives through the steps. @returns the decisions, in order */
async function live(rig: FleetRig, steps: readonly Step[], nodes: number): Promise<Recorded[]> {
  for (let nodeId = 1; nodeId <= nodes; nodeId++) await rig.join(nodeId, { slots: 1 + (nodeId % 4), computeBps: (nodeId * 700) % 6_000 });
  const decisions: Recorded[] = [];
  const open: Booking[] = [];
  for (const [kind, n] of steps) {
    const nodeId = 1 + (n % nodes);
    if (kind === "choose") {
      const choice = await rig.choose({ inputTokens: n, maxOutTokens: 20, conversationKey: String(n % 5) });
      const { inFlight, slots } = choice.ok ? rig.node(choice.nodeId) : { inFlight: 0, slots: 0 };
      expect(inFlight).to.be.at.most(slots);
      if (!choice.ok) continue;
      decisions.push(JSON.parse(choice.decision) as Recorded);
      open.push(choice.booking);
    }
    if (kind === "first") open[n % Math.max(1, open.length)]?.firstToken(10 + n);
    if (kind === "release") open.splice(n % Math.max(1, open.length), 1)[0]?.release(outcomes[n % outcomes.length]!);
    if (kind === "attest") await rig.attest(nodeId, { slots: n % 6, queueBps: n }).catch(() => undefined);
    if (kind === "drop") {
      rig.fleet.disconnected(nodeId);
      await rig.join(nodeId, { slots: 2 });
    }
    if (kind === "wait") rig.clock.pass(n);
  }
  for (const booking of open) booking.release("completed");
  // The last events are told by a table that comes after them.
  rig.clock.pass(1_000);
  for (let nodeId = 1; nodeId <= nodes; nodeId++) await rig.attest(nodeId, { slots: 4 });
  decisions.push(JSON.parse((await rig.chosen()).decision) as Recorded);
  return decisions;
}

describe("whatever happens, a fleet", function () {
  // Keys are signed with by the hundred: a few seconds of a core that others use too.
  this.timeout(60_000);

  it("leaves no load behind after whatever happened", async () => {
    await fc.assert(fc.asyncProperty(anySteps, async (steps) => {
      const rig = new FleetRig();
      const decisions = await live(rig, steps, 5);
      // All but the last choice, which nobody released.
      const still = rig.fleet.status().nodes.reduce((sum, node) => sum + node.inFlight, 0);
      expect(still).to.equal(1);
      expect(rig.node(decisions.at(-1)!.chosen).inFlight).to.equal(1);
    }), { numRuns: 25 });
  });
});
