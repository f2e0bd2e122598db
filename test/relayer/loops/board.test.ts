import { expect } from "chai";
import { decodeFunctionData, keccak256, toHex } from "viem/utils";
import { SaturationBoardAbi } from "../../../protocol/generated/abi/SaturationBoard.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { Board } from "../../../relayer/loops/board.ts";
import { AttestedState } from "../../../relayer/work/attestedState.ts";
import { EpochShares } from "../../../relayer/work/epochShares.ts";
import { SeedKeeper } from "../../../relayer/work/seedKeeper.ts";
import { until } from "../until.ts";
import { factsIn } from "../work/factsIn.ts";
import { epochRoot, leavesOf } from "../../../relayer/routing/pool.ts";
import { provesSeed } from "../../../relayer/routing/seeds.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { EPOCH_SECONDS, FleetRig, MODEL, RELAYER, signer, START_MS } from "../work/fleetRig.ts";
import type { BoardSeeds } from "../../../relayer/ports/readers.ts";
import type { Hash, Hex } from "../../../protocol/units.ts";

const FIRST = START_MS / 1_000 / EPOCH_SECONDS;
const ZERO: Hash = `0x${"00".repeat(32)}`;
const ADDRESS = `0x${"ab".repeat(20)}` as const;

/** SaturationBoard's rules in memory: what it refuses throws as the chain adapter would. */
class ChainTwin {
  seeds: BoardSeeds = { firstEpoch: 0, lastRevealed: 0, reached: ZERO, nextFirstEpoch: 0, nextAnchor: ZERO };
  lastEpoch = 0;
  /** First and last epoch of each gap. */
  readonly forfeited: [number, number][] = [];
  readonly calls: { readonly functionName: string; readonly args: readonly unknown[] }[] = [];
  isDown = false;
  /** Mines the call and loses the answer. */
  losesAnswers = false;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  readonly reader = {
    seeds: () => this.#up(() => this.seeds),
    lastEpoch: () => this.#up(() => this.lastEpoch),
  };

  submit = async (call: { readonly to: Hex; readonly data: Hex }): Promise<void> => {
    await this.#up(() => undefined);
    expect(call.to).to.equal(ADDRESS);
    const decoded = decodeFunctionData({ abi: SaturationBoardAbi, data: call.data });
    this.#apply(decoded.functionName, decoded.args as readonly unknown[]);
    this.calls.push({ functionName: decoded.functionName, args: decoded.args as readonly unknown[] });
    if (this.losesAnswers) throw new TidelaneError("lost", { code: "chain_unreachable", retryable: true });
  };

  of(functionName: string): readonly (readonly unknown[])[] {
    return this.calls.filter((call) => call.functionName === functionName).map((call) => call.args);
  }

  #apply(name: string, args: readonly unknown[]): void {
    const current = Math.floor(this.#now() / 1_000 / EPOCH_SECONDS);
    const epoch = Number(args[1]);
    const must = (holds: boolean, what: string): void => {
      if (!holds) throw new TidelaneError(what, { code: "call_reverted" });
    };
    if (name === "commitEpoch") {
      must(epoch > this.lastEpoch && epoch < current, "EpochNotCommittable");
      this.lastEpoch = epoch;
    }
    if (name === "commitSeedChain") {
      must(epoch > current, "SeedChainTooEarly");
      if (this.seeds.firstEpoch === 0) this.seeds = { ...this.seeds, firstEpoch: epoch, lastRevealed: epoch - 1, reached: args[2] as Hash };
      else {
        must(this.seeds.nextFirstEpoch === 0 || this.seeds.nextFirstEpoch > current, "SeedChainTooEarly");
        this.seeds = { ...this.seeds, nextFirstEpoch: epoch, nextAnchor: args[2] as Hash };
      }
    }
    if (name === "forfeitSeeds") {
      must(this.seeds.nextFirstEpoch !== 0 && this.seeds.nextFirstEpoch <= current, "NextSeedChainNotBegun");
      this.forfeited.push([this.seeds.lastRevealed + 1, this.seeds.nextFirstEpoch - 1]);
      this.seeds = { firstEpoch: this.seeds.nextFirstEpoch, lastRevealed: this.seeds.nextFirstEpoch - 1, reached: this.seeds.nextAnchor, nextFirstEpoch: 0, nextAnchor: ZERO };
    }
    if (name === "revealSeed") {
      if (this.seeds.nextFirstEpoch !== 0 && this.seeds.lastRevealed + 1 === this.seeds.nextFirstEpoch) {
        this.seeds = { firstEpoch: this.seeds.nextFirstEpoch, lastRevealed: this.seeds.lastRevealed, reached: this.seeds.nextAnchor, nextFirstEpoch: 0, nextAnchor: ZERO };
      }
      must(epoch > this.seeds.lastRevealed && epoch < current, "SeedNotRevealable");
      must(provesSeed(args[2] as Hash, epoch - this.seeds.lastRevealed, this.seeds.reached), "WrongSeed");
      this.seeds = { ...this.seeds, reached: args[2] as Hash, lastRevealed: epoch };
    }
  }

