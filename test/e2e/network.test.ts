// The main job on real processes, a real chain, a real database and a real model. One network; each test leaves it whole.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { createWalletClient, http, parseTransaction } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hashStruct } from "../../protocol/typedData.ts";
import { TideTokenAbi } from "../../protocol/generated/abi/TideToken.ts";
import { leafOf } from "../../protocol/records.ts";
import { verifyReceipt } from "../../cli/audit.ts";
import { chat, failure, IS_PAYERS, Network, readAll, until, type Hash } from "./network.ts";
import { describeContracts } from "./contracts.ts";
import { describePrices } from "./prices.ts";
import { bentPayment, type Bent } from "./strangers.ts";

const root = join(import.meta.dirname, "../..");

describe("a network of real processes", function () {
  this.timeout(120_000);
  const network = new Network();
  const { devnet } = network;

  before(async function () {
    this.timeout(180_000);
    await network.start();
  });
  after(async () => {
    await network.stop();
  });

  describe("answers", () => {
    it("plain and streamed through the openai package, paid by vouchers, with usage and cost", async () => {
      const paying = await network.voucherPayer();
      const plain = await paying.client.chat.completions.create(chat);
      const streamed = await readAll(await paying.client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } }));
      expect(plain.choices[0]!.message.content).to.have.length.greaterThan(10).and.equal(streamed.text);
      expect(plain.choices[0]!.finish_reason).to.be.oneOf(["stop", "length"]).and.equal(streamed.finishReason);
      expect(plain.usage!.completion_tokens).to.be.within(1, 24).and.equal(streamed.last!.usage!.completion_tokens);
      const second = await network.outcome(paying, 2);
      expect(paying.outcomes.flatMap((outcome) => outcome.findings)).to.deep.equal([]);
      expect(paying.outcomes.map((outcome) => outcome.answerMatches)).to.deep.equal([true, true]);
      const cost = (plain as unknown as { tidelane: { charge: string; fee: string; task: Hash } }).tidelane;
      expect(BigInt(cost.charge)).to.equal(paying.outcomes[0]!.charge);
      expect(second.charge > second.fee && second.fee > 0n, "a fee for the node, and one for the relayer").to.equal(true);
    });

    it("with an API key alone: chat, completions, embeddings, models", async () => {
      const { client } = await network.keyClient();
      const answer = await client.chat.completions.create(chat);
      expect(answer.choices[0]!.message.content).to.have.length.greaterThan(10);
      const completion = await client.completions.create({ model: "stories15M", prompt: "The sea was", max_tokens: 12, temperature: 0 });
      expect(completion.choices[0]!.text).to.have.length.greaterThan(3);
      const { data, usage } = await client.embeddings.create({ model: "embeddings-en", input: ["a boat at sea", "a ship on the ocean", "tax returns"] });
      expect(data.map((one) => one.embedding.length)).to.deep.equal([512, 512, 512]);
      const dot = (a: number, b: number): number => data[a]!.embedding.reduce((sum, x, i) => sum + x * data[b]!.embedding[i]!, 0);
      expect(dot(0, 1)).to.be.greaterThan(dot(0, 2));
      expect(usage.total_tokens).to.be.greaterThan(5);
      const models = (await client.models.list()).data.map((model) => model.id);
      expect(models).to.include("karpathy/stories15M@q8_0");
    });

    it("many at once in one session, over several nodes, each charged once", async () => {
      const paying = await network.voucherPayer();
      const answers = await Promise.all(Array.from({ length: 10 }, (_, i) =>
        paying.client.chat.completions.create({ ...chat, messages: [{ role: "user", content: `Story number ${i}: once there was a fox` }], max_tokens: 16 })));
      expect(answers).to.have.length(10);
      await network.outcome(paying, 10);
      expect(paying.outcomes.flatMap((outcome) => outcome.findings)).to.deep.equal([]);
      expect(new Set(paying.outcomes.map((outcome) => outcome.taskId)).size).to.equal(10);
      expect(new Set(paying.outcomes.flatMap((outcome) => outcome.nodes)).size, "nodes that took part").to.be.greaterThan(1);
      expect(paying.payer.status()).to.include({ inFlight: 0n, charged: paying.outcomes.reduce((sum, outcome) => sum + outcome.charge, 0n) });
    });
  });

  describe("money", () => {
    it("adds up to the last unit: debits are credits plus fees, in the database and on chain", async () => {
      await network.allSettled();
      const journal = await network.sql<{ session_id: Hash; charge: string; record: { receipt: { nodeId: number; body: { fee: string } } } }>(
        "select t.session_id, a.charge, a.record from attempts a join tasks t using (task_id) where a.receipt_hash is not null");
      expect(journal.length).to.be.greaterThan(10);
      const sums = (key: (row: (typeof journal)[number]) => string, amount: (row: (typeof journal)[number]) => bigint): Map<string, bigint> =>
        journal.reduce((all, row) => all.set(key(row), (all.get(key(row)) ?? 0n) + amount(row)), new Map<string, bigint>());
      const charges = sums((row) => row.session_id, (row) => BigInt(row.charge));
      const fees = sums((row) => String(row.record.receipt.nodeId), (row) => BigInt(row.record.receipt.body.fee));
      let debited = 0n;
      for (const [sessionId, charge] of charges) {
        const { charged } = await network.session(sessionId as Hash);
        expect(charged, sessionId).to.equal(charge);
        debited += charged;
      }
      let credited = 0n;
      for (const [nodeId, fee] of fees) {
        const { earned } = await network.tab(Number(nodeId));
        expect(earned, `node ${nodeId}`).to.equal(fee);
        credited += earned;
      }
      const account = await network.relayerAccount();
      expect(account.debited).to.equal(debited);
      expect(credited + account.fees).to.equal(debited);
    });
  });

  describePrices(network);

  describe("a receipt", () => {
    it("verifies against the chain, and no more once any byte of it is changed", async () => {
      const paying = await network.voucherPayer();
      await paying.client.chat.completions.create(chat);
      const { taskId } = await network.outcome(paying);
      const view = await network.settled(taskId);
      const { record, proofs } = view.attempts[0]!;
      expect(leafOf(record).charge).to.equal(paying.outcomes[0]!.charge);
      expect(proofs).to.not.equal(null);
      const audit = await verifyReceipt({ taskId, relayerUrl: devnet.relayerUrl, rpcUrls: [devnet.rpcUrl], contracts: devnet.contracts });
      expect(audit.verdict, JSON.stringify(audit.checks)).to.equal("verified");
      expect(hashStruct("TaskOrder", record.order)).to.equal(taskId);
    });

    it("verifies by the command line, as JSON and in words", async () => {
      const [task] = await network.sql<{ task_id: Hash }>("select t.task_id from tasks t join batches b on b.header_hash = t.batch_hash where b.state = 'confirmed' limit 1");
      const tidelane = (...args: string[]): string => execFileSync(process.execPath, [join(root, "cli/tidelane.mjs"), ...args, "--data-dir", network.directory], { encoding: "utf8" });
      expect(tidelane("audit", "verify", task!.task_id)).to.match(/Verified/);
      const json = JSON.parse(tidelane("audit", "verify", task!.task_id, "--json").trim().split("\n").at(-1)!) as { verified: boolean; taskId: Hash };
      expect(json).to.include({ verified: true, taskId: task!.task_id });
    });
  });

  describe("sessions that do not cover", () => {
    it("refuse an order above what is locked, and charge nothing", async () => {
      const paying = await network.voucherPayer({ lock: 60n, maxPerTask: 60n });
      const first = await failure(paying.client.chat.completions.create({ ...chat, max_tokens: 200 }));
      expect(first.code).to.be.oneOf(["session_exhausted", "insufficient_escrow", "order_above_maximum", "budget_exceeded", "above_budget"]);
      expect((await network.session(paying.sessionId)).charged).to.equal(0n);
    });

    it("refuse once revoked", async () => {
      const paying = await network.voucherPayer();
      await network.owner.closeSession(paying.sessionId);
      await until("the relayer has seen it", async () => {
        const answer = await failure(paying.client.chat.completions.create({ ...chat, max_tokens: 2 })).catch(() => null);
        return answer !== null && ["session_closing", "session_expired", "session_over", "session_closed"].includes(answer.code);
      });
    });

    it("refuse once expired", async () => {
      const paying = await network.voucherPayer({ validSeconds: 10 });
      await until("it has expired", async () => {
        const { headers, body } = await bentPayment(paying.sessionFile);
        const response = await network.post("/v1/chat/completions", body, headers);
        return response.status === 402 && (await codeOf(response)) === "session_expired";
      }, 15_000);
    });

    it("refuse a missing and an unknown key", async () => {
      expect(await network.post("/v1/chat/completions", chat).then((response) => response.status)).to.equal(401);
      expect(await failure(network.clientOf("tl_nobody").chat.completions.create(chat))).to.include({ status: 401 });
    });

    const offences: [string, Bent, number, RegExp][] = [
      ["a voucher signed with another key", { key: `0x${"77".repeat(32)}` }, 401, /wrong_key/],
      ["a voucher signed for another chain", { domain: { chainId: 1 } }, 401, /wrong_key/],
      ["a voucher signed for another contract", { domain: { verifyingContract: `0x${"99".repeat(20)}` } }, 401, /wrong_key/],
      ["a cap below what the order may cost", { cap: 999n }, 402, /voucher_cap_too_low/],
      ["an order above the session's maximum for one task", { order: { maxFee: 2_000_001n }, cap: 2_000_001n }, 402, /order_above_maximum/],
      ["an expired order", { order: { deadline: 1_700_000_000 } }, 400, /order_expired/],
      ["an order for another session", { order: { sessionId: `0x${"12".repeat(32)}` } }, 404, /unknown_session/],
      ["an order for another body", { body: JSON.stringify({ ...chat, max_tokens: 3 }) }, 400, /invalid_payment/],
    ];
    it("refuse each bent payment with its own code, and charge nothing", async () => {
      const paying = await network.voucherPayer();
      for (const [what, bent, status, code] of offences) {
        const { headers, body } = await bentPayment(paying.sessionFile, bent);
        const response = await network.post("/v1/chat/completions", body, headers);
        expect(await codeOf(response), what).to.match(code);
        expect(response.status, what).to.equal(status);
      }
      const { headers, body } = await bentPayment(paying.sessionFile, { cap: 2_000n });
      expect((await network.post("/v1/chat/completions", body, headers)).status, "the honest one").to.equal(200);
      const again = await network.post("/v1/chat/completions", body, headers);
      expect([again.status, await codeOf(again)], "the same order again").to.deep.equal([409, "order_replayed"]);
      const [row] = await network.sql<{ n: string }>(`select count(*) as n from attempts a join tasks t using (task_id) where t.session_id = '${paying.sessionId}' and a.receipt_hash is not null`);
      expect(Number(row!.n)).to.equal(1);
    });

    const codeOf = async (response: Response): Promise<string> => ((await response.clone().json()) as { error: { code: string } }).error.code;
  });

  describe("a client that hangs up", () => {
    it("pays for what was produced, and no more", async () => {
      const paying = await network.voucherPayer();
      const stream = await paying.client.chat.completions.create({ ...chat, max_tokens: 200, stream: true });
      let pieces = 0;
      for await (const chunk of stream) {
        if ((chunk.choices[0]?.delta.content ?? "") !== "" && ++pieces === 3) break;
      }
      stream.controller.abort();
      await until("the task has ended", async () => {
        const [row] = await network.sql<{ n: string }>(`select count(*) as n from attempts a join tasks t using (task_id) where t.session_id = '${paying.sessionId}' and a.receipt_hash is not null`);
        return Number(row!.n) === 1;
      });
      const [row] = await network.sql<{ record: { receipt: { body: { outputTokens: number; status: number } } } }>(
        `select a.record from attempts a join tasks t using (task_id) where t.session_id = '${paying.sessionId}'`);
      expect(row!.record.receipt.body.status).to.equal(3);
      expect(row!.record.receipt.body.outputTokens).to.be.within(3, 199);
    });
  });

  describe("nodes that go away", () => {
    it("a node killed while idle is not chosen until it attests again", async () => {
      const { client } = await network.keyClient();
      devnet.nodeProcess("low-1").kill("SIGKILL");
      await until("the relayer has seen it", async () => await attested() === 3, 10_000);
      const served = await Promise.all(Array.from({ length: 6 }, () => client.chat.completions.create({ ...chat, max_tokens: 4 })));
      const nodes = served.map((answer) => (answer as unknown as { tidelane: { node: number } }).tidelane.node);
      expect(nodes).to.not.include(devnet.ids.nodeIds["low-1"]);
      await devnet.startNode("low-1");
      await devnet.attested();
      // It alone serves embeddings: answering one proves that it is chosen again.
      const { data } = await client.embeddings.create({ model: "embeddings-en", input: "back again" });
      expect(data).to.have.length(1);
    });

    it("a node that stands still counts as saturated, and comes back when it goes on", async () => {
      devnet.nodeProcess("mid").kill("SIGSTOP");
      await until("its attestation has grown stale", async () => await attested() === 3, 20_000);
      devnet.nodeProcess("mid").kill("SIGCONT");
      await devnet.attested();
    });
  });

  describe("a node behind a dropped connection", () => {
    it("comes back by itself, and serves again", async () => {
      const relayer = new URL(devnet.relayerUrl);
      const sockets = new Set<Socket>();
      const middle = createServer((socket) => {
        const onward = connect(Number(relayer.port), relayer.hostname);
        for (const one of [socket, onward]) sockets.add(one.on("error", () => undefined).on("close", () => sockets.delete(one)));
        socket.pipe(onward).pipe(socket);
      }).listen(0, "127.0.0.1");
      await once(middle, "listening");
      try {
        await devnet.nodeProcess("low-2").stop();
        await until("it is gone", async () => await attested() === 3);
        await devnet.startNode("low-2", { TIDELANE_RELAYERS: `http://127.0.0.1:${(middle.address() as AddressInfo).port}` });
        await devnet.attested();
        const before = sockets.size;
        for (const socket of sockets) socket.destroy();
        await until("the relayer has seen it", async () => await attested() === 3);
        await devnet.attested();
        expect(before).to.be.at.least(2);
      } finally {
        await devnet.nodeProcess("low-2").stop();
        for (const socket of sockets) socket.destroy();
        middle.close();
        await devnet.startNode("low-2");
        await devnet.attested();
      }
    });
  });

  const attested = async (): Promise<number> => ((await (await fetch(`${devnet.relayerUrl}/tidelane/v1/status`)).json()) as { fleet: { attested: number } }).fleet.attested;

  describeContracts(network);

  describe("a relayer that dies", () => {
    it("after the journal write and before the batch: after the restart the task is settled once", async () => {
      const paying = await network.voucherPayer();
      await paying.client.chat.completions.create(chat);
      const { taskId, charge } = await network.outcome(paying);
      await network.killRelayer();
      expect((await network.sql<{ batch_hash: string | null }>(`select batch_hash from tasks where task_id = '${taskId}'`))[0]!.batch_hash, "no batch yet").to.equal(null);
      await devnet.startRelayer();
      await devnet.attested();
      await network.settled(taskId);
      expect((await network.session(paying.sessionId)).charged).to.equal(charge);
    });

    it("after sending and before the transaction's receipt: settled once", async () => {
      const paying = await network.voucherPayer();
      await network.allSettled();
      await paying.client.chat.completions.create(chat);
      const { taskId, charge } = await network.outcome(paying);
      // Blocks every three seconds leave time to die between sending and being mined.
      await network.rpc("evm_setIntervalMining", [3]);
      try {
        const before = await network.lastBatchId();
        await until("the batch is sent", async () => (await batchState(taskId)) === "sent", 40_000);
        await network.killRelayer();
        expect(await batchState(taskId), "it died before it saw the transaction's receipt").to.equal("sent");
        await until("the batch is mined", async () => await network.lastBatchId() === before + 1n);
        await devnet.startRelayer();
        await devnet.attested();
        const view = await network.settled(taskId);
        expect(view.batch!.header.batchId).to.equal(before + 1n);
        expect((await network.session(paying.sessionId)).charged).to.equal(charge);
      } finally {
        await network.rpc("evm_setIntervalMining", [2]);
      }
    });

    const batchState = async (taskId: Hash): Promise<string | null> =>
      (await network.sql<{ state: string }>(`select b.state from tasks t join batches b on b.header_hash = t.batch_hash where t.task_id = '${taskId}'`))[0]?.state ?? null;

    it("twice over one chain: of two processes that post the same batch one fails, and nobody pays twice", async () => {
      const paying = await network.voucherPayer();
      await network.allSettled();
      await paying.client.chat.completions.create(chat);
      const { taskId, charge } = await network.outcome(paying);
      await network.rpc("evm_setIntervalMining", [3]);
      try {
        await until("the batch is sent", async () => (await batchState(taskId)) === "sent", 40_000);
        const [batch] = await network.sql<{ transaction_raw: Hash; transaction_nonce: string }>(
          `select transaction_raw, transaction_nonce from batches b join tasks t on t.batch_hash = b.header_hash where t.task_id = '${taskId}'`);
        const { to, data, gas } = parseTransaction(batch!.transaction_raw);
        // The second process holds the same keys and the same batch; its envelope comes right behind.
        const rival = createWalletClient({ account: privateKeyToAccount(devnet.keys.relayer.poster), transport: http(devnet.rpcUrl) });
        const hash = await rival.sendTransaction({ chain: null, to: to!, data: data!, gas: gas!, nonce: Number(batch!.transaction_nonce) + 1 });
        const { status } = await network.reader.waitForTransactionReceipt({ hash, timeout: 20_000 });
        expect(status).to.equal("reverted");
      } finally {
        await network.rpc("evm_setIntervalMining", [2]);
      }
      await network.settled(taskId);
      expect((await network.session(paying.sessionId)).charged).to.equal(charge);
      // The nonce that the rival took must not stop the next batch.
      await paying.client.chat.completions.create(chat);
      await network.settled((await network.outcome(paying, 2)).taskId);
    });

    it("pointed at another chain refuses to start, and says which", async () => {
      const { code, stderr } = await runToEnd("relayer/main.ts", { ...devnet.relayerEnvironment(), TIDELANE_PORT: "0", TIDELANE_CHAIN_ID: "1" });
      expect(code).to.equal(1);
      expect(stderr).to.match(/chain/i).and.include("31337");
    });

    it("whose port is in use refuses to start, and says which", async () => {
      const { code, stderr } = await runToEnd("relayer/main.ts", devnet.relayerEnvironment());
      expect(code).to.equal(1);
      expect(stderr).to.include(new URL(devnet.relayerUrl).port);
    });
  });

  describe("outages", () => {
    it("the chain: answers go on, readiness says so, settlement waits and then comes", async () => {
      const paying = await network.voucherPayer();
      // While the chain is away only nodes that saw the session lately work for it: several have, and each may be busy or broken off.
      const before = 8;
      await Promise.all(Array.from({ length: before }, () => paying.client.chat.completions.create({ ...chat, max_tokens: 16 })));
      await devnet.chainProcess.stop();
      await until("readiness names the chain", async () => {
        const response = await fetch(`${devnet.relayerUrl}/readyz`);
        return response.status === 503 && (await response.text()).includes("chain");
      });
      const answer = await paying.client.chat.completions.create(chat);
      expect(answer.choices[0]!.message.content).to.have.length.greaterThan(10);
      await devnet.startChain();
      await until("the relayer is ready again", async () => (await fetch(`${devnet.relayerUrl}/readyz`)).status === 200);
      const { taskId } = await network.outcome(paying, before + 1);
      await network.settled(taskId);
    });

    it("the database: new paid work is refused, a running stream finishes and is settled later", async () => {
      const paying = await network.voucherPayer();
      const { client } = await network.keyClient();
      const port = Number(new URL(devnet.databaseUrl).port);
      const stream = await paying.client.chat.completions.create({ ...chat, max_tokens: 150, stream: true });
      const iterator = stream[Symbol.asyncIterator]();
      await iterator.next();
      await devnet.stopPostgres();
      const { text } = await readAll({ [Symbol.asyncIterator]: () => iterator });
      expect(text).to.have.length.greaterThan(10);
      const refusal = await failure(client.chat.completions.create(chat));
      expect(refusal).to.include({ status: 503 });
      await devnet.startPostgres(port);
      await until("work is taken again", async () => {
        const response = await network.post("/v1/chat/completions", { ...chat, max_tokens: 2 }, { authorization: `Bearer ${client.apiKey}` });
        return response.status === 200;
      });
      const { taskId, findings } = await network.outcome(paying);
      expect(findings).to.deep.equal([]);
      await network.settled(taskId);
    });
  });

  describe("the end", () => {
    it("leaves every book equal: journal, sessions, tabs and fees", async () => {
      await network.allSettled();
      const [sums] = await network.sql<{ charges: string; fees: string }>(
        "select sum(attempts.charge::numeric) as charges, sum((record->'receipt'->'body'->>'fee')::numeric) as fees from attempts join tasks t using (task_id) join sessions s using (session_id) where receipt_hash is not null and " + IS_PAYERS);
      const account = await network.relayerAccount();
      expect(account.debited).to.equal(BigInt(sums!.charges));
      expect(account.debited - account.fees).to.equal(BigInt(sums!.fees));
      const twice = await network.sql("select receipt_hash from attempts where receipt_hash is not null group by receipt_hash having count(*) > 1");
      expect(twice).to.deep.equal([]);
    });

    it("keeps prompts out of every log", () => {
      const logs = readdirSync(devnet.layout.logsDir).map((name) => readFileSync(join(devnet.layout.logsDir, name), "utf8"));
      expect(logs.length).to.be.greaterThan(4);
      for (const log of logs) expect(log).to.not.match(/small lighthouse|there was a fox|The sea was|a boat at sea/);
    });

    // Last, because it moves the chain's clock.
    it("pays a node's matured credits to its payout address, and nothing before they matured", async () => {
      const nodeId = devnet.ids.nodeIds["high"]!;
      const balance = () => network.reader.readContract({ address: devnet.contracts.payToken!, abi: TideTokenAbi, functionName: "balanceOf", args: [network.addressOf(devnet.keys.nodes["high"]!.owner)] });
      const [{ earned, claimed }, before] = [await network.tab(nodeId), await balance()];
      expect(earned > claimed).to.equal(true);
      // Two periods of 3 W.
      await network.rpc("evm_increaseTime", [2 * 3 * 20]);
      await network.rpc("evm_mine");
      await network.claimTab(nodeId);
      expect(await balance() - before).to.equal(earned - claimed);
    });
  });
});

/** Runs a process that is to end by itself. */
async function runToEnd(script: string, env: Record<string, string>): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [join(root, script)], { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => { stderr += chunk.toString(); });
  const [code] = await once(child, "close") as [number | null];
  return { code, stderr };
}
