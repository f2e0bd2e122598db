import { expect } from "chai";
import fc from "fast-check";
import { Answer, ANSWER_BYTES_MAX, isCommitted, tapped } from "../../client/delivered.ts";
import { outputSalt, textCommit } from "../../protocol/ids.ts";
import type { RequestKind } from "../../client/quote.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const chunk = (delta: object): string => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null, logprobs: null }] })}\n\n`;
const whole = (choice: object): string => JSON.stringify({ choices: [{ index: 0, finish_reason: "stop", ...choice }] });

function outputOf(kind: RequestKind, isStream: boolean, parts: readonly Uint8Array[]): string | null {
  const answer = new Answer(kind, isStream);
  for (const part of parts) answer.add(part);
  const output = answer.output();
  return output && Buffer.from(output).toString("utf8");
}

/** The same bytes, cut at the given places. */
function cutAt(text: string, places: readonly number[]): Uint8Array[] {
  const all = bytes(text);
  const at = [0, ...places.map((place) => place % (all.length + 1)).sort((a, b) => a - b), all.length];
  return at.slice(1).map((end, i) => all.subarray(at[i], end));
}

describe("an answer that passes by", () => {
  it("shows its text whatever the text is and wherever the network cuts it", () => {
    fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 6 }), fc.array(fc.nat(5_000), { maxLength: 8 }), (pieces, places) => {
      const text = pieces.join("");
      const stream = `${chunk({ role: "assistant", content: "" })}: waiting\n\n${pieces.map((content) => chunk({ content })).join("")}${chunk({})}data: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n`;
      expect(outputOf("chat", true, cutAt(stream, places))).to.equal(text);
      expect(outputOf("chat", false, cutAt(whole({ message: { role: "assistant", content: text, refusal: null } }), places))).to.equal(text);
      expect(outputOf("completion", false, cutAt(whole({ text, logprobs: null }), places))).to.equal(text);
    }));
  });

  it("shows an embedding's bytes where they were asked for as bytes", () => {
    const vector = Buffer.from(new Float32Array([0.5, -1, 3]).buffer);
    const body = (embedding: unknown): Uint8Array[] => [bytes(JSON.stringify({ data: [{ index: 0, embedding }, { index: 1, embedding }] }))];
    const answer = new Answer("embeddings", false);
    for (const part of body(vector.toString("base64"))) answer.add(part);
    expect(Buffer.from(answer.output()!)).to.deep.equal(Buffer.concat([vector, vector]));
    expect(outputOf("embeddings", false, body([0.5, -1, 3])), "decimal numbers do not show the bits").to.equal(null);
  });

  it("shows nothing where it cannot know the whole output", () => {
    const broken = chunk({ content: "half" });
    const cases: [RequestKind, boolean, string][] = [
      ["chat", true, broken], ["chat", true, `${broken}data: {"error":{"message":"x"}}\n\n`], ["chat", true, `data: {\n\ndata: [DONE]\n\n`], ["chat", false, "{"], ["chat", false, ""],
      ["chat", false, whole({ message: { content: null, tool_calls: [{ id: "1" }] } })], ["chat", true, `${chunk({ tool_calls: [] })}data: [DONE]\n\n`],
      ["chat", false, whole({ message: { content: "x" }, logprobs: { content: [] } })], ["chat", false, JSON.stringify({ choices: [{ index: 0, text: "a" }, { index: 1, text: "b" }] })],
      ["chat", false, JSON.stringify({ error: { message: "x" } })], ["embeddings", false, "{}"],
    ];
    for (const [kind, isStream, text] of cases) expect(outputOf(kind, isStream, [bytes(text)]), text).to.equal(null);
  });

  it("is passed on but not kept beyond the limit", () => {
    const answer = new Answer("chat", false);
    const part = new Uint8Array(ANSWER_BYTES_MAX / 2 + 1);
    answer.add(part);
    answer.add(part);
    expect(answer.output()).to.equal(null);
  });

  it("is the one that was committed to, or is not", () => {
    const [salt, assignment] = [`0x${"01".repeat(32)}`, `0x${"02".repeat(32)}`] as const;
    const commit = textCommit(outputSalt(salt, assignment), "The tide rises.");
    expect(isCommitted(bytes("The tide rises."), salt, assignment, commit)).to.equal(true);
    expect(isCommitted(bytes("The tide rises"), salt, assignment, commit)).to.equal(false);
    expect(isCommitted(bytes("The tide rises."), assignment, assignment, commit)).to.equal(false);
  });

  it("is not changed by being watched, and its end is told once, however it ends", async () => {
    const source = (parts: readonly string[], failure?: Error): ReadableStream<Uint8Array> => new ReadableStream({
      pull(controller) {
        const next = parts[at++];
        if (next !== undefined) controller.enqueue(bytes(next));
        else if (failure) controller.error(failure);
        else controller.close();
      },
      cancel: () => void (cancelled = true),
    }, { highWaterMark: 0 });
    let [at, ends, cancelled] = [0, 0, false];
    const seen: string[] = [];
    const watch = (body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> => tapped(body, (part) => seen.push(Buffer.from(part).toString()), () => ends++);
    expect(await new Response(watch(source(["a", "b"]))).text()).to.equal("ab");
    expect([seen.join(""), ends]).to.deep.equal(["ab", 1]);
    [at, ends] = [0, 0];
    expect(await new Response(watch(source(["a"], new Error("cut")))).text().catch((error: Error) => error.message)).to.equal("cut");
    expect(ends).to.equal(1);
    [at, ends] = [0, 0];
    const reader = watch(source(["a", "b", "c"])).getReader();
    await reader.read();
    await reader.cancel();
    expect([ends, cancelled]).to.deep.equal([1, true]);
  });
});
