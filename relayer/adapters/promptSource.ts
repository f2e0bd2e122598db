// Fetches prompts that contracts ask for by URI. Anyone writes such a URI, so the relayer must not become a stranger's way into
// its own network: a name is resolved once, every address of it must be public, and the connection goes to the checked address.
import { lookup as systemLookup } from "node:dns/promises";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP, isIPv6 } from "node:net";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Millis } from "../../protocol/units.ts";
import type { PromptSource } from "../ports/readers.ts";

export interface PromptSourceOptions {
  /** Where ipfs:// URIs are fetched: an HTTP gateway of the operator's choice; null where there is none. */
  readonly ipfsGateway: string | null;
  /** For local networks and tests: http and https from this machine are fetched too. */
  readonly mayLoopBack: boolean;
  readonly timeoutMs?: Millis;
  /** All addresses of a name. */
  readonly lookup?: (hostname: string) => Promise<readonly { readonly address: string }[]>;
}

export const PROMPT_BYTES_MAX = 262_144;
const TIMEOUT_MS: Millis = 10_000;
const REDIRECTS_MAX = 3;

/** Special-purpose addresses of IPv4 (RFC 6890 and its updates): private, shared, local, documentation, multicast, reserved. */
const NOT_PUBLIC_V4 = [
  ["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8], ["169.254.0.0", 16], ["172.16.0.0", 12], ["192.0.0.0", 24], ["192.0.2.0", 24],
  ["192.88.99.0", 24], ["192.168.0.0", 16], ["198.18.0.0", 15], ["198.51.100.0", 24], ["203.0.113.0", 24], ["224.0.0.0", 4], ["240.0.0.0", 4],
] as const;
/** Of IPv6 only global unicast is public, and not the parts of it that tunnel to an IPv4 address or document something. */
const PUBLIC_V6 = ["2000::", 3] as const;
const NOT_PUBLIC_V6 = [["2001::", 23], ["2001:db8::", 32], ["2002::", 16], ["3fff::", 20]] as const;

const publicV6 = new BlockList();
publicV6.addSubnet(...PUBLIC_V6, "ipv6");
const notPublic = new BlockList();
for (const [net, bits] of NOT_PUBLIC_V4) notPublic.addSubnet(net, bits, "ipv4");
for (const [net, bits] of NOT_PUBLIC_V6) notPublic.addSubnet(net, bits, "ipv6");
const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether an address is one that everybody may be sent to. */
export const isPublicAddress = (address: string): boolean =>
  (isIPv6(address) ? publicV6.check(address, "ipv6") && !notPublic.check(address, "ipv6") : isIP(address) === 4 && !notPublic.check(address, "ipv4"));

const isLoopback = (address: string): boolean => isIP(address) !== 0 && loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");

export function createPromptSource(options: PromptSourceOptions): PromptSource {
  return {
    async fetch(uri) {
      if (/^data:/i.test(uri)) return dataOf(uri);
      const signal = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
      const ipfs = /^ipfs:\/\/(?:ipfs\/)?([A-Za-z0-9]{1,128}(?:\/[^\s?#]*)?)$/.exec(uri)?.[1];
      if (ipfs === undefined) return await fetched(urlOf(uri), options, signal, REDIRECTS_MAX, false);
      if (options.ipfsGateway === null) throw refused("this relayer has no IPFS gateway");
      const url = urlOf(`${options.ipfsGateway}/ipfs/${ipfs}`);
      // `..`, however it is spelt, must not lead to what else the gateway's host serves.
      if (!url.href.startsWith(`${options.ipfsGateway}/ipfs/`)) throw refused("its path leaves the content");
      return await fetched(url, options, signal, REDIRECTS_MAX, true);
    },
  };
}

/** @param isTrusted the operator named this very place; what it points to is a stranger's word again. */
async function fetched(url: URL, options: PromptSourceOptions, signal: AbortSignal, redirects: number, isTrusted: boolean): Promise<Uint8Array> {
  const address = await addressOf(url, options, isTrusted);
  const response = await respond(url, address, signal);
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400 && response.headers.location !== undefined) {
    response.destroy();
    if (redirects === 0) throw refused(`more than ${REDIRECTS_MAX} redirections`);
    return await fetched(urlOf(response.headers.location, url), options, signal, redirects - 1, false);
  }
  if (status !== 200) {
    response.destroy();
    throw unavailable(`it answers ${status}`);
  }
  return await bytesOf(response);
}

/** @returns the address to connect to. @throws `prompt_refused` unless every address of the name is one to go to */
async function addressOf(url: URL, { mayLoopBack, lookup = systemLookupAll }: PromptSourceOptions, isTrusted: boolean): Promise<string> {
  if (!/^https?:$/.test(url.protocol)) throw refused(`${url.protocol.slice(0, 16)} is not fetched, only https:, ipfs: and data:`);
  if (url.username !== "" || url.password !== "") throw refused("it carries a name or a password");
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(hostname) !== 0 ? [{ address: hostname }] : await lookup(hostname).catch((cause: unknown) => { throw unavailable("its host has no address", cause); });
  const [first] = addresses;
  if (!first) throw unavailable("its host has no address");
  if (isTrusted || (mayLoopBack && addresses.every(({ address }) => isLoopback(address)))) return first.address;
  if (url.protocol !== "https:") throw refused("http is not fetched, only https");
  if (!addresses.every(({ address }) => isPublicAddress(address))) throw refused("its host is not a public one");
  return first.address;
}

const systemLookupAll = (hostname: string): Promise<readonly { readonly address: string }[]> => systemLookup(hostname, { all: true });

function respond(url: URL, address: string, signal: AbortSignal): Promise<IncomingMessage> {
  const family = isIPv6(address) ? 6 : 4;
  const options: RequestOptions = {
    signal, agent: false, method: "GET", headers: { accept: "text/plain, */*", "accept-encoding": "identity", "user-agent": "tidelane-relayer" },
    // The name was resolved and checked; asked again, it could answer otherwise.
    lookup: (_hostname, { all }, done) => (all ? done(null, [{ address, family }]) : done(null, address, family)),
  };
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options, resolve);
    sent.on("error", (cause) => reject(unavailable("it cannot be reached", cause)));
    sent.end();
  });
}