  async #up<Result>(answer: () => Result): Promise<Result> {
    if (this.isDown) throw new TidelaneError("no chain", { code: "chain_unreachable", retryable: true });
    return answer();
  }
}

class BoardRig {
  readonly facts = new Map<string, string>();
  readonly records = new Map<Hash, string>();
  fleet: FleetRig;
  seeds: SeedKeeper;
  board: Board;
  readonly chain: ChainTwin;
  readonly warnings: string[] = [];
  readonly length: number;
  isLeading = true;
  #secrets = 0;
  #processes = 0;

  constructor(length = 40) {
    this.length = length;
    [this.fleet, this.seeds] = this.#process();
    this.chain = new ChainTwin(() => this.fleet.clock.nowMs());
    this.board = this.#board();
  }

  /** Another process with the same journal and chain. */
  restart(): void {
    const { wallMs } = this.fleet.clock;
    [this.fleet, this.seeds] = this.#process();
    this.fleet.clock.wallMs = wallMs;
    this.board = this.#board();
  }

  /** Moves to the time just after `epoch` began, by the board's clock. */
  async goTo(epoch: number): Promise<void> {
    this.fleet.clock.pass(epoch * EPOCH_SECONDS * 1_000 + 3_000 - this.fleet.clock.nowMs());
    this.fleet.connect(1);
    await this.fleet.attest(1);
  }

  async serve(): Promise<{ epoch: number; draw: Hash }> {
    const choice = await this.fleet.chosen();
    choice.booking.release("completed");
    return JSON.parse(choice.decision) as { epoch: number; draw: Hash };
  }

