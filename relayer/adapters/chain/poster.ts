// The poster's transactions: signed here, one at a time, each nonce given out when the one before is settled.
import { keccak256, parseTransaction } from "viem";
import { privateKeyToAccount, type PrivateKeyAccount } from "viem/accounts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { Address, Hash, Hex, Millis } from "../../../protocol/units.ts";
import type { ChainTransaction, TransactionReceipt } from "../../ports/chain.ts";
import { failureOf, reverted } from "./failures.ts";
import { nextTimestampOf, type Client } from "./client.ts";

/** EIP-7825: no transaction may ask for more. */
const GAS_MAX = 16_777_216n;
const POLL_MS: Millis = 250;
/** A transaction that stands in no block after so long is sent again for more. */
const STUCK_MS: Millis = 30_000;
const GIVE_UP_MS: Millis = 300_000;
const FOREIGN_PENDING_MS_MAX: Millis = 30_000;
/** An eighth more each time: ten times the price in twenty bids. */
const BIDS_MAX = 20;

interface Call {
  readonly to: Address;
  readonly data: Hex;
}

export class Poster {
  readonly #client: Client;
  readonly #account: PrivateKeyAccount;
  readonly #chainId: number;
  readonly #mayPost: () => boolean;
  #last: Promise<unknown> = Promise.resolve();

  /** @param mayPost false where another process of this relayer sends its transactions. */
  constructor(client: Client, key: Hex, chainId: number, mayPost: () => boolean) {
    this.#client = client;
    this.#mayPost = mayPost;
    this.#account = privateKeyToAccount(key);
    this.#chainId = chainId;
  }

  get address(): Address {
    return this.#account.address.toLowerCase() as Address;
  }

  exclusive<Result>(job: (nonce: number) => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(async () => {
      if (!this.#mayPost()) throw new TidelaneError("Another process of this relayer sends its transactions; ask that one, or try again.", { code: "not_leading", retryable: true });
      return await job(await this.#settledNonce());
    });
    this.#last = turn.catch(() => { /* Whoever asked for the job is told. */ });
    return turn;
  }

  submit(call: Call): Promise<TransactionReceipt> {
    return this.exclusive(async (nonce) => {
      const gas = await this.#estimate(call);
      return await this.#untilMined(await this.sign({ ...call, nonce, gas }), call);
    });
  }

  /** On the newest state, at the time of the chain's next block: at a later one it might pass too early, and be mined in vain. */
  async simulate(call: Call): Promise<void> {
    const request = { account: this.#account.address, to: call.to, data: call.data } as const;
    const time = await this.#ask(() => nextTimestampOf(this.#client));
    try {
      await this.#ask(() => this.#client.call({ ...request, blockOverrides: { time } }));
    } catch (error) {
      if (error instanceof TidelaneError && error.code === "call_reverted") throw error;
      // Some RPC servers know no overrides; they judge by their last block.
      await this.#ask(() => this.#client.call(request));
    }
  }

  async sign(call: Call & { readonly nonce: number; readonly gas: bigint }): Promise<ChainTransaction> {
    return await this.#signed(call, await this.#ask(() => this.#client.estimateFeesPerGas()));
  }

  async replace(transaction: ChainTransaction, nonce: number): Promise<ChainTransaction> {
    const old = parseTransaction(transaction.raw);
    const now = await this.#ask(() => this.#client.estimateFeesPerGas());
    // Nodes take a replacement for a tenth more; an eighth also survives their rounding.
    const raised = (was: bigint | undefined, is: bigint): bigint => {
      const least = ((was ?? 0n) * 9n) / 8n + 1n;
      return least > is ? least : is;
    };
    return await this.#signed({ to: old.to!.toLowerCase() as Address, data: old.data ?? "0x", nonce, gas: old.gas! }, {
      maxFeePerGas: raised(old.maxFeePerGas, now.maxFeePerGas), maxPriorityFeePerGas: raised(old.maxPriorityFeePerGas, now.maxPriorityFeePerGas),
    });
  }

  nonce(): Promise<number> {
    return this.#ask(() => this.#client.getTransactionCount({ address: this.#account.address, blockTag: "latest" }));
  }

  async broadcast(raw: Hex): Promise<void> {
    try {
      await this.#client.sendRawTransaction({ serializedTransaction: raw });
    } catch (error) {
      const said = [error, (error as { cause?: unknown }).cause, (error as { details?: unknown }).details].map(String).join(" ");
      // It is known there already, or its nonce is used: whether by this very transaction, its receipt tells.
      if (/already known|already imported|already exists|nonce too low|ALREADY_EXISTS/i.test(said)) return;
      if (/underpriced/i.test(said)) throw new TidelaneError("Another transaction with this nonce waits, and this one pays too little to replace it.", { code: "replacement_underpriced", retryable: true, cause: error });
      if (/insufficient funds/i.test(said)) {
        throw new TidelaneError(`The poster ${this.address} cannot pay for gas; send it some.`, { code: "poster_out_of_gas", retryable: true, cause: error, details: { poster: this.address } });
      }
      throw failureOf(error);
    }
  }

  async receipt(hash: Hash): Promise<TransactionReceipt | null> {
    const found = await this.#ask(() => this.#client.request({ method: "eth_getTransactionReceipt", params: [hash] }));
    if (!found?.blockNumber) return null;
    return { hash, status: found.status === "0x1" ? "success" : "reverted", blockNumber: BigInt(found.blockNumber), gasUsed: BigInt(found.gasUsed) };
  }

  /** Waits for what an earlier process left in the pool, so that its nonce is not used twice; past the limit it is replaced. */
  async #settledNonce(): Promise<number> {
    const until = performance.now() + FOREIGN_PENDING_MS_MAX;
    for (;;) {
      const [latest, pending] = await this.#ask(() => Promise.all((["latest", "pending"] as const).map((blockTag) => this.#client.getTransactionCount({ address: this.#account.address, blockTag }))));
      if (pending! <= latest! || performance.now() > until) return latest!;
      await pause();
    }
  }

