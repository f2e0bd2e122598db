// What an auditor will do: from the published tables and decisions alone, make every decision of a busy minute again.
import { expect } from "chai";
import fc from "fast-check";
import { FleetRig, MODEL } from "./fleetRig.ts";
import { decide, GATES, OPEN, Scratch } from "../../../relayer/routing/decide.ts";
import { tableFromText, type LoadEvent } from "../../../relayer/routing/table.ts";
import { wordsOf } from "../../../relayer/routing/draws.ts";
import type { Booking, Outcome } from "../../../relayer/work/fleet.ts";
import type { OwnLoad } from "../../../relayer/routing/saturation.ts";
import type { Hash } from "../../../protocol/units.ts";

interface Recorded {
  readonly sequence: number;
  readonly table: Hash;
  readonly draw: Hash;
  readonly chosen: number;
  readonly inputTokens: number;
  readonly expectedOutTokens: number;
  readonly affinityNode: number;
  readonly cachedTokens: number;
  readonly ageMs: number;
  readonly temperatureUs: number;
  readonly candidates: readonly { readonly node: number; readonly own: readonly number[]; readonly out?: string; readonly costUs?: number; readonly weight?: number }[];
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

/** Own load on a node just before a decision, from decisions and events of lower sequence numbers. */
function ownBefore(sequence: number, nodeId: number, decisions: readonly Recorded[], events: readonly LoadEvent[]): OwnLoad {
  const own = { inFlight: 0, prefillTokens: 0, contextTokens: 0 };
  for (const decision of decisions) {
    if (decision.sequence >= sequence || decision.chosen !== nodeId) continue;
    const told = events.filter((event) => event.booking === decision.sequence && event.sequence < sequence);
    if (told.some((event) => event.kind === "release")) continue;
    own.inFlight += 1;
    own.contextTokens += decision.inputTokens + decision.expectedOutTokens;
    if (told.length === 0) own.prefillTokens += decision.inputTokens;
  }
  return own;
}

describe("replay", () => {
  for (const nodes of [5, 30]) {
    it(`rebuilds every decision over ${nodes} nodes from what is published`, async function () {
      this.timeout(60_000);
      await fc.assert(fc.asyncProperty(anySteps, async (steps) => {
        const rig = new FleetRig();
        const decisions = await live(rig, steps, nodes);
        const events = rig.tables.flatMap(({ text }) => tableFromText(text, () => ({ inFlight: 0, prefillTokens: 0, contextTokens: 0 })).head.events);
        for (const decision of decisions) {
          const text = rig.tables.find((table) => table.root === decision.table)!.text;
          const own = (nodeId: number): OwnLoad => ownBefore(decision.sequence, nodeId, decisions, events);
          const shard = tableFromText(text, own).shards.get(MODEL)!;
          for (const candidate of decision.candidates) expect(candidate.own, `node ${candidate.node} at ${decision.sequence}`).to.deep.equal(Object.values(own(candidate.node)));
          const gateOf = new Map(decision.candidates.map((candidate) => [candidate.node, candidate.out === undefined ? OPEN : GATES.indexOf(candidate.out as (typeof GATES)[number])]));
          const scratch = new Scratch();
          const task = { inputTokens: decision.inputTokens, expectedOutTokens: decision.expectedOutTokens, affinityNodeId: decision.affinityNode, cachedTokens: decision.cachedTokens, ageMs: decision.ageMs };
          const row = decide(shard, task, wordsOf(decision.draw), (at) => gateOf.get(shard.rows[at]!.nodeId) ?? 1, scratch);
          expect(shard.rows[row]!.nodeId).to.equal(decision.chosen);
          expect(scratch.temperatureUs).to.equal(decision.temperatureUs);
          for (const [i, candidate] of decision.candidates.entries()) {
            if (candidate.out === undefined) expect([scratch.costs[i], scratch.weights[i]]).to.deep.equal([candidate.costUs, candidate.weight]);
          }
        }
      }), { numRuns: 25 });
    });
  }

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
