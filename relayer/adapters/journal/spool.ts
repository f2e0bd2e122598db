// Finished tasks that the database could not take, on disk until it can.
//
//   append ─▶ spool.jsonl ── rename ─▶ spool.replay.jsonl ── every line committed ─▶ removed
//                                            │
//                                            └─ a line that the database refuses ─▶ spool.refused.jsonl, for a person to look at
//
// Replaying a line that was committed already changes nothing, so a crash at any arrow is harmless.
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { TidelaneError } from "../../../protocol/errors.ts";

/** A limit on the disk; at 4 kB a task this is a quarter of a million tasks. */
const BYTES_MAX = 1_000_000_000;

export class Spool {
  readonly #dir: string;
  #file: FileHandle | null = null;
  #waiting: { line: string; done: () => void; failed: (error: unknown) => void }[] = [];
  #writing: Promise<void> | null = null;
  #bytes: number;

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    cutTornLine(this.#current);
    this.#bytes = existsSync(this.#current) ? statSync(this.#current).size : 0;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0 && !existsSync(this.#replay);
  }

  /** Resolves when the line is synced; lines that wait together share one sync. @throws `spool_full`, or what the disk says. */
  append(entry: Record<string, unknown>): Promise<void> {
    const line = `${JSON.stringify(entry)}\n`;
    if (this.#bytes + line.length > BYTES_MAX) {
      return Promise.reject(new TidelaneError(`The spool in ${this.#dir} is full: the database has been away for too long.`, { code: "spool_full", retryable: true }));
    }
    this.#bytes += line.length;
    return new Promise((done, failed) => {
      this.#waiting.push({ line, done, failed });
      this.#writing ??= this.#write().finally(() => { this.#writing = null; });
    });
  }

  /**
   * Hands every line to `commit` in order.
   * @param commit resolves false where the database refuses the entry for good; throws where it cannot be reached.
   * @returns how many were committed.
   */
  async replay(commit: (entry: unknown) => Promise<boolean>): Promise<number> {
    let committed = 0;
    while (!this.isEmpty) {
      if (!existsSync(this.#replay)) await this.#turn();
      const lines = readFileSync(this.#replay, "utf8").split("\n").filter((line) => line !== "");
      for (const line of lines) {
        if (await commit(JSON.parse(line))) committed += 1;
        else await appendSynced(join(this.#dir, "spool.refused.jsonl"), `${line}\n`);
      }
      rmSync(this.#replay);
      syncFolder(this.#dir);
    }
    return committed;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = null;
  }

  get #current(): string {
    return join(this.#dir, "spool.jsonl");
  }

  get #replay(): string {
    return join(this.#dir, "spool.replay.jsonl");
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (!this.#file) {
          this.#file = await open(this.#current, "a", 0o600);
          syncFolder(this.#dir);
        }
        await this.#file.appendFile(group.map(({ line }) => line).join(""));
        await this.#file.datasync();
        for (const { done } of group) done();
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
  }

  /** Sets the current file aside; later lines begin a new one. */
  async #turn(): Promise<void> {
    await this.close();
    renameSync(this.#current, this.#replay);
    syncFolder(this.#dir);
    this.#bytes = 0;
  }
}

/** A crash may leave half a line: its task was never said to be safe, so it goes. */
function cutTornLine(path: string): void {
  if (!existsSync(path)) return;
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(10) + 1;
  if (end < bytes.length) truncateSync(path, end);
}

async function appendSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "a", 0o600);
  try {
    await file.appendFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A new name is durable once its folder is. */
function syncFolder(dir: string): void {
  const folder = openSync(dir, "r");
  fsyncSync(folder);
  closeSync(folder);
}
