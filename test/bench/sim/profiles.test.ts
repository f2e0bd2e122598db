// Fleets: the reference one and those from files.
import { expect } from "chai";
import { chunkTokensFor, multiplied, parseFleet, PROFILES, REFERENCE_FLEET } from "../../../bench/sim/profiles.ts";

describe("fleets", () => {
  it("the reference has 64 nodes of seven kinds", () => {
    const counts = new Map<string, number>();
    for (const node of REFERENCE_FLEET.nodes) counts.set(node.name, (counts.get(node.name) ?? 0) + 1);
    expect(Object.fromEntries(counts)).to.deep.equal({ h100: 2, a100: 4, a40: 8, "4090": 12, "3090": 12, "3070": 10, "3060": 16 });
    expect(multiplied(REFERENCE_FLEET, 8).nodes.length).to.equal(512);
  });

  it("an engine's budget takes three quarters of the time per token, and no more than 2,048 tokens", () => {
    expect(Object.fromEntries(Object.values(PROFILES).map((profile) => [profile.name, profile.chunkTokens]))).to.deep.equal({
      h100: 2_048, a100: 896, a40: 320, l4: 64, "4090": 448, "3090": 256, "3070": 128, "3060": 64,
    });
    expect(chunkTokensFor({ a: 10, b: 0, c: 0, d: 0, e: 0 })).to.equal(2_048);
  });

  it("files name built-in profiles and their own", () => {
    const fleet = parseFleet(JSON.stringify({
      nodes: [{ profile: "h100", count: 2 }, { profile: "mine" }], profiles: { mine: { a: 5, b: 0.1, c: 1e-5, d: 0.01, e: 0, kvTokens: 5_000, batchLimit: 4, class: "LOW" } },
    }), "file");
    expect(fleet.nodes.map((node) => node.name)).to.deep.equal(["h100", "h100", "mine"]);
    expect(fleet.nodes[2]).to.include({ hardwareClass: "LOW", batchLimit: 4, chunkTokens: 640 });
  });

  for (const [what, file, path] of [
    ["no JSON", "{", "a fleet as JSON"], ["no nodes", { nodes: [] }, "nodes"], ["an unknown profile", { nodes: [{ profile: "z" }] }, "nodes[0].profile"],
    ["a prototype's name", { nodes: [{ profile: "constructor" }] }, "nodes[0].profile"], ["half a node", { nodes: [{ profile: "l4", count: 0.5 }] }, "nodes[0].count"],
    ["a negative curve", { nodes: [{ profile: "x" }], profiles: { x: { a: 1, b: -1, c: 0, d: 0, e: 0, kvTokens: 1, batchLimit: 1 } } }, "profiles.x.b"],
    ["iterations that take no time", { nodes: [{ profile: "x" }], profiles: { x: { a: 0, b: 1, c: 0, d: 0, e: 0, kvTokens: 1, batchLimit: 1 } } }, "profiles.x.a"],
    ["a fleet beyond bounds", { nodes: [{ profile: "l4", count: 9e9 }] }, "nodes[0].count"],
  ] as const) {
    it(`files with ${what} are refused by name`, () => expect(() => parseFleet(typeof file === "string" ? file : JSON.stringify(file), "file")).to.throw(path));
  }
});
