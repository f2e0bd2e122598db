// A runner hears of left-out work in time, of each relayer once a round, and not of what was settled or claimed.
import { expect } from "chai";
import { tellLeftOut, watchLeftOut } from "../../../node/serve/leftOut.ts";
import type { ClaimChain, ForceFact, SignedReceiptRow } from "../../../node/ports.ts";
import type { Hash } from "../../../protocol/units.ts";

const W = 100;
const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const row = (n: number, relayerId: number, ackedAt: number | null): SignedReceiptRow =>
  ({ receiptHash: hash(n), relayerId, taskId: hash(n), nodeSeq: BigInt(n), cumulative: BigInt(10 * n), fee: 10n, ackedAt });

interface Said { readonly fields: Record<string, unknown>; readonly message: string }

function worldOf(rows: readonly SignedReceiptRow[], bends: { readonly earned?: bigint; readonly nowSeconds?: number; readonly forces?: ReadonlyMap<Hash, ForceFact> } = {}) {
  const said: Said[] = [];
  const asked: Hash[][] = [];
  const chain: ClaimChain = {
    facts: async () => ({ nowSeconds: bends.nowSeconds ?? 1_150, windowSeconds: W, earned: bends.earned ?? 0n, forcedEarned: 0n }),
    forces: async (receiptHashes) => {
      asked.push([...receiptHashes]);
      return new Map(receiptHashes.map((one) => [one, bends.forces?.get(one) ?? { state: "none", openedAt: 0 }]));
    },
  };
  const tell = (fields: object, message: string): void => void said.push({ fields: fields as Record<string, unknown>, message });
  return { said, asked, world: { nodeId: 7, chain, rows: async () => rows, log: { debug: tell, info: tell, warn: tell, error: tell } } };
}

describe("left-out work", () => {
  it("is told with what it is worth and until when it can be claimed, for each relayer", async () => {
    const { said, world } = worldOf([row(1, 1, 1_000), row(2, 1, 1_010), row(1, 2, 1_040)]);
    await tellLeftOut(world);
    expect(said.map(({ fields }) => fields)).to.deep.equal([
      { relayerId: 1, receipts: 2, fees: "20", until: new Date(1_800_000).toISOString() }, { relayerId: 2, receipts: 1, fees: "10", until: new Date(1_840_000).toISOString() },
    ]);
    expect(said[0]!.message).to.include("tidelane node force");
  });

  it("is none while a window has not passed, once it is settled, and without an ack", async () => {
    for (const one of [worldOf([row(1, 1, 1_000)], { nowSeconds: 1_099 }), worldOf([row(1, 1, 1_000)], { earned: 10n }), worldOf([row(1, 1, null)])]) {
      await tellLeftOut(one.world);
      expect([one.said, one.asked]).to.deep.equal([[], []]);
    }
  });

  it("is none once it is claimed", async () => {
    const one = worldOf([row(1, 1, 1_000), row(2, 1, 1_001)], { forces: new Map([[hash(1), { state: "open", openedAt: 1_140 }], [hash(2), { state: "open", openedAt: 1_140 }]]) });
    await tellLeftOut(one.world);
    expect([one.said, one.asked]).to.deep.equal([[], [[hash(2), hash(1)]]]);
  });

  it("is looked for again after a failure, until the agent ends", async () => {
    const { said, world } = worldOf([]);
    const stop = new AbortController();
    let looks = 0;
    const rows = async (): Promise<never> => {
      if (++looks === 3) stop.abort();
      throw new Error("the disk is away");
    };
    await watchLeftOut({ ...world, rows, clock: { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => {} } }, 5, stop.signal);
    expect([looks, said.length]).to.deep.equal([3, 3]);
  });
});
