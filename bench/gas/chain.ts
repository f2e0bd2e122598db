// A chain in this process and calls to it that say what they cost.
import { network } from "hardhat";
import { decodeErrorResult, decodeFunctionResult, encodeFunctionData, hexToBigInt, hexToNumber, numberToHex, type Abi } from "viem";
import type { Address, Hash, Hex } from "../../protocol/units.ts";

interface Receipt {
  readonly status: Hex;
  readonly gasUsed: Hex;
  readonly contractAddress: Address | null;
  readonly logs: readonly { readonly address: Address; readonly topics: readonly Hex[]; readonly data: Hex }[];
}

export interface Call {
  readonly from: Address;
  readonly to?: Address;
  readonly data: Hex;
  readonly value?: Hex;
}

/** A time to come, the same in each run: as many bytes of each timestamp are zero. */
const START_SECONDS = 1_999_999_999;

export class GasChain {
  readonly accounts: readonly Address[];
  readonly chainId: number;
  /** JSON-RPC of the chain. */
  readonly request: (method: string, params?: readonly unknown[]) => Promise<unknown>;

  private constructor(accounts: readonly Address[], chainId: number, request: GasChain["request"]) {
    this.accounts = accounts;
    this.chainId = chainId;
    this.request = request;
  }

  static async start(): Promise<GasChain> {
    const { provider } = await network.create();
    const request = (method: string, params: readonly unknown[] = []): Promise<unknown> => provider.request({ method, params: [...params] });
    const accounts = (await request("eth_accounts") as Address[]).map((account) => account.toLowerCase() as Address);
    const chain = new GasChain(accounts, hexToNumber(await request("eth_chainId") as Hex), request);
    await chain.setTime(START_SECONDS);
    return chain;
  }

  /** @returns gas used. @throws with the custom error's name and arguments where it reverts. */
  async call(from: Address, to: Address, abi: unknown, functionName: string, args: readonly unknown[]): Promise<number> {
    const data = encodeFunctionData({ abi: abi as Abi, functionName, args });
    const { gasUsed } = await this.#send({ from, to, data }, abi as Abi);
    return hexToNumber(gasUsed);
  }

  async read(to: Address, abi: unknown, functionName: string, args: readonly unknown[]): Promise<unknown> {
    const data = await this.request("eth_call", [{ to, data: encodeFunctionData({ abi: abi as Abi, functionName, args }) }, "latest"]) as Hex;
    return decodeFunctionResult({ abi: abi as Abi, functionName, data });
  }

  /** Sends coin along. @returns gas used and what was logged. */
  async pay(from: Address, to: Address, data: Hex, wei: bigint): Promise<{ gas: number; logs: Receipt["logs"] }> {
    const { gasUsed, logs } = await this.#send({ from, to, data, value: numberToHex(wei) }, []);
    return { gas: hexToNumber(gasUsed), logs };
  }

  async create(from: Address, data: Hex): Promise<Address> {
    return (await this.#send({ from, data }, [])).contractAddress!;
  }

  async nonceOf(account: Address): Promise<bigint> {
    return hexToBigInt(await this.request("eth_getTransactionCount", [account, "latest"]) as Hex);
  }

  async time(): Promise<number> {
    return hexToNumber(((await this.request("eth_getBlockByNumber", ["latest", false])) as { timestamp: Hex }).timestamp);
  }

  /** The next block, and nothing else, stands at that time. */
  async setTime(seconds: number): Promise<void> {
    await this.request("evm_setNextBlockTimestamp", [numberToHex(seconds)]);
    await this.request("evm_mine");
  }

  async #send(call: Call, abi: Abi): Promise<Receipt> {
    let hash: Hash;
    try {
      hash = await this.request("eth_sendTransaction", [{ ...call, gas: numberToHex(16_000_000) }]) as Hash;
    } catch (cause) {
      throw new Error(reasonOf(cause, abi), { cause });
    }
    const receipt = await this.request("eth_getTransactionReceipt", [hash]) as Receipt;
    if (receipt.status !== "0x1") throw new Error(`transaction ${hash} reverted`);
    return receipt;
  }
}

function reasonOf(cause: unknown, abi: Abi): string {
  const data = (cause as { data?: Hex | { data?: Hex } }).data;
  const hex = typeof data === "string" ? data : data?.data;
  if (!hex || hex === "0x") return String(cause);
  try {
    const { errorName, args } = decodeErrorResult({ abi, data: hex });
    return `${errorName}(${(args ?? []).join(", ")})`;
  } catch {
    return `${String(cause)} ${hex}`;
  }
}
