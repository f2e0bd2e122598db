// Tidelane's own endpoints: who this relayer is, sessions and keys, what a node goes on from, the status page's data.
import express, { type Router } from "express";
import { z } from "zod";
import { InvalidValueError } from "../../protocol/errors.ts";
import { hexOfLength, parse, structFromJson, structToJson } from "../../protocol/json.ts";
import { signatureFromJson } from "../../protocol/records.ts";
import { infoToJson } from "../../protocol/service.ts";
import type { Hex } from "../../protocol/units.ts";
import { modelEntry } from "./answers.ts";
import { jsonBodyOf, rawJson } from "./body.ts";
import { route } from "./http.ts";
import type { ApiServices } from "./services.ts";

/** An ERC-1271 owner's signature has no fixed length. */
const SIGNATURE_CHARS_MAX = 2 + 2 * 4_096;

export function tidelaneRouter(services: ApiServices): Router {
  const router = express.Router();
  route(router, "/info", { GET: (_request, response) => void response.json(infoOf(services)) });
  route(router, "/sessions", {
    POST: [...rawJson, async (request, response) => {
      const { authorization, signature } = parse(z.object({ authorization: z.unknown(), signature: z.string().max(SIGNATURE_CHARS_MAX).regex(/^0x([0-9a-fA-F]{2})+$/, "bytes in hex") }), jsonBodyOf(request).json, "body");
      const registered = await services.sessions.register(structFromJson("SpendingAuthorization", authorization, "body.authorization"), signature.toLowerCase() as Hex);
      const { apiKey, ...session } = registered;
      response.status(201).json({ ...session, ...(apiKey === null ? {} : { apiKey }) });
    }],
  });
  route(router, "/sessions/:sessionId", {
    GET: async (request, response) => void response.json(await services.sessions.describe(hexOfLength(request.params.sessionId, 32, "sessionId"))),
  });
  route(router, "/sessions/:sessionId/keys", {
    POST: [...rawJson, async (request, response) => {
      const sessionId = hexOfLength(request.params.sessionId, 32, "sessionId");
      const body = parse(z.object({ issuedAt: z.number("unix seconds").int("unix seconds").min(0), signature: z.unknown() }), jsonBodyOf(request).json, "body");
      const apiKey = await services.sessions.issueKey(sessionId, { issuedAt: body.issuedAt, signature: signatureFromJson(body.signature, "body.signature") });
      response.status(201).json({ apiKey });
    }],
  });
  route(router, "/responses/:id", { GET: (request, response) => services.responses.send(request, response, String(request.params.id)) });
  route(router, "/nodes/:nodeId/tab", {
    GET: (request, response) => {
      const nodeId = Number(request.params.nodeId);
      if (!Number.isInteger(nodeId) || nodeId < 1 || nodeId >= 2 ** 32) throw new InvalidValueError("nodeId", "a node's number");
      const last = services.tabs.last(nodeId);
      response.json(last && { receipt: structToJson("TaskReceipt", last.receipt), receiptSignature: last.signature });
    },
  });
  route(router, "/status", {
    GET: async (_request, response) => {
      const created = Math.floor(services.clock.nowMs() / 1_000);
      response.json({ relayer: infoOf(services), fleet: services.fleet.status(), lobby: services.lobby.status(), models: services.fleet.models().map((model) => modelEntry(model, created)), ...await services.status() });
    },
  });
  for (const more of services.routers) router.use(more);
  return router;
}

const infoOf = ({ deployment, identity, payToken }: ApiServices): Record<string, unknown> => infoToJson({
  domain: deployment.domain, addresses: deployment.addresses, relayerId: identity.relayerId, epoch: identity.epoch, feeBps: identity.feeBps,
  windowSeconds: deployment.windowSeconds, payToken,
});
