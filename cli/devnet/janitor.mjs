// Ends the processes of a local network whose owner died without ending them. Told pids on standard input (`+pid`, `-pid`);
// when that closes without `done`, each is asked to end, and after five seconds made to.
import { createInterface } from "node:readline";

const pids = new Set();
let isDone = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  if (line === "done") isDone = true;
  else if (line.startsWith("+")) pids.add(Number(line.slice(1)));
  else pids.delete(Number(line.slice(1)));
});
lines.on("close", () => {
  if (isDone || pids.size === 0) return process.exit(0);
  // SIGINT: anvil saves its state on it, Postgres shuts down fast, Tidelane's processes drain.
  for (const pid of pids) send(pid, "SIGINT");
  setTimeout(() => {
    for (const pid of pids) send(pid, "SIGKILL");
    process.exit(0);
  }, 5_000);
});

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    pids.delete(pid); // it is gone already
  }
}
