// What a relayer accepts and a watcher accuses against what a fraud proof contests: random records, honest ones and bent ones,
// judged by all three.
import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { faultOf as watchedFaultOf } from "../../auditor/watch/faults.ts";
import { leafStruct } from "../../protocol/evidence.ts";
import { domainSeparator, hashStruct, type Domain } from "../../protocol/typedData.ts";
import { feeOf } from "../../protocol/fees.ts";
import { checkRecord, voucherHashOf, type AttemptRecord } from "../../protocol/records.ts";
import { signerOfKey, signStruct, type DigestSigner } from "../../protocol/signing.ts";
import { ZERO_HASH, type Address, type Hex, type Signature } from "../../protocol/units.ts";
import type { SpendingAuthorization } from "../../protocol/generated/structs.ts";
import { createNativeCrypto } from "../../relayer/adapters/crypto.ts";

const SAMPLES = 1_500;
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const NODE = 1;
const RELAYER = 2;
const MAX_FEE = 2_000_000n;
const NOW = 1_800_000_000;
const domain: Domain = { chainId: 31_337, verifyingContract: "0x00000000000000000000000000000000000000aa" };

// Test keys: public numbers, never for real money.
const keyOf = (n: number): DigestSigner => signerOfKey(`0x${n.toString(16).padStart(64, "0")}`);
const node = keyOf(1_001);
const relayer = keyOf(1_002);
const session = keyOf(1_003);
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

type Bend = { readonly at: "before" | "after"; readonly how: (record: any, amount: number) => void };

/** `before`: signed as bent, so that only what it says can be wrong. `after`: bent under honest signatures and links. */
const bends: Readonly<Record<string, Bend>> = {
  none: { at: "before", how: () => undefined },
  tier: { at: "before", how: (r, n) => (r.order.tier = n % 6) },
  maxFee: { at: "before", how: (r, n) => (r.order.maxFee = MAX_FEE + BigInt(n % 3) - 1n) },
  maxOutTokens: { at: "before", how: (r, n) => (r.order.maxOutTokens = r.receipt.body.outputTokens + (n % 3) - 1) },
  priceIn: { at: "before", how: (r, n) => (r.assignment.priceInPerMTok = r.authorization.maxPriceInPerMTok + BigInt(n % 3) - 1n) },
  priceOut: { at: "before", how: (r, n) => (r.assignment.priceOutPerMTok = r.authorization.maxPriceOutPerMTok + BigInt(n % 3) - 1n) },
  feeBps: { at: "before", how: (r, n) => (r.assignment.feeBps = 500 + (n % 3) - 1) },
  shareCap: { at: "before", how: (r, n) => (r.assignment.shareCap = MAX_FEE + BigInt(n % 3) - 1n) },
  smallShare: { at: "before", how: (r, n) => (r.assignment.shareCap = BigInt(n % 1_000)) },
  subtask: { at: "before", how: (r, n) => (r.assignment.subtask = n % 3) },
  relayerOfSession: { at: "before", how: (r, n) => (r.authorization.relayerId = RELAYER + (n % 2)) },
  keyEpoch: { at: "before", how: (r, n) => (r.assignment.keyEpoch = n % 3) },
  relayerEpoch: { at: "before", how: (r, n) => (r.assignment.relayerEpoch = n % 3) },
  status: { at: "after", how: (r, n) => (r.receipt.body.status = n % 5) },
  fee: { at: "after", how: (r, n) => (r.receipt.body.fee += BigInt(n % 3)) },
  inputTokens: { at: "after", how: (r, n) => (r.receipt.body.inputTokens += n % 3) },
  outputTokens: { at: "after", how: (r, n) => (r.receipt.body.outputTokens += n % 3) },
  cumulative: { at: "after", how: (r, n) => (r.receipt.nodeCumulative = r.receipt.body.fee + BigInt(n % 3) - (r.receipt.body.fee > 0n ? 1n : 0n)) },
  subtaskOfReceipt: { at: "after", how: (r, n) => (r.receipt.body.subtask = n % 2) },
  attemptOfReceipt: { at: "after", how: (r, n) => (r.receipt.body.attempt = n % 2) },
  roleOfReceipt: { at: "after", how: (r, n) => (r.receipt.body.role = 1 + (n % 2)) },
  nodeOfReceipt: { at: "after", how: (r, n) => (r.receipt.nodeId = NODE + (n % 2)) },
  relayerOfReceipt: { at: "after", how: (r, n) => (r.receipt.relayerId = RELAYER + (n % 2)) },
  epochOfReceipt: { at: "after", how: (r, n) => (r.receipt.keyEpoch = 1 + (n % 2)) },
  voucherOfOther: { at: "after", how: (r, n) => r.voucher && (r.voucher.taskId = n % 2 ? ZERO_HASH : r.voucher.taskId) },
};

