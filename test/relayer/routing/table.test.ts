import { expect } from "chai";
import { keccak256, stringToHex } from "viem/utils";
import { canonicalJson } from "../../../relayer/routing/canonical.ts";
import { decide, OPEN, Scratch } from "../../../relayer/routing/decide.ts";
import { decisionHashOf, decisionText } from "../../../relayer/routing/decision.ts";
import { drawOf } from "../../../relayer/routing/seeds.ts";
import { wordsOf } from "../../../relayer/routing/draws.ts";
import { NodeTable, tableFromText } from "../../../relayer/routing/table.ts";
import { MODEL, PROCESS, row, tableOf, task } from "./shards.ts";
import type { Hash } from "../../../protocol/units.ts";

const SEED: Hash = `0x${"5e".repeat(32)}`;
const drawnFor = { mode: 0, taskId: `0x${"77".repeat(32)}` as Hash, sessionId: `0x${"88".repeat(32)}` as Hash, nonce: 3n, subtask: 0, attempt: 0 };
const own = (nodeId: number) => ({ inFlight: nodeId % 3, prefillTokens: 40 * nodeId, contextTokens: 90 * nodeId });
const rows = Array.from({ length: 40 }, (_, i) => row(40 - i, { computeBps: 250 * i, base: own(i), scoreBps: 10_000 - i }));

/** Decides for drawnFor and writes the record, as the fleet does. */
function decided(table: NodeTable): { chosen: number; text: string } {
  const shard = table.shards.get(MODEL)!;
  const scratch = new Scratch();
  const draw = drawOf(SEED, drawnFor);
  const chosenRow = decide(shard, task(), wordsOf(draw), (at) => (at % 5 === 0 ? 4 : OPEN), scratch);
  const text = decisionText({ processId: PROCESS, sequence: 8, tableRoot: table.root, epoch: 12, draw, drawnFor, cause: null, task: task() }, shard, scratch, chosenRow);
  return { chosen: shard.rows[chosenRow]!.nodeId, text };
}

describe("the node table", () => {
  it("orders its rows by node and names itself by the hash of its text", () => {
    const table = tableOf(rows, own);
    expect(table.shards.get(MODEL)!.rows.map((one) => one.nodeId)).to.deep.equal(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(table.root).to.equal(keccak256(stringToHex(table.text)));
    expect(tableOf([...rows].reverse(), own).root).to.equal(table.root);
  });

  it("has another root when anything a decision reads is another", () => {
    const { root } = tableOf(rows, own);
    const numbers = ["keyEpoch", "slots", "modelSlots", "computeBps", "memoryBps", "queueBps", "networkBps", "queuedTokens", "kvFreeTokens", "priceIn", "priceOut", "scoreBps", "ageMs"] as const;
    const bent = numbers.map((key) => tableOf([{ ...rows[0]!, [key]: rows[0]![key] + 1 }, ...rows.slice(1)], own).root);
    const curves = (["aNs", "bNs", "cNs", "dNs", "ePs"] as const).map((key) => tableOf([{ ...rows[0]!, curve: { ...rows[0]!.curve, [key]: 1 } }, ...rows.slice(1)], own).root);
    const bases = (["inFlight", "prefillTokens", "contextTokens"] as const).map((key) => tableOf([{ ...rows[0]!, base: { ...rows[0]!.base, [key]: 12_345 } }, ...rows.slice(1)], own).root);
    const all = [root, ...bent, ...curves, ...bases];
    expect(new Set(all).size).to.equal(all.length);
  });

  it("tells where it stands in its process's sequence and what ended before it", () => {
    const head = { processId: PROCESS, sequence: 9, previous: SEED, publishedAtMs: 5, events: [{ sequence: 8, kind: "first" as const, booking: 3 }, { sequence: 9, kind: "release" as const, booking: 3 }] };
    const table = new NodeTable(head, []);
    expect(JSON.parse(table.text)).to.deep.include({ sequence: 9, previous: SEED, events: [[8, "first", 3], [9, "release", 3]], models: {} });
    expect(tableFromText(table.text, own).head).to.deep.equal(head);
  });

  it("lets whoever holds its text and the decision make the decision again, to the last byte", () => {
    const table = tableOf(rows, own);
    const first = decided(table);
    const again = decided(tableFromText(table.text, own));
    expect(again).to.deep.equal(first);
    expect(decisionHashOf(again.text)).to.equal(keccak256(stringToHex(first.text)));
  });

  it("shows a tampered table, load or draw in the decision", () => {
    const table = tableOf(rows, own);
    const { text } = decided(table);
    expect(decided(tableFromText(table.text.replace('"sequence":7', '"sequence":6'), own)).text).to.not.equal(text);
    expect(decided(tableFromText(table.text, () => own(5))).text).to.not.equal(text);
    expect(JSON.parse(text)).to.deep.include({ chosen: decided(table).chosen, draw: drawOf(SEED, drawnFor), table: table.root, sequence: 8, epoch: 12, cause: null, parameters: 1, attempt: 0 });
  });

  it("refuses a table of another version", () => {
    expect(() => tableFromText(tableOf(rows).text.replace('"version":1', '"version":2'), own)).to.throw("a node table of version 1");
  });
});

describe("the decision record", () => {
  it("lists every candidate with its cost and weight, or why it was out, keys sorted, no space", () => {
    const { text, chosen } = decided(tableOf(rows, own));
    const json = JSON.parse(text) as { candidates: { node: number; out?: string; costUs?: number; weight?: number; own: number[] }[] };
    expect(text).to.equal(canonicalJson(json as never));
    expect(json.candidates.length).to.be.within(1, 16);
    for (const candidate of json.candidates) {
      expect(candidate.own).to.deep.equal(Object.values(own(candidate.node)));
      if ((candidate.node - 1) % 5 === 0) expect(candidate.out).to.equal("excluded");
      else expect(Number.isSafeInteger(candidate.costUs)).to.equal(true);
    }
    expect(json.candidates.map((one) => one.node)).to.include(chosen);
  });
});
