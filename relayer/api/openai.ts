// OpenAI's API: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models.
import express, { type Request, type RequestHandler, type Response, type Router } from "express";
import { PAYMENT_HEADER, paymentFromHeader, ResponseHeader, type Payment } from "../../protocol/payment.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { chatAnswer, chatDelta, chatRole, completionAnswer, completionDelta, embeddingsAnswer, frameOf, lastChunks, modelEntry } from "./answers.ts";
import { jsonBodyOf, rawJson, type JsonBody } from "./body.ts";
import { openAiError, tellable } from "./errors.ts";
import { route } from "./http.ts";
import { claimKey, KEPT_BYTES_LEAN, KEPT_BYTES_MAX, KEYED_WAIT_MS_MAX, type Claim } from "./idempotency.ts";
import { parseChat, parseCompletion, parseEmbeddings, type ParsedRequest } from "./requests.ts";
import { sendLater, SILENT_MS_MAX, type LaterAnswer } from "./responses.ts";
import { EventStream } from "./sse.ts";
import { waitingComment, waitMsMaxOf } from "./wait.ts";
import type { Clock } from "../ports/world.ts";
import type { Millis } from "../../protocol/units.ts";
import type { Waiting } from "../work/place.ts";
import type { ApiServices } from "./services.ts";
import type { OutputEvent } from "../work/attempt.ts";
import type { TaskEnd } from "../work/taskLife.ts";
import type { RunningTask } from "../work/tasks.ts";

/** Every model was made when the relayer first saw it, as far as clients care. */
const bootSecondsOf = (services: ApiServices): number => Math.floor(services.clock.nowMs() / 1_000);

export function openAiRouter(services: ApiServices): Router {
  const router = express.Router();
  const created = bootSecondsOf(services);
  const asked = (parse: (body: JsonBody) => ParsedRequest): RequestHandler[] => [...rawJson, (request, response) => serve(services, request, response, parse)];
  route(router, "/chat/completions", { POST: asked(parseChat) });
  route(router, "/completions", { POST: asked(parseCompletion) });
  route(router, "/embeddings", { POST: asked(parseEmbeddings) });
  route(router, "/models", { GET: (_request, response) => void response.json({ object: "list", data: services.fleet.models().map((model) => modelEntry(model, created)) }) });
  route(router, "/models/*name", {
    GET: (request, response) => {
      // Canonical names hold a slash, which clients may send escaped or plain.
      const name = (request.params.name as unknown as string[]).join("/");
      const modelId = services.fleet.modelIdOf(name);
      const model = services.fleet.models().find((one) => one.modelId === modelId);
      if (!model) throw new TidelaneError(`The model ${JSON.stringify(name.slice(0, 200))} is not served here.`, { code: "model_not_found", details: { parameter: "model" } });
      response.json(modelEntry(model, created));
    },
  });
  return router;
}

async function serve(services: ApiServices, request: Request, response: Response, parse: (body: JsonBody) => ParsedRequest): Promise<void> {
  const sinceMs = services.clock.monotonicMs();
  const body = jsonBodyOf(request);
  const parsed = parse(body);
  const wished = waitMsMaxOf(request);
  const waitMsMax = wished !== null && request.headers["idempotency-key"] !== undefined ? Math.min(wished, KEYED_WAIT_MS_MAX) : wished;
  const asker = askerOf(request);
  const claim = await claimKey(services, request, response, asker);
  if (!claim) return;
  const client = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) client.abort();
  });
  let isKept = false;
  try {
    const task = await services.tasks.start({ ...parsed, body: body.bytes, text: body.text, ...asker, waitMsMax, signal: client.signal });
    response.set({
      [ResponseHeader.task]: task.taskId, [ResponseHeader.session]: task.sessionId, [ResponseHeader.mode]: task.mode, [ResponseHeader.exposure]: String(task.exposure),
      // Nobody has it yet where it waits.
      ...(task.isWaiting ? {} : { [ResponseHeader.node]: String(task.nodeId) }),
    });
    isKept = parsed.isStreamed ? await stream(services, response, task, parsed, claim) : await whole(services, response, task, parsed, claim, sinceMs);
  } finally {
    if (!isKept) await claim.free();
  }
}

