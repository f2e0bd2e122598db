// What a deployment is to be: its parameters, and the addresses that its contracts will get. Pure.
import { getContractAddress, isAddress } from "viem/utils";
import { InvalidValueError, TidelaneError } from "../protocol/errors.ts";
import type { Address } from "../protocol/units.ts";

export const MODULE_ID = "Tidelane";

/** One deployment's bounds; immutable once deployed. Files: deploy/parameters/<network>.json; docs/operations/deploy.md. */
export interface Parameters {
  /** W of the protocol. */
  readonly windowSeconds: number;
  /** Length of a saturation epoch. */
  readonly epochSeconds: number;
  /** Unmatured debits of a relayer <= leverage x its bond. */
  readonly leverage: number;
  /** Stake behind one attested slot, in the stake token's smallest unit. */
  readonly stakePerSlot: bigint;
  /** What a demand for a record costs whose answer comes: at least twice the answer's gas, in the pay token's smallest unit. */
  readonly challengeBond: bigint;
  /** The least penalty of an invalid leaf, and what a lapsed commit to a request forfeits, in the pay token's smallest unit. */
  readonly minimumPenalty: bigint;
  /** May pause new sessions; the zero address where nobody may. */
  readonly guardian: Address;
  /** Null: two tokens are deployed, which the deployer can mint. */
  readonly tokens: { readonly payToken: Address; readonly stakeToken: Address } | null;
}

/** What a deployment became. Addresses in lowercase; `block` is where reading its events starts. */
export interface Addresses {
  readonly chainId: number;
  readonly block: number;
  readonly contracts: Readonly<Record<string, Address>>;
}

export const CONTRACT_NAMES = [
  "NodeRegistry", "RelayerRegistry", "BondVault", "Escrow", "BatchSettlement", "SaturationBoard", "TaskReceipts",
  "NodeJudge", "LeafJudge", "TreeJudge", "RelayerJudge", "FraudProofs", "TransferProofs", "InferenceGateway", "DepositBoxes",
] as const;

const ZERO_ADDRESS: Address = `0x${"0".repeat(40)}`;
const SECONDS_MAX = 30 * 86_400;
const LEVERAGE_MAX = 5;

/** How a parameter file says that whoever deploys must decide: FILL IN, and what. */
const PLACEHOLDER = /^FILL IN\b/;

/** @throws TidelaneError `parameter_missing` where a value is still to be filled in; InvalidValueError naming the field. */
export function parseParameters(json: unknown): Parameters {
  const from = json as Record<string, unknown>;
  refusePlaceholders(from);
  const whole = (name: string, most: number): number => {
    const value = from[name];
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most) throw new InvalidValueError(name, `a whole number from 1 to ${most}`);
    return value as number;
  };
  const amount = (name: string): bigint => {
    const value = from[name];
    if (typeof value !== "string" || !/^[1-9]\d{0,28}$/.test(value)) throw new InvalidValueError(name, "a decimal string above zero");
    return BigInt(value);
  };
  const tokens = from["tokens"] as Record<string, unknown> | null;
  return Object.freeze({
    windowSeconds: whole("windowSeconds", SECONDS_MAX),
    epochSeconds: whole("epochSeconds", SECONDS_MAX),
    leverage: whole("leverage", LEVERAGE_MAX),
    stakePerSlot: amount("stakePerSlot"),
    challengeBond: amount("challengeBond"),
    minimumPenalty: amount("minimumPenalty"),
    guardian: address("guardian", from["guardian"]),
    tokens: tokens === null ? null : { payToken: address("tokens.payToken", tokens?.["payToken"]), stakeToken: address("tokens.stakeToken", tokens?.["stakeToken"]) },
  });
}

/** Module parameters for a deployer whose next nonce is known: BatchSettlement, board, FraudProofs and TransferProofs are told to earlier ones. */
export function moduleParameters(parameters: Parameters, deployer: Address, firstNonce: number): Record<string, string | number | bigint> {
  // The order of deploy/modules/Tidelane.ts: tokens and registries in one step, then one contract a step.
  const beforeBondVault = firstNonce + 2 + (parameters.tokens === null ? 2 : 0);
  const at = (offset: number): Address => getContractAddress({ from: deployer, nonce: BigInt(beforeBondVault + offset) });
  return {
    ...(parameters.tokens ?? {}),
    windowSeconds: parameters.windowSeconds,
    epochSeconds: parameters.epochSeconds,
    leverage: parameters.leverage,
    stakePerSlot: parameters.stakePerSlot,
    guardian: parameters.guardian,
    challengeBond: parameters.challengeBond,
    minimumPenalty: parameters.minimumPenalty,
    fraudProofs: at(9),
    transferProofs: at(10),
    inferenceGateway: ZERO_ADDRESS,
    batchSettlement: at(2),
    saturationBoard: at(3),
  };
}

function refusePlaceholders(from: Readonly<Record<string, unknown>>): void {
  const all = Object.entries({ ...from, ...(from["tokens"] as object | null) });
  const missing = all.filter(([, value]) => typeof value === "string" && PLACEHOLDER.test(value));
  if (missing.length === 0) return;
  const what = missing.map(([name, value]) => `${name} (${String(value)})`).join("; ");
  throw new TidelaneError(`the parameter file is not complete; decide on ${what}, in a copy of your own or in the file itself`, { code: "parameter_missing", details: { names: missing.map(([name]) => name).join(",") } });
}

function address(name: string, value: unknown): Address {
  if (typeof value !== "string" || !isAddress(value, { strict: false })) throw new InvalidValueError(name, "an address");
  return value.toLowerCase() as Address;
}
