// What a deposit through a payer's box costs: the first one creates the box.
import { readFileSync } from "node:fs";
import { concatHex, encodeAbiParameters, type Hex } from "viem";
import { DepositBoxesAbi } from "../../protocol/generated/abi/DepositBoxes.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import type { World } from "./world.ts";

const AMOUNT = 1_234_567n;

export async function depositCosts({ chain, contracts, owner }: World): Promise<Record<string, number>> {
  const { bytecode } = JSON.parse(readFileSync(new URL("../../artifacts/contracts/deposits/DepositBoxes.sol/DepositBoxes.json", import.meta.url), "utf8")) as { bytecode: Hex };
  const boxes = await chain.create(owner, concatHex([bytecode, encodeAbiParameters([{ type: "address" }], [contracts["Escrow"]!])]));
  const collect = async (): Promise<number> => {
    await chain.call(owner, contracts["token"]!, TideTokenAbi, "mint", [await boxOf(), AMOUNT]);
    return chain.call(owner, boxes, DepositBoxesAbi, "collect", [owner]);
  };
  const boxOf = (): Promise<unknown> => chain.read(boxes, DepositBoxesAbi, "boxOf", [owner]);
  return { depositBox_first: await collect(), depositBox_later: await collect() };
}
