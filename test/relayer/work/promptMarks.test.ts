import { expect } from "chai";
import fc from "fast-check";
import { marksOf, repeatedPart } from "../../../relayer/work/promptMarks.ts";

const text = (lengthMax: number) => fc.string({ unit: fc.constantFrom("a", "b", " "), minLength: 0, maxLength: lengthMax });

describe("what of an earlier prompt a later one repeats", () => {
  it("is never more than it is, and of anything long not much less", () => {
    fc.assert(fc.property(fc.nat(20_000), text(50), text(50), (chars, one, other) => {
      const common = "The tide comes in and the tide goes out. ".repeat(500).slice(0, chars);
      const [later, earlier] = [`${common}1${one}`, `${common}2${other}`];
      const repeated = repeatedPart(marksOf([later]), marksOf([earlier])) * later.length;
      expect(repeated).to.be.at.most(chars + 1e-6);
      if (chars >= 256) expect(repeated).to.be.greaterThan(chars / 1.2 - 2);
    }), { numRuns: 200 });
  });

  it("is nearly all of a conversation's next turn, whatever the answer was", () => {
    const turns = ["You are a helpful lighthouse keeper. ".repeat(100), "What is the weather?"];
    expect(repeatedPart(marksOf([...turns, "Fog.", "And tomorrow?"]), marksOf(turns))).to.be.within(0.8, 1);
    expect(repeatedPart(marksOf(turns), marksOf(turns))).to.be.within(0.8, 1);
  });

  it("is nothing of a short prompt, of none, or of one that begins otherwise", () => {
    const long = "x".repeat(10_000);
    for (const [later, earlier] of [["hello", "hello"], ["", ""], [long, ""], [`y${long}`, long]] as const) expect(repeatedPart(marksOf([later]), marksOf([earlier])), later.slice(0, 9)).to.equal(0);
  });

  it("is kept small, of the longest body too", () => {
    const { marks } = marksOf(["z".repeat(8 * 2 ** 20)]);
    expect(marks.length).to.be.at.most(60 * 8);
  });
});
