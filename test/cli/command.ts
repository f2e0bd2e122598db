// Runs `tidelane` as a process of its own and gives back what a shell would see.
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";

export interface Ran {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout as JSON. */
  json(): Record<string, unknown>;
}

const main = join(import.meta.dirname, "../../cli/main.ts");
/** Nothing of the tester's own settings may decide. */
const { TIDELANE_DEPLOYMENT: _d, TIDELANE_RPC_URLS: _r, TIDELANE_RELAYER_URL: _u, TIDELANE_SESSION: _s, TIDELANE_OWNER_KEY: _k, TIDELANE_PROXY_KEY: _p, ...clean } = process.env;

export function started(args: readonly string[], env: Record<string, string> = {}, cwd = "/"): { child: ChildProcess; ended: Promise<Ran>; output: () => string } {
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...clean, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout!.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ran>((done) => child.once("close", (exitCode) => done({
    exitCode, stdout, stderr, json: () => JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Record<string, unknown>,
  })));
  return { child, ended, output: () => stdout };
}

export const ran = (args: readonly string[], env: Record<string, string> = {}, cwd?: string): Promise<Ran> => started(args, env, cwd).ended;
