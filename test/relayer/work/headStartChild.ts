// A relayer process for test/relayer/work/headStartPostgres.test.ts: answers one question, then tells what it sends for the next one.
//
//   node headStartChild.ts DATABASE_URL SPOOL_DIR     prints {"apiKey"}, waits for a line, prints {"taskId", "nonce", "assignmentHash"}
import { once } from "node:events";
import { hashStruct } from "../../../protocol/typedData.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { openJournal } from "../../../relayer/adapters/journal.ts";
import { answers } from "./world.ts";
import { rigOf } from "./headStartRig.ts";

const [databaseUrl, spoolDir] = process.argv.slice(2);
const tell = (line: Record<string, string>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const rig = await rigOf(await openJournal({ databaseUrl: databaseUrl!, spoolDir: spoolDir!, log: silentLog }), null, answers("first"));
for await (const _ of (await rig.ask()).events) { /* To its end. */ }
tell({ apiKey: rig.apiKey });
await once(process.stdin, "data");
rig.world.nodes[0]!.script = async function* (attempt) {
  const { assignment, covered } = attempt.request;
  tell({ taskId: assignment.taskId, nonce: String(covered.order.nonce), assignmentHash: hashStruct("Assignment", assignment) });
  yield* answers("never heard")(attempt);
};
await rig.ask();