describe(`Records, as relayers accept and judges contest them (FUZZ_SEED=${seed})`, () => {
  it("what a relayer accepts is never slashable, and what it refuses for money or signatures always is", async () => {
    const { ethers } = await network.create();
    const harness = await ethers.deployContract("RecordHarness", [node.address, relayer.address, domainSeparator(domain)]);
    const faultOf = harness.getFunction("faultOf");
    const { recover, keccak256 } = await createNativeCrypto();
    const keys = {
      domain, recover,
      nodeKey: async (id: number, epoch: number): Promise<Address | null> => (id === NODE && epoch === 1 ? node.address : id === RELAYER && epoch === 1 ? relayer.address : null),
      relayerKey: async (id: number, epoch: number): Promise<Address | null> => (id === RELAYER && epoch === 1 ? relayer.address : id === NODE && epoch === 1 ? node.address : null),
    };
    const always = { openedAtSeconds: 1, closedAtSeconds: 0 };
    const named = (first: number, second: number) => new Map([first, second].map((id) => [`${id}:1`, { key: id === NODE ? node.address : relayer.address, ...always }]));
    const watched = { domain, recover, keccak256, windowSeconds: 3_600, nodeKeys: named(NODE, RELAYER), relayerKeys: named(RELAYER, NODE) };
    const drawn = fc.sample(fc.record({ bend: fc.constantFrom(...Object.keys(bends)), amount: fc.nat(10_000), mode: fc.nat(1), status: fc.integer({ min: 1, max: 3 }), tokens: fc.nat(5_000), malleable: fc.constantFrom("no", "no", "no", "receipt", "voucher", "assignment", "v", "short") }), { numRuns: SAMPLES, seed });
    const seen = { accepted: 0, refused: 0 };
    for (const [i, draw] of drawn.entries()) {
      const record = await recordOf(draw);
      const accepted = await checkRecord(record, keys);
      const solidity = { ...record, voucher: record.voucher ?? { sessionId: ZERO_HASH, cumulativeCap: 0n, taskId: ZERO_HASH } };
      const fault = Number(await faultOf.staticCall(solidity, voucherHashOf(record)));
      expect(fault !== 0, `sample ${i}, ${draw.bend}: Solidity finds fault ${fault}, TypeScript ${JSON.stringify(accepted)}`).to.equal(accepted.length > 0);
      const accused = await watchedFaultOf(record, record.receipt.relayerId, leafStruct(record), watched);
      expect(accused !== null, `sample ${i}, ${draw.bend}: Solidity finds fault ${fault}, a watcher ${accused}`).to.equal(fault !== 0);
      seen[accepted.length === 0 ? "accepted" : "refused"] += 1;
    }
    // Both sides of the line were drawn often enough to say something.
    expect(seen.accepted).to.be.above(SAMPLES / 5);
    expect(seen.refused).to.be.above(SAMPLES / 5);
  }).timeout(180_000);
});

interface Draw {
  readonly bend: string;
  readonly amount: number;
  readonly mode: number;
  readonly status: number;
  readonly tokens: number;
  readonly malleable: string;
}

