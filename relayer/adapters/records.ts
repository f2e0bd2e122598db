// The data behind each batch on disk, named by its hash: whole and synced before the batch is, never changed after.
import { open, mkdir, readdir, readFile, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { PrunedRecords, RecordStore } from "../ports/journal.ts";

/** One for each first byte of a hash. */
const FOLDERS = 256;

export class DiskRecords implements RecordStore, PrunedRecords {
  readonly folders = FOLDERS;
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Idempotent: the same hash is the same bytes. @throws `records_unavailable` with what the disk said. */
  async put(dataHash: Hash, bytes: Uint8Array): Promise<void> {
    const folder = this.#folder(dataHash);
    const unfinished = join(folder, `.${dataHash}.${process.pid}`);
    try {
      await mkdir(folder, { recursive: true });
      const file = await open(unfinished, "w", 0o644);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, this.#path(dataHash));
      await syncFolder(folder);
      await syncFolder(this.#dir);
    } catch (cause) {
      throw new TidelaneError("A batch's data cannot be written to disk; settlement waits.", { code: "records_unavailable", retryable: true, cause });
    }
  }

  async get(dataHash: Hash): Promise<Uint8Array | null> {
    try {
      return await readFile(this.#path(dataHash));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new TidelaneError("A batch's data cannot be read from disk.", { code: "records_unavailable", retryable: true, cause: error });
    }
  }

  async prune(folder: number, beforeMs: Millis): Promise<number> {
    const path = join(this.#dir, folder.toString(16).padStart(2, "0"));
    let removed = 0;
    try {
      // Also what a process that died left unfinished.
      for (const name of await readdir(path)) {
        const file = join(path, name);
        if ((await stat(file)).mtimeMs >= beforeMs) continue;
        await unlink(file);
        removed += 1;
      }
    } catch (error) {
      // Nothing was ever written there, or another process of this relayer was faster.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw new TidelaneError("Old records cannot be removed from disk.", { code: "records_unavailable", retryable: true, cause: error });
    }
    return removed;
  }

  /** 256 folders, so that none grows too large to list. */
  #folder(dataHash: Hash): string {
    return join(this.#dir, dataHash.slice(2, 4));
  }

  #path(dataHash: Hash): string {
    return join(this.#folder(dataHash), `${dataHash}.json`);
  }
}

export class MemoryRecords implements RecordStore {
  readonly #bytes = new Map<Hash, Uint8Array>();

  async put(dataHash: Hash, bytes: Uint8Array): Promise<void> {
    this.#bytes.set(dataHash, bytes);
  }

  async get(dataHash: Hash): Promise<Uint8Array | null> {
    return this.#bytes.get(dataHash) ?? null;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
