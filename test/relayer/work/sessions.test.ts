// Who pays: each way to be covered, each way not to be, and what holds while the chain or the database is away.
import { expect } from "chai";
import { bytesToHex } from "viem/utils";
import { Sessions } from "../../../relayer/work/sessions.ts";
import type { Cover, CoverRequest } from "../../../relayer/work/cover.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { saltedCommit } from "../../../protocol/ids.ts";
import { apiKeyRequestDigest, type Payment } from "../../../protocol/payment.ts";
import { Mode } from "../../../protocol/constants.ts";
import { signStruct, signerOfKey } from "../../../protocol/signing.ts";
import { hashStruct, type Domain } from "../../../protocol/typedData.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { SpendingAuthorization, TaskOrder } from "../../../protocol/generated/structs.ts";
import type { Hash, Hex } from "../../../protocol/units.ts";
import type { Clock, Crypto, Log } from "../../../relayer/ports/world.ts";
import type { Chain, ChainSession } from "../../../relayer/ports/chain.ts";
import { domain, payer, relayer, session } from "../../protocol/honest.ts";

const bytes32 = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const modelId = bytes32(77);
const body = new TextEncoder().encode("{\"model\":\"m\",\"prompt\":\"Once\"}");
const NOW_MS = 1_900_000_000_000;
const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A clock that stands until it is moved. */
class HandClock implements Clock {
  passedMs = 0;
  nowMs = (): number => NOW_MS + this.passedMs;
  monotonicMs = (): number => this.passedMs;
  sleep = (_ms: number, signal?: AbortSignal): Promise<void> => new Promise((wake) => signal?.addEventListener("abort", () => wake()));
}

