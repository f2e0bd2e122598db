import { expect } from "chai";
import fc from "fast-check";
import { hashTypedData } from "viem/utils";
import { TypedDataEncoder } from "ethers";
import { digest, typedDataOf, typeString, type Domain } from "../../protocol/typedData.ts";
import { isSignedBy, signerOfKey, signStruct } from "../../protocol/signing.ts";
import { structNames, structOf, hexBytes } from "./arbitraries.ts";
import type { Address, Hex } from "../../protocol/units.ts";

const domainOf = fc.record({ chainId: fc.integer({ min: 1, max: 2 ** 31 }), verifyingContract: hexBytes(20) as fc.Arbitrary<Address> });

describe("typed data", () => {
  for (const name of structNames) {
    it(`${name}: the hand-built digest is viem's and ethers'`, () => {
      fc.assert(fc.property(domainOf, structOf(name), (domain: Domain, value) => {
        const own = digest(domain, name, value as never);
        const data = typedDataOf(domain, name, value as never);
        expect(own).to.equal(hashTypedData(data as never));
        expect(own).to.equal(TypedDataEncoder.hash(data.domain, data.types, data.message));
      }), { numRuns: 50 });
    });
  }

  it("puts nested types behind the primary one", () => {
    expect(typeString("TaskReceipt")).to.match(/^TaskReceipt\(ReceiptBody body,.*\)ReceiptBody\(bytes32 assignmentHash,/);
  });

  it("changes with every field, the chain and the contract", () => {
    const domain: Domain = { chainId: 31337, verifyingContract: `0x${"11".repeat(20)}` };
    const voucher = { sessionId: `0x${"22".repeat(32)}` as Hex, cumulativeCap: 5n, taskId: `0x${"33".repeat(32)}` as Hex };
    const all = [
      digest(domain, "Voucher", voucher),
      digest({ ...domain, chainId: 1 }, "Voucher", voucher),
      digest({ ...domain, verifyingContract: `0x${"12".repeat(20)}` }, "Voucher", voucher),
      digest(domain, "Voucher", { ...voucher, cumulativeCap: 6n }),
      digest(domain, "Voucher", { ...voucher, sessionId: voucher.taskId }),
      digest(domain, "Voucher", { ...voucher, taskId: voucher.sessionId }),
    ];
    expect(new Set(all).size).to.equal(all.length);
  });
});

describe("signing", () => {
  const key = `0x${"0b".repeat(32)}` as Hex;
  const domain: Domain = { chainId: 31337, verifyingContract: `0x${"11".repeat(20)}` };
  const voucher = { sessionId: `0x${"22".repeat(32)}` as Hex, cumulativeCap: 5n, taskId: `0x${"33".repeat(32)}` as Hex };

  it("recovers its own signer and no other", async () => {
    const signer = signerOfKey(key);
    const signature = await signStruct(signer, domain, "Voucher", voucher);
    expect(await isSignedBy(signer.address, domain, "Voucher", voucher, signature)).to.equal(true);
    expect(await isSignedBy(signer.address, domain, "Voucher", { ...voucher, cumulativeCap: 6n }, signature)).to.equal(false);
    expect(await isSignedBy(`0x${"44".repeat(20)}`, domain, "Voucher", voucher, signature)).to.equal(false);
  });

  it("refuses the malleable twin, other lengths and other v", async () => {
    const signer = signerOfKey(key);
    const signature = await signStruct(signer, domain, "Voucher", voucher);
    const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const s = BigInt(`0x${signature.slice(66, 130)}`);
    const flipped = signature.slice(130) === "1b" ? "1c" : "1b";
    const twin = `${signature.slice(0, 66)}${(n - s).toString(16).padStart(64, "0")}${flipped}` as Hex;
    for (const bad of [twin, `${signature.slice(0, 130)}00`, `${signature.slice(0, 130)}01`, `${signature.slice(0, 130)}1d`, `${signature}00`, "0x", signature.slice(0, 130)] as Hex[]) {
      expect(await isSignedBy(signer.address, domain, "Voucher", voucher, bad), bad).to.equal(false);
    }
  });
});
