// A relayer over real HTTP that counts, signs and can misbehave in chosen ways, with a chain twin beside it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { bytesToHex, stringToHex } from "viem/utils";
import { chargeDown, feeOf } from "../../protocol/fees.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { modelIdOf, outputSalt, saltedCommit } from "../../protocol/ids.ts";
import { PAYMENT_HEADER, paymentFromHeader, ResponseHeader, type Payment } from "../../protocol/payment.ts";
import { Role, Status } from "../../protocol/constants.ts";
import { TIDE_ONE } from "../../protocol/tide.ts";
import { signStruct } from "../../protocol/signing.ts";
import { structFromJson } from "../../protocol/json.ts";
import { infoToJson, modelToJson } from "../../protocol/service.ts";
import { taskViewToJson, type TaskView } from "../../protocol/taskView.ts";
import { ZERO_HASH, type Hash } from "../../protocol/units.ts";
import { domain, node, relayer } from "../protocol/honest.ts";
import type { Assignment, SpendingAuthorization, TaskReceipt } from "../../protocol/generated/structs.ts";
import type { PayerChain, SessionFact } from "../../client/ports.ts";

export const MODEL = "tidelane/test@q8_0";
export const ALIAS = "test-model";
const PRICES = { priceInPerMTok: 1_000_000n, priceOutPerMTok: 3_000_000n };
const FEE_BPS = 300;

/** What the relayer does with the next paid requests; reset it to `honest` to go on. */
export interface Behaviour {
  /** Bends the receipt after the honest fee was worked out and before the node signs. */
  bend?: (receipt: TaskReceipt) => TaskReceipt;
  /** Answers with this status and error code instead. */
  refuse?: { status: number; code: string };
  /** Sends half of a stream, then cuts the connection. */
  cut?: boolean;
  /** The text that is delivered instead of the one that was committed to. */
  deliver?: string;
  /** Says that it does not know tasks. */
  forgetful?: boolean;
  /** Holds answers back until it resolves. */
  hold?: Promise<void>;
}

export class FakeRelayer implements PayerChain {
  readonly domain: Domain;
  behaviour: Behaviour = {};
  readonly payments: Payment[] = [];
  readonly headers: IncomingMessage["headers"][] = [];
  readonly views = new Map<Hash, TaskView>();
  readonly sessions = new Map<Hash, { authorization: SpendingAuthorization; charged: bigint }>();
  /** Added to what the chain shows as charged. */
  chainExtra = 0n;
  /** What this relayer counts beyond what it charged. */
  countExtra = 0n;
  registerAs: Hash | null = null;
  tokensOut = 6;
  #reserved = 0n;
  #cap = 0n;
  #seq = 1n;
  readonly #server: Server;
  url = "";

