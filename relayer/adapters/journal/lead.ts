// The right to post: a Postgres advisory lock on a connection of its own, and a number that grows with every holder.
//
// The lock falls when the connection does, so a process that stood still may believe that it still holds it. The number
// is compared inside the transaction that stores a batch, so such a process cannot store one.
import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { Lead } from "../../ports/journal.ts";
import { journalErrors } from "./errors.ts";

const LEAD_LOCK = 0x71de_0002;
const FENCE = "lead_fence";

export class PostgresLead implements Lead {
  readonly fence: bigint;
  readonly #client: pg.Client;
  #isHeld = true;

  private constructor(client: pg.Client, fence: bigint) {
    this.#client = client;
    this.fence = fence;
    const lost = (): void => { this.#isHeld = false; };
    client.on("error", lost);
    client.on("end", lost);
  }

  /** @returns null, the connection closed, where another process holds it. */
  static async take(client: pg.Client): Promise<PostgresLead | null> {
    try {
      const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [LEAD_LOCK]);
      if (!rows[0]?.taken) {
        await client.end();
        return null;
      }
      const raised = await client.query<{ value: string }>(
        "insert into facts (name, value) values ($1, '1') on conflict (name) do update set value = (facts.value::numeric + 1)::text returning value", [FENCE],
      );
      return new PostgresLead(client, BigInt(raised.rows[0]!.value));
    } catch (error) {
      await client.end().catch(() => { /* It is broken anyway. */ });
      throw journalErrors.unavailable(error);
    }
  }

  /** @throws `lead_lost` where somebody took the lead since; holds the number until the transaction ends. */
  static async expect(db: NodePgDatabase, lead: Lead): Promise<void> {
    const { rows } = await db.execute<{ value: string }>(sql`select value from facts where name = ${FENCE} for update`);
    if (!lead.isHeld() || rows[0]?.value !== String(lead.fence)) throw journalErrors.leadLost(lead.fence);
  }

  isHeld(): boolean {
    return this.#isHeld;
  }

  async release(): Promise<void> {
    this.#isHeld = false;
    await this.#client.end().catch(() => { /* The lock is gone with the connection. */ });
  }
}
