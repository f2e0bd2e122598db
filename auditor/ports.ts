// What the auditor needs of the world: the bytes of a receipt from whoever has them, and facts from the chain.
import type { TaskView } from "../protocol/taskView.ts";
import type { Hash } from "../protocol/units.ts";
import type { ChainFacts } from "./verify.ts";

export type { BatchFact, ChainFacts, KeyFact } from "./verify.ts";
export { keyName } from "./verify.ts";

/** Hands out receipts; nothing that it says is believed. */
export interface ReceiptSource {
  /** @throws `task_unknown`, retryable `relayer_unreachable`, or InvalidValueError where the answer has another form. */
  receipt(taskId: Hash): Promise<TaskView>;
}

export interface FactSource {
  /** @throws retryable `chain_unreachable`, or `wrong_chain`. */
  factsFor(view: TaskView): Promise<ChainFacts>;
}
