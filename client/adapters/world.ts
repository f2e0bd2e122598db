// The machine's clock and random numbers behind the payer's ports.
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Dice } from "../ports.ts";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms) => delay(Math.max(0, ms)),
};

export const systemDice: Dice = { bytes32: () => `0x${randomBytes(32).toString("hex")}` };
