// A watcher's folder: what relayers published, by its hash; batches with what was shown of them; an index; the journal.
//
//   objects/ab/0xab..      bytes by keccak256, checked when written and when read
//   batches/1-7.json       header, lists and shown paths, checked against the header's own hashes when read
//   index/<week>/0ab.tsv   notes by key: what a later batch is compared with
//   state.json             where the watcher is and what it has begun; replaced whole
//   journal.jsonl          what it did, one line each
import { appendFile, mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex, keccak256, stringToHex } from "viem/utils";
import { itemsHash } from "../protocol/merkleSum.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { hashStruct } from "../protocol/typedData.ts";
import type { Hash } from "../protocol/units.ts";
import type { KeptBatch, Note, WatchArchive } from "./ports.ts";

const WEEK_MS = 7 * 86_400_000;
const SHARD_DIGITS = 3;
/** Shards held in memory; a batch's lookups go to as many as it has keys, at most. */
const SHARDS_CACHED_MAX = 512;
/** Ends each note: a line without it was cut off when the watcher was killed while writing. */
const END = ".";

export interface ArchiveLimits {
  /** Relayers serve for 90 days; nobody can be punished for much longer. */
  readonly keepDays: number;
  readonly bytesMax: number;
}

/** @param nowMs the wall clock: files are as old as their last change. @throws `archive_in_use` */
export async function watchArchive(folder: string, limits: ArchiveLimits, nowMs: () => number): Promise<WatchArchive & { close(): Promise<void> }> {
  for (const name of ["objects", "batches", "index"]) await mkdir(join(folder, name), { recursive: true });
  const release = await locked(folder);
  const index = new Index(join(folder, "index"), nowMs);
  const [indexed, written] = [new Turns(), new Turns()];
  const objectPath = (hash: Hash): string => join(folder, "objects", hash.slice(2, 4), hash);
  const batchPath = (relayerId: number, batchId: bigint): string => join(folder, "batches", `${relayerId}-${batchId}.json`);
  return {
    object: async (hash) => {
      const bytes = await bytesOrNull(objectPath(hash));
      // A file that rotted counts as missing: it is fetched again.
      return bytes && keccak256(bytesToHex(bytes)) === hash ? bytes : null;
    },
    keepObject: async (hash, bytes) => {
      if (keccak256(bytesToHex(bytes)) !== hash) throw new TidelaneError("These bytes do not have the hash under which they were to be kept.", { code: "wrong_bytes", details: { hash } });
      await mkdir(join(folder, "objects", hash.slice(2, 4)), { recursive: true });
      await replace(objectPath(hash), bytes);
    },
    batch: async (relayerId, batchId) => {
      const bytes = await bytesOrNull(batchPath(relayerId, batchId));
      return bytes && keptBatch(bytes);
    },
    keepBatch: (batch) => replace(batchPath(batch.header.relayerId, batch.header.batchId), Buffer.from(exactJson(batch))),
    noted: (kind, key) => indexed.take(() => index.of(kind, key)),
    note: (notes) => indexed.take(() => index.add(notes)),
    loadState: async () => {
      const bytes = await bytesOrNull(join(folder, "state.json"));
      return bytes && fromExactJson(bytes);
    },
    saveState: (state) => written.take(() => replace(join(folder, "state.json"), Buffer.from(exactJson(state)))),
    log: (entry) => written.take(() => appendFile(join(folder, "journal.jsonl"), `${exactJson(entry)}\n`)),
    prune: async () => {
      const dropped = await pruned(folder, limits, nowMs());
      index.forget();
      if (dropped > 0) await written.take(() => appendFile(join(folder, "journal.jsonl"), `${exactJson({ what: "dropped", files: dropped, detail: `the folder held more than ${limits.bytesMax} bytes: its oldest files are gone, though not ${limits.keepDays} days old` })}\n`));
    },
    close: release,
  };
}

/** Null where it is not what its header says: the chain has it still. */
function keptBatch(bytes: Uint8Array): KeptBatch | null {
  try {
    const batch = fromExactJson(bytes) as KeptBatch;
    const { header, debits, credits } = batch;
    const isWhole = hashStruct("BatchHeader", header) === batch.batchHash && (debits === null || itemsHash(debits) === header.debitsHash)
      && (credits === null || itemsHash(credits) === header.creditsHash) && Array.isArray(batch.shown);
    return isWhole ? batch : null;
  } catch {
    return null;
  }
}

/** One after the other: several relayers are looked at at once, and a file has one truth. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Notes by key in files that each hold a part of the keys of a week. */
class Index {
  readonly #folder: string;
  readonly #nowMs: () => number;
  readonly #cached = new Map<string, Map<string, string[]>>();

