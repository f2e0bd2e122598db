// Many callers, one transaction: what arrives while a commit runs goes into the next one, so nobody waits for a timer.
//
//   idle:  a ─▶ commit(a)                       at once
//   busy:  commit(a) │ b c d ─▶ commit(b c d)   the wait is the commit before, some milliseconds

/** More in one transaction would make the first wait too long for the last. */
const GROUP_MAX = 500;

interface Waiting<Entry> {
  readonly entry: Entry;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class GroupCommit<Entry> {
  readonly #commit: (group: readonly Entry[]) => Promise<readonly (Error | null)[]>;
  #waiting: Waiting<Entry>[] = [];
  #running: Promise<void> | null = null;

  /** @param commit takes a group in order and says for each entry what was wrong with it; throws where the whole group failed. */
  constructor(commit: (group: readonly Entry[]) => Promise<readonly (Error | null)[]>) {
    this.#commit = commit;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Resolves when the entry is committed. */
  add(entry: Entry): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ entry, done, failed });
      this.#running ??= this.#run().finally(() => { this.#running = null; });
    });
  }

  /** Resolves when nothing is waiting. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP_MAX);
      try {
        const errors = await this.#commit(group.map(({ entry }) => entry));
        for (const [i, { done, failed }] of group.entries()) errors[i] ? failed(errors[i]) : done();
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
  }
}
