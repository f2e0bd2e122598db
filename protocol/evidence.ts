// What the contracts take as evidence of a settled attempt: the Solidity structs Leaf, SumProof and Record, made from the record.
import { concatHex, keccak256 as viemKeccak256, numberToHex } from "viem/utils";
import type { SumProof } from "./merkleSum.ts";
import { leafOf, voucherHashOf, type AttemptRecord } from "./records.ts";
import { hashStruct, type Keccak256 } from "./typedData.ts";
import { ZERO_HASH, type Hash, type Hex, type TokenAmount } from "./units.ts";
import type { Voucher } from "./generated/structs.ts";

/** `Leaf` of MerkleSum.sol: hashes of the signatures, zeros for the voucher in ALLOWANCE mode. */
export interface LeafStruct {
  readonly receiptHash: Hash;
  readonly fee: TokenAmount;
  readonly charge: TokenAmount;
  readonly nodeSigHash: Hash;
  readonly voucherHash: Hash;
  readonly voucherSigHash: Hash;
  readonly assignmentSigHash: Hash;
}

/** `SumProof` of MerkleSum.sol: siblings from the leaf's level up. */
export interface PathStruct {
  readonly index: number;
  readonly hashes: readonly Hash[];
  readonly sums: readonly bigint[];
}

/** `Record` of Records.sol: in ALLOWANCE mode the voucher is all zero and its signature empty. */
export type RecordStruct = Omit<AttemptRecord, "voucher"> & { readonly voucher: Voucher };

const NO_VOUCHER: Voucher = { sessionId: ZERO_HASH, cumulativeCap: 0n, taskId: ZERO_HASH };

/** The leaf that an honest relayer puts into both trees for this record. */
export function leafStruct(record: AttemptRecord, keccak256: Keccak256 = viemKeccak256): LeafStruct {
  const { fee, charge } = leafOf(record, keccak256);
  return {
    receiptHash: hashStruct("TaskReceipt", record.receipt, keccak256), fee, charge, nodeSigHash: keccak256(record.receiptSignature),
    voucherHash: voucherHashOf(record, keccak256), voucherSigHash: record.voucher === null ? ZERO_HASH : keccak256(record.voucherSignature),
    assignmentSigHash: keccak256(record.assignmentSignature),
  };
}

/** The same hash as `leafOf`'s for a leaf that is known only by its parts. */
export const leafStructHash = (leaf: LeafStruct, keccak256: Keccak256 = viemKeccak256): Hash =>
  keccak256(concatHex(["0x00", leaf.receiptHash, uint128(leaf.fee), uint128(leaf.charge), leaf.nodeSigHash, leaf.voucherHash, leaf.voucherSigHash, leaf.assignmentSigHash]));

export const pathStruct = ({ index, siblings }: SumProof): PathStruct =>
  ({ index, hashes: siblings.map(({ hash }) => hash), sums: siblings.map(({ sum }) => sum) });

export const recordStruct = (record: AttemptRecord): RecordStruct => ({ ...record, voucher: record.voucher ?? NO_VOUCHER });

const uint128 = (value: bigint): Hex => numberToHex(value, { size: 16 });
