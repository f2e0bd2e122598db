// A bar on stderr while simulations run: redrawn in place on a terminal, one line per finished run elsewhere.

const WIDTH = 30;
const REDRAW_EVERY_MS = 200;

export class Progress {
  readonly #total: number;
  readonly #startedMs = performance.now();
  #done = 0;
  #drawnMs = 0;

  /** @param total runs in all */
  constructor(total: number) {
    this.#total = total;
  }

  /** @param part of the run under way that is done; above 1 while what is left drains */
  at(label: string, part: number): void {
    const nowMs = performance.now();
    if (!process.stderr.isTTY || nowMs - this.#drawnMs < REDRAW_EVERY_MS) return;
    this.#drawnMs = nowMs;
    const doing = part > 1 ? "draining" : `${Math.floor(part * 100)} %`;
    process.stderr.write(`\r\u001b[K${this.#bar(Math.min(part, 1))} ${label}: ${doing}`);
  }

  finished(label: string): void {
    this.#done++;
    const seconds = ((performance.now() - this.#startedMs) / 1_000).toFixed(0);
    const line = `${this.#bar(0)} ${label}, ${seconds} s`;
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}${this.#done === this.#total ? "\n" : ""}` : `${line}\n`);
  }

  #bar(part: number): string {
    const filled = Math.floor((WIDTH * (this.#done + part)) / this.#total);
    return `[${"#".repeat(filled)}${".".repeat(WIDTH - filled)}] ${this.#done}/${this.#total}`;
  }
}
