// The description of the relayer's HTTP API, for people and for tools that make clients of it (OpenAPI 3.1).

type Json = Record<string, unknown>;

const HASH = { type: "string", pattern: "^0x[0-9a-f]{64}$" };
const AMOUNT = { type: "string", pattern: "^(0|[1-9][0-9]*)$", description: "In the pay token's smallest unit." };
const NULLABLE_WHOLE = { type: ["string", "null"], pattern: "^[0-9]+$" };
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const list = (items: Json): Json => ({ type: "array", items });
const object = (properties: Json, required: readonly string[] = Object.keys(properties)): Json => ({ type: "object", properties, required });

export function openApiDocument(): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "Tidelane relayer", version: "1",
      description: "OpenAI's endpoints under /v1, paid by an API key (Authorization: Bearer tl_...) or by a signed order (x-tidelane-payment). " +
        "Under /tidelane/v1 what payers, nodes and auditors need. Amounts are decimal strings in the pay token's smallest unit; hashes are 0x and lowercase hex.",
    },
    paths: { ...openAiPaths, ...tidelanePaths, ...auditPaths, ...healthPaths },
    components: { schemas, securitySchemes: { apiKey: { type: "http", scheme: "bearer" }, order: { type: "apiKey", in: "header", name: "x-tidelane-payment" } } },
  };
}

const json = (description: string, schema: Json): Json => ({ description, content: { "application/json": { schema } } });
const problem: Json = { description: "What is wrong, and what to do (RFC 9457).", content: { "application/problem+json": { schema: ref("Problem") } } };
const openAiError: Json = json("OpenAI's error object.", ref("OpenAiError"));
const parameter = (name: string, schema: Json, description: string): Json => ({ name, in: "path", required: true, schema, description });

const get = (summary: string, answer: Json, parameters: readonly Json[] = []): Json =>
  ({ get: { summary, ...(parameters.length > 0 ? { parameters } : {}), responses: { 200: answer, default: problem } } });
const post = (summary: string, body: Json, answer: Json, parameters: readonly Json[] = []): Json => ({
  post: { summary, ...(parameters.length > 0 ? { parameters } : {}), requestBody: { required: true, content: { "application/json": { schema: body } } }, responses: { 201: answer, default: problem } },
});
const WAIT = "Seconds that the client will wait for a node; 0: only as long as its first token can still come in time. Default by service_tier: " +
  "60, priority 20, flex 600 (deferred until the fleet has room). While a stream waits it is open and carries comments: `: position 3, expected start in 12 s`.";
const later: Json = { location: { schema: { type: "string" }, description: "Where the answer will be." }, "retry-after": { schema: { type: "integer" }, description: "Seconds." } };
const retry: Json = { "retry-after": { schema: { type: "integer" }, description: "Seconds, with a random part." }, "retry-after-ms": { schema: { type: "integer" } } };
const paid = (summary: string, streams: boolean): Json => ({
  post: {
    summary, security: [{ apiKey: [] }, { order: [] }],
    parameters: [
      { name: "Idempotency-Key", in: "header", schema: { type: "string" }, description: "The same key and body give the same answer, over waits too." },
      { name: "x-tidelane-wait", in: "header", schema: { type: "number", minimum: 0, maximum: 3_600 }, description: WAIT },
    ],
    requestBody: { required: true, content: { "application/json": { schema: { type: "object", description: "As OpenAI's." } } } },
    responses: {
      200: {
        description: "As OpenAI's, with `tidelane` (task, node, fee, charge, receipt) beside `usage`.",
        content: { "application/json": { schema: { type: "object" } }, ...(streams ? { "text/event-stream": { schema: { type: "string" } } } : {}) },
      },
      202: { ...json("It has waited for 50 s without a stream: the answer is fetched from `Location` when it is done.", ref("Later")), headers: later },
      429: { ...json("No node can start it in time, or the wait would be longer than the request allows. `details` tell why, how long it would be, and what would help.", ref("OpenAiError")), headers: retry },
      503: { ...json("No node is there, or the relayer is overloaded, shutting down or cut off.", ref("OpenAiError")), headers: retry },
      default: openAiError,
    },
  },
});

