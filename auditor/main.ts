// Puts audits together: what somebody published, facts from the chain, the verdict.
import { gather } from "./gather.ts";
import { replay } from "./replay/replay.ts";
import { chainFacts, type ChainAccess } from "./sources.ts";
import { relayerPublications, routingFacts } from "./sourcesReplay.ts";
import { verifyTask, type ChainFacts, type Verification } from "./verify.ts";
import type { Evidence, ReplayReport, ReplayScope } from "./replay/evidence.ts";
import type { TaskView } from "../protocol/taskView.ts";
import type { Hash } from "../protocol/units.ts";

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
