import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { FileStore } from "../../../node/adapters/store.ts";
import { GroupLog } from "../../../node/adapters/groupLog.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { recordFromJson, recordToJson } from "../../../protocol/records.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { failure } from "../engines/suite.ts";
import { requestOf, silentLog } from "../fixtures.ts";
import { ackOf, endOf, worldOf } from "../serve/world.ts";
import type { ReceiptEntry } from "../../../node/ports.ts";
import type { Hash } from "../../../protocol/units.ts";

const folders: string[] = [];
function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidelane-node-"));
  folders.push(folder);
  return folder;
}
const openAt = (folder: string) => FileStore.open({ folder, evidenceSeconds: 3_600, clock: systemClock, log: silentLog });
const hashOf = (n: number): Hash => `0x${String(n).padStart(64, "0")}`;
const entryOf = (n: number, more: Partial<ReceiptEntry> = {}): ReceiptEntry => ({
  relayerId: 1, head: { nodeSeq: BigInt(n), receiptHash: hashOf(n), cumulative: BigInt(10 * n) }, receiptHash: hashOf(n), sessionId: hashOf(0), charge: 10n,
  assignmentHash: hashOf(1_000 + n), assignmentDeadline: Math.floor(Date.now() / 1_000) + 60, signedAtMs: 5, isAborted: false, ...more,
});

after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });

describe("store", () => {
  it("remembers tabs, attestations, charges, assignments and what is not acked", async () => {
    const folder = folderOf();
    const store = await openAt(folder);
    await store.putReceipt(entryOf(1));
    await store.putReceipt(entryOf(2, { isAborted: true }));
    await store.putReceipt(entryOf(1, { relayerId: 2, receiptHash: hashOf(9), head: { nodeSeq: 5n, receiptHash: hashOf(9), cumulative: 7n } }));
    await store.putAttestation(1, { seq: 42n, hash: hashOf(3) });
    await store.putAck({ ack: { receiptHash: hashOf(1), relayerId: 1, relayerEpoch: 1, ackedAt: 1 }, signature: `0x${"00".repeat(65)}` });
    const seen = (one: FileStore) => ({
      tabs: [one.tab(1), one.tab(2), one.tab(3)], attestation: one.attestation(1), charges: one.sessionCharges(hashOf(0)),
      assignments: [...one.assignmentsSince(0).keys()].sort(), unacked: one.unacked().map((each) => each.receiptHash).sort(), aborted: one.unacked().filter((each) => each.isAborted).map((each) => each.receiptHash),
    });
    const before = seen(store);
    expect(before).to.deep.include({ attestation: { seq: 42n, hash: hashOf(3) }, charges: 10n, unacked: [hashOf(2), hashOf(9)], aborted: [hashOf(2)], assignments: [hashOf(1_001), hashOf(1_002)] });
    expect(before.tabs).to.deep.equal([{ nodeSeq: 2n, receiptHash: hashOf(2), cumulative: 20n }, { nodeSeq: 5n, receiptHash: hashOf(9), cumulative: 7n }, null]);
    await store.close();
    for (let restarts = 0; restarts < 2; restarts++) {
      const again = await openAt(folder);
      expect(seen(again)).to.deep.equal(before);
      await again.close();
    }
  });

  it("forgets assignments whose deadline has passed", async () => {
    const store = await openAt(folderOf());
    await store.putReceipt(entryOf(1, { assignmentDeadline: 100 }));
    expect(store.assignmentsSince(101).size).to.equal(0);
    await store.close();
  });

  it("stays small: what is old is folded together", async function () {
    this.timeout(20_000);
    const folder = folderOf();
    const store = await openAt(folder);
    for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 1_000 }, (_, i) => store.putAttestation(1, { seq: BigInt(1 + round * 1_000 + i), hash: hashOf(i) })));
    await store.close();
    expect(readFileSync(join(folder, "protection.log")).length).to.be.below(4.5 * 1_048_576);
    const again = await openAt(folder);
    expect(again.attestation(1)!.seq).to.equal(40_000n);
    await again.close();
    expect(readFileSync(join(folder, "protection.log")).length).to.be.below(1_000);
  });

  it("keeps the evidence that a force needs, whole", async () => {
    const folder = folderOf();
    const store = await openAt(folder);
    const world = worldOf();
    const request = await requestOf();
    const end = endOf(await world.send(request));
    const record = { ...request.covered, assignment: request.assignment, assignmentSignature: request.assignmentSignature, receipt: end.receipt, receiptSignature: end.signature };
    await store.putRecord(record);
    await store.putAck(await ackOf(end));
    await store.close();
    const lines = readFileSync(join(folder, "evidence", "000001.log"), "utf8").trim().split("\n").map((line) => JSON.parse(line.slice(9)) as Record<string, unknown>);
    expect(recordToJson(recordFromJson(lines[0]!.record))).to.deep.equal(recordToJson(record));
    expect(lines[1]).to.include({ receiptHash: hashStruct("TaskReceipt", end.receipt) });
  });

  it("drops evidence only when no force can use it any more", async () => {
    const folder = folderOf();
    for (let starts = 0; starts < 3; starts++) {
      const store = await openAt(folder);
      await store.putAck({ ack: { receiptHash: hashOf(starts), relayerId: 1, relayerEpoch: 1, ackedAt: 1 }, signature: `0x${"00".repeat(65)}` });
      await store.close();
    }
    utimesSync(join(folder, "evidence", "000001.log"), 1, 1);
    await (await openAt(folder)).close();
    expect(readdirSync(join(folder, "evidence")).sort()).to.deep.equal(["000002.log", "000003.log", "000004.log"]);
  });

  it("is used by one process at a time", async () => {
    const folder = folderOf();
    const store = await openAt(folder);
    expect(await failure(openAt(folder))).to.equal("folder_in_use");
    await store.close();
    await (await openAt(folder)).close();
  });

  it("cuts off a torn last line, and says when anything else is damaged", async () => {
    const folder = folderOf();
    const store = await openAt(folder);
    await store.putReceipt(entryOf(1));
    await store.close();
    const file = join(folder, "protection.log");
    appendFileSync(file, '00000000 {"k":"receipt","rel');
    const again = await openAt(folder);
    expect(again.tab(1)!.nodeSeq).to.equal(1n);
    await again.putReceipt(entryOf(2));
    await again.close();
    const third = await openAt(folder);
    expect(third.tab(1)!.nodeSeq).to.equal(2n);
    await third.close();
    writeFileSync(file, readFileSync(file, "utf8").replace('"cumulative":"20"', '"cumulative":"21"'));
    expect(await failure(openAt(folder))).to.equal("store_damaged");
  });

  it("names a folder of another version", async () => {
    const folder = folderOf();
    const { log } = await GroupLog.open(join(folder, "protection.log"));
    await log.append({ k: "version", version: 99 });
    await log.close();
    expect(await failure(FileStore.open({ folder, evidenceSeconds: 1, clock: systemClock, log: silentLog }))).to.equal("store_version");
  });
});

