// The command by which the speed of choices is told: one line of JSON, with every figure that is asked for. How fast is for a quiet machine to say.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

describe("bench:decide", function () {
  this.timeout(60_000);

  it("tells choices, records and the memory of a node as JSON on its last line", () => {
    const script = fileURLToPath(new URL("../../bench/decide.ts", import.meta.url));
    const lines = execFileSync(process.execPath, [script, "--json", "--seconds", "0.05"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim().split("\n");
    const { choicesPerSecond, choicesPerSecond100k, recordsPerSecond, bytesPerNode, bytesPerNode100k } = JSON.parse(lines.at(-1)!) as Record<string, number>;
    for (const perSecond of [choicesPerSecond, choicesPerSecond100k, recordsPerSecond]) expect(perSecond).to.be.above(1_000);
    for (const bytes of [bytesPerNode, bytesPerNode100k]) expect(bytes).to.be.within(100, 2_000);
  });
});
