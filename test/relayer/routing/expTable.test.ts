import { readFileSync } from "node:fs";
import { expect } from "chai";
import { EXP_Q16 } from "../../../relayer/routing/expTable.ts";
import { expTable, expTableModule } from "../../../scripts/expTable.ts";

describe("the table of exponentials", () => {
  it("is what its script makes", () => {
    expect(readFileSync(new URL("../../../relayer/routing/expTable.ts", import.meta.url), "utf8")).to.equal(expTableModule());
    expect([...EXP_Q16]).to.deep.equal(expTable());
  });

  it("agrees with Math.exp to one part in 65,536 and never rises", () => {
    expect(EXP_Q16).to.have.length(4_096);
    expect(EXP_Q16[0]).to.equal(65_536);
    for (let i = 0; i < EXP_Q16.length; i++) {
      expect(Math.abs(EXP_Q16[i]! - 65_536 * Math.exp(-i / 256))).to.be.at.most(0.5001);
      if (i > 0) expect(EXP_Q16[i]!).to.be.at.most(EXP_Q16[i - 1]!);
    }
  });
});
