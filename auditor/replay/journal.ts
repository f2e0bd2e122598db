// What a replay finds and what it has to leave open, as it goes.
import type { Finding, FindingKind, Unchecked, UncheckedKind } from "./evidence.ts";
import type { Hash } from "../../protocol/units.ts";

interface Place {
  readonly batchId?: bigint;
  readonly taskId?: Hash;
  readonly attempt?: number;
}

export class Journal {
  readonly findings: Finding[] = [];
  readonly #left = new Map<string, Unchecked>();

  /** @returns null, so that a check can end with it */
  find(kind: FindingKind, detail: string, { batchId, taskId, attempt }: Place = {}): null {
    this.findings.push({ kind, detail, batchId: batchId ?? null, taskId: taskId ?? null, attempt: attempt ?? null });
    return null;
  }

  /** Something that cannot be checked (yet); the same reason is counted. */
  leave(kind: UncheckedKind, detail: string): null {
    const key = `${kind} ${detail}`;
    this.#left.set(key, { kind, detail, count: (this.#left.get(key)?.count ?? 0) + 1 });
    return null;
  }

  get unchecked(): Unchecked[] {
    return [...this.#left.values()];
  }
}
