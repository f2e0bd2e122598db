// `tidelane`: one command with a group for each kind of user. A group's code is loaded only when it is asked for.
import { Command, CommanderError } from "commander";
import { join } from "node:path";
import { ExitCode, EXIT_CODES_HELP, fail } from "./output.ts";

interface Group {
  readonly description: string;
  load(): Promise<Command>;
}

const groups: Readonly<Record<string, Group>> = {
  payer: { description: "deposit, open a session, pay from any OpenAI client, get the rest back", load: async () => (await import("./payer.ts")).payerCommand() },
  oracle: { description: "an example dApp: a contract that asks a model and receives the answer", load: async () => (await import("./oracle.ts")).oracleCommand() },
  audit: { description: "verify receipts against the chain, trusting no word of the relayer", load: async () => (await import("./audit.ts")).auditCommand() },
  node: { description: "register, stake and run a node, claim what it earned", load: async () => (await import("./node.ts")).nodeCommand() },
  relayer: { description: "register, bond and look after a relayer", load: async () => (await import("./relayer.ts")).relayerCommand() },
  gateway: { description: "requests from contracts: take back what nobody answered, pay out what they earned", load: async () => (await import("./gateway.ts")).gatewayCommand() },
  deploy: { description: "compare a live deployment with its parameters; what block explorers verify", load: async () => (await import("./deploy.ts")).deployCommand() },
};

async function main(argv: readonly string[]): Promise<void> {
  const wanted = argv.find((word) => !word.startsWith("-")) ?? "";
  if (wanted === "start") return start(argv.slice(argv.indexOf("start") + 1));
  const asked = wanted === "help" ? argv[argv.indexOf("help") + 1] ?? "" : wanted;
  const program = new Command("tidelane").description("A decentralised LLM inference network that flattens the peak.")
    .addHelpText("after", EXIT_CODES_HELP).showHelpAfterError("(see --help)").exitOverride();
  program.command("start").description("a whole local network, one real question through it, and then yours (npm start)").allowUnknownOption();
  for (const [name, group] of Object.entries(groups)) {
    program.addCommand(name === asked ? await group.load() : new Command(name).description(group.description));
  }
  for (const command of descendants(program)) command.exitOverride();
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
  }
}

/** `tidelane start` is `npm start`: the same script, with its own options. */
async function start(args: readonly string[]): Promise<void> {
  process.argv.splice(1, process.argv.length - 1, join(import.meta.dirname, "start.ts"), ...args);
  await import("./start.ts");
}

const descendants = (command: Command): Command[] => command.commands.flatMap((one) => [one, ...descendants(one)]);

// Whoever reads only the beginning (`| head`) has what was wanted.
for (const stream of [process.stdout, process.stderr]) stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? ExitCode.OK : ExitCode.FAILED));

try {
  await main(process.argv.slice(2));
} catch (error) {
  fail({ json: process.argv.includes("--json") }, error);
}
