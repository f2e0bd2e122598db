import { expect } from "chai";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { Retention } from "../../../relayer/loops/retention.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ManualClock } from "../work/fleetRig.ts";

const DAY_MS = 86_400_000;

describe("old records", () => {
  const asked: { folder: number; beforeMs: number }[] = [];
  let failure: TidelaneError | null;
  let chainMs: number;
  let clock: ManualClock;
  let retention: Retention;
  let journal: MemoryJournal;
  beforeEach(() => {
    asked.length = 0;
    failure = null;
    clock = new ManualClock();
    chainMs = clock.nowMs();
    const head = async () => ({ number: 1n, timestampSeconds: chainMs / 1_000, hash: `0x${"11".repeat(32)}` as const });
    const prune = async (folder: number, beforeMs: number): Promise<number> => {
      if (failure) throw failure;
      asked.push({ folder, beforeMs });
      return 1;
    };
    journal = new MemoryJournal();
    retention = new Retention({ journal, clock, log: silentLog, metrics: noMetrics, chain: { head }, records: { folders: 3, prune }, keptMs: 90 * DAY_MS });
  });

  it("go folder by folder, and round again", async () => {
    for (let i = 0; i < 4; i++) await retention.round();
    expect(asked.map(({ folder }) => folder)).to.deep.equal([0, 1, 2, 0]);
    expect(asked[0]!.beforeMs).to.equal(clock.nowMs() - 90 * DAY_MS);
  });

  it("stay where only one of two clocks says that it is time", async () => {
    const before = chainMs;
    clock.pass(1_000 * DAY_MS);
    await retention.round();
    expect(asked[0]!.beforeMs).to.equal(before - 90 * DAY_MS);
    chainMs = clock.nowMs() + 1_000 * DAY_MS;
    await retention.round();
    expect(asked[1]!.beforeMs).to.equal(clock.nowMs() - 90 * DAY_MS);
  });

  it("go with the answers that clients had a day to ask for again", async () => {
    const key = [`0x${"22".repeat(32)}`, "resp_1"] as const;
    const claimedAtMs = clock.nowMs();
    await journal.claimIdempotency(...key, `0x${"00".repeat(32)}`, claimedAtMs);
    await journal.completeIdempotency(...key, "{}");
    clock.pass(DAY_MS);
    await retention.round();
    expect(await journal.keptResponse(...key)).to.deep.equal({ response: "{}", claimedAtMs });
    clock.pass(1);
    await retention.round();
    expect(await journal.keptResponse(...key)).to.equal(null);
  });

  it("are looked at again where the disk or the chain failed", async () => {
    failure = new TidelaneError("test: disk", { code: "records_unavailable", retryable: true });
    await retention.round();
    failure = null;
    await retention.round();
    expect(asked.map(({ folder }) => folder)).to.deep.equal([0]);
  });
});
