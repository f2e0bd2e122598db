import { expect } from "chai";
import { Tide } from "../../../relayer/loops/tide.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { ManualClock } from "../work/fleetRig.ts";
import type { Hash } from "../../../protocol/units.ts";

const MODEL: Hash = `0x${"aa".repeat(32)}`;
const model = (i: number): Hash => `0x${i.toString(16).padStart(64, "0")}`;

class Board {
  multiplier = 1_125_000;
  isSilent = false;
  readonly asked: Hash[] = [];

  async tideMultiplier(relayerId: number, modelId: Hash): Promise<number> {
    expect(relayerId).to.equal(3);
    this.asked.push(modelId);
    if (this.isSilent) throw new TidelaneError("test: away", { code: "chain_unreachable", retryable: true });
    return this.multiplier;
  }
}

const tideOn = (reader: Board): Tide => new Tide({ clock: new ManualClock(), log: silentLog, metrics: noMetrics, relayerId: 3, reader });

describe("the tide as a relayer reads it", () => {
  it("is one for a model that nobody asked for, and the board's once it is ready", async () => {
    const tide = tideOn(new Board());
    expect(tide.multiplierOf(MODEL)).to.equal(TIDE_ONE);
    await tide.ready(MODEL);
    expect(tide.multiplierOf(MODEL)).to.equal(1_125_000);
  });

  it("reads a model once for all who wait for it, then once in each round", async () => {
    const board = new Board();
    const tide = tideOn(board);
    await Promise.all([tide.ready(MODEL), tide.ready(MODEL), tide.ready(MODEL)]);
    await tide.ready(MODEL);
    expect(board.asked).to.deep.equal([MODEL]);
    board.multiplier = 1_000_000;
    await tide.round();
    expect(board.asked).to.have.length(2);
    expect(tide.multiplierOf(MODEL)).to.equal(1_000_000);
  });

  it("keeps what it read last while the chain is silent, and goes on afterwards", async () => {
    const board = new Board();
    const tide = tideOn(board);
    await tide.ready(MODEL);
    board.isSilent = true;
    await tide.round();
    await tide.ready(model(1));
    expect([tide.multiplierOf(MODEL), tide.multiplierOf(model(1))]).to.deep.equal([1_125_000, TIDE_ONE]);
    board.isSilent = false;
    await tide.round();
    expect(tide.multiplierOf(model(1))).to.equal(1_125_000);
  });

  it("reads many models in turns, none twice before every other once", async () => {
    const board = new Board();
    const tide = tideOn(board);
    for (let i = 0; i < 100; i++) await tide.ready(model(i));
    board.asked.length = 0;
    await tide.round();
    expect(board.asked).to.have.length(64);
    await tide.round();
    expect(new Set(board.asked).size).to.equal(100);
  });

  it("ends when it is told to", async () => {
    const stop = new AbortController();
    stop.abort();
    await tideOn(new Board()).run(stop.signal);
  });
});
