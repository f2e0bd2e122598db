import { expect } from "chai";
import fc from "fast-check";
import { TextGate } from "../../../node/engines/textGate.ts";

/** Pushes pieces of one token each. */
function through(pieces: readonly string[], stops: readonly string[]): { text: string; tokens: number; stopped: boolean } {
  const gate = new TextGate(stops);
  let text = "";
  let tokens = 0;
  for (const piece of pieces) {
    const out = gate.push(piece, 1);
    text += out.text;
    tokens += out.tokens;
    if (out.stopped) return { text, tokens, stopped: true };
  }
  const rest = gate.flush();
  return { text: text + rest.text, tokens: tokens + rest.tokens, stopped: false };
}

describe("text gate", () => {
  it("lets text through at once where no stop string can begin", () => {
    const gate = new TextGate(["END"]);
    expect(gate.push("hello ", 1)).to.deep.equal({ text: "hello ", tokens: 1, stopped: false });
  });

  it("holds back what may begin a stop string, and lets it go when it did not", () => {
    const gate = new TextGate(["END"]);
    expect(gate.push("the E", 1)).to.deep.equal({ text: "the ", tokens: 0, stopped: false });
    expect(gate.push("N", 1)).to.deep.equal({ text: "", tokens: 0, stopped: false });
    expect(gate.push("T", 1)).to.deep.equal({ text: "ENT", tokens: 3, stopped: false });
  });

  it("counts a token that left in part, and none that was cut whole", () => {
    expect(through(["a", "xE", "ND", "b"], ["END"])).to.deep.equal({ text: "ax", tokens: 2, stopped: true });
    expect(through(["a", "E", "ND"], ["END"])).to.deep.equal({ text: "a", tokens: 1, stopped: true });
  });

  it("cuts at the earliest of several stop strings", () => {
    expect(through(["one two three"], ["three", "two"])).to.deep.equal({ text: "one ", tokens: 1, stopped: true });
  });

  it("property: however a text is cut into pieces, what leaves is the text up to the first stop string", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
    fc.assert(fc.property(fc.array(letters, { maxLength: 12 }), fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), { maxLength: 3 }), (pieces, stops) => {
      const whole = pieces.join("");
      const ats = stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
      const out = through(pieces, stops);
      // A stop string is found when its last character arrives: a longer one that begins earlier may still be open then.
      const firstEnd = Math.min(...stops.map((stop) => { const at = whole.indexOf(stop); return at < 0 ? Infinity : at + stop.length; }));
      expect(out.stopped).to.equal(ats.length > 0);
      if (!out.stopped) expect(out).to.include({ text: whole, tokens: pieces.length });
      else {
        expect(whole.startsWith(out.text)).to.equal(true);
        expect(stops.some((stop) => out.text.includes(stop))).to.equal(false);
        expect(out.text.length).to.be.below(firstEnd);
        expect(out.tokens).to.be.at.most(pieces.length);
      }
    }), { numRuns: 2_000 });
  });
});
