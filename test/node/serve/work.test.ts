// What a node signs for, in every way that an attempt can end.
import { expect } from "chai";
import { Status } from "../../../protocol/constants.ts";
import { checkRecord } from "../../../protocol/records.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { outputSalt, textCommit } from "../../../protocol/ids.ts";
import { recoverWithViem } from "../../../protocol/signing.ts";
import { ZERO_HASH } from "../../../protocol/units.ts";
import type { AttemptEvent, AttemptRequest } from "../../../protocol/link.ts";
import { DETACHED_MS } from "../../../node/serve/attempts.ts";
import { Attempt } from "../../../node/serve/attempt.ts";
import { Attempts, KEPT_MS } from "../../../node/serve/attempts.ts";
import { domain, eventsOf, failsAfter, hangsAfter, nodeSigner, peer, relayerSigner, requestOf, says, strangerSigner } from "../fixtures.ts";
import { eventually } from "../engines/suite.ts";
import { ackOf, endOf, never, worldOf } from "./world.ts";

const hashOf = (request: AttemptRequest) => hashStruct("Assignment", request.assignment);

/** The record that a relayer would journal, checked as anybody would. */
async function findings(request: AttemptRequest, events: readonly AttemptEvent[]): Promise<string[]> {
  const end = endOf(events);
  const { covered, assignment, assignmentSignature } = request;
  return checkRecord({ ...covered, assignment, assignmentSignature, receipt: end.receipt, receiptSignature: end.signature },
    { domain, recover: recoverWithViem, nodeKey: async () => nodeSigner.address, relayerKey: async () => relayerSigner.address });
}

describe("work: what is signed", () => {
  it("signs for a whole answer: input, output, fee, commitment; an honest record", async () => {
    const world = worldOf();
    const request = await requestOf();
    const events = await world.send(request);
    expect(events.slice(0, -1)).to.deep.equal([{ type: "start", inputTokens: 5 }, { type: "delta", text: "one", tokens: 1 }, { type: "delta", text: " two", tokens: 1 }]);
    const { receipt, finishReason } = endOf(events);
    expect(finishReason).to.equal("stop");
    // 5 x 1 + 2 x 2 units, at prices per million tokens of as many millions.
    expect(receipt.body).to.deep.include({ status: Status.COMPLETE, inputTokens: 5, outputTokens: 2, fee: 9n, taskId: request.assignment.taskId, prevReceiptHash: ZERO_HASH });
    expect(receipt.nodeCumulative).to.equal(9n);
    expect(receipt.body.outputCommit).to.equal(textCommit(outputSalt(request.input.salt, hashOf(request)), "one two"));
    expect(await findings(request, events)).to.deep.equal([]);
  });

  it("announces what the input can be at most, and claims what was counted, or else estimated", async () => {
    const world = worldOf();
    world.engine.script = async function* (_request, signal) {
      yield { type: "start", inputTokens: 3, inputTokensMax: 40 };
      yield { type: "delta", text: "a", tokens: 1 };
      if (!signal.aborted) yield { type: "end", finishReason: "stop", inputTokens: 7, outputTokens: 1 };
    };
    const events = await world.send(await requestOf());
    expect(events[0]).to.deep.equal({ type: "start", inputTokens: 40 });
    expect(endOf(events).receipt.body.inputTokens).to.equal(7);
  });

  it("covers further members of a delta, too, in order", async () => {
    const world = worldOf();
    world.engine.script = async function* () {
      yield { type: "start", inputTokens: 1 };
      yield { type: "delta", text: "a", tokens: 1, extra: '{"tool_calls":[]}' };
      yield { type: "delta", text: "b", tokens: 1 };
      yield { type: "end", finishReason: "stop", inputTokens: 1, outputTokens: 2 };
    };
    const request = await requestOf();
    expect(endOf(await world.send(request)).receipt.body.outputCommit).to.equal(textCommit(outputSalt(request.input.salt, hashOf(request)), 'a{"tool_calls":[]}b'));
  });

  it("chains the receipts of a tab, whatever order their attempts end in", async () => {
    const world = worldOf({ slots: 20 });
    const requests = await Promise.all(Array.from({ length: 12 }, () => requestOf()));
    const ends = (await Promise.all(requests.map((request) => world.send(request)))).map(endOf).sort((a, b) => (a.receipt.nodeSeq < b.receipt.nodeSeq ? -1 : 1));
    ends.forEach(({ receipt }, i) => {
      expect(receipt.nodeCumulative).to.equal(9n * BigInt(i + 1));
      expect(receipt.body.prevReceiptHash).to.equal(i === 0 ? ZERO_HASH : hashStruct("TaskReceipt", ends[i - 1]!.receipt));
    });
  });

  it("remembers a receipt before its signature leaves", async () => {
    const world = worldOf();
    const events = await world.send(await requestOf());
    expect(world.store.entries.map((entry) => entry.receiptHash)).to.deep.equal([hashStruct("TaskReceipt", endOf(events).receipt)]);
  });

  it("signs nothing when the disk fails", async () => {
    const world = worldOf();
    world.store.failing = true;
    const events = await world.send(await requestOf());
    expect(events.at(-1)).to.include({ type: "failed", code: "store_failed" });
  });

  it("keeps within the share, and tells the engine how much is paid for", async () => {
    const world = worldOf();
    world.engine.script = says(Array.from({ length: 40 }, () => "x"));
    const request = await requestOf({ assignment: { shareCap: 20n } });
    const events = await world.send(request);
    // A charge of 20 holds a fee of 20 at 300 bps, because the relayer's part is rounded down; 20 units pay 10 tokens.
    expect(world.engine.seen?.maxOutTokens).to.equal(11);
    expect(endOf(events).receipt.body.fee).to.equal(20n);
    expect(await findings(request, events)).to.deep.equal([]);
  });

  it("never claims more output than was ordered", async () => {
    const world = worldOf();
    world.engine.script = says(Array.from({ length: 10 }, () => "x"));
    const request = await requestOf({ order: { maxOutTokens: 4 } });
    const events = await world.send(request);
    expect(endOf(events).receipt.body.outputTokens).to.equal(4);
    expect(await findings(request, events)).to.deep.equal([]);
  });
});

