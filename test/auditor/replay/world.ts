// A relayer that routes a made-up fleet and publishes what it must: batches, node tables, epochs, seeds. Tests let it lie.
import { bytesToHex, keccak256, numberToHex, stringToBytes, stringToHex } from "viem/utils";
import { batchDataToBytes, type BatchDataAttempt, type BatchDataTask } from "../../../protocol/batchData.ts";
import { Mode, Status } from "../../../protocol/constants.ts";
import { structFromJson, structToJson } from "../../../protocol/json.ts";
import { attestationToJson, type SignedAttestation } from "../../../protocol/link.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { SeedChain, epochAt } from "../../../relayer/routing/seeds.ts";
import { recordsOf, treesOf } from "../../../relayer/settlement/batch.ts";
import { ZERO_HASH, type Hash, type Signature } from "../../../protocol/units.ts";
import { EPOCH_SECONDS, FleetRig, MODEL, RELAYER, START_MS, deployment, request } from "../../relayer/work/fleetRig.ts";
import type { Assignment, BatchHeader, SpendingAuthorization, TaskOrder } from "../../../protocol/generated/structs.ts";
import type { AttemptRecord } from "../../../protocol/records.ts";
import type { Choice } from "../../../relayer/work/fleet.ts";
import { OPEN } from "../../../relayer/routing/decide.ts";
import type { ChooseRequest, Outcome } from "../../../relayer/work/routingRequest.ts";
import type { BatchEvidence, EpochEvidence, Evidence, ReplayScope, SeedChainFact } from "../../../auditor/replay/evidence.ts";

export const FIRST = epochAt(START_MS, EPOCH_SECONDS);
const SIGNATURE = `0x${"11".repeat(64)}1b` as Signature;
const seconds = (ms: number): number => Math.floor(ms / 1_000);

/** A decision's members as the relayer would publish them; a lie returns others. */
export type Lie = (decision: Record<string, unknown>) => Record<string, unknown>;

export interface Asked {
  readonly order: TaskOrder;
  readonly attempts: BatchDataAttempt[];
  readonly choices: Choice[];
  readonly openedAtMs: number;
  readonly inputTokens: number;
}