describe("sessions", () => {
  let crypto: Crypto;
  let journal: MemoryJournal;
  let clock: HandClock;
  let onChain: Map<Hash, ChainSession>;
  let isChainUp: boolean;
  let opened: SpendingAuthorization[];
  let openFailure: TidelaneError | null;
  let sessions: Sessions;
  let dice: number;
  let leastLock: bigint;

  before(async () => { crypto = await createNativeCrypto(); });
  beforeEach(() => {
    journal = new MemoryJournal();
    clock = new HandClock();
    onChain = new Map();
    isChainUp = true;
    opened = [];
    openFailure = null;
    dice = 0;
    leastLock = 1n;
    sessions = fresh();
  });

  const chain = {
    deployment: { domain, addresses: {}, windowSeconds: 20, epochSeconds: 15, leverage: 5 },
    session: async (id: Hash) => {
      if (!isChainUp) throw new TidelaneError("away", { code: "chain_unreachable", retryable: true });
      return onChain.get(id) ?? null;
    },
    openSession: async (terms: SpendingAuthorization) => {
      if (openFailure) throw openFailure;
      opened.push(terms);
      putOnChain(terms);
    },
  } as unknown as Chain;
  const fresh = (): Sessions => new Sessions({ chain, journal, crypto, clock, dice: { bytes32: () => bytes32(1_000 + ++dice) }, identity: { relayerId: 1, epoch: 1, feeBps: 300, signer: relayer }, log, leastLock });
  const putOnChain = (terms: SpendingAuthorization, bends: Partial<ChainSession> = {}): void => {
    onChain.set(hashStruct("SpendingAuthorization", terms), {
      payer: terms.payer, sessionKey: terms.sessionKey, relayerId: 1, mode: terms.mode, lock: terms.lock, maxTotal: terms.maxTotal, charged: 0n, provenCap: 0n,
      forced: 0n, debitable: terms.lock, bucketLevel: terms.mode === Mode.ALLOWANCE ? 2n * terms.maxPerDay : 0n, validAfter: terms.validAfter, validUntil: terms.validUntil, state: "open",
      readAtSeconds: Math.floor(clock.nowMs() / 1_000), ...bends,
    });
  };
  const terms = (bends: Partial<SpendingAuthorization> = {}): SpendingAuthorization => ({
    payer: payer.address, sessionKey: session.address, relayerId: 1, lock: 100_000n, maxTotal: 200_000n, maxPerTask: 40_000n, maxPerDay: 30_000n, maxPriceInPerMTok: 10n ** 6n,
    maxPriceOutPerMTok: 10n ** 6n, maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: 1, validUntil: 2_000_000_000, salt: 1n, ...bends,
  });
  const sign = (authorization: SpendingAuthorization): Promise<Hex> => signStruct(payer, domain, "SpendingAuthorization", authorization);
  const register = async (bends: Partial<SpendingAuthorization> = {}): Promise<{ authorization: SpendingAuthorization; sessionId: Hash; apiKey: string | null }> => {
    const authorization = terms(bends);
    return { authorization, ...await sessions.register(authorization, await sign(authorization)) };
  };
  let nonce = 0n;
  const pay = async (sessionId: Hash, cap: bigint, bends: Partial<TaskOrder> = {}, over: { key?: typeof session; domain?: Domain } = {}): Promise<Payment> => {
    const promptSalt = bytes32(5);
    const order: TaskOrder = {
      sessionId, nonce: ++nonce, promptCommit: saltedCommit(promptSalt, bytesToHex(body)), modelId, tier: 0, maxOutTokens: 100, maxFee: 10_000n,
      deadline: NOW_MS / 1_000 + 600, ...bends,
    };
    const voucher = { sessionId, cumulativeCap: cap, taskId: hashStruct("TaskOrder", order) };
    return { order, voucher, voucherSignature: await signStruct(over.key ?? session, over.domain ?? domain, "Voucher", voucher), promptSalt };
  };
  const request = (bends: Partial<CoverRequest>): CoverRequest => ({
    payment: null, apiKey: null, body, kind: "chat", model: "m", modelId, tier: 0, maxOutTokens: 100, estimatedMaxFee: 10_000n, leastFee: 0n, nowMs: clock.nowMs(), ...bends,
  });
  const cover = (bends: Partial<CoverRequest>): Promise<Cover> => sessions.cover(request(bends));
  const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => "none", (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)));
  const refusal = async (payment: Payment, bends: Partial<CoverRequest> = {}): Promise<string> => codeOf(cover({ payment, ...bends }));

  it("are opened at the relayer's gas from the least lock on, and taken with less where the payer has opened them", async () => {
    leastLock = 50_000n;
    sessions = fresh();
    expect(await codeOf(register({ lock: 49_999n }))).to.equal("lock_too_small");
    expect(opened).to.deep.equal([]);
    await register({ lock: 50_000n, salt: 2n });
    expect(opened).to.have.length(1);
    const small = terms({ lock: 49_999n, salt: 3n });
    putOnChain(small);
    expect((await sessions.register(small, await sign(small))).sessionId).to.equal(hashStruct("SpendingAuthorization", small));
    expect(opened).to.have.length(1);
  });

  describe("by voucher", () => {
    it("reserve an order, journal it as open, and turn it into its charge", async () => {
      const { sessionId, apiKey } = await register();
      expect([apiKey, opened.length]).to.deep.equal([null, 1]);
      const payment = await pay(sessionId, 10_000n);
      const covered = await cover({ payment });
      expect(covered).to.deep.include({ sessionId, taskId: payment.voucher.taskId, mode: Mode.VOUCHER, modeName: "voucher", promptSalt: payment.promptSalt });
      expect(covered.exposure()).to.equal(90_000n);
      expect((await journal.task(covered.taskId))?.state).to.equal("open");
      expect((await journal.session(sessionId))?.voucher).to.deep.equal({ voucher: payment.voucher, signature: payment.voucherSignature });
      covered.charged(4_000n);
      covered.release();
      covered.charged(9_000n);
      expect(covered.exposure()).to.equal(96_000n);
      expect(await sessions.describe(sessionId)).to.include({ charged: "4000", reserved: "0", cap: "10000", exposure: "96000", state: "open", mode: "voucher", settled: "0" });
    });

    it("run in parallel under one growing cap, and never beyond it", async () => {
      const { sessionId } = await register();
      const first = await cover({ payment: await pay(sessionId, 10_000n) });
      await cover({ payment: await pay(sessionId, 20_000n) });
      expect(await refusal(await pay(sessionId, 29_999n))).to.equal("voucher_cap_too_low");
      first.release();
      // Another process of this relayer sees it as long as the journal does.
      expect(await refusal(await pay(sessionId, 20_000n))).to.equal("orders_elsewhere");
      await journal.finishTask(first.taskId, "failed", []);
      await cover({ payment: await pay(sessionId, 20_000n) });
    });

    it("are refused without a session, a fitting order or the right key", async () => {
      const { sessionId } = await register();
      const good = await pay(sessionId, 10_000n);
      expect(await refusal(await pay(bytes32(9), 10_000n))).to.equal("unknown_session");
      expect(await refusal(await pay(sessionId, 50_000n, { maxFee: 40_001n }))).to.equal("order_above_maximum");
      expect(await refusal(good, { leastFee: 10_001n })).to.equal("order_below_price");
      expect(await refusal(await pay(sessionId, 10_000n, { deadline: NOW_MS / 1_000 }))).to.equal("order_expired");
      expect(await refusal(await pay(sessionId, 10_000n, { deadline: NOW_MS / 1_000 + 90_000 }))).to.equal("invalid_payment");
      expect(await refusal(good, { modelId: bytes32(1) })).to.equal("invalid_payment");
      expect(await refusal(good, { tier: 1 })).to.equal("invalid_payment");
      expect(await refusal(good, { maxOutTokens: 101 })).to.equal("invalid_payment");
      expect(await refusal(good, { body: new TextEncoder().encode("another prompt") })).to.equal("invalid_payment");
      expect(await refusal({ ...good, promptSalt: bytes32(6) })).to.equal("invalid_payment");
      expect(await refusal({ ...good, order: { ...good.order, nonce: 999n } })).to.equal("invalid_payment");
      expect(await refusal(await pay(sessionId, 200_001n))).to.equal("invalid_payment");
      expect(await refusal(await pay(sessionId, 10_000n, {}, { key: payer }))).to.equal("wrong_key");
      expect(await refusal(await pay(sessionId, 10_000n, {}, { domain: { ...domain, chainId: 1 } }))).to.equal("wrong_key");
      expect(await refusal({ ...good, voucherSignature: `0x${"00".repeat(65)}` })).to.equal("wrong_key");
      expect(await refusal({ ...good, voucher: { ...good.voucher, cumulativeCap: 20_000n } })).to.equal("wrong_key");
      expect((await sessions.describe(sessionId)).reserved).to.equal("0");
      expect(await refusal(good)).to.equal("none");
    });

    it("are used once, also over a restart and when two come at once", async () => {
      const { sessionId } = await register();
      const payment = await pay(sessionId, 10_000n);
      const codes = await Promise.all([refusal(payment), refusal(payment)]);
      expect(codes.toSorted()).to.deep.equal(["none", "order_replayed"]);
      sessions = fresh();
      await sessions.load();
      expect(await refusal(payment)).to.equal("order_replayed");
      expect((await sessions.describe(sessionId)).reserved).to.equal("0");
    });

    it("go on after a restart from what the journal holds", async () => {
      const { sessionId } = await register();
      const covered = await cover({ payment: await pay(sessionId, 30_000n) });
      await journal.finishTask(covered.taskId, "finished", []);
      sessions = fresh();
      await sessions.load();
      await cover({ payment: await pay(sessionId, 10_000n) });
      expect((await sessions.describe(sessionId)).cap).to.equal("30000");
    });

    it("stay within the lock over all processes of the relayer, whichever is asked", async () => {
      const { sessionId } = await register({ lock: 55_000n });
      const processes = [sessions, fresh(), fresh()];
      for (const one of processes) await one.load();
      // Each of them alone would still take five.
      const payments = await Promise.all(Array.from({ length: 12 }, () => pay(sessionId, 120_000n)));
      const outcomes = await Promise.all(payments.map((payment, i) =>
        processes[i % 3]!.cover(request({ payment })).then((covered) => covered, (error: unknown) => (error instanceof TidelaneError ? error.code : String(error)))));
      const covers = outcomes.flatMap((outcome) => (typeof outcome === "string" ? [] : [outcome]));
      expect([covers.length, ...new Set(outcomes.filter((outcome) => typeof outcome === "string"))]).to.deep.equal([5, "orders_elsewhere"]);
      await journal.finishTask(covers[0]!.taskId, "failed", []);
      covers[0]!.release();
      const next = await pay(sessionId, 120_000n);
      expect(await codeOf(processes[2]!.cover(request({ payment: next })))).to.equal("none");
    });

    it("stay within lock and session time", async () => {
      const { sessionId, authorization } = await register({ lock: 15_000n });
      expect(await refusal(await pay(sessionId, 16_000n, { maxFee: 16_000n }))).to.equal("insufficient_escrow");
      putOnChain(authorization, { state: "closing" });
      clock.passedMs += 31_000;
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("session_closing");
      const later = await register({ salt: 2n, validAfter: NOW_MS / 1_000 + 1_000 });
      expect(await refusal(await pay(later.sessionId, 10_000n))).to.equal("session_not_yet_valid");
      const short = await register({ salt: 3n, validUntil: NOW_MS / 1_000 + 100 });
      clock.passedMs += 100_000;
      expect(await refusal(await pay(short.sessionId, 10_000n, { deadline: NOW_MS / 1_000 + 900 }))).to.equal("session_expired");
      expect((await sessions.describe(short.sessionId)).state).to.equal("closing");
    });
  });

  describe("by allowance", () => {
    const allowance = { mode: Mode.ALLOWANCE };

    it("need only the key that the opening gave, with consecutive nonces", async () => {
      const { apiKey, sessionId } = await register(allowance);
      expect(apiKey).to.match(/^tl_[A-Za-z0-9_-]{43}$/);
      const covers = await Promise.all([cover({ apiKey }), cover({ apiKey }), cover({ apiKey })]);
      expect(covers.map((one) => one.covered.order.nonce)).to.deep.equal([0n, 1n, 2n]);
      for (const one of covers) {
        expect(one).to.include({ sessionId, mode: Mode.ALLOWANCE, modeName: "allowance" });
        expect(one.covered.order.promptCommit).to.equal(saltedCommit(one.promptSalt, bytesToHex(body)));
        expect(one.covered).to.deep.include({ voucher: null, voucherSignature: "0x" });
        expect(one.taskId).to.equal(hashStruct("TaskOrder", one.covered.order));
      }
      expect(new Set(covers.map((one) => one.promptSalt)).size).to.equal(3);
      expect(covers[2]!.exposure()).to.equal(30_000n);
    });

    it("cut an order to maxPerTask, and stop when the bucket is spoken for until it refills", async () => {
      const { apiKey, authorization } = await register(allowance);
      putOnChain(authorization, { bucketLevel: 50_000n });
      await sessions.refreshInTurn(1);
      const first = await cover({ apiKey, estimatedMaxFee: 50_000n });
      expect(first.covered.order.maxFee).to.equal(40_000n);
      expect(await codeOf(cover({ apiKey, estimatedMaxFee: 10_001n }))).to.equal("allowance_exhausted");
      clock.passedMs += 3_000;
      await cover({ apiKey, estimatedMaxFee: 10_001n });
    });

    it("take the next nonce where another process used one", async () => {
      const { apiKey, sessionId } = await register(allowance);
      const other = fresh();
      await other.load();
      await other.cover(request({ apiKey }));
      expect((await cover({ apiKey })).covered.order.nonce).to.equal(1n);
      expect((await journal.session(sessionId))?.nextNonce).to.equal(2n);
    });

    it("are refused without a key that is known", async () => {
      await register(allowance);
      expect(await codeOf(cover({}))).to.equal("missing_key");
      expect(await codeOf(cover({ apiKey: "tl_wrong" }))).to.equal("unknown_key");
      expect(await codeOf(cover({ apiKey: "sk-other" }))).to.equal("unknown_key");
    });

    it("find the key again after a restart, and store nothing that spends", async () => {
      const { apiKey } = await register(allowance);
      sessions = fresh();
      await cover({ apiKey });
      const stored = JSON.stringify(await journal.sessions(), (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
      expect(stored).not.to.include(apiKey!);
    });

    it("mix no modes", async () => {
      const { apiKey, sessionId } = await register(allowance);
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("invalid_payment");
      expect(apiKey).not.to.equal(null);
    });
  });

  describe("registering", () => {
    it("opens a session once, and gives its key only to who opened it", async () => {
      const first = await register({ mode: Mode.ALLOWANCE });
      const again = await register({ mode: Mode.ALLOWANCE });
      expect([first.apiKey === null, again.apiKey, opened.length]).to.deep.equal([false, null, 1]);
      const copied = terms({ mode: Mode.ALLOWANCE, salt: 2n });
      putOnChain(copied);
      expect((await sessions.register(copied, await sign(copied))).apiKey).to.equal(null);
    });

    it("passes on why the chain refuses, and remembers an authorization that became public by reverting", async () => {
      openFailure = new TidelaneError("refused", { code: "authorization_rejected", details: { mined: false } });
      expect(await codeOf(register({ mode: Mode.ALLOWANCE }))).to.equal("authorization_rejected");
      expect(await journal.sessions()).to.deep.equal([]);
      openFailure = new TidelaneError("refused", { code: "authorization_rejected", details: { mined: true } });
      expect(await codeOf(register({ mode: Mode.ALLOWANCE }))).to.equal("authorization_rejected");
      openFailure = null;
      expect((await register({ mode: Mode.ALLOWANCE })).apiKey).to.equal(null);
    });

    it("pays no gas for what cannot be used here", async () => {
      for (const bends of [{ relayerId: 2 }, { mode: 2 }, { validUntil: NOW_MS / 1_000 }, { lock: 0n }, { maxPerTask: 0n }]) expect(await codeOf(register(bends))).to.equal("invalid_authorization");
      expect(await codeOf(sessions.register(terms(), "0x"))).to.equal("invalid_authorization");
      expect(await codeOf(register({ maxFeeBps: 299 }))).to.equal("fee_above_maximum");
      expect(opened).to.deep.equal([]);
    });

    it("gives further keys to the session key alone, each request once", async () => {
      const { sessionId } = await register({ mode: Mode.ALLOWANCE });
      const now = NOW_MS / 1_000;
      const ask = async (issuedAt: number, key = session): Promise<string> => sessions.issueKey(sessionId, { issuedAt, signature: await key.sign(apiKeyRequestDigest(domain, 1, sessionId, issuedAt)) });
      const apiKey = await ask(now);
      expect((await cover({ apiKey })).sessionId).to.equal(sessionId);
      expect(await codeOf(ask(now))).to.equal("invalid_request");
      expect(await codeOf(ask(now + 61))).to.equal("invalid_request");
      expect(await codeOf(ask(now + 1, payer))).to.equal("wrong_key");
      expect(await codeOf(sessions.issueKey(bytes32(1), { issuedAt: now, signature: "0x" }))).to.equal("unknown_session");
      const voucher = await register({ salt: 2n });
      expect(await codeOf(sessions.issueKey(voucher.sessionId, { issuedAt: now, signature: "0x" }))).to.equal("invalid_request");
    });
  });

  describe("while something is away", () => {
    it("go on inside what was locked when the chain was read last, for two windows", async () => {
      const { sessionId } = await register();
      isChainUp = false;
      clock.passedMs += 39_000;
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("none");
      clock.passedMs += 2_000;
      expect(await refusal(await pay(sessionId, 20_000n))).to.equal("chain_unreachable");
      isChainUp = true;
      clock.passedMs += 2_000;
      expect(await refusal(await pay(sessionId, 20_000n))).to.equal("none");
    });

    it("renew a reading while it is used, so that nobody waits for the chain", async () => {
      const { sessionId, authorization } = await register();
      putOnChain(authorization, { state: "closing" });
      clock.passedMs += 9_000;
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("none");
      clock.passedMs += 2_000;
      expect(await refusal(await pay(sessionId, 20_000n))).to.equal("none");
      expect(await refusal(await pay(sessionId, 30_000n))).to.equal("session_closing");
    });

    it("forget sessions that are over, and find them again in the journal", async () => {
      const { sessionId } = await register({ validUntil: NOW_MS / 1_000 + 100 });
      const running = await cover({ payment: await pay(sessionId, 10_000n) });
      clock.passedMs += 161_000;
      await sessions.refreshInTurn(10);
      expect(sessions.isEnding(sessionId, clock.nowMs() / 1_000)).to.equal(true);
      running.charged(5n);
      await sessions.refreshInTurn(10);
      expect(sessions.isEnding(sessionId, 0)).to.equal(null);
      expect((await sessions.describe(sessionId)).state).to.equal("closing");
    });

    it("serve no session that was never read", async () => {
      const { sessionId } = await register();
      sessions = fresh();
      isChainUp = false;
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("chain_unreachable");
    });

    it("refuse new work without the journal, and reserve nothing for what it does not take", async () => {
      const { sessionId } = await register();
      journal.setUp(false);
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("journal_unavailable");
      journal.setUp(true);
      const failing = journal.openTask.bind(journal);
      journal.openTask = () => Promise.reject(new TidelaneError("away", { code: "journal_unavailable", retryable: true }));
      expect(await refusal(await pay(sessionId, 90_000n))).to.equal("journal_unavailable");
      journal.openTask = failing;
      expect(await sessions.describe(sessionId)).to.include({ reserved: "0", cap: "0" });
    });

    it("see a revocation as soon as the chain is read again", async () => {
      const { sessionId, authorization } = await register();
      putOnChain(authorization, { state: "closing" });
      await sessions.refreshInTurn(10);
      expect(await refusal(await pay(sessionId, 10_000n))).to.equal("session_closing");
      expect([sessions.isEnding(sessionId, 0), sessions.isEnding(bytes32(1), 0)]).to.deep.equal([true, null]);
    });
  });

  it("know a payer's contract wallet only by what the chain says of its signature", async () => {
    const authorization = terms({ payer: signerOfKey(bytes32(3)).address });
    expect(await codeOf(sessions.register(authorization, `0x${"ab".repeat(200)}`))).to.equal("none");
  });
});
