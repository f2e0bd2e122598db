// Puts an audit together: a receipt from somewhere, facts from the chain, the verdict.
import { chainFacts, type ChainAccess } from "./sources.ts";
import { verifyTask, type ChainFacts, type Verification } from "./verify.ts";
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
