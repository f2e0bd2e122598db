-- The journal's first form. Hashes are 0x and lowercase hex; amounts are numeric, because uint96 does not fit bigint.

create table sessions (
  session_id text primary key,
  "authorization" jsonb not null,
  next_nonce numeric(78) not null,
  charged numeric(29) not null,
  cap numeric(29) not null,
  voucher jsonb,
  voucher_signature text
);

create table api_keys (
  key_hash text primary key,
  session_id text not null references sessions,
  expires_at_ms bigint not null
);

create table batches (
  header_hash text primary key,
  batch_id numeric(20) not null,
  state text not null check (state in ('built', 'sent', 'confirmed', 'abandoned')),
  header jsonb not null,
  signature text not null,
  debits jsonb not null,
  credits jsonb not null,
  transaction_hash text not null,
  transaction_raw text not null,
  transaction_nonce bigint not null,
  replaced jsonb not null,
  block_number bigint,
  gas_used bigint
);

-- One batch of an id at a time: an abandoned one makes room for its rebuild.
create unique index batches_live on batches (batch_id) where state <> 'abandoned';
create index batches_by_state on batches (state, batch_id);

create table tasks (
  task_id text primary key,
  session_id text not null references sessions,
  state text not null check (state in ('open', 'finished', 'failed')),
  kind text not null,
  model text not null,
  task_order jsonb not null,
  opened_at_ms bigint not null,
  -- Unix seconds; null where the task ended without any receipt.
  oldest_ack bigint,
  charge numeric(29) not null default 0,
  batch_hash text references batches
);

create index tasks_unsettled on tasks (session_id, oldest_ack) where batch_hash is null and state <> 'open' and oldest_ack is not null;
create index tasks_unpaid on tasks (opened_at_ms) where batch_hash is null and (state = 'open' or oldest_ack is null);
create index tasks_by_batch on tasks (batch_hash) where batch_hash is not null;

create table attempts (
  task_id text not null references tasks,
  position int not null,
  assignment_hash text not null,
  node_id bigint not null,
  decision text not null,
  assignment jsonb not null,
  cause text,
  -- The five below are null for an attempt without a receipt.
  record jsonb,
  receipt_hash text unique,
  charge numeric(29),
  ack jsonb,
  primary key (task_id, position)
);

create table tabs (
  node_id bigint primary key,
  node_seq numeric(20) not null,
  record jsonb not null
);

create table idempotency (
  scope text not null,
  key text not null,
  request_hash text not null,
  response text,
  claimed_at_ms bigint not null,
  primary key (scope, key)
);

create table facts (
  name text primary key,
  value text not null
);
