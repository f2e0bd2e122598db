// A process that signs receipts until it is killed: it prints each seq only once the disk has it, as the agent lets a signature go.
import { keccak256, stringToHex } from "viem/utils";
import { FileStore } from "../../../node/adapters/store.ts";
import { systemClock } from "../../../node/adapters/clock.ts";
import { nextSeq } from "../../../protocol/ids.ts";
import { silentLog } from "../fixtures.ts";

const store = await FileStore.open({ folder: process.argv[2]!, evidenceSeconds: 3_600, clock: systemClock, log: silentLog });
const before = store.tab(1);
process.stdout.write(`opened ${before?.nodeSeq ?? 0} ${before?.cumulative ?? 0}\n`);

let seq = before?.nodeSeq ?? 0n;
let cumulative = before?.cumulative ?? 0n;
for (;;) {
  // Four at a time, as attempts end together.
  await Promise.all([1, 2, 3, 4].map(async () => {
    seq = nextSeq(seq, Date.now());
    cumulative += 1n;
    const [own, total] = [seq, cumulative];
    const hash = keccak256(stringToHex(String(own)));
    await store.putReceipt({
      relayerId: 1, head: { nodeSeq: own, receiptHash: hash, cumulative: total }, receiptHash: hash, sessionId: hash, charge: 1n,
      assignmentHash: hash, assignmentDeadline: Math.floor(Date.now() / 1_000) + 5, signedAtMs: Date.now(), isAborted: false,
    });
    process.stdout.write(`released ${own} ${total}\n`);
  }));
}