  #process(): [FleetRig, SeedKeeper] {
    const seeds = new SeedKeeper({
      journal: factsIn(this.facts),
      dice: { bytes32: () => keccak256(toHex(++this.#secrets)) }, crypto: { keccak256, recover: recoverWithViem }, length: this.length,
    });
    return [new FleetRig({ seeds }), seeds];
  }

  #board(): Board {
    const none = (): void => undefined;
    return new Board({
      clock: this.fleet.clock, crypto: { keccak256, recover: recoverWithViem }, metrics: { count: none, gauge: none, observe: none, text: async () => "" },
      log: { debug: none, info: none, error: none, warn: (_fields, message) => void this.warnings.push(message) }, relayerId: RELAYER, address: ADDRESS, epochSeconds: EPOCH_SECONDS,
      seeds: this.seeds, isLeading: () => this.isLeading, reader: this.chain.reader, submit: this.chain.submit, attested: this.fleet.fleet, shares: new EpochShares(factsIn(this.facts), `process ${this.#processes += 1}`),
      records: { put: async (hash, bytes) => void this.records.set(hash, new TextDecoder().decode(bytes)), get: async () => null },
    });
  }
}

describe("the board loop", () => {
  it("commits the seed chain before its first epoch, each epoch's root, and reveals what was drawn from", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    await rig.board.tick();
    expect(rig.chain.of("commitSeedChain")).to.deep.equal([[RELAYER, BigInt(FIRST + 2), rig.seeds.chains[0]!.anchor]]);
    const last = await rig.fleet.attest(1, { slots: 3, queueBps: 400 });

    await rig.goTo(FIRST + 2);
    await rig.board.tick();
    const [commit] = rig.chain.of("commitEpoch");
    const root = epochRoot(leavesOf(last.attestation, hashStruct("SaturationAttestation", last.attestation), last.offers, 8))!;
    expect(commit).to.deep.equal([RELAYER, BigInt(FIRST), root.root, 1, commit![4], [{ modelId: MODEL, slots: 3n, slotBps: 1_200n }]]);
    const data = rig.records.get(commit![4] as Hash)!;
    expect(keccak256(toHex(data))).to.equal(commit![4]);
    expect(JSON.parse(data)).to.deep.include({ relayerId: RELAYER, epoch: FIRST });
    expect(rig.chain.of("revealSeed")).to.deep.equal([]);

    const { epoch } = await rig.serve();
    expect(epoch).to.equal(FIRST + 2);
    await rig.goTo(FIRST + 3);
    await rig.board.tick();
    expect(rig.chain.of("revealSeed")).to.deep.equal([[RELAYER, BigInt(FIRST + 2), rig.seeds.chains[0]!.seedOf(FIRST + 2)]]);
    expect(rig.chain.of("commitEpoch").map((args) => args[1])).to.deep.equal([BigInt(FIRST), BigInt(FIRST + 2)]);
    const dataOf = (i: number): { tables: Hash[] } => JSON.parse(rig.records.get(rig.chain.of("commitEpoch")[i]![4] as Hash)!) as { tables: Hash[] };
    expect([dataOf(0).tables, dataOf(1).tables]).to.deep.equal([[], [rig.fleet.tables.at(-1)!.root]]);
  });

  it("says that its process lives, now and for the next seconds, while its rounds wait for the chain", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    const stop = new AbortController();
    const never = new Promise<never>(() => undefined);
    rig.chain.reader.seeds = () => never;
    const alive = (): unknown => Object.values(JSON.parse(rig.facts.get("board_processes") ?? "{}") as object)[0];
    rig.fleet.clock.sleep = () => new Promise((wake) => setImmediate(wake));
    void rig.board.run(stop.signal);
    await until(() => alive() !== undefined);
    expect(alive()).to.deep.equal([FIRST, FIRST]);
    rig.fleet.clock.pass((EPOCH_SECONDS - 3) * 1_000 - 4_000);
    await until(() => (alive() as number[])[1] === FIRST + 1);
    stop.abort();
  });

  it("says nothing twice", async () => {
    const rig = new BoardRig();
    for (const epoch of [FIRST, FIRST + 2, FIRST + 3]) {
      await rig.goTo(epoch);
      await rig.board.tick();
      await rig.serve();
      const { length } = rig.chain.calls;
      await rig.board.tick();
      expect(rig.chain.calls).to.have.length(length);
    }
  });

  it("repeats nothing after a lost answer, and loses nothing", async () => {
    const rig = new BoardRig();
    rig.chain.losesAnswers = true;
    const tick = (): Promise<void> => rig.board.tick().catch((error: TidelaneError) => void expect(error.code).to.equal("chain_unreachable"));
    for (let epoch = FIRST; epoch < FIRST + 5; epoch++) {
      await rig.goTo(epoch);
      for (let i = 0; i < 4; i++) await tick();
      await rig.serve();
    }
    expect(rig.chain.of("commitSeedChain")).to.have.length(1);
    expect(rig.chain.of("commitEpoch").map((args) => Number(args[1]))).to.deep.equal([0, 1, 2, 3].map((i) => FIRST + i));
    expect(rig.chain.of("revealSeed").map((args) => Number(args[1]))).to.deep.equal([FIRST + 2, FIRST + 3]);
  });

