// Lets one process at a time use a folder: two agents on one record would sign against each other. A socket in the folder is
// the lock, because the operating system lets go of it however its process ends.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { unlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";

export interface FolderLock {
  release(): Promise<void>;
}

/** The operating system's limit on a socket's path is 104 bytes on macOS and 108 on Linux. */
const PATH_BYTES_MAX = 100;

/** @throws TidelaneError `folder_in_use` */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = socketPath(folder);
  if (await answers(path)) throw inUse(folder);
  await unlink(path).catch(() => undefined);
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(path);
    await once(server, "listening");
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "EADDRINUSE" ? inUse(folder) : error;
  }
  server.unref();
  return { release: () => new Promise((done) => server.close(() => done())) };
}

function socketPath(folder: string): string {
  const inside = join(resolve(folder), "lock");
  if (Buffer.byteLength(inside) <= PATH_BYTES_MAX) return inside;
  return join(tmpdir(), `tidelane-${createHash("sha256").update(inside).digest("hex").slice(0, 16)}.lock`);
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const inUse = (folder: string): TidelaneError =>
  new TidelaneError(`${folder} is used by another agent that runs. Stop it, or give this one a folder of its own (TIDELANE_DATA_DIR).`, { code: "folder_in_use", details: { folder } });
