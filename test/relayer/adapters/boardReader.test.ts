// The board loop against the contract itself: what it encodes is accepted, what it proves is proven, what it pools is read back.
import { expect } from "chai";
import { createPublicClient, http } from "viem";
import { SaturationBoardAbi } from "../../../protocol/generated/abi/SaturationBoard.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { createBoardReader } from "../../../relayer/adapters/boardReader.ts";
import { Board } from "../../../relayer/loops/board.ts";
import { SeedKeeper } from "../../../relayer/work/seedKeeper.ts";
import { EpochShares } from "../../../relayer/work/epochShares.ts";
import { factsIn } from "../work/factsIn.ts";
import { accounts, startLocalChain, type LocalChain } from "../localChain.ts";
import { FleetRig, MODEL } from "../work/fleetRig.ts";
import { TIDE_ONE, tideStep } from "../../../protocol/tide.ts";
import type { Hash } from "../../../protocol/units.ts";

const RELAYER = 1;
const EPOCH_SECONDS = 15;

describe("the board loop on a chain", function () {
  this.timeout(120_000);
  let chain: LocalChain;
  before(async () => { chain = await startLocalChain(); });
  after(() => chain?.stop());

  it("commits, pools, reveals and forfeits", async () => {
    const board = chain.addresses.SaturationBoard!;
    const facts = new Map<string, string>();
    const crypto = await createNativeCrypto();
    const seeds = new SeedKeeper({
      journal: factsIn(facts),
      dice: { bytes32: (): Hash => `0x${"5e".repeat(32)}` }, crypto, length: 5_000,
    });
    const rig = new FleetRig({ seeds, relayerId: RELAYER });
    const reader = createBoardReader([chain.url], board);
    const none = (): void => undefined;
    const loopOf = (keeper: SeedKeeper): Board => new Board({
      clock: rig.clock, crypto, metrics: { count: none, gauge: none, observe: none, text: async () => "" }, log: { debug: none, info: none, warn: none, error: none },
      relayerId: RELAYER, address: board, epochSeconds: EPOCH_SECONDS, seeds: keeper, reader, attested: rig.fleet, isLeading: () => true,
      submit: ({ to, data }) => chain.send(accounts.poster, to, data), shares: new EpochShares(factsIn(new Map()), "one"), records: { put: async () => undefined, get: async () => null },
    });
    const loop = loopOf(seeds);
    /** Both clocks a few seconds into the epoch. */
    const goTo = async (epoch: number): Promise<void> => {
      const seconds = epoch * EPOCH_SECONDS + 5;
      await chain.rpc("evm_setNextBlockTimestamp", [seconds]);
      await chain.rpc("evm_mine");
      rig.clock.pass(seconds * 1_000 - rig.clock.nowMs());
    };
    const { timestamp } = await chain.rpc("eth_getBlockByNumber", ["latest", false]) as { timestamp: string };
    const first = Math.floor(Number(timestamp) / EPOCH_SECONDS) + 2;

    expect(await reader.seeds(RELAYER)).to.include({ firstEpoch: 0, nextFirstEpoch: 0 });
    await goTo(first);
    await loop.tick();
    expect(await reader.seeds(RELAYER)).to.include({ firstEpoch: first + 2, lastRevealed: first + 1, reached: seeds.chains[0]!.anchor });

    await goTo(first + 4);
    rig.connect(1);
    await rig.attest(1, { relayerId: RELAYER, slots: 4, queueBps: 500 });
    rig.connect(2);
    await rig.attest(2, { relayerId: RELAYER, slots: 2, memoryBps: 2_000 });
    await rig.chosen();
    await goTo(first + 5);
    await loop.tick();

    expect(await reader.lastEpoch(RELAYER)).to.equal(first + 4);
    expect(await reader.seeds(RELAYER)).to.include({ lastRevealed: first + 4, reached: seeds.chains[0]!.seedOf(first + 4) });
    const client = createPublicClient({ transport: http(chain.url) });
    const pool = await client.readContract({ address: board, abi: SaturationBoardAbi, functionName: "poolSaturation", args: [RELAYER, MODEL] });
    // (4 * 500 + 2 * 2,000) / 6
    expect(pool).to.deep.equal([BigInt(first + 4), 6n, 1_000n]);
    expect(await reader.tideMultiplier(RELAYER, MODEL)).to.equal(tideStep(TIDE_ONE, 1_000));
    expect(await reader.tideMultiplier(RELAYER + 1, MODEL)).to.equal(TIDE_ONE);

    // The journal is lost, and the seeds with it: a new chain follows, and the old one is given up when it begins.
    const others = new SeedKeeper({ journal: factsIn(new Map()), dice: { bytes32: (): Hash => `0x${"6f".repeat(32)}` }, crypto, length: 5_000 });
    const after = loopOf(others);
    for (const epoch of [first + 6, first + 9]) {
      await goTo(epoch);
      await after.tick();
    }
    expect(await reader.seeds(RELAYER)).to.include({ firstEpoch: first + 8, lastRevealed: first + 7, reached: others.chains[0]!.anchor, nextFirstEpoch: 0 });
    const revealed = await client.readContract({ address: board, abi: SaturationBoardAbi, functionName: "revealedUntil", args: [RELAYER] });
    expect(revealed).to.equal(BigInt((first + 5) * EPOCH_SECONDS));
  });

  it("says that the chain did not answer", async () => {
    const reader = createBoardReader(["http://127.0.0.1:1"], `0x${"ab".repeat(20)}`);
    const error = await reader.lastEpoch(RELAYER).catch((caught: unknown) => caught);
    expect(error).to.include({ code: "chain_unreachable", retryable: true });
  });
});
