// How fast a relayer checks receipts: EIP-712 digest, key recovery, comparison; native code against viem in the same run.
//
//   npm run bench:crypto -- --json          one JSON object on the last line: {viemPerSecond, nativePerSecond, ratio}
import { verifyTypedData } from "viem";
import { digest, typedDataOf, type Domain } from "../protocol/typedData.ts";
import { signerOfKey, signStruct } from "../protocol/signing.ts";
import { createNativeCrypto } from "../relayer/adapters/crypto.ts";
import type { TaskReceipt } from "../protocol/generated/structs.ts";
import type { Hash, Signature } from "../protocol/units.ts";

const RECEIPTS = 64;
const VIEM_MS = 2_000;
const NATIVE_MS = 2_000;
/** The first well-known anvil account: a test key. */
const signer = signerOfKey("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
const domain: Domain = { chainId: 31_337, verifyingContract: `0x${"5e".repeat(20)}` };

interface Signed {
  readonly receipt: TaskReceipt;
  readonly signature: Signature;
}

/** Checks receipts in turn for a while. @returns checks per second. @throws where a valid receipt does not check out. */
async function rate(receipts: readonly Signed[], forMs: number, check: (signed: Signed) => Promise<boolean>): Promise<number> {
  const startMs = performance.now();
  let checked = 0;
  while (performance.now() - startMs < forMs) {
    for (const signed of receipts) if (!await check(signed)) throw new Error("a valid receipt did not check out");
    checked += receipts.length;
  }
  return Math.round((checked * 1_000) / (performance.now() - startMs));
}

const hashOf = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

const receiptOf = (n: number): TaskReceipt => ({
  body: {
    assignmentHash: hashOf(n), sessionId: hashOf(n + 1), taskId: hashOf(n + 2), subtask: 0, attempt: 0, role: 1,
    prevReceiptHash: hashOf(n + 3), outputCommit: hashOf(n + 4), inputTokens: 100 + n, outputTokens: 200 + n, fee: 1_234n,
    startedAt: 1_790_000_000, finishedAt: 1_790_000_009, status: 1,
  },
  nodeId: 7, relayerId: 3, keyEpoch: 1, nodeSeq: (1_790_000_000_000n << 20n) + BigInt(n), nodeCumulative: 1_234n * BigInt(n + 1),
});

const native = await createNativeCrypto();
const receipts = await Promise.all(Array.from({ length: RECEIPTS }, async (_, n): Promise<Signed> => {
  const receipt = receiptOf(n);
  return { receipt, signature: await signStruct(signer, domain, "TaskReceipt", receipt) };
}));

const withViem = async ({ receipt, signature }: Signed): Promise<boolean> =>
  verifyTypedData({ ...typedDataOf(domain, "TaskReceipt", receipt), address: signer.address, signature } as never);
const withNative = async ({ receipt, signature }: Signed): Promise<boolean> =>
  await native.recover(digest(domain, "TaskReceipt", receipt, native.keccak256), signature) === signer.address;

// Both are warm before they are timed.
await rate(receipts, 300, withViem);
await rate(receipts, 300, withNative);
const viemPerSecond = await rate(receipts, VIEM_MS, withViem);
const nativePerSecond = await rate(receipts, NATIVE_MS, withNative);
const ratio = Math.round((nativePerSecond * 10) / viemPerSecond) / 10;

if (!process.argv.includes("--json")) console.log(`viem ${viemPerSecond}/s, native ${nativePerSecond}/s: ${ratio} times as fast`);
console.log(JSON.stringify({ viemPerSecond, nativePerSecond, ratio }));