async function bytesOf(response: IncomingMessage): Promise<Uint8Array> {
  if (Number(response.headers["content-length"] ?? 0) > PROMPT_BYTES_MAX) {
    response.destroy();
    throw tooLong();
  }
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > PROMPT_BYTES_MAX) throw tooLong();
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof TidelaneError) throw cause;
    throw unavailable("it broke off", cause);
  }
  return Buffer.concat(chunks);
}

/** RFC 2397. The media type says nothing: the prompt's hash decides. */
function dataOf(uri: string): Uint8Array {
  const [, isBase64, text] = /^data:[^,]*?(;base64)?,(.*)$/is.exec(uri) ?? [];
  if (text === undefined) throw refused("it is no data: URI");
  try {
    const plain = decodeURIComponent(text);
    return Buffer.from(plain, isBase64 === undefined ? "utf8" : "base64");
  } catch {
    throw refused("it is no data: URI in UTF-8");
  }
}

function urlOf(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw refused("it is no URL");
  return new URL(text, base);
}

const refused = (why: string): TidelaneError => new TidelaneError(`The prompt's URI is not fetched: ${why}.`, { code: "prompt_refused" });
const tooLong = (): TidelaneError => refused(`more than ${PROMPT_BYTES_MAX} bytes lie there`);
const unavailable = (why: string, cause?: unknown): TidelaneError => new TidelaneError(`The prompt could not be fetched: ${why}.`, { code: "prompt_unavailable", retryable: true, cause });
