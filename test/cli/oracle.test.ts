// `tidelane oracle`: what it says where something is wrong. The way from deployment to answer is walked in e2e/contracts.ts.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ran, type Ran } from "./command.ts";

describe("tidelane oracle", function () {
  this.timeout(30_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-oracle-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: { InferenceGateway: `0x${"11".repeat(20)}`, payToken: `0x${"22".repeat(20)}`, Escrow: `0x${"44".repeat(20)}` } }));
  });
  after(() => rmSync(folder, { recursive: true }));

  const command = (...args: string[]): Promise<Ran> =>
    ran(["oracle", ...args, "--rpc", "http://127.0.0.1:1", "--deployment", join(folder, "deployment.json"), "--relayer", "http://127.0.0.1:1", "--json"], { TIDELANE_OWNER_KEY: "11".repeat(32) });
  const codeOf = ({ json }: Ran): unknown => (json().error as { code: string }).code;

  it("tells what is no address, no request's id and no number, before it asks anybody", async () => {
    const [address, request, nobody] = await Promise.all([command("ask", "0x12", "why?"), command("pull", "0x12"), ran(["oracle", "answers", `0x${"33".repeat(20)}`, "--json"], {}, folder)]);
    expect([codeOf(address), codeOf(request)]).to.deep.equal(["invalid_address", "invalid_request_id"]);
    expect([address.exitCode, request.exitCode]).to.deep.equal([1, 1]);
    expect(codeOf(nobody)).to.be.oneOf(["no_deployment", "no_owner_key"]);
  });

  it("says that trying again may help where chain or relayer are away", async () => {
    const [deploy, answers] = await Promise.all([command("deploy", "--model", "stories15M"), command("answers", `0x${"33".repeat(20)}`)]);
    expect([deploy.exitCode, answers.exitCode]).to.deep.equal([2, 2]);
    expect(codeOf(deploy)).to.be.oneOf(["relayer_unreachable", "chain_unreachable"]);
    expect(codeOf(answers)).to.equal("chain_unreachable");
  });
});
