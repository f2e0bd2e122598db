-- A receipt counts once, whichever process took it: two leaves of one nodeSeq, or one receipt in two tasks, would be slashable.
-- What a session's open tasks may still cost is summed wherever one is opened. A task that was given up for lost ends as failed,
-- and may still be ended by a process that comes back with its receipt.

alter table attempts add column node_seq numeric(20);
update attempts set node_seq = (record -> 'receipt' ->> 'nodeSeq')::numeric where record is not null;
create unique index attempts_by_node_seq on attempts (node_id, node_seq) where node_seq is not null;

create index tasks_open on tasks (session_id) where state = 'open';

alter table tasks add column expired boolean not null default false;
