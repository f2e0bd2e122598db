import { expect } from "chai";
import { concatHex, keccak256, numberToHex } from "viem/utils";
import { drawOf, epochAt, provesSeed, SeedChain, SEED_CHAIN_LENGTH_MAX } from "../../../relayer/routing/seeds.ts";
import { Mode } from "../../../protocol/constants.ts";
import type { Hash } from "../../../protocol/units.ts";

const SECRET: Hash = `0x${"5e".repeat(32)}`;

describe("the seed chain", () => {
  it("ends in its secret, and every seed is the hash of the next", () => {
    const chain = new SeedChain(SECRET, 100, 600);
    expect(chain.lastEpoch).to.equal(699);
    expect(chain.seedOf(699)).to.equal(SECRET);
    for (let epoch = 100; epoch < 699; epoch++) expect(chain.seedOf(epoch)).to.equal(keccak256(chain.seedOf(epoch + 1)!));
    expect(chain.anchor).to.equal(keccak256(chain.seedOf(100)!));
  });

  it("has no seed outside its epochs", () => {
    const chain = new SeedChain(SECRET, 100, 1);
    expect([chain.seedOf(99), chain.seedOf(101), chain.seedOf(100.5), chain.seedOf(Number.NaN)]).to.deep.equal([null, null, null, null]);
    expect(chain.seedOf(100)).to.equal(SECRET);
  });

  it("proves all earlier seeds by a later one", () => {
    const chain = new SeedChain(SECRET, 100, 300);
    expect(provesSeed(chain.seedOf(250)!, 151, chain.anchor)).to.equal(true);
    expect(provesSeed(chain.seedOf(250)!, 50, chain.seedOf(200)!)).to.equal(true);
    expect(provesSeed(chain.seedOf(250)!, 49, chain.seedOf(200)!)).to.equal(false);
    expect(provesSeed(chain.seedOf(250)!, -1, chain.anchor)).to.equal(false);
    expect(provesSeed(chain.seedOf(250)!, SEED_CHAIN_LENGTH_MAX + 1, chain.anchor)).to.equal(false);
  });

  it("refuses a length without end", () => {
    for (const length of [0, -1, 1.5, SEED_CHAIN_LENGTH_MAX + 1]) expect(() => new SeedChain(SECRET, 1, length)).to.throw("expected 1 to");
  });
});

describe("the draw", () => {
  const task = { mode: Mode.VOUCHER, taskId: `0x${"77".repeat(32)}` as Hash, sessionId: `0x${"88".repeat(32)}` as Hash, nonce: 3n, subtask: 1, attempt: 2 };
  const words = (...values: (number | bigint)[]): Hash[] => values.map((value) => numberToHex(value, { size: 32 }));

  it("hangs on the task that the payer signed", () => {
    expect(drawOf(SECRET, task)).to.equal(keccak256(concatHex([SECRET, task.taskId, ...words(1, 2)])));
    expect(drawOf(SECRET, { ...task, nonce: 4n })).to.equal(drawOf(SECRET, task));
  });

  it("hangs on the consecutive nonce where the payer signs no order", () => {
    const allowance = { ...task, mode: Mode.ALLOWANCE };
    expect(drawOf(SECRET, allowance)).to.equal(keccak256(concatHex([SECRET, task.sessionId, ...words(3n, 1, 2)])));
    expect(drawOf(SECRET, { ...allowance, taskId: SECRET })).to.equal(drawOf(SECRET, allowance));
  });

  it("differs for each attempt and subtask", () => {
    const draws = [task, { ...task, attempt: 3 }, { ...task, subtask: 2 }, { ...task, subtask: 2, attempt: 1 }].map((one) => drawOf(SECRET, one));
    expect(new Set(draws).size).to.equal(4);
  });
});

describe("epochs", () => {
  it("count from the unix epoch, as the board does", () => {
    expect([epochAt(0, 15), epochAt(14_999, 15), epochAt(15_000, 15), epochAt(1_700_000_000_123, 600)]).to.deep.equal([0, 0, 1, 2_833_333]);
  });
});
