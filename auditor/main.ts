// Puts audits together: what somebody published, facts from the chain, the verdict; and the watcher that acts on verdicts.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { bytesToHex } from "viem/utils";
import { gather } from "./gather.ts";
import { replay } from "./replay/replay.ts";
import { chainFacts, relayerReceipts, type ChainAccess } from "./sources.ts";
import { watchChain } from "./sourcesWatch.ts";
import { watchArchive, type ArchiveLimits } from "./sourcesWatchArchive.ts";
import { watchSender } from "./sourcesWatchSender.ts";
import { Related } from "./work/related.ts";
import { stateOf } from "./work/state.ts";
import { watchOn, watchOnce, type WatchReport } from "./work/watcher.ts";
import type { WatchOptions } from "./work/watch.ts";
import type { Evidence as HandedIn } from "./watch/evidenceFile.ts";
import { relayerPublications, routingFacts } from "./sourcesReplay.ts";
import { verifyTask, type ChainFacts, type Verification } from "./verify.ts";
import type { Evidence, ReplayReport, ReplayScope } from "./replay/evidence.ts";
import type { TaskView } from "../protocol/taskView.ts";
import type { Hash, Hex, Millis } from "../protocol/units.ts";

export interface Audit extends Verification {
  readonly view: TaskView;
  readonly facts: ChainFacts;
}

/**
 * Verifies a receipt against the chain.
 * @param view from `relayerReceipts(url).receipt(taskId)` or a saved file; it is not trusted.
 * @throws retryable `chain_unreachable`, `wrong_chain`, `incomplete_deployment`
 */
export async function auditTask(taskId: Hash, view: TaskView, access: ChainAccess): Promise<Audit> {
  const facts = await chainFacts(access).factsFor(view);
  return { ...await verifyTask(taskId, view, facts), view, facts };
}

export interface RoutingAudit extends ReplayReport {
  readonly evidence: Evidence;
}

/**
 * Makes a relayer's routing decisions again, of one epoch or one batch.
 * @param scope null for the newest batch
 * @throws retryable `relayer_unreachable`, `chain_unreachable`, `not_settled`; `wrong_chain`, `incomplete_deployment`
 */
export async function auditRouting(scope: ReplayScope | null, relayerUrl: string, access: ChainAccess): Promise<RoutingAudit> {
  const evidence = await gather(scope, relayerPublications(relayerUrl), routingFacts(access));
  return { ...replay(evidence), evidence };
}

export interface WatchSetup {
  readonly folder: string;
  readonly limits: ArchiveLimits;
  readonly options: WatchOptions;
  readonly evidence: readonly HandedIn[];
  /** Of an account with gas; null to find and not to act. */
  readonly senderKey: Hex | null;
  /** Null for a single run. */
  readonly everyMs: Millis | null;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Watches relayers and has offences punished.
 * @returns at the end of a single run, or once aborted
 * @throws retryable `chain_unreachable`; `wrong_chain`, `incomplete_deployment`, `archive_in_use`, `foreign_archive`
 */
export async function watchRelayers(setup: WatchSetup, access: ChainAccess): Promise<WatchReport> {
  // Native code, so that a batch of thousands of records is checked in seconds; only a watcher needs it.
  const { recover, keccak256 } = await import("../relayer/adapters/crypto.ts").then(({ createNativeCrypto }) => createNativeCrypto());
  const chain = watchChain(access);
  const settings = await chain.settings();
  const archive = await watchArchive(setup.folder, setup.limits, Date.now);
  try {
    const watch = {
      chain, archive, settings, options: setup.options, evidence: setup.evidence, related: new Related(archive), state: stateOf(await archive.loadState(), settings.domain),
      judged: new Map<Hash, boolean>(), sender: setup.senderKey && watchSender(access, setup.senderKey), recover, keccak256,
      published: relayerPublications, receipts: relayerReceipts, nowMs: () => performance.now(), salt: (): Hash => bytesToHex(randomBytes(32)), say: setup.say,
    };
    const wait = (ms: Millis): Promise<void> => sleep(ms, undefined, { signal: setup.signal }).catch(() => undefined);
    return setup.everyMs === null ? await watchOnce(watch, wait, setup.signal) : await watchOn(watch, setup.everyMs, wait, setup.signal);
  } finally {
    await archive.close();
  }
}
