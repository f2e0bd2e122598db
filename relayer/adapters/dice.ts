// Randomness of the operating system behind the Dice port.
import { randomBytes } from "node:crypto";
import type { Dice } from "../ports/world.ts";

export const systemDice: Dice = { bytes32: () => `0x${randomBytes(32).toString("hex")}` };
