// Transfers by authorization to the Escrow on a real chain: proofs made of a node's own answers are accepted by TransferProofs.
import { expect } from "chai";
import { Wallet, type BaseContract } from "ethers";
import { network } from "hardhat";
import { proofInList } from "../../protocol/receiptTrie.ts";
import { encodedReceipt, headerOf, proofsOfTransfers, type RpcBlock, type RpcReceipt, type RpcRequest, type TransferProof } from "../../protocol/transferProof.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address, Hash } from "../../protocol/units.ts";

const AMOUNT = 1_000n;
const VALID_BEFORE = 2n ** 40n;
/** Test keys, in this process only. */
const wallet = (n: number): Wallet => new Wallet(`0x${(0xdef000 + n).toString(16).padStart(64, "0")}`);
const [alice, bob] = [wallet(1), wallet(2)];
const fields = ["address from", "address to", "uint256 value", "uint256 validAfter", "uint256 validBefore", "bytes32 nonce"]
  .map((field) => ({ type: field.split(" ")[0]!, name: field.split(" ")[1]! }));

describe("transfers by authorization to the Escrow itself", function () {
  this.timeout(120_000);

  for (const count of [1, 2, 17, 130]) {
    it(`are proven in a block of ${count} transactions of several kinds`, async () => {
      const world = await deployWorld();
      const wanted = [0, 1, 15, 16, 127, 128, 129].filter((index) => index < count);
      const hashes = await world.inOneBlock(Array.from({ length: count }, (_, i) => (wanted.includes(i) ? world.transfer(alice, i) : world.nothing)));
      const { block, receipts } = await world.blockOf(hashes[0]!);
      expect(receipts.map(({ type }) => type)).to.deep.equal(Array.from({ length: count }, (_, i) => `0x${i % 3}`));
      const encoded = receipts.map(encodedReceipt);
      for (let i = 0; i < count; i += 13) expect(proofInList(encoded, i).root, `index ${i}`).to.equal(block.receiptsRoot);
      for (const index of wanted) {
        const [proof, ...more] = await world.proofs(hashes[index]!);
        expect(more).to.deep.equal([]);
        expect(proof).to.include({ payer: alice.address.toLowerCase(), amount: AMOUNT, transactionIndex: index, logPosition: 0 });
        await world.credit(proof!);
        await expectRevert(world.credit(proof!), "AlreadyCredited");
      }
      expect(await world.freeOf(alice)).to.equal(AMOUNT * BigInt(wanted.length));
    });
  }

  it("are credited to each signer where a stranger wraps several into one call, beside a deposit by the Escrow", async () => {
    const world = await deployWorld();
    const calls = [world.transfer(alice, 1), world.receive(bob, 2), world.transfer(bob, 3), world.transfer(bob, 4, alice.address)];
    const [hash] = await world.inOneBlock([await world.wrapped(calls)]);
    const proofs = await world.proofs(hash!);
    expect(proofs.map(({ payer, logPosition }) => [payer, logPosition])).to.deep.equal([[alice.address.toLowerCase(), 0], [bob.address.toLowerCase(), 6]]);
    for (const proof of proofs) await world.credit(proof);
    expect([await world.freeOf(alice), await world.freeOf(bob)]).to.deep.equal([AMOUNT, 2n * AMOUNT]);
    // The deposit has the token's events too: the proof of them is one, and refused.
    await expectRevert(world.credit({ ...proofs[0]!, logPosition: 2 }), "DepositedByEscrow");
    await expectRevert(world.credit({ ...proofs[0]!, logPosition: 8 }), "NotTransferToEscrow");
  });

  it("are proven as far back as the chain remembers, and not longer", async () => {
    const world = await deployWorld();
    const [first] = await world.inOneBlock([world.transfer(alice, 1)]);
    const [second] = await world.inOneBlock([world.transfer(alice, 2)]);
    const [proof, late] = [(await world.proofs(first!))[0]!, (await world.proofs(second!))[0]!];
    await world.request("hardhat_mine", ["0xc8"]);
    await world.credit(proof);
    await world.request("hardhat_mine", ["0x2100"]);
    await expectRevert(world.credit(late), "HeaderNotOfThisChain");
  });

  it("are not looked for where there are none, nor proven of answers that do not fit together", async () => {
    const world = await deployWorld();
    const [plain, good] = await world.inOneBlock([world.nothing, world.transfer(alice, 1)]);
    expect(await world.proofs(plain!)).to.deep.equal([]);
    const code = (work: Promise<unknown>): Promise<unknown> => work.then(() => null, (error: unknown) => (error instanceof TidelaneError ? error.code : error));
    expect(await code(world.proofs(`0x${"12".repeat(32)}`))).to.equal("transaction_unknown");
    const bent = (method: string, bend: (answer: Record<string, unknown>) => unknown): RpcRequest =>
      async (asked, params) => (asked === method ? bend({ ...await world.request(asked, params) as object }) : asked === "eth_getBlockReceipts" ? null : world.request(asked, params));
    for (const [request, expected] of [
      [bent("eth_getBlockByHash", (block) => ({ ...block, gasUsed: "0x1" })), "block_unproven"],
      [bent("eth_getBlockByHash", () => null), "block_unproven"],
      [bent("eth_getTransactionReceipt", (receipt) => ({ ...receipt, cumulativeGasUsed: "0x1" })), "block_unproven"],
      [bent("eth_getTransactionReceipt", (receipt) => ({ ...receipt, status: "0x0" })), "transaction_failed"],
      // A node that gives no block's receipts at once, and is honest.
      [bent("", (answer) => answer), null],
    ] as const) expect(await code(proofsOfTransfers(request, good!, world.place))).to.equal(expected);
  });
});

