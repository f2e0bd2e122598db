// A deployment against its parameters: nothing differs as it was deployed, and whatever is bent is named, and nothing else.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { differences, type Difference } from "../../deploy/check.ts";
import { readParameters } from "../../deploy/deployLocal.ts";
import { CONTRACT_NAMES, type Addresses, type Parameters } from "../../deploy/plan.ts";
import type { Address, Hex } from "../../protocol/units.ts";
import { ran } from "../cli/command.ts";
import { startLocalChain, type LocalChain } from "../relayer/localChain.ts";

const W = 20;
const nobody: Address = `0x${"99".repeat(20)}`;
const named = (found: readonly Difference[]): string[] => found.map(({ contract, what }) => `${contract}.${what}`).toSorted();

describe("a deployment against its parameter file", function () {
  this.timeout(120_000);
  const parameters = readParameters("local");
  let chain: LocalChain;
  let addresses: Addresses;
  let folder: string;
  before(async () => {
    chain = await startLocalChain(W);
    addresses = { chainId: 31_337, block: 0, contracts: chain.addresses };
    folder = mkdtempSync(join(tmpdir(), "tidelane-check-"));
  });
  after(async () => {
    await chain?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });
  const check = (bent: Partial<Parameters> = {}, at: Addresses = addresses): Promise<readonly Difference[]> =>
    differences({ rpcUrl: chain.url, parameters: { ...parameters, ...bent }, addresses: at });
  const codeOf = async (contract: string): Promise<Hex> => await chain.rpc("eth_getCode", [chain.addresses[contract], "latest"]) as Hex;

  /** Puts other code there while the check runs. */
  async function withCode(contract: string, bend: (code: Hex) => Hex): Promise<readonly Difference[]> {
    const honest = await codeOf(contract);
    await chain.rpc("anvil_setCode", [chain.addresses[contract], bend(honest)]);
    try {
      return await check();
    } finally {
      await chain.rpc("anvil_setCode", [chain.addresses[contract], honest]);
    }
  }

  it("differs in nothing as it was deployed", async () => {
    expect(await check()).to.deep.equal([]);
  });

  const windows = ["BatchSettlement", "BondVault", "Escrow", "FraudProofs", "InferenceGateway", "LeafJudge", "NodeJudge", "RelayerJudge", "SaturationBoard", "TreeJudge"];
  for (const [bent, where] of [
    [{ windowSeconds: 21 }, windows.map((name) => `${name}.windowSeconds`)],
    [{ epochSeconds: 16 }, ["SaturationBoard.epochSeconds"]],
    [{ leverage: 4 }, ["Escrow.leverage"]],
    [{ stakePerSlot: 1n }, ["BondVault.stakePerSlot"]],
    [{ challengeBond: 1n }, ["FraudProofs.challengeBond"]],
    [{ minimumPenalty: 1n }, ["InferenceGateway.minimumPenalty", "LeafJudge.minimumPenalty"]],
    [{ guardian: nobody }, ["Escrow.guardian"]],
    [{ tokens: { payToken: nobody, stakeToken: nobody } }, ["payToken.address", "stakeToken.address"]],
  ] as const) {
    it(`names ${Object.keys(bent)[0]!} wherever it differs`, async () => {
      const found = await check(bent);
      expect(named(found).filter((one) => where.includes(one as never))).to.deep.equal([...where]);
      expect(named(found)).to.have.length(where.length);
    });
  }

  it("says what was expected and what is there", async () => {
    expect(await check({ guardian: nobody })).to.deep.equal([{ contract: "Escrow", what: "guardian", expected: nobody, found: parameters.guardian }]);
    expect(await check({ leverage: 4 })).to.deep.equal([{ contract: "Escrow", what: "leverage", expected: "4", found: "5" }]);
  });

  for (const contract of CONTRACT_NAMES) {
    it(`names ${contract} where one byte of its code differs, or all of it is gone`, async () => {
      // The free memory pointer's initial value, at the start of every contract.
      const found = await withCode(contract, (code) => code.replace(/^0x60(80|a0)/, "0x6081") as Hex);
      expect(named(found)).to.include(`${contract}.code`).and.to.have.length(1);
      expect(named(await withCode(contract, () => "0x"))).to.deep.equal([`${contract}.code`]);
    });
  }

  for (const [contract, immutable, wired] of [
    ["BondVault", "fraudProofs", "FraudProofs"], ["Escrow", "bondVault", "BondVault"], ["BatchSettlement", "escrow", "Escrow"], ["Escrow", "saturationBoard", "SaturationBoard"],
    ["FraudProofs", "leafJudge", "LeafJudge"], ["InferenceGateway", "nodeRegistry", "NodeRegistry"], ["TaskReceipts", "batchSettlement", "BatchSettlement"], ["DepositBoxes", "escrow", "Escrow"],
    ["Escrow", "transferProofs", "TransferProofs"], ["TransferProofs", "escrow", "Escrow"],
  ] as const) {
    it(`names ${contract}.${immutable} where another contract is wired in, in one place or in all`, async () => {
      // A PUSH32 of the immutable's word.
      const padded = `7f${chain.addresses[wired]!.slice(2).padStart(64, "0")}`;
      const other = padded.replace(chain.addresses[wired]!.slice(2), nobody.slice(2));
      const first = await withCode(contract, (code) => code.replace(padded, other) as Hex);
      const all = await withCode(contract, (code) => code.replaceAll(padded, other) as Hex);
      for (const found of [first, all]) expect(found).to.deep.include({ contract, what: immutable, expected: chain.addresses[wired], found: nobody });
    });
  }

  it("names contracts under each other's addresses, missing ones, and another chain", async () => {
    const { NodeRegistry, RelayerRegistry, ...rest } = chain.addresses;
    const swapped = { ...addresses, contracts: { ...rest, NodeRegistry: RelayerRegistry!, RelayerRegistry: NodeRegistry! } };
    expect(named(await check({}, swapped))).to.include.members(["NodeRegistry.code", "RelayerRegistry.code", "Escrow.nodeRegistry", "Escrow.relayerRegistry"]);
    const { TaskReceipts: _gone, ...fewer } = chain.addresses;
    expect(await check({}, { ...addresses, contracts: fewer })).to.deep.equal([{ contract: "TaskReceipts", what: "address", expected: "an address", found: "not named in the addresses file" }]);
    expect(named(await check({}, { ...addresses, chainId: 1 }))).to.deep.equal(["-.chain"]);
  });

  it("names books that no tokens cover", async () => {
    const honest = await codeOf("payToken");
    // A token that answers every question with zero.
    await chain.rpc("anvil_setCode", [chain.addresses["payToken"], "0x5f5f5260205ff3"]);
    const found = await check({ tokens: { payToken: chain.addresses["payToken"]!, stakeToken: chain.addresses["stakeToken"]! } });
    await chain.rpc("anvil_setCode", [chain.addresses["payToken"], honest]);
    expect(named(found)).to.deep.equal(["Escrow.trackedBalance"]);
  });

  it("is a command with exit codes", async () => {
    const file = join(folder, "addresses.json");
    const own = join(folder, "own.json");
    writeFileSync(file, JSON.stringify(addresses));
    writeFileSync(own, JSON.stringify({ ...parameters, stakePerSlot: "7", challengeBond: "2000000", minimumPenalty: "50000000" }));
    const flags = ["deploy", "check", "--rpc", chain.url, "--addresses", file, "--json", "--parameters"];
    const good = await ran([...flags, "local"]);
    expect([good.exitCode, good.json()]).to.deep.equal([0, { ok: true, chainId: 31_337, parameters: "local", differences: [] }]);
    const bad = await ran([...flags, own]);
    expect([bad.exitCode, bad.json()["differences"]]).to.deep.equal([1, [{ contract: "BondVault", what: "stakePerSlot", expected: "7", found: "100000000" }]]);
  });
});