/** The world's own text form: as decisions and epochs are written. */
export const canonical = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  return `{${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
};

export class ReplayWorld {
  readonly chain = new SeedChain(`0x${"7a".repeat(32)}`, FIRST, 128);
  readonly rig = new FleetRig({ seeds: this.chain });
  readonly batches: BatchEvidence[] = [];
  readonly epochs: EpochEvidence[] = [];
  readonly authorization: SpendingAuthorization;
  readonly records = new Map<Hash, Uint8Array>();
  /** Applied to each decision before it is hashed and signed. */
  lie: Lie = (decision) => decision;
  /** What the lobby's guide says of a node: a number of GATES. */
  guide: (nodeId: number) => number = () => OPEN;
  readonly #pending: BatchDataTask[] = [];
  #nonce = 0n;
  #orders = 0;

  constructor(mode: number = Mode.ALLOWANCE) {
    this.authorization = {
      payer: `0x${"01".repeat(20)}`, sessionKey: `0x${"02".repeat(20)}`, relayerId: RELAYER, lock: 10n ** 9n, maxTotal: 10n ** 9n, maxPerTask: 10n ** 6n, maxPerDay: 10n ** 9n,
      maxPriceInPerMTok: 10n ** 7n, maxPriceOutPerMTok: 10n ** 7n, maxFeeBps: 500, mode, validAfter: 1, validUntil: 2_000_000_000, salt: 9n,
    };
  }

  get sessionId(): Hash {
    return hashStruct("SpendingAuthorization", this.authorization);
  }

  get epoch(): number {
    return epochAt(this.rig.clock.nowMs(), EPOCH_SECONDS);
  }

  async join(nodes: number): Promise<void> {
    for (let nodeId = 1; nodeId <= nodes; nodeId++) await this.rig.join(nodeId, { slots: 1 + (nodeId % 4), computeBps: (nodeId * 700) % 6_000 });
  }

  /** Moves on to a little after the beginning of an epoch, and lets all nodes attest anew. */
  async goTo(epoch: number, nodes: number): Promise<void> {
    this.rig.clock.pass(epoch * EPOCH_SECONDS * 1_000 + 2_500 - this.rig.clock.nowMs());
    for (let nodeId = 1; nodeId <= nodes; nodeId++) await this.rig.attest(nodeId, { slots: 4 });
  }

  /** Skips a nonce, as a relayer would that draws until it likes what it drew. */
  skipNonce(): void {
    this.#nonce += 1n;
  }

  repeatNonce(): void {
    this.#nonce -= 1n;
  }

  /** An order and its first attempt; null where no node is free. */
  async ask(inputTokens = 100, conversationKey?: string): Promise<Asked | null> {
    const order: TaskOrder = {
      sessionId: this.sessionId, nonce: this.#nonce++, promptCommit: numberToHex(++this.#orders, { size: 32 }), modelId: MODEL, tier: 0, maxOutTokens: 50, maxFee: 10_000n,
      deadline: seconds(this.rig.clock.nowMs()) + 20,
    };
    const asked: Asked = { order, attempts: [], choices: [], openedAtMs: this.rig.clock.nowMs(), inputTokens };
    return await this.attempt(asked, null, conversationKey) ? asked : null;
  }

  /** As a hall does it. */
  async #choose(changes: Partial<ChooseRequest>): Promise<Choice | null> {
    const asking = request(changes);
    for (;;) {
      const choice = this.rig.fleet.tryChoose(asking, (nodeId) => this.guide(nodeId));
      if (!(choice instanceof Promise)) return choice;
      await choice;
    }
  }

  /** Another attempt. @param number where it is not the next one */
  async attempt(asked: Asked, cause: string | null, conversationKey?: string, number = asked.attempts.length): Promise<boolean> {
    const taskId = hashStruct("TaskOrder", asked.order);
    const choice = await this.#choose({
      taskId, sessionId: this.sessionId, nonce: asked.order.nonce, mode: this.authorization.mode, attempt: number, inputTokens: asked.inputTokens, maxOutTokens: 50, cause,
      exclude: asked.attempts.map((one) => one.nodeId), ...(conversationKey === undefined ? {} : { conversationKey }),
    });
    if (choice === null) return false;
    const decision = canonical(this.lie(JSON.parse(choice.decision) as Record<string, unknown>));
    const issuedAt = seconds(this.rig.clock.nowMs());
    const { chosen, attempt } = JSON.parse(decision) as { chosen: number; attempt: number };
    const assignment: Assignment = {
      taskId, subtask: 0, subtasks: 1, attempt, relayerId: RELAYER, relayerEpoch: 1, nodeId: chosen, keyEpoch: choice.keyEpoch, role: 1, voucherHash: ZERO_HASH,
      attestationHash: choice.attestationHash, decisionHash: keccak256(stringToHex(decision)), contextHead: ZERO_HASH, ...choice.prices,
      feeBps: 300, shareCap: asked.order.maxFee, inputCommit: asked.order.promptCommit, issuedAt, deadline: issuedAt + 20,
    };
    asked.attempts.push({
      assignmentHash: hashStruct("Assignment", assignment), nodeId: chosen, decision, signed: null, cause: null,
      assignment: { assignment: structToJson("Assignment", assignment), assignmentSignature: SIGNATURE },
    });
    asked.choices.push(choice);
    return true;
  }

  /** The last attempt ends without a receipt. */
  fail(asked: Asked, cause: string, outcome: Outcome = "failed"): void {
    asked.choices.at(-1)!.booking.release(outcome);
    asked.attempts.push({ ...asked.attempts.pop()!, cause });
  }

  /** The last attempt ends with a receipt (unless `failed`), and the task waits for its batch. */
  finish(asked: Asked, failed: string | null = null): void {
    if (failed !== null) this.fail(asked, failed);
    else {
      asked.choices.at(-1)!.booking.release("completed");
      const last = asked.attempts.pop()!;
      asked.attempts.push({ ...last, signed: { record: this.#record(asked, last), ack: { ack: { receiptHash: ZERO_HASH, relayerId: RELAYER, relayerEpoch: 1, ackedAt: seconds(this.rig.clock.nowMs()) }, signature: SIGNATURE } } });
    }
    this.#pending.push({ taskId: hashStruct("TaskOrder", asked.order), state: failed === null ? "finished" : "failed", order: asked.order, openedAtMs: asked.openedAtMs, attempts: asked.attempts });
  }

  /** The task ends after its last attempt had failed, for want of another node. */
  finishFailed(asked: Asked): void {
    this.#pending.push({ taskId: hashStruct("TaskOrder", asked.order), state: "failed", order: asked.order, openedAtMs: asked.openedAtMs, attempts: asked.attempts });
  }

  /** Everything at once: asked, first token, answered. */
  async serve(inputTokens = 100): Promise<Asked> {
    const asked = (await this.ask(inputTokens))!;
    asked.choices[0]!.booking.firstToken(20);
    this.finish(asked);
    return asked;
  }

  /** Posts what waits. @param change what the relayer publishes otherwise */
  settle(change: (tasks: readonly BatchDataTask[]) => readonly BatchDataTask[] = (tasks) => tasks): BatchEvidence {
    const tasks = change(this.#pending.splice(0));
    const batchId = BigInt(this.batches.length + 1);
    const periodEnd = seconds(this.rig.clock.nowMs());
    const data = batchDataToBytes({ relayerId: RELAYER, batchId, periodStart: periodEnd - 10, periodEnd, tasks });
    const trees = treesOf(recordsOf(tasks), keccak256);
    const header: BatchHeader = {
      relayerId: RELAYER, relayerEpoch: 1, batchId, prevBatchHash: this.batches.at(-1)?.storedHash ?? ZERO_HASH, sessionRoot: trees.session.root.hash, tabRoot: trees.tab.root.hash,
      leafCount: trees.session.leafCount, debitsHash: ZERO_HASH, creditsHash: ZERO_HASH, totalDebit: trees.session.root.sum, totalCredit: trees.tab.root.sum,
      dataHash: keccak256(bytesToHex(data)), periodStart: periodEnd - 10, periodEnd, postBy: periodEnd + 10,
    };
    const batch = { batchId, header, data, storedHash: hashStruct("BatchHeader", header) };
    this.batches.push(batch);
    return batch;
  }

  /** Commits the epochs that are over, as the board loop does. */
  async commitEpochs(change: (attested: SignedAttestation) => SignedAttestation = (attested) => attested): Promise<void> {
    for (const { epoch, held, tableRoot } of await this.rig.fleet.takeEpochs(this.epoch - 1)) {
      const attestations = held.map(({ state }) => attestationToJson(change(state.signed)));
      const data = stringToBytes(canonical({ version: 2, relayerId: RELAYER, epoch, leaves: [], tables: tableRoot === null ? [] : [tableRoot], attestations }));
      const dataHash = keccak256(bytesToHex(data));
      this.records.set(dataHash, data);
      this.epochs.push({ epoch, dataHash, data });
    }
  }

  /** Ends the epoch: everything settled, committed, and its seed revealed. */
  async endEpoch(nodes: number): Promise<void> {
    await this.goTo(this.epoch + 1, nodes);
    await this.commitEpochs();
    if (this.#pending.some((task) => task.attempts.some((attempt) => attempt.signed))) this.settle();
  }

  seedChains(lastRevealed = this.epoch - 1): SeedChainFact[] {
    return [{ firstEpoch: FIRST, lastRevealed, reached: lastRevealed < FIRST ? this.chain.anchor : this.chain.seedOf(lastRevealed)!, isInUse: true }];
  }

  evidence(scope: ReplayScope = { kind: "epoch", epoch: FIRST }, change: Partial<Evidence> = {}): Evidence {
    return {
      relayerId: RELAYER, scope, epochSeconds: EPOCH_SECONDS, windowSeconds: deployment.windowSeconds, batches: this.batches, seedChains: this.seedChains(),
      tables: new Map(this.rig.tables.map(({ root, text }) => [root, text])), epochs: this.epochs.filter((one) => scope.kind === "batch" || one.epoch === scope.epoch), paidByForce: new Set(), cut: [], ...change,
    };
  }

  #record(asked: Asked, attempt: BatchDataAttempt): AttemptRecord {
    const assignment = assignmentIn(attempt);
    const finishedAt = seconds(this.rig.clock.nowMs());
    return {
      authorization: this.authorization, order: asked.order, voucher: null, voucherSignature: "0x", assignment, assignmentSignature: SIGNATURE, receiptSignature: SIGNATURE,
      receipt: {
        body: {
          assignmentHash: attempt.assignmentHash, sessionId: this.sessionId, taskId: assignment.taskId, subtask: 0, attempt: assignment.attempt, role: 1, prevReceiptHash: ZERO_HASH,
          outputCommit: ZERO_HASH, inputTokens: asked.inputTokens, outputTokens: 20, fee: 100n, startedAt: finishedAt - 1, finishedAt, status: Status.COMPLETE,
        },
        nodeId: assignment.nodeId, relayerId: RELAYER, keyEpoch: 1, nodeSeq: BigInt(finishedAt) << 20n, nodeCumulative: 100n,
      },
    };
  }
}

const assignmentIn = (attempt: BatchDataAttempt): Assignment => structFromJson("Assignment", attempt.assignment.assignment);
