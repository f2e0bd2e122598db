// The relayer's dice, thrown before the game: a hash chain of epoch seeds, its anchor on chain before its first epoch.
//
//   anchor = keccak256(seed of firstEpoch);   keccak256(seed of epoch n + 1) = seed of epoch n;   the secret is the last seed
//
// Revealing one epoch's seed proves all earlier ones and tells nothing of later ones.
import { keccak256 as viemKeccak256 } from "viem/utils";
import { Mode } from "../../protocol/constants.ts";
import { InvalidValueError } from "../../protocol/errors.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { Hash, Hex } from "../../protocol/units.ts";

/** 22 days of 15 s epochs, two and a half years of 10 min ones; the next chain is committed before one ends. */
export const SEED_CHAIN_LENGTH_MAX = 131_072;
/** Every so many seeds one is kept, so that any seed is at most this many hashes away. */
const CHECKPOINT_EVERY = 256;

export class SeedChain {
  readonly firstEpoch: number;
  readonly length: number;
  readonly anchor: Hash;
  readonly #keccak256: Keccak256;
  /** #checkpoints[i] is the secret hashed i * CHECKPOINT_EVERY times. */
  readonly #checkpoints: readonly Hash[];

  /** Hashes the whole chain once: about 0.3 s for the longest with a native hash. @throws InvalidValueError for a length outside 1 to SEED_CHAIN_LENGTH_MAX */
  constructor(secret: Hash, firstEpoch: number, length: number, keccak256: Keccak256 = viemKeccak256) {
    if (!Number.isInteger(length) || length < 1 || length > SEED_CHAIN_LENGTH_MAX) throw new InvalidValueError("length", `1 to ${SEED_CHAIN_LENGTH_MAX} epochs`);
    this.firstEpoch = firstEpoch;
    this.length = length;
    this.#keccak256 = keccak256;
    const checkpoints: Hash[] = [];
    let seed = secret;
    for (let back = 0; back < length; back++, seed = keccak256(seed)) if (back % CHECKPOINT_EVERY === 0) checkpoints.push(seed);
    this.#checkpoints = checkpoints;
    this.anchor = seed;
  }

  get lastEpoch(): number {
    return this.firstEpoch + this.length - 1;
  }

  /** @returns the epoch's seed, or null outside the chain. */
  seedOf(epoch: number): Hash | null {
    if (!Number.isInteger(epoch) || epoch < this.firstEpoch || epoch > this.lastEpoch) return null;
    const back = this.lastEpoch - epoch;
    let seed = this.#checkpoints[Math.floor(back / CHECKPOINT_EVERY)]!;
    for (let i = 0; i < back % CHECKPOINT_EVERY; i++) seed = this.#keccak256(seed);
    return seed;
  }
}

/** @returns true where `seed`, hashed `steps` times, is `reached`: the seed of an epoch so many before, or the anchor. */
export function provesSeed(seed: Hash, steps: number, reached: Hash, keccak256: Keccak256 = viemKeccak256): boolean {
  if (!Number.isInteger(steps) || steps < 0 || steps > SEED_CHAIN_LENGTH_MAX) return false;
  let value = seed;
  for (let i = 0; i < steps; i++) value = keccak256(value);
  return value === reached;
}

export interface DrawnFor {
  readonly mode: number;
  readonly taskId: Hash;
  readonly sessionId: Hash;
  readonly nonce: bigint;
  readonly subtask: number;
  readonly attempt: number;
}

/**
 * draw = keccak256(seed, taskId, subtask, attempt), each as a 32-byte word. In ALLOWANCE mode the payer signs no order, so the
 * relayer could shape the task id; there it is keccak256(seed, sessionId, nonce, subtask, attempt) with consecutive nonces.
 */
export function drawOf(epochSeed: Hash, task: DrawnFor, keccak256: Keccak256 = viemKeccak256): Hash {
  const named = task.mode === Mode.ALLOWANCE ? task.sessionId + word(task.nonce) : task.taskId;
  return keccak256(`0x${epochSeed.slice(2)}${named.slice(2)}${word(task.subtask)}${word(task.attempt)}` as Hex);
}

const word = (value: number | bigint): string => value.toString(16).padStart(64, "0");

/** Epochs count from the unix epoch, as SaturationBoard.epochAt does. */
export const epochAt = (unixMs: number, epochSeconds: number): number => Math.floor(unixMs / 1_000 / epochSeconds);
