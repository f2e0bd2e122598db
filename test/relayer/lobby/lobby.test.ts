// The lobby as a whole: bounded, fair, honest about the wait.
import { expect } from "chai";
import { Tally } from "../../../relayer/lobby/tally.ts";
import { Lobby, LOBBY, type LobbyRequest } from "../../../relayer/lobby/lobby.ts";

interface Request extends LobbyRequest {
  readonly name: string;
}

const request = (name: string, more: Partial<LobbyRequest> = {}): Request =>
  ({ name, payer: "p", conversation: "", inputTokens: 100, expectedOutTokens: 50, latestStartMs: 1e9, waitMsMax: Infinity, dueMs: null, weight: 1, ...more });

describe("the lobby", () => {
  it("starts whoever finds a place, in fair order", () => {
    const lobby = new Lobby<Request>();
    for (const name of ["a", "b", "c"]) expect(lobby.offer(request(name), 0).admitted).to.equal(true);
    const started: string[] = [];
    expect(lobby.pump(0, () => 0, (one) => started.length < 2 && started.push(one.name) > 0)).to.equal(2);
    expect(started).to.deep.equal(["a", "b"]);
    expect(lobby.waiting).to.equal(1);
  });

  it("is not held up by one that fits nowhere, and takes the best match of the few in front", () => {
    const lobby = new Lobby<Request>();
    for (const name of ["stuck", "poor", "good"]) lobby.offer(request(name), 0);
    const fits: Record<string, number> = { stuck: Infinity, poor: 1.5, good: 1 };
    const started: string[] = [];
    lobby.pump(0, (one) => fits[one.name]!, (one) => started.push(one.name) > 0);
    expect(started).to.deep.equal(["good", "poor"]);
  });

  it("lets in beside a line who would be thinned and has a place that nobody there could use, as long as it knows the whole line", () => {
    const thinnedAt = (hasPlace: boolean) => {
      const lobby = new Lobby<Request>();
      const [lines, thinned] = [[] as number[], [] as number[]];
      for (let i = 0; i < 200; i++) {
        const { admitted } = lobby.offer(request(`${i}`), 100 * i, (line) => lines.push(line.length) > 0 && hasPlace);
        if (!admitted) thinned.push(lobby.waiting);
      }
      return { asked: lines.length, lines: new Set(lines).size, first: thinned[0] ?? Infinity };
    };
    const [none, has] = [thinnedAt(false), thinnedAt(true)];
    expect(none.first).to.be.below(LOBBY.lookAhead);
    expect(none.asked).to.be.above(0);
    expect(has.first).to.equal(LOBBY.lookAhead);
    expect(has.lines).to.be.above(1);
  });

  it("does not pass over those who wait for ever beyond its patience", () => {
    const lobby = new Lobby<Request>();
    lobby.offer(request("old", { latestStartMs: Infinity }), 0);
    lobby.offer(request("new", { latestStartMs: Infinity }), LOBBY.patienceMs);
    const started: string[] = [];
    lobby.pump(LOBBY.patienceMs + 1, (one) => (one.name === "old" ? 9 : 1), (one) => started.push(one.name) > 0);
    expect(started).to.deep.equal(["old", "new"]);
  });

  it("weighs a match against how near somebody is to being too late", () => {
    const orderAt = (nowMs: number): string[] => {
      const lobby = new Lobby<Request>({ ...LOBBY, urgency: 0.1 });
      lobby.offer(request("old", { latestStartMs: 1_000 }), 0);
      lobby.offer(request("new", { latestStartMs: 1_990 }), 990);
      const started: string[] = [];
      lobby.pump(nowMs, (one) => (one.name === "old" ? 1.05 : 1), (one) => started.push(one.name) > 0);
      return started;
    };
    expect(orderAt(995)).to.deep.equal(["old", "new"]);
    const lobby = new Lobby<Request>({ ...LOBBY, urgency: 0.1 });
    for (const name of ["poor", "good"]) lobby.offer(request(name, { latestStartMs: 1_000 }), 0);
    const started: string[] = [];
    lobby.pump(0, (one) => (one.name === "poor" ? 1.05 : 1), (one) => started.push(one.name) > 0);
    expect(started).to.deep.equal(["good", "poor"]);
  });

  it("lets in another of the same size for one whose time ran out in the line", () => {
    const lobby = new Lobby<Request>({ ...LOBBY, waitingPerPayerMax: 1e6, waitingMax: 1e6 });
    for (let ms = 0; ms < 30_000; ms += 10) lobby.offer(request("w", { latestStartMs: Infinity }), ms);
    const lost: string[] = [];
    for (let i = 0; i < 400; i++) {
      const verdict = lobby.offer(request("hurry"), 30_001);
      if (!verdict.admitted) continue;
      expect(lobby.expire(verdict.entry)).to.equal(true);
      expect(lobby.expire(verdict.entry)).to.equal(false);
      lost.push("hurry");
    }
    // Refused is a good half; with every loss made good nearly all are let in.
    expect(lost.length).to.be.above(300);
  });

  it("has room for so many, and for so many of one payer", () => {
    const lobby = new Lobby<Request>({ ...LOBBY, waitingMax: 3, waitingPerPayerMax: 2 });
    const reasons = ["p", "p", "p", "q", "r"].map((payer) => lobby.offer(request("x", { payer }), 0)).map((one) => (one.admitted ? "in" : one.reason));
    expect(reasons).to.deep.equal(["in", "in", "payer_full", "in", "lobby_full"]);
  });

  it("keeps room for others, however few payers would fill it", () => {
    const lobby = new Lobby<Request>({ ...LOBBY, waitingMax: 1_000, waitingPerPayerMax: 250 });
    for (let i = 0; i < 1_000; i++) for (const payer of ["a", "b", "c", "d"]) lobby.offer(request("x", { payer, latestStartMs: Infinity, dueMs: i % 2 === 0 ? 1e6 : null }), 0);
    expect(lobby.waiting + lobby.deferred).to.be.within(780, 820);
    const others = Array.from({ length: 150 }, (_, i) => lobby.offer(request("x", { payer: `other ${i}`, latestStartMs: Infinity }), 0).admitted);
    expect(others.every((one) => one)).to.equal(true);
  });

  it("tells at once who comes too late, and when to come again", () => {
    const lobby = new Lobby<Request>();
    const verdict = lobby.offer(request("late", { latestStartMs: 5 }), 10);
    expect(verdict).to.deep.equal({ admitted: false, reason: "too_late", retryAfterMs: 1_000 });
  });

  it("predicts the wait by the rate at which the line moves, within a tenth once it is steady", () => {
    const lobby = new Lobby<Request>();
    const waiting = request("w", { latestStartMs: Infinity });
    for (let i = 0; i < 400; i++) lobby.offer(waiting, 0);
    for (let ms = 0; ms < 10_000; ms += 100) lobby.pump(ms, () => 0, ((left) => () => left-- > 0)(2));
    const verdict = lobby.offer(waiting, 10_000);
    // 200 are left and 20 start each second.
    expect(lobby.waiting).to.equal(201);
    expect(verdict.admitted && verdict.expectedStartMs - 10_000).to.be.within(9_000, 11_000);
  });

  it("never thins those who said that they will wait", () => {
    const lobby = new Lobby<Request>({ ...LOBBY, waitingPerPayerMax: 1e6, waitingMax: 1e6 });
    for (let ms = 0; ms < 30_000; ms += 10) lobby.offer(request("w", { latestStartMs: Infinity }), ms);
    expect(lobby.waiting).to.equal(3_000);
    expect(lobby.refusedPart).to.be.above(0.5);
    const kept = Array.from({ length: 100 }, () => lobby.offer(request("hurry"), 30_001)).filter((one) => one.admitted).length;
    expect(kept).to.be.below(60);
  });

  it("turns nobody away for a line of those who wait before whom it is entitled to start, and lets it start before them", () => {
    const lobby = new Lobby<Request>();
    const started: string[] = [];
    for (let i = 0; i < 500; i++) lobby.offer(request(`greedy ${i}`, { payer: "greedy", latestStartMs: Infinity }), 0);
    for (let nowMs = 100; nowMs <= 30_000; nowMs += 100) {
      if (nowMs > 2_000 && nowMs % 1_000 === 0) expect(lobby.offer(request(`modest ${nowMs}`, { payer: "modest", latestStartMs: nowMs + 1_850 }), nowMs)).to.include({ admitted: true });
      const before = started.length;
      lobby.pump(nowMs, () => 1, (one) => started.length === before && started.push(one.name) > 0);
      if (nowMs > 3_000 && nowMs % 1_000 === 700) expect(started.filter((name) => name.startsWith("modest"))).to.have.length(Math.floor(nowMs / 1_000) - 2);
    }
    expect(lobby.refusedPart, "who does not wait and asks for more is turned away as before").to.be.above(0.9);
    const verdicts = Array.from({ length: 50 }, (_, i) => lobby.offer(request(`${i}`, { payer: "modest", latestStartMs: 31_850 }), 30_000).admitted);
    expect(verdicts.filter((one) => one).length).to.be.within(2, 8);
  });

  it("is not held up by many payers in front who all fit nowhere, however many they are", () => {
    const lobby = new Lobby<Request>();
    for (let i = 0; i < 300; i++) lobby.offer(request("stuck", { payer: `one of many ${i}`, inputTokens: 10_000, latestStartMs: Infinity }), 0);
    for (let i = 0; i < 20; i++) lobby.offer(request(`${i}`, { payer: `other ${i}`, latestStartMs: Infinity }), 0);
    const started: string[] = [];
    for (let nowMs = 0; nowMs <= 1_000; nowMs += 50) lobby.pump(nowMs, (one) => (one.name === "stuck" ? Infinity : 1), (one) => started.push(one.name) > 0);
    expect(started).to.have.length(20);
    expect(lobby.waiting).to.equal(300);
  });

  it("charges a long answer to its payer afterwards", () => {
    const lobby = new Lobby<Request>();
    const long = request("long", { payer: "a" });
    lobby.offer(long, 0);
    lobby.pump(0, () => 0, () => true);
    lobby.finished(long, 5_000);
    lobby.offer(request("a", { payer: "a" }), 1);
    lobby.offer(request("b", { payer: "b" }), 1);
    const started: string[] = [];
    lobby.pump(1, () => 0, (one) => started.push(one.name) > 0);
    // A newcomer is lifted to the least present, so the order is that of arrival until more is served.
    expect(started.length).to.equal(2);
  });

  it("tells what it gave: what was started and what it turned out to cost, what was deferred, what was asked by those who will not wait", () => {
    const tally = new Tally();
    const lobby = new Lobby<Request>(LOBBY, tally);
    const told = (): unknown[] => tally.tell(++telling).map(({ payer, served, deferred, asked }) => [payer, served, deferred, asked]);
    let telling = 0;
    lobby.offer(request("hurried", { payer: "a" }), 0);
    lobby.offer(request("patient", { payer: "b", latestStartMs: Infinity }), 0);
    expect(told(), "nothing was started").to.deep.equal([["a", 0, 0, 200]]);
    lobby.pump(0, () => 0, () => true);
    lobby.finished(request("hurried", { payer: "a" }), 70);
    expect(told()).to.deep.equal([["a", 240, 0, 200], ["b", 200, 0, 0]]);
    lobby.offer(request("flex", { payer: "c", latestStartMs: Infinity, dueMs: 60_000 }), 0);
    lobby.pumpDeferred(0, () => true, () => 0, () => true);
    expect(told()[0]).to.deep.equal(["c", 200, 200, 0]);
  });

  it("counts what was given elsewhere in the line, in what is deferred and in what is let in", () => {
    const lobby = new Lobby<Request>();
    for (const payer of ["both", "here"]) for (let i = 0; i < 2; i++) lobby.offer(request(payer, { payer, latestStartMs: Infinity }), 0);
    for (const payer of ["both", "here"]) for (let i = 0; i < 2; i++) lobby.offer(request(`${payer}'s flex`, { payer, latestStartMs: Infinity, dueMs: 1e9 }), 0);
    lobby.givenElsewhere("both", { served: 500, deferred: 500, asked: 500 }, 0);
    const started: string[] = [];
    const start = (one: Request): boolean => started.push(one.name) > 0;
    lobby.pump(0, () => 0, start);
    lobby.pumpDeferred(0, () => true, () => 0, start);
    expect(started).to.deep.equal(["here", "here", "both", "both", "here's flex", "here's flex", "both's flex", "both's flex"]);
  });

  it("lets go of who leaves", () => {
    const lobby = new Lobby<Request>();
    const verdict = lobby.offer(request("gone"), 0);
    expect(verdict.admitted && lobby.remove(verdict.entry)).to.equal(true);
    expect(verdict.admitted && lobby.remove(verdict.entry)).to.equal(false);
    expect(lobby.pump(0, () => 0, () => true)).to.equal(0);
  });
});
