// What every request passes through: an id, CORS, a measurement; and routes that answer 405 and 404 as typed errors.
import type { RequestHandler, Router } from "express";
import { TidelaneError } from "../../protocol/errors.ts";
import type { Reception } from "../work/reception.ts";
import { ResponseHeader } from "../../protocol/payment.ts";
import type { Clock, Dice, Metrics } from "../ports/world.ts";

type Method = "GET" | "POST";

/** Registers a path with its methods; any other method is answered with 405 and what is allowed. */
export function route(router: Router, path: string, methods: Partial<Record<Method, RequestHandler | RequestHandler[]>>): void {
  const allowed = [...Object.keys(methods), ...(methods.GET ? ["HEAD"] : []), "OPTIONS"];
  if (methods.GET) router.get(path, methods.GET);
  if (methods.POST) router.post(path, methods.POST);
  router.all(path, (request, response) => {
    response.set("allow", allowed.join(", "));
    throw new TidelaneError(`${request.method} is not possible here; use ${Object.keys(methods).join(" or ")}.`, { code: "method_not_allowed", details: { method: request.method } });
  });
}

export const notFound: RequestHandler = (request) => {
  throw new TidelaneError(`There is nothing at ${request.method} ${request.path.slice(0, 200)}. The OpenAI API is under /v1, Tidelane's own under /tidelane/v1.`, { code: "route_not_found" });
};

/** Each answer carries an id that stands in the log, and the process counts it by route and status. */
export const measured = (dice: Dice, clock: Clock, metrics: Metrics): RequestHandler => (request, response, next) => {
  const startMs = clock.monotonicMs();
  response.set("x-request-id", `req_${dice.bytes32().slice(2, 34)}`);
  response.once("close", () => {
    // The route's pattern, not the address: addresses are without number.
    const labels = { route: (request.route as { path?: string } | undefined)?.path ?? "none", status: String(response.statusCode) };
    metrics.count("http_requests_total", labels);
    metrics.observe("http_ms", clock.monotonicMs() - startMs, { route: labels.route });
  });
  next();
};

/** From the first step of overload on connections are not kept: a client that comes again may find a process with more room. */
export const lean = (lobby: Pick<Reception, "isLean">): RequestHandler => (_request, response, next) => {
  if (lobby.isLean) response.set("connection", "close");
  next();
};

const EXPOSED = ["x-request-id", "retry-after", "location", "retry-after-ms", "x-should-retry", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "idempotent-replayed", ...Object.values(ResponseHeader)].join(", ");
const REQUEST_HEADERS_CHARS_MAX = 1_000;

/** Any web page may ask: what it needs to pay is a key of its own, never a cookie. */
export const cors: RequestHandler = (request, response, next) => {
  response.set({ "access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED });
  if (request.method !== "OPTIONS") return next();
  const wanted = request.headers["access-control-request-headers"] ?? "authorization, content-type, idempotency-key, x-tidelane-payment, x-tidelane-wait";
  response.set({
    "access-control-allow-methods": "GET, HEAD, POST, OPTIONS", "access-control-max-age": "600", vary: "access-control-request-headers",
    "access-control-allow-headers": /^[\w\-, ]*$/.test(wanted) ? wanted.slice(0, REQUEST_HEADERS_CHARS_MAX) : "authorization, content-type",
  });
  response.status(204).end();
};
