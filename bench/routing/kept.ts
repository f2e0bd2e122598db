// Finished simulations on disk, so that a long matrix that was broken off goes on where it was.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commit, type Commit } from "./commit.ts";

export interface Store {
  /** @returns undefined where it was not run with this code */
  read(task: unknown): unknown;
  write(task: unknown, result: unknown): void;
}

/**
 * @param folder made where it is missing; undefined: nothing is kept. A result is known by its task and by the commit that made it; of
 * code with changes nothing is read back.
 */
export function kept(folder: string | undefined, code: () => Commit = commit): Store {
  if (folder === undefined) return { read: () => undefined, write: () => undefined };
  const { hash, isClean } = code();
  mkdirSync(folder, { recursive: true });
  const fileOf = (task: unknown): string => join(folder, `${createHash("sha256").update(JSON.stringify([task, hash])).digest("hex").slice(0, 32)}.json`);
  return {
    read: (task) => (isClean && existsSync(fileOf(task)) ? JSON.parse(readFileSync(fileOf(task), "utf8")).result : undefined),
    write: (task, result) => {
      if (!isClean) return;
      // Renamed when whole: a run that is killed leaves no half of a file.
      writeFileSync(`${fileOf(task)}.part`, JSON.stringify({ task, commit: hash, result }));
      renameSync(`${fileOf(task)}.part`, fileOf(task));
    },
  };
}
