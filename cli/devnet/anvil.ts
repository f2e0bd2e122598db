// The local chain: anvil with its state on disk, saved while it runs.
import { copyFileSync, existsSync, readFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";
import { ManagedProcess, type Janitor } from "./processes.ts";

export const LOCAL_CHAIN_ID = 31_337;
// Blocks come by the clock, never one for each transaction: a burst would push the chain's time ahead of everybody else's.
const SETUP_BLOCK_SECONDS = 1;
const BLOCK_SECONDS = 2;
const SAVE_SECONDS = 8;
const READY_MS_MAX = 20_000;

export interface AnvilOptions {
  readonly port: number;
  readonly stateFile: string;
  readonly logFile: string;
  readonly chainId?: number;
}

/** @returns the running chain and its URL. @throws `port_in_use`, `chain_not_ready` */
export async function startAnvil(options: AnvilOptions, janitor: Janitor, onExit: (error: TidelaneError) => void): Promise<{ process: ManagedProcess; url: string }> {
  await expectFreePort(options.port, "the local chain");
  keepLastGoodState(options.stateFile);
  const anvil = new ManagedProcess({
    name: "chain", command: anvilBinary(), logFile: options.logFile, stopSignal: "SIGINT",
    args: [
      "--host", "127.0.0.1", "--port", String(options.port), "--chain-id", String(options.chainId ?? LOCAL_CHAIN_ID),
      "--block-time", String(SETUP_BLOCK_SECONDS), "--state", options.stateFile, "--state-interval", String(SAVE_SECONDS), "--silent",
    ],
  }, janitor, onExit);
  const url = `http://127.0.0.1:${options.port}`;
  await answering(url, anvil);
  return { process: anvil, url };
}

/** A free port of this machine, for processes that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((found, fail) => {
    const probe = createServer().once("error", fail).listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => found(port));
    });
  });
}

/** @throws `port_in_use` naming who wanted it. */
export async function expectFreePort(port: number, what: string): Promise<void> {
  await new Promise<void>((free, fail) => {
    const probe = createServer();
    probe.once("error", (cause: NodeJS.ErrnoException) => fail(cause.code === "EADDRINUSE"
      ? new TidelaneError(`port ${port} is in use, and ${what} needs it. End what listens there, or choose others: npm start -- --port <first>`, { code: "port_in_use", details: { port }, cause })
      : cause));
    probe.listen(port, "127.0.0.1", () => probe.close(() => free()));
  });
}

/** A power cut may leave half a state file; the one that loaded last is kept beside it. */
function keepLastGoodState(file: string): void {
  if (!existsSync(file)) return;
  try {
    JSON.parse(readFileSync(file, "utf8"));
    copyFileSync(file, `${file}.last`);
  } catch {
    if (existsSync(`${file}.last`)) renameSync(`${file}.last`, file);
  }
}

/** The binary itself, not anvil's Node wrapper, which would stand between us and its signals. */
function anvilBinary(): string {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
  const roots = [dirname(require.resolve("@foundry-rs/anvil/package.json")), join(import.meta.dirname, "../../.toolchain/node_modules/@foundry-rs/anvil")];
  const binary = roots.map((root) => join(root, "..", `anvil-${platform}`, "bin", "anvil")).find((path) => existsSync(path));
  if (!binary) throw new TidelaneError(`no anvil binary for ${platform} is installed. Delete node_modules and run npm start again.`, { code: "chain_not_ready" });
  return binary;
}

async function answering(url: string, anvil: ManagedProcess): Promise<void> {
  const until = performance.now() + READY_MS_MAX;
  while (performance.now() < until && anvil.isRunning) {
    try {
      const response = await fetch(url, {
        method: "POST", headers: { "content-type": "application/json" }, body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
      });
      if (response.ok) return;
    } catch {
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
  throw new TidelaneError("the local chain did not answer; see .tidelane/logs/chain.log", { code: "chain_not_ready" });
}

/** After setup, fewer blocks do, and the state file grows more slowly. */
export async function slowDown(url: string): Promise<void> {
  await fetch(url, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "evm_setIntervalMining", params: [BLOCK_SECONDS] }),
  });
}
