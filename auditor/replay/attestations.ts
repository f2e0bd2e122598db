// What nodes attested in an epoch, as the board's data publishes it, against the rows that decisions were made by.
import { bytesToHex, bytesToString, keccak256 } from "viem/utils";
import { z } from "zod";
import { attestationFromJson, type SignedAttestation } from "../../protocol/link.ts";
import { hashStruct } from "../../protocol/typedData.ts";
import { PRICE_MAX, clamp } from "../../relayer/routing/parameters.ts";
import { epochAt } from "../../relayer/routing/seeds.ts";
import { BPS, type Hash, type Seconds } from "../../protocol/units.ts";
import type { TableRow } from "../../relayer/routing/table.ts";
import type { EpochEvidence } from "./evidence.ts";
import type { Journal } from "./journal.ts";

/** A node's clock may be off by a minute before anybody minds. */
const CLOCK_OFF_MS_MAX = 60_000;

const epochSchema = z.object({
  relayerId: z.number(), epoch: z.number(), attestations: z.array(z.unknown()).max(200_000),
  /** From version 2 on. */
  tables: z.array(z.string().regex(/^0x[0-9a-f]{64}$/).transform((value) => value as Hash)).max(1_024).default([]),
});

/** What an epoch's data says. */
export interface EpochData {
  /** Newest tables of the relayer's processes when the epoch was over. */
  readonly tables: readonly Hash[];
  readonly attestations: ReadonlyMap<Hash, SignedAttestation>;
}

/** @returns null where it was not committed, is not served, or is another epoch's; the journal is told */
export function openEpoch({ epoch, dataHash, data }: EpochEvidence, relayerId: number, journal: Journal): EpochData | null {
  if (dataHash === null) return journal.leave("attestation", `epoch ${epoch} is not committed on the board (yet)`);
  if (data === null) return journal.leave("attestation", `the attestations of epoch ${epoch} are not served`);
  if (keccak256(bytesToHex(data)) !== dataHash) return journal.find("data", `the data of epoch ${epoch} does not hash to what the board holds`);
  const opened = epochDataOf(data);
  if (!opened || opened.relayerId !== relayerId || opened.epoch !== epoch) return journal.find("data", `the data behind epoch ${epoch} is no data of that epoch`);
  return opened;
}

/** @returns null for what is no epoch's data */
export function epochDataOf(data: Uint8Array): (EpochData & { readonly relayerId: number; readonly epoch: number }) | null {
  try {
    const { relayerId, epoch, tables, attestations } = epochSchema.parse(JSON.parse(bytesToString(data)));
    const read = attestations.map((one) => attestationFromJson(one));
    return { relayerId, epoch, tables, attestations: new Map(read.map((one) => [hashStruct("SaturationAttestation", one.attestation), one])) };
  } catch {
    return null;
  }
}

/** @returns in what a row says otherwise than the attestation that it names, observed in that epoch or just before it */
export function rowFindings(row: TableRow, modelId: Hash, { attestation, offers }: SignedAttestation, epoch: number, epochSeconds: Seconds): string[] {
  const offer = offers.find((one) => one.modelId === modelId);
  if (!offer) return [`node ${row.nodeId} did not offer this model`];
  const bps = (value: number): number => clamp(value, 0, BPS);
  const attested: Readonly<Partial<Record<keyof TableRow, number>>> = {
    nodeId: attestation.nodeId, keyEpoch: attestation.keyEpoch, computeBps: bps(attestation.computeBps), memoryBps: bps(attestation.memoryBps),
    queueBps: bps(attestation.queueBps), networkBps: bps(attestation.networkBps), queuedTokens: clamp(attestation.queuedTokens, 0, 2 ** 31),
    kvFreeTokens: clamp(attestation.kvFreeTokens, 0, 2 ** 31), priceIn: priceOf(offer.priceInPerMTok), priceOut: priceOf(offer.priceOutPerMTok),
  };
  const found = (Object.keys(attested) as (keyof TableRow)[]).filter((name) => row[name] !== attested[name])
    .map((name) => `node ${row.nodeId} attested ${name} ${attested[name]}, the table says ${String(row[name])}`);
  // The stake may allow fewer slots than a node attests, never more.
  if (row.slots > attestation.slots || row.modelSlots > offer.slots) found.push(`node ${row.nodeId} attested ${attestation.slots} slots, ${offer.slots} for the model; the table says ${row.slots} and ${row.modelSlots}`);
  const [earliest, latest] = [-CLOCK_OFF_MS_MAX, CLOCK_OFF_MS_MAX].map((off) => epochAt(attestation.observedAtMs + off, epochSeconds));
  if (epoch < earliest! || epoch > latest! + 1) found.push(`node ${row.nodeId}'s attestation was observed in epoch ${epochAt(attestation.observedAtMs, epochSeconds)}`);
  return found;
}

const priceOf = (price: bigint): number => (price > BigInt(PRICE_MAX) ? PRICE_MAX : Number(price));
