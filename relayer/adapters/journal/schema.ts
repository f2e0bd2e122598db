// The journal's tables as queries see them; what they are is said by the numbered migrations beside this file.
import { bigint, boolean, integer, jsonb, numeric, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { Hash, Hex } from "../../../protocol/units.ts";
import type { BatchState, TaskState } from "../../ports/journal.ts";

type Json = Record<string, unknown>;

export const sessions = pgTable("sessions", {
  sessionId: text("session_id").$type<Hash>().primaryKey(),
  authorization: jsonb("authorization").$type<Json>().notNull(),
  nextNonce: numeric("next_nonce").notNull(),
  charged: numeric("charged").notNull(),
  cap: numeric("cap").notNull(),
  voucher: jsonb("voucher").$type<Json>(),
  voucherSignature: text("voucher_signature").$type<Hex>(),
});

export const apiKeys = pgTable("api_keys", {
  keyHash: text("key_hash").$type<Hash>().primaryKey(),
  sessionId: text("session_id").$type<Hash>().notNull(),
  expiresAtMs: bigint("expires_at_ms", { mode: "number" }).notNull(),
});

export const batches = pgTable("batches", {
  headerHash: text("header_hash").$type<Hash>().primaryKey(),
  batchId: numeric("batch_id").notNull(),
  state: text("state").$type<BatchState>().notNull(),
  header: jsonb("header").$type<Json>().notNull(),
  signature: text("signature").$type<Hex>().notNull(),
  debits: jsonb("debits").$type<Json[]>().notNull(),
  credits: jsonb("credits").$type<Json[]>().notNull(),
  transactionHash: text("transaction_hash").$type<Hash>().notNull(),
  transactionRaw: text("transaction_raw").$type<Hex>().notNull(),
  transactionNonce: bigint("transaction_nonce", { mode: "number" }).notNull(),
  replaced: jsonb("replaced").$type<Hash[]>().notNull(),
  blockNumber: bigint("block_number", { mode: "bigint" }),
  gasUsed: bigint("gas_used", { mode: "bigint" }),
});

export const tasks = pgTable("tasks", {
  taskId: text("task_id").$type<Hash>().primaryKey(),
  sessionId: text("session_id").$type<Hash>().notNull(),
  state: text("state").$type<TaskState>().notNull(),
  kind: text("kind").$type<"chat" | "completion" | "embeddings">().notNull(),
  model: text("model").notNull(),
  order: jsonb("task_order").$type<Json>().notNull(),
  openedAtMs: bigint("opened_at_ms", { mode: "number" }).notNull(),
  oldestAck: bigint("oldest_ack", { mode: "number" }),
  charge: numeric("charge").notNull().default("0"),
  batchHash: text("batch_hash").$type<Hash>(),
  expired: boolean("expired").notNull().default(false),
  forced: boolean("forced").notNull().default(false),
});

export const attempts = pgTable("attempts", {
  taskId: text("task_id").$type<Hash>().notNull(),
  position: integer("position").notNull(),
  assignmentHash: text("assignment_hash").$type<Hash>().notNull(),
  nodeId: bigint("node_id", { mode: "number" }).notNull(),
  decision: text("decision").notNull(),
  assignment: jsonb("assignment").$type<Json>().notNull(),
  cause: text("cause"),
  record: jsonb("record").$type<Json>(),
  receiptHash: text("receipt_hash").$type<Hash>(),
  nodeSeq: numeric("node_seq"),
  charge: numeric("charge"),
  ack: jsonb("ack").$type<Json>(),
}, (table) => [primaryKey({ columns: [table.taskId, table.position] })]);

export const tabs = pgTable("tabs", {
  nodeId: bigint("node_id", { mode: "number" }).primaryKey(),
  nodeSeq: numeric("node_seq").notNull(),
  record: jsonb("record").$type<Json>().notNull(),
});

export const idempotency = pgTable("idempotency", {
  scope: text("scope").$type<Hash>().notNull(),
  key: text("key").notNull(),
  requestHash: text("request_hash").$type<Hash>().notNull(),
  response: text("response"),
  claimedAtMs: bigint("claimed_at_ms", { mode: "number" }).notNull(),
}, (table) => [primaryKey({ columns: [table.scope, table.key] })]);

export const facts = pgTable("facts", {
  name: text("name").primaryKey(),
  value: text("value").notNull(),
});
