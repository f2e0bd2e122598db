// A real network for end-to-end tests: processes, chain, database and model, on ports and in a folder of its own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import pg from "pg";
import { createPublicClient, createWalletClient, http, type PublicClient } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { Devnet, type DevnetOptions } from "../../cli/devnet/devnet.ts";
import { embeddedEngine } from "../../cli/devnet/fleet.ts";
import { chainAccess } from "../../cli/devnet/firstQuestion.ts";
import { openPayer, payerWorld } from "../../client/main.ts";
import { openSession, type SessionTerms } from "../../client/session.ts";
import { ownerChain, ownerOfKey } from "../../client/adapters/chain.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { Mode } from "../../protocol/constants.ts";
import { taskViewFromJson, type TaskView } from "../../protocol/taskView.ts";
import type { TaskOutcome } from "../../client/receipt.ts";
import type { TidelanePayer } from "../../client/payer.ts";
import type { Hash, Hex } from "../../protocol/units.ts";

export const PROMPT = "Once upon a time there was a small lighthouse";

/** Contracts' requests are paid by their fulfilment, never by a batch. */
export const IS_PAYERS = `s."authorization" ->> 'mode' <> '${Mode.REQUEST}'`;

export interface Paying {
  readonly payer: TidelanePayer;
  readonly client: OpenAI;
  readonly sessionId: Hash;
  readonly sessionFile: string;
  /** Judged tasks, in the order in which their answers ended. */
  readonly outcomes: TaskOutcome[];
}

export class Network {
  readonly directory = mkdtempSync(join(tmpdir(), "tidelane-e2e-"));
  readonly devnet: Devnet;
  #sessions = 0;
  readonly #payers: TidelanePayer[] = [];

  constructor(options: Partial<DevnetOptions> = {}) {
    this.devnet = new Devnet({ directory: this.directory, port: 0, engine: embeddedEngine(), ...options });
  }

  async start(): Promise<void> {
    await this.devnet.start();
  }

