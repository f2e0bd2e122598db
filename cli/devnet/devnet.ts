// A whole local network on this machine: chain, contracts, database, relayer, nodes, each a real process of its own.
//
//   chain ─▶ contracts ─▶ accounts ─┬─▶ relayer ─┐
//   database ───────────────────────┘            ├─▶ every node attested
//                          nodes (dial with patience) ┘
//
// Everything that was started is ended in the opposite order, however far the start came.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";
import { isDeployed } from "../../deploy/deploy.ts";
import { deployLocal, readParameters } from "../../deploy/deployLocal.ts";
import type { Addresses, Parameters } from "../../deploy/plan.ts";
import { startPostgres, type PostgresCluster } from "../../relayer/adapters/postgres.ts";
import { setUpAccounts, type Ids } from "./accounts.ts";
import { freePort, LOCAL_CHAIN_ID, slowDown, startAnvil, expectFreePort } from "./anvil.ts";
import { writeDevnetFile } from "./devnetFile.ts";
import { LOCAL_FLEET, nodeConfig, type EngineChoice, type NodeSpec } from "./fleet.ts";
import { loadKeys, WELL_KNOWN_TEST_KEY, type DevnetKeys } from "./keys.ts";
import { layoutAt, openLayout, type Layout } from "./layout.ts";
import { Janitor, ManagedProcess } from "./processes.ts";
import type { Address } from "../../protocol/units.ts";

export interface DevnetOptions {
  readonly directory: string;
  /** The relayer's port; the chain's is the next one. 0: free ones. */
  readonly port: number;
  readonly engine: EngineChoice;
  readonly fleet?: readonly NodeSpec[];
  /** Where the deployment differs from deploy/parameters/local.json. */
  readonly parameters?: Partial<Parameters>;
  /** Told in words what is being done. */
  readonly onProgress?: (text: string) => void;
  /** Told when one of the processes ends by itself. */
  readonly onFailure?: (error: TidelaneError) => void;
}

const ROOT = join(import.meta.dirname, "../..");
const RELAYER_READY_MS_MAX = 60_000;
const NODE_READY_MS_MAX = 60_000;
const FLEET_READY_MS_MAX = 60_000;

export class Devnet {
  readonly layout: Layout;
  readonly keys: DevnetKeys;
  readonly #options: DevnetOptions;
  readonly #fleet: readonly NodeSpec[];
  readonly #janitor = new Janitor();
  readonly #nodes = new Map<string, ManagedProcess>();
  #chain: ManagedProcess | null = null;
  #relayer: ManagedProcess | null = null;
  #postgres: PostgresCluster | null = null;
  #startup: Promise<void> = Promise.resolve();
  #isStopping = false;
  rpcUrl = "";
  relayerUrl = "";
  contracts: Readonly<Record<string, Address>> = {};
  ids: Ids = { relayerId: 0, nodeIds: {} };

  /** Claims the directory; nothing runs yet. @throws TidelaneError `data_directory_version`, `already_running` */
  constructor(options: DevnetOptions) {
    this.#options = options;
    this.#fleet = options.fleet ?? LOCAL_FLEET;
    this.layout = layoutAt(options.directory);
    openLayout(this.layout);
    this.#claimDirectory();
    this.keys = loadKeys(this.layout.keysFile, this.#fleet.map((node) => node.name));
  }

  /**
   * Starts everything and resolves when every node is attested. Whatever happens, `stop` ends what was started.
   * @throws TidelaneError `port_in_use`, `chain_not_ready`, `process_not_ready`, `fleet_not_ready`, `stopped`, ...
   */
  async start(): Promise<void> {
    this.#startup = this.#start();
    await this.#startup;
  }

  async #start(): Promise<void> {
    const { port } = this.#options;
    if (port !== 0) await expectFreePort(port, "the relayer");
    this.relayerUrl = `http://127.0.0.1:${port === 0 ? await freePort() : port}`;
    const say = this.#options.onProgress ?? (() => undefined);
    say("chain and database");
    await all([this.startPostgres(), this.startChain().then(async () => {
      say("contracts");
      await this.#deploy();
    })]);
    say("relayer and nodes");
    await all([this.startRelayer(), ...this.#fleet.map((node) => this.startNode(node.name))]);
    say("attestations");
    await this.attested();
    this.#writeDevnetFile();
  }

  /** Those who use the chain and the database first, then these two. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#stopProcesses();
    // A start that was given up half way fails now, or brings one last thing up.
    await this.#startup.catch(() => undefined);
    await this.#stopProcesses();
    await this.#janitor.close();
    rmSync(this.layout.pidFile, { force: true });
  }

  async #stopProcesses(): Promise<void> {
    await Promise.all([this.#relayer?.stop(), ...[...this.#nodes.values()].map((node) => node.stop())]);
    await Promise.all([this.#chain?.stop(), this.#stopPostgres()]);
  }

  nodeProcess(name: string): ManagedProcess {
    return this.#nodes.get(name)!;
  }

  get relayerProcess(): ManagedProcess {
    return this.#relayer!;
  }

  get databaseUrl(): string {
    return this.#postgres!.url;
  }

  /** For those who test what an outage does. */
  get chainProcess(): ManagedProcess {
    return this.#chain!;
  }

  async stopPostgres(): Promise<void> {
    await this.#stopPostgres();
  }

  async startPostgres(port?: number): Promise<void> {
    this.#refuseWhenStopping();
    this.#postgres = await startPostgres({ dir: this.layout.postgresDir, ...(port === undefined ? {} : { port }) });
    const { pid } = this.#postgres;
    this.#janitor.watch(pid);
    void this.#postgres.exited.then(() => {
      this.#janitor.forget(pid);
    });
  }

