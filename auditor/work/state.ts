// Where a watcher is and what it has begun: kept on disk, so that a restart goes on and sends nothing twice.
import { TidelaneError } from "../../protocol/errors.ts";
import type { Domain } from "../../protocol/typedData.ts";
import type { Address, Hash, Hex, Seconds } from "../../protocol/units.ts";
import type { BlockMark } from "../ports.ts";
import type { CommitmentEvidence, Finding, OffenceId } from "../watch/findings.ts";

/** A batch that is not checked to its end yet. */
export interface OpenBatch {
  readonly relayerId: number;
  readonly batchId: bigint;
  readonly postedAt: Seconds;
  /** When a record was first found missing; none is, where it is absent. */
  missingSince?: Seconds;
  /** Not to be looked at before: what is not served now will not be served a second later. */
  nextAt: Seconds;
}

export interface OpenBoard {
  readonly commitment: CommitmentEvidence;
  readonly dataHash: Hash;
  nextAt: Seconds;
}

/**
 * found ─▶ announced ─▶ proving ─▶ proven          a proof
 *                          └─▶ refused, lost        the contract said no; somebody else was first
 * found ─▶ challenged ─▶ answered | condemned       withheld data
 */
export type CaseStatus = "found" | "announced" | "proving" | "proven" | "refused" | "lost" | "challenged" | "answered" | "condemned";

export interface Case {
  /** The key under which FraudProofs punishes it once; for withheld data `F9:relayer:batch:index`. */
  readonly key: string;
  readonly offence: OffenceId;
  readonly functionName: Finding["functionName"];
  readonly party: "node" | "relayer";
  readonly offender: number;
  readonly detail: string;
  status: CaseStatus;
  /** The whole call; null for withheld data. */
  readonly proof: Hex | null;
  readonly place: { readonly relayerId: number; readonly batchId: bigint; readonly index: number } | null;
  announced: { readonly by: Address; readonly blockNumber: bigint } | null;
  challengedAt: Seconds | null;
  /** A demand that was refused is not tried again before; absent where none was. */
  retryAt?: Seconds;
  transaction: Hash | null;
  reason: string | null;
}

export interface WatchState {
  readonly version: 1;
  readonly domain: Domain;
  /** Blocks up to which all was read, oldest first; several, so that a reorganisation finds one that still stands. */
  marks: BlockMark[];
  /** By relayer id. */
  readonly endpoints: Record<string, string>;
  batches: OpenBatch[];
  boards: OpenBoard[];
  /** Condemned batches whose entries are to be voided. */
  voids: { readonly relayerId: number; readonly batchId: bigint }[];
  cases: Case[];
  checked: { batches: number; boards: number };
}

/** Cases that are over; older ones are in the journal only. */
const CASES_OVER_MAX = 1_000;
const OVER: readonly CaseStatus[] = ["proven", "refused", "lost", "answered", "condemned"];
const isOver = ({ status }: Case): boolean => OVER.includes(status);

export const isPutOff = ({ retryAt }: Case, now: Seconds): boolean => retryAt !== undefined && now < retryAt;

const newState = (domain: Domain): WatchState =>
  ({ version: 1, domain, marks: [], endpoints: {}, batches: [], boards: [], voids: [], cases: [], checked: { batches: 0, boards: 0 } });

/** @throws `foreign_archive` where the folder belongs to another deployment */
export function stateOf(saved: unknown, domain: Domain): WatchState {
  if (saved === null) return newState(domain);
  const state = saved as WatchState;
  const isOurs = state.version === 1 && state.domain.chainId === domain.chainId && state.domain.verifyingContract === domain.verifyingContract;
  if (!isOurs) throw new TidelaneError("This folder holds the archive of another deployment. Give --archive another folder.", { code: "foreign_archive" });
  return state;
}

/** Drops the oldest of what is over. */
export function trimCases(state: WatchState): void {
  const over = state.cases.filter(isOver);
  if (over.length <= CASES_OVER_MAX) return;
  const dropped = new Set(over.slice(0, over.length - CASES_OVER_MAX));
  state.cases = state.cases.filter((one) => !dropped.has(one));
}
