// One page of a headless Chromium, driven over its DevTools socket: enough to fill in a form and to read what became of it.
import { spawn, type ChildProcess } from "node:child_process";

export interface View {
  readonly width: number;
  readonly scheme: "light" | "dark";
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } } };
  readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } } };
}

const START_MS_MAX = 30_000;
const UNTIL_MS_MAX = 20_000;

export class Browser {
  /** What the page's own scripts threw and did not catch. */
  readonly thrown: string[] = [];
  readonly #process: ChildProcess;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextId = 1;

  private constructor(process: ChildProcess, socket: WebSocket) {
    this.#process = process;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#heard(JSON.parse(String(data)) as Answer));
  }

  static async start(chromium: string, profile: string): Promise<Browser> {
    const child = spawn(chromium, [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise<string>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("Chromium did not start in time")), START_MS_MAX);
      let said = "";
      child.stderr!.on("data", (chunk) => {
        said += String(chunk);
        const match = /DevTools listening on ws:\/\/(\S+?)\//.exec(said);
        if (!match) return;
        clearTimeout(late);
        resolve(match[1]!);
      });
    });
    const pages = await (await fetch(`http://${address}/json/list`)).json() as { type: string; webSocketDebuggerUrl: string }[];
    const socket = new WebSocket(pages.find((one) => one.type === "page")!.webSocketDebuggerUrl);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const browser = new Browser(child, socket);
    for (const domain of ["Page", "Runtime"]) await browser.#send(`${domain}.enable`);
    return browser;
  }

  async open(url: string, view: View): Promise<void> {
    await this.#send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: view.scheme }] });
    await this.#send("Emulation.setDeviceMetricsOverride", { width: view.width, height: 900, deviceScaleFactor: 1, mobile: view.width < 600 });
    await this.#send("Page.navigate", { url });
    await this.until("document.readyState === 'complete'");
  }

  /** @returns the value of an expression in the page. @throws what it throws */
  async value<Value>(expression: string): Promise<Value> {
    const { result } = await this.#send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (result?.exceptionDetails) throw new Error(result.exceptionDetails.exception?.description ?? result.exceptionDetails.text);
    return result?.result?.value as Value;
  }

  async until(expression: string): Promise<void> {
    const untilMs = performance.now() + UNTIL_MS_MAX;
    while (!await this.value<boolean>(`Boolean(${expression})`).catch(() => false)) {
      if (performance.now() > untilMs) throw new Error(`this did not become true: ${expression}`);
      await new Promise((wake) => setTimeout(wake, 25));
    }
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#socket.close();
    this.#process.kill();
    await ended;
  }

  #send(method: string, params: object = {}): Promise<Answer> {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  #heard(answer: Answer): void {
    if (answer.method === "Runtime.exceptionThrown") this.thrown.push(answer.params?.exceptionDetails?.exception?.description ?? "?");
    if (answer.id === undefined) return;
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }
}