describe("group log", () => {
  it("makes one sync do for all that wait", async () => {
    const { log } = await GroupLog.open(join(folderOf(), "log"));
    await Promise.all(Array.from({ length: 500 }, (_, i) => log.append({ i })));
    expect(log.syncs).to.be.at.most(3);
    await log.close();
  });

  it("keeps the order, also through rewrites in between", async () => {
    const path = join(folderOf(), "log");
    const { log } = await GroupLog.open(path);
    const state: number[] = [];
    const append = (n: number): Promise<void> => {
      state.push(n);
      return log.append(n);
    };
    for (let round = 0; round < 10; round++) {
      await Promise.all([...Array.from({ length: 20 }, (_, i) => append(100 * round + i)), log.rewrite(() => state), log.rewrite(() => state), append(100 * round + 20)]);
      if (round % 2 === 0) await append(100 * round + 21);
    }
    await log.close();
    const { entries, log: again } = await GroupLog.open(path);
    expect(entries).to.deep.equal(state);
    await again.close();
  });

  it("refuses everything once it is closed or has failed", async () => {
    const { log } = await GroupLog.open(join(folderOf(), "log"));
    await log.close();
    expect(await failure(log.append(1))).to.equal("store_failed");
  });
});

describe("store: killed at any moment", function () {
  this.timeout(60_000);

  /** @returns what the child printed until it was killed. */
  async function runAndKill(folder: string, afterReleased: number): Promise<string[]> {
    const child = spawn(process.execPath, [fileURLToPath(new URL("./storeChild.ts", import.meta.url)), folder], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (part: Buffer) => {
      text += part.toString();
      if (text.split("released").length > afterReleased) child.kill("SIGKILL");
    });
    await once(child, "close");
    return text.split("\n").slice(0, -1);
  }

  it("never signs at or below what it let go, and never claims less", async () => {
    const folder = folderOf();
    let greatest = { seq: 0n, cumulative: 0n };
    for (const afterReleased of [1, 7, 50, 3, 200]) {
      const lines = (await runAndKill(folder, afterReleased)).map((line) => line.split(" "));
      const [, seq, cumulative] = lines[0]!;
      expect(BigInt(seq!) >= greatest.seq, "the seq after the restart").to.equal(true);
      expect(BigInt(cumulative!) >= greatest.cumulative, "the total after the restart").to.equal(true);
      for (const [, released, total] of lines.slice(1)) {
        expect(BigInt(released!) > greatest.seq).to.equal(true);
        if (BigInt(released!) > greatest.seq) greatest = { seq: BigInt(released!), cumulative: BigInt(total!) };
      }
    }
    const store = await openAt(folder);
    expect(store.tab(1)!.nodeSeq >= greatest.seq).to.equal(true);
    await store.close();
    expect(existsSync(join(folder, "protection.log"))).to.equal(true);
  });
});
