// Gas as it was when somebody last looked: committed, so that a change shows its cost as a difference.
//
// Accounts, keys, salts and the chain's first timestamp are fixed, signatures deterministic (RFC 6979), and the compiler comes from
// the lockfile. What is left to chance is how many seconds a run takes, hence a few zero bytes in timestamps: tens of gas.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { GasCosts } from "./costs.ts";

const file = join(import.meta.dirname, "../../test/snapshots/gas.json");
/** A greater change, up or down, is to be seen and written down. */
const CHANGE_MAX = 0.02;

export const readSnapshot = (): GasCosts => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) as GasCosts : {});

export function writeSnapshot(gas: GasCosts): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(gas, null, 2)}\n`);
}

/** @returns one line for each measured operation that is new or differs by more than two percent either way. */
export function changesOf(snapshot: GasCosts, measured: GasCosts): readonly string[] {
  return Object.entries(measured).flatMap(([operation, gas]) => {
    const before = snapshot[operation];
    if (before === undefined) return [`${operation}: ${gas}, and no snapshot`];
    const change = gas / before - 1;
    return Math.abs(change) <= CHANGE_MAX ? [] : [`${operation}: ${before} before, ${gas} now (${change > 0 ? "+" : ""}${(change * 100).toFixed(1)} %)`];
  });
}
