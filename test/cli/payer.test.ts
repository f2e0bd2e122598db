import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import OpenAI from "openai";
import { stateFromText } from "../../client/state.ts";
import { openFileStore } from "../../client/adapters/fileStore.ts";
import { openSession } from "../../client/session.ts";
import { settledBundle } from "../auditor/bundle.ts";
import { fakeChain, type FakeChain } from "../auditor/fakeChain.ts";
import { ALIAS, FakeRelayer, honestCharge } from "../client/fakeRelayer.ts";
import { owner, until, worldOf } from "../client/world.ts";
import { ran, started } from "./command.ts";

describe("tidelane", function () {
  this.timeout(30_000);

  it("tells wrong usage (64) from help (0)", async () => {
    const [none, help, unknown, option, group] = await Promise.all([ran([]), ran(["--help"]), ran(["conquer"]), ran(["audit", "verify", "0x00", "--frobnicate"]), ran(["payer", "--help"])]);
    expect([none.exitCode, help.exitCode, unknown.exitCode, option.exitCode, group.exitCode]).to.deep.equal([64, 0, 64, 64, 0]);
    for (const word of ["payer", "audit", "node", "relayer", "start", "exit codes"]) expect(help.stdout).to.include(word);
    for (const word of ["deposit", "open", "proxy", "keys", "sessions", "close", "withdraw"]) expect(group.stdout).to.include(word);
    expect(unknown.stderr).to.match(/conquer/);
  });

  describe("payer", () => {
    let relayer: FakeRelayer;
    let chain: FakeChain;
    let folder: string;
    let flags: string[];
    let session: string;
    beforeEach(async () => {
      const bundle = await settledBundle();
      relayer = await new FakeRelayer().start();
      chain = await fakeChain(bundle.facts, bundle.view.batch!.header);
      folder = mkdtempSync(join(tmpdir(), "tidelane-payer-"));
      session = join(folder, "session.json");
      writeFileSync(join(folder, "deployment.json"), JSON.stringify({ chainId: 31_337, contracts: chain.contracts }));
      flags = ["--rpc", chain.url, "--deployment", join(folder, "deployment.json"), "--relayer", relayer.url, "--session", session];
    });
    afterEach(async () => {
      await relayer.stop();
      chain.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    const opened = async (): Promise<void> => {
      const store = await openFileStore(session);
      await openSession({ ...worldOf(relayer), store }, owner, relayer.url, { lock: 1_000_000n });
      await store.close();
    };

    it("serves a paying proxy until it is told to end, and keeps the count", async () => {
      await opened();
      const proxy = started(["payer", "proxy", ...flags, "--port", "0", "--json"]);
      await until(() => proxy.output().includes("ready"), 10_000);
      const { ready, url } = JSON.parse(proxy.output()) as { ready: boolean; url: string };
      expect(ready).to.equal(true);
      const openai = new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 });
      const answer = await openai.chat.completions.create({ model: ALIAS, max_tokens: 20, messages: [{ role: "user", content: "hello" }] });
      expect(answer.choices[0]!.message.content).to.equal("The tide rises.");
      const second = await ran(["payer", "proxy", ...flags, "--port", "0", "--json"]);
      expect([second.exitCode, (second.json().error as { code: string }).code]).to.deep.equal([2, "store_in_use"]);
      proxy.child.kill("SIGTERM");
      const ended = await proxy.ended;
      expect([ended.exitCode, ended.json().charged, ended.json().inFlight]).to.deep.equal([0, String(honestCharge(6)), "0"]);
      expect(ended.stderr).to.match(/POST \/v1\/chat\/completions 200/).and.not.match(/hello|tide rises/i);
      expect(stateFromText(readFileSync(session, "utf8"))).to.deep.include({ charged: honestCharge(6), orders: [] });
    });

    it("wants the proxy's key where one is set", async () => {
      await opened();
      const proxy = started(["payer", "proxy", ...flags, "--port", "0", "--json"], { TIDELANE_PROXY_KEY: "open sesame" });
      await until(() => proxy.output().includes("ready"), 10_000);
      const { url } = JSON.parse(proxy.output()) as { url: string };
      expect((await fetch(`${url}/models`)).status).to.equal(401);
      expect((await fetch(`${url}/models`, { headers: { authorization: "Bearer open sesame" } })).status).to.equal(200);
      proxy.child.kill("SIGINT");
      expect((await proxy.ended).exitCode).to.equal(0);
    });

    it("says clearly what is missing", async () => {
      const runs = await Promise.all([
        ran(["payer", "proxy", ...flags, "--json"]), ran(["payer", "sessions", ...flags, "--json"]), ran(["payer", "balance", ...flags.slice(0, -2), "--json"]),
        ran(["payer", "deposit", "1", ...flags.slice(0, -2), "--json"], { TIDELANE_OWNER_KEY: "0x12" }), ran(["payer", "proxy", ...flags, "--port", "70000", "--json"]),
        ran(["payer", "balance", "--json", "--rpc", "ftp://x", "--deployment", join(folder, "deployment.json")]), ran(["payer", "sessions", "--data-dir", folder, "--json"]),
      ]);
      expect(runs.map((one) => [one.exitCode, (one.json().error as { code: string }).code])).to.deep.equal([
        [1, "no_session"], [1, "no_session"], [1, "no_owner_key"], [1, "invalid_owner_key"], [1, "invalid_port"], [1, "invalid_url"], [1, "no_deployment"],
      ]);
    });

    it("shows every session of a folder by all three counts", async () => {
      await opened();
      writeFileSync(join(folder, "broken.json"), "{");
      const store = await openFileStore(join(folder, "zweite.json"));
      await openSession({ ...worldOf(relayer), store }, owner, relayer.url, { lock: 7_000n, mode: 1 });
      await store.close();
      const env = { TIDELANE_SESSION: session };
      const [shown, words, keys] = await Promise.all([ran(["payer", "sessions", ...flags.slice(0, -2), "--json"], env), ran(["payer", "sessions", ...flags]), ran(["payer", "keys", ...flags.slice(0, -2), "--json"], env)]);
      const { sessions } = shown.json() as { sessions: { file: string; mode: string; own: object; relayer: { charged: string } }[] };
      expect(sessions.map(({ file, mode, own }) => ({ file, mode, own }))).to.deep.equal([
        { file: session, mode: "voucher", own: { charged: "0", inFlight: "0", orders: 0, distrust: null } },
        { file: join(folder, "zweite.json"), mode: "allowance", own: { charged: "0", inFlight: "0", orders: 0, distrust: null } },
      ]);
      expect(sessions[0]!.relayer).to.include({ charged: "0", state: "open" });
      expect(words.stdout.match(/own count/g)).to.have.length(1);
      expect(keys.json()).to.include({ file: join(folder, "zweite.json") });
      expect(keys.json().apiKey).to.match(/^tl_/);
    });

    it("issues no API key for a session of signed orders", async () => {
      await opened();
      const keys = await ran(["payer", "keys", ...flags, "--json"]);
      expect([keys.exitCode, (keys.json().error as { code: string }).code]).to.deep.equal([1, "not_an_allowance"]);
    });
  });
});
