// The child process that holds the model: llama.cpp aborts the whole process on some errors, so nothing else lives here.
import { serveParent } from "../childProtocol.ts";
import { LlamaRunner, type LlamaSettings } from "./runner.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as LlamaSettings;

serveParent(async () => {
  const runner = await LlamaRunner.load(settings);
  return { model: runner.model, run: (request, signal) => runner.run(request, signal) };
});
