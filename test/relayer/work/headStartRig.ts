// A relayer's sessions and tasks on any journal, one ALLOWANCE payer and scripted nodes: what the tests of the head start stand on.
import { Mode } from "../../../protocol/constants.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { Sessions } from "../../../relayer/work/sessions.ts";
import { domain, payer, relayer, session } from "../../protocol/honest.ts";
import { model, requestOf, worldOf, type Script, type TestWorld } from "./world.ts";
import type { Chain, ChainSession } from "../../../relayer/ports/chain.ts";
import type { CoverRequest } from "../../../relayer/work/cover.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { Journal } from "../../../relayer/ports/journal.ts";
import type { Metrics } from "../../../relayer/ports/world.ts";
import type { RunningTask, Tasks } from "../../../relayer/work/tasks.ts";
import type { SpendingAuthorization } from "../../../protocol/generated/structs.ts";
import type { TaskRequest } from "../../../relayer/work/taskPlan.ts";

export const TERMS: SpendingAuthorization = {
  payer: payer.address, sessionKey: session.address, relayerId: 1, lock: 10n ** 9n, maxTotal: 10n ** 9n, maxPerTask: 40_000n, maxPerDay: 10n ** 9n, maxPriceInPerMTok: 10n ** 7n,
  maxPriceOutPerMTok: 10n ** 7n, maxFeeBps: 500, mode: Mode.ALLOWANCE, validAfter: 1, validUntil: 4_000_000_000, salt: 1n,
};
export const SESSION: Hash = hashStruct("SpendingAuthorization", TERMS);

/** A clock that can be put forward. */
export class LateClock {
  lateMs = 0;
  readonly nowMs = systemClock.nowMs;
  readonly sleep = systemClock.sleep;
  monotonicMs = (): number => systemClock.monotonicMs() + this.lateMs;
}

export interface Rig {
  readonly world: TestWorld;
  readonly sessions: Sessions;
  readonly tasks: Tasks;
  readonly clock: LateClock;
  /** How often each metric was counted. */
  readonly counted: Map<string, number>;
  ask(over?: Partial<TaskRequest>): Promise<RunningTask>;
  readonly apiKey: string;
}

/** @param apiKey of a session that another rig has opened on the same journal; null to open it */
export async function rigOf(journal: Journal, apiKey: string | null, ...scripts: Script[]): Promise<Rig> {
  const world = await worldOf(...scripts);
  const clock = new LateClock();
  const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: relayer };
  const sessions = new Sessions({ chain: chainOf(clock, apiKey !== null), journal, crypto: await createNativeCrypto(), clock, dice: systemDice, log: silentLog, identity, leastLock: 1n });
  await sessions.load();
  const key = apiKey ?? (await sessions.register(TERMS, await signStruct(payer, domain, "SpendingAuthorization", TERMS))).apiKey!;
  const counted = new Map<string, number>();
  const metrics: Metrics = { ...noMetrics, count: (name) => void counted.set(name, (counted.get(name) ?? 0) + 1) };
  const tasks = world.tasksWith({ journal, sessions, metrics });
  return { world, sessions, tasks, clock, counted, apiKey: key, ask: (over = {}) => tasks.start(requestOf({ apiKey: key, ...over })) };
}

/** What Tasks asks of Sessions for a small question. */
export const coverRequestOf = ({ apiKey, clock }: Rig, over: Partial<CoverRequest> = {}): CoverRequest => ({
  payment: null, apiKey, body: new TextEncoder().encode("Tell me a story"), kind: "chat", model: model.name, modelId: model.modelId, tier: 0, maxOutTokens: 50,
  estimatedMaxFee: 1_000n, leastFee: 0n, nowMs: clock.nowMs(), ...over,
});

/** A journal whose next rows can be kept waiting, or refused. */
export class SlowJournal extends MemoryJournal {
  /** Rows that were asked for. */
  rows = 0;
  /** Tasks whose end was to be written, known or not. */
  readonly ends: Hash[] = [];
  /** What the database says to the next ones. */
  readonly refusals: Error[] = [];
  #gate = Promise.withResolvers<void>();
  #isHeld = false;

  hold(): void {
    this.#gate = Promise.withResolvers<void>();
    this.#isHeld = true;
  }

  letGo(): void {
    this.#isHeld = false;
    this.#gate.resolve();
  }

  override async openTask(...args: Parameters<Journal["openTask"]>): Promise<void> {
    this.rows += 1;
    if (this.#isHeld) await this.#gate.promise;
    const refusal = this.refusals.shift();
    if (refusal) throw refusal;
    await super.openTask(...args);
  }

  override async finishTask(...args: Parameters<Journal["finishTask"]>): Promise<void> {
    this.ends.push(args[0]);
    await super.finishTask(...args);
  }
}

/** The payer's session: not there before it is opened, open for ever afterwards. */
function chainOf(clock: LateClock, wasOpened: boolean): Chain {
  let isOpen = wasOpened;
  const reading: ChainSession = {
    payer: TERMS.payer, sessionKey: TERMS.sessionKey, relayerId: 1, mode: TERMS.mode, lock: TERMS.lock, maxTotal: TERMS.maxTotal, charged: 0n, provenCap: 0n, forced: 0n,
    debitable: TERMS.lock, bucketLevel: 2n * TERMS.maxPerDay, validAfter: TERMS.validAfter, validUntil: TERMS.validUntil, state: "open", readAtSeconds: 0,
  };
  return {
    deployment: { domain, addresses: {}, windowSeconds: 86_400, epochSeconds: 600, leverage: 5 },
    session: async () => (isOpen ? { ...reading, readAtSeconds: Math.floor(clock.nowMs() / 1_000) } : null),
    openSession: async () => { isOpen = true; },
  } as unknown as Chain;
}