  constructor(folder: string, nowMs: () => number) {
    this.#folder = folder;
    this.#nowMs = nowMs;
  }

  forget(): void {
    this.#cached.clear();
  }

  async of(kind: string, key: string): Promise<readonly string[]> {
    const found: string[] = [];
    for (const week of (await readdir(this.#folder)).sort((one, other) => Number(one) - Number(other))) {
      const shard = await this.#shard(join(this.#folder, week, shardOf(kind, key)));
      found.push(...shard.get(`${kind}\t${key}`) ?? []);
    }
    return found;
  }

  async add(notes: readonly Note[]): Promise<void> {
    const week = join(this.#folder, String(Math.floor(this.#nowMs() / WEEK_MS)));
    await mkdir(week, { recursive: true });
    for (const [shard, own] of Map.groupBy(notes, ({ kind, key }) => shardOf(kind, key))) {
      const path = join(week, shard);
      const known = await this.#shard(path);
      // Followed again after a restart or a reorganisation, the same is noted once.
      const fresh = own.filter(({ kind, key, value }) => !known.get(`${kind}\t${key}`)?.includes(value));
      for (const { kind, key, value } of fresh) known.set(`${kind}\t${key}`, [...known.get(`${kind}\t${key}`) ?? [], value]);
      if (fresh.length > 0) await appendFile(path, `\n${fresh.map(({ kind, key, value }) => `${kind}\t${key}\t${value}\t${END}`).join("\n")}\n`);
    }
  }

  async #shard(path: string): Promise<Map<string, string[]>> {
    const cached = this.#cached.get(path);
    if (cached) return cached;
    const shard = new Map<string, string[]>();
    const lines = Buffer.from(await bytesOrNull(path) ?? []).toString().split("\n");
    for (const [kind, key, value, end] of lines.map((line) => line.split("\t"))) {
      if (value !== undefined && end === END) shard.set(`${kind}\t${key}`, [...shard.get(`${kind}\t${key}`) ?? [], value]);
    }
    if (this.#cached.size >= SHARDS_CACHED_MAX) this.#cached.delete(this.#cached.keys().next().value!);
    this.#cached.set(path, shard);
    return shard;
  }
}

const shardOf = (kind: string, key: string): string => `${keccak256(stringToHex(`${kind}\t${key}`)).slice(2, 2 + SHARD_DIGITS)}.tsv`;

/** @returns how many files had to go for the folder's size alone */
async function pruned(folder: string, { keepDays, bytesMax }: ArchiveLimits, nowMs: number): Promise<number> {
  const files: { path: string; size: number; changedMs: number }[] = [];
  for (const part of ["objects", "batches", "index"]) {
    for (const entry of await readdir(join(folder, part), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = await stat(path);
      files.push({ path, size, changedMs: mtimeMs });
    }
  }
  let total = files.reduce((sum, { size }) => sum + size, 0);
  let early = 0;
  for (const { path, size, changedMs } of files.sort((one, other) => one.changedMs - other.changedMs)) {
    const isOld = nowMs - changedMs > keepDays * 86_400_000;
    if (total <= bytesMax && !isOld) break;
    await rm(path, { force: true });
    total -= size;
    if (!isOld) early += 1;
  }
  return early;
}

/** One watcher for a folder. The lock of one that died is taken over. */
async function locked(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "lock");
  const holder = Number(Buffer.from(await bytesOrNull(path) ?? []).toString());
  if (holder > 0 && holder !== process.pid && isAlive(holder)) {
    throw new TidelaneError(`Another watcher (process ${holder}) works in ${folder}. Stop it, or give --archive <folder>.`, { code: "archive_in_use", details: { holder } });
  }
  await writeFile(path, String(process.pid));
  return () => rm(path, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whole or not at all, whatever ends the process. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(`${path}.new`, bytes, { flush: true });
  await rename(`${path}.new`, path);
}

async function bytesOrNull(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new TidelaneError(`${path} cannot be read.`, { code: "archive_unreadable", details: { path }, cause: error });
  }
}

/** JSON in which a bigint is a decimal string with an `n` behind it: no member of ours looks like that otherwise. */
const exactJson = (value: unknown): string => JSON.stringify(value, (_key, member: unknown) => (typeof member === "bigint" ? `${member}n` : member));
const fromExactJson = (bytes: Uint8Array): unknown =>
  JSON.parse(Buffer.from(bytes).toString(), (_key, member: unknown) => (typeof member === "string" && /^-?\d+n$/.test(member) ? BigInt(member.slice(0, -1)) : member));
