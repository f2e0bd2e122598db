// Batch data on disk and in memory: one suite.
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DiskRecords, MemoryRecords } from "../../../relayer/adapters/records.ts";
import type { RecordStore } from "../../../relayer/ports/journal.ts";
import type { Hash } from "../../../protocol/units.ts";
import { codeOf } from "./journalSuite.ts";

const hash: Hash = `0x${"ab".repeat(32)}`;
const bytes = new TextEncoder().encode("{\"tasks\":[]}");

describe("batch data", () => {
  let dir = "";
  before(() => { dir = mkdtempSync(join(tmpdir(), "tidelane-records-")); });
  after(() => { rmSync(dir, { recursive: true, force: true }); });

  const stores: [string, () => RecordStore][] = [["on disk", () => new DiskRecords(join(dir, "records"))], ["in memory", () => new MemoryRecords()]];
  for (const [name, make] of stores) {
    describe(name, () => {
      it("comes back byte by byte, put once or twice", async () => {
        const store = make();
        expect(await store.get(hash)).to.equal(null);
        await store.put(hash, bytes);
        await store.put(hash, bytes);
        expect(new Uint8Array((await store.get(hash))!)).to.deep.equal(bytes);
      });
    });
  }

  it("is found by another process, and leaves no unfinished file", async () => {
    await new DiskRecords(join(dir, "shared")).put(hash, bytes);
    expect(new Uint8Array((await new DiskRecords(join(dir, "shared")).get(hash))!)).to.deep.equal(bytes);
    expect(readdirSync(join(dir, "shared", "ab"))).to.deep.equal([`${hash}.json`]);
  });

  it("lets go of what was written before a time, of one folder, and of nothing younger", async () => {
    const store = new DiskRecords(join(dir, "old"));
    const [young, elsewhere]: [Hash, Hash] = [`0xab${"00".repeat(31)}`, `0xcd${"00".repeat(31)}`];
    for (const one of [hash, young, elsewhere]) await store.put(one, bytes);
    const aDayAgo = Date.now() / 1_000 - 86_400;
    for (const one of [hash, elsewhere]) utimesSync(join(dir, "old", one.slice(2, 4), `${one}.json`), aDayAgo, aDayAgo);
    expect(await store.prune(0xab, Date.now() - 60_000)).to.equal(1);
    expect([await store.get(hash), await store.get(young), await store.get(elsewhere)].map((found) => found !== null)).to.deep.equal([false, true, true]);
    expect(await store.prune(0xab, Date.now() - 60_000)).to.equal(0);
    expect(await store.prune(0x00, Date.now()), "where nothing was ever written").to.equal(0);
    expect(store.folders).to.equal(256);
  });

  it("says so when the disk does not take it", async () => {
    const store = new DiskRecords("/dev/null/records");
    expect(await codeOf(store.put(hash, bytes))).to.equal("records_unavailable");
    expect(await codeOf(store.get(hash))).to.equal("records_unavailable");
    expect(await codeOf(store.prune(0xab, 1))).to.equal("records_unavailable");
  });
});
