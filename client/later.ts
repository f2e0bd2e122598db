// An answer that the relayer hands out later: asked for again at the address that it gave, until it is there.
import { TidelaneError } from "../protocol/errors.ts";
import type { Clock } from "./ports.ts";

const POLL_MS_MIN = 500;
const POLL_MS_MAX = 10_000;
/** No order is good for longer. */
const POLLS_MAX = 7_200;
/** In a row: half a minute, in which a relayer has restarted. What it had done is there again then. */
const FAILURES_MAX = 15;

/**
 * @param first what the relayer answered @param get asks its address, of the same relayer
 * @returns the first answer that is no 202: the answer itself, or its error
 * @throws the signal's reason; what `get` throws where it does so again and again; retryable `relayer_answer_invalid` where there is no address
 */
export async function answerWhenDone(first: Response, get: (path: string) => Promise<Response>, clock: Pick<Clock, "sleep">, signal: AbortSignal | null): Promise<Response> {
  let response = first;
  let failures = 0;
  for (let polls = 0; response.status === 202 && polls < POLLS_MAX; polls++) {
    const path = response.headers.get("location");
    // Another host's address would be asked with nothing secret, but it has no business here.
    if (!path || !/^\/(?![/\\])/.test(path)) throw new TidelaneError("The relayer promised an answer for later and gave no address of its own for it.", { code: "relayer_answer_invalid", retryable: true });
    await response.body?.cancel();
    await clock.sleep(Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, 1_000 * Number(response.headers.get("retry-after") ?? 1) || POLL_MS_MIN)));
    if (signal?.aborted) throw signal.reason;
    try {
      response = await get(path);
      failures = 0;
    } catch (error) {
      if (signal?.aborted || ++failures > FAILURES_MAX) throw error;
    }
  }
  return response;
}
