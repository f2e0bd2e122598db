// The relayer's configuration: every default, every refusal, and no key in any message.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ENVIRONMENT, loadConfig } from "../../relayer/config.ts";
import { TidelaneError } from "../../protocol/errors.ts";

const SIGNER = `0x${"5a".repeat(32)}`;
const POSTER = "6b".repeat(32);

describe("the relayer's configuration", () => {
  let folder: string;
  let env: Record<string, string>;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-config-"));
    writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, block: 1, contracts: { Escrow: `0x${"E5".repeat(20)}` } }));
    writeFileSync(join(folder, "broken.json"), "{");
    writeFileSync(join(folder, "key"), `${SIGNER}\n`);
  });
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(() => {
    env = {
      TIDELANE_DEPLOYMENT: join(folder, "deployment.json"), TIDELANE_RPC_URLS: "http://127.0.0.1:8545, http://127.0.0.1:8546", TIDELANE_RELAYER_ID: "3",
      TIDELANE_SIGNER_KEY: SIGNER, TIDELANE_POSTER_KEY: POSTER, DATABASE_URL: "postgres://u:secret@127.0.0.1/db", PATH: "/bin",
    };
  });

  const refusal = (over: Record<string, string | undefined>): string => {
    try {
      loadConfig({ ...env, ...over });
    } catch (error) {
      expect(error).to.be.instanceOf(TidelaneError).and.include({ code: "config_invalid" });
      return (error as Error).message;
    }
    throw new Error("it was accepted");
  };

  it("takes the addresses of further processes", () => {
    expect(loadConfig({ ...env, TIDELANE_PROCESSES: "https://b.example, https://c.example" }).processes).to.deep.equal(["https://b.example", "https://c.example"]);
    expect(refusal({ TIDELANE_PROCESSES: "b.example" })).to.contain("TIDELANE_PROCESSES");
    expect(refusal({ TIDELANE_PROCESSES: Array.from({ length: 17 }, (_, i) => `https://${i}.example`).join(",") })).to.contain("16");
  });

  it("has a default for all that is not this relayer's own", () => {
    const config = loadConfig(env);
    expect(config).to.deep.include({
      host: "127.0.0.1", port: 8_787, tls: null, chainId: 31_337, relayerId: 3, signerKey: SIGNER, posterKey: `0x${POSTER}`, logLevel: "info", drainMs: 15_000,
      leastLock: 100_000n, recordsKeptMs: 90 * 86_400_000, ipfsGateway: null, promptsMayLoopBack: false,
      rpcUrls: ["http://127.0.0.1:8545", "http://127.0.0.1:8546"], addresses: { Escrow: `0x${"e5".repeat(20)}` },
    });
    expect(config.webDir).to.match(/web$/);
    expect(config.processes).to.deep.equal([]);
    expect(Object.isFrozen(config)).to.equal(true);
    expect(() => { (config as { port: number }).port = 1; }).to.throw(TypeError);
  });

  it("reads keys from files, so that no process list shows them", () => {
    expect(loadConfig({ ...env, TIDELANE_SIGNER_KEY: undefined, TIDELANE_SIGNER_KEY_FILE: join(folder, "key") }).signerKey).to.equal(SIGNER);
    expect(refusal({ TIDELANE_SIGNER_KEY: undefined, TIDELANE_SIGNER_KEY_FILE: join(folder, "none") })).to.contain("TIDELANE_SIGNER_KEY_FILE");
  });

  it("names what is missing and what it is for", () => {
    for (const name of ["TIDELANE_DEPLOYMENT", "TIDELANE_RPC_URLS", "TIDELANE_RELAYER_ID", "TIDELANE_SIGNER_KEY", "TIDELANE_POSTER_KEY", "DATABASE_URL"] as const) {
      expect(refusal({ [name]: undefined })).to.contain(name).and.contain(ENVIRONMENT[name]);
    }
  });

  it("refuses what is none of its variables, and values that do not fit", () => {
    expect(refusal({ TIDELANE_PROT: "1" })).to.contain("TIDELANE_PROT").and.contain("TIDELANE_PORT");
    expect(refusal({ TIDELANE_PORT: "65536" })).to.contain("TIDELANE_PORT");
    expect(refusal({ TIDELANE_PORT: "-1" })).to.contain("TIDELANE_PORT");
    expect(refusal({ TIDELANE_RELAYER_ID: "0" })).to.contain("TIDELANE_RELAYER_ID");
    expect(refusal({ TIDELANE_RELAYER_ID: "1.5" })).to.contain("TIDELANE_RELAYER_ID");
    expect(refusal({ TIDELANE_CHAIN_ID: "1" })).to.contain("31337");
    expect(refusal({ TIDELANE_RPC_URLS: "ftp://x" })).to.contain("TIDELANE_RPC_URLS");
    expect(refusal({ DATABASE_URL: "mysql://x" })).to.contain("postgres://");
    expect(refusal({ TIDELANE_LOG_LEVEL: "loud" })).to.contain("loud");
    expect(refusal({ TIDELANE_IPFS_GATEWAY: "ipfs.example" })).to.contain("TIDELANE_IPFS_GATEWAY");
    expect(refusal({ TIDELANE_PROMPT_LOOPBACK: "yes" })).to.contain("allow");
    expect(refusal({ TIDELANE_RECORD_DAYS: "89" }), "a relayer owes its records for 90 days").to.contain("90");
    expect(refusal({ TIDELANE_LEAST_LOCK: "0.5" })).to.contain("TIDELANE_LEAST_LOCK");
    expect(refusal({ TIDELANE_TLS_CERT: "x.pem" })).to.contain("together");
    expect(refusal({ TIDELANE_DEPLOYMENT: join(folder, "broken.json") })).to.contain("not JSON");
    expect(refusal({ TIDELANE_DEPLOYMENT: join(folder, "none.json") })).to.contain("cannot be read");
  });

  it("never repeats a key or a password", () => {
    const messages = [refusal({ TIDELANE_SIGNER_KEY: SIGNER.slice(0, -1) }), refusal({ TIDELANE_POSTER_KEY: `${POSTER}ff` }), refusal({ DATABASE_URL: "mysql://u:secret@x" })];
    for (const message of messages) expect(message).not.to.match(/5a5a|6b6b|secret/);
  });
});
