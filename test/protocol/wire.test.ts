import { expect } from "chai";
import fc from "fast-check";
import { attemptFromJson, attemptToJson, attestationFromJson, attestationLineFromJson, attestationLineToJson, attestationToJson, acksFromJson, acksToJson, eventFromJson, eventToJson, linkDigest, offersHash, partyOf, type AttemptEvent } from "../../protocol/link.ts";
import { paymentFromHeader, paymentToHeader } from "../../protocol/payment.ts";
import { nextSeq, outputSalt, textCommit } from "../../protocol/ids.ts";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";
import { hash32, hexBytes, structOf, uint } from "./arbitraries.ts";
import { domain, honestRecord } from "./honest.ts";

const throughText = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const offer = fc.record({ modelId: hash32, slots: uint(16).map(Number), priceInPerMTok: uint(90), priceOutPerMTok: uint(90) });
const events: fc.Arbitrary<AttemptEvent> = fc.oneof(
  fc.record({ type: fc.constant("refusal" as const), refusal: structOf("Refusal"), signature: hexBytes(65) }),
  fc.record({ type: fc.constant("start" as const), inputTokens: uint(32).map(Number) }),
  fc.record({ type: fc.constant("delta" as const), text: fc.string({ unit: "grapheme" }), tokens: uint(16).map(Number) }),
  fc.record({ type: fc.constant("delta" as const), text: fc.string(), tokens: uint(16).map(Number), extra: fc.json() }),
  fc.record({ type: fc.constant("embedding" as const), index: uint(16).map(Number), vector: fc.base64String() }),
  fc.record({ type: fc.constant("end" as const), finishReason: fc.constantFrom("stop" as const, "length" as const), receipt: structOf("TaskReceipt"), signature: hexBytes(65) }),
  fc.record({ type: fc.constant("failed" as const), code: fc.constant("engine_failed"), message: fc.string({ maxLength: 100 }) }),
);

describe("the node link's words", () => {
  it("events go there and back through text", () => {
    fc.assert(fc.property(events, (event) => {
      expect(eventFromJson(throughText(eventToJson(event)))).to.deep.equal(event);
    }));
  });

  it("attestations go there and back, and not with other offers", () => {
    fc.assert(fc.property(structOf("SaturationAttestation"), hexBytes(65), fc.array(offer, { minLength: 1, maxLength: 5 }), (attestation, signature, offers) => {
      const signed = { attestation: { ...attestation, offersHash: offersHash(offers) }, signature, offers };
      expect(attestationFromJson(throughText(attestationToJson(signed)))).to.deep.equal(signed);
      const presences = [{ party: partyOf(2 ** 32 - 1, `0x${"1f".repeat(32)}`), running: 3 }];
      expect(attestationLineFromJson(throughText(attestationLineToJson({ ...signed, presences })))).to.deep.equal({ ...signed, presences });
      // A node of an earlier version tells of nobody, one of another in a form that is not known, and what is kept of an attestation is what was signed.
      expect(attestationLineFromJson(throughText(attestationToJson({ ...signed, presences }))).presences).to.deep.equal([]);
      for (const odd of [null, 7, { party: "me" }, [{ party: "x".repeat(200), running: 1 }], [{ party: "me", running: -1 }], [{ by: "me" }], Array(300).fill(presences[0])]) {
        expect(attestationLineFromJson(throughText({ ...attestationToJson(signed), presences: odd }))).to.deep.equal({ ...signed, presences: [] });
      }
      const dearer = { ...signed, offers: offers.with(0, { ...offers[0]!, priceInPerMTok: offers[0]!.priceInPerMTok + 1n }) };
      expect(() => attestationFromJson(throughText(attestationToJson(dearer)))).to.throw(InvalidValueError, "offersHash");
    }));
  });

  it("attempts and acks go there and back", async () => {
    const { receipt: _receipt, receiptSignature: _signature, assignment, assignmentSignature, ...covered } = await honestRecord();
    const request = { covered, assignment, assignmentSignature, input: { kind: "chat" as const, salt: assignment.inputCommit, body: '{"a":"\\u2028ü"}' } };
    expect(attemptFromJson(throughText(attemptToJson(request)))).to.deep.equal(request);
    fc.assert(fc.property(fc.array(fc.record({ ack: structOf("Ack"), signature: hexBytes(65) }), { maxLength: 4 }), (acks) => {
      expect(acksFromJson(throughText(acksToJson(acks)))).to.deep.equal(acks);
    }));
  });

  it("anything else raises one typed error", () => {
    fc.assert(fc.property(fc.anything(), (junk) => {
      for (const read of [eventFromJson, attestationFromJson, attemptFromJson, acksFromJson]) expect(() => read(junk)).to.throw(TidelaneError);
    }));
  });

  it("proofs of the two parties, of other nonces, nodes, relayers, chains differ", () => {
    const link = { nodeId: 1, relayerId: 2, nodeNonce: `0x${"01".repeat(32)}` as const, relayerNonce: `0x${"02".repeat(32)}` as const };
    const all = [
      linkDigest(domain, "node", link), linkDigest(domain, "relayer", link), linkDigest(domain, "node", { ...link, nodeId: 2 }),
      linkDigest(domain, "node", { ...link, relayerId: 1 }), linkDigest(domain, "node", { ...link, nodeNonce: link.relayerNonce }),
      linkDigest(domain, "node", { ...link, relayerNonce: link.nodeNonce }), linkDigest({ ...domain, chainId: 1 }, "node", link),
      linkDigest({ ...domain, verifyingContract: `0x${"01".repeat(20)}` }, "node", link),
    ];
    expect(new Set(all).size).to.equal(all.length);
  });
});

describe("the payment header", () => {
  it("goes there and back, and is plain ASCII", () => {
    fc.assert(fc.property(structOf("TaskOrder"), structOf("Voucher"), hexBytes(65), hash32, (order, voucher, voucherSignature, promptSalt) => {
      const header = paymentToHeader({ order, voucher, voucherSignature, promptSalt });
      expect(header).to.match(/^[\w-]+$/);
      expect(paymentFromHeader(header)).to.deep.equal({ order, voucher, voucherSignature, promptSalt });
    }));
  });

  it("refuses anything else with its own error", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.base64String(), fc.json().map((json) => btoa(unescape(encodeURIComponent(json)))), fc.constant("x".repeat(9_000))), (header) => {
      expect(() => paymentFromHeader(header)).to.throw(InvalidValueError);
    }));
  });
});

describe("ids", () => {
  it("sequence numbers rise strictly, also when the clock goes back", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 43 }), { minLength: 2 }), (clock) => {
      let last = 0n;
      for (const nowMs of clock) {
        const next = nextSeq(last, nowMs);
        expect(next > last && next < 1n << 64n).to.equal(true);
        last = next;
      }
    }));
  });

  it("commitments need the salt", () => {
    fc.assert(fc.property(hash32, hash32, fc.string(), (salt, other, text) => {
      fc.pre(salt !== other);
      expect(textCommit(salt, text)).to.equal(textCommit(salt, text)).and.not.equal(textCommit(other, text));
      expect(outputSalt(salt, other)).to.not.equal(outputSalt(other, salt));
    }));
  });
});
