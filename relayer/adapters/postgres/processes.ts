// What the operating system knows about a process.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // A process that ended but was not waited for yet answers signals; it holds nothing any more.
  return process.platform !== "linux" || !/^State:\s+Z/m.test(readProc(pid, "status"));
}

/** The command line, or empty where there is no such process. */
export function commandOf(pid: number): string {
  return process.platform === "linux" ? readProc(pid, "cmdline").replaceAll("\0", " ") : ps(pid, "command=");
}

/** The parent's id, or 0. */
export function parentOf(pid: number): number {
  const text = process.platform === "linux" ? /^PPid:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1] : ps(pid, "ppid=");
  return Number(text ?? 0) || 0;
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

function ps(pid: number, column: string): string {
  try {
    return execFileSync("ps", ["-o", column, "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
}
