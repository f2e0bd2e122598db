// Tells the relayer's other processes what this one gave its payers, and hears what they gave, ten times a second while there is
// anything to tell: so that who spreads its requests over several processes has one share of all, and not one at each.
//
//   halls ── tally ──▶ one row of the journal for each process ──▶ the others' rows ── what is new ──▶ halls
//
// A process alone, or one where nobody asks or waits, asks the journal nothing.
import { z } from "zod";
import { Others, type GivenElsewhere, type Telling } from "../lobby/others.ts";
import type { TallyEntry } from "../lobby/tally.ts";
import type { Journal, ToldTally } from "../ports/journal.ts";
import type { Clock, Log, Metrics } from "../ports/world.ts";
import type { Hash, Millis } from "../../protocol/units.ts";

/** What the loop needs of the halls. */
export interface Tallied {
  /** Whether something was given since it was told last, or somebody waits: then what others give matters here. */
  readonly isSharing: boolean;
  /** @param telling number of the telling */
  tell(telling: number): ReadonlyMap<Hash, readonly TallyEntry[]>;
  givenElsewhere(given: readonly GivenElsewhere[]): void;
}

export interface ShareTalliesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly journal: Pick<Journal, "shareTallies">;
  /** Never used before: a restarted process is another one. */
  readonly processId: string;
  readonly others: { readonly count: number };
  readonly reception: Tallied;
}

const EVERY_MS: Millis = 100;
/** Much to read is read more seldom: it takes a tenth of the time or so. Still before what is told for eight tellings is told no more. */
const [CHARACTERS_PER_MS, EVERY_MS_MAX] = [4_000, 500] as const;
/** Of one telling, of all models: some two hundred kilobytes. What does not fit is told with the payer's next change. */
const ENTRIES_MAX = 2_048;

const tokens = z.number().refine(Number.isFinite);
const tellingSchema = z.object({
  version: z.literal(1),
  models: z.record(z.string().regex(/^0x[0-9a-f]{64}$/), z.array(z.tuple([z.string().max(200), z.number().int().min(0), tokens, tokens, tokens])).max(1_024)),
});

export class ShareTallies {
  readonly #options: ShareTalliesOptions;
  readonly #others = new Others();
  #telling = 0;
  #readCharacters = 0;
  #isSilent = false;
  readonly #unread = new Set<string>();

  constructor(options: ShareTalliesOptions) {
    this.#options = options;
  }

  /** Runs until aborted; where the journal is away, everybody shares what this process has alone. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics } = this.#options;
    while (!signal.aborted) {
      try {
        await this.round();
        this.#isSilent = false;
      } catch (error) {
        metrics.count("tallies_failed_total");
        if (!this.#isSilent) log.warn({ error: String(error) }, "what payers were given cannot be shared with this relayer's other processes: each is fair by itself meanwhile");
        this.#isSilent = true;
      }
      await clock.sleep(Math.min(EVERY_MS_MAX, Math.max(EVERY_MS, this.#readCharacters / CHARACTERS_PER_MS)), signal);
    }
  }

  /** One exchange, where there is somebody to exchange with and something to say or to hear. @throws `journal_unavailable` */
  async round(): Promise<void> {
    const { clock, journal, processId, others, reception } = this.#options;
    if (others.count === 0 || !reception.isSharing) return;
    const sequence = ++this.#telling;
    const told = await journal.shareTallies({ process: processId, sequence, text: textOf(reception.tell(sequence)) }, clock.nowMs());
    this.#readCharacters = told.reduce((sum, { text }) => sum + text.length, 0);
    reception.givenElsewhere(this.#others.hear(told.flatMap((one) => this.#read(one)), clock.monotonicMs()));
  }

  #read({ process, sequence, text }: ToldTally): Telling[] {
    const parsed = tellingSchema.safeParse(jsonOf(text));
    if (parsed.success) return [{ process, sequence, models: modelsOf(parsed.data.models) }];
    if (this.#unread.size < 1_000 && !this.#unread.has(process)) {
      this.#unread.add(process);
      this.#options.log.warn({ process }, "another process of this relayer tells what it gave payers in a form that is not known here: it is left out");
    }
    return [];
  }
}

function textOf(told: ReadonlyMap<Hash, readonly TallyEntry[]>): string {
  const models: Record<Hash, unknown[][]> = {};
  let left = ENTRIES_MAX;
  for (const [modelId, entries] of told) {
    const taken = entries.slice(0, left);
    left -= taken.length;
    if (taken.length > 0) models[modelId] = taken.map(({ payer, born, served, deferred, asked }) => [payer, born, served, deferred, asked]);
  }
  return JSON.stringify({ version: 1, models });
}

type Cells = z.output<typeof tellingSchema>["models"];

const modelsOf = (models: Cells): ReadonlyMap<Hash, readonly TallyEntry[]> =>
  new Map(Object.entries(models).map(([modelId, entries]) => [modelId as Hash, entries.map(([payer, born, served, deferred, asked]) => ({ payer, born, served, deferred, asked }))]));

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
