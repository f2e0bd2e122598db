import { execFile, spawnSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { taskViewToJson } from "../../protocol/taskView.ts";
import { settledBundle, type Bundle } from "../auditor/bundle.ts";

const web = join(import.meta.dirname, "../../web");
const files = readdirSync(web);
const text = (file: string): string => readFileSync(join(web, file), "utf8");
const scripts = files.filter((file) => file.endsWith(".js"));

/** As strict as the relayer's. */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
const types: Readonly<Record<string, string>> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

describe("the status page's files", () => {
  it("load nothing from elsewhere, and hold no inline script or style", () => {
    const html = text("index.html");
    expect(html).to.not.match(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i);
    for (const file of files) expect(text(file).replaceAll('xmlns="http://www.w3.org/2000/svg"', ""), file).to.not.match(/https?:\/\/|@import|url\(|\beval\(|innerHTML|insertAdjacentHTML|document\.write/);
    for (const [, path] of html.matchAll(/(?:src|href)="([^"#]+)"/g)) expect(files, path).to.include(path);
  });

  it("name only elements that are there, each label its field", () => {
    const html = text("index.html");
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]!);
    expect(new Set(ids).size).to.equal(ids.length);
    const used = scripts.flatMap((file) => [...text(file).matchAll(/byId\("([^"]+)"\)/g)].map((match) => match[1]!));
    expect(used.length).to.be.greaterThan(15);
    expect(ids).to.include.members(used);
    const fields = [...html.matchAll(/<(?:input|select|textarea)[^>]*\sid="([^"]+)"/g)].map((match) => match[1]!);
    expect([...html.matchAll(/<label for="([^"]+)"/g)].map((match) => match[1])).to.have.members(fields);
  });
});

const chromium = ["chromium", "chromium-browser", "google-chrome"].find((name) => spawnSync(name, ["--version"]).status === 0);

describe("the status page in a browser", function () {
  this.timeout(60_000);
  let server: Server;
  let url: string;
  let bundle: Bundle;
  let profile: string;
  before(async function () {
    if (!chromium) {
      if (process.env.CI) throw new Error("CI wants a browser, and there is no chromium on the PATH");
      console.log("      not run: the page in a browser (no chromium on the PATH)");
      return this.skip();
    }
    bundle = await settledBundle();
    profile = mkdtempSync(join(tmpdir(), "tidelane-chromium-"));
    server = createServer((request, response) => {
      const path = new URL(request.url!, "http://x").pathname;
      const json = answers(bundle)[path];
      response.setHeader("content-security-policy", POLICY);
      response.setHeader("content-type", json ? "application/json" : types[extname(path)] ?? types[".html"]!);
      if (json) return void response.end(JSON.stringify(json));
      const file = path === "/" ? "index.html" : path.slice(1);
      response.statusCode = files.includes(file) ? 200 : 404;
      response.end(files.includes(file) ? readFileSync(join(web, file)) : "");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  });
  after(() => {
    if (!server) return;
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true });
  });

  const opened = async (path: string): Promise<string> => (await promisify(execFile)(chromium!, [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    `--user-data-dir=${profile}`, "--virtual-time-budget=5000", "--dump-dom", `${url}${path}`,
  ], { timeout: 50_000, maxBuffer: 16 * 2 ** 20 })).stdout;

  it("shows the fleet, the batches and a receipt, and takes no text of a node for HTML", async () => {
    const page = await opened(`/?task=${bundle.taskId}`);
    expect(page).to.match(/Node 1<\/h3>.*HIGH.*serving/s).and.include("5 of 8 slots in use; 7 for generation, 1 for preprocessing").and.include("62 %");
    expect(page).to.include(">5 / 8<").and.include("score 98 %").and.include("lane: preprocessing");
    expect(page).to.include("3 in the lobby; who comes now waits about 13 s. 1 deferred until the ebb. 20 % of those who will not wait are turned away.");
    expect(page).to.include("120 % · 1 node, 6 slots, 5 running, 3 waiting").and.include("10 % · 1 node, 2 slots, 0 running");
    expect(page).to.match(/<th scope="row">5<\/th><td>confirmed<\/td>/);
    expect(page).to.include("40 in, 60 out").and.include(`npx tidelane audit verify ${bundle.taskId}`).and.include("leaf 2, 3 siblings");
    expect(page).to.include("&lt;img src=x onerror=alert(1)&gt;").and.not.include("<img src=\"x\"");
    expect(page).to.match(/<p id="trouble"[^>]*hidden/);
  });

  it("says what is wrong with a task that nobody knows", async () => {
    expect(await opened(`/?task=0x${"12".repeat(32)}`)).to.match(/class="trouble">.*answered 404/);
  });
});

const answers = ({ taskId, view }: Bundle): Readonly<Record<string, unknown>> => ({
  "/tidelane/v1/info": { chainId: 31_337, relayerId: 1, feeBps: 300, windowSeconds: 20 },
  "/tidelane/v1/status": {
    fleet: {
      nodes: [{
        nodeId: 1, hardwareClass: 1, engine: "<img src=x onerror=alert(1)>", models: ["org/model@q8"], state: "serving", slots: 8, prepSlots: 2, inFlight: 5,
        computeBps: 6_200, memoryBps: 3_100, queueBps: 0, networkBps: 0, scoreBps: 9_800, attestationAgeMs: 740,
      }],
      attested: 1, tableRoot: null,
    },
    lobby: {
      waiting: 3, deferred: 1, refusedPercent: 20, expectedWaitMs: 12_300, overload: "calm",
      lanes: { decode: { nodes: 1, slots: 6, running: 5, waiting: 3, pressurePercent: 120 }, prep: { nodes: 1, slots: 2, running: 0, waiting: 0, pressurePercent: 10 }, prepNodeIds: [1], switches: 2 },
    },
    batches: [{ batchId: "5", state: "confirmed", leafCount: 6, totalDebit: "226", totalCredit: "220", gasUsed: "250000", blockNumber: "42", transactionHash: `0x${"ab".repeat(32)}` }],
  },
  "/v1/models": { data: [{ id: "org/model@q8", tidelane: { kind: "generate" } }] },
  [`/tidelane/v1/receipts/${taskId}`]: taskViewToJson(view),
});
