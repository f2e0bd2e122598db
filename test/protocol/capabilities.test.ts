import { expect } from "chai";
import { capabilitiesNeeded } from "../../protocol/capabilities.ts";

describe("capabilities", () => {
  it("asks nothing of a node for a plain request", () => {
    expect(capabilitiesNeeded({
      model: "m", messages: [{ role: "user", content: "hi" }], max_tokens: 5, temperature: 0.2, top_p: 1, stop: ["a"], seed: 1,
      stream: true, stream_options: { include_usage: true }, user: "u", tidelane: {},
    })).to.deep.equal([]);
  });

  it("ignores defaults that client libraries send", () => {
    expect(capabilitiesNeeded({ n: 1, frequency_penalty: 0, presence_penalty: 0, logprobs: false, tools: [], logit_bias: {}, response_format: { type: "text" }, tool_choice: "auto", echo: null })).to.deep.equal([]);
  });

  it("names each ability once, sorted, whatever it is called", () => {
    expect(capabilitiesNeeded({ tools: [{ type: "function" }], tool_choice: "required", top_logprobs: 3, logprobs: true, response_format: { type: "json_object" }, n: 2 }))
      .to.deep.equal(["logprobs", "n", "response_format", "tools"]);
  });

  it("looks into messages", () => {
    const image = { role: "user", content: [{ type: "text", text: "what is it?" }, { type: "image_url", image_url: { url: "data:," } }] };
    expect(capabilitiesNeeded({ messages: [image] })).to.deep.equal(["images"]);
    expect(capabilitiesNeeded({ messages: [{ role: "tool", content: "4" }] })).to.deep.equal(["tools"]);
    expect(capabilitiesNeeded({ messages: [null, 3, { content: [{ type: "video" }] }] })).to.deep.equal(["content"]);
  });

  it("names a parameter that it has never heard of, so that it is not silently ignored", () => {
    expect(capabilitiesNeeded({ flux: 7 })).to.deep.equal(["flux"]);
    expect(capabilitiesNeeded(JSON.parse('{"__proto__": {"a": 1}}') as Record<string, unknown>)).to.deep.equal(["__proto__"]);
  });
});
