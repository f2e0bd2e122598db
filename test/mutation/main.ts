// Mutation testing of the money paths: is there a test for each thing that the contracts could do wrong?
// usage: npm run test:mutation [-- --sample <n>] [--seed <s>] [--file <part of a path>] [--json]
//        Results are kept in .tidelane/mutation.json: killed mutants stay killed while their file is the same.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { EQUIVALENT, type Equivalent } from "./equivalent.ts";
import { EQUIVALENT_OF_JUDGES } from "./equivalentOfJudges.ts";
import { hashOf, mutate, type Mutant } from "./schemata.ts";
import { readSources, root, type Sources } from "./sources.ts";
import { suiteRunner, type Suite, type SuiteRunner } from "./suites.ts";

/** Escrow, BatchSettlement, FraudProofs and what their arithmetic stands on. */
const FILES = [
  "Escrow", "escrow/EscrowBase", "escrow/Deposits", "escrow/Sessions", "escrow/Tabs", "BatchSettlement", "settlement/Forces", "FraudProofs", "fraud/Penalties",
  "fraud/DataChallenges", "fraud/Judge", "fraud/LeafJudge", "fraud/NodeJudge", "fraud/RelayerJudge", "fraud/TreeJudge", "libraries/Fees", "libraries/Items",
  "libraries/Maturity", "libraries/MerkleSum", "libraries/Records", "libraries/Signatures", "libraries/TidelaneDomain",
].map((name) => `contracts/${name}.sol`);
/** One asks Hardhat for the types, one measures gas, which is another without the optimiser. */
const NOT_RUN = "typeHashesFitTheStructs|allOrNothing";
const KEPT = join(root, ".tidelane", "mutation.json");
const KILLED_BPS_LEAST = 9_500;
const SAVED_EVERY = 20;
/** A mutant that loops may record calls without end; the original needs less than half of this. */
const MEMORY_BYTES_MAX = 5e9;
const GAVE_OUT = "memory";
/** The exit code that asks for another process, which goes on behind the mutant that used up this one. */
const GO_ON = 75;
/** Set in the processes that do the work: `first`, then `next`. */
const part = process.env["MUTATION_PART"];

/** What is kept of a run: by whom each mutant was killed, null where by nobody. */
interface Kept {
  readonly tests: string;
  readonly killers: Record<string, string | null>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { sample: { type: "string" }, seed: { type: "string", default: "1" }, file: { type: "string", default: "" }, json: { type: "boolean", default: false } },
  });
  const sources = readSources();
  const { mutants, output } = mutate(sources, FILES);
  const runner = await suiteRunner(output, NOT_RUN);
  if (part === "first") await requireGreen(runner);
  const wanted = mutants.filter(({ file }) => file.includes(values.file));
  const chosen = values.sample ? drawn(wanted, Number(values.sample), values.seed) : wanted;
  const kept = load(sources);
  console.log(`${mutants.length} mutants, ${chosen.length} to be run, in ${runner.suites.length} suites`);
  const killers = await run(runner, chosen, kept);
  report(chosen, killers, values.json);
}

/** Without a mutant every test passes, or a failure would say nothing. */
async function requireGreen(runner: SuiteRunner): Promise<void> {
  const failed: string[] = [];
  for (const suite of runner.suites) failed.push(...(await runner.failures(suite, 0)).map((name) => `${suite.name}.${name}`));
  if (failed.length > 0) throw new Error(`the original fails ${failed.join(", ")}`);
}

async function run(runner: SuiteRunner, mutants: readonly Mutant[], kept: Kept): Promise<Record<string, string | null>> {
  const order = new Order(runner.suites);
  let [done, key] = [0, ""];
  const watch = setInterval(() => {
    if (process.memoryUsage.rss() < MEMORY_BYTES_MAX) return;
    kept.killers[key] = GAVE_OUT;
    save(kept);
    process.exit(GO_ON);
  }, 200);
  for (const mutant of mutants) {
    key = keyOf(mutant);
    kept.killers[key] ??= await killerOf(runner, mutant, order);
    if (++done % SAVED_EVERY === 0 || done === mutants.length) {
      save(kept);
      console.log(`${done} of ${mutants.length}, ${mutants.slice(0, done).filter((one) => !kept.killers[keyOf(one)]).length} survive`);
    }
  }
  clearInterval(watch);
  return kept.killers;
}

async function killerOf(runner: SuiteRunner, mutant: Mutant, order: Order): Promise<string | null> {
  for (const suite of order.for(mutant.file)) {
    const since = performance.now();
    const [first] = await runner.failures(suite, mutant.id);
    order.learn(mutant.file, suite, first !== undefined, performance.now() - since);
    if (first !== undefined) return `${suite.name}.${first}`;
  }
  return null;
}

