// What the node must remember on its disk: `protection.log`, small, read at each start, so that nothing is ever signed twice;
// and `evidence/`, everything that proves an unpaid receipt, written once and dropped when no force can use it any more.
import { mkdir, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { recordToJson, type AttemptRecord } from "../../protocol/records.ts";
import { structToJson } from "../../protocol/json.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { GroupLog } from "./groupLog.ts";
import { lockFolder, type FolderLock } from "./folderLock.ts";
import type { SignedAck } from "../../protocol/link.ts";
import type { Hash, Seconds, TokenAmount } from "../../protocol/units.ts";
import type { AttestationHead, Clock, Log, NodeStore, ReceiptEntry, TabHead, UnackedReceipt } from "../ports.ts";

export interface StoreOptions {
  readonly folder: string;
  /** A file of evidence may go this long after its last line: no force is accepted any more. */
  readonly evidenceSeconds: Seconds;
  readonly clock: Clock;
  readonly log: Log;
}

const VERSION = 1;
const PROTECTION_BYTES_MAX = 4 * 1_048_576;
const EVIDENCE_FILE_BYTES_MAX = 64 * 1_048_576;
const SESSIONS_MAX = 20_000;

/** Lines of protection.log. Amounts and 64-bit numbers are decimal strings. */
type Line =
  | { k: "version"; version: number }
  | { k: "tab"; relayer: number; seq: string; hash: Hash; cumulative: string }
  | { k: "attestation"; relayer: number; seq: string; hash: Hash }
  | { k: "session"; id: Hash; charged: string }
  | { k: "assignment"; hash: Hash; deadline: Seconds }
  | { k: "unacked"; hash: Hash; relayer: number; session: Hash; charge: string; at: number; aborted?: true }
  | { k: "receipt"; relayer: number; seq: string; hash: Hash; cumulative: string; session: Hash; charge: string; assignment: Hash; deadline: Seconds; at: number; aborted?: true }
  | { k: "acked"; hash: Hash };

export class FileStore implements NodeStore {
  readonly #options: StoreOptions;
  readonly #lock: FolderLock;
  readonly #protection: GroupLog;
  #evidence: GroupLog;
  #evidenceNumber: number;
  #rolling = false;
  #compactAboveBytes = PROTECTION_BYTES_MAX;
  readonly #tabs = new Map<number, TabHead>();
  readonly #attestations = new Map<number, AttestationHead>();
  readonly #sessions = new Map<Hash, TokenAmount>();
  readonly #assignments = new Map<Hash, Seconds>();
  readonly #unacked = new Map<Hash, UnackedReceipt>();

  private constructor(options: StoreOptions, lock: FolderLock, protection: GroupLog, evidence: GroupLog, evidenceNumber: number) {
    this.#options = options;
    this.#lock = lock;
    this.#protection = protection;
    this.#evidence = evidence;
    this.#evidenceNumber = evidenceNumber;
  }

  /** @throws TidelaneError `folder_in_use`, `store_damaged`, `store_version` */
  static async open(options: StoreOptions): Promise<FileStore> {
    await mkdir(join(options.folder, "evidence"), { recursive: true, mode: 0o700 });
    const lock = await lockFolder(options.folder);
    try {
      const { log: protection, entries } = await GroupLog.open(join(options.folder, "protection.log"));
      const number = 1 + Math.max(0, ...(await evidenceFiles(options.folder)).map((file) => file.number));
      const { log: evidence } = await GroupLog.open(evidencePath(options.folder, number));
      const store = new FileStore(options, lock, protection, evidence, number);
      checkVersion(entries as Line[], options.folder);
      for (const line of entries as Line[]) store.#apply(line);
      await store.#compact();
      await store.#dropOldEvidence();
      return store;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  tab = (relayerId: number): TabHead | null => this.#tabs.get(relayerId) ?? null;
  attestation = (relayerId: number): AttestationHead | null => this.#attestations.get(relayerId) ?? null;
  sessionCharges = (sessionId: Hash): TokenAmount => this.#sessions.get(sessionId) ?? 0n;
  unacked = (): readonly UnackedReceipt[] => [...this.#unacked.values()];

  assignmentsSince(nowSeconds: Seconds): ReadonlyMap<Hash, Seconds> {
    for (const [hash, deadline] of this.#assignments) if (deadline < nowSeconds) this.#assignments.delete(hash);
    return new Map(this.#assignments);
  }

  putReceipt(entry: ReceiptEntry): Promise<void> {
    return this.#write({
      k: "receipt", relayer: entry.relayerId, seq: String(entry.head.nodeSeq), hash: entry.receiptHash, cumulative: String(entry.head.cumulative),
      session: entry.sessionId, charge: String(entry.charge), assignment: entry.assignmentHash, deadline: entry.assignmentDeadline, at: entry.signedAtMs,
      ...(entry.isAborted ? { aborted: true } : {}),
    });
  }

  putAttestation(relayerId: number, head: AttestationHead): Promise<void> {
    return this.#write({ k: "attestation", relayer: relayerId, seq: String(head.seq), hash: head.hash });
  }

  async putRecord(record: AttemptRecord): Promise<void> {
    await this.#evidence.append({ record: recordToJson(record) });
    if (this.#evidence.bytes > EVIDENCE_FILE_BYTES_MAX) await this.#roll();
  }

  async putAck(signed: SignedAck): Promise<void> {
    await Promise.all([
      this.#write({ k: "acked", hash: signed.ack.receiptHash }),
      this.#evidence.append({ receiptHash: signed.ack.receiptHash, ack: structToJson("Ack", signed.ack), signature: signed.signature }),
    ]);
  }

  forget(receiptHash: Hash): void {
    this.#unacked.delete(receiptHash);
  }

  async close(): Promise<void> {
    await Promise.all([this.#protection.close(), this.#evidence.close()]);
    await this.#lock.release();
  }

  /** What is remembered changes at once, so that the next in line builds on it; the promise is what lets a signature go. */
  async #write(line: Line): Promise<void> {
    this.#apply(line);
    await this.#protection.append(line);
    if (this.#protection.bytes > this.#compactAboveBytes) void this.#compact().catch(() => undefined);
  }

  #apply(line: Line): void {
    switch (line.k) {
      case "version": return;
      case "tab": return void this.#tabs.set(line.relayer, { nodeSeq: BigInt(line.seq), receiptHash: line.hash, cumulative: BigInt(line.cumulative) });
      case "attestation": return void this.#attestations.set(line.relayer, { seq: BigInt(line.seq), hash: line.hash });
      case "session": return void this.#sessions.set(line.id, BigInt(line.charged));
      case "assignment": return void this.#assignments.set(line.hash, line.deadline);
      case "unacked": return void this.#unacked.set(line.hash, unackedOf(line));
      case "acked": return this.#ack(line.hash);
      case "receipt":
        this.#tabs.set(line.relayer, { nodeSeq: BigInt(line.seq), receiptHash: line.hash, cumulative: BigInt(line.cumulative) });
        this.#unacked.set(line.hash, unackedOf(line));
        this.#assignments.set(line.assignment, line.deadline);
    }
  }

  /**
   * Only an acked receipt is owed for certain. Sessions used longest ago are forgotten first: knowing less of what is owed
   * only widens a bounded risk.
   */
  #ack(receiptHash: Hash): void {
    const acked = this.#unacked.get(receiptHash);
    if (!acked) return;
    this.#unacked.delete(receiptHash);
    const before = this.#sessions.get(acked.sessionId) ?? 0n;
    this.#sessions.delete(acked.sessionId);
    this.#sessions.set(acked.sessionId, before + acked.charge);
    if (this.#sessions.size > SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
  }

  async #compact(): Promise<void> {
    // Not again for every write that comes before this one is done.
    this.#compactAboveBytes = Infinity;
    await this.#protection.rewrite(() => {
      const lines: Line[] = [{ k: "version", version: VERSION }];
      for (const [relayer, head] of this.#tabs) lines.push({ k: "tab", relayer, seq: String(head.nodeSeq), hash: head.receiptHash, cumulative: String(head.cumulative) });
      for (const [relayer, head] of this.#attestations) lines.push({ k: "attestation", relayer, seq: String(head.seq), hash: head.hash });
      for (const [id, charged] of this.#sessions) lines.push({ k: "session", id, charged: String(charged) });
      const nowSeconds = Math.floor(this.#options.clock.nowMs() / 1_000);
      for (const [hash, deadline] of this.assignmentsSince(nowSeconds)) lines.push({ k: "assignment", hash, deadline });
      for (const one of this.#unacked.values()) lines.push({ k: "unacked", hash: one.receiptHash, relayer: one.relayerId, session: one.sessionId, charge: String(one.charge), at: one.signedAtMs, ...(one.isAborted ? { aborted: true } : {}) });
      return lines;
    });
    this.#compactAboveBytes = Math.max(PROTECTION_BYTES_MAX, 2 * this.#protection.bytes);
  }

  async #roll(): Promise<void> {
    if (this.#rolling) return;
    this.#rolling = true;
    const full = this.#evidence;
    this.#evidenceNumber++;
    this.#evidence = (await GroupLog.open(evidencePath(this.#options.folder, this.#evidenceNumber))).log;
    this.#rolling = false;
    await full.close();
    await this.#dropOldEvidence();
  }

  async #dropOldEvidence(): Promise<void> {
    const before = this.#options.clock.nowMs() - this.#options.evidenceSeconds * 1_000;
    for (const file of await evidenceFiles(this.#options.folder)) {
      const { mtimeMs, size } = await stat(file.path);
      if (file.number === this.#evidenceNumber || (mtimeMs >= before && size > 0)) continue;
      await unlink(file.path);
      if (size > 0) this.#options.log.info({ file: file.path }, "evidence that no force can use any more was dropped");
    }
  }
}

const unackedOf = (line: { hash: Hash; relayer: number; session: Hash; charge: string; at: number; aborted?: true }): UnackedReceipt =>
  ({ receiptHash: line.hash, relayerId: line.relayer, sessionId: line.session, charge: BigInt(line.charge), signedAtMs: line.at, isAborted: line.aborted === true });

function checkVersion(lines: readonly Line[], folder: string): void {
  const first = lines[0];
  if (first === undefined || (first.k === "version" && first.version === VERSION)) return;
  throw new TidelaneError(`${folder} was written by another version of the agent. Start that version, or move the folder away: the agent then resumes from the relayer's last record and the chain.`,
    { code: "store_version", details: { folder, version: first.k === "version" ? first.version : 0, expected: VERSION } });
}

const evidencePath = (folder: string, number: number): string => join(folder, "evidence", `${String(number).padStart(6, "0")}.log`);

async function evidenceFiles(folder: string): Promise<{ number: number; path: string }[]> {
  const names = (await readdir(join(folder, "evidence"))).filter((name) => /^\d{6,}\.log$/.test(name));
  return names.map((name) => ({ number: Number.parseInt(name, 10), path: join(folder, "evidence", name) }));
}
