// What was learnt of nodes, as it is written down: the newest of each, bounded, with its age, and read with care.
import { expect } from "chai";
import { FIT_NUMBERS } from "../../../relayer/routing/fit.ts";
import { NODES_MAX, learntFromText, learntToText, merged, partOfAge, shifted, type LearntNode } from "../../../relayer/work/learnt.ts";
import { MODEL } from "./fleetRig.ts";

const HOUR_MS = 3_600_000;
const node = (nodeId: number, atMs: number, changes: Partial<LearntNode> = {}): LearntNode => ({
  nodeId, atMs, scoreBps: 9_000, kept: 7, stated: "engine", models: {
    [MODEL]: { fit: Array.from({ length: FIT_NUMBERS }, (_, i) => i + 0.5), hall: { slownessLog: 0.25, slownessAtMs: atMs, silences: 2, brokenUntilMs: atMs + 9 } },
  }, ...changes,
});

describe("what was learnt of nodes", () => {
  it("counts whole for an hour, then half as much with each hour, and after a day not at all", () => {
    const hours = [-1, 0, 0.5, 1, 2, 4, 23.99, 24, 1_000];
    const parts = hours.map((hour) => partOfAge(hour * HOUR_MS));
    expect(parts.slice(0, 6)).to.deep.equal([1, 1, 1, 1, 0.5, 0.125]);
    expect(parts[6]).to.be.within(0, 1e-6);
    expect(parts.slice(7)).to.deep.equal([0, 0]);
  });

  it("reads what it wrote, on whatever clock", () => {
    const nodes = [node(1, 5_000), node(2, 6_000, { models: { [MODEL]: { ...node(2, 0).models[MODEL]!, hall: null } } })];
    expect(learntFromText(learntToText(nodes))).to.deep.equal({ nodes, unread: 0 });
    expect(nodes.map((one) => shifted(shifted(one, 1_000), -1_000))).to.deep.equal(nodes);
    expect(shifted(nodes[0]!, 100)).to.deep.equal(node(1, 5_100, { models: { [MODEL]: { ...nodes[0]!.models[MODEL]!, hall: { slownessLog: 0.25, slownessAtMs: 5_100, silences: 2, brokenUntilMs: 5_109 } } } }));
  });

  it("is of each node the newest, of the last nodes only, and of none for longer than a day", () => {
    const stored = [node(1, 10), node(2, 20, { kept: 1 }), node(3, -25 * HOUR_MS)];
    expect(merged(stored, [node(2, 30, { kept: 2 }), node(1, 5, { kept: 9 })], 40)).to.deep.equal([node(2, 30, { kept: 2 }), node(1, 10)]);
    expect(merged([node(1, 5 * 60_000), node(2, 5 * 60_000 + 1)], [node(2, 0)], 0), "of a clock that is ahead").to.deep.equal([node(1, 5 * 60_000), node(2, 0)]);
    const many = Array.from({ length: NODES_MAX + 5 }, (_, i) => node(i, i));
    const kept = merged(many, [], NODES_MAX + 5);
    expect([kept.length, kept[0]!.nodeId, kept.at(-1)!.nodeId]).to.deep.equal([NODES_MAX, NODES_MAX + 4, 5]);
    expect(learntFromText(learntToText(kept))!.nodes, "there is room for them").to.have.length(NODES_MAX);
  });

  it("takes a bounded room, however many models nodes have: the last nodes have it", () => {
    const models = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`0x${String(i).padStart(64, "0")}`, node(1, 0).models[MODEL]!]));
    const text = learntToText(merged(Array.from({ length: NODES_MAX }, (_, i) => node(i, i, { models })), [], NODES_MAX));
    expect(text.length).to.be.within(1_900_000, 2_000_100);
    expect(learntFromText(text)!.nodes[0]!.nodeId).to.equal(NODES_MAX - 1);
  });

  it("leaves out what it cannot read and says of how many; another version it does not try", () => {
    const odd: unknown[] = [null, 7, {}, { ...node(1, 1), nodeId: -1 }, { ...node(1, 1), scoreBps: 10_001 }, { ...node(1, 1), kept: 0.5 }, { ...node(1, 1), atMs: null }, { ...node(1, 1), models: { odd: {} } },
      { ...node(1, 1), models: { [MODEL]: { fit: [1], hall: null } } }, { ...node(1, 1), stated: "x".repeat(1_001) }];
    const newer = { ...node(9, 9), mood: "a field of a later version" };
    expect(learntFromText(JSON.stringify({ version: 1, nodes: [...odd, newer] }))).to.deep.equal({ nodes: [node(9, 9)], unread: odd.length });
    for (const text of ["", "null", "[]", "{}", JSON.stringify({ version: 2, nodes: [] }), JSON.stringify({ version: 1, nodes: {} })]) expect(learntFromText(text), text).to.equal(null);
  });
});
