// Structured log lines on standard error, by pino; standard output is kept for the one line that says the agent is ready.
import { pino } from "pino";
import type { Log } from "../ports.ts";

/** @param level pino's: trace, debug, info, warn, error, fatal, silent. */
export const pinoLog = (level: string): Log =>
  pino({ level, base: { name: "node", pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
