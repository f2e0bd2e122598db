// Each epoch: commits what the nodes attested and reveals the seed that the choices of the epoch were drawn with.
//
//   seed chain committed ─▶ its first epoch ─▶ ... epoch e ends ─▶ commitEpoch(e), revealSeed(e) ─▶ ... ─▶ the next chain committed
//
// Every step asks the chain first what stands there, so a restart or a lost answer repeats nothing. Of a relayer's processes only
// the one that settles speaks to the chain; the others tell it through the journal what they drew from.
import { encodeFunctionData, stringToHex } from "viem/utils";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { attestationToJson } from "../../protocol/link.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { canonicalJson, type Canonical } from "../routing/canonical.ts";
import { epochRoot, leavesOf, type PoolFigure } from "../routing/pool.ts";
import { epochAt, provesSeed, type SeedChain } from "../routing/seeds.ts";
import { runRounds } from "./rounds.ts";
import type { HeldAttestation } from "../work/epochAttestations.ts";
import { EPOCHS_KEPT, type EpochShares, type WholeEpoch } from "../work/epochShares.ts";
import type { SeedKeeper } from "../work/seedKeeper.ts";
import type { Address, Hash, Hex, Millis, Seconds } from "../../protocol/units.ts";
import type { Clock, Crypto, Log, Metrics } from "../ports/world.ts";
import type { BoardReader, BoardSeeds } from "../ports/readers.ts";
import type { RecordStore } from "../ports/journal.ts";

/** The chain's clock may lag; an epoch counts as over this much after its end. */
const GRACE_MS: Millis = 2_000;
const TICK_MS_MAX: Millis = 5_000;
/** A round may take long, on a slow chain; that this process lives is said in time all the same. */
const ALIVE_EVERY_MS: Millis = 1_000;
const ALIVE_AHEAD_MS: Millis = 5_000;
/** As SaturationBoard's POOLS_MAX and SEED_STEPS_MAX. */
const POOLS_MAX = 64;
const REVEAL_EPOCHS_MAX = 4_096;

export interface BoardOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly relayerId: number;
  /** SaturationBoard's. */
  readonly address: Address;
  readonly epochSeconds: Seconds;
  readonly seeds: SeedKeeper;
  readonly reader: BoardReader;
  /** The poster's nonce queue; resolves when the call is mined. @throws `call_reverted` */
  readonly submit: (call: { readonly to: Address; readonly data: Hex }) => Promise<unknown>;
  readonly records: RecordStore;
  readonly shares: EpochShares;
  readonly attested: { takeEpochs(upTo: number): Promise<readonly EpochHeld[]> };
  /** Whether this process is the one that sends the relayer's transactions. */
  readonly isLeading: () => boolean;
}

interface EpochHeld {
  readonly epoch: number;
  readonly held: readonly HeldAttestation[];
  readonly tableRoot: Hash | null;
}

export class Board {
  readonly #options: BoardOptions;
  /** Taken, and not yet put beside what other processes hold. */
  #unshared: readonly EpochHeld[] = [];
  /** The first epoch of this process that it has not put there. */
  #nextToShare: number | null = null;
  #hasWarned = false;

  constructor(options: BoardOptions) {
    this.#options = options;
  }

  /** Runs until aborted; nothing that goes wrong in a round ends it. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#rounds(signal), this.#stayAlive(signal)]);
  }

  /** Says that this process lives, in this epoch and soon; before that it makes no choices. @throws `journal_unavailable` */
  async alive(): Promise<void> {
    const { clock, epochSeconds, shares } = this.#options;
    const nowMs = clock.nowMs();
    await shares.noteAlive(epochAt(nowMs, epochSeconds), epochAt(nowMs + ALIVE_AHEAD_MS, epochSeconds));
  }

