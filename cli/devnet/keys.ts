// The keys of a local network: made once, kept in one file that only its user can read, worth nothing anywhere else.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { Hex } from "../../protocol/units.ts";

/** The well-known first account of every local test chain (mnemonic "test test ... junk"): public, never for real money. */
export const WELL_KNOWN_TEST_KEY: Hex = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

const key = z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hex);
const schema = z.object({
  payer: z.object({ owner: key, sessionKey: key }),
  relayer: z.object({ owner: key, poster: key, signer: key }),
  nodes: z.record(z.string(), z.object({ owner: key, hot: key })),
});
export type DevnetKeys = z.infer<typeof schema>;

export function loadKeys(file: string, nodeNames: readonly string[]): DevnetKeys {
  if (existsSync(file)) return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  const keys: DevnetKeys = {
    payer: { owner: fresh(), sessionKey: fresh() },
    relayer: { owner: fresh(), poster: fresh(), signer: fresh() },
    nodes: Object.fromEntries(nodeNames.map((name) => [name, { owner: fresh(), hot: fresh() }])),
  };
  writeFileSync(file, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  return keys;
}

const fresh = (): Hex => `0x${randomBytes(32).toString("hex")}`;
