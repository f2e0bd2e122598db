// What a node knows of the chain while the chain is silent, by a clock that the test moves.
import { expect } from "chai";
import { ChainView } from "../../../node/serve/chainView.ts";
import { NODE_ID, RELAYER_ID, TestChain } from "../fixtures.ts";
import { ZERO_HASH } from "../../../protocol/units.ts";
import type { Clock } from "../../../node/ports.ts";

class World {
  nowMs = 0;
  readonly chain: TestChain;
  readonly view: ChainView;

  constructor(windowSeconds: number) {
    const clock: Clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs, sleep: async () => {} };
    this.chain = Object.assign(new TestChain(), { windowSeconds });
    this.view = new ChainView(this.chain, clock);
  }

  /** All that a request makes the node ask. @returns how many of the questions are answered */
  async answered(): Promise<number> {
    const { session, relayerKey, self, tideMultiplier } = this.view;
    const all = await Promise.allSettled([session(ZERO_HASH), relayerKey(RELAYER_ID, 1), self(NODE_ID), tideMultiplier(RELAYER_ID, ZERO_HASH)]);
    return all.filter(({ status }) => status === "fulfilled").length;
  }

  async serveFor(ms: number): Promise<void> {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.nowMs += 500) expect(await this.answered()).to.equal(4);
  }
}

describe("a node's view of the chain", () => {
  it("answers for three quarters of W of an outage, whenever it begins, and for no longer than W", async () => {
    for (const windowSeconds of [8, 20, 600]) {
      const wMs = windowSeconds * 1_000;
      for (let servedMs = 500; servedMs <= 3 * wMs; servedMs += wMs / 8) {
        const world = new World(windowSeconds);
        await world.serveFor(servedMs);
        world.chain.unreachable = true;
        world.nowMs += 0.74 * wMs - 500;
        expect(await world.answered(), `W ${windowSeconds} s, after ${servedMs} ms`).to.equal(4);
        world.nowMs += 0.27 * wMs;
        expect(await world.answered(), `W ${windowSeconds} s, after ${servedMs} ms and W`).to.equal(0);
      }
    }
  });

  it("asks again for a key before it may have been closed for longer than W", async () => {
    const world = new World(20);
    await world.serveFor(1_000);
    world.chain.closedAt = 5;
    world.nowMs += 10_000;
    expect((await world.view.relayerKey(RELAYER_ID, 1))!.closedAt).to.equal(5);
  });
});
