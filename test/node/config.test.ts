import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { loadConfig, parseNodeFile } from "../../node/config.ts";

const folder = mkdtempSync(join(tmpdir(), "tidelane-config-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, json: unknown): string => {
  writeFileSync(join(folder, name), typeof json === "string" ? json : JSON.stringify(json));
  return join(folder, name);
};
const model = { name: "org/model@q4", priceInPerMTok: "1", priceOutPerMTok: "2", engine: { kind: "llama.cpp" } };
const key = "11".repeat(32);
const env = (more: Record<string, string | undefined> = {}): Record<string, string | undefined> => ({
  TIDELANE_NODE_ID: "7", TIDELANE_HOT_KEY: `0x${key}`, TIDELANE_RELAYERS: "http://127.0.0.1:1, http://127.0.0.1:2", TIDELANE_RPC_URLS: "http://127.0.0.1:3",
  TIDELANE_DEPLOYMENT: write("deployment.json", { chainId: 5, block: 1, contracts: { Escrow: `0x${"AA".repeat(20)}` } }), TIDELANE_NODE_CONFIG: write("node.json", { slots: 2, models: [model] }), ...more,
});
const nodeFile = (json: unknown, environment = {}) => parseNodeFile(json, "/somewhere", environment);

describe("node configuration", () => {
  it("has a default for all that need not be said, and is frozen", () => {
    const config = loadConfig(env());
    expect(config).to.deep.include({ nodeId: 7, hotKey: `0x${key}`, chainId: 5, slots: 2, prepSlots: 0, paceTokensPerSecond: null, unackedMax: 64, drainSeconds: 15, logLevel: "info" });
    expect(config.relayers).to.deep.equal(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    expect(config.contracts.Escrow).to.equal(`0x${"aa".repeat(20)}`);
    expect(config.models[0]).to.deep.include({ places: 2, aliases: [] });
    expect(config.models[0]!.engine).to.include({ kind: "llama.cpp", tokenizer: "llama-2-spm" }).and.to.have.property("file").that.matches(/stories15M-q8_0\.gguf$/);
    expect(Object.isFrozen(config.models[0]!.engine)).to.equal(true);
  });

  it("waits for twice as many acks as it has places, at least 64, unless it is told how many", () => {
    const unackedMax = (more: object): number => nodeFile({ models: [model], ...more }).unackedMax;
    expect([unackedMax({ slots: 2 }), unackedMax({ slots: 200 }), unackedMax({ slots: 60_000 }), unackedMax({ slots: 200, unackedMax: 5 })]).to.deep.equal([64, 400, 10_000, 5]);
  });

  it("takes relayers by their registered number or by URL, and nothing else", () => {
    expect(loadConfig(env({ TIDELANE_RELAYERS: "relayer:3, https://relayer.example" })).relayers).to.deep.equal(["relayer:3", "https://relayer.example"]);
    for (const relayers of ["relayer:0", "relayer:x", "ftp://relayer.example", "javascript:1", ","]) expect(() => loadConfig(env({ TIDELANE_RELAYERS: relayers })), relayers).to.throw(/no list of 1 to 64/);
    expect(() => loadConfig(env({ TIDELANE_RPC_URLS: "relayer:3" }))).to.throw(/no list/);
  });

  it("reads the hot key from a file, too", () => {
    expect(loadConfig(env({ TIDELANE_HOT_KEY: undefined, TIDELANE_HOT_KEY_FILE: write("key", `${key}\n`) })).hotKey).to.equal(`0x${key}`);
  });

  it("takes model files relative to the configuration, and keys of engines from named variables", () => {
    const { models } = nodeFile({ slots: 1, models: [
      { ...model, engine: { kind: "llama.cpp", file: "a.gguf" } },
      { ...model, name: "org/other@q4", engine: { kind: "openai-compatible", baseUrl: "http://127.0.0.1:11434/v1", model: "m", apiKeyEnv: "ENGINE_KEY" } },
    ] }, { ENGINE_KEY: "secret" });
    expect(models[0]!.engine).to.include({ file: "/somewhere/a.gguf", tokenizer: "" });
    expect(models[1]!.engine).to.include({ apiKey: "secret", contextTokens: 0 });
  });

  const badEnvironments: Record<string, Record<string, string | undefined>> = {
    "an unknown variable": { TIDELANE_SLOTS: "4" }, "no node id": { TIDELANE_NODE_ID: undefined }, "a node id of zero": { TIDELANE_NODE_ID: "0" }, "no key": { TIDELANE_HOT_KEY: undefined },
    "a short key": { TIDELANE_HOT_KEY: "0x12" }, "no relayers": { TIDELANE_RELAYERS: " , " }, "a relayer that is no URL": { TIDELANE_RELAYERS: "nonsense" }, "another chain": { TIDELANE_CHAIN_ID: "6" },
    "an unknown log level": { TIDELANE_LOG_LEVEL: "loud" }, "a file that is not there": { TIDELANE_NODE_CONFIG: join(folder, "nowhere") },
  };
  for (const [what, more] of Object.entries(badEnvironments)) {
    it(`refuses ${what}`, () => expect(() => loadConfig(env(more))).to.throw().with.property("code", "config_invalid"));
  }

  const badFiles: Record<string, unknown> = {
    "no models": { slots: 1, models: [] }, "no slots": { models: [model] }, "half a slot": { slots: 0.5, models: [model] }, "an unknown member": { slots: 1, models: [model], sluts: 1 },
    "a name that is not canonical": { slots: 1, models: [{ ...model, name: "llama" }] }, "a price as a number": { slots: 1, models: [{ ...model, priceInPerMTok: 1 }] },
    "a negative price": { slots: 1, models: [{ ...model, priceInPerMTok: "-1" }] }, "an unknown engine": { slots: 1, models: [{ ...model, engine: { kind: "magic" } }] },
    "one name twice": { slots: 1, models: [model, { ...model, name: "org/b@q", aliases: ["org/model@q4"] }] }, "an endless pace": { slots: 1, pace: { tokensPerSecond: 0 }, models: [model] },
    "a timed engine without a curve": { slots: 1, models: [{ ...model, engine: { kind: "timed", contextTokens: 100 } }] },
    "a key variable of our own": { slots: 1, models: [{ ...model, engine: { kind: "openai-compatible", baseUrl: "http://127.0.0.1:1/v1", model: "m", apiKeyEnv: "TIDELANE_HOT_KEY" } }] },
    "a key variable that is not set": { slots: 1, models: [{ ...model, engine: { kind: "openai-compatible", baseUrl: "http://127.0.0.1:1/v1", model: "m", apiKeyEnv: "NO_SUCH_KEY" } }] },
    "an engine address that is no HTTP URL": { slots: 1, models: [{ ...model, engine: { kind: "openai-compatible", baseUrl: "ftp://x/v1", model: "m" } }] },
  };
  for (const [what, json] of Object.entries(badFiles)) {
    it(`refuses a file with ${what}`, () => expect(() => nodeFile(json)).to.throw());
  }

  it("ends the process with 1 and one line that says what is wrong, without the key", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(new URL("../../node/main.ts", import.meta.url))], { env: { PATH: process.env.PATH, ...env({ TIDELANE_NODE_ID: "x" }) }, encoding: "utf8" });
    expect(status).to.equal(1);
    expect(stdout).to.equal("");
    expect(JSON.parse(stderr.trim().split("\n").at(-1)!)).to.include({ code: "config_invalid" });
    expect(stderr).to.not.include(key);
  }).timeout(20_000);
});
