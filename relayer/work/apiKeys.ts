// API keys of ALLOWANCE sessions: 32 random bytes each, of which only the hash is kept, so that a copy of the database spends nothing.
import { API_KEY_PREFIX } from "../../protocol/payment.ts";
import type { Hash, Millis } from "../../protocol/units.ts";
import type { Crypto, Dice } from "../ports/world.ts";
import type { Journal } from "../ports/journal.ts";

const CACHED_MAX = 10_000;

export class ApiKeys {
  readonly #journal: Journal;
  readonly #crypto: Crypto;
  readonly #dice: Dice;
  readonly #sessions = new Map<Hash, Hash>();

  constructor(world: { readonly journal: Journal; readonly crypto: Crypto; readonly dice: Dice }) {
    this.#journal = world.journal;
    this.#crypto = world.crypto;
    this.#dice = world.dice;
  }

  /** @returns the key, `tl_` and base64url: shown once, known to nobody afterwards. @throws `journal_unavailable` */
  async issue(sessionId: Hash, expiresAtMs: Millis): Promise<string> {
    const apiKey = `${API_KEY_PREFIX}${Buffer.from(this.#dice.bytes32().slice(2), "hex").toString("base64url")}`;
    const keyHash = this.#hashOf(apiKey);
    await this.#journal.putApiKey(keyHash, sessionId, expiresAtMs);
    this.#remember(keyHash, sessionId);
    return apiKey;
  }

  /** @returns the key's session, or null where the key is unknown or expired. @throws `journal_unavailable` */
  async sessionOf(apiKey: string, nowMs: Millis): Promise<Hash | null> {
    if (!apiKey.startsWith(API_KEY_PREFIX)) return null;
    const keyHash = this.#hashOf(apiKey);
    const sessionId = this.#sessions.get(keyHash) ?? await this.#journal.sessionOfApiKey(keyHash, nowMs);
    // A key lives as long as its session, and an expired session takes no orders: what is remembered need not be asked again.
    if (sessionId) this.#remember(keyHash, sessionId);
    return sessionId;
  }

  #hashOf(apiKey: string): Hash {
    return this.#crypto.keccak256(`0x${Buffer.from(apiKey, "utf8").toString("hex")}`);
  }

  #remember(keyHash: Hash, sessionId: Hash): void {
    if (this.#sessions.size >= CACHED_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(keyHash, sessionId);
  }
}
