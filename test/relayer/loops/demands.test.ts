// Demands for data on a real chain: each is answered with its record in time, whoever asks and however many; what is lost is said.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { decodeFunctionResult, encodeFunctionData, parseAbi, type Hex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { Mode } from "../../../protocol/constants.ts";
import { FraudProofsAbi } from "../../../protocol/generated/abi/FraudProofs.ts";
import { TideTokenAbi } from "../../../protocol/generated/abi/TideToken.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { createDemandReader } from "../../../relayer/adapters/demandReader.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { DiskRecords } from "../../../relayer/adapters/records.ts";
import { Demands, type DemandsOptions } from "../../../relayer/loops/demands.ts";
import { Settlement } from "../../../relayer/loops/settle.ts";
import { Watch } from "../../../relayer/loops/watch.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { HonestWork } from "./honestWork.ts";
import { bent, clock, codeOf, crypto, metrics, never } from "./settleRig.ts";
import type { Log } from "../../../relayer/ports/world.ts";

const identity = { relayerId: 1, epoch: 1, feeBps: 300, signer: signerOfKey(keys.signer) };
const W = 60;
const LEAVES = 5;

describe("demands for data", function () {
  this.timeout(120_000);
  let local: LocalChain;
  let chain: ViemChain;
  let journal: MemoryJournal;
  let snapshot: unknown;
  const dir = mkdtempSync(join(tmpdir(), "tidelane-demands-"));
  const errors: string[] = [];
  const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: (_fields, message) => void errors.push(message) };

  before(async () => {
    local = await startLocalChain(W);
    chain = await connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster });
    journal = new MemoryJournal();
    const sessions = { isEnding: () => true, refreshNow: async () => {}, refreshInTurn: async () => {} };
    await new Watch({ chain, journal, clock, identity, log, metrics, sessions }).begin();
    const work = new HonestWork(local, journal);
    const [vouched, allowed] = [await work.session(chain, Mode.VOUCHER), await work.session(chain, Mode.ALLOWANCE)];
    for (let i = 0; i < LEAVES; i++) await work.task(i % 2 === 0 ? vouched : allowed, i % 2 === 0 ? 1 : 2, 40 + i);
    const settlement = new Settlement({ chain, journal, records: new DiskRecords(dir), crypto, clock, identity, log, metrics, sessions, entryCost: 1n });
    await settlement.round(never);
    const stop = new AbortController();
    stop.abort();
    await settlement.run(stop.signal);
    const token = await read(PAY_TOKEN, "payToken", []) as Hex;
    await local.send(accounts.deployer, token, encodeFunctionData({ abi: TideTokenAbi, functionName: "mint", args: [privateKeyToAddress(accounts.payer), 10n ** 12n] }));
    await local.send(accounts.payer, token, encodeFunctionData({ abi: TideTokenAbi, functionName: "approve", args: [local.addresses.FraudProofs!, 10n ** 12n] }));
  });
  after(async () => {
    await local?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    snapshot = await local.rpc("evm_snapshot");
    errors.length = 0;
  });
  afterEach(() => local.rpc("evm_revert", [snapshot]));

  const PAY_TOKEN = parseAbi(["function payToken() view returns (address)"]);
  async function read(abi: typeof PAY_TOKEN | typeof FraudProofsAbi, functionName: string, args: readonly unknown[]): Promise<unknown> {
    const data = encodeFunctionData({ abi, functionName, args } as Parameters<typeof encodeFunctionData>[0]);
    const answer = await local.rpc("eth_call", [{ to: local.addresses.FraudProofs, data }, "latest"]) as Hex;
    return decodeFunctionResult({ abi, functionName, data: answer } as Parameters<typeof decodeFunctionResult>[0]);
  }
  const send = (functionName: "challengeData" | "condemn", index: number): Promise<void> =>
    local.send(accounts.payer, local.addresses.FraudProofs!, encodeFunctionData({ abi: FraudProofsAbi, functionName, args: [1, 1n, index] }));
  const isAnswered = async (index: number): Promise<boolean> => (await read(FraudProofsAbi, "challengeOf", [1, 1n, index]) as { isSettled: boolean }).isSettled;
  const pass = async (seconds: number): Promise<void> => {
    await local.rpc("evm_increaseTime", [seconds]);
    await local.rpc("evm_mine");
  };
  const demands = (bends: Partial<DemandsOptions> = {}): Demands => new Demands({
    clock, log, metrics, crypto, identity, journal, records: new DiskRecords(dir), chain, isLeading: () => true, address: local.addresses.FraudProofs!,
    reader: createDemandReader([local.url], local.addresses.FraudProofs!), ...bends,
  });

  it("are answered with their records, with and without a voucher, and nobody can condemn the batch", async () => {
    for (let index = 0; index < LEAVES; index++) await send("challengeData", index);
    await demands().round();
    for (let index = 0; index < LEAVES; index++) expect(await isAnswered(index), `leaf ${index}`).to.equal(true);
    await pass(W + 1);
    expect(await codeOf(send("condemn", 0))).to.match(/reverted/);
    expect(errors).to.deep.equal([]);
  });

  it("are answered once, also by a process that comes after the one that answered", async () => {
    await send("challengeData", 2);
    let sent = 0;
    const counting = bent(chain, { submit: (call) => { sent += 1; return chain.submit(call); } });
    const loop = demands({ chain: counting });
    for (let i = 0; i < 3; i++) await loop.round();
    await demands({ chain: counting }).round();
    expect([sent, await isAnswered(2)]).to.deep.equal([1, true]);
  });

  it("are answered also behind one that cannot be now", async () => {
    for (const index of [0, 1, 2]) await send("challengeData", index);
    let sent = 0;
    const stumbling = bent(chain, {
      submit: async (call) => {
        if (++sent === 1) throw new TidelaneError("Not now.", { code: "transaction_pending", retryable: true });
        return chain.submit(call);
      },
    });
    const loop = demands({ chain: stumbling });
    expect(await codeOf(loop.round())).to.equal("transaction_pending");
    expect(await Promise.all([0, 1, 2].map(isAnswered))).to.deep.equal([false, true, true]);
    await loop.round();
    expect(await isAnswered(0)).to.equal(true);
  });

  it("are left to the process that leads", async () => {
    await send("challengeData", 1);
    await demands({ isLeading: () => false }).round();
    expect(await isAnswered(1)).to.equal(false);
  });

  it("are tried again after what went wrong, and the block is kept to read on from", async () => {
    await send("challengeData", 0);
    const loop = demands({ chain: bent(chain, { submit: () => Promise.reject(new Error("no chain")) }) });
    expect(await codeOf(loop.round())).to.match(/no chain/);
    await demands().round();
    expect(await isAnswered(0)).to.equal(true);
    const kept = Number(await journal.getFact("demands_block"));
    expect(kept).to.be.above(0);
  });

  it("whose data is lost are told as errors while their time lasts, and once more when it is over", async () => {
    await send("challengeData", 3);
    const loop = demands({ records: { get: async () => null } });
    await loop.round();
    expect(errors).to.deep.equal(["a demand for data could not be answered; it is tried again while its time lasts"]);
    await pass(W + 1);
    for (let i = 0; i < 3; i++) await loop.round();
    expect(errors.slice(1)).to.deep.equal(["a demand for data was not answered in time: the batch can be condemned"]);
    await send("condemn", 3);
  });
});
