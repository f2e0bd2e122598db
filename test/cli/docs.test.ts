// Every `tidelane` command that the documentation shows is one that the program takes: its words, its options, what they need.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { expect } from "chai";
import { DEVNET_PORT } from "../../cli/devnet/devnetFile.ts";

const root = join(import.meta.dirname, "../..");
const pages = ["README.md", ...globSync("docs/operations/*.md", { cwd: root })].sort();

/** Commands of a page's code blocks: one a line, `\` carries on, what follows `#` is for people. */
function commandsOf(page: string): string[][] {
  const blocks = [...readFileSync(join(root, page), "utf8").matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].filter((match) => ["", "sh"].includes(match[1]!)).map((match) => match[2]!);
  const lines = blocks.flatMap((block) => block.replace(/\\\n/g, " ").split("\n"));
  return lines.flatMap((line) => {
    const found = /^(?:\w+=\S+\s+)*(?:npx )?tidelane (.*)$/.exec(line.replace(/\s+#.*$/, "").replace(/\s{3,}.*$/, "").trim());
    return found ? [found[1]!.match(/"[^"]*"|\S+/g) ?? []] : [];
  });
}

/** The groups of cli/main.ts, which itself runs when it is imported: each file exports a function that makes one. */
const groups: Command[] = [];
for (const file of globSync("cli/*.ts", { cwd: root }).filter((path) => !/(main|start)\.ts$/.test(path))) {
  const found = await import(join(root, file)) as Record<string, () => Command>;
  groups.push(...Object.keys(found).filter((name) => name.endsWith("Command")).map((name) => found[name]!()));
}

/** The program with every action taken out: it reads its words, and does nothing. */
const program = ((): Command => {
  const idle = (command: Command): Command => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    command.commands.forEach(idle);
    return command;
  };
  const all = new Command("tidelane");
  for (const group of groups) all.addCommand(group);
  all.command("start").allowUnknownOption();
  return idle(all);
})();

const refusalOf = async (words: readonly string[]): Promise<string | null> => {
  try {
    await program.parseAsync(words, { from: "user" });
    return null;
  } catch (error) {
    return error instanceof CommanderError && error.exitCode === 0 ? null : (error as Error).message;
  }
};

describe("the documentation's commands", () => {
  for (const page of pages) {
    const commands = commandsOf(page);
    if (commands.length === 0) continue;
    it(`of ${page}: ${commands.length} are taken`, async () => {
      for (const words of commands) expect(await refusalOf(words), `tidelane ${words.join(" ")}`).to.equal(null);
    });
  }

  it("show the payer's proxy where it listens, which is free beside a local network", () => {
    const proxy = program.commands.find((one) => one.name() === "payer")!.commands.find((one) => one.name() === "proxy")!;
    const port = Number(proxy.getOptionValue("port"));
    expect(port).to.not.be.oneOf([DEVNET_PORT, DEVNET_PORT + 1]);
    const shown = pages.flatMap((page) => [...readFileSync(join(root, page), "utf8").matchAll(/http:\/\/127\.0\.0\.1:(\d+)\/v1\b/g)].map((match) => Number(match[1])));
    expect(shown.filter((one) => one !== 11_434)).to.deep.equal([port, port]);
  });

  it("are told from what is none", async () => {
    expect(commandsOf("docs/operations/leave.md").length).to.be.greaterThan(20);
    expect(await refusalOf(["node", "conquer"])).to.match(/unknown command|too many arguments/);
    expect(await refusalOf(["payer", "close", "--frobnicate"])).to.match(/unknown option/);
    expect(await refusalOf(["node", "force", "--node", "7"])).to.match(/--relayer-id/);
  });
});