const openAiPaths: Json = {
  "/v1/chat/completions": paid("A chat's next message, streamed or whole.", true),
  "/v1/completions": paid("A text's continuation, streamed or whole.", true),
  "/v1/embeddings": paid("Vectors of texts.", false),
  "/v1/models": { get: { summary: "Models with context size and price.", responses: { 200: json("A list.", { type: "object" }), default: openAiError } } },
  "/v1/models/{model}": {
    get: { summary: "One model, by name or alias.", parameters: [parameter("model", { type: "string" }, "Name or alias.")], responses: { 200: json("A model.", { type: "object" }), default: openAiError } },
  },
};

const session = parameter("sessionId", HASH, "The authorization's struct hash.");
const tidelanePaths: Json = {
  "/tidelane/v1/info": get("Who this relayer is: chain, contracts, id, fee.", json("The relayer.", { type: "object" })),
  "/tidelane/v1/status": get("The fleet, the lobby and the tidal lanes, the models, the newest batches: what the status page shows.", json("The status.", { type: "object" })),
  "/tidelane/v1/responses/{id}": {
    get: {
      summary: "An answer that took longer than a plain request may stay silent: where it stands, or the answer itself. Kept for a day after it was done.",
      parameters: [parameter("id", { type: "string", pattern: "^resp_[0-9a-f]{64}$" }, "As the 202 told it; whoever knows it may read the answer.")],
      responses: {
        200: json("The answer, as the first request would have given it.", { type: "object" }), 202: { ...json("It waits or runs.", ref("Later")), headers: later },
        410: problem, default: problem,
      },
    },
  },
  "/tidelane/v1/sessions": post(
    "Registers a payer's signed authorization; opens the session on chain where it is not open.",
    object({ authorization: { type: "object", description: "SpendingAuthorization." }, signature: { type: "string", description: "EIP-712, by the payer." } }),
    json("The session; `apiKey` where this call opened an ALLOWANCE session.", object({ sessionId: HASH, mode: { enum: ["voucher", "allowance"] }, apiKey: { type: "string" } }, ["sessionId", "mode"])),
  ),
  "/tidelane/v1/sessions/{sessionId}": get("What a session has been charged and may still be charged.", json("The session.", ref("Session")), [session]),
  "/tidelane/v1/sessions/{sessionId}/keys": post(
    "A further API key of an ALLOWANCE session, asked for by its session key.",
    object({ issuedAt: { type: "integer", description: "Unix seconds." }, signature: { type: "string" } }), json("The key; it is shown once.", object({ apiKey: { type: "string" } })), [session],
  ),
  "/tidelane/v1/nodes/{nodeId}/tab": get("A node's last receipt here: what it goes on from after it lost its memory.", json("The receipt, or null.", { type: ["object", "null"] }), [parameter("nodeId", { type: "integer" }, "The node's number.")]),
};

const batchId = parameter("batchId", { type: "integer", minimum: 1 }, "The batch's number.");
const auditPaths: Json = {
  "/tidelane/v1/receipts/{taskId}": get("Everything that was signed about a task, and where it stands in its batch.", json("The receipt.", ref("TaskView")), [parameter("taskId", HASH, "The order's struct hash.")]),
  "/tidelane/v1/batches/{batchId}": get("A batch: header, debits, credits, transaction.", json("The batch.", ref("Batch")), [batchId]),
  "/tidelane/v1/batches/{batchId}/data": get("The exact bytes whose keccak256 is the header's dataHash.", json("Records, decisions and failed attempts.", { type: "object" }), [batchId]),
  "/tidelane/v1/records/{hash}": get("The exact bytes of a hash: a batch's data, a node table that decisions name, or, as plain text under its commitment, an answer of over 4 KB to a contract.", json("The bytes.", { type: "object" }), [parameter("hash", HASH, "keccak256 of a batch's data, or a table's root.")]),
  "/tidelane/v1/openapi.json": get("This document.", json("OpenAPI 3.1.", { type: "object" })),
};

