// What the parts of a watcher share: the world, what it was told to do, and where it is.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Hash, Millis, Seconds } from "../../protocol/units.ts";
import type { PublishedSource, ReceiptSource, WatchArchive, WatchChain, WatchSender, WatchSettings } from "../ports.ts";
import type { Evidence } from "../watch/evidenceFile.ts";
import type { Recover } from "../../protocol/signing.ts";
import type { Keccak256 } from "../../protocol/typedData.ts";
import type { Related } from "./related.ts";
import type { WatchState } from "./state.ts";

export interface WatchOptions {
  /** Null for every relayer. */
  readonly relayerId: number | null;
  /** Of that relayer; null where the chain's registry is to be believed. */
  readonly relayerUrl: string | null;
  /** Where reading begins in a new folder. */
  readonly fromBlock: bigint;
  /** Blocks that must lie above what is read. */
  readonly confirmations: number;
  /** Whether every transaction is read for headers. */
  readonly readHeaders: boolean;
  /** A relayer may be down for so long before its data is demanded; below W, or the demand comes too late. Null for W/4. */
  readonly graceSeconds: Seconds | null;
  /** Bonds that are put at risk for one batch. */
  readonly challengesMax: number;
  /** Bonds that one relayer may take by answering, before no more is demanded of it. */
  readonly bondsLostMax: number;
  readonly isDryRun: boolean;
}

export interface Watch {
  readonly chain: WatchChain;
  readonly archive: WatchArchive;
  /** Null where nothing can be sent. */
  readonly sender: WatchSender | null;
  readonly settings: WatchSettings;
  readonly options: WatchOptions;
  readonly evidence: readonly Evidence[];
  readonly related: Related;
  readonly state: WatchState;
  /** What was brought before a judge already, by what it shows, and whether it held. */
  readonly judged: Map<Hash, boolean>;
  readonly recover: Recover;
  readonly keccak256: Keccak256;
  /** What a relayer publishes at an address. */
  readonly published: (url: string) => PublishedSource;
  readonly receipts: (url: string) => ReceiptSource;
  /** A clock that only goes on. */
  readonly nowMs: () => Millis;
  /** 32 random bytes. */
  readonly salt: () => Hash;
  readonly say: (line: string) => void;
}

export const isWatched = ({ options }: Watch, relayerId: number): boolean => options.relayerId === null || options.relayerId === relayerId;

/** So long one relayer is waited for in one round: whoever answers slowly must not keep others from being looked at. */
const ASKED_MS_MAX: Millis = 60_000;

/** Questions to one relayer. Null where it has no address, cannot be reached, does not know, or answers nonsense. */
export interface Asks {
  published<Result>(ask: (source: PublishedSource) => Promise<Result | null>): Promise<Result | null>;
  /** Null also where its time is over: receipts are many, and none of them is missed by what is decided without. */
  receipts<Result>(ask: (source: ReceiptSource) => Promise<Result>): Promise<Result | null>;
  /** Whether it was waited for as long as a round may: what is not looked at yet is for the next one. */
  isOver(): boolean;
}

/** For one round: a relayer that does not answer at all is asked once. */
export function asksOf({ options, state, published, receipts, nowMs, say }: Watch, relayerId: number): Asks {
  const url = options.relayerUrl !== null && options.relayerId === relayerId ? options.relayerUrl : state.endpoints[relayerId] ?? null;
  let isAway = url === null || !/^https?:\/\//.test(url);
  let waitedMs = 0;
  const isOver = (): boolean => waitedMs >= ASKED_MS_MAX;
  const asked = async <Result>(ask: () => Promise<Result | null>): Promise<Result | null> => {
    if (isAway) return null;
    const begunMs = nowMs();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TidelaneError)) throw error;
      isAway = error.code === "relayer_unreachable";
      if (!isAway) say(`relayer ${relayerId}: an answer is passed over: ${error.message}`);
      return null;
    } finally {
      waitedMs += nowMs() - begunMs;
    }
  };
  return { isOver, published: (ask) => asked(() => ask(published(url!))), receipts: async (ask) => (isOver() ? null : asked(() => ask(receipts(url!)))) };
}
