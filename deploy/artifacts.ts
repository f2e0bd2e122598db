// Compiled contracts for the deployment: made where they are missing or old, then read from artifacts/.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import type { Artifact, ArtifactResolver } from "@nomicfoundation/ignition-core";
import { TidelaneError } from "../protocol/errors.ts";

const root = join(import.meta.dirname, "..");
const stampFile = join(root, "cache", "tidelane-sources.sha256");
// Half a minute when the machine is free; one that is shared by others took more than two.
const COMPILE_MS_MAX = 600_000;

/**
 * Compiles with Hardhat where the sources are not those of the last time, so that nothing starts it in vain. The Solidity tests,
 * more than half of the work, are left to whoever runs them.
 * @throws TidelaneError `compilation_failed` with the compiler's words, or that it was not done in time.
 */
export async function compile(): Promise<void> {
  const sources = hashOfSources();
  const isCompiled = existsSync(stampFile) && readFileSync(stampFile, "utf8") === sources && existsSync(join(root, "artifacts/contracts/Escrow.sol/Escrow.json"));
  if (isCompiled) return;
  try {
    await promisify(execFile)(process.execPath, [join(root, "node_modules/hardhat/dist/src/cli.js"), "compile", "--quiet", "--no-tests"], { cwd: root, timeout: COMPILE_MS_MAX });
  } catch (cause) {
    throw notCompiled(cause);
  }
  writeFileSync(stampFile, sources);
}

/** What Hardhat's process ended with, in words: a compiler that was stopped says nothing itself. */
export function notCompiled(cause: unknown): TidelaneError {
  const { killed = false, stderr = "" } = cause as { killed?: boolean; stderr?: string };
  return killed
    ? new TidelaneError(`the contracts were not compiled within ${COMPILE_MS_MAX / 60_000} minutes: the machine has other work. Run the same command again`, { code: "compilation_failed", retryable: true, cause })
    : new TidelaneError(`the contracts do not compile: ${stderr.slice(0, 2_000)}`, { code: "compilation_failed", cause });
}

function hashOfSources(): string {
  const hash = createHash("sha256");
  for (const path of ["hardhat.config.ts", "package-lock.json", ...globSync("contracts/**/*.sol", { cwd: root }).toSorted()]) {
    hash.update(`${path}\n`).update(readFileSync(join(root, path)));
  }
  return `${hash.digest("hex")}\n`;
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
