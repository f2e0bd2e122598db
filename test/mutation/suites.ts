// Runs the compiled Solidity tests in this process, one suite at a time, with one mutant on.
import { createRequire } from "node:module";
import { root, type CompilerOutput } from "./sources.ts";

export interface Suite {
  readonly file: string;
  readonly name: string;
}

interface TestResult {
  readonly name: string;
  readonly status: string;
}

interface Edr {
  readonly L1_CHAIN_TYPE: string;
  readonly EdrContext: new () => {
    registerSolidityTestRunnerFactory(chainType: string, factory: unknown): Promise<void>;
    runSolidityTests(chainType: string, artifacts: unknown, suites: unknown, config: unknown, tracing: unknown, done: (suite: { testResults: TestResult[] }) => void): Promise<unknown>;
  };
  l1SolidityTestRunnerFactory(): unknown;
  l1GenesisState(hardfork: unknown): unknown;
  l1HardforkFromString(name: string): unknown;
}

/** Enough for the longest suite, and an end for mutants that loop. */
const GAS_MAX = 20_000_000_000n;
const HARDFORK = "Osaka";
const SOLC = "0.8.37";
// Hardhat's own engine, the one it resolves itself.
const edr = createRequire(createRequire(import.meta.url).resolve("hardhat"))("@nomicfoundation/edr") as Edr;

export interface SuiteRunner {
  readonly suites: readonly Suite[];
  /** Names of the tests that fail while that mutant is on; 0 is the original. */
  failures(suite: Suite, mutantId: number): Promise<string[]>;
}

/** @param excluded a pattern of tests that are not run. */
export async function suiteRunner(output: CompilerOutput, excluded: string): Promise<SuiteRunner> {
  const context = new edr.EdrContext();
  await context.registerSolidityTestRunnerFactory(edr.L1_CHAIN_TYPE, edr.l1SolidityTestRunnerFactory());
  const compiled = Object.entries(output.contracts).flatMap(([file, contracts]) => Object.entries(contracts).map(([name, contract]) => ({ file, name, contract })));
  const withCode = compiled.filter(({ contract }) => contract.evm.bytecode.object !== "");
  const suites = withCode.filter(({ contract }) => contract.abi.some(({ name }) => /^(test|invariant)/.test(name ?? "")));
  const artifacts = new Map(withCode.map(({ file, name, contract }) => [`${file}:${name}`, {
    id: { name, source: file, solcVersion: SOLC },
    contract: { abi: JSON.stringify(contract.abi), bytecode: `0x${contract.evm.bytecode.object}`, linkReferences: {}, deployedBytecode: `0x${contract.evm.deployedBytecode.object}`, deployedLinkReferences: {} },
  }]));
  const fixed = {
    projectRoot: root, hardfork: HARDFORK, localPredeploys: edr.l1GenesisState(edr.l1HardforkFromString(HARDFORK)), gasLimit: GAS_MAX,
    disableBlockGasLimit: true, disableTransactionGasCap: true, excludeTestPattern: excluded,
    // The same draws for every mutant, so that a run can be repeated.
    fuzz: { runs: 24, seed: "0x7469646c616e65" }, invariant: { runs: 1, depth: 64, failOnRevert: true },
  };
  return {
    suites,
    failures: async ({ file, name }, mutantId) => {
      const artifact = artifacts.get(`${file}:${name}`)!;
      const { promise, resolve, reject } = Promise.withResolvers<TestResult[]>();
      // The run may be over before its results have arrived: they are what is waited for.
      context.runSolidityTests(edr.L1_CHAIN_TYPE, [artifact], [artifact.id], { ...fixed, blockCoinbase: Buffer.from(mutantId.toString(16).padStart(40, "0"), "hex") }, {}, (done) => resolve(done.testResults)).catch(reject);
      return (await promise).filter(({ status }) => status === "Failure").map(({ name }) => name);
    },
  };
}
