// The relayer's process: configuration, chain, journal, work and API are put together here and nowhere else.
//
//   chain, identity ─▶ journal ─▶ books, tabs, seeds ─▶ fleet, links, tasks ─▶ listen ─▶ {"ready":true} ─▶ SIGTERM ─▶ drain ─▶ exit 0
import { join } from "node:path";
import { loadConfig, type RelayerConfig } from "./config.ts";
import { createBoardReader } from "./adapters/boardReader.ts";
import { createDemandReader } from "./adapters/demandReader.ts";
import { createForceReader } from "./adapters/forceReader.ts";
import { createGatewayReader } from "./adapters/gatewayReader.ts";
import { createPromptSource } from "./adapters/promptSource.ts";
import { connectChain, type ViemChain } from "./adapters/chain.ts";
import { systemClock } from "./adapters/clock.ts";
import { createNativeCrypto, nativeSignerOfKey } from "./adapters/crypto.ts";
import { systemDice } from "./adapters/dice.ts";
import { startHttpServer, type HttpServer } from "./adapters/httpServer.ts";
import { openJournal, type PostgresJournal } from "./adapters/journal.ts";
import { LinkServer } from "./adapters/link.ts";
import { createLog } from "./adapters/log.ts";
import { PrometheusMetrics } from "./adapters/metrics.ts";
import { DiskRecords } from "./adapters/records.ts";
import { tokenCounter } from "./adapters/tokens.ts";
import { createTransferReader } from "./adapters/transferReader.ts";
import { systemVitals } from "./adapters/vitals.ts";
import { buildApp } from "./api/app.ts";
import { auditRouter } from "./api/audit.ts";
import { ReadinessProbe } from "./api/readiness.ts";
import { Claims } from "./api/claims.ts";
import { Responses } from "./api/responses.ts";
import type { Readiness } from "./api/services.ts";
import { Board } from "./loops/board.ts";
import { Demands } from "./loops/demands.ts";
import { Forces } from "./loops/forces.ts";
import { KeepLearnt } from "./loops/keepLearnt.ts";
import { Overload } from "./loops/overload.ts";
import { Requests } from "./loops/requests.ts";
import { Retention } from "./loops/retention.ts";
import { ShareTallies } from "./loops/shareTallies.ts";
import { Settlement } from "./loops/settle.ts";
import { Tide } from "./loops/tide.ts";
import { Transfers } from "./loops/transfers.ts";
import { Watch } from "./loops/watch.ts";
import { epochAt } from "./routing/seeds.ts";
import { answerContract } from "./work/contractTask.ts";
import { Fleet } from "./work/fleet.ts";
import { EpochShares } from "./work/epochShares.ts";
import { SeedKeeper } from "./work/seedKeeper.ts";
import { Reception } from "./work/reception.ts";
import { Sessions } from "./work/sessions.ts";
import { Tabs } from "./work/tabs.ts";
import { Tasks, type TasksWorld } from "./work/tasks.ts";
import { TidelaneError } from "../protocol/errors.ts";
import { partyOf } from "../protocol/link.ts";
import { hashStruct } from "../protocol/typedData.ts";
import type { Address, Millis } from "../protocol/units.ts";
import type { Crypto, Identity, Log, Metrics } from "./ports/world.ts";
import type { NodeLinks } from "./ports/nodes.ts";
import type { Journal, StoredBatch } from "./ports/journal.ts";
import type { BoardReader, TideReader } from "./ports/readers.ts";

const START_TRIES = 30;
const START_RETRY_MS: Millis = 1_000;
const UNACKED_MAX = 1_000;
const BATCHES_SHOWN = 20;
/** Every open status page asks each second; the database is asked for all of them at once. */
const STATUS_KEPT_MS: Millis = 1_000;
/** What a session's entry in a batch costs, in the pay token's smallest unit: about 20,000 gas on a cheap chain, half a cent. */
const SETTLE_ENTRY_COST = 5_000n;
const ATTEMPT_LIMITS = { cancelMsMax: 5_000, outputBytesMax: 16 * 1_048_576 } as const;

/** What every part is given. */
interface World {
  readonly config: RelayerConfig;
  readonly posting: PostingRight;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly crypto: Crypto;
  readonly chain: ViemChain;
  readonly identity: Identity;
  readonly journal: PostgresJournal;
  readonly records: DiskRecords;
}

/** Whether this process sends the relayer's transactions: decided by who settles, who is made after the chain. */
interface PostingRight {
  mayPost: () => boolean;
}

