// Solidity against its TypeScript twins: 10,000 random inputs each (100,000 in deep mode) for struct hashes, fees, leaves, trees, proofs and items.
import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { feeOf } from "../../protocol/fees.ts";
import { innerNode, itemsHash, leafHash, MerkleSumTree, walkProof, type SumProof } from "../../protocol/merkleSum.ts";
import { coveredByGateway } from "../../protocol/requests.ts";
import { Tier } from "../../protocol/constants.ts";
import { TIDE_ONE, tideDecayed, tidePricedDown, tideStep } from "../../protocol/tide.ts";
import { hashStruct, typeHash } from "../../protocol/typedData.ts";
import type { StructName } from "../../protocol/generated/structs.ts";
import { hash32, hexBytes, structNames, structOf, uint } from "../protocol/arbitraries.ts";

const isDeep = process.env["DEEP_TESTS"] === "1";
const SAMPLES = isDeep ? 100_000 : 10_000;
const PATIENCE_MS = isDeep ? 3_600_000 : 120_000;
const CALLS_PER_BATCH = 250;
/** Printed by mocha where a comparison fails, so that the same inputs can be drawn again. */
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

interface Harness {
  readonly address: string;
  readonly interface: { encodeFunctionData(name: string, args: readonly unknown[]): string; decodeFunctionResult(name: string, data: string): unknown[] };
}

const solidityProof = (proof: SumProof) => ({ index: proof.index, hashes: proof.siblings.map((one) => one.hash), sums: proof.siblings.map((one) => one.sum) });

