// solhint finds nothing in the contracts; the rules that are off are explained in docs/analysis.md.
import { expect } from "chai";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");

describe("solhint", function () {
  this.timeout(120_000);

  it("finds nothing", async () => {
    const solhint = createRequire(import.meta.url).resolve("solhint/solhint.js");
    const { stdout } = await promisify(execFile)(process.execPath, [solhint, "--disc", "--max-warnings", "0", "contracts/**/*.sol"], { cwd: root })
      .catch((error: { stdout: string; stderr: string }) => ({ stdout: error.stdout + error.stderr }));
    expect(stdout.trim()).to.equal("");
  });

  it("has no rule switched off without a reason", () => {
    const { rules } = JSON.parse(readFileSync(join(root, ".solhint.json"), "utf8")) as { rules: Record<string, unknown> };
    const explained = readFileSync(join(root, "docs/analysis.md"), "utf8");
    for (const [rule] of Object.entries(rules).filter(([, value]) => value === "off")) expect(explained, rule).to.include(rule);
  });
});
