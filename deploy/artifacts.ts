// Compiled contracts for the deployment: made where they are missing or old, then read from artifacts/.
import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import type { Artifact, ArtifactResolver } from "@nomicfoundation/ignition-core";
import { TidelaneError } from "../protocol/errors.ts";

const root = join(import.meta.dirname, "..");
const COMPILE_MS_MAX = 180_000;

/** Hardhat compiles what has changed. @throws TidelaneError `compilation_failed` with the compiler's words. */
export async function compile(): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [join(root, "node_modules/hardhat/dist/src/cli.js"), "compile", "--quiet"], { cwd: root, timeout: COMPILE_MS_MAX });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr ?? "";
    throw new TidelaneError(`the contracts do not compile: ${said.slice(0, 2_000)}`, { code: "compilation_failed", cause });
  }
}

export const artifacts: ArtifactResolver = {
  async loadArtifact(name) {
    const found = globSync(`artifacts/contracts/**/${name}.json`, { cwd: root }).filter((path) => basename(path) === `${name}.json`);
    if (found.length !== 1) throw new TidelaneError(`${found.length} artifacts are named ${name}; run: npm run compile`, { code: "compilation_failed" });
    return JSON.parse(readFileSync(join(root, found[0]!), "utf8")) as Artifact;
  },
  // Only block explorers ask for it.
  getBuildInfo: async () => undefined,
};
