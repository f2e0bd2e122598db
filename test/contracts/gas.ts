// What operations cost, against the committed snapshot: a change of more than two percent either way must be looked at.
import { expect } from "chai";
import { allCosts, type GasCosts } from "../../bench/gas/costs.ts";
import { changesOf, readSnapshot } from "../../bench/gas/snapshot.ts";

/** The measures that the contracts are held to, whatever the snapshot says. */
const limits: GasCosts = {
  postBatch_100_20_1000_perTask: 2_500, postBatch_100_20_10000_perTask: 260, session_marginal: 20_000, tab_marginal: 20_000,
  registerAndBondNode: 300_000, recordAttestation_first: 90_000, recordAttestation_later: 60_000,
  gateway_open_whole: 300_000, gateway_open_whole_new_asker: 300_000, gateway_open_whole_period: 300_000,
};
const PROOF_MAX = 500_000;

describe("gas", function () {
  this.timeout(120_000);

  it("of every operation is as in test/snapshots/gas.json (npm run bench:gas -- --update)", async () => {
    const gas = await allCosts();
    expect(Object.keys(gas)).to.have.members(Object.keys(readSnapshot()));
    expect(changesOf(readSnapshot(), gas)).to.deep.equal([]);
    const proofs = Object.entries(gas).filter(([operation]) => /^prove_F/.test(operation));
    expect(proofs.length).to.be.above(15);
    for (const [operation, amount] of proofs) expect(amount, operation).to.be.at.most(PROOF_MAX);
    for (const [operation, most] of Object.entries(limits)) expect(gas[operation], operation).to.be.at.most(most);
  });

  it("differs by more than two percent either way, or is new: each is said", () => {
    const snapshot = { same: 1_000, more: 1_000, less: 1_000, within: 1_000 };
    expect(changesOf(snapshot, { same: 1_000, more: 1_021, less: 979, within: 1_019, other: 5 })).to.deep.equal([
      "more: 1000 before, 1021 now (+2.1 %)", "less: 1000 before, 979 now (-2.1 %)", "other: 5, and no snapshot",
    ]);
  });
});
