// As whom Postgres runs: it refuses root, so root hands it to another user, together with the right to reach its files.
import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { TidelaneError } from "../../../protocol/errors.ts";

const run = promisify(execFile);

export interface RunAs {
  /** Owner of the data, or null where the process runs as we do. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
  /** Options for spawn. */
  readonly spawn: { readonly uid?: number; readonly gid?: number };
  /** The command line under which a binary is started. */
  command(binary: string, args: readonly string[]): [string, string[]];
}

/**
 * @param paths what the server must reach.
 * @throws TidelaneError `postgres_failed` where root has no way to start it.
 */
export async function runAs(paths: readonly string[]): Promise<RunAs> {
  const direct = (binary: string, args: readonly string[]): [string, string[]] => [binary, [...args]];
  if (process.getuid?.() !== 0) return { ids: null, spawn: {}, command: direct };
  const ids = await otherUser();
  if (paths.every(isOpenToAll)) return { ids, spawn: ids, command: direct };
  // Root's own folders (/root, a fresh `mktemp -d`) are closed to every other user. One capability, to pass file permissions,
  // travels with the process instead; the secure bit lets access(2) see it, by which Postgres looks for its own binaries.
  const prefix = [
    `--reuid=${ids.uid}`, `--regid=${ids.gid}`, "--clear-groups", "--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
  ];
  if (await run("setpriv", [...prefix, "true"]).then(() => true, () => false)) return { ids, spawn: {}, command: (binary, args) => ["setpriv", [...prefix, binary, ...args]] };
  throw new TidelaneError(
    `Postgres does not run as root, and other users cannot reach ${paths.find((path) => !isOpenToAll(path))}. ` +
    "Run Tidelane as an ordinary user, move it out of a private folder, or set DATABASE_URL.", { code: "postgres_failed" },
  );
}

/** `postgres` where there is one or one can be made; else `nobody`, which is everywhere. */
async function otherUser(): Promise<{ uid: number; gid: number }> {
  const known = await idsOf("postgres");
  if (known) return known;
  await run("useradd", ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "postgres"]).catch(() => { /* Then nobody does. */ });
  const ids = await idsOf("postgres") ?? await idsOf("nobody");
  if (ids) return ids;
  throw new TidelaneError("Postgres does not run as root, and there is no other user. Create one named postgres, or set DATABASE_URL.", { code: "postgres_failed" });
}

async function idsOf(name: string): Promise<{ uid: number; gid: number } | null> {
  try {
    const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => Number((await run("id", [flag, name])).stdout)));
    return { uid: uid!, gid: gid! };
  } catch {
    return null;
  }
}

/** Whether every folder on the way may be entered by everybody. */
function isOpenToAll(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) break;
  }
  return !statSync(path).isDirectory() || (statSync(path).mode & 0o001) === 1;
}
