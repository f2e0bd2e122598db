// EIP-712 over the generated structs: one hand-built digest that viem at the edges and native code on the hot path agree on.
import { concatHex, keccak256 as viemKeccak256, numberToHex, padHex, stringToHex } from "viem/utils";
import { structFields, type StructName, type Structs } from "./generated/structs.ts";
import type { Address, Hash, Hex } from "./units.ts";

export const DOMAIN_NAME = "Tidelane";
export const DOMAIN_VERSION = "1";

/** Where signatures count: one chain, one deployment. The verifying contract is BatchSettlement. */
export interface Domain {
  readonly chainId: number;
  readonly verifyingContract: Address;
}

/** A hash function over bytes given as hex; adapters pass a native one. */
export type Keccak256 = (data: Hex) => Hash;

interface Field {
  readonly name: string;
  readonly type: string;
}

/** @returns `Name(type field,...)` followed by nested types, as EIP-712 encodeType. */
export function typeString(name: StructName): string {
  const own = `${name}(${fieldsOf(name).map((field) => `${field.type} ${field.name}`).join(",")})`;
  const nested = fieldsOf(name).filter((field) => isStruct(field.type)).map((field) => typeString(field.type as StructName));
  return own + [...new Set(nested)].sort().join("");
}

export function typeHash(name: StructName): Hash {
  let known = typeHashes.get(name);
  if (!known) typeHashes.set(name, (known = viemKeccak256(stringToHex(typeString(name)))));
  return known;
}
const typeHashes = new Map<StructName, Hash>();

/** EIP-712 hashStruct. Ids are struct hashes: sessionId, taskId, receiptHash and the rest. */
export function hashStruct<Name extends StructName>(name: Name, value: Structs[Name], keccak256: Keccak256 = viemKeccak256): Hash {
  const words: Hex[] = [typeHash(name)];
  for (const field of fieldsOf(name)) {
    const member = (value as unknown as Record<string, unknown>)[field.name];
    words.push(isStruct(field.type)
      ? hashStruct(field.type as StructName, member as never, keccak256)
      : word(field.type, member as Hex | number | bigint));
  }
  return keccak256(concatHex(words));
}

/** What is signed: keccak256(0x1901 || domainSeparator || hashStruct). */
export function digest<Name extends StructName>(domain: Domain, name: Name, value: Structs[Name], keccak256: Keccak256 = viemKeccak256): Hash {
  return digestOfHash(domain, hashStruct(name, value, keccak256), keccak256);
}

/** The same where the struct's hash is known already. */
export function digestOfHash(domain: Domain, structHash: Hash, keccak256: Keccak256 = viemKeccak256): Hash {
  return keccak256(`0x1901${domainSeparator(domain).slice(2)}${structHash.slice(2)}`);
}

export function domainSeparator(domain: Domain): Hash {
  const key = `${domain.chainId}:${domain.verifyingContract}`;
  let known = separators.get(key);
  if (!known) {
    known = viemKeccak256(concatHex([
      viemKeccak256(stringToHex("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
      viemKeccak256(stringToHex(DOMAIN_NAME)),
      viemKeccak256(stringToHex(DOMAIN_VERSION)),
      word("uint256", domain.chainId),
      word("address", domain.verifyingContract),
    ]));
    if (separators.size >= 1_000) separators.clear();
    separators.set(key, known);
  }
  return known;
}
const separators = new Map<string, Hash>();

/** The same struct as viem's and ethers' signTypedData want it, for wallets at the edges. */
export function typedDataOf<Name extends StructName>(domain: Domain, name: Name, message: Structs[Name]) {
  const types: Record<string, Field[]> = {};
  const visit = (struct: StructName): void => {
    types[struct] = fieldsOf(struct).map((field) => ({ name: field.name, type: field.type }));
    for (const field of fieldsOf(struct)) if (isStruct(field.type)) visit(field.type as StructName);
  };
  visit(name);
  return {
    domain: { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId: domain.chainId, verifyingContract: domain.verifyingContract },
    types,
    primaryType: name as string,
    message: message as unknown as Record<string, unknown>,
  };
}

export const fieldsOf = (name: StructName): readonly Field[] => structFields[name];
export const isStruct = (type: string): boolean => Object.hasOwn(structFields, type);

function word(type: string, value: Hex | number | bigint): Hex {
  if (typeof value === "number" || typeof value === "bigint") return numberToHex(value, { size: 32 });
  return type.startsWith("bytes") ? padHex(value, { size: 32, dir: "right" }) : padHex(value.toLowerCase() as Hex, { size: 32 });
}