describe(`Solidity and its TypeScript twins (FUZZ_SEED=${seed})`, () => {
  let math: Harness;
  let structs: Harness;
  let batch: (target: string, calls: readonly string[]) => Promise<string[]>;

  before(async () => {
    const { ethers } = await network.create();
    const deploy = async (name: string) => {
      const contract = await ethers.deployContract(name);
      return { address: await contract.getAddress(), interface: contract.interface as unknown as Harness["interface"], contract };
    };
    math = await deploy("MathHarness");
    structs = await deploy("StructHashes");
    const { contract: batcher } = await deploy("CallBatcher");
    batch = async (target, calls) => await batcher.getFunction("all").staticCall(target, calls) as string[];
  });

  /** Draws samples, asks Solidity for all of them, and compares each answer with the twin's. */
  async function compare<Input>(harness: Harness, name: string, inputs: fc.Arbitrary<Input>, samples: number, args: (input: Input) => readonly unknown[], twin: (input: Input) => unknown): Promise<void> {
    const drawn = fc.sample(inputs, { numRuns: samples, seed });
    for (let start = 0; start < drawn.length; start += CALLS_PER_BATCH) {
      const part = drawn.slice(start, start + CALLS_PER_BATCH);
      const answers = await batch(harness.address, part.map((input) => harness.interface.encodeFunctionData(name, args(input))));
      for (const [i, answer] of answers.entries()) {
        const said = [...harness.interface.decodeFunctionResult(name, answer)];
        expect(said, `${name}, sample ${start + i}`).to.deep.equal(twin(part[i]!));
      }
    }
  }

  for (const name of structNames) {
    it(`${name}: type hash and struct hash`, async () => {
      const method = name[0]!.toLowerCase() + name.slice(1);
      await compare(structs, method, structOf(name as StructName), Math.ceil(SAMPLES / structNames.length), (value) => [value],
        (value) => [typeHash(name), hashStruct(name, value as never)]);
    }).timeout(PATIENCE_MS);
  }

  it("fees", async () => {
    const inputs = fc.record({
      inTokens: uint(32), outTokens: uint(32), priceInPerMTok: uint(96), priceOutPerMTok: uint(96), feeBps: fc.integer({ min: 0, max: 1_000 }), shareCap: uint(96),
    });
    await compare(math, "fee", inputs, SAMPLES, (t) => [t.inTokens, t.outTokens, t.priceInPerMTok, t.priceOutPerMTok, t.feeBps, t.shareCap], (t) => {
      const { fee, charge } = feeOf(Number(t.inTokens), Number(t.outTokens), t);
      return [fee, charge];
    });
  }).timeout(PATIENCE_MS);

  it("leaves", async () => {
    const inputs = fc.record({ receiptHash: hash32, fee: uint(96), charge: uint(96), nodeSignature: hexBytes(65), voucherHash: hash32, voucherSignature: hexBytes(65), assignmentSignature: hexBytes(65) });
    const { keccak256 } = await import("viem/utils");
    await compare(math, "leafHash", inputs, SAMPLES, (leaf) => [{
      ...leaf, nodeSigHash: keccak256(leaf.nodeSignature), voucherSigHash: keccak256(leaf.voucherSignature), assignmentSigHash: keccak256(leaf.assignmentSignature),
    }], (leaf) => [leafHash(leaf)]);
  }).timeout(PATIENCE_MS);

  it("inner nodes", async () => {
    const inputs = fc.record({ left: fc.record({ hash: hash32, sum: uint(127) }), right: fc.record({ hash: hash32, sum: uint(127) }) });
    await compare(math, "nodeHash", inputs, SAMPLES, ({ left, right }) => [left.hash, left.sum, right.hash, right.sum], ({ left, right }) => [innerNode(left, right).hash]);
  }).timeout(PATIENCE_MS);

  const trees = fc.array(fc.record({ hash: hash32, sum: uint(96) }), { minLength: 1, maxLength: 17 });

  it("roots", async () => {
    await compare(math, "root", trees, SAMPLES, (leaves) => [leaves.map((leaf) => leaf.hash), leaves.map((leaf) => leaf.sum)], (leaves) => {
      const { root } = new MerkleSumTree(leaves);
      return [root.hash, root.sum];
    });
  }).timeout(PATIENCE_MS);

  it("proofs, true ones and bent ones", async () => {
    const inputs = fc.record({ leaves: trees, pick: fc.nat(), bend: fc.constantFrom("none", "sum", "index", "length", "count", "sibling") }).map(({ leaves, pick, bend }) => {
      const index = pick % leaves.length;
      const { siblings } = new MerkleSumTree(leaves).proof(index);
      const leaf = bend === "sum" ? { ...leaves[index]!, sum: leaves[index]!.sum + 1n } : leaves[index]!;
      const bent = bend === "length" ? siblings.slice(1) : bend === "sibling" ? siblings.map((one) => ({ ...one, sum: one.sum + 1n })) : siblings;
      return { leaf, proof: { index: bend === "index" ? index + 1 : index, siblings: bent }, leafCount: bend === "count" ? leaves.length * 2 + 1 : leaves.length };
    });
    const zero = `0x${"00".repeat(32)}`;
    await compare(math, "verifyProof", inputs, SAMPLES, ({ leaf, proof, leafCount }) => [leaf.hash, leaf.sum, solidityProof(proof), leafCount], ({ leaf, proof, leafCount }) => {
      const walked = walkProof(leaf, proof, leafCount);
      return walked ? [true, walked.root.hash, walked.root.sum, walked.leftSum] : [false, zero, 0n, 0n];
    });
  }).timeout(PATIENCE_MS);

  it("items", async () => {
    const inputs = fc.array(fc.record({ id: hash32, change: uint(96) }), { maxLength: 40 });
    await compare(math, "itemsHash", inputs, SAMPLES, (items) => [items.map((item) => item.id), items.map((item) => item.change)], (items) => [itemsHash(items)]);
  }).timeout(PATIENCE_MS);

  const multipliers = fc.integer({ min: 500_000, max: 2_000_000 });

  it("steps of the tide", async () => {
    const inputs = fc.record({ multiplier: multipliers, bps: fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.constantFrom(0, 6_999, 7_000, 7_001, 10_000, 12_345)) });
    await compare(math, "tideStep", inputs, SAMPLES, ({ multiplier, bps }) => [multiplier, bps], ({ multiplier, bps }) => [BigInt(tideStep(multiplier, bps))]);
  }).timeout(PATIENCE_MS);

  it("the tide's way back", async () => {
    const inputs = fc.record({ multiplier: multipliers, epochs: fc.integer({ min: 0, max: 140 }) });
    await compare(math, "tideDecayed", inputs, SAMPLES, ({ multiplier, epochs }) => [multiplier, epochs], ({ multiplier, epochs }) => [BigInt(tideDecayed(multiplier, epochs))]);
  }).timeout(PATIENCE_MS);

  it("prices under the tide", async () => {
    const inputs = fc.record({ base: uint(96), multiplier: multipliers });
    await compare(math, "tidePriced", inputs, SAMPLES, ({ base, multiplier }) => [base, multiplier], ({ base, multiplier }) => [tidePricedDown(base, multiplier)]);
  }).timeout(PATIENCE_MS);

  it("prices of each tier, for random pools seen over random epochs", async () => {
    const inputs = fc.record({
      base: uint(96), tier: fc.constantFrom(Tier.DEFAULT, Tier.PRIORITY, Tier.FLEX),
      history: fc.array(fc.record({ bps: fc.integer({ min: 0, max: 10_000 }), silentEpochs: fc.integer({ min: 0, max: 6 }) }), { maxLength: 24 }),
    }).map(({ history, ...rest }) => ({
      ...rest, multiplier: history.reduce((multiplier, { bps, silentEpochs }) => tideDecayed(tideStep(multiplier, bps), silentEpochs), TIDE_ONE),
    }));
    await compare(math, "tierPriced", inputs, SAMPLES, ({ base, multiplier, tier }) => [base, multiplier, tier], ({ base, multiplier, tier }) => [tidePricedDown(base, multiplier, tier)]);
  }).timeout(PATIENCE_MS);

  it("requests as sessions and orders", async () => {
    const inputs = fc.record({
      requester: hexBytes(20), relayerId: uint(32).map(Number), modelId: hash32, promptHash: hash32, maxOutTokens: uint(32).map(Number), maxFee: uint(96),
      callbackGas: uint(32).map(Number), gasPayment: uint(96), requestedAt: uint(48).map(Number), deadline: uint(48).map(Number), serial: uint(64),
      gateway: hexBytes(20),
    });
    await compare(math, "requestTask", inputs, SAMPLES, ({ gateway, ...request }) => [request, gateway], ({ gateway, ...request }) => {
      const { authorization, order } = coveredByGateway(request, gateway);
      return [hashStruct("SpendingAuthorization", authorization), hashStruct("TaskOrder", order)];
    });
  }).timeout(PATIENCE_MS);
});
