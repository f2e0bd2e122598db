// Makes elements from plain values. Text is always text: nothing that came over the network is ever read as HTML.

/**
 * @param {string} tag
 * @param {Record<string, string | boolean | null>} attributes `class`, `data-...` and others; null and false leave one out
 * @param {...(Node | string | null)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A custom property in percent; set through the object model, which a strict style policy allows. */
export function setLevel(node, percent) {
  node.style.setProperty("--level", `${Math.max(0, Math.min(100, percent))}%`);
}

export const percentOf = (bps) => `${Math.round(bps / 100)} %`;

/** Smallest units as tokens; exact, with the zeros at the end cut to two. */
export const money = (amount, decimals = 6) => alignedMoney(amount, decimals).replace(/(\.\d\d\d*?)0+$/, "$1");

/** The same with all its zeros, so that a column's points stand under each other. */
export function alignedMoney(amount, decimals = 6) {
  const digits = String(amount).padStart(decimals + 1, "0");
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

export const short = (hash) => `${String(hash).slice(0, 10)}…${String(hash).slice(-6)}`;

/** Rows of name and value. */
export function list(rows) {
  return element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

/** @throws Error with the server's own words. */
export async function getJson(path, signal) {
  const response = await fetch(path, { signal: signal ?? AbortSignal.timeout(10_000), headers: { accept: "application/json" } });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? body?.error?.message ?? body?.title ?? `${path} answered ${response.status}`);
  return body;
}
