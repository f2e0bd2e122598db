// A settled task with its batch and the chain's facts about it, all honest: what the auditor's tests bend.
import { sessionLeaf, tabLeaf, leafOf, type AttemptRecord } from "../../protocol/records.ts";
import { MerkleSumTree, type SumNode } from "../../protocol/merkleSum.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { signStruct } from "../../protocol/signing.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { keyName, type ChainFacts, type KeyFact } from "../../auditor/verify.ts";
import { domain, honestRecord, node, relayer, type Bends } from "../protocol/honest.ts";
import type { BatchHeader } from "../../protocol/generated/structs.ts";
import type { TaskView } from "../../protocol/taskView.ts";

export interface Bundle {
  readonly taskId: Hash;
  readonly view: TaskView;
  readonly facts: ChainFacts;
}

export const postTransaction: Hash = `0x${"ab".repeat(32)}`;
const stranger = (n: number): SumNode => ({ hash: `0x${(n + 1).toString(16).padStart(64, "7")}`, sum: BigInt(100 + n) });
const openEpoch = (key: KeyFact["key"]): KeyFact => ({ key, openedAtSeconds: 1_800_000_000, closedAtSeconds: 0 });

/**
 * @param others how many leaves of strangers stand in the batch, before and after this task's.
 * @param bends applied before anything is hashed and signed.
 */
export async function settledBundle(others: { before: number; after: number } = { before: 2, after: 3 }, bends: Bends = {}): Promise<Bundle> {
  return bundleOf([await honestRecord(bends)], others);
}

export async function bundleOf(records: readonly AttemptRecord[], others: { before: number; after: number }): Promise<Bundle> {
  const own = records.map((record) => leafOf(record));
  const around = (leaves: readonly SumNode[]): SumNode[] => [
    ...Array.from({ length: others.before }, (_, i) => stranger(i)), ...leaves, ...Array.from({ length: others.after }, (_, i) => stranger(others.before + i)),
  ];
  const sessionTree = new MerkleSumTree(around(own.map(sessionLeaf)));
  const tabTree = new MerkleSumTree(around(own.map(tabLeaf)));
  const header: BatchHeader = {
    relayerId: 1, relayerEpoch: 1, batchId: 5n, prevBatchHash: ZERO_HASH, sessionRoot: sessionTree.root.hash, tabRoot: tabTree.root.hash,
    leafCount: sessionTree.leafCount, debitsHash: `0x${"01".repeat(32)}`, creditsHash: `0x${"02".repeat(32)}`,
    totalDebit: sessionTree.root.sum, totalCredit: tabTree.root.sum, dataHash: `0x${"03".repeat(32)}`,
    periodStart: 1_899_999_000, periodEnd: 1_900_000_050, postBy: 1_900_000_060,
  };
  const taskId = hashStruct("TaskOrder", records[0]!.order);
  const view: TaskView = {
    domain, taskId, state: "finished", unsigned: [],
    attempts: records.map((record, i) => ({ record, proofs: { session: sessionTree.proof(others.before + i), tab: tabTree.proof(others.before + i) } })),
    batch: {
      header, signature: await signStruct(relayer, domain, "BatchHeader", header), state: "confirmed",
      transactionHash: postTransaction, blockNumber: 42n, gasUsed: 250_000n,
    },
  };
  const facts: ChainFacts = {
    domain, windowSeconds: 20,
    nodeKeys: new Map([[keyName(7, 1), openEpoch(node.address)]]), relayerKeys: new Map([[keyName(1, 1), openEpoch(relayer.address)]]),
    sessionPayers: new Map([[hashStruct("SpendingAuthorization", records[0]!.authorization), records[0]!.authorization.payer]]),
    batch: {
      batchHash: hashStruct("BatchHeader", header), sessionRoot: header.sessionRoot, tabRoot: header.tabRoot, totalDebit: header.totalDebit,
      totalCredit: header.totalCredit, leafCount: header.leafCount, postedAtSeconds: 1_900_000_055,
      posting: { transactionHash: postTransaction, blockNumber: 42n, gasUsed: 250_000n },
    },
  };
  return { taskId, view, facts };
}
