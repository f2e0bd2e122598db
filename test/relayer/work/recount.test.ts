// Recounting tokens, and what a request needs: exact where the tokenizer is at hand, bounds where it is not.
import { expect } from "chai";
import fc from "fast-check";
import { LLAMA_2, tokenCounter } from "../../../relayer/adapters/tokens.ts";
import { countInput, outputMax } from "../../../relayer/work/recount.ts";
import { quote, readRequest } from "../../../client/quote.ts";
import { estimatedMaxFee, inputTokensMaxOf, leastFee, planOf } from "../../../relayer/work/taskPlan.ts";
import { chargeDown, pricedDown } from "../../../protocol/fees.ts";
import { Tier } from "../../../protocol/constants.ts";
import { pricesAtTide, TIDE_LEAST, TIDE_MOST } from "../../../protocol/tide.ts";
import type { FleetModel } from "../../../relayer/work/fleet.ts";
import { embedder, model, requestOf } from "./world.ts";

const promptOf = (...texts: string[]) => ({ texts, bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0), isPlainText: true });
const fleetOf = (one: FleetModel) => ({ models: () => [one], modelIdOf: () => one.modelId });

describe("recounting", () => {
  it("is exact for a known tokenizer, with room for the template's control tokens only", () => {
    const input = countInput(promptOf("Once upon a time", "hello world"), LLAMA_2, tokenCounter);
    expect(input).to.deep.equal({ expected: 7, longest: 5, least: 7, longestLeast: 5, max: 6 + 16 * 3, isExact: true });
  });

  it("accepts the honest count of any text, by bytes and by tokenizer", () => {
    fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 60 }), { minLength: 1, maxLength: 5 }), (texts) => {
      const honest = texts.reduce((sum, text) => sum + tokenCounter.count(LLAMA_2, text)!, 1);
      // SentencePiece puts a space before each text, which may be a token of its own: the template's room covers it.
      expect(honest).to.be.at.most(countInput(promptOf(...texts), LLAMA_2, tokenCounter).max);
      expect(honest).to.be.at.most(countInput(promptOf(...texts), "", tokenCounter).max);
      const text = texts.join("");
      const output = tokenCounter.count(LLAMA_2, text)!;
      for (const tokenizer of [LLAMA_2, ""]) expect(output).to.be.at.most(outputMax({ text, bytes: Buffer.byteLength(text), announcedTokens: output }, tokenizer, tokenCounter));
    }));
  });

  it("refuses a doubled output count once it passes the hidden tokens", () => {
    const text = "Once upon a time there was a little girl named Lily. ".repeat(10);
    const honest = tokenCounter.count(LLAMA_2, text)!;
    const most = outputMax({ text, bytes: text.length, announcedTokens: 10_000 }, LLAMA_2, tokenCounter);
    expect(most).to.be.within(honest, honest * 1.05 + 17);
    expect(outputMax({ text, bytes: text.length, announcedTokens: 10 }, LLAMA_2, tokenCounter), "no more than was announced").to.equal(26);
  });

  it("never counts more than 20,000 characters, however they are spread over texts", () => {
    let counted = 0;
    const counter = { count: (_tokenizer: string, text: string) => { counted += text.length; return 1; } };
    expect(countInput(promptOf(...Array.from({ length: 50 }, () => "x".repeat(20_000))), LLAMA_2, counter)).to.include({ isExact: false });
    expect(counted).to.equal(0);
    expect(countInput(promptOf("x".repeat(10_000), "y".repeat(10_000)), LLAMA_2, counter)).to.include({ isExact: true });
    expect(counted).to.equal(20_000);
  });

  it("does not take texts that are not all for an exact count", () => {
    expect(countInput({ ...promptOf("hello"), bytes: Infinity, isPlainText: false }, LLAMA_2, tokenCounter)).to.include({ isExact: false, max: Infinity });
  });
});

