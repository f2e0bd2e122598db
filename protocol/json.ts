// Signed structs as JSON and back: amounts and 64-bit numbers as decimal strings, every field checked for type and range.
import type { z } from "zod";
import { fieldsOf, isStruct } from "./typedData.ts";
import { InvalidValueError } from "./errors.ts";
import type { StructName, Structs } from "./generated/structs.ts";

/** @returns a plain object that JSON.stringify can write; bigints become decimal strings. */
export function structToJson<Name extends StructName>(name: Name, value: Structs[Name]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const field of fieldsOf(name)) {
    const member = (value as unknown as Record<string, unknown>)[field.name];
    out[field.name] = isStruct(field.type) ? structToJson(field.type as StructName, member as never)
      : typeof member === "bigint" ? member.toString() : member;
  }
  return out;
}

/**
 * Reads a struct that a stranger sent. Unknown members are ignored, hex is lowercased.
 * @throws InvalidValueError naming the path of the first member that does not fit.
 */
export function structFromJson<Name extends StructName>(name: Name, json: unknown, path: string = name): Structs[Name] {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new InvalidValueError(path, `a ${name} object`);
  const out: Record<string, unknown> = {};
  for (const field of fieldsOf(name)) {
    const value = Object.hasOwn(json, field.name) ? (json as Record<string, unknown>)[field.name] : undefined;
    const at = `${path}.${field.name}`;
    out[field.name] = isStruct(field.type) ? structFromJson(field.type as StructName, value, at) : memberFromJson(field.type, value, at);
  }
  return out as unknown as Structs[Name];
}

function memberFromJson(type: string, value: unknown, path: string): string | number | bigint {
  if (type === "address") return hexOfLength(value, 20, path);
  const bytes = /^bytes(\d+)$/.exec(type);
  if (bytes) return hexOfLength(value, Number(bytes[1]), path);
  const bits = Number(/^uint(\d+)$/.exec(type)?.[1]);
  const decimal = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof decimal !== "string" || !/^(0|[1-9]\d{0,77})$/.test(decimal) || BigInt(decimal) >= 1n << BigInt(bits)) {
    throw new InvalidValueError(path, `a ${type} as a number or decimal string`);
  }
  return bits <= 48 ? Number(decimal) : BigInt(decimal);
}

/** @throws InvalidValueError unless the value is `0x` and exactly that many bytes. */
export function hexOfLength(value: unknown, bytes: number, path: string): `0x${string}` {
  if (typeof value !== "string" || value.length !== 2 + 2 * bytes || !/^0x[0-9a-fA-F]*$/.test(value)) {
    throw new InvalidValueError(path, `0x and ${2 * bytes} hex digits`);
  }
  return value.toLowerCase() as `0x${string}`;
}

/** zod's verdict as Tidelane's error. @throws InvalidValueError */
export function parse<Schema extends z.ZodType>(schema: Schema, json: unknown, path: string): z.output<Schema> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new InvalidValueError([path, ...issue.path.map(String)].join("."), issue.message);
}
