// Transfers to the Escrow itself, credited at the relayer's gas: which ones, when, and what happens where it goes wrong. The chain
// is a script here; a real one is in test/client/x402.test.ts.
import { expect } from "chai";
import { decodeFunctionData } from "viem";
import { TransferProofsAbi } from "../../../protocol/generated/abi/TransferProofs.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { Transfers, type TransfersOptions } from "../../../relayer/loops/transfers.ts";
import type { TransferProof } from "../../../protocol/transferProof.ts";
import type { Address, Hash, Hex } from "../../../protocol/units.ts";
import type { SeenTransfer } from "../../../relayer/ports/readers.ts";
import { clock, codeOf, metrics } from "./settleRig.ts";

const address: Address = `0x${"77".repeat(20)}`;
const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;
const LEAST = 100n;
const DEEP = 4n;

/** What the chain says; a test writes it. */
class Script {
  head = 20_000n;
  readonly transfers: (SeenTransfer & { readonly amount: bigint; readonly proofBytes?: number; readonly count?: number; readonly logCount?: number })[] = [];
  readonly ranges: (readonly [bigint, bigint])[] = [];
  /** Log positions of what was sent: each transfer has its own. */
  readonly sent: number[] = [];
  readonly warned: string[] = [];
  left = 0;
  nowMs = 0;
  isLeading = true;
  failure: TidelaneError | null = null;
  /** Whether the server that is asked for proofs is behind the one that tells of transfers. */
  isBehind = false;
  /** How often a proof was asked for. */
  asked = 0;
  /** Log positions of what another was quicker with. */
  readonly taken: number[] = [];
  readonly loop: Transfers;

  constructor() {
    const log: TransfersOptions["log"] = { debug: () => {}, info: () => {}, error: () => {}, warn: (_fields, message) => void this.warned.push(message) };
    this.loop = new Transfers({
      log, address, clock: { ...clock, monotonicMs: () => this.nowMs },
      metrics: { ...metrics, count: (_name, labels) => { if (labels?.["outcome"] === "left") this.left++; } }, least: LEAST, isLeading: () => this.isLeading,
      chain: {
        head: async () => ({ number: this.head, timestampSeconds: 0, hash: hash(0) }),
        submit: async ({ to, data }) => this.#submit(to, data),
      },
      reader: {
        arrived: async (from, to) => {
          this.ranges.push([from, to]);
          return this.transfers.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to);
        },
        proofs: async (transaction) => (this.asked++, this.isBehind ? null : this.transfers.filter((one) => one.transaction === transaction).slice(-1).flatMap((one) => Array.from({ length: one.count ?? 1 }, (_, i): TransferProof => ({
          blockNumber: one.blockNumber, header: "0x01", proof: [`0x${"00".repeat(one.proofBytes ?? 600)}`], transactionIndex: 3, logPosition: Number(BigInt(transaction)) + 100 * i, logCount: one.logCount ?? 2, payer: address, nonce: transaction, amount: one.amount,
        })))),
      },
    });
  }

  add(n: number, blockNumber: bigint, amount = LEAST, proofBytes?: number): void {
    this.transfers.push({ transaction: hash(n), blockNumber, amount, ...(proofBytes === undefined ? {} : { proofBytes }) });
  }

  async #submit(to: Address, data: Hex) {
    if (this.failure) throw this.failure;
    const { functionName, args } = decodeFunctionData({ abi: TransferProofsAbi, data });
    expect([to, functionName]).to.deep.equal([address, "creditTransfer"]);
    if (this.taken.includes(Number(args![3]))) throw new TidelaneError("AlreadyCredited(...)", { code: "call_reverted" });
    this.sent.push(Number(args![3]));
    return { hash: hash(9), status: "success" as const, blockNumber: this.head, gasUsed: 1n };
  }
}

