-- What each process of the relayer gave its payers lately, for its other processes. Unlogged: what a crash loses is told again.

create unlogged table tallies (
  process text primary key,
  sequence bigint not null,
  told_at_ms bigint not null,
  tally text not null
) with (fillfactor = 50);