/** Sent at once, or where it waits for long, fetched later. @returns true where the claim was kept. */
async function whole(services: ApiServices, response: Response, task: RunningTask, parsed: ParsedRequest, claim: Claim, sinceMs: Millis): Promise<boolean> {
  const requestId = String(response.getHeader("x-request-id"));
  let waiting: Waiting | null = null;
  let later: LaterAnswer | null = null;
  const finishing = (async (): Promise<{ body: string; isWhole: boolean }> => {
    const { outputs, end } = await outputsOf(task, (now) => {
      waiting = now;
      later?.tell(now);
    });
    const body = JSON.stringify(answerOf(parsed, task, outputs, end, Math.floor(services.clock.nowMs() / 1_000)));
    // Kept before it is sent: a client that loses the connection right here can ask again.
    const isWhole = end.finishReason !== "cancelled";
    if (isWhole) await claim.keep(response, body, false);
    return { body, isWhole };
  })();
  const isDone = !task.isWaiting || await doneWithin(finishing, SILENT_MS_MAX - (services.clock.monotonicMs() - sinceMs), services.clock);
  later = isDone || response.destroyed ? null : await services.responses.begin(waiting);
  if (later) sendLater(response, later.id, waiting);
  try {
    const { body, isWhole } = await finishing;
    if (later) await later.done(body);
    else response.type("application/json").send(body);
    return isWhole;
  } catch (error) {
    if (!later) throw error;
    later.failed(error, requestId);
    return false;
  }
}

async function outputsOf(task: RunningTask, onWaiting: (waiting: Waiting | null) => void): Promise<{ outputs: OutputEvent[]; end: TaskEnd }> {
  const outputs: OutputEvent[] = [];
  let end: TaskEnd | null = null;
  for await (const event of task.events) {
    onWaiting(event.type === "waiting" ? event : null);
    if (event.type === "end") end = event;
    else if (event.type !== "waiting") outputs.push(event);
  }
  return { outputs, end: end! };
}

/** @returns whether it ended in that time, well or not */
async function doneWithin(work: Promise<unknown>, ms: Millis, clock: Clock): Promise<boolean> {
  const done = new AbortController();
  const ended = work.then(() => true, () => true);
  const isDone = await Promise.race([ended, clock.sleep(Math.max(0, ms), done.signal).then(() => false)]);
  done.abort();
  return isDone;
}

function answerOf(parsed: ParsedRequest, task: RunningTask, outputs: readonly OutputEvent[], end: TaskEnd, created: number): object {
  if (parsed.kind === "embeddings") return embeddingsAnswer(task.model, outputs, end, parsed.encoding);
  const frame = frameOf(task, parsed.kind, created);
  return parsed.kind === "chat" ? chatAnswer(frame, outputs, end) : completionAnswer(frame, outputs, end);
}

/** Reads the task to its end whether or not the client still does: the end is what pays the node. @returns as `whole` */
async function stream(services: ApiServices, response: Response, task: RunningTask, parsed: ParsedRequest, claim: Claim): Promise<boolean> {
  const kind = parsed.kind === "chat" ? "chat" : "completion";
  const frame = frameOf(task, kind, Math.floor(services.clock.nowMs() / 1_000));
  const events = new EventStream(response, services.clock, services.lobby.isLean ? KEPT_BYTES_LEAN : KEPT_BYTES_MAX);
  let isWhole = false;
  try {
    let hasBegun = false;
    for await (const event of task.events) {
      if (event.type === "waiting") {
        events.comment(waitingComment(event));
        continue;
      }
      if (kind === "chat" && !hasBegun) await events.data(chatRole(frame, parsed.includeUsage));
      hasBegun = true;
      if (event.type !== "end") await events.data(kind === "chat" ? chatDelta(frame, event, parsed.includeUsage) : completionDelta(frame, event, parsed.includeUsage));
      else for (const last of lastChunks(frame, kind, event, parsed.includeUsage)) await events.data(last);
      isWhole = event.type === "end" && event.finishReason !== "cancelled";
    }
    // Kept before its end is seen: whoever asks again right then is answered.
    if (isWhole) await claim.keep(response, events.writtenWithEnd, true);
    await events.data("[DONE]");
    return isWhole;
  } catch (error) {
    // The status has left; a client knows a stream without [DONE] for broken, and this says why.
    const told = tellable(error, services.log, String(response.getHeader("x-request-id")));
    services.log.warn({ task: task.taskId, code: told.code, reason: told.details.reason ?? null }, "a stream ended with an error");
    await events.data(openAiError(told));
    return false;
  } finally {
    // Ends the task too where writing failed in the middle of it.
    await task.events.return?.();
    events.end();
  }
}

/** @throws InvalidValueError for a malformed payment header */
function askerOf(request: Request): { payment: Payment | null; apiKey: string | null } {
  const header = request.headers[PAYMENT_HEADER];
  const bearer = /^Bearer\s+(\S{1,512})$/i.exec(request.headers.authorization ?? "")?.[1] ?? null;
  return { payment: typeof header === "string" && header !== "" ? paymentFromHeader(header) : null, apiKey: bearer };
}
