// Where a local network keeps its things, and whether this version can read them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TidelaneError } from "../../protocol/errors.ts";

/** Raised with every change that an older version could not read. */
export const LAYOUT_VERSION = 1;

export interface Layout {
  readonly root: string;
  readonly versionFile: string;
  /** Owners', hot, signing and session keys of this network; readable by its user only. */
  readonly keysFile: string;
  readonly chainStateFile: string;
  readonly deploymentDir: string;
  readonly addressesFile: string;
  readonly postgresDir: string;
  readonly relayerDir: string;
  readonly logsDir: string;
  readonly pidFile: string;
  /** The payer of the first question: its owner's key, its session, its API key. */
  readonly payerDir: string;
  readonly ownerKeyFile: string;
  readonly sessionFile: string;
  readonly allowanceFile: string;
  readonly apiKeyFile: string;
  nodeDir(name: string): string;
}

export function layoutAt(root: string): Layout {
  return {
    root,
    versionFile: join(root, "layout.json"),
    keysFile: join(root, "keys.json"),
    chainStateFile: join(root, "chain", "state.json"),
    deploymentDir: join(root, "deployment"),
    addressesFile: join(root, "addresses.json"),
    postgresDir: join(root, "postgres"),
    relayerDir: join(root, "relayer"),
    logsDir: join(root, "logs"),
    pidFile: join(root, "devnet.pid"),
    payerDir: join(root, "payer"),
    ownerKeyFile: join(root, "payer", "owner.key"),
    sessionFile: join(root, "payer", "session.json"),
    allowanceFile: join(root, "payer", "allowance.json"),
    apiKeyFile: join(root, "payer", "api-key"),
    nodeDir: (name) => join(root, "nodes", name),
  };
}

/**
 * Creates the folders of a new network, or checks that an old one is of this version.
 * @throws TidelaneError `data_directory_version` where it is not.
 */
export function openLayout(layout: Layout): void {
  if (existsSync(layout.versionFile)) {
    const found = versionIn(readFileSync(layout.versionFile, "utf8"));
    if (found !== LAYOUT_VERSION) {
      throw new TidelaneError(
        `${layout.root} was written by ${found === null ? "something else" : `layout version ${found}`}; this Tidelane reads version ${LAYOUT_VERSION}. ` +
        "Move the folder away to start a new local network, or use the Tidelane that wrote it.",
        { code: "data_directory_version", details: { found, expected: LAYOUT_VERSION } },
      );
    }
  } else {
    mkdirSync(layout.root, { recursive: true, mode: 0o755 });
    writeFileSync(layout.versionFile, `${JSON.stringify({ layout: LAYOUT_VERSION })}\n`);
  }
  for (const folder of [join(layout.root, "chain"), layout.deploymentDir, layout.relayerDir, layout.logsDir]) mkdirSync(folder, { recursive: true });
}

function versionIn(text: string): number | null {
  try {
    const { layout } = JSON.parse(text) as { layout?: unknown };
    return typeof layout === "number" ? layout : null;
  } catch {
    return null;
  }
}
