// A real chain for one test file: anvil with the deployed contracts, one relayer, two nodes and a payer with a deposit.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encodeFunctionData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { deployLocal, readParameters } from "../../deploy/deployLocal.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { NodeRegistryAbi } from "../../protocol/generated/abi/NodeRegistry.ts";
import { RelayerRegistryAbi } from "../../protocol/generated/abi/RelayerRegistry.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { signerOfKey, signStruct } from "../../protocol/signing.ts";
import type { Domain } from "../../protocol/typedData.ts";
import type { Address, Hex } from "../../protocol/units.ts";

/** The first accounts of every local test chain (mnemonic "test test ... junk"): public, never for real money. */
export const accounts = {
  deployer: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  poster: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
  relayerOwner: "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
  payer: "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
  nodeOwner: "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
} as const satisfies Record<string, Hex>;

const key = (byte: string): Hex => `0x${byte.repeat(32)}`;
export const keys = { signer: key("33"), session: key("44"), hot: [key("51"), key("52")] } as const;

export interface LocalChain {
  readonly url: string;
  readonly addresses: Readonly<Record<string, Address>>;
  readonly domain: Domain;
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>;
  /** Sends a call as one of the accounts and waits for its block. @throws where it reverts. */
  send(from: Hex, to: Address, data: Hex): Promise<void>;
  stop(): Promise<void>;
}

/** @param windowSeconds W of the deployment. */
export async function startLocalChain(windowSeconds = 60): Promise<LocalChain> {
  const dir = mkdtempSync(join(tmpdir(), "tidelane-chain-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const anvil = spawn(anvilBinary(), ["--host", "127.0.0.1", "--port", String(port), "--silent", "--order", "fifo"], { stdio: "ignore" });
  const exited = new Promise((done) => anvil.once("exit", done));
  const rpc = async (method: string, params: readonly unknown[] = []): Promise<unknown> => {
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    const answer = await response.json() as { result?: unknown; error?: { message: string } };
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  };
  for (let tries = 0; !await rpc("eth_chainId").then(() => true, () => false); tries++) {
    if (tries > 400) throw new Error("anvil did not answer");
    await new Promise((wake) => setTimeout(wake, 25));
  }
  // Started across the turn of a second, it stays a second behind for good, and what was acked "now" lies in its future.
  await rpc("evm_increaseTime", [1]);
  const send = async (from: Hex, to: Address, data: Hex): Promise<void> => {
    const account = privateKeyToAccount(from);
    const nonce = Number(await rpc("eth_getTransactionCount", [account.address, "pending"]));
    const raw = await account.signTransaction({ type: "eip1559", chainId: 31_337, to, data, nonce, gas: 3_000_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n });
    const hash = await rpc("eth_sendRawTransaction", [raw]);
    for (let tries = 0; tries < 400; tries++) {
      const receipt = await rpc("eth_getTransactionReceipt", [hash]) as { status: Hex } | null;
      if (receipt?.status === "0x1") return;
      if (receipt) throw new Error(`a call to ${to} reverted`);
      await new Promise((wake) => setTimeout(wake, 10));
    }
    throw new Error("a transaction was not mined");
  };
  const stop = async (): Promise<void> => {
    anvil.kill("SIGKILL");
    await exited;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const { contracts } = await deployLocal({ rpcUrl: url, deployerKey: accounts.deployer, parameters: { ...readParameters("local"), windowSeconds }, deploymentDir: join(dir, "deployment") });
    const chain: LocalChain = { url, addresses: contracts, domain: { chainId: 31_337, verifyingContract: contracts.BatchSettlement! }, rpc, send, stop };
    await populate(chain);
    return chain;
  } catch (error) {
    await stop();
    throw error;
  }
}

const Party = { NODE: 0, RELAYER: 1 } as const;
const addressOf = (privateKey: Hex): Address => privateKeyToAccount(privateKey).address.toLowerCase() as Address;

/** Relayer 1 with a bond of 1,000 tokens, nodes 1 and 2 with stake, a payer with 100 tokens deposited. */
async function populate({ addresses, domain, send }: LocalChain): Promise<void> {
  const at = (name: string): Address => addresses[name]!;
  const consent = (registry: string, owner: Hex, of: Hex): Promise<Hex> =>
    signStruct(signerOfKey(of), domain, "KeyConsent", { registry: at(registry), owner: addressOf(owner), key: addressOf(of) });
  const token = (abiCall: { functionName: "mint" | "approve"; args: readonly [Address, bigint] }): Hex => encodeFunctionData({ abi: TideTokenAbi, ...abiCall });
  const fund = async (owner: Hex, tokenName: string, spender: string, amount: bigint): Promise<void> => {
    await send(accounts.deployer, at(tokenName), token({ functionName: "mint", args: [addressOf(owner), amount] }));
    await send(owner, at(tokenName), token({ functionName: "approve", args: [at(spender), amount] }));
  };
  await send(accounts.relayerOwner, at("RelayerRegistry"), encodeFunctionData({
    abi: RelayerRegistryAbi, functionName: "register",
    args: [addressOf(accounts.poster), addressOf(keys.signer), 300, "http://127.0.0.1:8787", await consent("RelayerRegistry", accounts.relayerOwner, keys.signer)],
  }));
  await fund(accounts.relayerOwner, "payToken", "BondVault", 1_000_000_000n);
  await send(accounts.relayerOwner, at("BondVault"), encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [Party.RELAYER, 1, 1_000_000_000n] }));
  for (const [i, hot] of keys.hot.entries()) {
    await send(accounts.nodeOwner, at("NodeRegistry"), encodeFunctionData({
      abi: NodeRegistryAbi, functionName: "register",
      args: [{ payout: addressOf(accounts.nodeOwner), hardwareClass: 1, agentId: 0n }, addressOf(hot), [], await consent("NodeRegistry", accounts.nodeOwner, hot)],
    }));
    await fund(accounts.nodeOwner, "stakeToken", "BondVault", 400_000_000n);
    await send(accounts.nodeOwner, at("BondVault"), encodeFunctionData({ abi: BondVaultAbi, functionName: "bond", args: [Party.NODE, i + 1, 400_000_000n] }));
  }
  await fund(accounts.payer, "payToken", "Escrow", 100_000_000n);
  await send(accounts.payer, at("Escrow"), encodeFunctionData({ abi: EscrowAbi, functionName: "deposit", args: [100_000_000n] }));
}

function anvilBinary(): string {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
  const path = join(dirname(require.resolve("@foundry-rs/anvil/package.json")), "..", `anvil-${platform}`, "bin", "anvil");
  if (!existsSync(path)) throw new Error(`no anvil binary at ${path}`);
  return path;
}

function freePort(): Promise<number> {
  return new Promise((found, fail) => {
    const probe = createServer().once("error", fail).listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => found(port));
    });
  });
}
