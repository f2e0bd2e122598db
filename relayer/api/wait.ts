// What a client says about waiting, and what it is told meanwhile.
import type { Request } from "express";
import { InvalidValueError } from "../../protocol/errors.ts";
import { WAIT_MS_MAX } from "../lobby/targets.ts";
import type { Waiting } from "../work/place.ts";
import type { Millis } from "../../protocol/units.ts";

/** How long the client will wait for its answer's start, in seconds; 0: not at all. */
export const WAIT_HEADER = "x-tidelane-wait";

/** @returns null where the client does not say. @throws InvalidValueError */
export function waitMsMaxOf({ headers }: Request): Millis | null {
  const text = headers[WAIT_HEADER];
  if (text === undefined) return null;
  const seconds = Number(text);
  if (typeof text !== "string" || !/^\d{1,6}(\.\d{1,3})?$/.test(text) || seconds * 1_000 > WAIT_MS_MAX) {
    throw new InvalidValueError(WAIT_HEADER, `seconds, from 0 to ${WAIT_MS_MAX / 1_000}`);
  }
  return Math.round(seconds * 1_000);
}

/** As a comment of an event stream, which clients skip and people can read. */
export const waitingComment = ({ position, expectedInMs }: Waiting): string => `position ${position}, expected start in ${Math.ceil(expectedInMs / 1_000)} s`;