describe("transfers to the Escrow itself", () => {
  it("are credited once, some blocks deep, the small and the large ones left to others", async () => {
    const script = new Script();
    script.add(1, script.head);
    script.add(2, script.head - DEEP, LEAST - 1n);
    script.add(3, script.head - DEEP);
    script.add(4, script.head - DEEP, LEAST, 16_385);
    script.add(5, script.head - DEEP, LEAST, 16_384);
    for (const logCount of [64, 65]) script.transfers.push({ transaction: hash(logCount), blockNumber: script.head - DEEP, amount: LEAST, logCount });
    await script.loop.round();
    expect(script.sent).to.deep.equal([3, 5, 64]);
    script.head += DEEP - 1n;
    await script.loop.round();
    expect(script.sent).to.deep.equal([3, 5, 64]);
    script.head += 1n;
    await script.loop.round();
    await script.loop.round();
    expect(script.sent).to.deep.equal([3, 5, 64, 1]);
  });

  it("are looked for in all blocks that the chain remembers, then only in new ones", async () => {
    const script = new Script();
    script.add(1, script.head - 7_999n);
    script.add(2, script.head - 8_000n);
    await script.loop.round();
    expect(script.sent, "the older one would be forgotten before it is mined").to.deep.equal([1]);
    expect(script.ranges[0]![0] <= script.head - 8_000n && script.ranges.at(-1)![1] === script.head).to.equal(true);
    const asked = script.ranges.length;
    script.head += 10n;
    await script.loop.round();
    expect(script.ranges.slice(asked)).to.deep.equal([[script.head - 10n + 1n - 32n, script.head]]);
  });

  it("are looked at again where a reorganisation moved them", async () => {
    const script = new Script();
    script.add(1, script.head - DEEP);
    await script.loop.round();
    script.transfers.splice(0);
    script.add(1, script.head - 1n);
    script.head += DEEP;
    await script.loop.round();
    expect(script.sent).to.deep.equal([1, 1]);
  });

  it("wait while the chain is away or another process leads, and are let go where the contract refuses", async () => {
    const script = new Script();
    script.add(1, script.head - DEEP);
    script.isLeading = false;
    await script.loop.round();
    expect(script.ranges).to.deep.equal([]);
    script.isLeading = true;
    script.failure = new TidelaneError("away", { code: "chain_unreachable", retryable: true });
    expect(await codeOf(script.loop.round())).to.equal("chain_unreachable");
    script.failure = new TidelaneError("AlreadyCredited(...)", { code: "call_reverted" });
    await script.loop.round();
    expect(script.warned).to.have.length(1);
    script.failure = null;
    await script.loop.round();
    expect(script.sent, "not tried again").to.deep.equal([]);
  });

  it("are asked for again where the server that answers is behind, until the chain forgets their blocks", async () => {
    const script = new Script();
    script.add(1, script.head - DEEP);
    script.isBehind = true;
    await script.loop.round();
    script.isBehind = false;
    await script.loop.round();
    expect(script.sent).to.deep.equal([1]);
    script.add(2, script.head - DEEP);
    script.isBehind = true;
    await script.loop.round();
    script.head += 8_000n;
    await script.loop.round();
    script.isBehind = false;
    await script.loop.round();
    expect(script.sent).to.deep.equal([1]);
  });

  it("of one transaction are each credited, whoever was quicker with others of them", async () => {
    const script = new Script();
    script.transfers.push({ transaction: hash(1), blockNumber: script.head - DEEP, amount: LEAST, count: 4 });
    script.taken.push(1, 201);
    await script.loop.round();
    await script.loop.round();
    expect([script.sent, script.warned.length]).to.deep.equal([[101, 301], 2]);
  });

  it("cost no proof where they are dust, however many there are, beside one that is not", async () => {
    const script = new Script();
    for (let i = 1; i < 1_500; i++) script.add(i, script.head - DEEP, LEAST - 1n);
    script.add(1_500, script.head - DEEP);
    await script.loop.round();
    expect([script.asked, script.sent]).to.deep.equal([1, [1_500]]);
  });

  it("beyond what can wait at once are taken up afterwards, none lost and none twice", async () => {
    const script = new Script();
    for (let i = 0; i < 1_500; i++) script.add(i, script.head - 2_000n + BigInt(i), LEAST, 16_385);
    for (let round = 0; round < 3; round++) await script.loop.round();
    expect([script.left, script.sent]).to.deep.equal([1_500, []]);
  });

  it("are paid for so many times an hour, the others in the next one", async () => {
    const script = new Script();
    for (let i = 0; i < 25; i++) script.add(i, script.head - DEEP);
    for (let round = 0; round < 3; round++) await script.loop.round();
    expect(script.sent).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
    script.nowMs += 3_600_000;
    await script.loop.round();
    expect(script.sent).to.deep.equal(Array.from({ length: 25 }, (_, i) => i));
  });

  it("are looked at until told to stop, whatever a round ends with", async () => {
    const script = new Script();
    const stop = new AbortController();
    let heads = 0;
    Object.defineProperty(script, "head", { get: () => { if (++heads > 2) stop.abort(); throw new TidelaneError("away", { code: "chain_unreachable", retryable: true }); } });
    await script.loop.run(stop.signal);
    expect(script.warned).to.have.length(3);
  });
});
