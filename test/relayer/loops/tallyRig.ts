// Processes of one relayer, each with a reception before a node of one slot, that share what they gave their payers through journals.
import { noMetrics } from "../../../relayer/adapters/metrics.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { ShareTallies } from "../../../relayer/loops/shareTallies.ts";
import type { Journal } from "../../../relayer/ports/journal.ts";
import type { Log } from "../../../relayer/ports/world.ts";
import { ReceptionRig, settled, type Asked } from "../work/receptionRig.ts";

/** Of twenty prompt tokens, by the curve that the node states, and of as many of an answer. */
const [READ_MS, WRITE_MS] = [6, 60];

export class TalliedProcess {
  readonly rig = new ReceptionRig();
  readonly shares: ShareTallies;
  readonly #asked: { readonly payer: string; readonly asked: Asked }[] = [];
  #running: Asked | null = null;

  constructor(journal: Pick<Journal, "shareTallies">, processId: string, others = { count: 1 }, log: Log = silentLog) {
    const { clock, reception } = this.rig;
    this.shares = new ShareTallies({ clock, log, metrics: noMetrics, journal, processId, others, reception });
  }

  async open(): Promise<void> {
    await this.rig.nodes.join(1, { slots: 1 });
  }

  async ask(payer: string, times: number): Promise<void> {
    for (let i = 0; i < times; i++) this.#asked.push({ payer, asked: this.rig.ask({ payer, waitMsMax: 3_600_000 }) });
    await settled();
    this.#running ??= this.#started()?.asked ?? null;
  }

  /** Ends whoever runs, after some time. @returns the payer who is next, or null */
  async serveNext(): Promise<string | null> {
    if (this.#running) {
      // As fast as the node says that it is: one that proves to be slower is given less.
      await this.rig.clock.passBy(READ_MS, READ_MS);
      this.#running.choice!.booking.firstToken(READ_MS);
      await this.rig.clock.passBy(WRITE_MS, WRITE_MS);
      this.rig.finish(this.#running);
      this.#asked.splice(this.#asked.findIndex(({ asked }) => asked === this.#running), 1);
    }
    await settled();
    const next = this.#started();
    this.#running = next?.asked ?? null;
    return next?.payer ?? null;
  }

  #started() {
    return this.#asked.find(({ asked }) => asked.choice !== null);
  }
}

/**
 * One payer waits at both processes, one at each of them alone; they serve in turn.
 * @returns how often each was served of forty times
 */
export async function servedAtTwo(journals: readonly [Pick<Journal, "shareTallies">, Pick<Journal, "shareTallies">], isSharing: boolean): Promise<Record<"both" | "first" | "second", number>> {
  const processes = journals.map((journal, i) => new TalliedProcess(journal, `process ${i}`));
  const served = { both: 0, first: 0, second: 0 };
  for (const [i, process] of processes.entries()) {
    await process.open();
    for (const payer of ["both", i === 0 ? "first" : "second"]) await process.ask(payer, 25);
  }
  for (let round = 0; round < 20; round++) {
    for (const process of processes) {
      if (isSharing) await process.shares.round();
      const payer = await process.serveNext();
      served[payer as keyof typeof served]++;
    }
  }
  return served;
}