describe("a task's plan", () => {
  it("property: what it takes for certain is never more than an honest count", () => {
    fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 2_000 }), { minLength: 1, maxLength: 5 }), (texts) => {
      const counts = texts.map((text) => tokenCounter.count(LLAMA_2, text)!);
      const { least, longestLeast } = countInput(promptOf(...texts), "", tokenCounter);
      expect(least).to.be.at.most(counts.reduce((sum, count) => sum + count, 0));
      expect(longestLeast).to.be.at.most(Math.max(...counts));
    }));
  });

  it("reserves at least what any node within the price headroom can charge", () => {
    const tides = fc.integer({ min: TIDE_LEAST, max: TIDE_MOST });
    fc.assert(fc.property(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 0, max: 1_000 }), tides, fc.constantFrom(Tier.DEFAULT, Tier.PRIORITY, Tier.FLEX), (out, letters, tideMultiplier, tier) => {
      const plan = planOf(requestOf({ maxOutTokens: out, prompt: promptOf("x".repeat(letters)), tier }), fleetOf({ ...model, tideMultiplier }), tokenCounter);
      const listed = pricesAtTide(model.base!, tideMultiplier, tier);
      expect(plan.priceMax, "twice the listed price of now").to.deep.equal({ in: 2n * listed.priceInPerMTok, out: 2n * listed.priceOutPerMTok });
      const dearest = { priceInPerMTok: plan.priceMax!.in, priceOutPerMTok: plan.priceMax!.out };
      const worst = chargeDown(pricedDown(inputTokensMaxOf(plan, model.contextTokens), out, dearest), 300);
      expect(estimatedMaxFee(plan, 300) >= worst).to.equal(true);
    }));
  });

  it("property: no order that a payer's own software quotes is too small for what reading costs", () => {
    const limits = { maxPriceInPerMTok: 10n ** 12n, maxPriceOutPerMTok: 10n ** 12n, maxPerTask: 10n ** 12n, feeBps: 300, defaultMaxOutTokens: 100 };
    fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 300 }), { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 900 }), fc.boolean(), (texts, out, isExact) => {
      const served = { ...model, contextTokens: 100_000, tokenizer: isExact ? LLAMA_2 : "" };
      const body = new TextEncoder().encode(JSON.stringify({ model: served.name, max_tokens: out, messages: texts.map((content) => ({ role: "user", content })) }));
      const plan = planOf(requestOf({ maxOutTokens: out, prompt: promptOf(...texts) }), fleetOf(served), tokenCounter);
      const price = { modelId: served.modelId, contextTokens: served.contextTokens, base: served.base!, tideMultiplier: served.tideMultiplier };
      expect(quote(readRequest("chat", body), price, limits).maxFee >= leastFee(plan, 300)).to.equal(true);
    }));
  });

  it("asks more for reading more", () => {
    const leastOf = (text: string): bigint => leastFee(planOf(requestOf({ prompt: promptOf(text) }), fleetOf({ ...model, contextTokens: 100_000, tokenizer: LLAMA_2 }), tokenCounter), 0);
    const words = "once upon a time ".repeat(100);
    expect(leastOf(words)).to.equal(BigInt(tokenCounter.count(LLAMA_2, words)! + 1));
  });

  it("never asks routing for more than the context, unless it is certain that it does not fit", () => {
    fc.assert(fc.property(fc.option(fc.integer({ min: 1, max: 999 })), fc.integer({ min: 0, max: 50_000 }), (out, wanted) => {
      const letters = Math.min(wanted, 256 * (model.contextTokens - (out ?? 1)));
      const { routed } = planOf(requestOf({ maxOutTokens: out, prompt: promptOf("x".repeat(letters)) }), fleetOf(model), tokenCounter);
      expect(routed.inputTokens + routed.maxOutTokens).to.be.at.most(model.contextTokens);
      expect(Math.min(routed.inputTokens, routed.maxOutTokens)).to.be.at.least(1);
    }));
  });

  it("refuses what is certain not to fit: a prompt, an answer, both together", () => {
    const exact = { ...model, tokenizer: LLAMA_2, contextTokens: 20 };
    const codeOf = (maxOutTokens: number | null, text: string): string | null => {
      try {
        planOf(requestOf({ maxOutTokens, prompt: promptOf(text) }), fleetOf(exact), tokenCounter);
        return null;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(codeOf(null, "a b c d e f g h i j k l m n o p q r s t u v w")).to.equal("context_length_exceeded");
    expect(codeOf(21, "a")).to.equal("context_length_exceeded");
    expect(codeOf(18, "a b c d")).to.equal("context_length_exceeded");
    expect(codeOf(14, "a b c d")).to.equal(null);
    expect(codeOf(null, "a b c d")).to.equal(null);
  });

  it("measures embeddings text by text", () => {
    const exact = { ...embedder, tokenizer: LLAMA_2, contextTokens: 5 };
    const request = (...texts: string[]) => requestOf({ kind: "embeddings", prompt: promptOf(...texts), maxOutTokens: null });
    const plan = planOf(request("a b c", "d e f", "g h i"), fleetOf(exact), tokenCounter);
    expect(plan.routed).to.deep.equal({ inputTokens: 5, maxOutTokens: 0 });
    expect(inputTokensMaxOf(plan, 5)).to.equal(15);
    expect(() => planOf(request("a", "a b c d e f"), fleetOf(exact), tokenCounter)).to.throw("context window is 5");
  });
});
