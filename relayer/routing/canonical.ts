// One text for one value: JSON with sorted keys and no space, so that a hash over it means the value.

/** Whole numbers, text, booleans, null, and lists and objects of them; bigints are the caller's to turn into decimal text. */
export type Canonical = string | number | boolean | null | readonly Canonical[] | { readonly [key: string]: Canonical };

export function canonicalJson(value: Canonical): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = value as { readonly [key: string]: Canonical };
    return `{${Object.keys(members).sort().map((key) => `${JSON.stringify(key)}:${canonicalJson(members[key]!)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
