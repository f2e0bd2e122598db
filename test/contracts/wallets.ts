// Foreign wallets and off-chain trees against the contracts: what ethers signs is accepted, what TypeScript proves is settled.
import { expect } from "chai";
import { TypedDataEncoder, Wallet, type TypedDataField } from "ethers";
import fc from "fast-check";
import { network } from "hardhat";
import { keccak256 } from "viem";
import { feeOf } from "../../protocol/fees.ts";
import { itemsHash, leafHash, MerkleSumTree, type SumProof } from "../../protocol/merkleSum.ts";
import { structFields, type StructName, type Structs } from "../../protocol/generated/structs.ts";
import { hashStruct, typedDataOf, typeHash, type Domain } from "../../protocol/typedData.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { Assignment, BatchHeader, SpendingAuthorization, TaskReceipt, Voucher } from "../../protocol/generated/structs.ts";
import { structNames, structOf } from "../protocol/arbitraries.ts";

const SAMPLES = 25;
const W = 3_600;
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
/** Test keys, in this process only. */
const wallet = (n: number): Wallet => new Wallet(`0x${(0xabc000 + n).toString(16).padStart(64, "0")}`);
const payer = wallet(1);
const session = wallet(2);
const hot = wallet(3);
const relayerSigner = wallet(4);

/** ethers derives the domain's type by itself, and wants no other struct among the types. */
const ethersTypes = (name: StructName): Record<string, TypedDataField[]> =>
  Object.fromEntries(Object.entries(typedDataOf({ chainId: 1, verifyingContract: ZERO_HASH.slice(0, 42) as Address }, name, {} as never).types)
    .map(([struct, fields]) => [struct, fields.map((field) => ({ ...field }))]));

describe(`ethers and Solidity (FUZZ_SEED=${seed})`, () => {
  it("hash every struct alike", async () => {
    const { ethers } = await network.create();
    const window = await ethers.deployContract("StructHashes");
    for (const name of structNames) {
      const method = window.getFunction(name[0]!.toLowerCase() + name.slice(1));
      for (const value of fc.sample(structOf(name), { numRuns: SAMPLES, seed })) {
        const [ofType, ofStruct] = await method.staticCall(value) as [Hash, Hash];
        expect(ofType, `${name}'s type`).to.equal(typeHash(name));
        expect(ofStruct, name).to.equal(TypedDataEncoder.hashStruct(name, ethersTypes(name), value as unknown as Record<string, unknown>));
      }
    }
    expect(structNames).to.have.lengthOf(Object.keys(structFields).length).above(10);
  }).timeout(60_000);
});

