// A payer's world for tests: a store in memory, real time, a fake relayer that is its chain too.
import { systemClock, systemDice } from "../../client/adapters/world.ts";
import { ownerOfKey } from "../../client/adapters/chain.ts";
import { openSession, type SessionTerms } from "../../client/session.ts";
import { TidelanePayer, type PayerOptions, type PayerWorld } from "../../client/payer.ts";
import type { PayerStore } from "../../client/ports.ts";
import type { FakeRelayer } from "./fakeRelayer.ts";

/** Worthless: made for this test. */
export const owner = ownerOfKey(`0x${"0d".repeat(32)}`);

export class MemoryStore implements PayerStore {
  text: string | null = null;
  writes = 0;
  async read(): Promise<string | null> {
    return this.text;
  }
  async write(text: string): Promise<void> {
    await new Promise((written) => setImmediate(written));
    this.text = text;
    this.writes++;
  }
  async close(): Promise<void> {}
}

export interface TestWorld extends PayerWorld {
  readonly store: MemoryStore;
}

export const worldOf = (relayer: FakeRelayer, store = new MemoryStore()): TestWorld =>
  ({ chain: relayer, clock: systemClock, dice: systemDice, fetch: (url, init) => fetch(url, init), store });

export async function openedPayer(relayer: FakeRelayer, terms: Partial<SessionTerms> = {}, options: PayerOptions = {}): Promise<{ payer: TidelanePayer; world: TestWorld }> {
  const world = worldOf(relayer);
  await openSession(world, owner, relayer.url, { lock: 1_000_000n, ...terms });
  return { payer: await TidelanePayer.restore(world, options), world };
}

/** @returns the error's code, or fails. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  throw new Error("expected an error");
}

/** Waits for a condition that real time brings about; fails after the limit. */
export async function until(isTrue: () => boolean, limitMs = 5_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error("the condition never came about");
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
