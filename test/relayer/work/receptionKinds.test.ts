// Kinds of nodes at the reception: a node may come back with another engine or curve, and nobody else has the worse of it.
import { expect } from "chai";
import { CURVE } from "./fleetRig.ts";
import { ReceptionRig, settled } from "./receptionRig.ts";

describe("kinds of nodes at the reception", () => {
  it("change when a node dials in anew; it is served, and its going heard of, like any other's", async () => {
    const rig = new ReceptionRig();
    for (const aNs of [2_000_000, 3_000_000, 4_000_000]) {
      await rig.nodes.join(1, {}, { curve: { ...CURVE, aNs } });
      const asked = rig.ask({ waitMsMax: 0 });
      await settled();
      expect(asked.choice, `with ${aNs} ns`).to.not.equal(null);
      rig.finish(asked);
      rig.reception.disconnected(1);
    }
    const nobody = rig.ask();
    await settled();
    expect(nobody.error!.code).to.equal("no_node");
  });

  it("hold nothing against a node that the first of its kind has become, or that it was itself", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1);
    await rig.nodes.join(2);
    await rig.nodes.join(1, {}, { curve: { ...CURVE, aNs: 2_000_000_000 } });
    const other = rig.ask({ waitMsMax: 0 });
    await settled();
    expect(other.choice?.nodeId, "as quick as before").to.equal(2);
    rig.finish(other);
    rig.reception.disconnected(2);
    await rig.nodes.join(1);
    const same = rig.ask({ waitMsMax: 0 });
    await settled();
    expect(same.choice?.nodeId, "quick again").to.equal(1);
  });
});
