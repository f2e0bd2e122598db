// Structured log lines on standard error, by pino; standard output is kept for the one line that says the agent is ready.
import { pino } from "pino";
import type { Log } from "../ports.ts";

/** @param level pino's: trace, debug, info, warn, error, fatal, silent. */
export const pinoLog = (level: string): Log => pino({ name: "tidelane-node", level }, pino.destination({ dest: 2, sync: false }));
