// Keeps one connection to each relayer process: those that the owner listed, those that the registry names, and those that a
// relayer names in its hello. Dials, serves until the connection ends, waits a little longer each time it fails.
//
//   listed ─┬─ URL ───────────────────────────▶ line ── linked ──▶ further processes ──▶ a line each
//           └─ relayer:ID ──registry──▶ URL ──▶ line     └─ the same process through another address: dropped
import { TidelaneError } from "../../protocol/errors.ts";
import type { Clock, Dice, LinkChallenge, LinkHandler, Log, NodeChain, RelayerLinks } from "../ports.ts";
import type { Millis } from "../../protocol/units.ts";

export interface DialWorld {
  readonly links: RelayerLinks;
  readonly chain: Pick<NodeChain, "relayerEndpoint">;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
}

const BACKOFF_LEAST_MS: Millis = 200;
const BACKOFF_SOON_MS: Millis = 1_000;
const SOON_FAILURES = 40;
const BACKOFF_MOST_MS: Millis = 15_000;
/** A connection that held this long was a good one. */
const STEADY_MS: Millis = 10_000;
/** An address of a process that is linked through another one is only looked at now and then, in case that one goes. */
const DUPLICATE_MS: Millis = 60_000;
/** The registry is asked again where dialling what it named has failed, but not at each failure. */
const ENDPOINT_KEPT_MS: Millis = 10_000;
const LINES_MAX = 256;

/** One address that is dialled for as long as it is wanted. */
interface Line {
  /** A URL's origin, or `relayer:ID`. */
  readonly address: string;
  /** Whose processes may answer there; null where the owner gave a URL only. */
  readonly relayerId: number | null;
  readonly isListed: boolean;
}

export class Dialler {
  readonly #nodeId: number;
  readonly #handler: LinkHandler;
  readonly #world: DialWorld;
  readonly #lines = new Map<string, Promise<void>>();
  /** Addresses through which processes are linked at the moment, by process. */
  readonly #linked = new Map<string, string>();
  /** Addresses that each relayer's newest hello named. */
  readonly #named = new Map<number, ReadonlySet<string>>();

  constructor(nodeId: number, handler: LinkHandler, world: DialWorld) {
    this.#nodeId = nodeId;
    this.#handler = handler;
    this.#world = world;
  }

  /** @param listed URLs and `relayer:ID`s. Resolves when the signal was aborted and all connections have ended. */
  async run(listed: readonly string[], signal: AbortSignal): Promise<void> {
    for (const one of listed) this.#add({ address: addressOf(one), relayerId: registeredIdOf(one), isListed: true }, signal);
    while (this.#lines.size > 0) await Promise.all(this.#lines.values());
  }

  #add(line: Line, signal: AbortSignal): void {
    if (signal.aborted || this.#lines.has(line.address) || this.#lines.size >= LINES_MAX) return;
    this.#lines.set(line.address, this.#keep(line, signal).finally(() => this.#lines.delete(line.address)));
  }

  async #keep(line: Line, signal: AbortSignal): Promise<void> {
    const { clock, dice, log } = this.#world;
    const urlOf = this.#urls(line);
    for (let failures = 0; !signal.aborted && this.#isWanted(line); ) {
      const startedMs = clock.monotonicMs();
      let code = "";
      try {
        await this.#serve(line, await urlOf(failures), signal);
        if (!signal.aborted) log.warn({ url: line.address }, "the link to the relayer ended; dialling again");
      } catch (error) {
        code = error instanceof TidelaneError ? error.code : "internal_error";
        // Said once, then only now and then: a relayer that is away for an hour must not fill the log.
        if (code !== "link_duplicate" && Number.isInteger(Math.log2(failures + 1))) log.warn({ url: line.address, code, error: String(error), failures }, "the relayer cannot be reached; dialling again");
      }
      failures = clock.monotonicMs() - startedMs >= STEADY_MS ? 0 : failures + 1;
      await clock.sleep(code === "link_duplicate" ? DUPLICATE_MS : backoffMs(failures, dice.unit(), code === "link_failed"), signal);
    }
  }

  async #serve(line: Line, url: string, signal: AbortSignal): Promise<void> {
    let process: string | null = null;
    try {
      await this.#world.links.serve(url, this.#nodeId, this.#handler, signal, (challenge) => {
        process = this.#proved(line, challenge, signal);
      });
    } finally {
      if (process !== null) this.#linked.delete(process);
    }
  }

  /** @returns the process's key where it is linked from now on. @throws `link_refused`, `link_duplicate` */
  #proved(line: Line, challenge: LinkChallenge, signal: AbortSignal): string | null {
    const { relayerId } = challenge;
    if (line.relayerId !== null && line.relayerId !== relayerId) {
      throw new TidelaneError(`${line.address} is said to be relayer ${line.relayerId}'s, but relayer ${relayerId} answers there.`, { code: "link_refused", retryable: true, details: { relayerId } });
    }
    const process = challenge.process === null ? null : `${relayerId} ${challenge.process}`;
    if (process !== null) {
      const through = this.#linked.get(process);
      // The relayer would drop the older connection for the newer one, and so on for ever.
      if (through !== undefined) throw new TidelaneError(`${line.address} is the process that is linked through ${through}.`, { code: "link_duplicate", retryable: true });
      this.#linked.set(process, line.address);
    }
    const named = challenge.processes.map(addressOf);
    this.#named.set(relayerId, new Set(named));
    for (const address of named) this.#add({ address, relayerId, isListed: false }, signal);
    return process;
  }

  /** What a relayer named is given up once it cannot be reached and the newest hello names it no more. */
  #isWanted({ address, relayerId, isListed }: Line): boolean {
    return isListed || relayerId === null || this.#named.get(relayerId)?.has(address) === true;
  }

  #urls({ address, relayerId }: Line): (failures: number) => Promise<string> {
    if (relayerId === null || registeredIdOf(address) === null) return async () => address;
    const { chain, clock } = this.#world;
    let known: { readonly url: string; readonly atMs: Millis } | null = null;
    return async (failures) => {
      if (known && (failures === 0 || clock.monotonicMs() - known.atMs < ENDPOINT_KEPT_MS)) return known.url;
      const url = await chain.relayerEndpoint(relayerId);
      if (url === null) throw new TidelaneError(`There is no relayer ${relayerId} in the registry.`, { code: "relayer_not_registered", retryable: true, details: { relayerId } });
      known = { url, atMs: clock.monotonicMs() };
      return url;
    };
  }
}

/** @returns the number behind `relayer:`, or null for anything else. */
export function registeredIdOf(text: string): number | null {
  const id = Number(/^relayer:([1-9]\d{0,9})$/.exec(text)?.[1] ?? NaN);
  return id < 2 ** 32 ? id : null;
}

/** One spelling for each address. */
const addressOf = (text: string): string => (registeredIdOf(text) === null && URL.canParse(text) ? new URL(text).origin : text);

/**
 * Doubles with each failure up to 15 s. A relayer that is away is tried each second for a while: one that restarts is soon
 * back; one that answers and refuses is not to be pressed. Half of the wait is chance, so that a fleet does not come back in
 * one moment.
 */
export function backoffMs(failures: number, unit: number, isAway: boolean): Millis {
  const mostMs = isAway && failures <= SOON_FAILURES ? BACKOFF_SOON_MS : BACKOFF_MOST_MS;
  return Math.min(mostMs, BACKOFF_LEAST_MS * 2 ** Math.min(failures, 16)) * (0.5 + unit / 2);
}
