// What explorers are given compiles to what is deployed: by the compiler alone, without Hardhat.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { compile } from "../../deploy/artifacts.ts";
import { CONTRACT_NAMES } from "../../deploy/plan.ts";
import { verifyInputOf, type StandardJson } from "../../deploy/verifyInput.ts";
import type { Hex } from "../../protocol/units.ts";
import { ran } from "../cli/command.ts";
import { startLocalChain, type LocalChain } from "../relayer/localChain.ts";

interface Solc {
  compile(input: string): string;
  version(): string;
}

interface Output {
  readonly contracts?: Record<string, Record<string, { readonly evm: { readonly deployedBytecode: Deployed } }>>;
}

interface Deployed {
  readonly object: string;
  readonly immutableReferences: Record<string, readonly { readonly start: number; readonly length: number }[]>;
}

const solc = createRequire(import.meta.url)("solc") as Solc;
const isDeep = process.env.DEEP_TESTS === "1";
/** The largest of them, and one that nothing else imports. */
const checked = isDeep ? CONTRACT_NAMES : ["Escrow", "DepositBoxes"];

describe("input for block explorers", function () {
  this.timeout(isDeep ? 600_000 : 60_000);
  let chain: LocalChain;
  let folder: string;
  before(async () => {
    await compile();
    chain = await startLocalChain();
    folder = mkdtempSync(join(tmpdir(), "tidelane-verify-"));
  });
  after(async () => {
    await chain?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  it("is written for each contract, whole, the same each time, and names no machine", async () => {
    const { exitCode, json } = await ran(["deploy", "verify-input", "--out", folder, "--json"]);
    expect(exitCode).to.equal(0);
    const { contracts, compiler } = json() as { contracts: { contract: string; file: string; qualifiedName: string }[]; compiler: string };
    expect(contracts.map(({ contract }) => contract)).to.deep.equal([...CONTRACT_NAMES, "DepositBox"]);
    expect(solc.version()).to.include(compiler);
    for (const { contract, file, qualifiedName } of contracts) {
      expect(existsSync(file), file).to.equal(true);
      const text = readFileSync(file, "utf8");
      expect(JSON.parse(text)).to.deep.equal((await verifyInputOf(contract)).input);
      const input = JSON.parse(text) as StandardJson;
      expect(input.sources, contract).to.have.property(qualifiedName.split(":")[0]!);
      for (const path of Object.keys(input.sources)) expect(path).to.match(/^(project\/contracts|npm\/@openzeppelin\/contracts@[\d.]+)\/[\w./-]+\.sol$/);
      expect(Object.keys(input.sources).filter((path) => /\/(mocks|test)\//.test(path)), contract).to.deep.equal([]);
    }
  });

  for (const contract of checked) {
    it(`${contract}: compiles to what is deployed`, async () => {
      const { input, qualifiedName } = await verifyInputOf(contract);
      const deployed = await chain.rpc("eth_getCode", [chain.addresses[contract], "latest"]) as Hex;
      const own = compiled(input, qualifiedName);
      expect(blank(deployed, own)).to.equal(blank(`0x${own.object}`, own));
    });
  }

  it("compiles to something else where a source differs by one word", async () => {
    const { input, qualifiedName } = await verifyInputOf("DepositBox");
    const [path] = qualifiedName.split(":") as [string];
    const bent = { ...input, sources: { ...input.sources, [path]: { content: input.sources[path]!.content.replace("msg.sender != boxes", "msg.sender == boxes") } } };
    expect(compiled(bent, qualifiedName).object).to.not.equal(compiled(input, qualifiedName).object);
  });
});

function compiled(input: StandardJson, qualifiedName: string): Deployed {
  const [path, name] = qualifiedName.split(":") as [string, string];
  // Of one contract only, which saves the work on all that it imports.
  const outputSelection = { [path]: { [name]: ["evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] } };
  const output = JSON.parse(solc.compile(JSON.stringify({ ...input, settings: { ...input.settings, outputSelection } }))) as Output;
  return output.contracts![path]![name]!.evm.deployedBytecode;
}

/** Code with its immutables zeroed. */
function blank(code: Hex, { immutableReferences }: Deployed): string {
  const bytes = Buffer.from(code.slice(2), "hex");
  for (const { start, length } of Object.values(immutableReferences).flat()) bytes.fill(0, start, start + length);
  return bytes.toString("hex");
}
