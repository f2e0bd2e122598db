// Assignments that their relayer signed. Whoever publishes data can write others beside them, for the true ones to hide behind.
import { isSignedBy } from "../../protocol/signing.ts";
import type { Assignment } from "../../protocol/generated/structs.ts";
import { keyName } from "../ports.ts";
import type { Messages, Signed } from "../watch/history.ts";
import type { Watch } from "./watch.ts";

/** @throws retryable `chain_unreachable` */
export async function signedAssignments({ chain, settings, recover }: Watch, all: readonly Signed<Assignment>[]): Promise<Signed<Assignment>[]> {
  const { relayerKeys } = await chain.keys({ nodes: [], relayers: all.map(({ message }) => [message.relayerId, message.relayerEpoch]) });
  const genuine: Signed<Assignment>[] = [];
  for (const one of all) {
    const fact = relayerKeys.get(keyName(one.message.relayerId, one.message.relayerEpoch));
    if (fact && await isSignedBy(fact.key, settings.domain, "Assignment", one.message, one.signature, recover)) genuine.push(one);
  }
  return genuine;
}

/** The messages without assignments that nobody signed. @throws retryable `chain_unreachable` */
export const withoutForged = async (watch: Watch, messages: Messages): Promise<Messages> => ({ ...messages, assignments: await signedAssignments(watch, messages.assignments) });