  async stop(): Promise<void> {
    for (const payer of this.#payers) await payer.close().catch(() => undefined);
    await this.devnet.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  get reader(): PublicClient {
    return createPublicClient({ transport: http(this.devnet.rpcUrl) });
  }

  /** A payer of its own session whose `fetch` signs for an unmodified OpenAI client. */
  async voucherPayer(terms: Partial<SessionTerms> = {}): Promise<Paying> {
    const sessionFile = join(this.directory, `session-${++this.#sessions}.json`);
    const { sessionId } = await this.#open(sessionFile, { lock: 20_000_000n, ...terms, mode: Mode.VOUCHER });
    const outcomes: TaskOutcome[] = [];
    const payer = await openPayer({ ...chainAccess(this.devnet), sessionFile }, { onOutcome: (outcome) => outcomes.push(outcome) });
    this.#payers.push(payer);
    return { payer, sessionId, sessionFile, outcomes, client: new OpenAI({ baseURL: payer.baseUrl, apiKey: "unused", fetch: payer.fetch, maxRetries: 0 }) };
  }

  /** A client that knows an API key and nothing else. */
  async keyClient(terms: Partial<SessionTerms> = {}, owner?: Hex): Promise<{ client: OpenAI; apiKey: string; sessionId: Hash }> {
    const { sessionId, apiKey } = await this.#open(join(this.directory, `session-${++this.#sessions}.json`), { lock: 20_000_000n, ...terms, mode: Mode.ALLOWANCE }, owner);
    return { sessionId, apiKey: apiKey!, client: this.clientOf(apiKey!) };
  }

  clientOf(apiKey: string): OpenAI {
    return new OpenAI({ baseURL: `${this.devnet.relayerUrl}/v1`, apiKey, maxRetries: 0 });
  }

  get owner() {
    return ownerChain(chainAccess(this.devnet), this.devnet.keys.payer.owner);
  }

  /** Another payer, with a free balance. @returns its key */
  async furtherPayer(amount: bigint): Promise<Hex> {
    const key = generatePrivateKey();
    await this.owner.depositFor(this.addressOf(key), amount);
    return key;
  }

  async #open(sessionFile: string, terms: SessionTerms, owner: Hex = this.devnet.keys.payer.owner) {
    const world = await payerWorld({ ...chainAccess(this.devnet), sessionFile });
    try {
      return await openSession(world, ownerOfKey(owner), this.devnet.relayerUrl, terms);
    } finally {
      await world.store.close();
    }
  }

  /** The next judged task. */
  async outcome(paying: Paying, count = 1): Promise<TaskOutcome> {
    await until(`${count} judged tasks`, () => paying.outcomes.length >= count);
    return paying.outcomes[count - 1]!;
  }

  async view(taskId: Hash): Promise<TaskView | null> {
    const response = await fetch(`${this.devnet.relayerUrl}/tidelane/v1/receipts/${taskId}`);
    return response.ok ? taskViewFromJson(await response.json()) : null;
  }

  /** Resolves when the task stands in a confirmed batch. */
  async settled(taskId: Hash): Promise<TaskView> {
    let view: TaskView | null = null;
    await until(`task ${taskId} is settled`, async () => {
      view = await this.view(taskId).catch(() => null);
      return view?.batch?.state === "confirmed";
    }, 60_000);
    return view!;
  }

  /** Resolves when nothing that was journaled waits for a batch. */
  async allSettled(): Promise<void> {
    await until("all tasks are settled", async () => {
      const [open] = await this.sql<{ n: string }>(`select count(*) as n from attempts a join tasks t using (task_id) left join batches b on b.header_hash = t.batch_hash
        join sessions s using (session_id) where a.receipt_hash is not null and a.charge::numeric > 0 and coalesce(b.state, '') <> 'confirmed' and ${IS_PAYERS}`);
      return Number(open!.n) === 0;
    }, 60_000);
  }

  async sql<Row>(query: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.devnet.databaseUrl });
    await client.connect();
    try {
      return (await client.query(query)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** Ends its process at once, as a crash does. */
  async killRelayer(): Promise<void> {
    const { pid } = this.devnet.relayerProcess;
    this.devnet.relayerProcess.kill("SIGKILL");
    await until("the relayer is gone", () => !isAlive(pid));
  }

  session(sessionId: Hash) {
    return this.reader.readContract({ address: this.devnet.contracts.Escrow!, abi: EscrowAbi, functionName: "sessionOf", args: [sessionId] });
  }

  tab(nodeId: number) {
    return this.reader.readContract({ address: this.devnet.contracts.Escrow!, abi: EscrowAbi, functionName: "tabOf", args: [this.devnet.ids.relayerId, nodeId] });
  }

  relayerAccount() {
    return this.reader.readContract({ address: this.devnet.contracts.Escrow!, abi: EscrowAbi, functionName: "relayerAccountOf", args: [this.devnet.ids.relayerId] });
  }

  addressOf(key: Hex): Hex {
    return privateKeyToAccount(key).address;
  }

  /** Anyone may: the money goes to the node's payout address. */
  async claimTab(nodeId: number): Promise<void> {
    const wallet = createWalletClient({ account: privateKeyToAccount(this.devnet.keys.payer.owner), transport: http(this.devnet.rpcUrl) });
    const hash = await wallet.writeContract({ chain: null, address: this.devnet.contracts.Escrow!, abi: EscrowAbi, functionName: "claimTab", args: [this.devnet.ids.relayerId, nodeId] });
    const { status } = await this.reader.waitForTransactionReceipt({ hash });
    if (status !== "success") throw new Error(`claimTab of node ${nodeId} reverted`);
  }

  async lastBatchId(): Promise<bigint> {
    const [batchId] = await this.reader.readContract({
      address: this.devnet.contracts.BatchSettlement!, abi: BatchSettlementAbi, functionName: "lastBatchOf", args: [this.devnet.ids.relayerId],
    });
    return batchId;
  }

  async rpc<Result>(method: string, params: readonly unknown[] = []): Promise<Result> {
    const response = await fetch(this.devnet.rpcUrl, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await response.json() as { result: Result; error?: { message: string } };
    if (error) throw new Error(error.message);
    return result;
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.devnet.relayerUrl}${path}`, {
      method: "POST", headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" || body instanceof Uint8Array ? new Blob([body as never]) : JSON.stringify(body),
    });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls a condition. @throws where it does not come true in time. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, msMax = 30_000): Promise<void> {
  const end = performance.now() + msMax;
  while (performance.now() < end) {
    if (await condition()) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`waited ${msMax / 1000} s in vain: ${what}`);
}

export const chat = { model: "stories15M", messages: [{ role: "user" as const, content: PROMPT }], max_tokens: 24, temperature: 0 };

/** Reads a stream to its end. */
export async function readAll(stream: AsyncIterable<OpenAI.Chat.Completions.ChatCompletionChunk>) {
  let text = "";
  let last: OpenAI.Chat.Completions.ChatCompletionChunk | null = null;
  let finishReason: string | null = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
    last = chunk;
  }
  return { text, last, finishReason };
}

/** The typed error of a request that must fail. */
export async function failure(request: Promise<unknown>): Promise<{ status: number; code: string; message: string }> {
  try {
    await request;
  } catch (error) {
    const { status, code, message } = error as { status: number; code: string; message: string };
    return { status, code, message };
  }
  throw new Error("the request succeeded, and was to fail");
}

export type { Hash };
