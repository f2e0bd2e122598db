import { expect } from "chai";
import fc from "fast-check";
import { chargeDown, pricedDown } from "../../protocol/fees.ts";
import { kindOf, quote, readRequest, type PriceLimits } from "../../client/quote.ts";
import { Tier } from "../../protocol/constants.ts";
import { pricesAtTide, TIDE_LEAST, TIDE_MOST, TIDE_ONE } from "../../protocol/tide.ts";

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const limits: PriceLimits = { maxPriceInPerMTok: 10n ** 9n, maxPriceOutPerMTok: 10n ** 9n, maxPerTask: 10n ** 12n, feeBps: 300, defaultMaxOutTokens: 4_096 };
const model = { modelId: `0x${"00".repeat(32)}` as const, contextTokens: 8_192, base: { priceInPerMTok: 1_000_000n, priceOutPerMTok: 3_000_000n }, tideMultiplier: TIDE_ONE };

describe("a quote", () => {
  it("knows the paid endpoints", () => {
    expect(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/embeddings/"].map(kindOf)).to.deep.equal(["chat", "completion", "embeddings", "embeddings"]);
    expect(["/v1/models", "/chat/completions", "/v1", "/v1/constructor", "/v1/files"].map(kindOf)).to.deep.equal([null, null, null, null, null]);
  });

  it("covers every charge that an honest node can come to, at twice the listed price", () => {
    fc.assert(fc.property(
      fc.array(fc.string({ unit: "binary", maxLength: 300 }), { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 1, noNaN: true }),
      (contents, maxTokens, share) => {
        const body = bytes({ model: "m", max_tokens: maxTokens, messages: contents.map((content) => ({ role: "user", content })) });
        const { maxFee, maxOutTokens } = quote(readRequest("chat", body), model, limits);
        const most = contents.reduce((sum, content) => sum + Buffer.byteLength(content) + 16, 16);
        const honest = pricedDown(Math.min(Math.floor(most * share), model.contextTokens), maxTokens, { priceInPerMTok: 2_000_000n, priceOutPerMTok: 6_000_000n });
        expect(maxOutTokens).to.equal(maxTokens);
        expect(chargeDown(honest, limits.feeBps) <= maxFee).to.equal(true);
      },
    ));
  });

  it("stays within the signed prices and the greatest charge of a task", () => {
    const request = readRequest("chat", bytes({ model: "m", max_tokens: 100, messages: [] }));
    const { maxFee } = quote(request, model, limits);
    const listed = quote(request, model, { ...limits, maxPriceInPerMTok: model.base.priceInPerMTok, maxPriceOutPerMTok: model.base.priceOutPerMTok }).maxFee;
    expect(listed < maxFee).to.equal(true);
    expect(quote(request, model, { ...limits, maxPerTask: listed }).maxFee).to.equal(listed);
    expect(() => quote(request, model, { ...limits, maxPerTask: listed - 1n })).to.throw(/may cost/);
    expect(quote(request, { ...model, base: { priceInPerMTok: 0n, priceOutPerMTok: 0n } }, limits).maxFee).to.equal(1n);
  });

  it("signs for the tide and the tier, and for no more than the signed prices", () => {
    const tiers = [Tier.DEFAULT, Tier.PRIORITY, Tier.FLEX];
    fc.assert(fc.property(
      fc.bigInt(0n, 10n ** 7n), fc.bigInt(0n, 10n ** 7n), fc.integer({ min: TIDE_LEAST, max: TIDE_MOST }), fc.constantFrom(...tiers), fc.bigInt(1n, 10n ** 8n),
      (priceInPerMTok, priceOutPerMTok, tideMultiplier, tier, most) => {
        const request = { ...readRequest("chat", bytes({ model: "m", max_tokens: 100, messages: [] })), tier };
        const base = { priceInPerMTok, priceOutPerMTok };
        const { maxFee } = quote(request, { ...model, base, tideMultiplier }, { ...limits, maxPriceInPerMTok: most, maxPriceOutPerMTok: most });
        const priced = pricesAtTide(base, tideMultiplier, tier);
        const atMost = (price: bigint): bigint => (price < most ? price : most);
        const charged = { priceInPerMTok: atMost(priced.priceInPerMTok), priceOutPerMTok: atMost(priced.priceOutPerMTok) };
        expect(chargeDown(pricedDown(16, 100, charged), limits.feeBps) <= maxFee, "what is charged is covered").to.equal(true);
        const dearest = chargeDown(pricedDown(8_192, 100, { priceInPerMTok: most, priceOutPerMTok: most }) + 1n, limits.feeBps);
        expect(maxFee <= dearest, "never above the payer's prices").to.equal(true);
      },
    ));
    const feeAt = (tier: 0 | 1 | 2, tideMultiplier: number): bigint => quote({ ...readRequest("chat", bytes({ model: "m", max_tokens: 1_000, messages: [] })), tier }, { ...model, tideMultiplier }, limits).maxFee;
    expect(feeAt(Tier.FLEX, TIDE_ONE) < feeAt(Tier.DEFAULT, TIDE_ONE) && feeAt(Tier.DEFAULT, TIDE_ONE) < feeAt(Tier.PRIORITY, TIDE_ONE)).to.equal(true);
    expect(feeAt(Tier.DEFAULT, TIDE_LEAST) < feeAt(Tier.DEFAULT, TIDE_ONE) && feeAt(Tier.DEFAULT, TIDE_ONE) < feeAt(Tier.DEFAULT, TIDE_MOST)).to.equal(true);
  });

  it("orders no longer answer than the task's limit pays for, where the client leaves it open", () => {
    fc.assert(fc.property(fc.bigInt(200n, 10n ** 6n), fc.bigInt(1n, 10n ** 8n), (maxPerTask, priceOutPerMTok) => {
      const request = readRequest("chat", bytes({ model: "m", messages: [] }));
      const priced = { ...model, base: { ...model.base, priceOutPerMTok } };
      const { maxOutTokens, maxFee } = quote(request, priced, { ...limits, maxPerTask });
      expect(maxFee <= maxPerTask).to.equal(true);
      expect(maxOutTokens).to.be.within(1, 4_096);
      if (maxOutTokens === 4_096) return;
      // Three more could not be paid for, nor what three units buy: so much may be lost to rounding.
      const more = 3 + Number(3_000_000n / priceOutPerMTok);
      expect(() => quote({ ...request, maxOutTokens: maxOutTokens + more }, priced, { ...limits, maxPerTask })).to.throw(/may cost/);
    }));
  });

  it("bounds what bytes do not, an image for example, by the context", () => {
    const image = readRequest("chat", bytes({ model: "m", max_tokens: 1, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://example.org/x.png" } }] }] }));
    expect(image.isPlainText).to.equal(false);
    expect(quote(image, model, limits).maxFee >= 8_192n * 2n).to.equal(true);
  });

  it("takes the context's size where the client names no limit, and none for embeddings", () => {
    const chat = readRequest("chat", bytes({ model: "m", messages: [] }));
    expect(quote(chat, { ...model, contextTokens: 512 }, limits).maxOutTokens).to.equal(512);
    expect(quote(chat, model, limits).maxOutTokens).to.equal(4_096);
    expect(quote(readRequest("embeddings", bytes({ model: "m", input: ["a", "b"] })), model, limits).maxOutTokens).to.equal(0);
  });

  it("reads what the price depends on", () => {
    const body = bytes({ model: "m", stream: true, n: 3, stop: ["ab", "äöü"], service_tier: "flex", max_completion_tokens: 7, max_tokens: 9, messages: [{ content: "a" }, { content: [{ type: "text", text: "b" }] }] });
    expect(readRequest("chat", body)).to.deep.equal({
      kind: "chat", model: "m", isStream: true, bodyBytes: body.length, isPlainText: true, parts: 2, maxOutTokens: 7, choices: 3, tier: Tier.FLEX, stopBytesMax: 6,
    });
    expect(readRequest("completion", bytes({ model: "m", prompt: "x", max_tokens: -1, n: "2" }))).to.include({ maxOutTokens: null, choices: 1, parts: 1 });
  });

  it("refuses a body that is no request", () => {
    for (const body of ["", "[", "null", "3", "[]", `{"model":1}`, `{"model":""}`]) expect(() => readRequest("chat", bytes(body)), body).to.throw(/body/);
    expect(() => readRequest("chat", new Uint8Array([0x7b, 0xff, 0x7d]))).to.throw(/UTF-8/);
    expect(() => readRequest("chat", new Uint8Array(2 ** 20 + 1))).to.throw(/at most/);
  });
});
