import { expect } from "chai";
import fc from "fast-check";
import { backoffMs, Dialler, registeredIdOf } from "../../../node/serve/dial.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { systemDice } from "../../../node/adapters/clock.ts";
import { RELAYER_ID, silentLog, TestChain, TestLinks } from "../fixtures.ts";
import { eventually } from "../engines/suite.ts";
import { worldOf } from "./world.ts";
import type { Clock, RelayerLinks } from "../../../node/ports.ts";
import type { Hash } from "../../../protocol/units.ts";

describe("dialling", () => {
  it("property: waits longer with each failure, at most 15 s, half of it by chance", () => {
    fc.assert(fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, unit) => {
      for (const isAway of [true, false]) {
        const wait = backoffMs(failures, unit, isAway);
        expect(wait).to.be.within(100, 15_000);
        expect(backoffMs(failures + 1, unit, isAway)).to.be.at.least(wait);
        expect(wait).to.be.at.least(backoffMs(failures, 0.999, isAway) / 2);
        expect(wait).to.be.at.least(backoffMs(failures, unit, true));
      }
    }));
  });

  it("dials again for as long as it is wanted, and forgets old failures after a good connection", async () => {
    const stop = new AbortController();
    const waits: number[] = [];
    let now = 0;
    const clock: Clock = { nowMs: () => now, monotonicMs: () => now, sleep: async (ms) => void waits.push(ms) };
    const links = new TestLinks();
    let dialled = 0;
    links.serve = async () => {
      dialled++;
      if (dialled === 6) now += 60_000;
      else if (dialled === 8) stop.abort();
      else throw new TidelaneError("test", { code: dialled < 5 ? "link_failed" : "link_refused" });
    };
    await new Dialler(1, worldOf().agent, { links, chain: new TestChain(), clock, dice: { ...systemDice, unit: () => 0 }, log: silentLog }).run(["http://127.0.0.1:1"], stop.signal);
    expect(waits).to.deep.equal([200, 400, 500, 500, 3_200, 100, 200, 400]);
  });
});

/** Relayer processes by address: each tells its name and the others', and stays linked until it is cut. */
class Processes extends TestLinks {
  readonly dialled: string[] = [];
  readonly linked = new Map<string, () => void>();
  readonly answers = new Map<string, { readonly process?: string; readonly processes?: readonly string[]; readonly relayerId?: number }>();
  override serve: RelayerLinks["serve"] = async (url, _nodeId, _handler, signal, onProved) => {
    this.dialled.push(url);
    const answer = this.answers.get(url);
    if (!answer) throw new TidelaneError("test", { code: "link_failed" });
    onProved?.({
      relayerId: answer.relayerId ?? RELAYER_ID, relayerEpoch: 1, nodeNonce: "0x", relayerNonce: "0x", signature: "0x",
      process: (answer.process ?? null) as Hash | null, processes: answer.processes ?? [],
    });
    const ended = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    this.linked.set(url, ended.resolve);
    await ended.promise;
    this.linked.delete(url);
  };
}

describe("dialling: which addresses", () => {
  const [a, b, c] = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"] as const;
  let stop: AbortController;
  let links: Processes;
  let chain: TestChain;
  let running: Promise<void>;
  /** Sleeps take no time but a turn, so that everything that can happen soon does. */
  const clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() * 1_000, sleep: () => new Promise((resolve) => setTimeout(resolve, 1)) };
  const run = (...listed: string[]): void => {
    running = new Dialler(1, worldOf().agent, { links, chain, clock, dice: systemDice, log: silentLog }).run(listed, stop.signal);
  };
  const linkedAre = (...urls: string[]): Promise<void> => eventually(() => [...links.linked.keys()].sort().join() === urls.join());

  beforeEach(() => { [stop, links, chain] = [new AbortController(), new Processes(), new TestChain()]; });
  afterEach(async () => {
    stop.abort();
    await running;
    expect(links.linked.size).to.equal(0);
  });

  it("links each process that the relayer names, once, however often it is named", async () => {
    links.answers.set(a, { process: "A", processes: [b, c] }).set(b, { process: "B", processes: [a, c] }).set(c, { process: "C", processes: [a, `${b}/`] });
    run(a);
    await linkedAre(a, b, c);
    expect([...links.dialled].sort()).to.deep.equal([a, b, c]);
  });

  it("does not let two addresses of one process throw each other out, and takes the other one when the first goes", async () => {
    links.answers.set(a, { process: "A" }).set(b, { process: "A" });
    run(a, b);
    await eventually(() => links.dialled.filter((url) => url === b).length >= 3);
    await linkedAre(a);
    links.answers.delete(a);
    links.linked.get(a)!();
    await linkedAre(b);
  });

  it("gives up what was named only when it fails and is named no more", async () => {
    links.answers.set(a, { process: "A", processes: [b] }).set(b, { process: "B" });
    run(a);
    await linkedAre(a, b);
    links.answers.set(a, { process: "A2", processes: [] });
    links.linked.get(a)!();
    await eventually(() => links.dialled.filter((url) => url === a).length === 2);
    await linkedAre(a, b);
    links.answers.delete(b);
    links.linked.get(b)!();
    await linkedAre(a);
    const dialled = links.dialled.filter((url) => url === b).length;
    links.linked.get(a)!();
    await eventually(() => links.dialled.filter((url) => url === a).length === 3);
    expect(links.dialled.filter((url) => url === b).length).to.equal(dialled);
  });

  it("takes nobody else for a process of the relayer that named it", async () => {
    links.answers.set(a, { process: "A", processes: [b] }).set(b, { process: "B", relayerId: RELAYER_ID + 1 });
    run(a);
    await eventually(() => links.dialled.filter((url) => url === b).length >= 2);
    await linkedAre(a);
  });

  it("finds a relayer in the registry, and again where it moved", async () => {
    chain.endpoint = a;
    links.answers.set(a, { process: "A" });
    run(`relayer:${RELAYER_ID}`);
    await linkedAre(a);
    chain.endpoint = b;
    links.answers.delete(a);
    links.answers.set(b, { process: "A" });
    links.linked.get(a)!();
    await linkedAre(b);
  });

  it("waits for a relayer that the registry does not know yet, or while the chain is away", async () => {
    run(`relayer:${RELAYER_ID}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    chain.unreachable = true;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(links.dialled).to.have.length(0);
    chain.unreachable = false;
    chain.endpoint = a;
    links.answers.set(a, {});
    await linkedAre(a);
  });

  it("tells a relayer's number from everything else", () => {
    expect([registeredIdOf("relayer:7"), registeredIdOf("relayer:4294967295")]).to.deep.equal([7, 4_294_967_295]);
    for (const text of ["relayer:0", "relayer:", "relayer:4294967296", "relayer:x", "relayer:7/", "https://relayer:7"]) expect(registeredIdOf(text), text).to.equal(null);
  });
});