describe("a batch signed by foreign wallets", () => {
  const tasks = Array.from({ length: 5 }, (_, i) => ({ input: 900 + i * 37, output: 400 + i * 101 }));

  it("settles, and each of its receipts is found under both roots", async () => {
    const world = await deployWorld();
    const { contracts, domain, sign } = world;
    const now = await world.time();
    const authorization: SpendingAuthorization = {
      payer: payer.address as Address, sessionKey: session.address as Address, relayerId: 1, lock: 50_000_000n, maxTotal: 50_000_000n, maxPerTask: 5_000_000n,
      maxPerDay: 0n, maxPriceInPerMTok: 10n ** 9n, maxPriceOutPerMTok: 10n ** 9n, maxFeeBps: 300, mode: 0, validAfter: now - 1, validUntil: now + 86_400, salt: 7n,
    };
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    await contracts.escrow.getFunction("openSession").send(authorization, await sign(payer, "SpendingAuthorization", authorization));

    const records = await Promise.all(tasks.map((task, i) => record(world, sessionId, task, i, now)));
    let cumulative = 0n;
    const settled = await Promise.all(records.map(async ({ assignment, assignmentSignature, body, fee, charge, voucher, voucherSignature }, i) => {
      cumulative += fee;
      const receipt: TaskReceipt = { body, nodeId: 1, relayerId: 1, keyEpoch: 1, nodeSeq: BigInt(i + 1), nodeCumulative: cumulative };
      const nodeSignature = await sign(hot, "TaskReceipt", receipt);
      const parts = { receiptHash: hashStruct("TaskReceipt", receipt), fee, charge, nodeSignature, voucherHash: hashStruct("Voucher", voucher), voucherSignature, assignmentSignature };
      return { receipt, nodeSignature, parts, hash: leafHash(parts), assignment, voucher, voucherSignature, charge, fee };
    }));
    const total = (pick: (one: typeof settled[number]) => bigint): bigint => settled.reduce((sum, one) => sum + pick(one), 0n);
    const [totalDebit, totalCredit] = [total((one) => one.charge), total((one) => one.fee)];
    // The session tree is ordered by task, the tab tree by sequence: two orders of the same leaves.
    const bySession = settled.toSorted((a, b) => (a.receipt.body.taskId < b.receipt.body.taskId ? -1 : 1));
    const sessionTree = new MerkleSumTree(bySession.map((one) => ({ hash: one.hash, sum: one.charge })));
    const tabTree = new MerkleSumTree(settled.map((one) => ({ hash: one.hash, sum: one.fee })));
    expect([sessionTree.root.sum, tabTree.root.sum]).to.deep.equal([totalDebit, totalCredit]);

    const last = settled.at(-1)!;
    const header: BatchHeader = {
      relayerId: 1, relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: sessionTree.root.hash, tabRoot: tabTree.root.hash,
      leafCount: settled.length, debitsHash: itemsHash([{ id: sessionId, change: totalDebit }]),
      creditsHash: itemsHash([{ id: `0x${"1".padStart(64, "0")}`, change: totalCredit }]),
      totalDebit, totalCredit, dataHash: keccak256("0x01"), periodStart: now - 9, periodEnd: now, postBy: now + W / 2,
    };
    const debit = { ...last.voucher, change: totalDebit, ...compact(last.voucherSignature) };
    const credit = {
      nodeId: 1, keyEpoch: 1, nodeSeq: last.receipt.nodeSeq, change: totalCredit, nodeCumulative: cumulative,
      bodyHash: hashStruct("ReceiptBody", last.receipt.body), ...compact(last.nodeSignature),
    };
    await contracts.settlement.getFunction("postBatch").send(header, await sign(relayerSigner, "BatchHeader", header), [debit], [credit]);

    const batch = await contracts.settlement.getFunction("batchOf").staticCall(1, 1) as { batchHash: Hash };
    expect(batch.batchHash).to.equal(hashStruct("BatchHeader", header));
    const isSettled = contracts.receipts.getFunction("isSettled");
    for (const [i, one] of settled.entries()) {
      const leaf = {
        ...one.parts, nodeSigHash: keccak256(one.parts.nodeSignature), voucherSigHash: keccak256(one.parts.voucherSignature),
        assignmentSigHash: keccak256(one.parts.assignmentSignature),
      };
      const proofs = [solidityProof(sessionTree.proof(bySession.indexOf(one))), solidityProof(tabTree.proof(i))];
      expect(await isSettled.staticCall(one.receipt, 1, leaf, ...proofs), `receipt ${i}`).to.equal(true);
      const tampered = { ...one.receipt, body: { ...one.receipt.body, outputTokens: one.receipt.body.outputTokens + 1 } };
      expect(await isSettled.staticCall(tampered, 1, leaf, ...proofs), "one token more").to.equal(false);
    }
    const account = await contracts.escrow.getFunction("relayerAccountOf").staticCall(1) as { fees: bigint };
    expect(account.fees).to.equal(totalDebit - totalCredit);
    expect(domain.verifyingContract).to.equal((await contracts.settlement.getAddress()).toLowerCase());
  }).timeout(30_000);

  async function record({ sign }: World, sessionId: Hash, task: { input: number; output: number }, i: number, now: number) {
    const taskId = keccak256(`0x${(i + 1).toString(16).padStart(2, "0")}`);
    const voucher: Voucher = { sessionId, cumulativeCap: 5_000_000n * BigInt(i + 1), taskId };
    const assignment: Assignment = {
      taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: 1, relayerEpoch: 1, nodeId: 1, keyEpoch: 1, role: 1, voucherHash: hashStruct("Voucher", voucher),
      attestationHash: ZERO_HASH, decisionHash: ZERO_HASH, contextHead: ZERO_HASH, priceInPerMTok: 400_000n, priceOutPerMTok: 1_200_000n, feeBps: 300,
      shareCap: 5_000_000n, inputCommit: ZERO_HASH, issuedAt: now - 5, deadline: now + 60,
    };
    const { fee, charge } = feeOf(task.input, task.output, assignment);
    const body = {
      assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: 0, attempt: 0, role: 1, prevReceiptHash: ZERO_HASH,
      outputCommit: ZERO_HASH, inputTokens: task.input, outputTokens: task.output, fee, startedAt: now - 4, finishedAt: now - 1, status: 1,
    };
    return {
      assignment, assignmentSignature: await sign(relayerSigner, "Assignment", assignment), body, fee, charge, voucher,
      voucherSignature: await sign(session, "Voucher", voucher),
    };
  }
});

