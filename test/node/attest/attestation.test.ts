import { expect } from "chai";
import fc from "fast-check";
import { attestationOf, AT_MOST_EVERY_MS, differs, dueInMs, EVERY_MS, NO_ATTESTATION, type Observation } from "../../../node/attest/attestation.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { offersHash } from "../../../protocol/link.ts";

const attester = { nodeId: 7, relayerId: 1, keyEpoch: 2 };
const observed: Observation = {
  slots: 8, prepSlots: 2, offers: [{ modelId: `0x${"ab".repeat(32)}`, slots: 8, priceInPerMTok: 1n, priceOutPerMTok: 2n }],
  saturation: { computeBps: 100, memoryBps: 200, queueBps: 300, networkBps: 400, queuedTokens: 5, kvFreeTokens: 6 },
};

describe("attestation", () => {
  it("says what was observed, for five seconds, and covers the offers", () => {
    const made = attestationOf(attester, NO_ATTESTATION, observed, 1_000_000);
    expect(made).to.deep.include({ ...attester, slots: 8, prepSlots: 2, computeBps: 100, networkBps: 400, queuedTokens: 5, kvFreeTokens: 6, observedAtMs: 1_000_000, validUntilMs: 1_005_000 });
    expect(made.offersHash).to.equal(offersHash(observed.offers));
    expect(made.prevHash).to.equal(NO_ATTESTATION.hash);
  });

  it("never promises more preparation slots than slots", () => {
    expect(attestationOf(attester, NO_ATTESTATION, { ...observed, slots: 1 }, 1).prepSlots).to.equal(1);
  });

  it("property: seq rises and each names the one before, also when the clock goes back", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 2 ** 42 }), { minLength: 2, maxLength: 30 }), (times) => {
      let previous = NO_ATTESTATION;
      for (const nowMs of times) {
        const made = attestationOf(attester, previous, observed, nowMs);
        expect(made.seq > previous.seq).to.equal(true);
        expect(made.prevHash).to.equal(previous.hash);
        previous = { seq: made.seq, hash: hashStruct("SaturationAttestation", made) };
      }
    }), { numRuns: 100 });
  });
});

describe("when to attest", () => {
  it("is at once at first, each second, and sooner on change", () => {
    expect(dueInMs(null, false, 5)).to.equal(0);
    expect(dueInMs(1_000, false, 1_000)).to.equal(EVERY_MS);
    expect(dueInMs(1_000, true, 1_050)).to.equal(AT_MOST_EVERY_MS - 50);
    expect(dueInMs(1_000, true, 1_200)).to.equal(0);
    expect(dueInMs(1_000, false, 9_000)).to.equal(0);
  });

  it("sees a change in places, prices and larger moves, not in noise", () => {
    const moved = (by: Partial<Observation["saturation"]>): Observation => ({ ...observed, saturation: { ...observed.saturation, ...by } });
    expect(differs(observed, observed)).to.equal(false);
    expect(differs(observed, { ...observed, slots: 0 })).to.equal(true);
    expect(differs(observed, { ...observed, prepSlots: 3 })).to.equal(true);
    expect(differs(observed, { ...observed, offers: [{ ...observed.offers[0]!, priceOutPerMTok: 3n }] })).to.equal(true);
    expect(differs(observed, moved({ computeBps: 599 }))).to.equal(false);
    for (const name of ["computeBps", "memoryBps", "queueBps", "networkBps"] as const) expect(differs(observed, moved({ [name]: 900 }))).to.equal(true);
  });
});
