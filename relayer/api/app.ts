// The relayer's HTTP API, put together: OpenAI's under /v1, Tidelane's under /tidelane/v1, health beside them, the page at /.
import express, { type Express } from "express";
import { errorHandler } from "./errors.ts";
import { healthRouter } from "./health.ts";
import { cors, lean, measured, notFound } from "./http.ts";
import { openAiRouter } from "./openai.ts";
import { tidelaneRouter } from "./tidelane.ts";
import type { ApiServices } from "./services.ts";

export function buildApp(services: ApiServices): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", "simple");
  app.use(measured(services.dice, services.clock, services.metrics), lean(services.lobby), cors);
  app.use(healthRouter(services));
  app.use("/v1", openAiRouter(services));
  app.use("/tidelane/v1", tidelaneRouter(services));
  if (services.staticDirectory !== null) {
    app.use(express.static(services.staticDirectory, { dotfiles: "ignore", setHeaders: (response) => void response.setHeaders(new Map(Object.entries(PAGE_HEADERS))) }));
  }
  app.use(notFound, errorHandler(services.log));
  return app;
}

/** The page loads nothing from elsewhere and runs no inline script, whatever a node calls itself. */
const PAGE_HEADERS = {
  "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
};