  it("catches up after the chain was away", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    await rig.board.tick();
    rig.chain.isDown = true;
    for (let epoch = FIRST + 2; epoch < FIRST + 6; epoch++) {
      await rig.goTo(epoch);
      await rig.serve();
      const error = await rig.board.tick().catch((caught: TidelaneError) => caught);
      expect(error).to.include({ code: "chain_unreachable" });
    }
    rig.chain.isDown = false;
    await rig.goTo(FIRST + 6);
    await rig.board.tick();
    expect(rig.chain.of("commitEpoch").map((args) => Number(args[1]) - FIRST)).to.deep.equal([0, 2, 3, 4, 5]);
    // One reveal proves all that were drawn from.
    expect(rig.chain.of("revealSeed").map((args) => Number(args[1]) - FIRST)).to.deep.equal([5]);
  });

  it("goes on with the same seeds after a restart", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    await rig.board.tick();
    const [before] = rig.seeds.chains;
    rig.restart();
    await rig.goTo(FIRST + 3);
    await rig.board.tick();
    expect(rig.seeds.chains[0]!.anchor).to.equal(before!.anchor);
    await rig.serve();
    await rig.goTo(FIRST + 4);
    await rig.board.tick();
    expect(rig.chain.of("commitSeedChain")).to.have.length(1);
    expect(rig.chain.of("revealSeed")).to.have.length(1);
  });

  it("commits no epoch in which an earlier process worked: attestations that its assignments name died with it", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST + 1);
    await rig.board.tick();
    rig.restart();
    await rig.fleet.join(1);
    await rig.board.tick();
    for (const epoch of [FIRST + 2, FIRST + 3]) {
      await rig.goTo(epoch);
      await rig.board.tick();
    }
    expect(rig.chain.of("commitEpoch").map((args) => Number(args[1]) - FIRST)).to.deep.equal([2]);
  });

  it("commits for all processes of the relayer, once the last of them has put its part", async () => {
    const rig = new BoardRig();
    const other = new EpochShares(factsIn(rig.facts), "another process");
    await rig.goTo(FIRST + 1);
    await rig.board.tick();
    await other.noteAlive(FIRST + 1, FIRST + 1);
    await rig.goTo(FIRST + 2);
    await rig.board.tick();
    expect(rig.chain.of("commitEpoch")).to.deep.equal([]);
    const state = new AttestedState(await rig.fleet.signed(2), signer(2).address, 0, 8, { inFlight: 0, prefillTokens: 0, contextTokens: 0 });
    await other.put(FIRST + 1, [{ state, slotsMax: 8 }], null);
    await rig.board.tick();
    const [[, epoch, , leafCount]] = rig.chain.of("commitEpoch") as [unknown[]];
    expect([Number(epoch) - FIRST, leafCount]).to.deep.equal([1, 2]);
  });

  it("moves from chain to chain without a gap", async () => {
    const rig = new BoardRig(8);
    const drawn: number[] = [];
    for (let epoch = FIRST; epoch < FIRST + 40; epoch++) {
      await rig.goTo(epoch);
      await rig.board.tick();
      if (epoch >= FIRST + 2) drawn.push((await rig.serve()).epoch);
    }
    expect(drawn).to.deep.equal(Array.from({ length: 38 }, (_, i) => FIRST + 2 + i));
    expect(rig.chain.seeds.lastRevealed).to.equal(FIRST + 38);
    expect(rig.chain.of("commitSeedChain").length).to.be.within(5, 6);
    expect(rig.warnings).to.deep.equal([]);
  });

  it("begins the chain later where it could not be committed in time, and says so", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    rig.chain.isDown = true;
    await rig.board.tick().catch(() => undefined);
    await rig.goTo(FIRST + 9);
    rig.chain.isDown = false;
    await rig.board.tick();
    expect(rig.chain.of("commitSeedChain").map((args) => Number(args[1]))).to.deep.equal([FIRST + 11]);
    expect(rig.warnings.some((message) => message.includes("begins later"))).to.equal(true);
    // Choices go on meanwhile, in the open.
    await rig.serve();
  });

  for (const [what, next] of [["no", { nextFirstEpoch: 0, nextAnchor: ZERO }], ["a foreign", { nextFirstEpoch: FIRST - 1, nextAnchor: keccak256("0x02") }]] as const) {
    it(`gives up a chain whose seeds it does not hold, ${what} chain after it, warns once and goes on with its own`, async () => {
      const rig = new BoardRig();
      rig.chain.seeds = { firstEpoch: FIRST - 50, lastRevealed: FIRST - 40, reached: keccak256("0x01"), ...next };
      for (let epoch = FIRST; epoch < FIRST + 8; epoch++) {
        await rig.goTo(epoch);
        await rig.board.tick().catch((error: TidelaneError) => void expect(error.message).to.equal("SeedChainTooEarly"));
        await rig.serve();
      }
      expect(rig.warnings.filter((message) => message.includes("does not hold"))).to.have.length(1);
      const own = rig.seeds.chains[0]!;
      expect(rig.chain.seeds).to.include({ firstEpoch: own.firstEpoch, lastRevealed: FIRST + 6, reached: own.seedOf(FIRST + 6) });
      expect(rig.chain.forfeited.map(([from]) => from)[0]).to.equal(FIRST - 39);
      expect(rig.chain.forfeited.at(-1)![1]).to.equal(own.firstEpoch - 1);
      expect(rig.chain.of("commitEpoch")).to.have.length(7);
    });
  }

  it("reveals what it still holds before it forfeits what nobody has: away until its chain had ended", async () => {
    const rig = new BoardRig(8);
    for (const epoch of [FIRST, FIRST + 2, FIRST + 3]) {
      await rig.goTo(epoch);
      await rig.board.tick();
      await rig.serve();
    }
    const [old] = rig.seeds.chains;
    rig.restart();
    for (let epoch = FIRST + 60; epoch < FIRST + 70; epoch++) {
      await rig.goTo(epoch);
      await rig.board.tick();
      await rig.serve();
    }
    expect(rig.chain.of("revealSeed").map((args) => Number(args[1]))).to.include(old!.lastEpoch);
    expect(rig.chain.forfeited).to.deep.equal([[old!.lastEpoch + 1, FIRST + 61]]);
    expect(rig.chain.seeds.lastRevealed).to.equal(FIRST + 68);
    expect(rig.warnings.filter((message) => message.includes("forfeited"))).to.have.length(1);
  });

  it("reveals what an earlier process drew from, though nothing is asked any more", async () => {
    const rig = new BoardRig();
    for (const epoch of [FIRST, FIRST + 4]) {
      await rig.goTo(epoch);
      await rig.board.tick();
    }
    await rig.serve();
    await rig.board.tick();
    rig.restart();
    await rig.goTo(FIRST + 9);
    await rig.board.tick();
    // The first one when it was asked, the second one after the restart.
    expect(rig.chain.of("revealSeed").map((args) => Number(args[1]))).to.deep.equal([FIRST + 3, FIRST + 4]);
  });

  it("says nothing to the chain while another process leads, and that one reveals what this one drew from", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    await rig.board.tick();
    const { length } = rig.chain.calls;
    // The same journal, but not the lead.
    rig.isLeading = false;
    for (const epoch of [FIRST + 3, FIRST + 4]) {
      await rig.goTo(epoch);
      await rig.serve();
      await rig.board.tick();
    }
    expect(rig.chain.calls).to.have.length(length);
    rig.restart();
    rig.isLeading = true;
    await rig.goTo(FIRST + 5);
    await rig.board.tick();
    expect(rig.chain.of("revealSeed").map((args) => Number(args[1]))).to.deep.equal([FIRST + 4]);
  });

  it("gives up an epoch that another process committed", async () => {
    const rig = new BoardRig();
    await rig.goTo(FIRST);
    await rig.board.tick();
    rig.chain.lastEpoch = FIRST;
    await rig.goTo(FIRST + 1);
    await rig.board.tick();
    expect(rig.chain.of("commitEpoch")).to.deep.equal([]);
  });

  it("runs until it is told to stop, whatever fails", async () => {
    const rig = new BoardRig();
    rig.chain.isDown = true;
    const stop = new AbortController();
    let rounds = 0;
    rig.fleet.clock.sleep = async (ms) => {
      // That it lives is said more often.
      if (ms > 1_000 && ++rounds === 3) stop.abort();
    };
    await rig.board.run(stop.signal);
    expect(rounds).to.equal(3);
    expect(rig.warnings.filter((message) => message.includes("tried again"))).to.have.length(3);
  });
});
