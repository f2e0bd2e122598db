// More claims than a relayer looks after at once: none is forgotten, those whose time is over make room first.
import { expect } from "chai";
import { keccak256 } from "viem/utils";
import { recoverWithViem, signerOfKey } from "../../../protocol/signing.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { Forces } from "../../../relayer/loops/forces.ts";
import { clock, metrics } from "./settleRig.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { Chain, ChainForce } from "../../../relayer/ports/chain.ts";

const HELD_MAX = 4_096;
const W = 60;
const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

function worldOf(claims: number, stateOf: (receiptHash: Hash) => ChainForce["state"]) {
  const head = { number: 1_000n, timestampSeconds: 10_000, hash: hash(0) };
  const opened = Array.from({ length: claims }, (_, i) => ({ receiptHash: hash(i + 1), blockNumber: BigInt(900 + Math.floor(i / 100)) }));
  const asked = new Set<Hash>();
  const chain = {
    deployment: { windowSeconds: W }, head: async () => head,
    force: async (receiptHash: Hash): Promise<ChainForce> => {
      asked.add(receiptHash);
      return { state: stateOf(receiptHash), taskId: hash(0), openedAtSeconds: head.timestampSeconds - W - 1, resolvedAtSeconds: 0 };
    },
  } as unknown as Chain;
  const loop = new Forces({
    clock, log: silentLog, metrics, crypto: { keccak256, recover: recoverWithViem }, identity: { relayerId: 1, epoch: 1, feeBps: 0, signer: signerOfKey(hash(9)) },
    journal: new MemoryJournal(), records: new MemoryRecords(), chain, isLeading: () => true,
    reader: { opened: async (_relayerId, from, to) => opened.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to) },
  });
  return { loop, head, asked };
}

describe("more claims than are looked after at once", () => {
  it("wait until others have ended, and are taken then", async () => {
    const { loop, head, asked } = worldOf(HELD_MAX + 500, () => "answered");
    await loop.round();
    expect([loop.held, asked.size]).to.deep.equal([HELD_MAX, HELD_MAX]);
    // Answered claims are remembered for as long as a reorganisation may undo them.
    head.number += 33n;
    await loop.round();
    for (let rounds = 0; rounds < 2; rounds++) await loop.round();
    expect(asked.size).to.equal(HELD_MAX + 500);
  });

  it("take the place of those whose time is over", async () => {
    const { loop, asked } = worldOf(HELD_MAX + 500, () => "open");
    await loop.round();
    await loop.round();
    expect([loop.held, asked.size]).to.deep.equal([HELD_MAX, HELD_MAX + 500]);
  });
});
