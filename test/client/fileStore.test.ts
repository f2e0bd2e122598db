import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { expect } from "chai";
import { openFileStore, readOrNull } from "../../client/adapters/fileStore.ts";
import { codeOf } from "./world.ts";

const adapter = new URL("../../client/adapters/fileStore.ts", import.meta.url).href;

describe("a session's file", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tidelane-store-"));
    path = join(folder, "deep", "session.json");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("keeps the last text, for its user alone, and leaves nothing beside it", async () => {
    const store = await openFileStore(path);
    expect(await store.read()).to.equal(null);
    await store.write("one");
    await store.write("two");
    expect(await store.read()).to.equal("two");
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    await store.close();
    expect(readdirSync(join(folder, "deep"))).to.deep.equal(["session.json"]);
    expect(await readOrNull(path)).to.equal("two");
    expect(await codeOf(store.write("three"))).to.equal("store_closed");
  });

  it("is held by one process at a time", async () => {
    const store = await openFileStore(path);
    expect(await codeOf(openFileStore(path))).to.equal("store_in_use");
    await store.close();
    await (await openFileStore(path)).close();
  });

  it("is taken over from a process that was killed", async () => {
    const holder = spawn(process.execPath, ["-e", `import(${JSON.stringify(adapter)}).then((m) => m.openFileStore(${JSON.stringify(path)})).then(() => { console.log("held"); setInterval(() => {}, 1000); })`]);
    await once(holder.stdout, "data");
    expect(await codeOf(openFileStore(path))).to.equal("store_in_use");
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const store = await openFileStore(path);
    await store.write("mine");
    await store.close();
  });

  it("is taken over where the holder's pid belongs to another process by now", async function () {
    if (process.platform !== "linux") return this.skip();
    await (await openFileStore(path)).close();
    writeFileSync(`${path}.lock`, `${process.pid} 1`);
    await (await openFileStore(path)).close();
  });

  it("is given to exactly one of many that find a dead process's lock", async function () {
    this.timeout(20_000);
    await (await openFileStore(path)).close();
    const dead = Number(execFileSync(process.execPath, ["-e", "console.log(process.pid)"]).toString());
    for (let round = 0; round < 10; round++) {
      writeFileSync(`${path}.lock`, `${dead} 1`);
      const takers = await Promise.allSettled(Array.from({ length: 8 }, () => openFileStore(path)));
      const won = takers.filter((taker) => taker.status === "fulfilled");
      expect(won, `round ${round}`).to.have.length(1);
      await won[0]!.value.close();
    }
  });

  it("says what is wrong with a place that cannot be written", async () => {
    writeFileSync(join(folder, "file"), "");
    expect(await codeOf(openFileStore(join(folder, "file", "session.json")))).to.equal("store_unavailable");
  });
});
