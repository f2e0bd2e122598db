// Answers that come later: followed to their end, and nowhere else.
import { expect } from "chai";
import { answerWhenDone } from "../../client/later.ts";

const later = (path: string | null, seconds = "2"): Response => new Response("{}", { status: 202, headers: { ...(path === null ? {} : { location: path }), "retry-after": seconds } });

describe("an answer for later", () => {
  it("is asked for at its address, as often as it says, until it is there", async () => {
    const [asked, slept]: [string[], number[]] = [[], []];
    const answers = [later("/r/1", "3"), later("/r/1", "nonsense"), new Response("done", { status: 200 })];
    const last = await answerWhenDone(later("/r/1"), async (path) => {
      asked.push(path);
      return answers.shift()!;
    }, { sleep: async (ms) => void slept.push(ms) }, null);
    expect(await last.text()).to.equal("done");
    expect(asked).to.deep.equal(["/r/1", "/r/1", "/r/1"]);
    expect(slept).to.deep.equal([2_000, 3_000, 500]);
  });

  it("passes on what is no promise, an error included", async () => {
    const never = async (): Promise<never> => { throw new Error("nothing is to be asked"); };
    for (const status of [200, 429, 502]) expect((await answerWhenDone(new Response("x", { status }), never, { sleep: never }, null)).status).to.equal(status);
    expect((await answerWhenDone(later("/r/1"), async () => new Response("{}", { status: 410 }), { sleep: async () => {} }, null)).status).to.equal(410);
  });

  it("is not given up for a relayer that restarts, but for one that stays away", async () => {
    const polls = async (failures: number): Promise<string> => {
      let asked = 0;
      return await answerWhenDone(later("/r/1"), async () => {
        if (++asked <= failures) throw new Error("connection refused");
        return new Response("done", { status: 200 });
      }, { sleep: async () => {} }, null).then((response) => response.text(), (error: Error) => error.message);
    };
    expect([await polls(15), await polls(16)]).to.deep.equal(["done", "connection refused"]);
  });

  it("follows no promise without an address, or with another host's", async () => {
    for (const path of [null, "https://elsewhere.example/r", "//elsewhere.example/r", "/\\elsewhere.example/r", "r/1"]) {
      const error = await answerWhenDone(later(path), async () => new Response(), { sleep: async () => {} }, null).then(() => null, (reason: { code: string }) => reason.code);
      expect(error, String(path)).to.equal("relayer_answer_invalid");
    }
  });

  it("stops when its client does", async () => {
    const client = new AbortController();
    const error = await answerWhenDone(later("/r/1"), async () => later("/r/1"), { sleep: async () => client.abort(new Error("enough")) }, client.signal).then(() => "none", (reason: Error) => reason.message);
    expect(error).to.equal("enough");
  });
});
