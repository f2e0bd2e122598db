// Random values of every signed struct, for property tests: fields are drawn from their Solidity types.
import fc from "fast-check";
import { fieldsOf, isStruct } from "../../protocol/typedData.ts";
import { structFields, type StructName, type Structs } from "../../protocol/generated/structs.ts";
import type { Hash, Hex } from "../../protocol/units.ts";

export const structNames = Object.keys(structFields) as StructName[];

export const hexBytes = (bytes: number): fc.Arbitrary<Hex> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => `0x${Buffer.from(array).toString("hex")}` as Hex);

export const hash32 = hexBytes(32) as fc.Arbitrary<Hash>;

/** Uniform over bit lengths, so that small and greatest values both come up. */
export const uint = (bits: number): fc.Arbitrary<bigint> => fc.integer({ min: 0, max: bits }).chain((width) => fc.bigInt({ min: 0n, max: (1n << BigInt(width)) - 1n }));

export function structOf<Name extends StructName>(name: Name): fc.Arbitrary<Structs[Name]> {
  const members = Object.fromEntries(fieldsOf(name).map((field) => [field.name, memberOf(field.type)]));
  return fc.record(members) as unknown as fc.Arbitrary<Structs[Name]>;
}

function memberOf(type: string): fc.Arbitrary<unknown> {
  if (isStruct(type)) return structOf(type as StructName);
  if (type === "address") return hexBytes(20);
  const bytes = /^bytes(\d+)$/.exec(type);
  if (bytes) return hexBytes(Number(bytes[1]));
  const bits = Number(/^uint(\d+)$/.exec(type)![1]);
  return bits <= 48 ? uint(bits).map(Number) : uint(bits);
}
