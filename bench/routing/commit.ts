// Which state of the code made a figure.
import { execFileSync } from "node:child_process";

/** What the simulator's figures depend on. */
const PATHS = ["bench/routing.ts", "bench/measures.ts", "bench/routing", "bench/sim", "bench/traces", "relayer/lobby", "relayer/routing"] as const;

export interface Commit {
  /** The last that changed any of it. */
  readonly hash: string;
  readonly isClean: boolean;
}

/** @returns `unknown`, and not clean, outside of a repository */
export function commit(): Commit {
  try {
    const git = (...args: string[]): string => execFileSync("git", [...args, "--", ...PATHS], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    const hash = git("log", "-1", "--format=%h");
    return { hash: hash || "unknown", isClean: hash !== "" && git("status", "--porcelain") === "" };
  } catch {
    return { hash: "unknown", isClean: false };
  }
}

export const commitText = ({ hash, isClean }: Commit): string => (isClean ? hash : `${hash} with changes`);
