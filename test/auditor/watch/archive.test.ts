// A watcher's folder: nothing damaged is believed, nothing is noted twice, one watcher at a time, the oldest goes first.
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, stringToHex } from "viem/utils";
import { watchArchive } from "../../../auditor/sourcesWatchArchive.ts";
import type { KeptBatch } from "../../../auditor/ports.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { itemsHash } from "../../../protocol/merkleSum.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { ZERO_HASH, type Hash } from "../../../protocol/units.ts";

const LIMITS = { keepDays: 10, bytesMax: 2 ** 20 };
const DAY_MS = 86_400_000;
const bytesOf = (text: string): { hash: Hash; bytes: Uint8Array } => ({ hash: keccak256(stringToHex(text)), bytes: Buffer.from(text) });
const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => "none", (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)));

describe("a watcher's archive", () => {
  let folder: string;
  let nowMs: number;
  const opened = (limits = LIMITS) => watchArchive(folder, limits, () => nowMs);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-archive-"));
    nowMs = Date.now();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const kept = (): KeptBatch => {
    const [debits, credits] = [[{ id: ZERO_HASH, change: 5n }], [{ id: ZERO_HASH, change: 4n }]];
    const header = {
      relayerId: 1, relayerEpoch: 1, batchId: 7n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1, debitsHash: itemsHash(debits), creditsHash: itemsHash(credits),
      totalDebit: 5n, totalCredit: 4n, dataHash: ZERO_HASH, periodStart: 0, periodEnd: 1, postBy: 2,
    };
    return { header, batchHash: hashStruct("BatchHeader", header), postedAt: 3, debits, credits, shown: [] };
  };

  it("keeps bytes under their hash, across restarts, and takes none under another's", async () => {
    const { hash, bytes } = bytesOf("data");
    const archive = await opened();
    expect(await archive.object(hash)).to.equal(null);
    expect(await codeOf(archive.keepObject(ZERO_HASH, bytes))).to.equal("wrong_bytes");
    await archive.keepObject(hash, bytes);
    await archive.close();
    expect(Buffer.from((await (await opened()).object(hash))!).toString()).to.equal("data");
  });

  it("counts bytes that rotted as missing", async () => {
    const { hash, bytes } = bytesOf("data");
    const archive = await opened();
    await archive.keepObject(hash, bytes);
    writeFileSync(join(folder, "objects", hash.slice(2, 4), hash), "date");
    expect(await archive.object(hash)).to.equal(null);
  });

  it("gives a batch back as it was, and none whose header, lists or text were touched", async () => {
    const archive = await opened();
    const batch = kept();
    await archive.keepBatch(batch);
    expect(await archive.batch(1, 7n)).to.deep.equal(batch);
    const path = join(folder, "batches", "1-7.json");
    const text = readFileSync(path, "utf8");
    for (const [from, to] of [['"totalDebit":"5n"', '"totalDebit":"6n"'], ['"change":"5n"', '"change":"6n"'], ['"change":"4n"', '"change":"3n"'], ["{", ""]] as const) {
      expect(text).to.include(from);
      writeFileSync(path, text.replace(from, to));
      expect(await archive.batch(1, 7n), to).to.equal(null);
    }
  });

  it("notes a thing once, finds it after a restart and in earlier weeks, and drops a line that was cut off", async () => {
    const archive = await opened();
    await archive.note([{ kind: "task", key: "1:a", value: "1:7" }, { kind: "task", key: "1:a", value: "1:8" }, { kind: "seq", key: "1:a", value: "other" }]);
    await archive.note([{ kind: "task", key: "1:a", value: "1:7" }]);
    await archive.close();
    const [week] = readdirSync(join(folder, "index"));
    for (const shard of readdirSync(join(folder, "index", week!))) appendFileSync(join(folder, "index", week!, shard), "\ntask\t1:a\t1:99");
    nowMs += 8 * DAY_MS;
    const later = await opened();
    await later.note([{ kind: "task", key: "1:a", value: "1:9" }]);
    expect(await later.noted("task", "1:a")).to.deep.equal(["1:7", "1:8", "1:9"]);
    expect(await later.noted("task", "1:b")).to.deep.equal([]);
    await later.close();
    nowMs -= 8 * DAY_MS;
    const again = await opened();
    await again.note([{ kind: "task", key: "1:a", value: "1:10" }]);
    await again.close();
    expect(await (await opened()).noted("task", "1:a")).to.deep.equal(["1:7", "1:8", "1:10", "1:9"]);
  });

  it("is whole when several write at once", async () => {
    const archive = await opened();
    const values = Array.from({ length: 50 }, (_, i) => String(i));
    await Promise.all(values.flatMap((value) => [archive.note([{ kind: "task", key: "a", value }]), archive.saveState({ value }), archive.log({ value })]));
    await archive.close();
    const again = await opened();
    expect(await again.noted("task", "a")).to.deep.equal(values);
    expect(await again.loadState()).to.deep.equal({ value: "49" });
    expect(readFileSync(join(folder, "journal.jsonl"), "utf8").trim().split("\n")).to.have.length(50);
  });

  it("belongs to one watcher, and is taken over from one that died", async () => {
    const archive = await opened();
    const lock = join(folder, "lock");
    writeFileSync(lock, String(process.ppid));
    expect(await codeOf(opened())).to.equal("archive_in_use");
    // No process has this number: it is above the greatest that Linux gives out.
    writeFileSync(lock, String(2 ** 22 + 1));
    expect(await codeOf(opened())).to.equal("none");
    await archive.close();
  });

  it("drops what is too old, and the oldest where it is too large", async () => {
    const archive = await opened();
    const [old, young] = [bytesOf("old"), bytesOf("young")];
    for (const { hash, bytes } of [old, young]) await archive.keepObject(hash, bytes);
    const path = ({ hash }: typeof old): string => join(folder, "objects", hash.slice(2, 4), hash);
    utimesSync(path(old), (nowMs - 11 * DAY_MS) / 1_000, (nowMs - 11 * DAY_MS) / 1_000);
    await archive.prune();
    expect(await archive.object(old.hash)).to.equal(null);
    expect(await archive.object(young.hash)).to.not.equal(null);
    await archive.close();
    const small = await opened({ keepDays: 10, bytesMax: 6 });
    await small.keepObject(old.hash, old.bytes);
    utimesSync(path(old), nowMs / 1_000 - 60, nowMs / 1_000 - 60);
    await small.prune();
    expect(await small.object(old.hash)).to.equal(null);
    expect(await small.object(young.hash)).to.not.equal(null);
    // What went for its age alone is nothing to speak of.
    const told = readFileSync(join(folder, "journal.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as { what: string; files: number });
    expect(told.map(({ what, files }) => [what, files])).to.deep.equal([["dropped", 1]]);
  });
});
