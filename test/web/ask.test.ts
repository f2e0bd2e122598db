// The page in a browser, used as a person uses it: asks, stops, follows the receipt until it is settled, on a screen and on a phone.
import { spawnSync } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { expect } from "chai";
import { taskViewToJson } from "../../protocol/taskView.ts";
import { settledBundle, type Bundle } from "../auditor/bundle.ts";
import { Browser, type View } from "./browser.ts";

const web = join(import.meta.dirname, "../../web");
const files = readdirSync(web);
const types: Readonly<Record<string, string>> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const chromium = ["chromium", "chromium-browser", "google-chrome"].find((name) => spawnSync(name, ["--version"]).status === 0);
const SCREEN: View = { width: 1_100, scheme: "light" };
const PHONE: View = { width: 390, scheme: "dark" };

const chunk = (content: string): object => ({ choices: [{ delta: { content } }] });
const event = (value: unknown): string => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;

describe("the page's question", function () {
  this.timeout(90_000);
  let server: Server;
  let url: string;
  let bundle: Bundle;
  let profile: string;
  let browser: Browser;
  /** What the relayer answers to the question. */
  let answer: (response: ServerResponse, request: IncomingMessage & { json: Record<string, unknown> }) => void;
  let isSettled = true;

  before(async function () {
    if (!chromium) {
      if (process.env.CI) throw new Error("CI wants a browser, and there is no chromium on the PATH");
      console.log("      not run: the page's question in a browser (no chromium on the PATH)");
      return this.skip();
    }
    bundle = await settledBundle();
    profile = mkdtempSync(join(tmpdir(), "tidelane-chromium-"));
    server = createServer((request, response) => void serve(request, response)).listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
    browser = await Browser.start(chromium, profile);
  });
  after(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
    if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  beforeEach(() => { isSettled = true; });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url!, "http://x").pathname;
    if (path === "/v1/chat/completions") {
      let text = "";
      for await (const part of request) text += String(part);
      return answer(response, Object.assign(request, { json: JSON.parse(text) as Record<string, unknown> }));
    }
    const json = answers()[path];
    if (json) return void response.setHeader("content-type", "application/json").end(JSON.stringify(json));
    const file = path === "/" ? "index.html" : path.slice(1);
    if (!files.includes(file)) return void response.writeHead(404).end();
    response.setHeader("content-type", types[extname(file)]!).end(readFileSync(join(web, file)));
  }

  const answers = (): Readonly<Record<string, unknown>> => ({
    "/tidelane/v1/info": { chainId: 31_337, relayerId: 1, feeBps: 300, windowSeconds: 20 },
    "/tidelane/v1/status": { fleet: { nodes: [], attested: 0, tableRoot: null }, batches: [] },
    "/v1/models": { data: [{ id: "org/model@q8", tidelane: { kind: "generate" } }, { id: "org/embed@f32", tidelane: { kind: "embed" } }] },
    [`/tidelane/v1/receipts/${bundle.taskId}`]: taskViewToJson(isSettled ? bundle.view : { ...bundle.view, batch: null, attempts: bundle.view.attempts.map((one) => ({ ...one, proofs: null })) }),
  });

  async function ask(view: View): Promise<void> {
    await browser.open(url, view);
    await browser.until("document.getElementById('model').options.length === 1");
    await browser.value(`document.getElementById("key").value = "tl_test"; document.getElementById("question").value = "Tell me 🌊"; document.getElementById("send").click()`);
  }

  const textOf = (id: string): Promise<string> => browser.value<string>(`document.getElementById("${id}").textContent`);

  it("streams the answer, says what it cost, and follows the receipt until it is settled", async () => {
    isSettled = false;
    let asked: Record<string, unknown> = {};
    answer = (response, { json, headers }) => {
      asked = { ...json, authorization: headers.authorization };
      response.writeHead(200, { "content-type": "text/event-stream", "x-tidelane-task": bundle.taskId });
      const last = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 }, tidelane: { node: 1, charge: "12", task: bundle.taskId } };
      const bytes = Buffer.from([chunk("Once 🌊 <b>"), chunk(" upon"), last, "[DONE]"].map(event).join(""));
      // Cut in the middle of a character.
      response.write(bytes.subarray(0, bytes.indexOf("🌊") + 2));
      setTimeout(() => response.end(bytes.subarray(bytes.indexOf("🌊") + 2)), 50);
    };
    await ask(SCREEN);
    await browser.until("document.getElementById('receipt-view').textContent.includes('not settled on chain yet')");
    expect(asked).to.deep.include({ model: "org/model@q8", stream: true, authorization: "Bearer tl_test", messages: [{ role: "user", content: "Tell me 🌊" }] });
    expect(await textOf("answer")).to.equal("Once 🌊 <b> upon");
    expect(await textOf("answer-cost")).to.include("3 tokens in, 2 out · node 1 · charge 0.000012");
    isSettled = true;
    await browser.until("document.getElementById('receipt-view').textContent.includes('in batch')");
    expect(browser.thrown).to.deep.equal([]);
  });

  it("tells who waits where it stands, until the answer begins", async () => {
    let go = (): void => undefined;
    answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": position 3, expected start in 12 s\n\n");
      go = () => void response.end(`${event(chunk("A fox"))}${event("[DONE]")}`);
    };
    await ask(SCREEN);
    await browser.until("document.querySelector('#answer-cost').textContent === 'In the lobby: position 3, expected start in 12 s.'");
    go();
    await browser.until("document.querySelector('#answer').textContent === 'A fox' && document.querySelector('#answer-cost').textContent === ''");
  });

  it("says loudly why there is no answer, whether it was refused or broke off", async () => {
    const trouble = "document.getElementById('answer-cost').className === 'trouble'";
    answer = (response) => void response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ error: { message: "This API key is not known here." } }));
    await ask(SCREEN);
    await browser.until(trouble);
    expect(await textOf("answer-cost")).to.equal("This API key is not known here.");
    answer = (response) => void response.writeHead(200, { "content-type": "text/event-stream" }).end([chunk("Half"), { error: { message: "The answer broke off." } }].map(event).join(""));
    await ask(PHONE);
    await browser.until(trouble);
    expect([await textOf("answer"), await textOf("answer-cost")]).to.deep.equal(["Half", "The answer broke off."]);
  });

  it("stops when it is told to, and still shows the receipt of what was produced", async () => {
    let hungUp = false;
    answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "x-tidelane-task": bundle.taskId }).write(event(chunk("Once")));
      response.once("close", () => { hungUp = true; });
    };
    await ask(PHONE);
    await browser.until("document.getElementById('answer').textContent === 'Once'");
    await browser.value("document.getElementById('stop').click()");
    await browser.until("document.getElementById('receipt-view').textContent.includes('in batch')");
    expect(await textOf("answer-cost")).to.include("Stopped");
    expect(await browser.value("document.getElementById('stop').disabled")).to.equal(true);
    expect(hungUp).to.equal(true);
  });

  it("fits a phone and a screen, in light and dark", async () => {
    answer = (response) => void response.writeHead(200, { "content-type": "text/event-stream", "x-tidelane-task": bundle.taskId }).end([
      chunk("x".repeat(300)), { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 }, tidelane: { node: 1, charge: "12", task: bundle.taskId } }, "[DONE]",
    ].map(event).join(""));
    const papers = new Set<string>();
    for (const view of [SCREEN, PHONE]) {
      await ask(view);
      await browser.until("document.getElementById('receipt-view').textContent.includes('in batch')");
      expect(await browser.value<number>("document.documentElement.scrollWidth"), `${view.width}`).to.be.at.most(view.width);
      papers.add(await browser.value<string>("getComputedStyle(document.body).backgroundColor"));
    }
    expect(papers.size).to.equal(2);
  });
});