  async #stayAlive(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await this.alive().catch((error: Error) => log.debug({ error: error.message }, "the journal was not told that this process lives"));
      await clock.sleep(ALIVE_EVERY_MS, signal);
    }
  }

  async #rounds(signal: AbortSignal): Promise<void> {
    const pauseMs = Math.min((this.#options.epochSeconds * 1_000) / 4, TICK_MS_MAX);
    await runRounds(this.#options, { metric: "board_failures_total", failure: "the saturation board is tried again in the next round", pauseMs }, signal, () => this.tick());
  }

  /** One round: whatever is due and not done. */
  async tick(): Promise<void> {
    const { clock, epochSeconds, seeds } = this.#options;
    const epoch = epochAt(clock.nowMs() - GRACE_MS, epochSeconds);
    // Attestations are taken first: they are kept here while chain or journal cannot be reached.
    this.#unshared = [...this.#unshared, ...await this.#options.attested.takeEpochs(epoch - 1)].slice(-EPOCHS_KEPT);
    await this.#share(epoch);
    await seeds.load(epoch);
    if (!this.#options.isLeading()) return;
    const { reader, relayerId } = this.#options;
    await this.#reveal(await reader.seeds(relayerId), epoch);
    // Asked again: a chain that was given up has made room for ours.
    await this.#commitChains(await reader.seeds(relayerId), epoch);
    await this.#commitEpochs(epoch);
  }

  /** Says that this process lives, and puts its part of every epoch that is over, also where that is nothing. */
  async #share(epoch: number): Promise<void> {
    const { clock, epochSeconds, shares } = this.#options;
    await this.alive();
    this.#nextToShare ??= epochAt(clock.nowMs(), epochSeconds);
    for (let over = Math.max(this.#nextToShare, epoch - EPOCHS_KEPT); over < epoch; over++) {
      const own = this.#unshared.find((one) => one.epoch === over);
      await shares.put(over, own?.held ?? [], own?.tableRoot ?? null);
      this.#unshared = this.#unshared.filter((one) => one.epoch > over);
      this.#nextToShare = over + 1;
    }
  }

  /** Puts every chain of ours on chain that has not ended and is not there, the one in use first. */
  async #commitChains(onChain: BoardSeeds, epoch: number): Promise<void> {
    const { seeds, relayerId, log } = this.#options;
    for (const chain of seeds.chains) {
      if (chain.lastEpoch < epoch || this.#isCommitted(chain, onChain)) continue;
      if (chain.firstEpoch <= epoch + 1) {
        // Too late for the contract, which wants an epoch that has not begun.
        log.warn({ relayerId, firstEpoch: chain.firstEpoch }, "the seed chain was not committed before its first epoch; it begins later");
        await seeds.postpone(chain, epoch);
        return this.#commitChains(onChain, epoch);
      }
      await this.#submit(encodeFunctionData({ abi: SaturationBoardAbi, functionName: "commitSeedChain", args: [relayerId, BigInt(chain.firstEpoch), chain.anchor] }));
      log.info({ relayerId, firstEpoch: chain.firstEpoch, epochs: chain.length }, "seed chain committed");
      // The contract holds one following chain; a further one waits until it has taken over.
      return;
    }
  }

  #isCommitted(chain: SeedChain, onChain: BoardSeeds): boolean {
    if (onChain.nextFirstEpoch === chain.firstEpoch && onChain.nextAnchor === chain.anchor) return true;
    return this.#isInUse(chain, onChain);
  }

  /** The chain's own record of our chain: the anchor before the first reveal, one of our seeds after it. */
  #isInUse(chain: SeedChain, onChain: BoardSeeds): boolean {
    if (onChain.firstEpoch !== chain.firstEpoch || onChain.lastRevealed > chain.lastEpoch) return false;
    return onChain.reached === (onChain.lastRevealed < chain.firstEpoch ? chain.anchor : chain.seedOf(onChain.lastRevealed));
  }

  /** Reveals the seed of the last epoch that was drawn from, which proves all before it. */
  async #reveal(onChain: BoardSeeds, epoch: number): Promise<void> {
    const { seeds, relayerId, crypto } = this.#options;
    const isSwitching = onChain.nextFirstEpoch !== 0 && onChain.lastRevealed + 1 === onChain.nextFirstEpoch;
    const chain = seeds.chains.find((one) => (isSwitching ? onChain.nextFirstEpoch === one.firstEpoch && onChain.nextAnchor === one.anchor : this.#isInUse(one, onChain)));
    if (!chain) return this.#passForeignChain(onChain, epoch);
    const reached = isSwitching ? onChain.nextAnchor : onChain.reached;
    const drawnUpTo = Math.min(seeds.lastUsed, epoch - 1, chain.lastEpoch, onChain.lastRevealed + REVEAL_EPOCHS_MAX);
    if (drawnUpTo <= onChain.lastRevealed) return this.#passGap(chain, onChain, epoch);
    const seed = chain.seedOf(drawnUpTo)!;
    if (!provesSeed(seed, drawnUpTo - onChain.lastRevealed, reached, crypto.keccak256)) {
      throw new TidelaneError("The seed chain on chain is not the one in the journal: the database is not this relayer's.", { code: "wrong_seed_chain", details: { relayerId, epoch: drawnUpTo } });
    }
    await this.#submit(encodeFunctionData({ abi: SaturationBoardAbi, functionName: "revealSeed", args: [relayerId, BigInt(drawnUpTo), seed] }));
  }

  /** This relayer was away until its chain had ended: every seed of it is revealed, and there are none between it and the next. */
  async #passGap(chain: SeedChain, onChain: BoardSeeds, epoch: number): Promise<void> {
    if (onChain.lastRevealed >= chain.lastEpoch && onChain.nextFirstEpoch > chain.lastEpoch + 1) await this.#forfeit(onChain, epoch);
  }

  /** Its seeds are lost with their journal. Our own chain follows it, or will follow the one that follows it. */
  async #passForeignChain(onChain: BoardSeeds, epoch: number): Promise<void> {
    if (onChain.firstEpoch === 0) return;
    const { log, relayerId } = this.#options;
    if (!this.#hasWarned) log.warn({ relayerId, firstEpoch: onChain.firstEpoch, lastRevealed: onChain.lastRevealed }, "the board waits for seeds of a chain that this journal does not hold; fees wait until they are forfeited");
    this.#hasWarned = true;
    await this.#forfeit(onChain, epoch);
  }

  /** Once the next chain has begun, by the chain's clock too. */
  async #forfeit(onChain: BoardSeeds, epoch: number): Promise<void> {
    if (onChain.nextFirstEpoch === 0 || onChain.nextFirstEpoch >= epoch) return;
    const { log, relayerId } = this.#options;
    await this.#submit(encodeFunctionData({ abi: SaturationBoardAbi, functionName: "forfeitSeeds", args: [relayerId] }));
    log.warn({ relayerId, from: onChain.lastRevealed + 1, until: onChain.nextFirstEpoch }, "seeds that are gone were forfeited; the relayer's fees wait");
  }

  async #commitEpochs(epoch: number): Promise<void> {
    const { reader, relayerId, log, shares } = this.#options;
    const last = await reader.lastEpoch(relayerId);
    for (let due = Math.max(last + 1, epoch - EPOCHS_KEPT); due < epoch; due++) {
      const whole = await shares.whole(due);
      // The one that has just ended waits for the others' parts; what an older one lacks died with its process.
      if (whole === null && due === epoch - 1) return;
      if (whole === null || whole.held.length === 0) continue;
      try {
        await this.#commitEpoch(due, whole);
      } catch (error) {
        // What the contract refuses it will refuse again: another process committed it, or a later epoch.
        if (!(error instanceof TidelaneError) || error.code !== "call_reverted") throw error;
        log.warn({ relayerId, epoch: due, error: error.message }, "the board refused an epoch's root");
      }
    }
  }

  async #commitEpoch(epoch: number, { held, tables }: WholeEpoch): Promise<void> {
    const { relayerId, crypto, records, metrics, log } = this.#options;
    const leaves = held.flatMap(({ signed, slotsMax }) =>
      leavesOf(signed.attestation, hashStruct("SaturationAttestation", signed.attestation, crypto.keccak256), signed.offers, slotsMax));
    const root = epochRoot(leaves, crypto.keccak256);
    if (!root) return;
    const data = canonicalJson({
      version: 2, relayerId, epoch, leaves: leaves.map((leaf) => ({ ...leaf })),
      // Node tables of each process up to here: what auditors begin at, and walk back from.
      tables: [...tables],
      attestations: held.map(({ signed }) => attestationToJson(signed) as Canonical),
    });
    const dataHash: Hash = crypto.keccak256(stringToHex(data));
    await records.put(dataHash, new TextEncoder().encode(data));
    await this.#submit(encodeFunctionData({
      abi: SaturationBoardAbi, functionName: "commitEpoch",
      args: [relayerId, BigInt(epoch), root.root, root.leafCount, dataHash, greatestPools(root.pools)],
    }));
    metrics.count("board_epochs_total");
    log.debug({ relayerId, epoch, leaves: root.leafCount }, "saturation epoch committed");
  }

  #submit(data: Hex): Promise<unknown> {
    return this.#options.submit({ to: this.#options.address, data });
  }
}

/** The contract takes no figure without slots, and at most so many. */
const greatestPools = (pools: readonly PoolFigure[]): PoolFigure[] =>
  pools.filter((pool) => pool.slots > 0n).sort((one, other) => (one.slots === other.slots ? 0 : one.slots > other.slots ? -1 : 1)).slice(0, POOLS_MAX);
