// Parameter files and foretold addresses.
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { getContractAddress } from "viem/utils";
import { readParameters } from "../../deploy/deployLocal.ts";
import { moduleParameters, parseParameters } from "../../deploy/plan.ts";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";

const good = { windowSeconds: 20, epochSeconds: 15, leverage: 5, stakePerSlot: "1", challengeBond: "2", minimumPenalty: "3", guardian: `0x${"0".repeat(40)}`, tokens: null };

const pathOf = (network: string): string => new URL(`../../deploy/parameters/${network}.json`, import.meta.url).pathname;
const fileOf = (network: string): object => JSON.parse(readFileSync(pathOf(network), "utf8")) as object;

describe("deployment parameters", () => {
  for (const [network, windowSeconds, epochSeconds] of [["local", 20, 15], ["test", 3_600, 300], ["main", 86_400, 600]] as const) {
    it(`${network}: windows and epochs of the protocol's table`, () => {
      const guardian = network === "local" ? {} : { guardian: good.guardian };
      const parameters = parseParameters({ ...fileOf(network), ...guardian });
      expect(parameters).to.include({ windowSeconds, epochSeconds });
      expect(parameters.leverage).to.be.at.most(5);
      // Only a local network makes its own money.
      expect(parameters.tokens === null).to.equal(network === "local");
    });
  }

  for (const network of ["test", "main"]) {
    it(`${network}: refuses what is still to be decided, and says what`, () => {
      expect(() => readParameters(network)).to.throw(TidelaneError, /guardian \(FILL IN: the address that may stop new sessions/).with.property("code", "parameter_missing");
    });
  }

  it("takes a file of one's own, and says where there is none", () => {
    expect(readParameters(pathOf("local"))).to.deep.equal(readParameters("local"));
    expect(() => readParameters("nowhere.json")).to.throw(TidelaneError).with.property("code", "file_not_found");
    expect(() => readParameters(import.meta.filename)).to.throw(TidelaneError).with.property("code", "invalid_file");
    expect(() => parseParameters({ ...good, tokens: { payToken: "FILL IN", stakeToken: good.guardian } })).to.throw(TidelaneError, /payToken/).with.property("code", "parameter_missing");
  });

  for (const [field, bad] of [
    ["windowSeconds", 0], ["windowSeconds", 1.5], ["windowSeconds", "20"], ["epochSeconds", 0], ["leverage", 6], ["leverage", 0],
    ["stakePerSlot", "0"], ["stakePerSlot", "-1"], ["stakePerSlot", "1e6"], ["challengeBond", "0"], ["minimumPenalty", 5],
    ["guardian", "0x12"], ["guardian", null],
    ["tokens", { payToken: `0x${"1".repeat(40)}` }],
  ] as const) {
    it(`refuses ${field} = ${JSON.stringify(bad)}, naming it`, () => {
      expect(() => parseParameters({ ...good, [field]: bad })).to.throw(InvalidValueError).with.property("message").that.includes(field);
    });
  }

  it("foretells the settlement contract, the board and the fraud proofs by the deployer's next nonce", () => {
    const from = `0x${"ab".repeat(20)}` as const;
    const own = moduleParameters(parseParameters(good), from, 7);
    // Tokens and registries take four nonces, then BondVault and Escrow.
    expect(own["batchSettlement"]).to.equal(getContractAddress({ from, nonce: 7n + 6n }));
    expect(own["saturationBoard"]).to.equal(getContractAddress({ from, nonce: 7n + 7n }));
    // After the board come TaskReceipts and four judges.
    expect(own["fraudProofs"]).to.equal(getContractAddress({ from, nonce: 7n + 13n }));
    expect(own["transferProofs"]).to.equal(getContractAddress({ from, nonce: 7n + 14n }));
    const tokens = { payToken: from, stakeToken: from };
    const others = moduleParameters(parseParameters({ ...good, tokens }), from, 7);
    expect(others["batchSettlement"]).to.equal(getContractAddress({ from, nonce: 7n + 4n }));
    expect(others).to.include(tokens);
  });
});
