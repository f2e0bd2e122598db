// Following events: each at least once, none passed over for want of room, and after a restart from the oldest that is at hand.
import { expect } from "chai";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { EventFollower, type Seen } from "../../../relayer/loops/follow.ts";

describe("following events", () => {
  let journal: MemoryJournal;
  let happened: Seen[];
  let asked: [bigint, bigint][];
  beforeEach(() => {
    journal = new MemoryJournal();
    happened = [];
    asked = [];
  });
  const at = (...blocks: bigint[]): Seen[] => blocks.map((blockNumber) => ({ blockNumber }));
  const read = async (from: bigint, to: bigint): Promise<readonly Seen[]> => {
    asked.push([from, to]);
    return happened.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to);
  };
  const blocksOf = (seen: readonly Seen[]): bigint[] => seen.map(({ blockNumber }) => blockNumber);

  it("reads on in stretches, and the blocks that may still change again", async () => {
    const follower = new EventFollower(journal, "here");
    await follower.readOn(4_500n, read, () => true);
    expect(asked).to.deep.equal([[0n, 1_999n], [2_000n, 3_999n], [4_000n, 4_500n]]);
    asked = [];
    await follower.readOn(4_501n, read, () => true);
    expect(asked).to.deep.equal([[4_469n, 4_501n]]);
  });

  it("begins again with the first that had no room, and takes what comes after it too", async () => {
    happened = at(100n, 200n, 3_000n);
    const follower = new EventFollower(journal, "here");
    const taken = new Set<Seen>();
    let room = 1;
    const take = (seen: Seen): boolean => taken.has(seen) || (taken.size < room && Boolean(taken.add(seen)));
    await follower.readOn(5_000n, read, take);
    expect(blocksOf([...taken])).to.deep.equal([100n]);
    room = 9;
    await follower.readOn(5_001n, read, take);
    expect(blocksOf([...taken])).to.deep.equal([100n, 200n, 3_000n]);
  });

  it("goes on after a restart from the oldest at hand, also where the rest had no room, and with a failed reading from its beginning", async () => {
    happened = at(2_500n, 2_600n);
    const follower = new EventFollower(journal, "here");
    await follower.readOn(5_000n, read, ({ blockNumber }) => blockNumber < 2_600n);
    await follower.keep(5_000n, at(2_500n));
    expect(await journal.getFact("here")).to.equal("2500");
    await follower.keep(5_000n, []);
    expect(await journal.getFact("here"), "what had no room").to.equal("2600");
    const again = new EventFollower(journal, "here");
    const failed = await again.readOn(6_000n, () => Promise.reject(new Error("away")), () => true).then(() => "", (error: Error) => error.message);
    expect(failed).to.equal("away");
    asked = [];
    await again.readOn(6_000n, read, () => true);
    expect(asked[0]).to.deep.equal([2_568n, 4_567n]);
    await again.keep(6_000n, []);
    expect(await journal.getFact("here")).to.equal("6000");
    // Not at every block.
    await again.readOn(6_010n, read, () => true);
    await again.keep(6_010n, []);
    expect(await journal.getFact("here")).to.equal("6000");
  });
});
