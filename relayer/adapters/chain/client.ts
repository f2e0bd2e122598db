// One viem client over several RPC URLs: the first that answers is asked, questions of one moment share a request.
import { createPublicClient, fallback, http, type HttpTransport, type PublicClient, type FallbackTransport } from "viem";

const ANSWER_MS_MAX = 5_000;

export type Client = PublicClient<FallbackTransport<HttpTransport[]>>;

export const clientOf = (rpcUrls: readonly string[]): Client => createPublicClient({
  transport: fallback(rpcUrls.map((url) => http(url, { timeout: ANSWER_MS_MAX, retryCount: 0, batch: { batchSize: 100 } })), { retryCount: 1, retryDelay: 100 }),
  cacheTime: 0,
});
