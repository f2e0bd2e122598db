// The lobby on real processes: more come than can be served, and nobody is lost. The nodes' engines only take their time.
import { expect } from "chai";
import { failure, Network, until } from "./network.ts";
import { describeProcesses } from "./processes.ts";
import type { EngineChoice, NodeSpec } from "../../cli/devnet/fleet.ts";

const MODEL = { name: "tidelane/timed@none", aliases: ["timed"], kind: "generate" as const, priceInPerMTok: 500_000n, priceOutPerMTok: 1_500_000n };
/** 20 ms for each token, whoever else is there. */
const CURVE = { aNs: 20_000_000, bNs: 10_000, cNs: 0, dNs: 0, ePs: 0 };
const nodeOf = (name: string): NodeSpec => ({ name, hardwareClass: 2, slots: 2, tokensPerSecond: null, stake: 200_000_000n, models: [MODEL] });
const fleet = [nodeOf("left"), nodeOf("right")];
const SLOTS = 4;
const engine: EngineChoice = {
  model: "timed", isPaced: false,
  modelsOf: (node) => [{ model: MODEL, engine: { kind: "timed", curve: CURVE, contextTokens: 2_048, kvTokens: 100_000, salt: node.name } }],
};

interface Answer {
  readonly status: number;
  /** Comments about the wait, and what came as data. */
  readonly comments: readonly string[];
  readonly chunks: readonly { tidelane?: { task: string; node: number; charge: string }; choices?: { delta: { content?: string } }[]; error?: { code: string } }[];
  readonly isWhole: boolean;
  readonly endedMs: number;
  readonly text: string;
}

