// Runs a Tidelane script under a Node that can, with dependencies that fit the lockfile.
// usage: node bootstrap.mjs <script> [arguments]
// Plain JavaScript for any Node >= 18, because it is what runs before anything is installed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const toolchain = join(root, ".toolchain");
const modules = join(root, "node_modules");
const nodeVersion = "24.21.0"; // the Node that is installed where the running one is too old
const nodeOldest = [22, 18]; // the first that strips types without a flag
const lockMsMax = 15 * 60_000;
/** The lockfile holds the local chain for linux-x64 only, because not every registry has the others; they come beside it. */
const anvilVersion = "1.7.1";
const anvilPackages = { "linux-arm64": "anvil-linux-arm64", "darwin-x64": "anvil-darwin-amd64", "darwin-arm64": "anvil-darwin-arm64" };

const say = (text) => process.stderr.write(`tidelane: ${text}\n`);

class Refusal extends Error {}

function refuseForeignPlatforms() {
  const supported = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];
  const here = `${process.platform}-${process.arch}`;
  if (!supported.includes(here)) {
    throw new Refusal(`${here} is not supported: use Linux or macOS on x64 or arm64, or WSL2 on Windows.`);
  }
  if (process.platform === "linux" && process.report && !process.report.getReport().header.glibcVersionRuntime) {
    throw new Refusal("this Linux uses musl; the embedded database and engine need glibc. Use a Debian, Ubuntu or Fedora image.");
  }
}

const isNewEnough = (version) => {
  const [major, minor] = version.replace(/^v/, "").split(".").map(Number);
  return major > nodeOldest[0] || (major === nodeOldest[0] && minor >= nodeOldest[1]);
};

/** The npm-cli.js that came with the running Node, or that of the npm on the PATH. */
function npmCli() {
  const beside = dirname(process.execPath);
  const found = [
    process.env.npm_execpath,
    join(beside, "../lib/node_modules/npm/bin/npm-cli.js"),
    ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "npm")),
  ].find((path) => path && existsSync(path) && /npm-cli\.[cm]?js$/.test(realpathSync(path)));
  if (!found) throw new Refusal("npm was not found. Install the npm that belongs to your Node, then run this again.");
  return realpathSync(found);
}

/** Runs npm with its own output shown; says every ten seconds that it is still at work. */
function npm(node, what, args) {
  return new Promise((done, fail) => {
    const since = Date.now();
    say(`${what} ...`);
    const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ""}` };
    const child = spawn(node, [npmCli(), ...args, "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root, env, stdio: ["ignore", "inherit", "inherit"],
    });
    const tick = setInterval(() => say(`${what}: ${Math.round((Date.now() - since) / 1000)} s`), 10_000);
    child.on("error", fail);
    child.on("close", (code) => {
      clearInterval(tick);
      if (code === 0) return done(say(`${what}: done in ${Math.round((Date.now() - since) / 1000)} s`));
      fail(new Refusal(`${what} failed (npm exit code ${code}). If the network or the npm registry could not be reached, ` +
        "check the connection and run the same command again; what was installed before is untouched."));
    });
  });
}

/** @returns the path of a Node that is new enough, installed from npm where the running one is not. */
async function fittingNode() {
  if (isNewEnough(process.version)) return process.execPath;
  const direct = process.platform === "linux" ? `node-linux-${process.arch}` : "node";
  const binary = join(toolchain, "node_modules", direct, "bin", "node");
  const works = () => existsSync(binary) && spawnSync(binary, ["--version"]).stdout?.toString().trim() === `v${nodeVersion}`;
  if (works()) return binary;
  return locked(async () => {
    if (works()) return binary;
    mkdirSync(toolchain, { recursive: true });
    await npm(process.execPath, `installing Node ${nodeVersion} beside the project (this one is ${process.version})`,
      ["install", "--prefix", toolchain, "--no-save", "--no-package-lock", `${direct}@${nodeVersion}`]);
    if (!works()) throw new Refusal(`Node ${nodeVersion} was installed but does not run here. Install Node >= ${nodeOldest.join(".")} yourself and try again.`);
    return binary;
  });
}

/** What node_modules must fit: the major of Node (native packages) and the lockfile. */
function wantedStamp(node) {
  const version = node === process.execPath ? process.version : `v${nodeVersion}`;
  const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json"))).digest("hex");
  return `${version.split(".")[0]} ${process.platform}-${process.arch} ${lock}\n`;
}

async function ensureModules(node) {
  const stamp = join(modules, ".tidelane-stamp");
  const fits = () => existsSync(stamp) && readFileSync(stamp, "utf8") === wantedStamp(node);
  if (fits()) return;
  await locked(async () => {
    if (fits()) return;
    await npm(node, "installing dependencies", ["ci", "--include=dev", "--include=optional", "--ignore-scripts=false"]);
    writeFileSync(stamp, wantedStamp(node));
  });
}

async function ensureAnvil(node) {
  const name = anvilPackages[`${process.platform}-${process.arch}`];
  const isThere = () => existsSync(join(toolchain, "node_modules", "@foundry-rs", name));
  if (!name || isThere()) return;
  await locked(async () => {
    if (isThere()) return;
    await npm(node, "installing the local chain", ["install", "--prefix", toolchain, "--no-save", "--no-package-lock", `@foundry-rs/${name}@${anvilVersion}`]);
  });
}

/** One installer at a time: a second command waits, and takes over a lock whose owner is gone. */
async function locked(work) {
  const lock = join(toolchain, "lock");
  mkdirSync(toolchain, { recursive: true });
  for (let told = false; ; ) {
    try {
      mkdirSync(lock);
      writeFileSync(join(lock, "pid"), String(process.pid));
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (lockIsStale(lock)) {
        rmSync(lock, { recursive: true, force: true });
        continue;
      }
      if (!told) say("another command is installing; waiting for it");
      told = true;
      await new Promise((wake) => setTimeout(wake, 500));
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function lockIsStale(lock) {
  try {
    if (Date.now() - statSync(lock).mtimeMs > lockMsMax) return true;
    const pid = Number(readFileSync(join(lock, "pid"), "utf8"));
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error.code === "ESRCH") return true;
    // No pid written yet: its owner is between two system calls, or died there.
    return error.code === "ENOENT" && existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 5_000;
  }
}

/** Runs the script in this process where it can, otherwise under the Node that was installed. */
async function run(node, script, args) {
  const path = resolve(root, script);
  process.env.PATH = `${dirname(node)}${delimiter}${process.env.PATH ?? ""}`;
  if (node === process.execPath) {
    process.argv.splice(1, process.argv.length - 1, path, ...args);
    await import(pathToFileURL(path).href);
    return;
  }
  const child = spawn(node, [path, ...args], { stdio: "inherit" });
  // A terminal sends Ctrl-C to both; only the child decides when to end.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => signal !== "SIGINT" || !process.stdin.isTTY ? child.kill(signal) : undefined);
  }
  child.on("exit", (code, signal) => {
    if (signal) process.exit(128 + 15);
    process.exit(code ?? 1);
  });
}

try {
  const [script, ...args] = process.argv.slice(2);
  if (!script) throw new Refusal("usage: node bootstrap.mjs <script> [arguments]");
  refuseForeignPlatforms();
  const node = await fittingNode();
  await ensureModules(node);
  await ensureAnvil(node);
  await run(node, script, args);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  say(error.message);
  process.exit(1);
}
