// The API over real HTTP with a scripted task service behind it.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { buildApp } from "../../../relayer/api/app.ts";
import { createNativeCrypto } from "../../../relayer/adapters/crypto.ts";
import { MemoryJournal } from "../../../relayer/adapters/memoryJournal.ts";
import { PrometheusMetrics } from "../../../relayer/adapters/metrics.ts";
import { silentLog } from "../../../relayer/adapters/log.ts";
import { systemClock } from "../../../relayer/adapters/clock.ts";
import { systemDice } from "../../../relayer/adapters/dice.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { Claims } from "../../../relayer/api/claims.ts";
import { Responses } from "../../../relayer/api/responses.ts";
import type { ApiServices, Readiness } from "../../../relayer/api/services.ts";
import type { SignedReceipt } from "../../../relayer/work/tabs.ts";
import type { TaskEvent } from "../../../relayer/work/taskLife.ts";
import type { TaskRequest } from "../../../relayer/work/taskPlan.ts";
import { domain, relayer } from "../../protocol/honest.ts";
import { embedder, model } from "../work/world.ts";

export type TaskScript = (request: TaskRequest) => AsyncGenerator<TaskEvent>;

export interface TestApi {
  readonly url: string;
  readonly journal: MemoryJournal;
  readonly claims: Claims;
  /** Requests that reached the task service. */
  readonly asked: TaskRequest[];
  readonly tabs: Map<number, SignedReceipt>;
  readiness: readonly Readiness[];
  script: TaskScript;
  /** Thrown by the task service instead of starting. */
  refusal: TidelaneError | null;
  close(): Promise<void>;
}

export const LANE = { nodes: 1, slots: 4, running: 1, waiting: 3, pressurePercent: 40 };
export const TASK = `0x${"7a".repeat(32)}` as const;
export const cost = { task: TASK, node: 7, fee: "11", charge: "12", receipt: `0x${"ce".repeat(32)}` } as const;
export const end = (outputTokens: number): TaskEvent => ({ type: "end", finishReason: "stop", inputTokens: 5, outputTokens, cost });
export const says = (...texts: string[]): TaskScript => async function* () {
  for (const text of texts) yield { type: "delta", text, tokens: 1 };
  yield end(texts.length);
};

export async function startApi(over: Partial<ApiServices> = {}): Promise<TestApi> {
  const asked: TaskRequest[] = [];
  const tabs = new Map<number, SignedReceipt>();
  const journal = new MemoryJournal();
  const known = [model, embedder];
  const claims = new Claims({ clock: over.clock ?? systemClock, log: silentLog, journal });
  const app = buildApp({
    tasks: {
      async start(request) {
        asked.push(request);
        if (api.refusal) throw api.refusal;
        const events = api.script(request);
        const first = await events.next();
        const embeds = request.kind === "embeddings";
        return { taskId: TASK, sessionId: `0x${"5e".repeat(32)}`, mode: "allowance", exposure: 123n, nodeId: 7, isWaiting: first.value?.type === "waiting", model: embeds ? embedder.name : model.name, events: again(first, events) };
      },
    },
    fleet: {
      models: () => known, modelIdOf: (name) => known.find((one) => one.name === name || one.aliases.includes(name))?.modelId ?? null,
      status: () => ({ nodes: [], attested: 0, tableRoot: null }),
    },
    lobby: { isLean: false, status: () => ({ waiting: 3, deferred: 1, refusedPercent: 0, expectedWaitMs: 1_500, overload: "calm", lanes: { decode: LANE, prep: LANE, prepNodeIds: [], switches: 0 } }) },
    claims, responses: new Responses({ clock: over.clock ?? systemClock, crypto: await createNativeCrypto(), dice: systemDice, log: silentLog, journal, claims }),
    sessions: {
      register: async () => ({ sessionId: TASK, mode: "allowance", apiKey: "tl_new" }),
      describe: async () => { throw new TidelaneError("This session is not registered here.", { code: "unknown_session" }); },
      issueKey: async (_id, request) => `tl_${request.issuedAt}`,
    },
    tabs: { last: (nodeId) => tabs.get(nodeId) ?? null }, journal,
    deployment: { domain, addresses: { Escrow: `0x${"e5".repeat(20)}` }, windowSeconds: 20, epochSeconds: 15, leverage: 5 }, payToken: `0x${"70".repeat(20)}`,
    identity: { relayerId: 1, epoch: 1, feeBps: 300, signer: relayer }, crypto: await createNativeCrypto(), clock: systemClock, dice: systemDice,
    log: silentLog, metrics: new PrometheusMetrics(false), readiness: async () => api.readiness, status: async () => ({ extra: 1 }), routers: [], staticDirectory: null, ...over,
  });
  const server = http.createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const api: TestApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, journal, claims, asked, tabs, readiness: [], script: says("Once", " upon"), refusal: null,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return api;
}

async function* again(first: IteratorResult<TaskEvent>, rest: AsyncGenerator<TaskEvent>): AsyncGenerator<TaskEvent> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

export const post = (api: TestApi, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> => fetch(`${api.url}${path}`, {
  method: "POST", headers: { "content-type": "application/json", authorization: "Bearer tl_test", ...headers },
  body: typeof body === "string" || body instanceof Uint8Array ? body as string : JSON.stringify(body),
});

export const chat = (over: object = {}): object => ({ model: "test", messages: [{ role: "user", content: "Tell me a story" }], ...over });