  async #estimate(call: Call): Promise<bigint> {
    const estimated = await this.#ask(() => this.#client.estimateGas({ account: this.#account.address, to: call.to, data: call.data }));
    const generous = (estimated * 5n) / 4n;
    return generous < GAS_MAX ? generous : GAS_MAX;
  }

  async #untilMined(first: ChainTransaction, call: Call): Promise<TransactionReceipt> {
    const sent: ChainTransaction[] = [await this.#sendFirst(first)];
    const startedMs = performance.now();
    let sentMs = startedMs;
    for (;;) {
      const receipt = await this.#anyReceipt(sent);
      if (receipt?.status === "success") return receipt;
      if (receipt) throw reverted(await this.#whyReverted(call), null, receipt);
      if (performance.now() - startedMs > GIVE_UP_MS) {
        throw new TidelaneError("A transaction stands in no block after five minutes of raising its fee.", { code: "transaction_stuck", retryable: true, details: { transaction: sent.at(-1)!.hash } });
      }
      await pause();
      if (performance.now() - sentMs < STUCK_MS) continue;
      const dearer = await this.replace(sent.at(-1)!, first.nonce);
      sent.push(dearer);
      sentMs = performance.now();
      await this.broadcast(dearer.raw);
    }
  }

  /** Something given up on may still wait under this nonce: it is outbid. */
  async #sendFirst(first: ChainTransaction): Promise<ChainTransaction> {
    let transaction = first;
    for (let bids = 1; ; bids++) {
      try {
        await this.broadcast(transaction.raw);
        return transaction;
      } catch (error) {
        if (!(error instanceof TidelaneError && error.code === "replacement_underpriced") || bids >= BIDS_MAX) throw error;
        transaction = await this.replace(transaction, first.nonce);
      }
    }
  }

  /** An unanswered question while waiting is no answer: the transaction may still be mined. */
  async #anyReceipt(sent: readonly ChainTransaction[]): Promise<TransactionReceipt | null> {
    for (const { hash } of sent) {
      const receipt = await this.receipt(hash).catch(() => null);
      if (receipt) return receipt;
    }
    return null;
  }

  async #whyReverted(call: Call): Promise<string> {
    return await this.simulate(call).then(() => "it would pass by now", (error: unknown) => (error instanceof TidelaneError ? String(error.details.reason ?? error.code) : String(error)));
  }

  async #signed(call: Call & { readonly nonce: number; readonly gas: bigint }, fees: { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }): Promise<ChainTransaction> {
    const raw = await this.#account.signTransaction({
      type: "eip1559", chainId: this.#chainId, to: call.to, data: call.data, nonce: call.nonce, gas: call.gas,
      maxFeePerGas: fees.maxFeePerGas, maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    });
    return { hash: keccak256(raw), raw, nonce: call.nonce };
  }

  async #ask<Result>(question: () => Promise<Result>): Promise<Result> {
    try {
      return await question();
    } catch (error) {
      throw failureOf(error);
    }
  }
}

const pause = (): Promise<void> => new Promise((wake) => setTimeout(wake, POLL_MS));
