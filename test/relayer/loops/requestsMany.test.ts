// More requests than a relayer looks after at once: those that it cannot serve anyway make room.
import { expect } from "chai";
import { numberToHex, stringToHex } from "viem/utils";
import { modelIdOf } from "../../../protocol/ids.ts";
import { signerOfKey } from "../../../protocol/signing.ts";
import { TIDE_ONE } from "../../../protocol/tide.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { MemoryRecords } from "../../../relayer/adapters/records.ts";
import { Requests, type RequestsOptions } from "../../../relayer/loops/requests.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { clock, metrics, until } from "./settleRig.ts";
import type { Hash } from "../../../protocol/units.ts";
import type { Chain } from "../../../relayer/ports/chain.ts";
import type { PromptSource, SeenRequest } from "../../../relayer/ports/readers.ts";

const HELD_MAX = 256;
const SERVED = "org/served@q4";
const hash = (n: number): Hash => numberToHex(n, { size: 32 });

const seenOf = (n: number, modelId: Hash, prompt: string, blockNumber: bigint, uri = ""): SeenRequest => ({
  requestId: hash(n), prompt: prompt === "" ? "0xff" : stringToHex(prompt), uri, blockNumber,
  request: {
    requester: `0x${"aa".repeat(20)}`, relayerId: 1, modelId, promptHash: hash(0), maxOutTokens: 16, maxFee: 1n, callbackGas: 0, gasPayment: 0n, requestedAt: 0, deadline: 2 ** 40, serial: BigInt(n),
  },
});

/** A relayer's loop over these requests. */
function loopOver(seen: readonly SeenRequest[], prompts: PromptSource, answer: RequestsOptions["answer"] = async () => {}) {
  const answered: Hash[] = [];
  const head = { number: 110n, timestampSeconds: 1_000, hash: hash(0) };
  const loop = new Requests({
    clock, dice: systemDice, log: silentLog, metrics, identity: { relayerId: 1, epoch: 1, feeBps: 0, signer: signerOfKey(hash(9)) }, journal: new MemoryJournal(),
    records: new MemoryRecords(), chain: { head: async () => head } as unknown as Chain, gateway: `0x${"bb".repeat(20)}`, prompts, isLeading: () => true,
    recordsUrl: null, answer: async (one) => answer(one).then(() => void answered.push(one.seen.requestId)),
    models: () => [{ name: SERVED, modelId: modelIdOf(SERVED), aliases: [], kind: "generate", contextTokens: 4_096, dimensions: 0, base: null, tideMultiplier: TIDE_ONE, nodes: 1, tokenizer: "", capabilities: [] }],
    reader: {
      requests: async (_relayerId, from, to) => seen.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to),
      state: async () => "pending", commit: async () => null,
    },
  });
  return { loop, answered, head };
}

describe("contracts' requests while a relayer has too much to do", () => {
  const QUESTION = [seenOf(1, modelIdOf(SERVED), "Will it rain?", 100n)];

  it("wait for the ebb, however often they are turned away at the door, and no number of an attempt is used up", async () => {
    const numbers: number[] = [];
    const { loop, answered } = loopOver(QUESTION, { fetch: async () => new Uint8Array() }, async ({ firstAttempt }) => {
      numbers.push(firstAttempt);
      if (numbers.length <= 12) throw new TidelaneError("full", { code: ["overloaded", "saturated", "no_seed"][numbers.length % 3]!, retryable: true });
    });
    await until(async () => (await loop.round(), answered.length > 0));
    expect(numbers).to.deep.equal(Array.from({ length: 13 }, () => 0));
  });

  it("are given up after so many tries in which nodes were asked, each with numbers of its own", async () => {
    const numbers: number[] = [];
    const { loop } = loopOver(QUESTION, { fetch: async () => new Uint8Array() }, async ({ firstAttempt, earlier }) => {
      numbers.push(firstAttempt);
      earlier.push({ taskId: hash(1), assignmentHash: hash(numbers.length), nodeId: 1, decision: "{}", assignment: {}, cause: "refused_full", signed: null });
      throw new TidelaneError("full", { code: "saturated", retryable: true });
    });
    await until(async () => (await loop.round(), numbers.length === 8));
    // What was tried goes into the task's record, which nobody opened here.
    expect(await until(async () => loop.round().then(() => false, () => true))).to.equal(undefined);
    expect(numbers).to.deep.equal([0, 3, 6, 9, 12, 15, 18, 21]);
  });
});

describe("more contracts' requests than are looked after at once", () => {
  for (const [what, modelName, prompt] of [["for models that nobody serves", "org/none@q4", "?"], ["without a prompt that is text", SERVED, ""]] as const) {
    it(`make room for one that can be served, where they are ${what}`, async () => {
      const seen = [...Array.from({ length: HELD_MAX }, (_, i) => seenOf(i + 1, modelIdOf(modelName), prompt, 100n)), seenOf(1_000, modelIdOf(SERVED), "Will it rain?", 101n)];
      const { loop, answered, head } = loopOver(seen, { fetch: async () => new Uint8Array() });
      await loop.round();
      await loop.round();
      expect(answered, "while a reorganisation may still change them").to.deep.equal([]);
      head.number = 133n;
      await loop.round();
      expect(answered).to.deep.equal([hash(1_000)]);
    });
  }

  it("are fetched two at a time: URIs that never answer hold up no prompt that is there", async () => {
    let fetched = 0;
    const seen = [...Array.from({ length: 20 }, (_, i) => seenOf(i + 1, modelIdOf(SERVED), "", 100n, "https://slow.example/")), seenOf(1_000, modelIdOf(SERVED), "Will it rain?", 101n)];
    const { loop, answered } = loopOver(seen, { fetch: () => new Promise(() => void fetched++) });
    await loop.round();
    await loop.round();
    expect([answered, fetched]).to.deep.equal([[hash(1_000)], 2]);
  });
});