  constructor(ofDeployment: Domain = domain) {
    this.domain = ofDeployment;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        if (!response.headersSent) json(response, 500, { error: { message: String(error), code: "test_server_failed" } });
        else response.destroy();
      });
    });
  }

  async start(port = 0): Promise<this> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  // ---- the chain twin

  async session(sessionId: Hash): Promise<SessionFact | null> {
    const found = this.sessions.get(sessionId);
    return found ? { payer: found.authorization.payer, lock: found.authorization.lock, charged: found.charged + this.chainExtra, reserved: 0n, closingSinceSeconds: 0 } : null;
  }
  async nodeKey(nodeId: number, epoch: number) {
    return nodeId === 7 && epoch === 1 ? node.address : null;
  }
  async relayerKey(relayerId: number, epoch: number) {
    return relayerId === 1 && epoch === 1 ? relayer.address : null;
  }

  // ---- HTTP

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url!.split("?")[0]!;
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    this.headers.push(request.headers);
    if (path === "/tidelane/v1/info") {
      return json(response, 200, infoToJson({ domain: this.domain, addresses: {}, relayerId: 1, epoch: 1, feeBps: FEE_BPS, windowSeconds: 20, payToken: `0x${"0a".repeat(20)}` }));
    }
    if (path === "/v1/models") return json(response, 200, { object: "list", data: [listed(MODEL, ALIAS, "generate"), listed("tidelane/embed@f32", "embed", "embed")] });
    const task = /^\/tidelane\/v1\/receipts\/(0x[0-9a-f]{64})$/.exec(path)?.[1] as Hash | undefined;
    if (task) {
      const view = this.behaviour.forgetful ? undefined : this.views.get(task);
      return view ? json(response, 200, taskViewToJson(view)) : json(response, 404, { title: "unknown task", code: "task_unknown" });
    }
    if (path === "/tidelane/v1/sessions") return this.#register(body, response);
    const described = this.sessions.get(/^\/tidelane\/v1\/sessions\/(0x[0-9a-f]{64})$/.exec(path)?.[1] as Hash);
    if (described) return json(response, 200, { charged: String(described.charged), settled: "0", state: "open" });
    if (/^\/tidelane\/v1\/sessions\/0x[0-9a-f]{64}\/keys$/.test(path)) return json(response, 200, { apiKey: `tl_${(JSON.parse(body.toString()) as { signature: string }).signature.slice(2, 12)}` });
    if (path === "/v1/chat/completions") return this.#chat(request, body, response);
    json(response, 404, { error: { message: "no such route", code: "route_not_found" } });
  }

  #register(body: Buffer, response: ServerResponse): void {
    const authorization = structFromJson("SpendingAuthorization", (JSON.parse(body.toString()) as { authorization: unknown }).authorization);
    const sessionId = hashStruct("SpendingAuthorization", authorization);
    if (!this.registerAs) this.sessions.set(sessionId, { authorization, charged: 0n });
    json(response, 200, { sessionId: this.registerAs ?? sessionId, mode: authorization.mode === 0 ? "voucher" : "allowance", apiKey: authorization.mode === 0 ? null : "tl_first" });
  }

  async #chat(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const payment = paymentFromHeader(String(request.headers[PAYMENT_HEADER]));
    this.payments.push(payment);
    const session = this.sessions.get(payment.order.sessionId)!;
    if (payment.order.promptCommit !== saltedCommit(payment.promptSalt, bytesToHex(body))) return json(response, 400, { error: { message: "commit", code: "invalid_payment" } });
    const { refuse } = this.behaviour;
    if (refuse) return json(response, refuse.status, { error: { message: "refused", code: refuse.code } });
    const needed = session.charged + this.countExtra + this.#reserved + payment.order.maxFee;
    // Orders overtake each other on the way: the greatest cap of the session counts.
    if (payment.voucher.cumulativeCap > this.#cap) this.#cap = payment.voucher.cumulativeCap;
    if (this.#cap < needed) {
      return json(response, 402, { error: { message: `needs a cap of ${needed}`, code: "voucher_cap_too_low", details: { needed: String(needed), cap: String(payment.voucher.cumulativeCap) } } });
    }
    this.#reserved += payment.order.maxFee;
    try {
      await this.behaviour.hold;
      await this.#work(payment, session, (JSON.parse(body.toString()) as { stream?: boolean }).stream === true, response);
    } finally {
      this.#reserved -= payment.order.maxFee;
    }
  }

  async #work(payment: Payment, session: { authorization: SpendingAuthorization; charged: bigint }, isStream: boolean, response: ServerResponse): Promise<void> {
    const text = "The tide rises.";
    const view = await this.#signed(payment, session.authorization, text);
    this.views.set(view.taskId, view);
    const { receipt, assignment } = view.attempts[0]!.record;
    session.charged += chargeDown(receipt.body.fee, assignment.feeBps);
    const sent = this.behaviour.deliver ?? text;
    const headers = { [ResponseHeader.task]: view.taskId, [ResponseHeader.node]: "7", "access-control-allow-origin": "*" };
    if (!isStream) return json(response, 200, { id: "x", object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: sent, refusal: null }, finish_reason: "stop" }] }, headers);
    response.writeHead(200, { "content-type": "text/event-stream", ...headers });
    const chunk = (delta: object, finish: string | null = null): string => `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
    response.write(chunk({ role: "assistant", content: "" }));
    response.write(chunk({ content: sent.slice(0, 5) }));
    if (this.behaviour.cut) return void setTimeout(() => response.destroy(), 20);
    response.end(`: a comment\n\n${chunk({ content: sent.slice(5) })}${chunk({}, "stop")}data: [DONE]\n\n`);
  }

  async #signed(payment: Payment, authorization: SpendingAuthorization, text: string): Promise<TaskView> {
    const taskId = hashStruct("TaskOrder", payment.order);
    const assignment: Assignment = {
      taskId, subtask: 0, subtasks: 1, attempt: 0, relayerId: 1, relayerEpoch: 1, nodeId: 7, keyEpoch: 1, role: Role.GENERATE,
      voucherHash: hashStruct("Voucher", payment.voucher), attestationHash: ZERO_HASH, decisionHash: ZERO_HASH, contextHead: ZERO_HASH, ...PRICES, feeBps: FEE_BPS,
      shareCap: payment.order.maxFee, inputCommit: payment.order.promptCommit, issuedAt: 1_900_000_000, deadline: 1_900_000_010,
    };
    const assignmentHash = hashStruct("Assignment", assignment);
    const [inputTokens, outputTokens] = [20, this.tokensOut];
    const honest: TaskReceipt = {
      body: {
        assignmentHash, sessionId: payment.order.sessionId, taskId, subtask: 0, attempt: 0, role: Role.GENERATE, prevReceiptHash: ZERO_HASH,
        outputCommit: saltedCommit(outputSalt(payment.promptSalt, assignmentHash), stringToHex(text)), inputTokens, outputTokens,
        fee: feeOf(inputTokens, outputTokens, assignment).fee, startedAt: 1_900_000_001, finishedAt: 1_900_000_002, status: Status.COMPLETE,
      },
      nodeId: 7, relayerId: 1, keyEpoch: 1, nodeSeq: this.#seq++, nodeCumulative: 1_000_000n,
    };
    const receipt = this.behaviour.bend?.(honest) ?? honest;
    const record = {
      authorization, order: payment.order, voucher: payment.voucher, voucherSignature: payment.voucherSignature,
      assignment, assignmentSignature: await signStruct(relayer, this.domain, "Assignment", assignment), receipt, receiptSignature: await signStruct(node, this.domain, "TaskReceipt", receipt),
    };
    return { domain: this.domain, taskId, state: "finished", attempts: [{ record, proofs: null }], unsigned: [], batch: null };
  }
}

/** The whole charge of an honest task with so many output tokens: 20 tokens in. */
export const honestCharge = (outputTokens: number): bigint =>
  chargeDown((20n * PRICES.priceInPerMTok + BigInt(outputTokens) * PRICES.priceOutPerMTok) / 1_000_000n, FEE_BPS);

const listed = (name: string, alias: string, kind: "generate" | "embed"): object => modelToJson({
  name, modelId: modelIdOf(name), aliases: [alias], kind, contextTokens: 2_048, dimensions: 0, base: PRICES, tideMultiplier: TIDE_ONE, nodes: 1, tokenizer: "", capabilities: [],
}, 0);

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
