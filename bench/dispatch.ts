// How long a request takes through the relayer: from the parsed request to its dispatch to a node, ALLOWANCE mode, an empty lobby.
//
//   npm run bench:dispatch -- --json [--rate N] [--seconds N] [--nodes N] [--journal both|postgres|memory]
//
// The relayer's own parts as main.ts puts them together: sessions, lobby, fleet, tasks and the journal on a Postgres server of its own,
// which writes a task down beside its dispatch. Chain and nodes are stood in for. Requests come at even distances; the time counts from
// when the loop hands a request in, so what the load generator does before that is not in it. One JSON object on the last line: the
// figures with Postgres, and under `inMemory` those with a journal that writes nothing, which are the relayer's own time.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BenchNodes } from "./dispatch/nodes.ts";
import { numberOf, withoutNoise } from "./routing/options.ts";
import { InvalidValueError } from "../protocol/errors.ts";
import { Mode } from "../protocol/constants.ts";
import { modelIdOf } from "../protocol/ids.ts";
import { signStruct } from "../protocol/signing.ts";
import { hashStruct, type Domain } from "../protocol/typedData.ts";
import { TIDE_ONE } from "../protocol/tide.ts";
import { createNativeCrypto, nativeSignerOfKey } from "../relayer/adapters/crypto.ts";
import { silentLog } from "../relayer/adapters/log.ts";
import { MemoryJournal } from "../relayer/adapters/memoryJournal.ts";
import { openJournal } from "../relayer/adapters/journal.ts";
import { PrometheusMetrics } from "../relayer/adapters/metrics.ts";
import { startPostgres } from "../relayer/adapters/postgres.ts";
import { systemClock } from "../relayer/adapters/clock.ts";
import { systemDice } from "../relayer/adapters/dice.ts";
import { tokenCounter } from "../relayer/adapters/tokens.ts";
import { epochAt, SeedChain } from "../relayer/routing/seeds.ts";
import { Fleet } from "../relayer/work/fleet.ts";
import { Reception } from "../relayer/work/reception.ts";
import { Sessions } from "../relayer/work/sessions.ts";
import { Tabs } from "../relayer/work/tabs.ts";
import { Tasks } from "../relayer/work/tasks.ts";
import type { Chain, ChainSession } from "../relayer/ports/chain.ts";
import type { Journal } from "../relayer/ports/journal.ts";
import type { ModelInfo } from "../protocol/link.ts";
import type { SpendingAuthorization } from "../protocol/generated/structs.ts";
import type { TaskRequest } from "../relayer/work/taskPlan.ts";
import type { Hash, Hex } from "../protocol/units.ts";

const HELP = "usage: npm run bench:dispatch -- [--json] [--rate N] [--seconds N] [--nodes N] [--journal both|postgres|memory]\n";
const WARM_SECONDS = 3;
const DOMAIN: Domain = { chainId: 31_337, verifyingContract: `0x${"5e".repeat(20)}` };
const EPOCH_SECONDS = 600;
const RELAYER_ID = 1;
/** Keys of nobody: 32 times the same byte. */
const [RELAYER, PAYER, SESSION] = ["03", "01", "02"].map((byte) => nativeSignerOfKey(`0x${byte.repeat(32)}` as Hex)) as [ReturnType<typeof nativeSignerOfKey>, ReturnType<typeof nativeSignerOfKey>, ReturnType<typeof nativeSignerOfKey>];
const NAME = "tidelane/bench@q8_0";
const MODEL: ModelInfo = { modelId: modelIdOf(NAME), name: NAME, aliases: ["bench"], kind: "generate", contextTokens: 8_192, tokenizer: "", capabilities: [], dimensions: 0 };

const options = {
  json: { type: "boolean", default: false }, help: { type: "boolean", default: false }, rate: { type: "string", default: "300" }, seconds: { type: "string", default: "20" },
  nodes: { type: "string", default: "64" }, journal: { type: "string", default: "both" },
} as const;

interface Storage {
  readonly journal: Journal;
  close(): Promise<void>;
}

