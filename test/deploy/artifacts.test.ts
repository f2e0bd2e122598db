// A compilation that failed says why, also where the compiler had no time to.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { notCompiled } from "../../deploy/artifacts.ts";

const ended = async (program: string, timeout = 0): Promise<unknown> => {
  try {
    return await promisify(execFile)(process.execPath, ["-e", program], { timeout });
  } catch (error) {
    return error;
  }
};

describe("a compilation that failed", () => {
  it("is told in the compiler's words", async () => {
    const { message, retryable } = notCompiled(await ended("console.error('Escrow.sol:7: expected a semicolon'); process.exit(1)"));
    expect(message).to.match(/^the contracts do not compile: Escrow\.sol:7: expected a semicolon/);
    expect(retryable).to.equal(false);
  });

  it("is told as late where it was stopped for its time, and may be tried again", async () => {
    const { message, code, retryable } = notCompiled(await ended("setInterval(() => {}, 1_000)", 50));
    expect(message).to.match(/not compiled within 10 minutes.*Run the same command again/);
    expect([code, retryable]).to.deep.equal(["compilation_failed", true]);
  });
});