/** Suites by how many mutants of a file they have killed for each second that they took. */
class Order {
  private readonly suites: readonly Suite[];
  private readonly kills = new Map<string, number>();
  private readonly tookMs = new Map<Suite, number>();

  constructor(suites: readonly Suite[]) {
    this.suites = suites;
  }

  for(file: string): Suite[] {
    const worth = (suite: Suite): number => (1 + (this.kills.get(`${file} ${suite.name}`) ?? 0)) / (20 + (this.tookMs.get(suite) ?? 0));
    return this.suites.toSorted((a, b) => worth(b) - worth(a));
  }

  learn(file: string, suite: Suite, isKill: boolean, ms: number): void {
    this.tookMs.set(suite, ms);
    if (isKill) this.kills.set(`${file} ${suite.name}`, (this.kills.get(`${file} ${suite.name}`) ?? 0) + 1);
  }
}

/** The same mutants for the same seed. */
function drawn(mutants: readonly Mutant[], count: number, seed: string): Mutant[] {
  const rank = (mutant: Mutant): string => hashOf(`${seed} ${keyOf(mutant)}`);
  return mutants.map((mutant) => ({ mutant, rank: rank(mutant) })).sort((a, b) => (a.rank < b.rank ? -1 : 1)).slice(0, count).map(({ mutant }) => mutant);
}

/** One mutant of one text of its file. */
const keyOf = ({ file, text, operator, before, after, places }: Mutant): string => `${file}@${text}:${places[0]!.start} ${operator}: ${flat(before)} -> ${flat(after)}`;
const flat = (text: string): string => text.replaceAll(/\s+/g, " ").trim();

function load(sources: Sources): Kept {
  const tests = hashOf(JSON.stringify(Object.entries(sources).filter(([path]) => path.startsWith("test/")).sort()));
  const kept: Kept = existsSync(KEPT) ? JSON.parse(readFileSync(KEPT, "utf8")) as Kept : { tests, killers: {} };
  // New tests may kill what survived the old ones.
  return { tests, killers: Object.fromEntries(Object.entries(kept.killers).filter(([, killer]) => killer !== null || kept.tests === tests)) };
}

function save(kept: Kept): void {
  mkdirSync(dirname(KEPT), { recursive: true });
  writeFileSync(KEPT, JSON.stringify(kept));
}

function report(mutants: readonly Mutant[], killers: Record<string, string | null>, isJson: boolean): void {
  const survivors = mutants.filter((mutant) => !killers[keyOf(mutant)]);
  const reasonOf = (mutant: Mutant): string | undefined => [...EQUIVALENT, ...EQUIVALENT_OF_JUDGES].find((one) => isOf(one, mutant))?.reason;
  const equivalent = survivors.filter((mutant) => reasonOf(mutant) !== undefined);
  const alive = survivors.filter((mutant) => reasonOf(mutant) === undefined);
  for (const mutant of alive) console.log(`survives: ${mutant.file}:${mutant.line} ${mutant.operator}: ${flat(mutant.before)} -> ${flat(mutant.after) || "nothing"}`);
  const judged = mutants.length - equivalent.length;
  const killedBps = judged === 0 ? 10_000 : Math.floor(((judged - alive.length) * 10_000) / judged);
  console.log(`${mutants.length} mutants: ${judged - alive.length} killed, ${alive.length} survive, ${equivalent.length} are equivalent: ${killedBps / 100} % killed`);
  if (isJson) {
    console.log(JSON.stringify({ mutants: mutants.length, killed: judged - alive.length, survived: alive.length, equivalent: equivalent.length, killedBps }));
  }
  process.exitCode = killedBps >= KILLED_BPS_LEAST ? 0 : 1;
}

function isOf({ file, before, after, within }: Equivalent, mutant: Mutant): boolean {
  const isSame = mutant.file.endsWith(file) && flat(mutant.before) === before && flat(mutant.after) === after;
  return isSame && (within === undefined || readFileSync(join(root, mutant.file), "utf8").split("\n")[mutant.line - 1]!.includes(within));
}

/** One process after the other, until one comes to the end. */
function supervise(): void {
  for (let next = "first"; ; next = "next") {
    const { status } = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env: { ...process.env, MUTATION_PART: next } });
    if (status === GO_ON) continue;
    process.exitCode = status ?? 1;
    return;
  }
}

if (part === undefined) supervise();
else await main();
