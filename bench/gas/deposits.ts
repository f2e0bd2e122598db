// What a deposit through a payer's box costs (the first one creates the box), and one by a signed transfer to the Escrow itself:
// submitted through TransferProofs, or proven after somebody else submitted it.
import { readFileSync } from "node:fs";
import { concatHex, encodeAbiParameters, numberToHex, parseSignature, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { DepositBoxesAbi } from "../../protocol/generated/abi/DepositBoxes.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { TransferProofsAbi } from "../../protocol/generated/abi/TransferProofs.ts";
import { proofsOfTransfers, type RpcBlock } from "../../protocol/transferProof.ts";
import type { World } from "./world.ts";

const AMOUNT = 1_234_567n;
const VALID_BEFORE = 2n ** 40n;
/** The well-known second account of the test mnemonic: public, never for real money. */
const payer = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
const types = { TransferWithAuthorization: [
  { name: "from", type: "address" }, { name: "to", type: "address" }, { name: "value", type: "uint256" }, { name: "validAfter", type: "uint256" },
  { name: "validBefore", type: "uint256" }, { name: "nonce", type: "bytes32" },
] } as const;

export const depositCosts = async (world: World): Promise<Record<string, number>> => ({ ...await boxCosts(world), ...await transferCosts(world) });

/** Of a payer that deposits not for the first time. */
async function transferCosts({ chain, contracts, owner }: World): Promise<Record<string, number>> {
  const [payToken, escrow, transferProofs] = [contracts["token"]!, contracts["Escrow"]!, contracts["TransferProofs"]!];
  await chain.call(owner, payToken, TideTokenAbi, "mint", [payer.address, AMOUNT * 10n]);
  const signed = async (n: number): Promise<readonly unknown[]> => {
    const message = { from: payer.address, to: escrow, value: AMOUNT, validAfter: 0n, validBefore: VALID_BEFORE, nonce: numberToHex(n, { size: 32 }) };
    const domain = { name: "Test dollar", version: "1", chainId: chain.chainId, verifyingContract: payToken };
    const { r, s, yParity } = parseSignature(await payer.signTypedData({ domain, types, primaryType: "TransferWithAuthorization", message }));
    return [0n, VALID_BEFORE, message.nonce, 27 + yParity, r, s];
  };
  const submit = async (n: number): Promise<number> =>
    chain.call(owner, transferProofs, TransferProofsAbi, "depositWithTransferAuthorization", [payer.address, AMOUNT, ...await signed(n)]);
  await submit(1);
  const submitted = await submit(2);
  await chain.call(owner, payToken, TideTokenAbi, "transferWithAuthorization", [payer.address, escrow, AMOUNT, ...await signed(3)]);
  const { transactions: [transaction] } = await chain.request("eth_getBlockByNumber", ["latest", false]) as RpcBlock;
  const [proof] = await proofsOfTransfers(chain.request, transaction!, { payToken, escrow });
  const { header, proof: nodes, transactionIndex, logPosition } = proof!;
  const proven = await chain.call(owner, transferProofs, TransferProofsAbi, "creditTransfer", [header, nodes, BigInt(transactionIndex), BigInt(logPosition)]);
  return { transferAuthorization_submitted: submitted, transferAuthorization_proven: proven };
}

async function boxCosts({ chain, contracts, owner }: World): Promise<Record<string, number>> {
  const { bytecode } = JSON.parse(readFileSync(new URL("../../artifacts/contracts/deposits/DepositBoxes.sol/DepositBoxes.json", import.meta.url), "utf8")) as { bytecode: Hex };
  const boxes = await chain.create(owner, concatHex([bytecode, encodeAbiParameters([{ type: "address" }], [contracts["Escrow"]!])]));
  const collect = async (): Promise<number> => {
    await chain.call(owner, contracts["token"]!, TideTokenAbi, "mint", [await boxOf(), AMOUNT]);
    return chain.call(owner, boxes, DepositBoxesAbi, "collect", [owner]);
  };
  const boxOf = (): Promise<unknown> => chain.read(boxes, DepositBoxesAbi, "boxOf", [owner]);
  return { depositBox_first: await collect(), depositBox_later: await collect() };
}
