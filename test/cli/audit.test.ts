import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { taskViewToJson, type TaskView } from "../../protocol/taskView.ts";
import { settledBundle, type Bundle } from "../auditor/bundle.ts";
import { fakeChain, type FakeChain } from "../auditor/fakeChain.ts";
import { ran } from "./command.ts";

describe("tidelane audit", function () {
  this.timeout(30_000);
  let bundle: Bundle;
  let chain: FakeChain;
  let relayer: Server;
  let served: TaskView;
  let folder: string;
  let flags: string[];
  const offline = ["--relayer", "http://127.0.0.1:9"];

  beforeEach(async () => {
    bundle = await settledBundle();
    served = bundle.view;
    chain = await fakeChain(bundle.facts, bundle.view.batch!.header);
    relayer = createServer((request, response) => {
      const isKnown = request.url === `/tidelane/v1/receipts/${bundle.taskId}`;
      response.writeHead(isKnown ? 200 : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(isKnown ? taskViewToJson(served) : { code: "task_unknown" }));
    }).listen(0, "127.0.0.1");
    await once(relayer, "listening");
    folder = mkdtempSync(join(tmpdir(), "tidelane-audit-"));
    const deployment = join(folder, "deployment.json");
    writeFileSync(deployment, JSON.stringify({ chainId: 31_337, contracts: chain.contracts, block: 0 }));
    flags = ["--rpc", chain.url, "--deployment", deployment];
  });
  afterEach(() => {
    relayer.close();
    relayer.closeAllConnections();
    chain.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const online = (): string[] => [...flags, "--relayer", `http://127.0.0.1:${(relayer.address() as { port: number }).port}`];

  it("verifies a task: exit 0, each check shown, amounts as decimal strings in JSON", async () => {
    const [words, json] = await Promise.all([ran(["audit", "verify", bundle.taskId, ...online()]), ran(["audit", "verify", bundle.taskId, ...online(), "--json"])]);
    expect(words.exitCode).to.equal(0);
    expect(words.stdout).to.include(bundle.taskId).and.include("40 in, 60 out").and.include("Verified").and.match(/ok\s+session tree/).and.match(/block\s+42/);
    expect(json.exitCode).to.equal(0);
    expect(json.json()).to.include({
      verdict: "verified", verified: true, taskId: bundle.taskId, inputTokens: 40, outputTokens: 60, fee: "220", charge: "226", batchId: "5", block: "42",
    });
  });

  it("finds a changed byte: exit 1, and says where", async () => {
    const { attempts } = bundle.view;
    const record = { ...attempts[0]!.record, receipt: { ...attempts[0]!.record.receipt, nodeSeq: 5n } };
    served = { ...bundle.view, attempts: [{ ...attempts[0]!, record }] };
    const found = await ran(["audit", "verify", bundle.taskId, ...online()]);
    expect(found.exitCode).to.equal(1);
    expect(found.stdout).to.match(/WRONG\s+record: .*not signed by node 7/).and.match(/WRONG: record, session tree, tab tree/);
  });

  it("says what cannot be checked yet: exit 2", async () => {
    chain.facts = { ...bundle.facts, batch: null };
    served = { ...bundle.view, batch: null, attempts: [{ ...bundle.view.attempts[0]!, proofs: null }] };
    const unsettled = await ran(["audit", "verify", bundle.taskId, ...online(), "--json"]);
    expect([unsettled.exitCode, unsettled.json().verdict]).to.deep.equal([2, "unsettled"]);
    const errors = await Promise.all([
      ran(["audit", "verify", bundle.taskId, ...flags, ...offline, "--json"]), ran(["audit", "verify", `0x${"12".repeat(32)}`, ...online(), "--json"]),
      ran(["audit", "verify", bundle.taskId, ...online(), "--rpc", "http://127.0.0.1:9", "--json"]), ran(["audit", "verify", "no-such-file", ...online(), "--json"]),
      ran(["audit", "verify", bundle.taskId, "--data-dir", folder, "--json"]),
    ]);
    expect(errors.map((one) => [one.exitCode, (one.json().error as { code: string }).code])).to.deep.equal([
      [2, "relayer_unreachable"], [2, "task_unknown"], [2, "chain_unreachable"], [2, "invalid_task"], [2, "no_deployment"],
    ]);
  });

  it("saves a receipt that verifies from the chain alone, and loudly not when a byte of it is changed", async () => {
    const file = join(folder, "my.receipt.json");
    const saved = await ran(["audit", "receipt", bundle.taskId, ...online(), "--out", file, "--json"]);
    expect([saved.exitCode, saved.json().file]).to.deep.equal([0, file]);
    const text = readFileSync(file, "utf8");
    const later = await ran(["audit", "verify", file, ...flags, "--json"]);
    expect([later.exitCode, later.json().verified, later.json().taskId]).to.deep.equal([0, true, bundle.taskId]);
    const changes = [text.replace(`"inputTokens": 40`, `"inputTokens": 41`), text.replace(`"siblings"`, `"sibling"`), text.slice(0, -20)];
    for (const change of changes) {
      writeFileSync(file, change);
      const found = await ran(["audit", "verify", file, ...flags]);
      expect(found.exitCode, found.stdout).to.equal(1);
      expect(found.stdout + found.stderr).to.match(/WRONG|expected|not JSON/);
    }
  });

  it("saves nothing that does not verify", async () => {
    chain.facts = { ...bundle.facts, batch: { ...bundle.facts.batch!, totalDebit: 1n } };
    const file = join(folder, "never.json");
    const refused = await ran(["audit", "receipt", bundle.taskId, ...online(), "--out", file]);
    expect(refused.exitCode).to.equal(1);
    expect(() => readFileSync(file)).to.throw(/ENOENT/);
  });

  it("finds a local network beside it without a flag", async () => {
    const devnet = {
      chainId: 31_337, rpcUrl: chain.url, relayerUrl: online().at(-1)!, relayerId: 1, contracts: chain.contracts, nodes: { high: 1 },
      payer: { ownerKeyFile: "x", sessionFile: "y", apiKeyFile: "z" },
    };
    const data = join(folder, ".tidelane");
    (await import("node:fs")).mkdirSync(data);
    writeFileSync(join(data, "devnet.json"), JSON.stringify(devnet));
    const verified = await Promise.all([ran(["audit", "verify", bundle.taskId, "--json"], {}, folder), ran(["audit", "verify", bundle.taskId, "--json", "--data-dir", data])]);
    expect(verified.map((one) => one.json().verdict)).to.deep.equal(["verified", "verified"]);
  });
});
