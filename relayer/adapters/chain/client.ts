// One viem client over several RPC URLs: the first that answers is asked, questions of one moment share a request.
import { createPublicClient, fallback, http, type HttpTransport, type PublicClient, type FallbackTransport } from "viem";

const ANSWER_MS_MAX = 5_000;

export type Client = PublicClient<FallbackTransport<HttpTransport[]>>;

export const clientOf = (rpcUrls: readonly string[]): Client => createPublicClient({
  transport: fallback(rpcUrls.map((url) => http(url, { timeout: ANSWER_MS_MAX, retryCount: 0, batch: { batchSize: 100 } })), { retryCount: 1, retryDelay: 100 }),
  cacheTime: 0,
});

/**
 * The pending block's time, which moves on while a chain without traffic stands still between blocks; the latest block's where
 * a server has no pending one.
 */
export async function nextTimestampOf(client: Client): Promise<bigint> {
  const [latest, pending] = await Promise.all([client.getBlock({ blockTag: "latest" }), client.getBlock({ blockTag: "pending" }).catch(() => null)]);
  return pending && pending.timestamp > latest.timestamp ? pending.timestamp : latest.timestamp;
}
