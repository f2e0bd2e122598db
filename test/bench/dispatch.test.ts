// The dispatch bench at a small rate: every request reaches a node, and the figures are there.
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

describe("bench:dispatch", function () {
  this.timeout(60_000);

  it("sends every request through sessions, lobby and fleet to a node, and tells how long it took", () => {
    const out = execFileSync(process.execPath, ["bench/dispatch.ts", "--json", "--journal", "memory", "--rate", "20", "--seconds", "1", "--nodes", "4"], { cwd: root, encoding: "utf8" });
    const result = JSON.parse(out.trim().split("\n").at(-1)!);
    expect(result).to.include({ requests: 20, failed: 0, journal: "memory", ratePerSecond: 20, nodes: 4 });
    expect(result.dispatchMsP50).to.be.above(0).and.at.most(result.dispatchMsP99);
    expect(Number.isFinite(result.dispatchMsMax)).to.equal(true);
  });
});
