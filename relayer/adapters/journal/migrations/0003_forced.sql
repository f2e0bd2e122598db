-- A task whose node was paid by a force stands in no batch any more: its charge in both places would cost the relayer the double.

alter table tasks add column forced boolean not null default false;
