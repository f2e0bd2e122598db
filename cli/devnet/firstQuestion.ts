// The first question of a local network: asked with the openai package, paid with a signed voucher, settled, verified.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import OpenAI from "openai";
import { createPublicClient, http } from "viem";
import { openPayer, payerWorld } from "../../client/main.ts";
import { openSession } from "../../client/session.ts";
import { ownerOfKey, type ChainAccess } from "../../client/adapters/chain.ts";
import { Mode } from "../../protocol/constants.ts";
import { taskViewFromJson, type BatchView } from "../../protocol/taskView.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { TaskOutcome } from "../../client/receipt.ts";
import type { TidelanePayer } from "../../client/payer.ts";
import type { Hash, TokenAmount } from "../../protocol/units.ts";
import type { Devnet } from "./devnet.ts";
import { LOCAL_CHAIN_ID } from "./anvil.ts";

/** 100 tokens of the payer's 10,000; a tenth of it is the most for one task. */
const LOCK: TokenAmount = 100_000_000n;
/** Below this a session is left to expire and another one is opened. */
const FREE_MIN: TokenAmount = 10_000_000n;
const PROMPT = "Once upon a time, a little boat sailed out with the tide";
const MAX_TOKENS = 64;
const SETTLED_MS_MAX = 60_000;

export interface Answer {
  readonly text: string;
  readonly firstTokenMs: number;
  readonly outcome: TaskOutcome;
}

export interface Settlement {
  readonly batchId: string;
  readonly block: number;
  readonly gasUsed: number;
}

export const chainAccess = (devnet: Devnet): ChainAccess => ({ rpcUrls: [devnet.rpcUrl], chainId: LOCAL_CHAIN_ID, contracts: devnet.contracts });

/** The payer's VOUCHER session, opened where there is none that can still pay. */
export async function sessionOf(devnet: Devnet, onOutcome: (outcome: TaskOutcome) => void): Promise<TidelanePayer> {
  const { sessionFile } = devnet.layout;
  const place = { ...chainAccess(devnet), sessionFile };
  if (existsSync(sessionFile)) {
    const payer = await openPayer(place, { onOutcome, relayerUrl: devnet.relayerUrl }).catch((error: unknown) => {
      if (error instanceof TidelaneError && ["invalid_state", "wrong_deployment"].includes(error.code)) return null;
      throw error;
    });
    if (payer && payer.status().free >= FREE_MIN && payer.status().validUntil > Date.now() / 1000 + 3_600) return payer;
    await payer?.close();
    rmSync(sessionFile);
  }
  await open(devnet, sessionFile, Mode.VOUCHER);
  return openPayer(place, { onOutcome, relayerUrl: devnet.relayerUrl });
}

/** The ALLOWANCE session's API key, for clients that sign nothing. */
export async function apiKeyOf(devnet: Devnet): Promise<string> {
  const { apiKeyFile, allowanceFile } = devnet.layout;
  if (existsSync(apiKeyFile)) return readFileSync(apiKeyFile, "utf8").trim();
  rmSync(allowanceFile, { force: true });
  const apiKey = await open(devnet, allowanceFile, Mode.ALLOWANCE);
  if (apiKey === null) throw new TidelaneError("the relayer opened the session and gave no API key", { code: "setup_failed" });
  writeFileSync(apiKeyFile, `${apiKey}\n`, { mode: 0o600 });
  return apiKey;
}

async function open(devnet: Devnet, sessionFile: string, mode: 0 | 1): Promise<string | null> {
  mkdirSync(devnet.layout.payerDir, { recursive: true, mode: 0o700 });
  const world = await payerWorld({ ...chainAccess(devnet), sessionFile });
  try {
    return (await openSession(world, ownerOfKey(devnet.keys.payer.owner), devnet.relayerUrl, { lock: LOCK, mode })).apiKey;
  } finally {
    await world.store.close();
  }
}

/** Asks through an unmodified OpenAI client; only its `fetch` pays. */
export async function ask(payer: TidelanePayer, model: string, outcomes: Promise<TaskOutcome>, onText: (text: string) => void): Promise<Answer> {
  const client = new OpenAI({ baseURL: payer.baseUrl, apiKey: "unused", fetch: payer.fetch, maxRetries: 0 });
  const since = performance.now();
  let firstTokenMs = 0;
  let text = "";
  const stream = await client.chat.completions.create({ model, messages: [{ role: "user", content: PROMPT }], max_tokens: MAX_TOKENS, temperature: 0.7, stream: true });
  for await (const chunk of stream) {
    const piece = chunk.choices[0]?.delta.content ?? "";
    if (piece === "") continue;
    if (firstTokenMs === 0) firstTokenMs = Math.round(performance.now() - since);
    text += piece;
    onText(piece);
  }
  return { text: `${PROMPT}${text}`, firstTokenMs, outcome: await outcomes };
}

/** Waits until the task stands in a batch on chain. @throws `not_settled` */
export async function settlementOf(devnet: Devnet, taskId: Hash): Promise<Settlement> {
  const until = performance.now() + SETTLED_MS_MAX;
  while (performance.now() < until) {
    const response = await fetch(`${devnet.relayerUrl}/tidelane/v1/receipts/${taskId}`);
    const batch = response.ok ? taskViewFromJson(await response.json()).batch : null;
    if (batch?.state === "confirmed") return fromChain(devnet, batch);
    await new Promise((wake) => setTimeout(wake, 200));
  }
  throw new TidelaneError(`the task ${taskId} was not settled within ${SETTLED_MS_MAX / 1000} s; see ${devnet.layout.logsDir}/relayer.log`, { code: "not_settled" });
}

/** Block and gas as the chain says them. */
async function fromChain(devnet: Devnet, batch: BatchView): Promise<Settlement> {
  const receipt = await createPublicClient({ transport: http(devnet.rpcUrl) }).getTransactionReceipt({ hash: batch.transactionHash });
  return { batchId: String(batch.header.batchId), block: Number(receipt.blockNumber), gasUsed: Number(receipt.gasUsed) };
}
