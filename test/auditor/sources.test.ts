import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { expect } from "chai";
import { auditTask } from "../../auditor/main.ts";
import { chainFacts, relayerReceipts } from "../../auditor/sources.ts";
import { relayerPublications } from "../../auditor/sourcesReplay.ts";
import { findingsOf } from "../../auditor/verify.ts";
import { taskViewToJson } from "../../protocol/taskView.ts";
import { codeOf } from "../client/world.ts";
import { settledBundle, type Bundle } from "./bundle.ts";
import { fakeChain, type FakeChain } from "./fakeChain.ts";

describe("an audit's sources", () => {
  let bundle: Bundle;
  let chain: FakeChain;
  const access = () => ({ rpcUrls: [chain.url], contracts: chain.contracts });
  beforeEach(async () => {
    bundle = await settledBundle();
    chain = await fakeChain(bundle.facts, bundle.view.batch!.header);
  });
  afterEach(() => chain.stop());

  it("read from the chain exactly what a receipt is compared with", async () => {
    expect(await chainFacts(access()).factsFor(bundle.view)).to.deep.equal(bundle.facts);
    expect((await auditTask(bundle.taskId, bundle.view, access())).verdict).to.equal("verified");
    expect(chain.methods).to.not.include("eth_getLogs");
  });

  it("find the posting without the receipt's hint, and do without where no logs are kept", async () => {
    const misled = { ...bundle.view, batch: { ...bundle.view.batch!, transactionHash: `0x${"99".repeat(32)}` as const } };
    expect((await chainFacts(access()).factsFor(misled)).batch?.posting).to.deep.equal(bundle.facts.batch!.posting);
    expect(findingsOf(await auditTask(bundle.taskId, misled, access())).map((one) => one.detail).join()).to.match(/posted by transaction 0xabab/);
    chain.keepsLogs = false;
    const blind = await auditTask(bundle.taskId, bundle.view, access());
    expect([blind.verdict, blind.facts.batch?.posting]).to.deep.equal(["verified", null]);
  });

  it("tell keys, sessions and batches that the chain does not know", async () => {
    chain.facts = { ...bundle.facts, nodeKeys: new Map(), relayerKeys: new Map(), sessionPayers: new Map(), batch: null };
    const { verdict, checks } = await auditTask(bundle.taskId, bundle.view, access());
    expect(verdict).to.equal("wrong");
    expect(checks.filter((one) => !one.passed).map((one) => one.name)).to.deep.equal(["record", "keys", "session", "header", "chain"]);
  });

  it("say that the chain is another one, or away, or holds no such deployment", async () => {
    expect(await codeOf(chainFacts({ ...access(), chainId: 1 }).factsFor(bundle.view))).to.equal("wrong_chain");
    expect(await codeOf(chainFacts({ ...access(), contracts: {} }).factsFor(bundle.view))).to.equal("incomplete_deployment");
    expect(await codeOf(chainFacts({ ...access(), contracts: { ...chain.contracts, Escrow: `0x${"77".repeat(20)}` } }).factsFor(bundle.view))).to.equal("chain_unreachable");
    chain.stop();
    expect(await codeOf(chainFacts(access()).factsFor(bundle.view))).to.equal("chain_unreachable");
  });

  describe("over HTTP", () => {
    let server: Server;
    let url: string;
    let reply: { status: number; body: string; isBrokenOff?: boolean };
    beforeEach(async () => {
      server = createServer((_, response) => {
        response.writeHead(reply.status, { "content-type": "application/json", "content-length": reply.body.length });
        if (reply.isBrokenOff) response.write(reply.body.slice(1), () => response.destroy());
        else response.end(reply.body);
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    });
    afterEach(() => {
      server.close();
      server.closeAllConnections();
    });

    it("take a receipt in its form, and nothing else", async () => {
      const good = JSON.stringify(taskViewToJson(bundle.view));
      const answers: [number, string, string][] = [
        [404, "{}", "task_unknown"], [500, "{}", "relayer_unreachable"], [200, "<html>", "relayer_answer_invalid"], [200, "{}", "invalid_value"],
        [200, good.replace(`"index":2`, `"index":-1`), "invalid_value"], [200, good.replace(/"fee":"\d+"/, `"fee":"1.5"`), "invalid_value"],
      ];
      for (const [status, body, code] of answers) {
        reply = { status, body };
        expect(await codeOf(relayerReceipts(url).receipt(bundle.taskId)), code).to.equal(code);
      }
      reply = { status: 200, body: good };
      expect(await relayerReceipts(`${url}/`).receipt(bundle.taskId)).to.deep.equal(bundle.view);
    });

    it("say that the relayer is away where it breaks off its answer: it has not served what it was asked for", async () => {
      reply = { status: 200, body: "some bytes", isBrokenOff: true };
      expect(await codeOf(relayerReceipts(url).receipt(bundle.taskId))).to.equal("relayer_unreachable");
      expect(await codeOf(relayerPublications(url).batchData(1n))).to.equal("relayer_unreachable");
    });

    it("say that the relayer is away", async () => {
      server.close();
      server.closeAllConnections();
      expect(await codeOf(relayerReceipts(url).receipt(bundle.taskId))).to.equal("relayer_unreachable");
    });
  });
});
