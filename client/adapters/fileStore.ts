// A payer's state in one file that only its user can read: replaced as a whole, synced to disk, held by one process at a time.
import { link, mkdir, open, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";
import type { PayerStore } from "../ports.ts";

const TRIES_MAX = 100;
const TURN_MS_MAX = 5_000;

/**
 * Opens the file's place; the file itself appears with the first write.
 * @throws `store_in_use` while another living process holds it, `store_unavailable` where the folder cannot be written.
 */
export async function openFileStore(path: string): Promise<PayerStore> {
  const lock = `${path}.lock`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await take(lock, path);
  } catch (error) {
    if (error instanceof TidelaneError) throw error;
    throw new TidelaneError(`The session file ${path} cannot be opened. Check that its folder is yours and writable.`, { code: "store_unavailable", details: { path }, cause: error });
  }
  let isOpen = true;
  return {
    read: () => readOrNull(path),
    async write(text) {
      if (!isOpen) throw new TidelaneError("The session file was closed.", { code: "store_closed" });
      await replace(path, text);
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await rm(lock, { force: true });
    },
  };
}

/** For looking only: takes no lock, and may see a state that is about to be replaced. */
export const readOrNull = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
};

/** Written beside, synced, renamed over; then the folder is synced, or a power cut could undo the rename. */
async function replace(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The lock names its holder: pid and start time, so that a reused pid is not mistaken for it. */
async function take(lock: string, path: string): Promise<void> {
  const mine = `${lock}.${randomBytes(6).toString("hex")}`;
  await writeFile(mine, holder(process.pid), { mode: 0o600 });
  try {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (await appears(() => link(mine, lock))) return;
      const held = await readOrNull(lock);
      if (held === null) continue;
      if (isAlive(held)) {
        throw new TidelaneError(`The session file ${path} is in use by process ${held.split(" ")[0]!}. Use that one, or another session.`, { code: "store_in_use", retryable: true, details: { path } });
      }
      if (!await removeDead(lock, held)) await new Promise((wake) => setTimeout(wake, 10));
    }
  } finally {
    await rm(mine, { force: true });
  }
  throw new TidelaneError(`The lock ${lock} cannot be taken. Delete it if no other process uses the session.`, { code: "store_in_use", retryable: true, details: { path } });
}

/** One process at a time may remove a dead one's lock, or a second could remove the lock of the first. @returns false where another is at it. */
async function removeDead(lock: string, held: string): Promise<boolean> {
  const turn = `${lock}.turn`;
  if (!await appears(() => mkdir(turn))) {
    // Held for an instant only; one that stays belongs to a process that was killed in that instant.
    const since = await stat(turn).then((found) => found.mtimeMs, () => Date.now());
    if (Date.now() - since > TURN_MS_MAX) await rmdir(turn).catch(() => undefined);
    return false;
  }
  try {
    if (await readOrNull(lock) === held) await rm(lock, { force: true });
  } finally {
    await rmdir(turn);
  }
  return true;
}

/** @returns false where the name is taken already. */
async function appears(make: () => Promise<void>): Promise<boolean> {
  try {
    await make();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

const holder = (pid: number): string => `${pid} ${startOf(pid) ?? ""}`;

function isAlive(held: string): boolean {
  const [pid = "", started = ""] = held.split(" ");
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const now = startOf(Number(pid));
  return now === null || started === "" || now === started;
}

/** When the process started, in the kernel's own count; null where /proc does not tell. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