describe("a lobby before real nodes", function () {
  this.timeout(120_000);
  const network = new Network({ fleet, engine });
  let apiKey = "";
  let sessionId: `0x${string}` = "0x";
  let questions = 0;

  before(async function () {
    this.timeout(180_000);
    await network.start();
    ({ apiKey, sessionId } = await network.keyClient());
  });
  after(() => network.stop());

  const ask = (more: object = {}, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> => fetch(`${network.devnet.relayerUrl}/v1/chat/completions`, {
    method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}`, ...headers }, ...(signal ? { signal } : {}),
    body: JSON.stringify({ model: "timed", messages: [{ role: "user", content: `Question ${++questions}: where does the tide go?` }], max_tokens: 16, stream: true, ...more }),
  });

  async function streamed(more: object = {}): Promise<Answer> {
    const response = await ask(more);
    const text = await response.text();
    const events = text.split("\n\n").filter((event) => event !== "");
    return {
      status: response.status, comments: events.filter((event) => event.startsWith(": position")), isWhole: text.endsWith("data: [DONE]\n\n"), endedMs: performance.now(), text,
      chunks: events.filter((event) => event.startsWith("data: {")).map((event) => JSON.parse(event.slice(6)) as Answer["chunks"][number]),
    };
  }

  const costOf = ({ chunks }: Answer) => chunks.find((chunk) => chunk.tidelane)!.tidelane!;
  const status = async () => await (await fetch(`${network.devnet.relayerUrl}/tidelane/v1/status`)).json() as { fleet: { nodes: { nodeId: number; slots: number; inFlight: number }[] }; lobby: { waiting: number; deferred: number } };
  const session = async () => await (await fetch(`${network.devnet.relayerUrl}/tidelane/v1/sessions/${sessionId}`)).json() as { charged: string; reserved: string };
  /** Every slot is busy for some seconds. */
  const flood = (count: number): Promise<Answer>[] => Array.from({ length: count }, () => streamed({ max_tokens: 60 }));
  const waiting = (count: number): Promise<void> => until(`${count} wait`, async () => (await status()).lobby.waiting >= count);

  it("serves each of sixty who come at once, tells them where they stand, charges each once, and gives no node more than its slots", async () => {
    const before = BigInt((await session()).charged);
    let [isOver, most] = [false, 0];
    const watching = (async () => {
      while (!isOver) {
        for (const node of (await status()).fleet.nodes) most = Math.max(most, node.inFlight - node.slots);
        await new Promise((wake) => setTimeout(wake, 100));
      }
    })();
    const answers = await Promise.all(Array.from({ length: 60 }, () => streamed()));
    isOver = true;
    await watching;
    expect(answers.filter((answer) => !answer.isWhole).map(({ text }) => text)).to.deep.equal([]);
    expect(answers.filter(({ comments }) => comments.length > 0).length).to.be.at.least(30);
    expect(answers.flatMap(({ comments }) => comments).every((comment) => /^: position \d+, expected start in \d+ s$/.test(comment))).to.equal(true);
    expect(new Set(answers.map((answer) => costOf(answer).task)).size).to.equal(60);
    expect(BigInt((await session()).charged) - before).to.equal(answers.reduce((sum, answer) => sum + BigInt(costOf(answer).charge), 0n));
    expect(new Set(answers.map((answer) => costOf(answer).node)).size).to.equal(2);
    expect(most, "in flight beyond its slots").to.equal(0);
    expect((await status()).lobby).to.include({ waiting: 0 });
    // What the nodes told of, all of it, was this relayer's own.
    expect(await (await fetch(`${network.devnet.relayerUrl}/metrics`)).text()).to.match(/^tidelane_lobby_parties 1$/m);
  });

  it("tells who will not wait so, with a time and a reason, and puts flex off until the ebb", async () => {
    const flex = streamed({ service_tier: "flex" });
    // Longer than whoever is in a hurry has: that one would be the next to start.
    const busy = Array.from({ length: SLOTS }, () => streamed({ max_tokens: 300 }));
    await until("every slot is taken", async () => (await status()).fleet.nodes.reduce((sum, { inFlight }) => sum + inFlight, 0) >= SLOTS);
    busy.push(...flood(2 * SLOTS));
    await waiting(SLOTS);
    const second = streamed({ service_tier: "flex" });
    const refused = await ask({}, { "x-tidelane-wait": "0" });
    expect(refused.status).to.equal(429);
    expect(Number(refused.headers.get("retry-after"))).to.be.at.least(1);
    const { error } = await refused.json() as { error: { message: string; details: { reason: string; retryAfterMs: number } } };
    expect(error.message).to.include("x-tidelane-wait");
    expect(["too_late", "thinned"]).to.include(error.details.reason);
    const answers = await Promise.all(busy);
    expect(answers.filter((answer) => !answer.isWhole).map(({ text }) => text)).to.deep.equal([]);
    expect((await flex).isWhole).to.equal(true);
    const last = await second;
    expect(last.isWhole).to.equal(true);
    expect(answers.filter((answer) => answer.endedMs < last.endedMs).length, "who came earlier and were in a hurry").to.be.at.least(3 * SLOTS - 2);
  });

  it("lets a waiting client that hangs up go, and gives back what was reserved for it", async () => {
    const busy = flood(2 * SLOTS);
    await waiting(SLOTS - 1);
    const client = new AbortController();
    const response = await ask({}, {}, client.signal);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).to.match(/^: position \d+/);
    const task = response.headers.get("x-tidelane-task")!;
    client.abort();
    await reader.cancel().catch(() => undefined);
    await until("the task is over", async () => (await network.sql<{ state: string }>(`select state from tasks where task_id = '${task}'`))[0]?.state === "failed");
    expect((await Promise.all(busy)).every((answer) => answer.isWhole)).to.equal(true);
    await until("nothing is reserved", async () => (await session()).reserved === "0");
  });

  it("keeps away from a node that stands still, and finds it again", async () => {
    await failureless(Array.from({ length: SLOTS }, () => streamed({ max_tokens: 4 })));
    network.devnet.nodeProcess("right").kill("SIGSTOP");
    const right = network.devnet.ids.nodeIds.right!;
    try {
      // More than the other one can take at once, so some are sent there; once they are overdue nobody else is.
      const early = Array.from({ length: 3 * SLOTS }, () => streamed());
      let answered = 0;
      for (const one of early) void one.then(() => answered++, () => undefined);
      await until("what the other one takes is answered, and what this one has is all that is left", async () => {
        const held = (await status()).fleet.nodes.find(({ nodeId }) => nodeId === right)!.inFlight;
        return held > 0 && answered + held === early.length;
      });
      const answers = await Promise.all(Array.from({ length: 2 * SLOTS }, () => streamed({ max_tokens: 4 })));
      expect(answers.map((answer) => answer.isWhole && costOf(answer).node)).to.not.include(right).and.not.include(false);
      network.devnet.nodeProcess("right").kill("SIGCONT");
      await failureless(early);
    } finally {
      network.devnet.nodeProcess("right").kill("SIGCONT");
    }
    await until("it serves again", async () => (await Promise.all(Array.from({ length: SLOTS }, () => streamed({ max_tokens: 4 })))).some((answer) => answer.isWhole && costOf(answer).node === right));
  });

  it("tells those who wait to come again when the relayer shuts down, and takes them after its restart", async () => {
    const busy = flood(3 * SLOTS);
    await waiting(SLOTS);
    await network.devnet.relayerProcess.stop();
    const answers = await Promise.all(busy.map((answer) => answer.catch(() => null)));
    const told = answers.filter((answer) => answer !== null && !answer.isWhole);
    // In the stream where it was open, else as an answer.
    expect(told.filter((answer) => answer!.text.includes('"code":"shutting_down"')).length, told[0]?.text).to.be.at.least(SLOTS);
    await network.devnet.startRelayer();
    await network.devnet.attested();
    expect((await streamed({ max_tokens: 4 })).isWhole).to.equal(true);
    expect((await session()).reserved).to.equal("0");
    expect((await failure(network.clientOf("tl_nobody").chat.completions.create({ model: "timed", messages: [{ role: "user", content: "?" }] }))).status).to.equal(401);
  });

  describeProcesses(network, "timed");

  async function failureless(answers: readonly Promise<Answer>[]): Promise<void> {
    expect((await Promise.all(answers)).map((answer) => answer.isWhole || answer.chunks.at(-1)?.error?.code)).to.deep.equal(answers.map(() => true));
  }
});
