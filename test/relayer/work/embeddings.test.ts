// Tasks that make embeddings: whole or not at all; and what a deadline means for them and for texts.
import { expect } from "chai";
import { Status } from "../../../protocol/constants.ts";
import type { AttemptEvent } from "../../../protocol/link.ts";
import { until } from "../until.ts";
import { all, endOf, expectNothingCharged, failure, stored } from "./taskChecks.ts";
import { requestOf, worldOf, type Script, type ScriptedAttempt } from "./world.ts";

const embed = requestOf({ kind: "embeddings", model: "embed", isStreamed: false, maxOutTokens: null, prompt: { texts: ["a", "b"], bytes: 15, isPlainText: true } });

describe("a task of embeddings", () => {
  it("returns embeddings, which have no output tokens", async () => {
    const world = await worldOf(async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.embedding(0, [0.5, -1]);
      yield attempt.embedding(1, [2, 3]);
      yield await attempt.end();
    });
    const seen = await all(await world.tasks.start(embed));
    expect(seen.map((event) => event.type)).to.deep.equal(["embedding", "embedding", "end"]);
    expect(endOf(seen)).to.include({ inputTokens: 5, outputTokens: 0 });
  });

  it("refuses embeddings that are not all there, or not of the model's size", async () => {
    const vectors: Record<string, readonly [number, readonly number[]][]> = {
      "one short": [[0, [1, 2]]], "one twice": [[0, [1, 2]], [0, [1, 2]]], "one too many": [[0, [1, 2]], [1, [1, 2]], [2, [1, 2]]],
      "an index outside": [[0, [1, 2]], [2, [1, 2]]], "three dimensions": [[0, [1, 2, 3]], [1, [1, 2]]],
    };
    for (const [what, list] of Object.entries(vectors)) {
      const world = await worldOf(async function* (attempt) {
        yield { type: "start", inputTokens: 5 };
        for (const [index, values] of list) yield attempt.embedding(index, values);
        yield await attempt.end();
      });
      expect((await failure(world.tasks.start(embed))).details.reason, what).to.equal("bad_receipt");
      await expectNothingCharged(world);
    }
  });

  it("pays for the input of embeddings that their client gave up", async () => {
    const world = await worldOf(async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.embedding(0, [0.5, -1]);
      await attempt.cancelled;
      yield await attempt.end({ body: { status: Status.CANCELLED }, finishReason: "cancelled" });
    });
    const client = new AbortController();
    const starting = world.tasks.start({ ...embed, signal: client.signal });
    await until(() => world.requests.length === 1);
    client.abort();
    await all(await starting);
    expect(world.covers[0]!.charged).to.equal(5n);
  });

  it("cuts an answer at the order's deadline, pays for it, and says that it is short; half a list of embeddings is an error", async () => {
    const untilCancelled = (event: (attempt: ScriptedAttempt) => AttemptEvent): Script => async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield event(attempt);
      await attempt.cancelled;
      yield await attempt.end({ body: { status: Status.CANCELLED }, finishReason: "cancelled" });
    };
    const text = await worldOf(untilCancelled((attempt) => attempt.delta("Once")));
    text.orderSeconds = 0;
    const seen = await all(await text.tasks.start(requestOf()));
    expect(endOf(seen)).to.deep.include({ finishReason: "length", outputTokens: 1 });
    const vectors = await worldOf(untilCancelled((attempt) => attempt.embedding(0, [1, 2])));
    vectors.orderSeconds = 0;
    expect((await failure(vectors.tasks.start(embed))).code).to.equal("deadline_exceeded");
    for (const world of [text, vectors]) {
      expect(world.cancels.map((one) => one.reason)).to.deep.equal(["deadline"]);
      expect(world.covers[0]).to.deep.include({ charged: world === text ? 7n : 5n, released: false });
      expect((await stored(world)).attempts.map((one) => one.cause)).to.deep.equal([null]);
    }
  });
});
