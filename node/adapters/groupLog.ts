// An append-only file of checksummed lines in which one disk sync serves all that wait for it.
//
//   append ─┐
//   append ─┼─▶ waiting ──one write, one sync──▶ all resolve          append ──▶ waiting for the next sync
//   append ─┘
//
// A crash can only tear the last line; it is cut off when the file is opened. Anything else that does not fit its checksum is
// damage, and is said.
import { open, readFile, rename, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { TidelaneError } from "../../protocol/errors.ts";

const ENTRIES_WAITING_MAX = 10_000;

export class GroupLog {
  readonly #path: string;
  #file: FileHandle;
  #bytes: number;
  #waiting: { line: string; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #rewrites: { entries: () => readonly unknown[]; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #flushing: Promise<void> | null = null;
  #failure: TidelaneError | null = null;
  /** Syncs made so far, for tests of the grouping. */
  syncs = 0;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** @returns the log and the entries that it holds. @throws TidelaneError `store_damaged` */
  static async open(path: string): Promise<{ log: GroupLog; entries: unknown[] }> {
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw storeFailed(path, error);
    });
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const entries = whole.split("\n").slice(0, -1).map((line, i) => entryOf(line, path, i + 1));
    const file = await open(path, "a");
    const bytes = Buffer.byteLength(whole);
    await file.truncate(bytes);
    await file.sync();
    await syncFolder(path);
    return { log: new GroupLog(path, file, bytes), entries };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when the entry is on the disk. @throws retryable TidelaneError `store_failed`, from then on for ever */
  append(entry: unknown): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#waiting.length >= ENTRIES_WAITING_MAX) return Promise.reject(storeFailed(this.#path, new Error("too many entries wait for the disk")));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: lineOf(entry), resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /**
   * Replaces the file.
   * @param entries called when it is done, not before: they stand for everything that was appended up to then.
   */
  rewrite(entries: () => readonly unknown[]): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#rewrites.push({ entries, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async close(): Promise<void> {
    while (this.#flushing) await this.#flushing;
    this.#failure ??= storeFailed(this.#path, new Error("closed"));
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    // A turn of the event loop lets everybody join who signs at the same moment.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length + this.#rewrites.length > 0) {
      const group = this.#waiting.splice(0);
      const rewrites = this.#rewrites.splice(0);
      try {
        // A rewrite stands for the group, too: one or the other goes to the disk.
        if (rewrites.length > 0) await this.#replace(rewrites.at(-1)!.entries());
        else await this.#append(group.map((one) => one.line).join(""));
        for (const one of [...group, ...rewrites]) one.resolve();
      } catch (error) {
        // What the disk holds is unknown now: nothing more may be signed on its word.
        this.#failure = storeFailed(this.#path, error);
        for (const one of [...group, ...rewrites, ...this.#waiting.splice(0), ...this.#rewrites.splice(0)]) one.reject(this.#failure);
      }
    }
    this.#flushing = null;
  }

  async #append(lines: string): Promise<void> {
    const bytes = Buffer.from(lines);
    await this.#file.appendFile(bytes);
    await this.#file.datasync();
    this.syncs++;
    this.#bytes += bytes.length;
  }

  async #replace(entries: readonly unknown[]): Promise<void> {
    const next = await open(`${this.#path}.next`, "w");
    const bytes = Buffer.from(entries.map(lineOf).join(""));
    await next.writeFile(bytes);
    await next.sync();
    await next.close();
    await rename(`${this.#path}.next`, this.#path);
    await syncFolder(this.#path);
    await this.#file.close();
    this.#file = await open(this.#path, "a");
    this.#bytes = bytes.length;
  }
}

const lineOf = (entry: unknown): string => {
  const json = JSON.stringify(entry);
  return `${crc32(json).toString(16).padStart(8, "0")} ${json}\n`;
};

/** The entry of one line. @throws TidelaneError `store_damaged` where it does not fit its checksum */
export function entryOf(line: string, path: string, number: number): unknown {
  const json = line.slice(9);
  if (line.slice(0, 9) !== `${crc32(json).toString(16).padStart(8, "0")} `) {
    throw new TidelaneError(`${path}: line ${number} is damaged. Move the file away: the agent then resumes from the relayer's last record and the chain.`,
      { code: "store_damaged", details: { path, line: number } });
  }
  return JSON.parse(json);
}

const storeFailed = (path: string, cause: unknown): TidelaneError =>
  new TidelaneError(`${path} cannot be written: nothing is signed until the agent is started again on a disk that works.`, { code: "store_failed", retryable: true, details: { path }, cause });

/** A new name in a folder is durable only when the folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
