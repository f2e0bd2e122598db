// What each operation costs in gas, on a chain in this process, with real signatures and events on.
//
//   npm run bench:gas -- --json          one JSON object on the last line: operation -> gas
//   npm run bench:gas -- --update        writes test/snapshots/gas.json, with which the tests compare
//
// postBatch_S_T_N: S sessions (VOUCHER, each with a voucher), T tabs (each with a receipt), N tasks; all storage warm from earlier
// batches; per task. A task changes nothing but totals and leafCount, so N divides. The first batch in three windows also
// keeps a checkpoint per tab: that one is given apart.
import { compile } from "../deploy/artifacts.ts";
import { allCosts } from "./gas/costs.ts";
import { changesOf, readSnapshot, writeSnapshot } from "./gas/snapshot.ts";

await compile();
const gas = await allCosts();
for (const [operation, amount] of Object.entries(gas)) console.log(`${operation.padEnd(44)} ${amount.toLocaleString("en-US").padStart(12)}`);
for (const change of changesOf(readSnapshot(), gas)) console.log(`not as in the snapshot: ${change}`);
if (process.argv.includes("--update")) writeSnapshot(gas);
console.log(JSON.stringify(gas));
