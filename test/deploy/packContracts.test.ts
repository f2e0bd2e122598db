// The contracts' npm package as a stranger gets it: packed, installed from the tarball alone, compiled against.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";

interface Output {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts?: Record<string, Record<string, { readonly abi: readonly { readonly name?: string }[]; readonly evm: { readonly bytecode: { readonly object: string } } }>>;
}

const root = join(import.meta.dirname, "../..");
const solc = createRequire(import.meta.url)("solc") as { compile(input: string, callbacks: { import(path: string): object }): string };
const run = promisify(execFile);

/** A dApp and its own unit test's fixture, under either name of the package. */
const consumer = (name: string): string => `// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {InferenceConsumer} from "${name}/examples/InferenceConsumer.sol";
import {IInferenceRequests} from "${name}/interfaces/IInferenceRequests.sol";
import {IEscrow} from "${name}/interfaces/IEscrow.sol";
import {GatewayMock} from "${name}/mocks/GatewayMock.sol";

contract Harbour is InferenceConsumer {
    bytes public last;

    constructor(IInferenceRequests gateway_) InferenceConsumer(gateway_) {}

    function ask(bytes memory prompt) external returns (bytes32) {
        return _ask(prompt, Terms(keccak256("model"), 100, 1e6, 100_000, 1 hours, 1), 0);
    }

    function _answered(bytes32, bytes calldata output, bytes32, string memory) internal override {
        last = output;
    }
}

contract Fixture {
    function harbour(IERC20 token) external returns (Harbour) {
        return new Harbour(new GatewayMock(token));
    }

    function free(IEscrow escrow, address payer) external view returns (uint96) {
        return escrow.freeBalanceOf(payer);
    }
}
`;

describe("the contracts' npm package", function () {
  this.timeout(120_000);
  let folder: string;
  let installed: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-pack-"));
    const { stdout } = await run(process.execPath, [join(root, "scripts/packContracts.ts"), "--out", join(folder, "out")]);
    const { tarball } = JSON.parse(stdout) as { tarball: string };
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const openzeppelin = join(root, "node_modules/@openzeppelin/contracts");
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball, openzeppelin], { cwd: folder });
    installed = join(folder, "node_modules/tidelane-contracts");
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("compiles a dApp by npm's paths", () => {
    expectCompiles(compile(consumer("tidelane-contracts"), []));
  });

  it("compiles a dApp through the package's own remappings, as Foundry reads them, and through a submodule's", () => {
    const remappings = readFileSync(join(installed, "remappings.txt"), "utf8").trim().split("\n");
    expectCompiles(compile(consumer("tidelane-contracts"), remappings));
    expectCompiles(compile(consumer("tide"), [`tide/=${join(root, "contracts")}/`, remappings[1]!]));
  });

  it("brings ABIs and its licence, and nothing of the machine that packed it", async () => {
    expect(JSON.parse(readFileSync(join(installed, "abi/Escrow.json"), "utf8")).map((item: { name?: string }) => item.name)).to.include.members(EscrowAbi.map((item) => ("name" in item ? item.name : undefined)).filter((name) => name !== undefined));
    expect(existsSync(join(installed, "LICENSE"))).to.equal(true);
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { name: string; peerDependencies: object };
    expect(manifest.peerDependencies).to.have.all.keys("@openzeppelin/contracts");
    const { stdout } = await run("grep", ["-rlE", "/(home|work|tmp|Users)/", installed]).catch((error: { stdout: string }) => error);
    expect(stdout).to.equal("");
  });

  function compile(content: string, remappings: readonly string[]): Output {
    const settings = { evmVersion: "cancun", remappings, outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } } };
    const find = (path: string): object => {
      const found = [path, join(folder, path), join(folder, "node_modules", path)].find((one) => existsSync(one));
      return found ? { contents: readFileSync(found, "utf8") } : { error: `${path} is not there` };
    };
    return JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources: { "Harbour.sol": { content } }, settings }), { import: find })) as Output;
  }
});

function expectCompiles(output: Output): void {
  expect((output.errors ?? []).filter(({ severity }) => severity === "error").map(({ formattedMessage }) => formattedMessage)).to.deep.equal([]);
  const contracts = output.contracts!["Harbour.sol"]!;
  expect(contracts["Harbour"]!.abi.map(({ name }) => name)).to.include.members(["onInference", "pullAnswer", "ask"]);
  expect(contracts["Fixture"]!.evm.bytecode.object.length).to.be.above(1_000);
}
