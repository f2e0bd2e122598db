// A watcher over a chain, judges and a sender of the test's own making, with a real folder.
import { mkdtempSync, readFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeFunctionData, keccak256 } from "viem";
import { numberToHex } from "viem/utils";
import type { BlockMark, Judgement, WatchArchive, WatchChain, WatchEvent, WatchSender } from "../../../auditor/ports.ts";
import { watchArchive } from "../../../auditor/sourcesWatchArchive.ts";
import { Related } from "../../../auditor/work/related.ts";
import { stateOf } from "../../../auditor/work/state.ts";
import type { Watch, WatchOptions } from "../../../auditor/work/watch.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { FraudProofsAbi } from "../../../protocol/generated/abi/FraudProofs.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../../protocol/units.ts";
import { domain, node, relayer } from "../../protocol/honest.ts";

export const WINDOW_SECONDS = 3_600;
export const ME: Address = `0x${"11".repeat(20)}`;
const hashOf = (n: bigint, fork: number): Hash => keccak256(numberToHex(n * 1_000n + BigInt(fork), { size: 32 }));

/** A chain that says what it is told to say. */
export class FakeChain implements WatchChain {
  number = 10n;
  timestamp = 1_000_000;
  /** Blocks from here on are other blocks than before. */
  forks: bigint[] = [];
  judgement: Judgement = { holds: true, key: ZERO_HASH, party: "relayer", offender: 1, isPunished: false };
  judged = 0;
  standing: { challenger: Address; openedAt: number; isSettled: boolean } | null = null;
  condemned = false;
  owed = 0n;
  happened = new Map<bigint, readonly WatchEvent[]>();
  asked: [bigint, bigint][] = [];
  /** Once. */
  afterRead = (): void => undefined;

  readonly settings = async () => ({ domain, windowSeconds: WINDOW_SECONDS, epochSeconds: 300, challengeBond: 7n });
  readonly head = async (): Promise<BlockMark> => this.#mark(this.number);
  readonly blockAt = async (number: bigint): Promise<BlockMark | null> => (number > this.number ? null : this.#mark(number));
  readonly events = async (from: bigint, to: bigint) => {
    this.asked.push([from, to]);
    this.afterRead();
    this.afterRead = () => undefined;
    return [...this.happened].filter(([at]) => at >= from && at <= to).flatMap(([, events]) => events);
  };
  readonly keys = async () => {
    const always = { openedAtSeconds: 1, closedAtSeconds: 0 };
    return { nodeKeys: new Map([["7:1", { key: node.address, ...always }]]), relayerKeys: new Map([["1:1", { key: relayer.address, ...always }]]) };
  };
  readonly judge = async (): Promise<Judgement> => {
    this.judged += 1;
    return this.judgement;
  };
  readonly challenge = async () => this.standing;
  readonly isCondemned = async () => this.condemned;
  readonly owedTo = async () => [{ token: ME, amount: this.owed }];

  #mark(number: bigint): BlockMark {
    return { number, hash: hashOf(number, this.forks.filter((from) => from <= number).length), timestamp: this.timestamp };
  }
}

/** Notes the calls that were sent by name; each is mined in a block of its own unless it is to be refused. */
export class FakeSender implements WatchSender {
  readonly address: Address;
  readonly sent: string[] = [];
  readonly bytes: Hex[] = [];
  approved = 0n;
  /** By the name of the call; once. */
  readonly refusals = new Map<string, string>();
  readonly #chain: FakeChain;

  constructor(chain: FakeChain, address = ME) {
    this.#chain = chain;
    this.address = address;
  }

  readonly send: WatchSender["send"] = async (data) => {
    const { functionName } = decodeFunctionData({ abi: FraudProofsAbi, data });
    const reason = this.refusals.get(functionName);
    this.refusals.delete(functionName);
    if (reason === "unreachable") throw new TidelaneError("gone", { code: "chain_unreachable", retryable: true });
    if (reason !== undefined) throw new TidelaneError(reason, { code: "call_reverted", details: { reason } });
    this.sent.push(functionName);
    this.bytes.push(data);
    if (functionName === "challengeData") this.#chain.standing = { challenger: this.address, openedAt: this.#chain.timestamp, isSettled: false };
    if (functionName === "claim") this.#chain.owed = 0n;
    this.#chain.number += 1n;
    return { transactionHash: hashOf(this.#chain.number, 99), blockNumber: this.#chain.number };
  };
  readonly approveBond = async (amount: bigint): Promise<void> => void (this.approved = amount);
}

export const newFolder = (): string => mkdtempSync(join(tmpdir(), "tidelane-watch-"));

/** A watcher that begins, or goes on, in that folder. */
export async function watcherIn(folder: string, chain: FakeChain, sender: WatchSender | null, options: Partial<WatchOptions> = {}): Promise<Watch & { close(): Promise<void> }> {
  const archive: WatchArchive & { close(): Promise<void> } = await watchArchive(folder, { keepDays: 100, bytesMax: 2 ** 30 }, Date.now);
  const settings = await chain.settings();
  const absent = async (): Promise<never> => {
    throw new TidelaneError("nobody answers", { code: "relayer_unreachable", retryable: true });
  };
  return {
    chain, archive, sender, settings, evidence: [], related: new Related(archive), state: stateOf(await archive.loadState(), domain), judged: new Map(), recover: recoverWithViem, keccak256,
    options: { relayerId: null, relayerUrl: null, fromBlock: 0n, confirmations: 0, readHeaders: true, graceSeconds: 0, challengesMax: 2, bondsLostMax: 3, isDryRun: false, ...options },
    published: () => ({ relayerId: absent, batchHeader: absent, batchData: absent, record: absent }), receipts: () => ({ receipt: absent }),
    nowMs: () => 0, salt: () => `0x${"5a".repeat(32)}`, say: () => {}, close: archive.close,
  };
}

/** What stands in the journal, by what was done. */
export const journalOf = (folder: string): string[] => {
  const path = join(folder, "journal.jsonl");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").map((line) => (JSON.parse(line) as { what: string }).what) : [];
};
