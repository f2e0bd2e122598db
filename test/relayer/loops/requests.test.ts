// Contracts' requests on a real chain: asked by the example dApp, answered by scripted nodes, delivered by the loop.
import { expect } from "chai";
import { encodeFunctionData, keccak256 } from "viem/utils";
import { InferenceGatewayAbi } from "../../../protocol/generated/abi/InferenceGateway.ts";
import { saltedCommit, textCommit } from "../../../protocol/ids.ts";
import { bodyOfRequest, promptHashOf } from "../../../protocol/requests.ts";
import { checkAssignment, checkCover } from "../../../protocol/records.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { Requests } from "../../../relayer/loops/requests.ts";
import { accounts } from "../localChain.ts";
import { createRig, GAS_PAYMENT, MAX_FEE, OUTPUT, type Rig } from "./requestRig.ts";
import { until } from "./settleRig.ts";

const PENDING = 1;
const FULFILLED = 2;
const REFUNDED = 3;
/** 7 x 100 + 9 x 300 dollars per million tokens, and 300 basis points on it. */
const FEE = 3_400n;
const CHARGE = 3_502n;

describe("contracts' requests, on a real chain", function () {
  this.timeout(60_000);
  let rig: Rig;
  let snapshot: unknown;

  before(async () => {
    rig = await createRig();
  });

  after(async () => {
    await rig?.stop();
  });

  const stateOf = (requestId: Hash): Promise<number> => rig.read<number>("stateOf", [requestId]);
  /** Rounds until the request has ended. */
  const roundsUntil = async (loop: Requests, requestId: Hash, state: number): Promise<void> => {
    await until(async () => {
      await loop.round();
      return await stateOf(requestId) === state;
    });
  };
  const attemptsOf = (requestId: Hash): number[] => rig.attempts.filter((one) => one.covered.order.sessionId === requestId).map((one) => one.assignment.attempt);
  const earned = async (): Promise<bigint> => (await rig.read<{ earned: bigint }>("nodeAccountOf", [1])).earned;

  it("answers a named request: the dApp is called, everybody is paid to the last unit", async () => {
    const dApp = await rig.dApp(1);
    const requestId = await rig.ask(dApp, "Will it rain? ☂");
    const loop = await rig.start();
    await roundsUntil(loop, requestId, FULFILLED);
    expect(await rig.answersOf(dApp)).to.deep.equal([{ requestId, answer: OUTPUT, uri: "" }]);
    expect(await earned()).to.equal(FEE);
    expect(await rig.read("balanceOf", [dApp])).to.equal(MAX_FEE - CHARGE);
    expect((await rig.read<{ fees: bigint }>("relayerAccountOf", [1])).fees).to.equal(CHARGE - FEE);

    const { covered, assignment, input } = rig.attempts[0]!;
    expect(covered.order.sessionId).to.equal(requestId);
    expect([...checkCover(covered), ...checkAssignment(covered, assignment)]).to.deep.equal([]);
    expect(input.body).to.equal(bodyOfRequest("org/model@q4", "Will it rain? ☂", 64));
    expect(assignment.inputCommit, "what the node checks its input against").to.equal(textCommit(input.salt, input.body));
    expect(covered.order.promptCommit).to.equal(saltedCommit(requestId, promptHashOf("Will it rain? ☂")));
    // Paid by its fulfilment: no batch may ever hold it.
    expect(await rig.journal.unsettledSessions()).to.deep.equal([]);
    expect(await rig.journal.unsettledTasks([requestId], 10)).to.deep.equal([]);
    expect(await rig.journal.sessions()).to.deep.equal([]);
  });

  it("commits to an open request before it answers, and gets its penalty back", async () => {
    const bond = (await rig.read<{ commitBond: bigint }>("relayerAccountOf", [1])).commitBond;
    const dApp = await rig.dApp(0);
    const requestId = await rig.ask(dApp, "open");
    const loop = await rig.start();
    await roundsUntil(loop, requestId, FULFILLED);
    expect(await rig.answersOf(dApp)).to.deep.equal([{ requestId, answer: OUTPUT, uri: "" }]);
    expect((await rig.read<{ commitBond: bigint }>("relayerAccountOf", [1])).commitBond).to.equal(bond);
  });

  it("opens after a restart the commit that the process before it made", async () => {
    const dApp = await rig.dApp(0);
    const requestId = await rig.ask(dApp, "commit, then die");
    const first = await rig.start();
    await until(async () => {
      await first.round();
      return (await rig.read<{ madeAt: number }>("commitOf", [requestId, 1])).madeAt !== 0;
    });
    if (await stateOf(requestId) === PENDING) {
      await roundsUntil(await rig.start(), requestId, FULFILLED);
      expect(attemptsOf(requestId), "the journal's answer, not a new one").to.have.length(1);
    }
    expect(await rig.answersOf(dApp)).to.have.length(1);
  });

  it("delivers after a restart what was answered before it, without asking a node again", async () => {
    const requestId = await rig.ask(await rig.dApp(1), "answered, then died");
    const first = await rig.start();
    // The request is picked up and answered; the round that would deliver never comes.
    await first.round();
    await until(() => first.running === 0);
    expect(await stateOf(requestId)).to.equal(PENDING);
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(attemptsOf(requestId)).to.have.length(1);
  });

  it("takes up what a dead process left open, with attempt numbers that nobody used", async () => {
    const requestId = await rig.ask(await rig.dApp(1), "died in mid-stream");
    rig.script.splice(0, rig.script.length, "hang", "answer");
    const first = await rig.start();
    await first.round();
    await until(() => attemptsOf(requestId).length === 1);
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(attemptsOf(requestId)).to.deep.equal([0, 128]);
  });

  it("tries again after failures, and never uses a number twice", async () => {
    const requestId = await rig.ask(await rig.dApp(1), "three failures");
    rig.script.splice(0, rig.script.length, "fail", "fail", "fail", "answer");
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(attemptsOf(requestId)).to.deep.equal([0, 1, 2, 3]);
  });

  it("waits while nobody serves the model", async () => {
    const requestId = await rig.ask(await rig.dApp(1), "nobody there yet");
    const [model] = rig.models;
    rig.models = [{ ...model!, nodes: 0 }];
    const loop = await rig.start();
    await loop.round();
    await loop.round();
    expect(attemptsOf(requestId)).to.deep.equal([]);
    rig.models = [model!];
    await roundsUntil(loop, requestId, FULFILLED);
  });

  it("delivers again what a reorganisation undid, and drops what it took back", async () => {
    const dApp = await rig.dApp(1);
    snapshot = await rig.chain.rpc("evm_snapshot");
    const before = await earned();
    const gone = await rig.ask(dApp, "taken back");
    const loop = await rig.start();
    await roundsUntil(loop, gone, FULFILLED);
    await rig.chain.rpc("evm_revert", [snapshot]);
    expect(await stateOf(gone)).to.equal(0);
    await loop.round();
    expect(await earned()).to.equal(before);

    const requestId = await rig.ask(dApp, "stays");
    snapshot = await rig.chain.rpc("evm_snapshot");
    await roundsUntil(loop, requestId, FULFILLED);
    await rig.chain.rpc("evm_revert", [snapshot]);
    expect(await stateOf(requestId)).to.equal(PENDING);
    await roundsUntil(loop, requestId, FULFILLED);
    expect(attemptsOf(requestId), "the answer was there").to.have.length(1);
    expect(await earned()).to.equal(before + FEE);
  });

  it("keeps the answer for a pull where the callback fails", async () => {
    const dApp = await rig.dApp(1, 1_000);
    const requestId = await rig.ask(dApp, "too little gas");
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(await rig.answersOf(dApp)).to.deep.equal([]);
    const task = await rig.journal.task(rig.attempts.at(-1)!.assignment.taskId);
    expect(await rig.read("outputCommitOf", [requestId])).to.equal(task!.attempts[0]!.signed!.record.receipt.body.outputCommit);
  });

  it("fetches a prompt that lies elsewhere, and answers it as any other", async () => {
    const question = "Will it snow? ☃";
    const requestId = await rig.askByUri(`data:text/plain,${encodeURIComponent(question)}`, promptHashOf(question));
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    const { input, assignment } = rig.attempts.at(-1)!;
    expect(input.body).to.equal(bodyOfRequest("org/model@q4", question, 64));
    expect(assignment.inputCommit).to.equal(textCommit(requestId, input.body));
  });

  it("leaves a prompt unanswered that it may not fetch, or that is no text, and says why", async () => {
    const asked = [
      await rig.askByUri("https://127.0.0.1/prompt", promptHashOf("x")), await rig.askByUri("data:;base64,/w==", keccak256("0xff")), await rig.askByUri("data:,", keccak256("0x")),
    ];
    const loop = await rig.start();
    rig.warned.length = 0;
    await until(async () => {
      await loop.round();
      return rig.warned.filter((one) => one === "prompt_refused").length === 2 && rig.warned.filter((one) => one === "prompt_not_text").length === 4;
    });
    for (const requestId of asked) expect([await stateOf(requestId), attemptsOf(requestId)]).to.deep.equal([PENDING, []]);
  });

  it("waits for the text that was hashed, if another lies there at first", async () => {
    const texts = ["a forgery", "Will it hail?"];
    const uri = "https://prompts.example/1";
    const { prompts } = rig;
    rig.prompts = { fetch: async (asked) => (asked === uri ? Buffer.from(texts.length > 1 ? texts.shift()! : texts[0]!) : await prompts.fetch(asked)) };
    const requestId = await rig.askByUri(uri, promptHashOf("Will it hail?"));
    rig.warned.length = 0;
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(rig.warned).to.include("prompt_changed");
    expect(rig.attempts.at(-1)!.input.body).to.contain("Will it hail?").and.not.contain("forgery");
  });

  it("says where a long answer lies", async () => {
    rig.output = "long ".repeat(1_000);
    const dApp = await rig.dApp(1, 200_000);
    const requestId = await rig.ask(dApp, "at length");
    await roundsUntil(await rig.start("http://relayer.example/tidelane/v1/records"), requestId, FULFILLED);
    rig.output = OUTPUT;
    const commit = await rig.read<Hash>("outputCommitOf", [requestId]);
    expect(await rig.answersOf(dApp)).to.deep.equal([{ requestId, answer: "", uri: `http://relayer.example/tidelane/v1/records/${commit}` }]);
  });

  it("lets no node write over what is kept under another hash, whatever its receipt names", async () => {
    rig.claimed = keccak256("0xda7a");
    await rig.records.put(rig.claimed, new TextEncoder().encode("a batch's data"));
    rig.script.splice(0, rig.script.length, "claim", "answer");
    const requestId = await rig.ask(await rig.dApp(1), "Will it rain?");
    await roundsUntil(await rig.start(), requestId, FULFILLED);
    expect(attemptsOf(requestId)).to.have.length(2);
    expect(new TextDecoder().decode((await rig.records.get(rig.claimed))!)).to.equal("a batch's data");
  });

  it("leaves requests for other relayers alone", async () => {
    const made = await rig.reader.requests(2, 0n, 10_000n);
    expect(made).to.not.have.length(0);
    expect(made.every(({ request }) => request.relayerId === 0), "open ones alone are anybody's").to.equal(true);
  });

  it("pays the poster's gas from what was sent along", async () => {
    expect(await rig.read<bigint>("gasBalanceOf", ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"])).to.satisfy((wei: bigint) => wei > 0n && wei % GAS_PAYMENT === 0n);
  });

  it("does not begin what cannot be delivered in time; the requester is refunded", async () => {
    const dApp = await rig.dApp(1, 100_000, 8);
    const requestId = await rig.ask(dApp, "too late");
    const loop = await rig.start();
    await loop.round();
    expect(await stateOf(requestId)).to.equal(PENDING);
    await rig.chain.rpc("evm_increaseTime", [60]);
    await rig.chain.rpc("evm_mine");
    await loop.round();
    const { request } = (await rig.reader.requests(1, 0n, 10_000n)).find((one) => one.requestId === requestId)!;
    await rig.chain.send(accounts.nodeOwner, rig.gateway, encodeFunctionData({ abi: InferenceGatewayAbi, functionName: "refund", args: [request] }));
    await loop.round();
    expect(await stateOf(requestId)).to.equal(REFUNDED);
    expect(await rig.read("balanceOf", [dApp])).to.equal(MAX_FEE);
    expect(attemptsOf(requestId)).to.deep.equal([]);
  });
});
