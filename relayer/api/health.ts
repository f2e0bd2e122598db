// For whoever operates the process: is it alive, can it take work and what is missing, and its metrics.
import express, { type Router } from "express";
import { route } from "./http.ts";
import type { ApiServices } from "./services.ts";

export function healthRouter(services: ApiServices): Router {
  const router = express.Router();
  route(router, "/healthz", { GET: (_request, response) => void response.json({ ok: true }) });
  route(router, "/readyz", {
    GET: async (_request, response) => {
      const checks = await services.readiness();
      const isReady = checks.every((check) => check.ok);
      response.status(isReady ? 200 : 503).json({ ready: isReady, missing: checks.filter((check) => !check.ok).map((check) => check.name), checks });
    },
  });
  route(router, "/metrics", { GET: async (_request, response) => void response.type("text/plain; version=0.0.4").send(await services.metrics.text()) });
  return router;
}
