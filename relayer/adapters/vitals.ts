// How the process itself is: its event loop's lag and its memory, as the runtime measures them.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { VitalSigns } from "../ports/world.ts";

/** The lag is measured by a timer of this length, which is not lag. */
const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;

export function systemVitals(): VitalSigns {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  return {
    read() {
      const loopLagMs = Number.isNaN(delay.mean) ? 0 : Math.max(0, delay.mean / NS_PER_MS - RESOLUTION_MS);
      delay.reset();
      const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
      return { loopLagMs, memoryPart: used / limit };
    },
    stop: () => void delay.disable(),
  };
}
