// The allowance's bucket in the relayer against the bucket on chain: at any time the same to the unit, and never more.
import { expect } from "chai";
import fc from "fast-check";
import { Mode } from "../../../protocol/constants.ts";
import { feeOf } from "../../../protocol/fees.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import type { Hash } from "../../../protocol/units.ts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { Settlement } from "../../../relayer/loops/settle.ts";
import { Watch } from "../../../relayer/loops/watch.ts";
import { bucketLevelAt, SessionLedger } from "../../../relayer/settlement/ledger.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { HonestWork, terms, type Tabs } from "./honestWork.ts";
import { clock, crypto, metrics, never } from "./settleRig.ts";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
const INPUT_TOKENS = 3;

type Step =
  | { readonly kind: "order"; readonly share: number }
  | { readonly kind: "wait"; readonly seconds: number }
  | { readonly kind: "read" }
  | { readonly kind: "settle" };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("order" as const), share: fc.integer({ min: 1, max: 100 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1_000, max: 100_000 })) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("read" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
);

describe("the bucket here and on chain", function () {
  this.timeout(120_000);
  let local: LocalChain;
  let chain: ViemChain;
  const tabs: Tabs = new Map();

  before(async () => {
    local = await startLocalChain();
    chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
  });
  after(() => local?.stop());

  it("property: whatever is ordered inside the relayer's count, the chain takes; and the counts are equal to the unit", async () => {
    const seen = { orders: 0, settled: 0, compared: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 30 }), fc.integer({ min: 400, max: 3_001 }), async (steps, maxPerDay) => {
      const journal = new MemoryJournal();
      await new Watch({ chain, journal, clock, identity, log, metrics, sessions }).begin();
      const work = new HonestWork(local, journal, tabs);
      const authorization = await work.session(chain, Mode.ALLOWANCE, { maxPerDay: BigInt(maxPerDay), lock: 20_000n });
      const sessionId = hashStruct("SpendingAuthorization", authorization);
      const settlement = new Settlement({ chain, journal, records: new MemoryRecords(), crypto, clock, identity, log, metrics, sessions, entryCost: 1n });
      const ledger = new SessionLedger({ mode: Mode.ALLOWANCE, maxTotal: authorization.maxTotal, maxPerDay: authorization.maxPerDay }, 0n, 0n);
      const first = await chain.session(sessionId);
      let reading = first!;
      ledger.read(reading);
      const settle = async (): Promise<void> => {
        if (ledger.charged > reading.charged) seen.settled += Number(await settlement.round(never));
        expect(settlement.status()).to.deep.include({ heldTasks: 0, problem: null });
        reading = (await chain.session(sessionId))!;
        expect(reading.charged, "all that was charged is on chain").to.equal(ledger.charged);
        ledger.read(reading);
      };
      for (const one of steps) {
        const now = await chain.nextTimestamp();
        if (one.kind === "order") {
          const wanted = (ledger.exposure(now) * BigInt(one.share)) / 100n;
          const outputTokens = Number((wanted * 1_000_000n) / 721_001n) - INPUT_TOKENS;
          if (outputTokens < 1) {
            seen.refused += 1;
            continue;
          }
          const { charge } = feeOf(INPUT_TOKENS, Math.min(outputTokens, 9_000), terms);
          const task: Hash = `0x${(++seen.orders).toString(16).padStart(64, "0")}`;
          ledger.reserve(task, charge, null, now);
          ledger.charge(task, charge);
          await work.task(authorization, 1, Math.min(outputTokens, 9_000), INPUT_TOKENS);
        } else if (one.kind === "wait") {
          await local.rpc("evm_increaseTime", [one.seconds]);
        } else if (one.kind === "read") {
          await local.rpc("evm_mine");
          const fresh = (await chain.session(sessionId))!;
          const foretold = bucketLevelAt(reading, authorization.maxPerDay, fresh.readAtSeconds);
          seen.compared += 1;
          expect(fresh.bucketLevel - foretold >= 0n && fresh.bucketLevel - foretold <= 1n, `${fresh.bucketLevel} on chain, ${foretold} foretold`).to.equal(true);
          reading = fresh;
          ledger.read(reading);
        } else {
          await settle();
        }
      }
      await settle();
      await settlement.run(AbortSignal.abort());
    }), { numRuns: 12, endOnFailure: true });
    expect(seen.orders).to.be.greaterThan(40);
    expect(seen.settled).to.be.greaterThan(12);
    expect(seen.compared).to.be.greaterThan(12);
  });
});
