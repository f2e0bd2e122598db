// What becomes of a session's file when its lock is released, and what is said where nothing can be.
import { renameSync } from "node:fs";
import { TidelaneError } from "../protocol/errors.ts";
import type { Hash } from "../protocol/units.ts";

/** Ends the name of a released session's file: no list of sessions holds it, and it can be released again. */
const RELEASED = ".released";

/** A batch that is voided gives its charge back to the lock: without the session's id nobody would know where to look for it. */
export function putAside(file: string, sessionId: Hash): string {
  if (file.endsWith(RELEASED)) return file;
  const kept = `${file.replace(/\.json$/, "")}-${sessionId.slice(2, 10)}${RELEASED}`;
  renameSync(file, kept);
  return kept;
}

/** Says until when in words. @throws `lock_not_releasable` and `nothing_to_release` (retryable), or what it was given */
export function notReleased(error: unknown): never {
  if (error instanceof TidelaneError && /^NothingToRelease\(/.test(String(error.details.reason))) {
    throw new TidelaneError("The lock holds nothing but what was charged and what nodes claim. Something comes back to it where a batch is voided: try again then.", { code: "nothing_to_release", retryable: true, cause: error });
  }
  const releasableAt = error instanceof TidelaneError ? /^LockNotReleasable\(0x[0-9a-f]{64}, (\d+)\)$/.exec(String(error.details.reason))?.[1] : undefined;
  if (releasableAt === undefined) throw error;
  const at = new Date(Number(releasableAt) * 1_000).toISOString();
  throw new TidelaneError(`What was ordered may still be settled: the rest is free from ${at} on.`, { code: "lock_not_releasable", retryable: true, details: { releasableAt: Number(releasableAt) }, cause: error });
}

/** @param place the file or folder that was looked at */
export const noSession = (place: string): TidelaneError =>
  new TidelaneError(`There is no session in ${place}. Open one: tidelane payer open --lock <amount>. A released one lies beside it, its name ending in ${RELEASED}.`, { code: "no_session" });