const healthPaths: Json = {
  "/healthz": { get: { summary: "Whether the process is alive.", responses: { 200: json("Alive.", object({ ok: { const: true } })) } } },
  "/readyz": { get: { summary: "Whether it can take work, and what is missing.", responses: { 200: json("Ready.", ref("Readiness")), 503: json("Not ready.", ref("Readiness")) } } },
  "/metrics": { get: { summary: "Metrics for Prometheus.", responses: { 200: { description: "Text.", content: { "text/plain": { schema: { type: "string" } } } } } } },
};

const proof = object({ index: { type: "integer" }, siblings: list(object({ hash: HASH, sum: AMOUNT })) });
const header: Json = { type: "object", description: "BatchHeader: what the relayer signed and the chain stores the hash of." };
const batchState = { enum: ["built", "sent", "confirmed", "abandoned"] };
const schemas: Json = {
  Problem: object({ type: { type: "string" }, title: { type: "string" }, status: { type: "integer" }, detail: { type: "string" }, code: { type: "string" }, details: { type: "object" } }),
  Later: object({
    id: { type: "string" }, object: { const: "tidelane.response" }, status: { enum: ["waiting", "running"] }, url: { type: "string" }, position: { type: "integer" },
    expected_start_in_ms: { type: "integer" },
  }, ["id", "object", "status", "url"]),
  OpenAiError: object({ error: object({ message: { type: "string" }, type: { type: "string" }, param: { type: ["string", "null"] }, code: { type: "string" } }) }),
  Session: object({
    sessionId: HASH, payer: { type: "string" }, sessionKey: { type: "string" }, relayerId: { type: "integer" }, mode: { enum: ["voucher", "allowance"] },
    state: { enum: ["unopened", "open", "closing", "closed"] }, lock: AMOUNT, maxTotal: AMOUNT, maxPerTask: AMOUNT, charged: AMOUNT, settled: AMOUNT, reserved: AMOUNT, cap: AMOUNT,
    exposure: AMOUNT, validAfter: { type: "integer" }, validUntil: { type: "integer" }, readAt: { type: "integer" },
  }),
  TaskView: object({
    format: { const: "tidelane-receipt/1" }, domain: object({ chainId: { type: "integer" }, verifyingContract: { type: "string" } }), taskId: HASH, state: { enum: ["open", "finished", "failed"] },
    attempts: list(object({ record: { type: "object", description: "Receipt, assignment, order, voucher, authorization and their signatures." }, proofs: { oneOf: [object({ session: proof, tab: proof }), { type: "null" }] } })),
    unsigned: list(object({ assignmentHash: HASH, nodeId: { type: "integer" }, cause: { type: "string" } })),
    batch: { oneOf: [object({ header, signature: { type: "string" }, state: batchState, transactionHash: HASH, blockNumber: NULLABLE_WHOLE, gasUsed: NULLABLE_WHOLE }), { type: "null" }] },
  }),
  Batch: object({
    header, headerHash: HASH, signature: { type: "string" }, state: batchState, debits: list(object({ id: HASH, change: AMOUNT })), credits: list(object({ id: HASH, change: AMOUNT })),
    transactionHash: HASH, blockNumber: NULLABLE_WHOLE, gasUsed: NULLABLE_WHOLE,
  }),
  Readiness: object({ ready: { type: "boolean" }, missing: list({ type: "string" }), checks: list(object({ name: { type: "string" }, ok: { type: "boolean" }, detail: { type: "string" } })) }),
};
