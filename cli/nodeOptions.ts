// What the commands of a node's owner are given: which node, whose keys.
import { readFileSync } from "node:fs";
import { TidelaneError } from "../protocol/errors.ts";
import type { OutputOptions } from "./output.ts";
import type { PlaceOptions } from "./place.ts";
import type { Address, Hex } from "../protocol/units.ts";

export interface NodeOptions extends PlaceOptions, OutputOptions {
  readonly node?: string;
}

/** The cold owner's key: from a file or from TIDELANE_OWNER_KEY. Never from the command line, which others can read. @throws `no_owner_key`, `invalid_key` */
export function nodeOwnerKeyOf(options: NodeOptions): Hex {
  const key = options.keyFile === undefined ? process.env.TIDELANE_OWNER_KEY : keyFile(options.keyFile);
  if (key === undefined) throw new TidelaneError("The cold owner's key is needed: give --key-file <file>, or set TIDELANE_OWNER_KEY.", { code: "no_owner_key" });
  return keyOf(key, "the owner's key");
}

export function keyFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new TidelaneError(`${path} cannot be read.`, { code: "file_not_found", details: { path }, cause: error });
  }
}

export function keyOf(text: string, what: string): Hex {
  const key = text.trim().replace(/^0x/, "");
  if (!/^[0-9a-fA-F]{64}$/.test(key)) throw new TidelaneError(`${what} must be 32 bytes in hex.`, { code: "invalid_key" });
  return `0x${key.toLowerCase()}`;
}

export const nodeIdOf = (options: NodeOptions): number => idOf(options.node ?? process.env.TIDELANE_NODE_ID ?? "", "--node");

export function idOf(text: string, flag: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) >= 2 ** 32) throw new TidelaneError(`${flag} must be a registered number.`, { code: "invalid_id" });
  return Number(text);
}

export function addressOf(text: string, flag: string): Address {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new TidelaneError(`${flag}: "${text}" is no address: 0x and 40 hex digits.`, { code: "invalid_address" });
  return text.toLowerCase() as Address;
}
