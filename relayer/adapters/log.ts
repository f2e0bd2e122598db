// Structured log lines as JSON on standard error: standard output belongs to the one line that says a process is ready.
import pino from "pino";
import type { Log } from "../ports/world.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** @param name stands in every line, so that lines of several processes can be told apart. */
export function createLog(name: string, level: LogLevel): Log {
  return pino({ name, level, base: { name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
}

/** For tests: says nothing. */
export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
