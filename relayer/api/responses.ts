// Answers that took longer than a plain request may stay silent: told by an address at once, fetched from there when they are done.
//
//   asked ─▶ waits ─▶ 50 s ─▶ 202 and an address ─▶ GET: 202 while it waits or runs ─▶ 200 with the answer, or its error
//
// Who knows the address may read it: it holds 32 random bytes. Kept in memory, bounded in count, bytes and time; what is done stands in
// the journal too, so that it outlives this process. What was not done when the process ended is lost, was not charged, and is told so.
// The relayer's other processes know from the journal what is done, and what is being made; where it stands in the line only this one.
import type { Request, Response } from "express";
import { TidelaneError } from "../../protocol/errors.ts";
import { ZERO_HASH, type Hash, type Millis } from "../../protocol/units.ts";
import { tellable } from "./errors.ts";
import type { Claims } from "./claims.ts";
import type { Clock, Crypto, Dice, Log } from "../ports/world.ts";
import type { Journal } from "../ports/journal.ts";
import type { Waiting } from "../work/place.ts";

export const RESPONSES_PATH = "/tidelane/v1/responses";
/** Below the time-outs of common proxies. */
export const SILENT_MS_MAX: Millis = 50_000;
/** In memory, done or not. */
const RESPONSES_MAX = 1_000;
const BYTES_MAX = 64 * 1_048_576;
/** From then on the journal alone holds it. */
const IN_MEMORY_MS: Millis = 600_000;
const POLL_MS: Millis = 2_000;

interface Kept {
  waiting: Waiting | null;
  body: string | null;
  error: TidelaneError | null;
  /** Infinity while it is not over. */
  overAtMs: Millis;
}

export interface ResponsesWorld {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly dice: Dice;
  readonly log: Log;
  readonly journal: Pick<Journal, "claimIdempotency" | "completeIdempotency" | "keptResponse">;
  readonly claims: Pick<Claims, "hold" | "isLost">;
}

/** What becomes of an answer that is fetched later. */
export interface LaterAnswer {
  readonly id: string;
  /** Null once it has a node. */
  tell(waiting: Waiting | null): void;
  done(body: string): Promise<void>;
  failed(error: unknown, requestId: string): void;
}

export class Responses {
  readonly #world: ResponsesWorld;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(world: ResponsesWorld) {
    this.#world = world;
  }

  /** @returns null where no more can be kept: then the client has to stay. */
  async begin(waiting: Waiting | null): Promise<LaterAnswer | null> {
    if (!this.#hasRoom()) return null;
    const id = `resp_${this.#world.dice.bytes32().slice(2)}`;
    const kept: Kept = { waiting, body: null, error: null, overAtMs: Infinity };
    this.#kept.set(id, kept);
    await this.#world.journal.claimIdempotency(this.#scope(), id, ZERO_HASH, this.#world.clock.nowMs()).catch((error: unknown) => this.#unkept(error));
    const letGo = this.#world.claims.hold(this.#scope(), id);
    return {
      id,
      tell: (now) => { kept.waiting = now; },
      done: async (body) => {
        kept.body = body;
        kept.overAtMs = this.#world.clock.monotonicMs();
        this.#bytes += body.length;
        letGo();
        await this.#world.journal.completeIdempotency(this.#scope(), id, body).catch((error: unknown) => this.#unkept(error));
      },
      failed: (error, requestId) => {
        letGo();
        kept.error = tellable(error, this.#world.log, requestId);
        kept.overAtMs = this.#world.clock.monotonicMs();
      },
    };
  }

  /** Where an answer stands. @throws TidelaneError that it ended with; `not_found`; `response_lost` where a restart has ended it */
  async send(_request: Request, response: Response, id: string): Promise<void> {
    if (!/^resp_[0-9a-f]{64}$/.test(id)) throw noSuch();
    const kept = this.#kept.get(id);
    if (!kept) return this.#sendJournaled(response, id);
    if (kept.error) throw kept.error;
    if (kept.body === null) return sendLater(response, id, kept.waiting);
    sendDone(response, kept.body);
  }

  async #sendJournaled(response: Response, id: string): Promise<void> {
    const stored = await this.#world.journal.keptResponse(this.#scope(), id);
    if (!stored) throw noSuch();
    if (stored.response === null) {
      if (!this.#world.claims.isLost(stored.claimedAtMs)) return sendLater(response, id, null);
      throw new TidelaneError("This response failed, or the process that worked on it has ended before it was done. Whether it was charged before that is not known here: what the session was charged tells (/tidelane/v1/sessions/ID). Ask again for another answer.", { code: "response_lost", retryable: true });
    }
    sendDone(response, stored.response);
  }

  /** Those that have been over for long go, and the oldest that are over where room is short; the journal still holds what was done. */
  #hasRoom(): boolean {
    const isFull = (): boolean => this.#kept.size >= RESPONSES_MAX || this.#bytes >= BYTES_MAX;
    const oldMs = this.#world.clock.monotonicMs() - IN_MEMORY_MS;
    for (const [id, { body, overAtMs }] of this.#kept) {
      if (overAtMs === Infinity || (overAtMs > oldMs && !isFull())) continue;
      this.#kept.delete(id);
      this.#bytes -= body?.length ?? 0;
    }
    return !isFull();
  }

  /** A place of its own among the keys, where no payer's scope can be. */
  #scope(): Hash {
    return this.#world.crypto.keccak256("0x726573706f6e736573");
  }

  #unkept(error: unknown): void {
    this.#world.log.warn({ error: (error as Error).message }, "a response could not be journaled; it is lost if this process ends");
  }
}

/** 202: where it stands, and where to ask again. */
export function sendLater(response: Response, id: string, waiting: Waiting | null): void {
  const url = `${RESPONSES_PATH}/${id}`;
  const waits = waiting === null ? {} : { position: waiting.position, expected_start_in_ms: Math.ceil(waiting.expectedInMs) };
  response.status(202).set({ location: url, "retry-after": String(POLL_MS / 1_000), "cache-control": "no-store" })
    .json({ id, object: "tidelane.response", status: waiting === null ? "running" : "waiting", url, ...waits });
}

const sendDone = (response: Response, body: string): void => void response.status(200).set("cache-control", "no-store").type("application/json").send(body);

const noSuch = (): TidelaneError => new TidelaneError("There is no such response here; one is kept for a day after it was asked for.", { code: "not_found" });