/** Runs the relayer until the signal is aborted, then drains. @throws TidelaneError where it cannot start */
export async function runRelayer(config: RelayerConfig, log: Log, signal: AbortSignal, onReady: (url: string) => void): Promise<void> {
  const crypto = await createNativeCrypto();
  const posting: PostingRight = { mayPost: () => false };
  const chain = await patiently("the chain", () => connectChain({ ...config, mayPost: () => posting.mayPost() }), log, signal);
  const identity = await patiently("the chain", () => identityOf(chain, config), log, signal);
  const journal = await patiently("the database", () => openJournal({ databaseUrl: config.databaseUrl, spoolDir: join(config.dataDir, "spool"), log }), log, signal);
  try {
    const world: World = { config, posting, log, metrics: new PrometheusMetrics(), crypto, chain, identity, journal, records: new DiskRecords(join(config.dataDir, "records")) };
    await serve(world, signal, onReady);
  } finally {
    await journal.close();
  }
}

async function serve(world: World, signal: AbortSignal, onReady: (url: string) => void): Promise<void> {
  const { config, log, metrics, crypto, chain, identity, journal, records } = world;
  const shared = { clock: systemClock, dice: systemDice, log, metrics, crypto, chain, identity, journal, deployment: chain.deployment };
  const seeds = new SeedKeeper(shared);
  await seeds.load(epochAt(systemClock.nowMs(), chain.deployment.epochSeconds));
  const sessions = new Sessions({ ...shared, leastLock: config.leastLock });
  await sessions.load();
  const watch = new Watch({ ...shared, sessions });
  await watch.begin();
  const settlement = new Settlement({ ...shared, records, sessions, entryCost: SETTLE_ENTRY_COST });
  world.posting.mayPost = () => settlement.isLeading;
  await settlement.takeLead();
  const tabs = await loadTabs(journal, crypto);
  const tide = new Tide({ ...shared, relayerId: identity.relayerId, reader: boardReaderOf(world) });
  const shares = new EpochShares(journal, systemDice.bytes32());
  const fleet = new Fleet({ ...shared, relayerId: identity.relayerId, seeds: shares.whileAlive(seeds), tide, processId: systemDice.bytes32(), onTable: (root, text) => void keepTable(records, root, text, log) });
  const processName = systemDice.bytes32();
  const reception = new Reception({ ...shared, fleet, party: partyOf(identity.relayerId, processName) });
  const learnt = new KeepLearnt({ ...shared, reception });
  await learnt.load();
  const overload = new Overload({ ...shared, vitals: systemVitals(), queueAgeMs: () => reception.overdueMs, onStep: (step) => reception.overload(step) });
  const links = new LinkServer({ ...shared, events: reception, processes: config.processes, process: processName });
  // An engine over HTTP may answer its first byte only when the prompt is read.
  const limits = { ...ATTEMPT_LIMITS, startMsMax: config.firstTokenMsMax, firstTokenMsMax: config.firstTokenMsMax, gapMsMax: config.gapMsMax };
  const tasksWorld: TasksWorld = { ...shared, links, tokens: tokenCounter, tabs, fleet, reception, sessions, limits };
  const tasks = new Tasks(tasksWorld);
  const readiness = new ReadinessProbe({ ...shared, fleet, isStopping: () => signal.aborted });
  const shownBatches = keptFor(STATUS_KEPT_MS, () => batchesShown(journal));
  const claims = new Claims(shared);
  const app = buildApp({
    ...shared, tasks, fleet, lobby: reception, claims, responses: new Responses({ ...shared, claims }), sessions, tabs, payToken: payTokenOf(chain), readiness: async () => [...await readiness.checks(), historyCheck(watch), settlementCheck(settlement)],
    status: async () => ({ tasks: { running: tasks.running }, batches: await shownBatches(), settlement: settlement.status() }),
    routers: [auditRouter({ ...shared, records })], staticDirectory: config.webDir,
  });
  await resendAcks(journal, links);
  // From a journal that is not the chain's, nothing is said on the board either: seeds of the true one would be given up.
  const maySpeak = (): boolean => settlement.isLeading && historyCheck(watch).ok && settlementCheck(settlement).ok;
  const board = boardOf(world, seeds, fleet, shares, maySpeak);
  await board.alive();
  const server = await startHttpServer(app, { ...config, onUpgrade: (request, socket, head) => void links.handleUpgrade(request, socket, head) });
  const retention = new Retention({ ...shared, records, keptMs: config.recordsKeptMs });
  const tallies = new ShareTallies({ ...shared, reception, processId: processName, others: shares });
  const stop = new AbortController();
  const loops = [board, claims, overload, settlement, watch, tide, retention, tallies, learnt, forcesOf(world, maySpeak), ...demandsOf(world, maySpeak), ...requestsOf(world, fleet, tasksWorld, maySpeak), ...transfersOf(world, maySpeak)].map((loop) => loop.run(stop.signal));
  onReady(server.url);
  await aborted(signal);
  await drain(server, tasks, links, config.drainMs, log);
  stop.abort();
  await Promise.all(loops);
}