describe("work: what ends early", () => {
  it("signs a cancelled attempt for its input and what was delivered", async () => {
    const world = worldOf();
    world.engine.script = hangsAfter(["one", " two", " three"]);
    const request = await requestOf();
    const events: AttemptEvent[] = [];
    for await (const event of world.agent.attempt(peer, request, never)) {
      events.push(event);
      if (events.length === 4) world.agent.cancel(peer, { assignmentHash: hashOf(request), reason: "client" });
    }
    const end = endOf(events);
    expect(end.finishReason).to.equal("cancelled");
    expect(end.receipt.body).to.include({ status: Status.CANCELLED, inputTokens: 5, outputTokens: 3, fee: 11n });
    expect(await findings(request, events)).to.deep.equal([]);
    expect(world.engine.running).to.equal(0);
  });

  it("ignores a cancel from another relayer", async () => {
    const world = worldOf();
    const request = await requestOf();
    const read = world.send(request);
    world.agent.cancel({ ...peer, relayerId: 99 }, { assignmentHash: hashOf(request), reason: "relayer" });
    expect(endOf(await read).finishReason).to.equal("stop");
  });

  it("signs nothing for an attempt that is cancelled before the engine began", async () => {
    const world = worldOf();
    world.engine.script = async function* (_request, signal) { await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())); };
    const request = await requestOf();
    const read = world.send(request);
    await eventually(() => world.engine.running === 1);
    world.agent.cancel(peer, { assignmentHash: hashOf(request), reason: "client" });
    expect(await read).to.have.length(1);
    expect((await read)[0]).to.include({ type: "failed", code: "cancelled" });
    expect(world.store.entries).to.have.length(0);
  });

  it("signs an attempt that the engine broke off for its output only", async () => {
    const world = worldOf();
    world.engine.script = failsAfter(["one", " two"]);
    const request = await requestOf();
    const events = await world.send(request);
    expect(endOf(events).finishReason).to.equal("error");
    expect(endOf(events).receipt.body).to.include({ status: Status.ABORTED, inputTokens: 0, outputTokens: 2, fee: 4n });
    expect(await findings(request, events)).to.deep.equal([]);
  });

  it("signs nothing where the engine failed before any output", async () => {
    for (const script of [failsAfter([]), failsAfter([], false)]) {
      const world = worldOf();
      world.engine.script = script;
      expect((await world.send(await requestOf())).at(-1)).to.include({ type: "failed", code: "engine_crashed" });
      expect(world.store.entries).to.have.length(0);
    }
  });

  it("takes the same assignment again when nothing came of it", async () => {
    const world = worldOf();
    const request = await requestOf();
    world.engine.script = failsAfter([]);
    await world.send(request);
    world.engine.script = says(["again"]);
    expect(endOf(await world.send(request)).finishReason).to.equal("stop");
  });

  it("drains: lets what runs finish, and aborts what does not in time", async () => {
    const world = worldOf();
    const ended = world.send(await requestOf());
    await world.agent.drain(5_000);
    expect(endOf(await ended).receipt.body.status).to.equal(Status.COMPLETE);

    const stuck = worldOf();
    stuck.engine.script = hangsAfter(["one"]);
    const aborted = stuck.send(await requestOf());
    await eventually(() => stuck.engine.running === 1);
    await stuck.agent.drain(50);
    expect(endOf(await aborted).receipt.body).to.include({ status: Status.ABORTED, inputTokens: 0, outputTokens: 1 });
  });

  it("paces all attempts together", async () => {
    const world = worldOf({ slots: 4, paceTokensPerSecond: 100 });
    world.engine.script = says(Array.from({ length: 10 }, () => "x"));
    const since = performance.now();
    await Promise.all((await Promise.all([requestOf(), requestOf(), requestOf()])).map((request) => world.send(request)));
    expect(performance.now() - since).to.be.within(230, 2_000);
  });
});

