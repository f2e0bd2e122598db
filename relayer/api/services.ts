// What the HTTP API stands on. The app is built from these and nothing global, so tests run it over real HTTP with fakes.
import type { Router } from "express";
import type { Address } from "../../protocol/units.ts";
import type { Crypto, Clock, Dice, Identity, Log, Metrics } from "../ports/world.ts";
import type { Deployment } from "../ports/chain.ts";
import type { Journal } from "../ports/journal.ts";
import type { Fleet } from "../work/fleet.ts";
import type { Reception } from "../work/reception.ts";
import type { Claims } from "./claims.ts";
import type { Responses } from "./responses.ts";
import type { Sessions } from "../work/sessions.ts";
import type { Tabs } from "../work/tabs.ts";
import type { Tasks } from "../work/tasks.ts";

export interface Readiness {
  /** Such as `chain`, `journal`, `nodes`. */
  readonly name: string;
  readonly ok: boolean;
  /** One sentence: what is missing, where it is. */
  readonly detail: string;
}

export interface ApiServices {
  readonly tasks: Pick<Tasks, "start">;
  readonly fleet: Pick<Fleet, "models" | "modelIdOf" | "status">;
  readonly sessions: Pick<Sessions, "register" | "describe" | "issueKey">;
  readonly lobby: Pick<Reception, "status" | "isLean">;
  /** Answers that are fetched later. */
  readonly responses: Pick<Responses, "begin" | "send">;
  /** What this process works on, under somebody's key or at an address. */
  readonly claims: Pick<Claims, "hold">;
  readonly tabs: Pick<Tabs, "last">;
  readonly journal: Pick<Journal, "claimIdempotency" | "completeIdempotency">;
  readonly deployment: Deployment;
  /** What everything is priced in. */
  readonly payToken: Address;
  readonly identity: Identity;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Asked at each /readyz. */
  readiness(): Promise<readonly Readiness[]>;
  /** Further members of the status page's data. */
  status(): Promise<Readonly<Record<string, unknown>>>;
  /** Mounted under /tidelane/v1. */
  readonly routers: readonly Router[];
  /** Files served at /; null for none. */
  readonly staticDirectory: string | null;
}