async function expectRevert(work: Promise<unknown>, name: string): Promise<void> {
  const message = await work.then(() => "credited", (error: unknown) => String(error));
  expect(message).to.include(name);
}

interface Call {
  readonly to: string;
  readonly data: Promise<string> | string;
}

async function deployWorld() {
  const { ethers, provider } = await network.create();
  const request: RpcRequest = (method, params) => provider.request({ method, params: [...params] });
  const [owner] = await ethers.getSigners();
  const token = await ethers.deployContract("TideToken", ["Test dollar", "tUSD"]);
  const batcher = await ethers.deployContract("CallBatcher");
  const zero = ethers.ZeroAddress;
  const transferProofs = ethers.getCreateAddress({ from: owner!.address, nonce: await owner!.getNonce() + 1 });
  const escrow = await ethers.deployContract("Escrow", [{
    payToken: token, nodeRegistry: zero, relayerRegistry: zero, bondVault: zero, batchSettlement: owner, saturationBoard: zero, fraudProofs: zero,
    inferenceGateway: zero, transferProofs, guardian: zero, windowSeconds: 60, leverage: 5,
  }]);
  const transfers = await ethers.deployContract("TransferProofs", [escrow]);
  for (const { address } of [alice, bob]) await token.getFunction("mint").send(address, 10n ** 9n);
  const addressOf = async (contract: BaseContract): Promise<Address> => (await contract.getAddress()).toLowerCase() as Address;
  const place = { payToken: await addressOf(token), escrow: await addressOf(escrow) };
  const { chainId } = await ethers.provider.getNetwork();

  const authorized = async (primary: "TransferWithAuthorization" | "ReceiveWithAuthorization", from: Wallet, n: number, to: string): Promise<readonly unknown[]> => {
    const nonce = `0x${n.toString(16).padStart(64, "0")}`;
    const value = { from: from.address, to, value: AMOUNT, validAfter: 0, validBefore: VALID_BEFORE, nonce };
    const { v, r, s } = ethers.Signature.from(await from.signTypedData({ name: "Test dollar", version: "1", chainId, verifyingContract: place.payToken }, { [primary]: fields }, value));
    return [0n, VALID_BEFORE, nonce, v, r, s];
  };
  const transfer = (from: Wallet, n: number, to: string = place.escrow): Call => ({
    to: place.payToken,
    data: authorized("TransferWithAuthorization", from, n, to).then((rest) => token.interface.encodeFunctionData("transferWithAuthorization", [from.address, to, AMOUNT, ...rest])),
  });
  const receive = (from: Wallet, n: number): Call => ({
    to: place.escrow,
    data: authorized("ReceiveWithAuthorization", from, n, place.escrow).then((rest) => escrow.interface.encodeFunctionData("depositWithAuthorization", [from.address, AMOUNT, ...rest])),
  });
  const wrapped = async (calls: readonly Call[]): Promise<Call> => ({
    to: await batcher.getAddress(),
    data: batcher.interface.encodeFunctionData("send", [calls.map(({ to }) => to), await Promise.all(calls.map(async ({ data }) => data))]),
  });

  /** Of the kinds 0, 1 and 2 in turn. */
  async function inOneBlock(calls: readonly Call[]): Promise<readonly Hash[]> {
    await request("evm_setAutomine", [false]);
    const hashes: Hash[] = [];
    for (const [i, { to, data }] of calls.entries()) {
      const kind = [{ gasPrice: "0x77359400" }, { gasPrice: "0x77359400", accessList: [] }, { maxFeePerGas: "0x77359400", maxPriorityFeePerGas: "0x77359400" }][i % 3];
      hashes.push(await request("eth_sendTransaction", [{ from: owner!.address, to, data: await data, gas: "0x61a80", ...kind }]) as Hash);
    }
    await request("evm_mine", []);
    await request("evm_setAutomine", [true]);
    return hashes;
  }
  async function blockOf(hash: Hash): Promise<{ block: RpcBlock; receipts: readonly RpcReceipt[] }> {
    const receipt = await request("eth_getTransactionReceipt", [hash]) as RpcReceipt;
    const block = await request("eth_getBlockByHash", [receipt.blockHash, false]) as RpcBlock;
    expect(headerOf(block)).to.match(/^0x/);
    return { block, receipts: await Promise.all(block.transactions.map(async (one) => await request("eth_getTransactionReceipt", [one]) as RpcReceipt)) };
  }
  return {
    request, place, transfer, receive, wrapped, inOneBlock, blockOf,
    nothing: { to: alice.address, data: "0x" } satisfies Call,
    proofs: (hash: Hash): Promise<readonly TransferProof[]> => proofsOfTransfers(request, hash, place),
    credit: ({ header, proof, transactionIndex, logPosition }: TransferProof): Promise<unknown> =>
      transfers.getFunction("creditTransfer").send(header, proof, transactionIndex, logPosition).then((sent) => sent.wait()),
    freeOf: async ({ address }: Wallet): Promise<bigint> => await escrow.getFunction("freeBalanceOf").staticCall(address) as bigint,
  };
}
