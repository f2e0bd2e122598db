// Several models at one reception: the trouble of one is no other's.
import { expect } from "chai";
import { modelIdOf } from "../../../protocol/ids.ts";
import { model, offer } from "./fleetRig.ts";
import { ReceptionRig, settled } from "./receptionRig.ts";

const OTHER = "tidelane/other@q8_0";

describe("several models at the reception", () => {
  it("are overdue as the best of them is: who waits long for one closes the relayer to nobody else", async () => {
    const rig = new ReceptionRig();
    const other = model({ name: OTHER, modelId: modelIdOf(OTHER), aliases: [] });
    await rig.nodes.join(1, { slots: 1 });
    const running = rig.ask();
    await settled();
    const waiting = rig.ask({ waitMsMax: 3_600_000 });
    await rig.passAttesting(180_000, [1], 1);
    expect([running.choice !== null, waiting.choice]).to.deep.equal([true, null]);
    expect(rig.reception.overdueMs, "where there is no other model").to.be.above(120_000);
    rig.nodes.connect(2, { models: [other] });
    await rig.nodes.attest(2, {}, [offer({ modelId: other.modelId })]);
    expect(rig.reception.overdueMs).to.equal(0);
    // A model whose nodes have gone tells nothing of the relayer.
    rig.reception.disconnected(2);
    expect(rig.reception.overdueMs).to.be.above(120_000);
  });
});