type World = Awaited<ReturnType<typeof deployWorld>>;

/** One node and one bonded relayer of the first account, which is also the poster; the payer's deposit. */
async function deployWorld() {
  const { ethers } = await network.create();
  const [owner] = await ethers.getSigners();
  const token = await ethers.deployContract("TideToken", ["Test dollar", "tUSD"]);
  const next = await owner!.getNonce();
  const at = (offset: number): string => ethers.getCreateAddress({ from: owner!.address, nonce: next + offset });
  const nodes = await ethers.deployContract("NodeRegistry", [at(4)]);
  const relayers = await ethers.deployContract("RelayerRegistry", [at(4)]);
  const vault = await ethers.deployContract("BondVault", [token, token, nodes, relayers, ethers.ZeroAddress, W, 1n]);
  const escrow = await ethers.deployContract("Escrow", [{
    payToken: token, nodeRegistry: nodes, relayerRegistry: relayers, bondVault: vault, batchSettlement: at(4), saturationBoard: at(5),
    fraudProofs: ethers.ZeroAddress, inferenceGateway: ethers.ZeroAddress, transferProofs: ethers.ZeroAddress, guardian: ethers.ZeroAddress, windowSeconds: W, leverage: 5,
  }]);
  const settlement = await ethers.deployContract("BatchSettlement", [escrow]);
  await ethers.deployContract("SaturationBoard", [settlement, 300]);
  const receipts = await ethers.deployContract("TaskReceipts", [settlement]);

  const { chainId } = await ethers.provider.getNetwork();
  const domain: Domain = { chainId: Number(chainId), verifyingContract: (await settlement.getAddress()).toLowerCase() as Address };
  const sign = async <Name extends StructName>(by: Wallet, name: Name, value: Structs[Name]): Promise<Hex> =>
    await by.signTypedData({ name: "Tidelane", version: "1", ...domain }, ethersTypes(name), value as unknown as Record<string, unknown>) as Hex;
  const consent = async (registry: { getAddress(): Promise<string> }, key: Wallet): Promise<Hex> =>
    sign(key, "KeyConsent", { registry: await registry.getAddress() as Address, owner: owner!.address as Address, key: key.address as Address });

  await nodes.getFunction("register").send({ payout: owner!.address, hardwareClass: 1, agentId: 0 }, hot.address, [], await consent(nodes, hot));
  await relayers.getFunction("register").send(owner!.address, relayerSigner.address, 300, "https://relayer.example", await consent(relayers, relayerSigner));
  await token.getFunction("mint").send(owner!.address, 10n ** 12n);
  for (const spender of [vault, escrow]) await token.getFunction("approve").send(spender, 10n ** 12n);
  await vault.getFunction("bond").send(1, 1, 10n ** 9n);
  await escrow.getFunction("depositFor").send(payer.address, 100_000_000n);
  const time = async (): Promise<number> => (await ethers.provider.getBlock("latest"))!.timestamp;
  return { contracts: { escrow, settlement, receipts }, domain, sign, time };
}

const solidityProof = (proof: SumProof) =>
  ({ index: proof.index, hashes: proof.siblings.map((one) => one.hash), sums: proof.siblings.map((one) => one.sum) });

/** ERC-2098, as batches carry signatures. */
function compact(signature: Hex): { r: Hex; vs: Hex } {
  const s = BigInt(`0x${signature.slice(66, 130)}`) | (signature.endsWith("1c") ? 1n << 255n : 0n);
  return { r: `0x${signature.slice(2, 66)}`, vs: `0x${s.toString(16).padStart(64, "0")}` };
}