/** An RPC that does not answer is told by the check of that name; this one tells of a chain that is not the journal's. */
function historyCheck({ problem }: Watch): Readiness {
  const isOdd = problem !== null && problem.code !== "chain_unreachable";
  return { name: "history", ok: !isOdd, detail: isOdd ? problem.message : "The chain holds what the journal says." };
}

/** What passes by itself, or by sending the poster some gas, is told and does not stop new work; what needs a person does. */
function settlementCheck({ problem, isLeading }: Settlement): Readiness {
  const detail = problem?.message ?? (isLeading ? "This process settles." : "Another process of this relayer settles.");
  return { name: "settlement", ok: problem === null || problem.retryable, detail };
}

/** Takes nothing new, lets streams end up to the limit, then closes what is left. */
async function drain(server: HttpServer, tasks: Tasks, links: LinkServer, limitMs: Millis, log: Log): Promise<void> {
  log.info({ running: tasks.running }, "draining");
  const over = new AbortController();
  const ended = await Promise.race([tasks.drain().then(() => true), systemClock.sleep(limitMs, over.signal).then(() => false)]);
  over.abort();
  if (!ended) log.warn({ running: tasks.running }, "streams were cut at the drain limit; nothing is charged for them");
  // Last chunks and acks are on their way.
  const closing = server.close(1_000);
  links.close("the relayer is shutting down");
  await closing;
}

/** @throws TidelaneError `relayer_not_registered`, `wrong_signer_key`, `wrong_poster_key` */
async function identityOf(chain: ViemChain, config: RelayerConfig): Promise<Identity> {
  const signer = nativeSignerOfKey(config.signerKey);
  const known = await chain.relayer(config.relayerId);
  if (!known?.live) throw new TidelaneError(`Relayer ${config.relayerId} is not registered on this chain, or was retired. Register it: tidelane relayer register`, { code: "relayer_not_registered", details: { relayerId: config.relayerId } });
  if (known.signer !== signer.address) {
    throw new TidelaneError(`The signing key is not the registered one: ${signer.address} is here, ${known.signer} there. Use the other key, or rotate it.`, { code: "wrong_signer_key", details: { here: signer.address, registered: known.signer } });
  }
  if (known.poster !== chain.posterAddress) {
    throw new TidelaneError(`The poster's key is not the registered one: ${chain.posterAddress} is here, ${known.poster} there.`, { code: "wrong_poster_key", details: { here: chain.posterAddress, registered: known.poster } });
  }
  return { relayerId: config.relayerId, epoch: known.epoch, feeBps: known.feeBps, signer };
}

async function loadTabs(journal: Pick<Journal, "lastReceipts">, crypto: Crypto): Promise<Tabs> {
  const tabs = new Tabs();
  for (const [nodeId, { receipt, receiptSignature }] of await journal.lastReceipts()) {
    tabs.load(nodeId, { receipt, signature: receiptSignature }, hashStruct("TaskReceipt", receipt, crypto.keccak256));
  }
  return tabs;
}

/** An ack that was journaled may not have reached its node before this process, or the one before it, ended. */
async function resendAcks(journal: Pick<Journal, "unsettledSessions" | "unsettledTasks">, links: NodeLinks): Promise<void> {
  const sessions = await journal.unsettledSessions();
  const unsettled = await journal.unsettledTasks(sessions.map((session) => session.sessionId), UNACKED_MAX);
  for (const { nodeId, signed } of unsettled.flatMap((task) => task.attempts)) if (signed) await links.ack(nodeId, [signed.ack]);
}

/** Decisions name the tables that they were made by, so these belong to what an auditor can ask for. */
async function keepTable(records: DiskRecords, root: `0x${string}`, text: string, log: Log): Promise<void> {
  await records.put(root, Buffer.from(text)).catch((error: Error) => log.error({ root, error: error.message }, "a node table could not be kept"));
}

const boardReaderOf = ({ chain, config }: World): BoardReader & TideReader => createBoardReader(config.rpcUrls, chain.deployment.addresses.SaturationBoard!);

function boardOf(world: World, seeds: SeedKeeper, fleet: Fleet, shares: EpochShares, isLeading: () => boolean): Board {
  const { chain, config, ...rest } = world;
  const address = chain.deployment.addresses.SaturationBoard!;
  return new Board({
    ...rest, clock: systemClock, relayerId: config.relayerId, address, epochSeconds: chain.deployment.epochSeconds, seeds,
    reader: boardReaderOf(world), submit: (call) => chain.submit(call), attested: fleet, isLeading, shares,
  });
}

function forcesOf({ chain, config, ...shared }: World, isLeading: () => boolean): Forces {
  return new Forces({ ...shared, clock: systemClock, chain, isLeading, reader: createForceReader(config.rpcUrls, chain.deployment.domain.verifyingContract) });
}

