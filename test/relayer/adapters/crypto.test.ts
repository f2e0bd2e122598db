// Native hashing, recovery and signing against viem: the same bits for whatever comes.
import { expect } from "chai";
import fc from "fast-check";
import { keccak256 } from "viem/utils";
import { createNativeCrypto, nativeSignerOfKey } from "../../../relayer/adapters/crypto.ts";
import { digest } from "../../../protocol/typedData.ts";
import { recoverWithViem, signerOfKey } from "../../../protocol/signing.ts";
import type { Hash, Hex } from "../../../protocol/units.ts";
import type { Crypto } from "../../../relayer/ports/world.ts";
import { domain, honestRecord, node } from "../../protocol/honest.ts";

const GROUP_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const hexOf = (bytes: Uint8Array): Hex => `0x${Buffer.from(bytes).toString("hex")}`;
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hexOf);
const privateKeys = fc.bigInt({ min: 1n, max: GROUP_ORDER - 1n }).map((key): Hex => `0x${key.toString(16).padStart(64, "0")}`);

describe("native crypto", () => {
  let native: Crypto;
  before(async () => {
    native = await createNativeCrypto();
  });

  it("hashes as viem does, from nothing to kilobytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }).map(hexOf), (data) => native.keccak256(data) === keccak256(data)), { numRuns: 500 });
  });

  it("signs as viem does, bit for bit, and recovers what it signed", async () => {
    await fc.assert(fc.asyncProperty(privateKeys, bytes32, async (key, hash) => {
      const signature = await nativeSignerOfKey(key).sign(hash);
      expect(signature).to.equal(await signerOfKey(key).sign(hash));
      expect(await native.recover(hash, signature)).to.equal(signerOfKey(key).address);
    }), { numRuns: 50 });
  });

  it("recovers what viem recovers from any 65 bytes, and nothing where viem recovers nothing", async () => {
    const half = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((n) => n.toString(16).padStart(64, "0"));
    const v = fc.oneof(fc.constantFrom("1b", "1c"), fc.integer({ min: 0, max: 255 }).map((n) => n.toString(16).padStart(2, "0")));
    await fc.assert(fc.asyncProperty(bytes32, half, half, v, async (hash, r, s, end) => {
      const signature: Hex = `0x${r}${s}${end}`;
      expect(await native.recover(hash, signature)).to.equal(await recoverWithViem(hash, signature));
    }), { numRuns: 200 });
  });

  it("refuses malleable, malformed and empty signatures", async () => {
    const hash: Hash = `0x${"12".repeat(32)}`;
    const good = await node.sign(hash);
    expect(await native.recover(hash, good)).to.equal(node.address);
    const s = BigInt(`0x${good.slice(66, 130)}`);
    const highS: Hex = `0x${good.slice(2, 66)}${(GROUP_ORDER - s).toString(16).padStart(64, "0")}${good.endsWith("1b") ? "1c" : "1b"}`;
    const bad: Hex[] = [highS, "0x", `${good}00`, `0x${"00".repeat(65)}`, `0x${"zz".repeat(64)}1b`, `0x${"00".repeat(64)}1b`, good.replace(/1[bc]$/, "00") as Hex];
    for (const signature of bad) expect(await native.recover(hash, signature), signature).to.equal(null);
  });

  it("checks a receipt's digest as viem does", async () => {
    const record = await honestRecord();
    const native32 = digest(domain, "TaskReceipt", record.receipt, native.keccak256);
    expect(native32).to.equal(digest(domain, "TaskReceipt", record.receipt));
    expect(await native.recover(native32, record.receiptSignature)).to.equal(node.address);
  });
});
