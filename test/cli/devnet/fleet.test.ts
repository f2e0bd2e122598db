// What `npm start` puts behind its nodes: the bundled models, or an engine over HTTP, as the node agent's own configuration takes it.
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { expect } from "chai";
import { embeddedEngine, engineBehind, LOCAL_FLEET, nodeConfig, type EngineChoice } from "../../../cli/devnet/fleet.ts";
import { parseNodeFile, type EngineConfig } from "../../../node/config.ts";

const enginesOf = (choice: EngineChoice, env = {}): EngineConfig[] =>
  LOCAL_FLEET.flatMap((node) => parseNodeFile(nodeConfig(node, choice), "/somewhere", env).models.map((model) => model.engine));

describe("the local fleet", () => {
  let server: Server;
  let url: string;
  let listed: unknown = { data: [{ id: "org/some model" }, { id: "other" }] };
  before(async () => {
    server = createServer((_request, response) => void response.end(JSON.stringify(listed))).listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`;
  });
  after(() => void server.close());

  it("is paced only in front of the bundled model, and embeds with it either way", async () => {
    expect(enginesOf(embeddedEngine()).map((engine) => engine.kind)).to.deep.equal(["llama.cpp", "llama.cpp", "llama.cpp", "embeddings", "llama.cpp"]);
    expect(LOCAL_FLEET.map((node) => nodeConfig(node, embeddedEngine()).pace)).to.deep.equal([null, { tokensPerSecond: 150 }, { tokensPerSecond: 60 }, { tokensPerSecond: 60 }]);
    const remote = await engineBehind(url, { model: "m" });
    expect(enginesOf(remote).map((engine) => engine.kind)).to.deep.equal(["openai-compatible", "openai-compatible", "openai-compatible", "embeddings", "openai-compatible"]);
    expect(LOCAL_FLEET.map((node) => nodeConfig(node, remote).pace)).to.deep.equal([null, null, null, null]);
  });

  it("takes the first model that the engine lists, and says how much context it has where it is told", async () => {
    const choice = await engineBehind(`${url}/`);
    expect(choice.model).to.equal("org/some model");
    expect(enginesOf(choice)[0]).to.include({ baseUrl: url, model: "org/some model", contextTokens: 0 });
    expect(enginesOf(await engineBehind(url, { contextTokens: 8_192 }))[0]).to.include({ contextTokens: 8_192 });
    expect(enginesOf(await engineBehind(url, { keyVariable: "SOME_KEY" }), { SOME_KEY: "secret" })[0]).to.include({ apiKey: "secret" });
  });

  it("says what is wrong with an engine that lists nothing, or is not there", async () => {
    const codeOf = (asked: Promise<unknown>): Promise<unknown> => asked.then(() => null, (error: { code: string }) => error.code);
    listed = { data: [] };
    expect(await codeOf(engineBehind(url))).to.equal("engine_unreachable");
    expect(await codeOf(engineBehind("http://127.0.0.1:1/v1"))).to.equal("engine_unreachable");
  });
});
