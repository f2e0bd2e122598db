// What every engine for text must do, whatever is behind it: one suite, run against each.
import { expect } from "chai";
import type { Engine, EngineEvent, EngineModel, EngineRequest } from "../../../node/ports.ts";

export interface Suite {
  readonly name: string;
  make(): Promise<Engine> | Engine;
  /** Requests at once that the engine under test works on. */
  readonly places: number;
  /** Bytes of prompt that are surely too many. */
  readonly tooLongBytes: number;
}

export const chat = (content: string, more: Record<string, unknown> = {}, maxOutTokens = 64): EngineRequest =>
  ({ kind: "chat", body: { model: "m", messages: [{ role: "user", content }], temperature: 0, ...more }, maxOutTokens });

export const completion = (prompt: string, more: Record<string, unknown> = {}, maxOutTokens = 64): EngineRequest =>
  ({ kind: "completion", body: { model: "m", prompt, temperature: 0, ...more }, maxOutTokens });

export async function collect(engine: Engine, request: EngineRequest, signal: AbortSignal = new AbortController().signal): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  for await (const event of engine.run(request, signal)) events.push(event);
  return events;
}

export const textOf = (events: readonly EngineEvent[]): string => events.map((event) => (event.type === "delta" ? event.text : "")).join("");
export const tokensOf = (events: readonly EngineEvent[]): number => events.reduce((sum, event) => sum + (event.type === "delta" ? event.tokens : 0), 0);

export function endOf(events: readonly EngineEvent[]): Extract<EngineEvent, { type: "end" }> {
  const last = events.at(-1);
  if (last?.type !== "end") throw new Error(`the last event is ${last?.type}, not end`);
  return last;
}

/** @returns the code that a run failed with. */
export async function failure(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "no failure";
}

/** Polls until the condition holds. */
export async function eventually(holds: () => boolean, withinMs = 5_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!holds()) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function engineSuite(suite: Suite): void {
  describe(`engine: ${suite.name}`, function () {
    this.timeout(60_000);
    let engine: Engine;
    let model: EngineModel;

    before(async () => {
      engine = await suite.make();
      model = await engine.start();
    });
    after(() => engine.stop());

    it("tells its context and is up when it has started", () => {
      expect(model.contextTokens).to.be.greaterThan(0);
      expect(model.dimensions).to.equal(0);
      expect(engine.load()).to.include({ up: true, running: 0, queued: 0 });
    });

    it("answers a chat: start, deltas, end, with counts that add up", async () => {
      const events = await collect(engine, chat("Once upon a time", {}, 20));
      expect(events[0]!.type).to.equal("start");
      expect(events.slice(1, -1).every((event) => event.type === "delta")).to.equal(true);
      expect(textOf(events)).to.not.equal("");
      expect(endOf(events).outputTokens).to.equal(tokensOf(events)).and.to.be.within(1, 20);
      expect(endOf(events).inputTokens).to.be.greaterThan(0);
    });

    it("answers a completion, the same one for the same prompt at temperature 0", async () => {
      const [a, b] = [await collect(engine, completion("Once upon", {}, 16)), await collect(engine, completion("Once upon", {}, 16))];
      expect(textOf(a)).to.equal(textOf(b)).and.to.not.equal("");
    });

    it("never generates more than is paid for, nor than was asked for", async () => {
      const paid = endOf(await collect(engine, chat("tell me a story", { max_tokens: 1_000 }, 5)));
      const asked = endOf(await collect(engine, chat("tell me a story", { max_tokens: 3 }, 50)));
      expect(paid).to.include({ finishReason: "length" });
      expect(paid.outputTokens).to.be.at.most(5);
      expect(asked.outputTokens).to.be.at.most(3);
    });

    it("rejects a prompt that the context does not hold, and stays well", async () => {
      expect(await failure(collect(engine, completion("a b ".repeat(suite.tooLongBytes / 4))))).to.equal("input_rejected");
      expect(textOf(await collect(engine, completion("Once", {}, 4)))).to.not.equal("");
    });

    it("finishes more requests than it has places for, each whole", async () => {
      const alone = textOf(await collect(engine, completion("Once upon a time", {}, 12)));
      const many = await Promise.all(Array.from({ length: suite.places * 3 }, () => collect(engine, completion("Once upon a time", {}, 12))));
      for (const events of many) expect(textOf(events)).to.equal(alone);
      expect(engine.load().running).to.equal(0);
    });

    it("counts its load while it works, and nothing afterwards", async () => {
      const stop = new AbortController();
      const runs = Array.from({ length: suite.places + 1 }, () => collect(engine, chat("a long story", {}, 200), stop.signal));
      await eventually(() => engine.load().running === suite.places && engine.load().queued >= 1);
      stop.abort();
      await Promise.all(runs);
      expect(engine.load()).to.include({ running: 0, queued: 0, queuedTokens: 0, kvUsedTokens: 0 });
    });

    it("stops when it is aborted, without an end, and frees the place", async () => {
      for (let i = 0; i < suite.places * 2; i++) {
        const stop = new AbortController();
        const events: EngineEvent[] = [];
        for await (const event of engine.run(chat("a story", {}, 200), stop.signal)) {
          events.push(event);
          if (events.length === 3) stop.abort();
        }
        expect(events.at(-1)!.type).to.not.equal("end");
      }
      expect(textOf(await collect(engine, chat("again", {}, 4)))).to.not.equal("");
    });

    it("lets go of a request whose reader leaves", async () => {
      for await (const event of engine.run(chat("a story", {}, 200), new AbortController().signal)) if (event.type === "delta") break;
      await eventually(() => engine.load().running === 0);
      expect(textOf(await collect(engine, chat("again", {}, 4)))).to.not.equal("");
    });
  });
}