  async startChain(): Promise<void> {
    const port = this.rpcUrl === "" ? (this.#options.port === 0 ? await freePort() : this.#options.port + 1) : Number(new URL(this.rpcUrl).port);
    this.#refuseWhenStopping();
    const { process: chain, url } = await startAnvil({ port, stateFile: this.layout.chainStateFile, logFile: this.#log("chain") }, this.#janitor, this.#failed);
    this.#chain = chain;
    this.rpcUrl = url;
  }

  /** @param env further settings, for tests that need other limits. */
  async startRelayer(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#refuseWhenStopping();
    this.#relayer = new ManagedProcess({
      name: "relayer", command: process.execPath, args: [join(ROOT, "relayer/main.ts")], logFile: this.#log("relayer"), stopMsMax: 20_000,
      env: { ...this.relayerEnvironment(), ...env },
    }, this.#janitor, this.#failed);
    await this.#relayer.ready(RELAYER_READY_MS_MAX);
  }

  relayerEnvironment(): Record<string, string> {
    const { keys, layout } = this;
    return {
      ...this.#chainEnvironment(), DATABASE_URL: this.databaseUrl, TIDELANE_PORT: new URL(this.relayerUrl).port, TIDELANE_DATA_DIR: layout.relayerDir,
      TIDELANE_PUBLIC_URL: this.relayerUrl, TIDELANE_LEAST_LOCK: "1", TIDELANE_RELAYER_ID: String(this.ids.relayerId), TIDELANE_SIGNER_KEY: keys.relayer.signer, TIDELANE_POSTER_KEY: keys.relayer.poster,
    };
  }

  async startNode(name: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
    const spec = this.#fleet.find((node) => node.name === name)!;
    const directory = this.layout.nodeDir(name);
    mkdirSync(directory, { recursive: true });
    const configFile = join(directory, "config.json");
    writeFileSync(configFile, `${JSON.stringify(nodeConfig(spec, this.#options.engine), null, 2)}\n`);
    this.#refuseWhenStopping();
    const node = new ManagedProcess({
      name: `node ${name}`, command: process.execPath, args: [join(ROOT, "node/main.ts")], logFile: this.#log(`node-${name}`), stopMsMax: 20_000,
      env: {
        ...this.#chainEnvironment(), TIDELANE_NODE_ID: String(this.ids.nodeIds[name]), TIDELANE_HOT_KEY: this.keys.nodes[name]!.hot,
        TIDELANE_RELAYERS: this.relayerUrl, TIDELANE_DATA_DIR: directory, TIDELANE_NODE_CONFIG: configFile, ...env,
      },
    }, this.#janitor, this.#failed);
    this.#nodes.set(name, node);
    await node.ready(NODE_READY_MS_MAX);
  }

  /** Resolves when the relayer counts that many nodes with a valid attestation. @throws `fleet_not_ready` */
  async attested(nodes: number = this.#fleet.length): Promise<void> {
    const until = performance.now() + FLEET_READY_MS_MAX;
    let seen = 0;
    while (performance.now() < until) {
      seen = await this.#attestedNow();
      if (seen >= nodes) return;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    throw new TidelaneError(`${seen} of ${nodes} nodes were attested after ${FLEET_READY_MS_MAX / 1000} s; see ${this.layout.logsDir}`, { code: "fleet_not_ready" });
  }

  async #deploy(): Promise<void> {
    await this.#expectOwnChain();
    const addresses = await deployLocal({ rpcUrl: this.rpcUrl, deployerKey: WELL_KNOWN_TEST_KEY, parameters: { ...readParameters("local"), ...this.#options.parameters }, deploymentDir: this.layout.deploymentDir });
    this.contracts = addresses.contracts;
    writeFileSync(this.layout.addressesFile, `${JSON.stringify(addresses, null, 2)}\n`);
    this.#options.onProgress?.("registrations and stakes");
    this.ids = await setUpAccounts({
      rpcUrl: this.rpcUrl, chainId: LOCAL_CHAIN_ID, contracts: this.contracts, keys: this.keys, nodes: this.#fleet, relayerEndpoint: this.relayerUrl,
    });
    await slowDown(this.rpcUrl);
  }

  /** A database that remembers contracts which the chain does not know would settle into nowhere. */
  async #expectOwnChain(): Promise<void> {
    if (!existsSync(this.layout.addressesFile)) return;
    const known = JSON.parse(readFileSync(this.layout.addressesFile, "utf8")) as Addresses;
    if (await isDeployed(this.rpcUrl, known)) return;
    throw new TidelaneError(
      `the chain is older than the database, or another version of Tidelane started this network: its contracts are not on the chain. Put ${this.layout.chainStateFile} back as it was, or move ${this.layout.root} away to start anew.`,
      { code: "chain_older_than_database" },
    );
  }

  #chainEnvironment(): Record<string, string> {
    return { TIDELANE_RPC_URLS: this.rpcUrl, TIDELANE_CHAIN_ID: String(LOCAL_CHAIN_ID), TIDELANE_DEPLOYMENT: this.layout.addressesFile };
  }

  async #attestedNow(): Promise<number> {
    try {
      const status = await (await fetch(`${this.relayerUrl}/tidelane/v1/status`)).json() as { fleet?: { attested?: number }; attested?: number };
      return status.fleet?.attested ?? status.attested ?? 0;
    } catch {
      return 0;
    }
  }

  #writeDevnetFile(): void {
    const { layout, keys } = this;
    mkdirSync(layout.payerDir, { recursive: true, mode: 0o700 });
    writeFileSync(layout.ownerKeyFile, `${keys.payer.owner}\n`, { mode: 0o600 });
    writeDevnetFile(layout.root, {
      chainId: LOCAL_CHAIN_ID, rpcUrl: this.rpcUrl, relayerUrl: this.relayerUrl, relayerId: this.ids.relayerId, contracts: { ...this.contracts },
      nodes: { ...this.ids.nodeIds }, payer: { ownerKeyFile: layout.ownerKeyFile, sessionFile: layout.sessionFile, apiKeyFile: layout.apiKeyFile },
    });
  }

  /** One network per directory: two would write one chain's state. */
  #claimDirectory(): void {
    const { pidFile } = this.layout;
    if (existsSync(pidFile)) {
      const pid = Number(readFileSync(pidFile, "utf8"));
      if (pid !== process.pid && isAlive(pid)) {
        throw new TidelaneError(`a local network runs in ${this.layout.root} already (process ${pid}). End it first, or use another folder: npm start -- --data-dir <folder>`, { code: "already_running", details: { pid } });
      }
    }
    writeFileSync(pidFile, String(process.pid));
  }

  async #stopPostgres(): Promise<void> {
    const postgres = this.#postgres;
    this.#postgres = null;
    await postgres?.stop();
  }

  /** A start that is given up half way must not leave a child behind. */
  #refuseWhenStopping(): void {
    if (this.#isStopping) throw new TidelaneError("the local network is being stopped", { code: "stopped" });
  }

  readonly #failed = (error: TidelaneError): void => {
    if (!this.#isStopping) this.#options.onFailure?.(error);
  };

  #log(name: string): string {
    return join(this.layout.logsDir, `${name}.log`);
  }
}

/** Promise.all that fails only when nothing is on its way any more: what is still starting could not be ended. */
async function all(starts: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(starts)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
