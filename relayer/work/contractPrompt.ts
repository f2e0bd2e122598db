// The prompt that a contract gave by URI: fetched, held against the hash that it was paid for, read as text.
import { keccak256 } from "viem/utils";
import { TidelaneError } from "../../protocol/errors.ts";
import { promptOfHex } from "../../protocol/requests.ts";
import type { Hex } from "../../protocol/units.ts";
import type { PromptSource, SeenRequest } from "../ports/readers.ts";

/**
 * @returns the text, whose UTF-8 bytes have the request's promptHash.
 * @throws `prompt_refused` where it will never be fetched, `prompt_not_text`, and retryable `prompt_unavailable`, `prompt_changed`
 */
export async function promptByUri({ uri, request }: SeenRequest, source: PromptSource): Promise<string> {
  const bytes = await source.fetch(uri);
  const hex: Hex = `0x${Buffer.from(bytes).toString("hex")}`;
  // Whoever keeps the text may put the right one back before the deadline.
  if (keccak256(hex) !== request.promptHash) throw new TidelaneError("What lies at the prompt's URI has another hash than the request.", { code: "prompt_changed", retryable: true });
  const prompt = bytes.length === 0 ? null : promptOfHex(hex);
  if (prompt === null) throw new TidelaneError("The prompt is empty, or not UTF-8.", { code: "prompt_not_text" });
  return prompt;
}
