// The protocol's invariants I1 to I25, each one by its number in the invariant tests or the acts that they watch.
import { readFileSync } from "node:fs";
import { expect } from "chai";

const FILES = ["Invariants.t.sol", "GatewayInvariants.t.sol", "support/Ledger.sol", "support/Actors.sol", "support/Exits.sol", "support/GatewayActors.sol"];

describe("invariants of the protocol", () => {
  it("are each watched by name", () => {
    const text = FILES.map((file) => readFileSync(`test/contracts/${file}`, "utf8")).join("\n");
    const named = new Set([...text.matchAll(/(?<![A-Za-z0-9])I(\d{1,2})(?!\d)/g)].map(([, number]) => Number(number)));
    expect(Array.from({ length: 25 }, (_, i) => i + 1).filter((number) => !named.has(number))).to.deep.equal([]);
  });
});
