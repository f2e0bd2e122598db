// The machine's clock behind the Clock port.
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../ports/world.ts";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal && { signal });
    } catch {
      // Aborted: the port promises to resolve at once, so that waiting loops end without a special case.
    }
  },
};
