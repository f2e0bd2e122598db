import { expect } from "chai";
import fc from "fast-check";
import { stringToHex } from "viem/utils";
import { hexOfText } from "../../../relayer/routing/hexOfText.ts";

describe("hex of a text", () => {
  it("is what viem makes of any text", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" })), (text) => {
      expect(hexOfText(text)).to.equal(stringToHex(text));
    }));
    expect(hexOfText("")).to.equal("0x");
  });
});