/** None where the deployment has no fraud proofs. */
function demandsOf({ chain, config, ...shared }: World, isLeading: () => boolean): Demands[] {
  const address = chain.deployment.addresses.FraudProofs;
  return address ? [new Demands({ ...shared, clock: systemClock, chain, isLeading, address, reader: createDemandReader(config.rpcUrls, address) })] : [];
}

/** None where the addresses file names no such contract. What opening a session must lock is what a credit at this relayer's gas must bring. */
function transfersOf({ chain, config, log, metrics }: World, isLeading: () => boolean): Transfers[] {
  const { Escrow: escrow, TransferProofs: transferProofs, payToken } = chain.deployment.addresses;
  if (!escrow || !transferProofs || !payToken) return [];
  return [new Transfers({ log, metrics, clock: systemClock, chain, isLeading, address: transferProofs, least: config.leastLock, reader: createTransferReader(config.rpcUrls, { escrow, payToken, transferProofs }) })];
}

/** None where the deployment has no gateway. */
function requestsOf({ chain, config, ...shared }: World, fleet: Fleet, tasksWorld: TasksWorld, isLeading: () => boolean): Requests[] {
  const gateway = chain.deployment.addresses.InferenceGateway;
  if (!gateway) return [];
  return [new Requests({
    ...shared, clock: systemClock, dice: systemDice, chain, gateway, isLeading, reader: createGatewayReader(config.rpcUrls, gateway), models: () => fleet.models(),
    answer: (one) => answerContract({ ...tasksWorld, journal: shared.journal, records: shared.records, gateway }, one),
    prompts: createPromptSource({ ipfsGateway: config.ipfsGateway, mayLoopBack: config.promptsMayLoopBack }),
    recordsUrl: config.publicUrl === null ? null : `${config.publicUrl}/tidelane/v1/records`,
  })];
}

/** Newest first; amounts as decimal strings. */
async function batchesShown(journal: Journal): Promise<object[]> {
  if (!journal.isUp()) return [];
  const states = await Promise.all((["built", "sent", "confirmed"] as const).map((state) => journal.batches(state, BATCHES_SHOWN)));
  const newest = states.flat().toSorted((a, b) => (a.header.batchId < b.header.batchId ? 1 : -1)).slice(0, BATCHES_SHOWN);
  return newest.map(({ header, state, transaction, blockNumber, gasUsed }: StoredBatch) => ({
    batchId: String(header.batchId), state, leafCount: header.leafCount, totalDebit: String(header.totalDebit), totalCredit: String(header.totalCredit),
    transactionHash: transaction.hash, blockNumber: blockNumber?.toString() ?? null, gasUsed: gasUsed?.toString() ?? null,
  }));
}

/** The same answer for all who ask within the time. */
function keptFor<Result>(ms: Millis, call: () => Promise<Result>): () => Promise<Result> {
  let kept: { readonly atMs: Millis; readonly answer: Promise<Result> } | null = null;
  return () => {
    const nowMs = systemClock.monotonicMs();
    if (!kept || nowMs - kept.atMs >= ms) kept = { atMs: nowMs, answer: call() };
    return kept.answer;
  };
}

function payTokenOf({ deployment: { addresses } }: ViemChain): Address {
  const token = addresses.payToken;
  if (!token) throw new TidelaneError("TIDELANE_DEPLOYMENT names no pay token: add contracts.payToken.", { code: "config_invalid" });
  return token;
}

/** What is away for a moment while everything starts is no failure yet. */
async function patiently<Result>(what: string, call: () => Promise<Result>, log: Log, signal: AbortSignal): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof TidelaneError) || !error.retryable || tries >= START_TRIES || signal.aborted) throw error;
      if (tries === 1) log.warn({ error: error.message }, `${what} does not answer yet`);
      await systemClock.sleep(START_RETRY_MS, signal);
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => {
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
});

async function main(): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());
  try {
    const config = loadConfig(process.env);
    await runRelayer(config, createLog("relayer", config.logLevel), stop.signal, (url) => process.stdout.write(`${JSON.stringify({ ready: true, what: "relayer", url })}\n`));
    process.exit(0);
  } catch (error) {
    // Whoever asks a relayer to stop while it starts is obeyed, not told that it failed.
    if (stop.signal.aborted && error instanceof TidelaneError && error.retryable) process.exit(0);
    const known = error instanceof TidelaneError;
    process.stderr.write(`${JSON.stringify({ level: 60, name: "relayer", code: known ? error.code : "internal_error", msg: known ? error.message : String(error instanceof Error ? error.stack : error) })}\n`);
    process.exit(1);
  }
}

if (import.meta.main) await main();
