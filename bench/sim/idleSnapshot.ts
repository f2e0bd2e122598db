// What a node tells on which nothing runs or waits.
import type { Snapshot } from "./node.ts";

export const idleSnapshot = (atMs: number): Snapshot => ({ atMs, running: 0, waiting: 0, queuedTokens: 0, waitingTokens: 0, kvUsedTokens: 0, contextTokens: 0, outTokens: 0 });