async function recordOf({ bend, amount, mode, status, tokens, malleable }: Draw): Promise<AttemptRecord> {
  const { at, how } = bends[bend]!;
  const authorization: SpendingAuthorization = {
    payer: session.address, sessionKey: session.address, relayerId: RELAYER, lock: 10n ** 9n, maxTotal: 10n ** 9n, maxPerTask: MAX_FEE, maxPerDay: mode === 1 ? 10n ** 8n : 0n,
    maxPriceInPerMTok: 10n ** 8n, maxPriceOutPerMTok: 3n * 10n ** 8n, maxFeeBps: 500, mode, validAfter: 0, validUntil: 2 * NOW, salt: 1n,
  };
  const record: any = {
    authorization,
    order: { sessionId: ZERO_HASH, nonce: BigInt(amount), promptCommit: ZERO_HASH, modelId: ZERO_HASH, tier: 0, maxOutTokens: 8_000, maxFee: MAX_FEE, deadline: NOW },
    assignment: {
      taskId: ZERO_HASH, subtask: 0, subtasks: 1, attempt: 0, relayerId: RELAYER, relayerEpoch: 1, nodeId: NODE, keyEpoch: 1, role: 1, voucherHash: ZERO_HASH, attestationHash: ZERO_HASH, decisionHash: ZERO_HASH,
      contextHead: ZERO_HASH, priceInPerMTok: 9n * 10n ** 7n, priceOutPerMTok: 2n * 10n ** 8n, feeBps: 300, shareCap: MAX_FEE, inputCommit: ZERO_HASH, issuedAt: NOW, deadline: NOW + 9,
    },
    receipt: {
      body: {
        assignmentHash: ZERO_HASH, sessionId: ZERO_HASH, taskId: ZERO_HASH, subtask: 0, attempt: 0, role: 1, prevReceiptHash: ZERO_HASH, outputCommit: ZERO_HASH, inputTokens: tokens, outputTokens: Math.floor(tokens / 2) + 1,
        fee: 0n, startedAt: NOW, finishedAt: NOW + 1, status,
      },
      nodeId: NODE, relayerId: RELAYER, keyEpoch: 1, nodeSeq: 1n, nodeCumulative: 0n,
    },
  };
  if (at === "before") how(record, amount);
  const sessionId = hashStruct("SpendingAuthorization", record.authorization);
  record.order.sessionId = sessionId;
  const taskId = hashStruct("TaskOrder", record.order);
  record.voucher = mode === 0 ? { sessionId, cumulativeCap: 10n ** 8n, taskId } : null;
  const { receipt, assignment } = record;
  if (bend === "voucherOfOther") how(record, amount);
  assignment.taskId = taskId;
  assignment.voucherHash = voucherHashOf(record);
  Object.assign(receipt.body, { assignmentHash: hashStruct("Assignment", assignment), sessionId, taskId, subtask: assignment.subtask, attempt: assignment.attempt, role: assignment.role });
  receipt.keyEpoch = assignment.keyEpoch;
  receipt.body.fee = feeOf(status === 2 ? 0 : receipt.body.inputTokens, receipt.body.outputTokens, assignment).fee;
  receipt.nodeCumulative = receipt.body.fee;
  if (at === "after" && bend !== "voucherOfOther") how(record, amount);
  return {
    ...record, voucherSignature: record.voucher ? bent(await signStruct(session, domain, "Voucher", record.voucher), malleable, "voucher") : "0x",
    assignmentSignature: bent(await signStruct(relayer, domain, "Assignment", assignment), malleable, "assignment"), receiptSignature: bent(await signStruct(node, domain, "TaskReceipt", receipt), malleable, "receipt"),
  };
}

/** The malleable twin of a signature, one with v in {0, 1}, or one cut to 64 bytes: nobody's word on either side. */
function bent(signature: Signature, how: string, which: string): Signature {
  if (how === which) {
    const s = N - BigInt(`0x${signature.slice(66, 130)}`);
    return `${signature.slice(0, 66)}${s.toString(16).padStart(64, "0")}${signature.endsWith("1b") ? "1c" : "1b"}` as Hex as Signature;
  }
  if (how === "v" && which === "receipt") return `${signature.slice(0, 130)}${signature.endsWith("1b") ? "00" : "01"}` as Signature;
  if (how === "short" && which === "receipt") return signature.slice(0, 130) as Signature;
  return signature;
}