describe("work: who reads", () => {
  it("goes on when its reader leaves, and hands the rest to whoever attaches", async () => {
    const world = worldOf();
    let release = (): void => {};
    world.engine.script = async function* () {
      yield { type: "start", inputTokens: 5 };
      yield { type: "delta", text: "one", tokens: 1 };
      await new Promise<void>((resolve) => { release = resolve; });
      yield { type: "delta", text: " two", tokens: 1 };
      yield { type: "end", finishReason: "stop", inputTokens: 5, outputTokens: 2 };
    };
    const request = await requestOf();
    const leaves = new AbortController();
    const seen: AttemptEvent[] = [];
    for await (const event of world.agent.attempt(peer, request, leaves.signal)) {
      seen.push(event);
      if (event.type === "delta") leaves.abort();
    }
    expect(seen).to.have.length(2);
    const other = { ...peer, process: `0x${"0e".repeat(32)}` } as const;
    const rest = eventsOf(world.agent.attach(other, hashOf(request), seen.length, never)!);
    release();
    expect((await rest).map((event) => event.type)).to.deep.equal(["delta", "end"]);
    expect(world.engine.worked).to.equal(1);
  });

  it("shows an attempt to nobody but its relayer, and knows nothing of others", async () => {
    const world = worldOf();
    const request = await requestOf();
    await world.send(request);
    expect(world.agent.attach({ ...peer, relayerId: 99 }, hashOf(request), 0, never)).to.equal(null);
    expect(world.agent.attach(peer, `0x${"00".repeat(32)}`, 0, never)).to.equal(null);
  });

  it("stops work that nobody came back for, and drops old output", async () => {
    const attempts = new Attempts(new Map());
    const attempt = attempts.open("0x01", 1, 1_000);
    attempts.sweep(1_000 + DETACHED_MS);
    expect(attempt.signal.aborted).to.equal(false);
    attempts.sweep(1_001 + DETACHED_MS);
    expect(attempt.stopReason).to.equal("detached");
    attempt.end(20_000);
    attempts.sweep(20_000 + KEPT_MS);
    expect(attempts.get("0x01")).to.equal(attempt);
    attempts.sweep(20_001 + KEPT_MS);
    expect(attempts.get("0x01")).to.equal(undefined);
  });

  it("drops the oldest output first when there is too much of it", () => {
    const attempts = new Attempts(new Map());
    for (let i = 0; i < 5; i++) {
      const attempt = attempts.open(`0x0${i}`, 1, i);
      attempt.push({ type: "delta", text: "x".repeat(10_000_000), tokens: 1 });
      attempt.end(i);
    }
    attempts.sweep(10);
    expect(attempts.get("0x00")).to.equal(undefined);
    expect(attempts.get("0x01")).to.equal(undefined);
    expect(attempts.get("0x04")).to.not.equal(undefined);
  });

  it("tells whose attempts run, of at most 256 processes", () => {
    const attempts = new Attempts(new Map());
    for (let i = 0; i < 300; i++) void attempts.open(`0x${i.toString(16)}`, 1, 0).read(0, `process ${i % 280}`, () => 0, never).next();
    attempts.get("0x1")!.end(1);
    const presences = attempts.presences();
    expect(presences).to.have.length(256);
    expect(presences.slice(0, 3)).to.deep.equal([{ party: "process 0", running: 2 }, { party: "process 2", running: 2 }, { party: "process 3", running: 2 }]);
  });

  it("remembers a worked assignment until its deadline", () => {
    const attempts = new Attempts(new Map([["0x01", 100]]));
    attempts.worked("0x02", 300);
    attempts.sweep(200_000);
    expect([attempts.wasWorked("0x01"), attempts.wasWorked("0x02")]).to.deep.equal([false, true]);
  });

  it("keeps the first reason to stop", () => {
    const attempt = new Attempt("0x01", 1, 0);
    attempt.stop("client");
    attempt.stop("drain");
    expect(attempt.stopReason).to.equal("client");
  });
});

describe("acks", () => {
  it("are taken when the relayer signed them for a receipt that waits, and count as owed from then on", async () => {
    const world = worldOf();
    const end = endOf(await world.send(await requestOf()));
    const sessionId = end.receipt.body.sessionId;
    await world.agent.acks(peer, [await ackOf(end, strangerSigner)]);
    expect(world.store.unacked()).to.have.length(1);
    await world.agent.acks(peer, [await ackOf(end)]);
    expect(world.store.unacked()).to.have.length(0);
    expect(world.store.sessionCharges(sessionId)).to.equal(9n);
    await world.agent.acks(peer, [await ackOf(end)]);
    expect(world.store.sessionCharges(sessionId)).to.equal(9n);
  });

  it("are not taken from another relayer's connection", async () => {
    const world = worldOf();
    const end = endOf(await world.send(await requestOf()));
    await world.agent.acks({ ...peer, relayerId: 99 }, [await ackOf(end)]);
    expect(world.store.unacked()).to.have.length(1);
  });
});
