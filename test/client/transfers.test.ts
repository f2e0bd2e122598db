// What a contract says of a transfer that cannot be proven is put into words where there is something to do.
import { expect } from "chai";
import { notProven } from "../../client/adapters/transfers.ts";
import { TidelaneError } from "../../protocol/errors.ts";

const HASH = `0x${"ab".repeat(32)}`;
const refused = (reason: string): TidelaneError => new TidelaneError(`The contract refused: ${reason}`, { code: "transaction_reverted", details: { reason } });

describe("a transfer that was not proven", () => {
  it("is told as too late where the chain remembers no hash of its block", () => {
    expect(() => notProven(refused(`HeaderNotOfThisChain(1234, ${HASH}, 0x${"0".repeat(64)})`))).to.throw(TidelaneError, /block 1234 any more.*deposit-address/).with.property("code", "block_forgotten");
  });

  it("is told as the contract tells it where it is anything else", () => {
    for (const error of [refused(`HeaderNotOfThisChain(1234, ${HASH}, ${HASH})`), refused(`AlreadyCredited(0x12, ${HASH})`), new Error("else")]) {
      expect(() => notProven(error)).to.throw().that.equals(error);
    }
  });
});
