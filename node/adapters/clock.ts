// The operating system's clocks and dice behind their ports.
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Dice } from "../ports.ts";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    // An aborted sleep ends early; it is no error, because whoever aborts knows why.
    await delay(Math.max(0, ms), undefined, signal ? { signal } : {}).catch(() => undefined);
  },
};

export const systemDice: Dice = {
  bytes32: () => `0x${randomBytes(32).toString("hex")}`,
  unit: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};
