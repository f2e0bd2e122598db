// A deployment on a real anvil: wired as foretold, found again, resumed after a kill, started anew where the chain was reset.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { createPublicClient, http, type PublicClient } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { isDeployed } from "../../deploy/deploy.ts";
import { deployLocal, readParameters } from "../../deploy/deployLocal.ts";
import { signingProvider } from "../../deploy/provider.ts";
import { BatchSettlementAbi } from "../../protocol/generated/abi/BatchSettlement.ts";
import { BondVaultAbi } from "../../protocol/generated/abi/BondVault.ts";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Address, Hex } from "../../protocol/units.ts";

// The well-known first account of every local test chain: public, never for real money.
const deployerKey: Hex = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const deployer = privateKeyToAddress(deployerKey);
/** Two tokens and fifteen contracts, one transaction each. */
const TRANSACTIONS = 17;

describe("deployLocal", function () {
  this.timeout(90_000);
  const started: ChildProcess[] = [];
  const folders: string[] = [];

  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  it("wires contracts to each other, and finds them again", async () => {
    const { url, client } = await chain();
    const options = { rpcUrl: url, deployerKey, parameters: readParameters("local"), deploymentDir: folder() };
    const addresses = await deployLocal(options);
    await expectWired(client, addresses.contracts);
    expect(await client.readContract({ address: addresses.contracts["Escrow"]!, abi: EscrowAbi, functionName: "payToken" }))
      .to.match(new RegExp(addresses.contracts["payToken"]!, "i"));
    expect(await client.readContract({ address: addresses.contracts["BondVault"]!, abi: BondVaultAbi, functionName: "windowSeconds" })).to.equal(20);

    expect(await deployLocal(options)).to.deep.equal(addresses);
    expect(await client.getTransactionCount({ address: deployer })).to.equal(TRANSACTIONS);

    const { FraudProofs: _later, ...earlier } = addresses.contracts;
    expect(await isDeployed(url, { ...addresses, contracts: earlier }), "an earlier version's addresses").to.equal(false);
  });

  it("starts anew where the chain was reset", async () => {
    const deploymentDir = folder();
    const first = await chain();
    await deployLocal({ rpcUrl: first.url, deployerKey, parameters: readParameters("local"), deploymentDir });
    const second = await chain();
    // Another nonce, so that the old addresses are wrong there.
    await send(second.url);
    const addresses = await deployLocal({ rpcUrl: second.url, deployerKey, parameters: readParameters("local"), deploymentDir });
    await expectWired(second.client, addresses.contracts);
  });

  it("resumes after a kill, sending nothing twice", async () => {
    const { url, client } = await chain(1);
    const deploymentDir = folder();
    await killedHalfWay(url, client, deploymentDir);
    const plan = readFileSync(join(deploymentDir, "plan.json"), "utf8");
    const addresses = await deployLocal({ rpcUrl: url, deployerKey, parameters: readParameters("local"), deploymentDir });
    await expectWired(client, addresses.contracts);
    expect(await client.getTransactionCount({ address: deployer })).to.equal(TRANSACTIONS);
    expect(readFileSync(join(deploymentDir, "plan.json"), "utf8")).to.equal(plan);
  });

  it("starts anew where the deployer sent something else in between", async () => {
    const { url, client } = await chain(1);
    const deploymentDir = folder();
    await killedHalfWay(url, client, deploymentDir);
    await send(url);
    const addresses = await deployLocal({ rpcUrl: url, deployerKey, parameters: readParameters("local"), deploymentDir });
    await expectWired(client, addresses.contracts);
  });

  it("refuses tokens that are not there, before it sends anything", async () => {
    const { url, client } = await chain();
    const absent: Address = `0x${"12".repeat(20)}`;
    const attempt = deployLocal({ rpcUrl: url, deployerKey, parameters: { ...readParameters("local"), tokens: { payToken: absent, stakeToken: absent } }, deploymentDir: folder() });
    expect(await attempt.catch((error: unknown) => error)).to.be.instanceOf(TidelaneError).with.property("code", "token_missing");
    expect(await client.getTransactionCount({ address: deployer })).to.equal(0);
  });

  it("builds on tokens that exist already", async () => {
    const { url, client } = await chain();
    const parameters = readParameters("local");
    const first = await deployLocal({ rpcUrl: url, deployerKey, parameters, deploymentDir: folder() });
    const tokens = { payToken: first.contracts["payToken"]!, stakeToken: first.contracts["stakeToken"]! };
    const second = await deployLocal({ rpcUrl: url, deployerKey, parameters: { ...parameters, tokens }, deploymentDir: folder() });
    await expectWired(client, second.contracts);
    expect(second.contracts).to.include(tokens);
    expect(second.contracts["Escrow"]).to.not.equal(first.contracts["Escrow"]);
    expect(second.block).to.be.above(first.block);
  });

  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), "tidelane-deploy-"));
    folders.push(path);
    return path;
  }

  /** @param blockSeconds blocks by the clock; without it one for each transaction. */
  async function chain(blockSeconds?: number): Promise<{ url: string; client: PublicClient }> {
    const port = await freePort();
    const anvil = spawn(anvilBinary(), ["--host", "127.0.0.1", "--port", String(port), "--silent", ...(blockSeconds ? ["--block-time", String(blockSeconds)] : [])], { stdio: "ignore" });
    started.push(anvil);
    const url = `http://127.0.0.1:${port}`;
    const client = createPublicClient({ transport: http(url, { retryCount: 0 }), pollingInterval: 100 });
    await until(async () => await client.getChainId().catch(() => 0) === 31_337);
    return { url, client };
  }

  /** Ends a deployment in another process as soon as the registries are on the chain. */
  async function killedHalfWay(url: string, client: PublicClient, deploymentDir: string): Promise<void> {
    const script = `import { deployLocal, readParameters } from ${JSON.stringify(join(import.meta.dirname, "../../deploy/deployLocal.ts"))};
      await deployLocal({ rpcUrl: ${JSON.stringify(url)}, deployerKey: "${deployerKey}", parameters: readParameters("local"), deploymentDir: ${JSON.stringify(deploymentDir)} });`;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", script], { stdio: ["ignore", "ignore", "inherit"] });
    started.push(child);
    await until(async () => await client.getTransactionCount({ address: deployer }) >= 4);
    const ended = new Promise((end) => child.once("close", end));
    child.kill("SIGKILL");
    await ended;
    expect(existsSync(join(deploymentDir, "addresses.json")), "killed too late").to.equal(false);
  }

  async function send(url: string): Promise<void> {
    const provider = signingProvider(url, deployerKey);
    const client = createPublicClient({ transport: http(url), pollingInterval: 100 });
    const nonce = await client.getTransactionCount({ address: deployer, blockTag: "pending" });
    const hash = await provider.request({ method: "eth_sendTransaction", params: [{ to: deployer, nonce: `0x${nonce.toString(16)}`, gas: "0x5208", maxFeePerGas: "0x77359400" }] }) as Hex;
    await client.waitForTransactionReceipt({ hash });
  }
});

