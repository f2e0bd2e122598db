// devnet.json: where a running local network is, so that the commands beside it need no flags.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { parse } from "../../protocol/json.ts";
import type { Address } from "../../protocol/units.ts";

const address = z.string().regex(/^0x[0-9a-f]{40}$/).transform((value) => value as Address);
const schema = z.object({
  chainId: z.number().int(),
  rpcUrl: z.string(),
  relayerUrl: z.string(),
  relayerId: z.number().int(),
  /** By name, as deploy/ writes them: BatchSettlement, Escrow, ..., payToken, stakeToken. */
  contracts: z.record(z.string(), address),
  /** Node ids by name. */
  nodes: z.record(z.string(), z.number().int()),
  payer: z.object({
    /** A file with the owner's private key in hex; a local network's only. */
    ownerKeyFile: z.string(),
    /** The VOUCHER session of the first question. */
    sessionFile: z.string(),
    /** The ALLOWANCE session's API key. */
    apiKeyFile: z.string(),
  }),
});
export type DevnetFile = z.infer<typeof schema>;

export const DEVNET_DIRECTORY = ".tidelane";
/** The relayer's port; the chain takes the next one. */
export const DEVNET_PORT = 8_787;
const FILE_NAME = "devnet.json";

export function writeDevnetFile(directory: string, devnet: DevnetFile): void {
  const file = join(directory, FILE_NAME);
  writeFileSync(`${file}.new`, `${JSON.stringify(devnet, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** @returns null where no local network was ever started there. @throws InvalidValueError where the file is another version's. */
export function readDevnetFile(directory: string): DevnetFile | null {
  const file = join(directory, FILE_NAME);
  return existsSync(file) ? parse(schema, JSON.parse(readFileSync(file, "utf8")), file) : null;
}
