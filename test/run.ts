// `npm test`: every check in one run, three at a time, each with its own output, and one count at the end.
// usage: npm test [-- <stage> ...]      with stages from the table below
//        npm run test:deep [-- --json]  the long runs: 10,000 fuzz runs, 1,024 x 128 invariant calls, a million operations
//        of the ledger, 100,000 trees, a sample of mutants, millions of arrivals, all measures of the router
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

interface Stage {
  readonly name: string;
  readonly args: readonly string[];
  /** How the counts are read from the output; a stage without a pattern counts as one test. */
  readonly counts?: { readonly passed: RegExp; readonly failed: RegExp };
  readonly minutesMax: number;
}

interface Result {
  readonly stage: Stage;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const hardhat = "node_modules/hardhat/dist/src/cli.js";
const mocha = ["node_modules/mocha/bin/mocha.js", "--exit"];
const counts = { passed: /(\d+) passing/g, failed: /(\d+) failing/g };
const parts = ["protocol", "relayer", "node", "client", "auditor", "cli", "web", "deploy", "bench"];
const units = ["test/*.test.ts", ...parts.map((part) => `test/${part}/**/*.test.ts`)];

/** Solidity is compiled once, by the first stage, before anything that reads artifacts. */
const compile: Stage = { name: "generated", args: ["scripts/generate.ts", "--check"], minutesMax: 3 };
const tracks: readonly (readonly Stage[])[] = [
  [
    { name: "solidity", args: [hardhat, "test", "solidity"], counts, minutesMax: 12 },
    { name: "contracts", args: [hardhat, "test", "mocha"], counts, minutesMax: 12 },
  ],
  [
    { name: "types", args: ["node_modules/typescript/bin/tsc", "--noEmit"], minutesMax: 3 },
    { name: "units", args: [...mocha, ...units], counts, minutesMax: 12 },
  ],
  // Mostly waiting for blocks: the cores are free for the others meanwhile.
  [
    { name: "journeys", args: [...mocha, "--timeout", "120000", "--ignore", "test/e2e/network*.test.ts", "test/e2e/**/*.test.ts"], counts, minutesMax: 12 },
    { name: "network", args: [...mocha, "--timeout", "120000", "test/e2e/network*.test.ts"], counts, minutesMax: 12 },
  ],
];

const deepPages = ["--keep", ".tidelane/deep/kept", "--out", ".tidelane/deep"];
const deep: readonly Stage[] = [
  { name: "solidity", args: [hardhat, "test", "solidity"], counts, minutesMax: 240 },
  { name: "twins", args: [hardhat, "test", "mocha", "test/contracts/twins.ts", "test/contracts/ledger.ts"], counts, minutesMax: 360 },
  { name: "trees", args: [...mocha, "test/protocol/merkleSum.test.ts"], counts, minutesMax: 60 },
  { name: "mutation", args: ["test/mutation/main.ts", "--sample", "400"], minutesMax: 240 },
  { name: "reception", args: [...mocha, "test/relayer/work/receptionHostile.test.ts"], counts, minutesMax: 60 },
  { name: "simulator", args: [...mocha, "--timeout", "3600000", "test/bench/sim/validation.test.ts"], counts, minutesMax: 120 },
  // The full matrix, and every promise of the router with three seeds; pages go to .tidelane/deep, and what is finished is kept there.
  { name: "routing", args: ["bench/routing.ts", "--report", "--traces", "azure2023_conv,mooncake_conversation,aibrix_8min_up_and_down", ...deepPages], minutesMax: 240 },
  // Missed for each seed: the best division of nodes by kinds that hindsight finds (docs/decisions/what-lanes-can-gain.md).
  { name: "measures", args: ["bench/measures.ts", "--seeds", "1,2,3", "--missed-max", "3", ...deepPages], minutesMax: 240 },
  // Each contract's explorer input, compiled anew.
  { name: "deploy", args: [...mocha, "test/deploy/verifyInput.test.ts"], counts, minutesMax: 15 },
];

async function main(args: readonly string[]): Promise<void> {
  const wanted = args.filter((arg) => !arg.startsWith("--"));
  if (args.includes("--deep")) {
    process.env.DEEP_TESTS = "1";
    return report([await run(compile), ...await inOrder(deep)], args.includes("--json"));
  }
  const known = [compile, ...tracks.flat()].map((stage) => stage.name);
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no stage is named ${unknown.join(", ")}; there are: ${known.join(", ")}`);
  const isWanted = (stage: Stage): boolean => wanted.length === 0 || wanted.includes(stage.name);
  const results: Result[] = [await run(compile)];
  if (results[0]!.failed === 0) {
    const perTrack = await Promise.all(tracks.map((track) => inOrder(track.filter(isWanted))));
    results.push(...perTrack.flat());
  }
  report(results, args.includes("--json"));
}

async function inOrder(stages: readonly Stage[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const stage of stages) results.push(await run(stage));
  return results;
}

function run(stage: Stage): Promise<Result> {
  return new Promise((done) => {
    const since = performance.now();
    const child = spawn(process.execPath, stage.args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, FORCE_COLOR: "0" } });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    const tooLong = setTimeout(() => child.kill("SIGKILL"), stage.minutesMax * 60_000);
    child.on("close", (code, signal) => {
      clearTimeout(tooLong);
      const output = Buffer.concat(chunks).toString();
      const seconds = (performance.now() - since) / 1000;
      console.log(`\n=== ${stage.name} (${seconds.toFixed(1)} s)\n${output.trimEnd()}`);
      if (signal) console.log(`=== ${stage.name} was ended by ${signal}: its limit is ${stage.minutesMax} minutes`);
      done({ stage, ...countsOf(stage, output, code), seconds });
    });
  });
}

/** A stage that exits with an error fails, whatever it counted; one that counts tests must have run some. */
function countsOf(stage: Stage, output: string, code: number | null): { passed: number; failed: number } {
  if (!stage.counts) return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  const sum = (pattern: RegExp): number => [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  const passed = sum(stage.counts.passed);
  const failed = sum(stage.counts.failed);
  return { passed, failed: failed === 0 && (code !== 0 || passed === 0) ? 1 : failed };
}

function report(results: readonly Result[], isJson: boolean): void {
  console.log("\n=== summary");
  for (const { stage, passed, failed, seconds } of results) {
    console.log(`${stage.name.padEnd(10)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed ${seconds.toFixed(1).padStart(7)} s`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  if (isJson) console.log(JSON.stringify({ passed, failed, stages: results.map(({ stage, ...counted }) => ({ name: stage.name, ...counted })) }));
  process.exitCode = failed === 0 ? 0 : 1;
}

await main(process.argv.slice(2));