async function expectWired(client: PublicClient, contracts: Readonly<Record<string, Address>>): Promise<void> {
  const read = async (address: Address | undefined, abi: unknown, functionName: string): Promise<unknown> =>
    String(await client.readContract({ address: address!, abi: abi as never, functionName: functionName as never })).toLowerCase();
  expect(await read(contracts["BatchSettlement"], BatchSettlementAbi, "escrow")).to.equal(contracts["Escrow"]);
  expect(await read(contracts["Escrow"], EscrowAbi, "batchSettlement")).to.equal(contracts["BatchSettlement"]);
  expect(await read(contracts["Escrow"], EscrowAbi, "saturationBoard")).to.equal(contracts["SaturationBoard"]);
  expect(await read(contracts["Escrow"], EscrowAbi, "bondVault")).to.equal(contracts["BondVault"]);
  expect(await read(contracts["SaturationBoard"], SaturationBoardAbi, "verifyingContract")).to.equal(contracts["BatchSettlement"]);
  expect(await read(contracts["BondVault"], BondVaultAbi, "nodeRegistry")).to.equal(contracts["NodeRegistry"]);
  expect(await read(contracts["InferenceGateway"], InferenceGatewayAbi, "escrow")).to.equal(contracts["Escrow"]);
  expect(await read(contracts["InferenceGateway"], InferenceGatewayAbi, "saturationBoard")).to.equal(contracts["SaturationBoard"]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error("waited 30 s in vain");
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((found, fail) => {
    const probe = createServer().once("error", fail).listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => found(port));
    });
  });
}

/** The binary itself, so that a kill reaches it. */
function anvilBinary(): string {
  const require = createRequire(import.meta.url);
  const scope = join(dirname(require.resolve("@foundry-rs/anvil/package.json")), "..");
  return join(scope, `anvil-${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`, "bin", "anvil");
}