async function storageOf(kind: string): Promise<Storage> {
  if (kind === "memory") return { journal: new MemoryJournal(), close: () => Promise.resolve() };
  const dir = mkdtempSync(join(tmpdir(), "tidelane-dispatch-"));
  const cluster = await startPostgres({ dir: join(dir, "postgres") });
  const journal = await openJournal({ databaseUrl: cluster.url, spoolDir: join(dir, "spool"), log: silentLog });
  return {
    journal,
    close: async () => {
      await journal.close();
      await cluster.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** One payer with a budget that no run uses up. */
const TERMS: SpendingAuthorization = {
  payer: PAYER.address, sessionKey: SESSION.address, relayerId: RELAYER_ID, lock: 10n ** 15n, maxTotal: 10n ** 15n, maxPerTask: 10n ** 9n, maxPerDay: 10n ** 15n,
  maxPriceInPerMTok: 10n ** 6n, maxPriceOutPerMTok: 10n ** 6n, maxFeeBps: 500, mode: Mode.ALLOWANCE, validAfter: 1, validUntil: 4_000_000_000, salt: 1n,
};

/** A chain on which whatever is asked for succeeds. */
function chainOf(): Chain {
  const opened = new Set<Hash>();
  const session: ChainSession = {
    payer: TERMS.payer, sessionKey: TERMS.sessionKey, relayerId: RELAYER_ID, mode: TERMS.mode, lock: TERMS.lock, maxTotal: TERMS.maxTotal, charged: 0n, provenCap: 0n, forced: 0n,
    debitable: TERMS.lock, bucketLevel: 2n * TERMS.maxPerDay, validAfter: TERMS.validAfter, validUntil: TERMS.validUntil, state: "open", readAtSeconds: 0,
  };
  return {
    deployment: { domain: DOMAIN, addresses: {}, windowSeconds: 86_400, epochSeconds: EPOCH_SECONDS, leverage: 5 },
    session: async (id: Hash) => (opened.has(id) ? { ...session, readAtSeconds: Math.floor(systemClock.nowMs() / 1_000) } : null),
    openSession: async (terms: SpendingAuthorization) => void opened.add(hashStruct("SpendingAuthorization", terms)),
  } as unknown as Chain;
}

/** @returns milliseconds from hand-in to dispatch, of each request after the warm-up, how many failed, and core time of all (nodes and load generator included) by request */
async function measure(journal: Journal, rate: number, seconds: number, nodeCount: number): Promise<{ latenciesMs: Float64Array; failed: number; coreMsPerRequest: number }> {
  const crypto = await createNativeCrypto();
  const chain = chainOf();
  const identity = { relayerId: RELAYER_ID, epoch: 1, feeBps: 300, signer: RELAYER };
  const shared = { clock: systemClock, dice: systemDice, log: silentLog, metrics: new PrometheusMetrics(false), crypto, chain, identity, journal, deployment: chain.deployment };
  const sessions = new Sessions({ ...shared, leastLock: 0n });
  await sessions.load();
  const { apiKey } = await sessions.register(TERMS, await signStruct(PAYER, DOMAIN, "SpendingAuthorization", TERMS));
  const seeds = new SeedChain(`0x${"5e".repeat(32)}`, epochAt(systemClock.nowMs(), EPOCH_SECONDS), 1_000);
  const fleet = new Fleet({ ...shared, relayerId: RELAYER_ID, seeds, tide: { multiplierOf: () => TIDE_ONE, ready: () => Promise.resolve() }, processId: systemDice.bytes32() });
  const reception = new Reception({ ...shared, fleet });
  const dispatchedAtMs: number[] = [];
  const links = new BenchNodes({ count: nodeCount, relayerId: RELAYER_ID, domain: DOMAIN, model: MODEL, crypto, onDispatch: (nonce) => (dispatchedAtMs[Number(nonce)] ??= performance.now()) });
  const limits = { startMsMax: 30_000, firstTokenMsMax: 30_000, gapMsMax: 30_000, cancelMsMax: 5_000, outputBytesMax: 1_000_000 };
  const tasks = new Tasks({ ...shared, links, tokens: tokenCounter, tabs: new Tabs(), fleet, sessions, reception, limits });
  const stop = new AbortController();
  await links.join(reception, stop.signal);
  const handedMs: number[] = [];
  let failed = 0;
  const total = Math.round(rate * (WARM_SECONDS + seconds));
  const running: Promise<void>[] = [];
  const sinceMs = performance.now();
  const usedBefore = process.cpuUsage();
  for (let i = 0; i < total;) {
    for (const dueMs = performance.now() - sinceMs; i < total && (i * 1_000) / rate <= dueMs; i++) {
      // Sessions give nonces in the order of arrival.
      handedMs.push(performance.now());
      running.push(askAll(tasks, requestOf(apiKey!, i)).catch(() => void failed++));
      await new Promise((turn) => setImmediate(turn));
    }
    await systemClock.sleep(1);
  }
  await Promise.all(running);
  stop.abort();
  const first = Math.min(...Object.keys(dispatchedAtMs).map(Number));
  const latenciesMs = Float64Array.from(handedMs.flatMap((atMs, i) => (i < rate * WARM_SECONDS || dispatchedAtMs[first + i] === undefined ? [] : [dispatchedAtMs[first + i]! - atMs]))).sort();
  const used = process.cpuUsage(usedBefore);
  return { latenciesMs, failed, coreMsPerRequest: (used.user + used.system) / 1_000 / total };
}

async function askAll(tasks: Tasks, request: TaskRequest): Promise<void> {
  const { events } = await tasks.start(request);
  for await (const event of events) void event;
}

function requestOf(apiKey: string, i: number): TaskRequest {
  const content = `Tell me story number ${i}`;
  const text = JSON.stringify({ model: "bench", messages: [{ role: "user", content }], max_tokens: 50, stream: true });
  return {
    kind: "chat", model: "bench", body: Buffer.from(text), text, prompt: { texts: [content], bytes: content.length, isPlainText: true }, maxOutTokens: 50, capabilities: [], tier: 0, payment: null,
    apiKey, isStreamed: true, conversation: "", signal: new AbortController().signal,
  };
}

interface Run {
  readonly rate: number;
  readonly seconds: number;
  readonly nodes: number;
}

async function figuresOf(kind: "postgres" | "memory", { rate, seconds, nodes }: Run) {
  const { journal, close } = await storageOf(kind);
  try {
    const { latenciesMs, failed, coreMsPerRequest } = await measure(journal, rate, seconds, nodes);
    const at = (part: number): number => Number((latenciesMs[Math.max(0, Math.ceil(latenciesMs.length * part) - 1)] ?? Infinity).toFixed(3));
    return { requests: latenciesMs.length, failed, dispatchMsP50: at(0.5), dispatchMsP90: at(0.9), dispatchMsP99: at(0.99), dispatchMsMax: at(1), coreMsPerRequest: Number(coreMsPerRequest.toFixed(3)) };
  } finally {
    await close();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options });
  if (values.help) return void process.stdout.write(HELP);
  if (!["both", "postgres", "memory"].includes(values.journal)) throw new InvalidValueError("--journal", `both, postgres or memory, not ${values.journal}`);
  const run: Run = { rate: numberOf("--rate", values.rate, 1, 10_000), seconds: numberOf("--seconds", values.seconds, 1, 600), nodes: numberOf("--nodes", values.nodes, 1, 10_000) };
  const inMemory = values.journal === "postgres" ? null : await figuresOf("memory", run);
  const figures = values.journal === "memory" ? inMemory! : await figuresOf("postgres", run);
  const result = { ...figures, journal: values.journal === "memory" ? "memory" : "postgres", inMemory, ratePerSecond: run.rate, nodes: run.nodes, node: process.version, cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, loadAverage: loadavg()[0] };
  if (!values.json) process.stderr.write(`${figures.requests} requests at ${run.rate}/s: dispatched after ${figures.dispatchMsP50} ms in the median, p99 ${figures.dispatchMsP99} ms (${result.journal}); ${figures.failed} failed\n`);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await withoutNoise(main);
