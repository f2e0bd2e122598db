// What every part of the relayer is given: time, chance, words for people and machines, keys, counting. Adapters implement it.
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { DigestSigner, Recover } from "../../protocol/signing.ts";
import type { Bps, Hash, Millis } from "../../protocol/units.ts";

export interface Clock {
  /** Unix time. */
  nowMs(): Millis;
  /** Never goes back; for durations. */
  monotonicMs(): Millis;
  /** Resolves after the time, or at once when aborted. */
  sleep(ms: Millis, signal?: AbortSignal): Promise<void>;
}

export interface Dice {
  /** 32 random bytes from the operating system. */
  bytes32(): Hash;
}

/** Structured log; never given prompt text, keys or signatures. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Native hashing and recovery for the receipts' path; agrees with viem to the bit. */
export interface Crypto {
  readonly keccak256: Keccak256;
  readonly recover: Recover;
}

export interface TokenCounter {
  /** @returns the exact count of the text's tokens, or null where this tokenizer is not at hand. */
  count(tokenizer: string, text: string): number | null;
}

/** Counters and gauges by name (snake_case, unit last); labels are few and bounded. */
export interface Metrics {
  count(name: string, labels?: Readonly<Record<string, string>>, by?: number): void;
  gauge(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
  observe(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
  /** Prometheus text. */
  text(): Promise<string>;
}

/** How the process itself is, since the last reading. */
export interface VitalSigns {
  /** How late timers come in the mean, and the part of the memory that is in use. */
  read(): { readonly loopLagMs: Millis; readonly memoryPart: number };
  stop(): void;
}

/** The relayer's own identity: its signing key's epoch is registered on chain. */
export interface Identity {
  readonly relayerId: number;
  readonly epoch: number;
  readonly feeBps: Bps;
  readonly signer: DigestSigner;
}
