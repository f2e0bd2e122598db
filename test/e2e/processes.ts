// Two processes of one relayer over one database, and two nodes: a payer has one share of both, nobody's answer is lost or paid twice,
// one of them settles for both, and a process that starts again knows its nodes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { freePort } from "../../cli/devnet/anvil.ts";
import { Janitor, ManagedProcess } from "../../cli/devnet/processes.ts";
import { SCORE_START_BPS } from "../../relayer/routing/score.ts";
import { until, type Hash, type Network } from "./network.ts";

interface Status {
  readonly fleet: { readonly nodes: readonly { readonly nodeId: number; readonly scoreBps: number }[]; readonly attested: number };
  readonly lobby: { readonly waiting: number };
}

interface Served {
  readonly payer: string;
  readonly isWhole: boolean;
  readonly task: string;
  readonly charge: bigint;
  readonly endedMs: number;
  readonly text: string;
}

const READY_MS_MAX = 60_000;
/** Of each session; more than can be served while tellings are on their way. */
const QUESTIONS = 25;
const LOCK = 20_000_000n;

export function describeProcesses(network: Network, model: string): void {
  describe("two processes of one relayer", () => {
    const { devnet } = network;
    const janitor = new Janitor();
    let second: ManagedProcess | null = null;
    let secondUrl = "";
    const sessions: { readonly payer: string; readonly url: string; readonly sessionId: Hash; readonly apiKey: string }[] = [];
    let scores: ReadonlyMap<number, number> = new Map();

    const statusOf = async (url: string): Promise<Status> => await (await fetch(`${url}/tidelane/v1/status`)).json() as Status;
    const scoresAt = async (url: string): Promise<Map<number, number>> => new Map((await statusOf(url)).fleet.nodes.map((node) => [node.nodeId, node.scoreBps]));

    before(async function () {
      this.timeout(120_000);
      secondUrl = `http://127.0.0.1:${await freePort()}`;
      const [one, other] = [await network.furtherPayer(LOCK), await network.furtherPayer(LOCK)];
      for (const [payer, url, owner] of [["both", devnet.relayerUrl], ["one", devnet.relayerUrl, one], ["both", secondUrl], ["other", secondUrl, other]] as const) {
        const { sessionId, apiKey } = await network.keyClient({ lock: LOCK }, owner);
        await ask(devnet.relayerUrl, apiKey, payer, `${payer}: who is there?`);
        sessions.push({ payer, url, sessionId, apiKey });
      }
      scores = await scoresAt(devnet.relayerUrl);
      const directory = join(network.directory, "second");
      mkdirSync(directory, { recursive: true });
      await devnet.relayerProcess.stop();
      second = new ManagedProcess({
        name: "the relayer's second process", command: process.execPath, args: [join(import.meta.dirname, "../../relayer/main.ts")], logFile: join(directory, "relayer.log"), stopMsMax: 20_000,
        env: { ...devnet.relayerEnvironment(), TIDELANE_PORT: new URL(secondUrl).port, TIDELANE_PUBLIC_URL: secondUrl, TIDELANE_DATA_DIR: directory, TIDELANE_PROCESSES: devnet.relayerUrl },
      }, janitor, () => undefined);
      await Promise.all([second.ready(READY_MS_MAX), devnet.startRelayer({ TIDELANE_PROCESSES: secondUrl })]);
      for (const url of [devnet.relayerUrl, secondUrl]) await until(`both nodes attest to ${url}`, async () => (await statusOf(url)).fleet.attested === 2, 60_000);
    });
    after(async () => {
      await second?.stop();
      await janitor.close();
    });

    it("know what was learnt of nodes before they were started", async () => {
      expect([...scores.values()].some((score) => score > SCORE_START_BPS), "a node had earned more than it began with").to.equal(true);
      for (const url of [devnet.relayerUrl, secondUrl]) {
        const now = await scoresAt(url);
        for (const [nodeId, score] of scores) if (score > SCORE_START_BPS) expect(now.get(nodeId), `node ${nodeId} at ${url}`).to.equal(score);
      }
    });

    it("give a payer at both one share of all, lose no answer, charge each once and settle all", async () => {
      // A session that is new to a process has to be looked up first; who asks next is not to have the start of others for it. And who
      // started first learns of the other within an epoch: both share from then on.
      await until("both processes tell each other what they give", async () => {
        const begun = await Promise.all(sessions.map(({ payer, url, apiKey }) => ask(url, apiKey, payer, `${payer} asks first`)));
        expect(begun.every(({ isWhole }) => isWhole)).to.equal(true);
        return (await network.sql("select process from tallies")).length >= 2;
      }, 60_000);
      const all = Array.from({ length: QUESTIONS }, (_, i) => sessions.map(({ payer, url, apiKey }) => ask(url, apiKey, payer, `${payer} asks ${i} times: is it fair?`))).flat();
      const served = (await Promise.all(all)).sort((a, b) => a.endedMs - b.endedMs);
      expect(served.filter(({ isWhole }) => !isWhole).map(({ text }) => text)).to.deep.equal([]);
      expect(new Set(served.map(({ task }) => task)).size).to.equal(all.length);
      const counts = { both: 0, one: 0, other: 0 };
      // From when all had asked until any of them had been answered everything.
      for (const { payer } of served.slice(10, 60)) counts[payer as keyof typeof counts]++;
      // A third; two shares would be half of them.
      expect(counts.both, JSON.stringify(counts)).to.be.at.most(22);
      for (const { sessionId } of sessions) {
        const [charged] = await network.sql<{ charged: string }>(`select charged from sessions where session_id = '${sessionId}'`);
        const [sum] = await network.sql<{ sum: string }>(`select sum(charge) as sum from tasks where session_id = '${sessionId}'`);
        expect(BigInt(charged!.charged)).to.equal(BigInt(sum!.sum));
      }
      const charges = await network.sql<{ task_id: string; charge: string }>("select task_id, charge from tasks");
      const journaled = new Map(charges.map((row) => [row.task_id, BigInt(row.charge)]));
      expect(served.filter(({ task, charge }) => journaled.get(task) !== charge)).to.deep.equal([]);
      await network.allSettled();
    });

    async function ask(url: string, apiKey: string, payer: string, content: string): Promise<Served> {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}`, "x-tidelane-wait": "100" },
        body: JSON.stringify({ model, messages: [{ role: "user", content }], max_tokens: 16, stream: true }),
      });
      const text = await response.text();
      const cost = /"tidelane":(\{[^}]*\})/.exec(text);
      const { task, charge } = JSON.parse(cost?.[1] ?? '{"task":"","charge":"0"}') as { task: string; charge: string };
      return { payer, isWhole: text.endsWith("data: [DONE]\n\n"), task, charge: BigInt(charge), endedMs: performance.now(), text };
    }
  });
}
