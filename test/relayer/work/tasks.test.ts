// The life of a task against scripted nodes: what is delivered, journaled, charged, acked and released on every path.
import { expect } from "chai";
import { Status, RefusalReason } from "../../../protocol/constants.ts";
import { chargeDown } from "../../../protocol/fees.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { isSignedBy, signerOfKey } from "../../../protocol/signing.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { marksOf } from "../../../relayer/work/promptMarks.ts";
import type { TaskEvent } from "../../../relayer/work/taskLife.ts";
import { domain, relayer } from "../../protocol/honest.ts";
import { until } from "../until.ts";
import { all, endOf, expectNothingCharged, failure, stored, textOf } from "./taskChecks.ts";
import { answers, cut, model, requestOf, worldOf, type Script } from "./world.ts";

describe("a task", () => {
  it("streams, and is journaled, charged and acked before the client sees its end", async () => {
    const world = await worldOf(answers("Once", " upon", " a time"));
    const task = await world.tasks.start(requestOf());
    expect(task).to.include({ nodeId: 7, mode: "allowance", model: "tidelane/test@q8_0" });
    const seen: TaskEvent[] = [];
    let stepsAtEnd: string[] = [];
    for await (const event of task.events) {
      seen.push(event);
      if (event.type === "end") stepsAtEnd = [...world.steps];
    }
    expect(textOf(seen)).to.equal("Once upon a time");
    expect(stepsAtEnd).to.deep.equal(["journaled finished", "charged", "acked"]);
    const { attempts, state } = await stored(world);
    const { record, charge, ack } = attempts[0]!.signed!;
    expect(state).to.equal("finished");
    expect(record.receipt.body.fee).to.equal(11n);
    expect(charge).to.equal(chargeDown(11n, 300));
    expect(world.covers[0]).to.include({ charged: charge, released: false });
    expect(await isSignedBy(relayer.address, domain, "Ack", ack.ack, ack.signature)).to.equal(true);
    expect(endOf(seen)).to.deep.include({ finishReason: "stop", inputTokens: 5, outputTokens: 3 });
    expect(endOf(seen).cost).to.deep.equal({ task: task.taskId, node: 7, fee: "11", charge: "11", receipt: hashStruct("TaskReceipt", record.receipt) });
    expect(world.outcomes).to.deep.equal(["completed"]);
    expect(world.tasks.running).to.equal(0);
  });

  it("signs an assignment that holds, within the window and the order's limits", async () => {
    const world = await worldOf(answers("x"));
    await all(await world.tasks.start(requestOf()));
    const { assignment, assignmentSignature, covered } = world.requests[0]!;
    expect(await isSignedBy(relayer.address, domain, "Assignment", assignment, assignmentSignature)).to.equal(true);
    expect(assignment.deadline).to.be.at.most(assignment.issuedAt + 20);
    expect(assignment.shareCap).to.equal(covered.order.maxFee);
    expect(assignment.inputCommit).to.equal(covered.order.promptCommit);
  });

  it("asks for a node with what a conversation is called and what its prompt is, and with neither where there is none", async () => {
    const world = await worldOf(answers("x"));
    await all(await world.tasks.start(requestOf({ conversation: "mine" })));
    await all(await world.tasks.start(requestOf()));
    const [of, none] = world.chosen;
    expect(of).to.deep.include({ conversationKey: `${of!.sessionId}:mine`, promptMarks: marksOf(["Tell me a story"]) });
    expect(none).not.to.have.any.keys("conversationKey", "promptMarks");
  });

  it("holds a plain answer back until its receipt is good, and tries again whole where a node dies in the middle", async () => {
    const dies: Script = async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.delta("half an ans");
      throw cut();
    };
    const world = await worldOf(dies, answers("whole"));
    const seen = await all(await world.tasks.start(requestOf({ isStreamed: false })));
    expect(textOf(seen)).to.equal("whole");
    expect(world.chosen.map((one) => ({ attempt: one.attempt, cause: one.cause, exclude: one.exclude }))).to.deep.equal([
      { attempt: 0, cause: null, exclude: [] }, { attempt: 1, cause: "node_disconnected", exclude: [7] },
    ]);
    expect((await stored(world)).attempts.map((one) => [one.nodeId, one.cause, one.signed !== null])).to.deep.equal([[7, "node_disconnected", false], [8, null, true]]);
    expect(world.outcomes).to.deep.equal(["failed", "completed"]);
  });

  it("goes to another node after a signed refusal or an early failure, with the cause on record, and stops after three", async () => {
    const full: Script = async function* (attempt) { yield await attempt.refuse(RefusalReason.FULL); };
    const engine: Script = async function* () { yield { type: "start", inputTokens: 5 }; yield { type: "failed", code: "engine_down", message: "" }; };
    const world = await worldOf(full, engine, answers("third"));
    expect(textOf(await all(await world.tasks.start(requestOf())))).to.equal("third");
    expect((await stored(world)).attempts.map((one) => one.cause)).to.deep.equal(["refused_full", "engine_failed", null]);
    expect(world.outcomes).to.deep.equal(["refused_full", "failed", "completed"]);
    const hopeless = await worldOf(engine, engine, engine, answers("fourth"));
    expect(await failure(hopeless.tasks.start(requestOf()))).to.deep.include({ code: "generation_failed", details: { reason: "engine_failed", attempts: 3 } });
    expect(hopeless.requests).to.have.length(3);
    await expectNothingCharged(hopeless);
  });

  it("asks on where nodes cannot see the chain, until one has seen the payer's lock", async () => {
    const blind: Script = async function* () { yield { type: "failed", code: "chain_unreachable", message: "" }; };
    const world = await worldOf(blind, blind, blind, blind, answers("fifth"));
    expect(textOf(await all(await world.tasks.start(requestOf({ waitMsMax: 0 }))))).to.equal("fifth");
    expect(world.chosen.map(({ exclude }) => exclude.length)).to.deep.equal([0, 1, 2, 3, 4]);
    expect(world.outcomes).to.deep.equal(["refused", "refused", "refused", "refused", "completed"]);
    const nobody = await worldOf(blind, blind);
    expect(await failure(nobody.tasks.start(requestOf()))).to.deep.include({ code: "generation_failed", details: { reason: "chain_unreachable", attempts: 2 } });
    await expectNothingCharged(nobody);
  });

  it("asks a node that signed to be full again for a client that waits, so often at most, and not for one that does not", async () => {
    let asked = 0;
    const soon: Script = async function* (attempt) {
      if (++asked <= 5) yield await attempt.refuse(RefusalReason.FULL);
      else yield* answers("at last")(attempt);
    };
    const world = await worldOf(soon);
    world.isSoonFree = true;
    expect(textOf(await all(await world.tasks.start(requestOf())))).to.equal("at last");
    expect((await stored(world)).attempts.map(({ nodeId, cause }) => [nodeId, cause])).to.deep.equal([...Array.from({ length: 5 }, () => [7, "refused_full"]), [7, null]]);
    const refuses: Script = async function* (attempt) { yield await attempt.refuse(RefusalReason.FULL); };
    const never = await worldOf(refuses);
    never.isSoonFree = true;
    expect(await failure(never.tasks.start(requestOf()))).to.deep.include({ code: "saturated" });
    expect(never.requests).to.have.length(15);
    await expectNothingCharged(never);
    const hurried = await worldOf(refuses, refuses);
    hurried.isSoonFree = true;
    expect(await failure(hurried.tasks.start(requestOf({ waitMsMax: 0 })))).to.deep.include({ code: "saturated" });
    expect(hurried.requests).to.have.length(2);
  });

  it("tells what the nodes' refusals mean for the client", async () => {
    const refuses = (reason: number): Script => async function* (attempt) { yield await attempt.refuse(reason); };
    const codeOf = async (reason: number): Promise<string> => (await failure((await worldOf(refuses(reason))).tasks.start(requestOf()))).code;
    expect(await codeOf(RefusalReason.FULL)).to.equal("saturated");
    expect(await codeOf(RefusalReason.DRAINING)).to.equal("saturated");
    expect(await codeOf(RefusalReason.INPUT)).to.equal("input_refused");
    expect(await codeOf(RefusalReason.UNPAID)).to.equal("payment_refused");
    expect(await codeOf(RefusalReason.ASSIGNMENT)).to.equal("generation_failed");
  });

  it("believes two nodes that refuse the request itself for one reason, and holds it against neither", async () => {
    const refuses = (reason: number): Script => async function* (attempt) { yield await attempt.refuse(reason); };
    const agreed = await worldOf(refuses(RefusalReason.INPUT), refuses(RefusalReason.INPUT), answers("never asked"));
    expect(await failure(agreed.tasks.start(requestOf()))).to.deep.include({ code: "input_refused", details: { reason: "refused_input", attempts: 2 } });
    expect(agreed.requests).to.have.length(2);
    expect([agreed.outcomes, agreed.contradicted]).to.deep.equal([["rejected", "rejected"], []]);
    await expectNothingCharged(agreed);
    const alone = await worldOf(refuses(RefusalReason.INPUT), answers("after all"));
    expect(textOf(await all(await alone.tasks.start(requestOf())))).to.equal("after all");
    expect([alone.outcomes, alone.contradicted]).to.deep.equal([["rejected", "completed"], [7]]);
  });

  it("does not believe a refusal that the node did not sign", async () => {
    const world = await worldOf(async function* (attempt) { yield await attempt.refuse(RefusalReason.FULL, signerOfKey(`0x${"66".repeat(32)}`)); });
    expect((await failure(world.tasks.start(requestOf()))).details).to.deep.equal({ reason: "unsigned_refusal", attempts: 1 });
    expect(world.outcomes).to.deep.equal(["failed"]);
    await expectNothingCharged(world);
  });

  it("ends a stream that breaks off with a typed error that says how far it came, and charges nothing", async () => {
    const breaks: Record<string, Script> = {
      node_disconnected: async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); throw cut(); },
      engine_failed: async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); yield { type: "failed", code: "x", message: "" }; },
      no_receipt: async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); },
      stalled: async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); await attempt.hang(); },
      node_aborted: async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("Once"); yield await attempt.end({ body: { status: Status.ABORTED } }); },
    };
    for (const [reason, script] of Object.entries(breaks)) {
      const world = await worldOf(script, answers("never asked"));
      if (reason === "stalled") world.limits.gapMsMax = 100;
      const task = await world.tasks.start(requestOf());
      expect((await task.events.next()).value, reason).to.include({ text: "Once" });
      expect(await failure(task.events.next() as Promise<unknown>), reason).to.deep.include({ code: "stream_interrupted", details: { reason, deliveredTokens: 1 } });
      expect((await stored(world)).attempts.map((one) => one.cause)).to.deep.equal([reason]);
      await expectNothingCharged(world);
      expect(world.requests).to.have.length(1);
    }
  });

  it("does not wait for ever for a node that says nothing at all", async () => {
    const world = await worldOf(async function* (attempt) { await attempt.hang(); });
    world.limits.startMsMax = 100;
    expect((await failure(world.tasks.start(requestOf()))).details.reason).to.equal("no_answer");
    expect(world.cancels.map((one) => one.reason)).to.deep.equal(["relayer"]);
    await expectNothingCharged(world);
  });

  it("refuses every receipt that does not hold, before it is journaled", async () => {
    const stranger = signerOfKey(`0x${"66".repeat(32)}`);
    const bends: Record<string, Parameters<Parameters<Script>[0]["end"]>[0]> = {
      "another's signature": { signer: stranger },
      "a fee above the tokens": { body: { fee: 12n } },
      "more output than was delivered": { body: { outputTokens: 30 } },
      "more input than it said at the start": { body: { inputTokens: 6 } },
      "another output": { body: { outputCommit: `0x${"00".repeat(32)}` } },
      "another task": { body: { taskId: `0x${"00".repeat(32)}` } },
      "another assignment": { body: { assignmentHash: `0x${"00".repeat(32)}` } },
      "cancelled by nobody": { body: { status: Status.CANCELLED } },
      "another node's tab": { receipt: { nodeId: 8 } },
      "a total below the fee": { receipt: { nodeCumulative: 3n } },
    };
    for (const [what, bend] of Object.entries(bends)) {
      const world = await worldOf(async function* (attempt) {
        yield { type: "start", inputTokens: 5 };
        yield attempt.delta("Once", 3);
        yield await attempt.end(bend);
      });
      const task = await world.tasks.start(requestOf());
      expect((await failure(all(task))).details.reason, what).to.equal("bad_receipt");
      await expectNothingCharged(world);
      expect(world.tabs.last(7), what).to.equal(null);
    }
  });

  it("refuses counts beyond what the text can be", async () => {
    // 15 bytes of text in one message can be 15 + 32 tokens at most.
    const claims = (inputTokens: number): Script => async function* (attempt) { yield { type: "start", inputTokens: 500 }; yield attempt.delta("Once"); yield await attempt.end({ body: { inputTokens } }); };
    expect(endOf(await all(await (await worldOf(claims(47))).tasks.start(requestOf()))).inputTokens).to.equal(47);
    const input = await worldOf(claims(48));
    expect((await failure(all(await input.tasks.start(requestOf())))).details.reason).to.equal("bad_receipt");
    const output = await worldOf(async function* (attempt) { yield { type: "start", inputTokens: 5 }; yield attempt.delta("ab", 40); yield await attempt.end(); });
    expect((await failure(all(await output.tasks.start(requestOf())))).details.reason).to.equal("bad_receipt");
    const flood = await worldOf(async function* (attempt) { yield { type: "start", inputTokens: 5 }; for (;;) yield attempt.delta("x"); });
    expect((await failure(all(await flood.tasks.start(requestOf())))).details.reason).to.equal("node_protocol_error");
    expect(flood.cancels.map((one) => one.reason)).to.deep.equal(["relayer"]);
    for (const world of [input, output, flood]) await expectNothingCharged(world);
  });

  it("bills a client that hangs up for what was produced, and cancels upstream", async () => {
    const world = await worldOf(async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.delta("Once");
      await attempt.cancelled;
      yield attempt.delta(" upon");
      yield await attempt.end({ body: { status: Status.CANCELLED }, finishReason: "cancelled" });
    });
    const client = new AbortController();
    const task = await world.tasks.start(requestOf({ signal: client.signal }));
    await task.events.next();
    client.abort();
    expect(textOf(await all(task))).to.equal(" upon");
    expect(world.cancels.map((one) => one.reason)).to.deep.equal(["client"]);
    expect((await stored(world)).attempts[0]!.signed!.record.receipt.body).to.include({ status: Status.CANCELLED, outputTokens: 2 });
    expect(world.covers[0]).to.include({ charged: 9n });
    expect(world.outcomes).to.deep.equal(["cancelled"]);
  });

  it("gives up on a node that does not answer a cancel, and starts no other attempt for a client that has gone", async () => {
    const world = await worldOf(async function* (attempt) { yield { type: "start", inputTokens: 5 }; await attempt.hang(); }, answers("never"));
    world.limits.cancelMsMax = 100;
    const client = new AbortController();
    const starting = failure(world.tasks.start(requestOf({ signal: client.signal })));
    await until(() => world.requests.length === 1);
    client.abort();
    expect((await starting).details.reason).to.equal("cancel_unanswered");
    expect(world.requests).to.have.length(1);
    await expectNothingCharged(world);
  });

  it("blames no node for having nothing to sign when it was stopped before its engine had begun, and tries no other", async () => {
    const stopped: Script = async function* (attempt) { await attempt.cancelled; yield { type: "failed", code: "cancelled", message: "" }; };
    const gone = await worldOf(stopped, answers("never"));
    const client = new AbortController();
    const starting = failure(gone.tasks.start(requestOf({ signal: client.signal })));
    await until(() => gone.requests.length === 1);
    client.abort();
    expect((await starting).details.reason).to.equal("client_gone");
    const late = await worldOf(stopped, answers("never"));
    late.orderSeconds = 1;
    expect((await failure(late.tasks.start(requestOf()))).code).to.equal("deadline_exceeded");
    for (const world of [gone, late]) {
      expect(world.outcomes).to.deep.equal(["cancelled"]);
      expect(world.requests).to.have.length(1);
      await expectNothingCharged(world);
    }
  });

  it("is not kept waiting by events that say nothing", async () => {
    const world = await worldOf(async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.delta("Once");
      while (!attempt.unheard.aborted) {
        yield attempt.delta("", 0);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    world.limits.gapMsMax = 150;
    const task = await world.tasks.start(requestOf());
    expect((await failure(all(task))).details).to.deep.include({ reason: "stalled" });
  });

  it("abandons a task whose reader leaves without reading on", async () => {
    const world = await worldOf(async function* (attempt) { yield { type: "start", inputTokens: 5 }; for (let i = 0; i < 40; i++) yield attempt.delta("x"); yield await attempt.end(); });
    const task = await world.tasks.start(requestOf());
    await task.events.next();
    await task.events.return?.();
    expect(world.cancels.map((one) => one.reason)).to.deep.equal(["relayer"]);
    expect((await stored(world)).attempts.map((one) => one.cause)).to.deep.equal(["abandoned"]);
    await expectNothingCharged(world);
  });

  it("lets no client see the end of what could not be journaled", async () => {
    const world = await worldOf(answers("Once"));
    world.journal.finishTask = async () => { throw new TidelaneError("down", { code: "journal_unavailable", retryable: true }); };
    const task = await world.tasks.start(requestOf());
    expect((await failure(all(task))).code).to.equal("journal_unavailable");
    expect(world.covers[0]).to.include({ charged: null, released: true });
    expect(world.acks).to.deep.equal([]);
    expect(world.outcomes, "the node has done its part: it costs it no score").to.deep.equal(["cancelled"]);
  });

  it("finishes and charges while the database is down, for the journal has a spool", async () => {
    const world = await worldOf(answers("Once"));
    const task = await world.tasks.start(requestOf());
    world.journal.setUp(false);
    expect(endOf(await all(task)).type).to.equal("end");
    expect(world.covers[0]!.charged).to.not.equal(null);
  });

  it("refuses a prompt that no tokenizer could fit into the context, without asking a node", async () => {
    const world = await worldOf(answers("never"));
    const prompt = (bytes: number) => ({ texts: ["x".repeat(bytes)], bytes, isPlainText: true });
    const refused = await failure(world.tasks.start(requestOf({ prompt: prompt(256 * model.contextTokens) })));
    expect(refused.code).to.equal("context_length_exceeded");
    expect(refused.message).to.contain("at least");
    expect(world.covers).to.have.length(0);
    expect(textOf(await all(await world.tasks.start(requestOf({ prompt: prompt(200 * model.contextTokens), maxOutTokens: 1 }))))).to.equal("never");
  });

  it("refuses before anybody pays: unknown model, wrong kind, no room, parameters that no node has", async () => {
    const world = await worldOf(answers("x"));
    const codeOf = async (over: Parameters<typeof requestOf>[0]): Promise<string> => (await failure(world.tasks.start(requestOf(over)))).code;
    expect(await codeOf({ model: "gpt-9" })).to.equal("model_not_found");
    expect(await codeOf({ model: "__proto__" })).to.equal("model_not_found");
    expect(await codeOf({ model: "embed" })).to.equal("wrong_model_kind");
    expect(await codeOf({ kind: "embeddings" })).to.equal("wrong_model_kind");
    expect(await codeOf({ maxOutTokens: 1_001 })).to.equal("context_length_exceeded");
    expect(await codeOf({ capabilities: ["logprobs", "tools"] })).to.equal("unsupported_parameter");
    expect(world.covers).to.deep.equal([]);
    expect(world.tasks.running).to.equal(0);
  });

  it("passes the fleet's reasons on, with the time to wait, and gives the reservation back", async () => {
    const world = await worldOf(answers("x"));
    world.unavailable = { ok: false, reason: "saturated", retryAfterMs: 1_500, detail: "All are busy." };
    const error = await failure(world.tasks.start(requestOf()));
    expect(error).to.deep.include({ code: "saturated", retryable: true, message: "All are busy.", details: { retryAfterMs: 1_500 } });
    expect(world.covers[0]).to.include({ charged: null, released: true });
  });

  it("does not pass on further members of a delta that are no JSON object", async () => {
    const world = await worldOf(async function* () { yield { type: "start", inputTokens: 5 }; yield { type: "delta", text: "", tokens: 1, extra: "[1" }; });
    expect((await failure(world.tasks.start(requestOf()))).details.reason).to.equal("node_protocol_error");
  });

  it("keeps one tab right while many of a node's receipts come back at once", async () => {
    const slow = (ms: number): Script => async function* (attempt) {
      yield { type: "start", inputTokens: 5 };
      yield attempt.delta("x");
      const end = await attempt.end();
      await new Promise((resolve) => setTimeout(resolve, ms));
      yield end;
    };
    const world = await worldOf(slow(0));
    const node = world.nodes[0]!;
    let nth = 0;
    node.script = (attempt) => slow(((nth++ * 7) % 10) * 3)(attempt);
    const ends = await Promise.all(Array.from({ length: 20 }, async () => endOf(await all(await world.tasks.start(requestOf())))));
    expect(ends.every((end) => end.type === "end")).to.equal(true);
    expect(world.acks).to.have.length(20);
    expect(world.tabs.last(7)!.receipt.nodeCumulative).to.equal(node.cumulative);
  });

  it("takes nothing new while it drains, and says when the last has ended", async () => {
    const world = await worldOf(answers("Once", " upon"));
    const task = await world.tasks.start(requestOf());
    let isDrained = false;
    const draining = world.tasks.drain().then(() => (isDrained = true));
    expect((await failure(world.tasks.start(requestOf()))).code).to.equal("shutting_down");
    expect(isDrained).to.equal(false);
    await all(task);
    await draining;
  });
});
