import { expect } from "chai";
import fc from "fast-check";
import { started } from "./command.ts";
import { amountFromText, amountToText } from "../../cli/output.ts";

describe("amounts in words", () => {
  it("are exact, there and back, for any number of decimals", () => {
    fc.assert(fc.property(fc.bigInt(0n, 2n ** 96n - 1n), fc.integer({ min: 0, max: 18 }), (amount, decimals) => {
      expect(amountFromText(amountToText(amount, decimals), decimals)).to.equal(amount);
    }));
    expect(amountFromText("5.25", 6)).to.equal(5_250_000n);
    expect(amountFromText("0.1", 6) + amountFromText("0.2", 6)).to.equal(amountFromText("0.3", 6));
    expect(amountToText(1n, 6)).to.equal("0.000001");
  });

  it("are refused where they are none, or finer than the token", () => {
    for (const text of ["", "1,5", "-1", "1e3", ".5", "1.", "0x10", "1.0000001", "NaN"]) expect(() => amountFromText(text, 6), text).to.throw(/no amount/);
  });
});

describe("a reader who has seen enough", () => {
  it("is no error: `tidelane --help | head -1` ends quietly", async function () {
    this.timeout(20_000);
    const { child, ended } = started(["payer", "--help"]);
    child.stdout!.destroy();
    expect(await ended).to.include({ exitCode: 0, stderr: "" });
  });
});
