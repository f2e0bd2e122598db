// Whose turn it is at a full reception: between payers, and between the conversations of one.
import { expect } from "chai";
import { ReceptionRig, settled, type Asked } from "./receptionRig.ts";

describe("fairness at the reception", () => {
  it("shares a full fleet evenly between one who asks for much and others who ask for little", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const busy = rig.ask({ payer: "greedy" });
    const greedy = Array.from({ length: 10 }, () => rig.ask({ payer: "greedy" }));
    await settled();
    const modest = ["a", "b"].map((payer) => rig.ask({ payer }));
    const order = await servedOneByOne(rig, busy, [...greedy, ...modest]);
    expect(order).to.have.length(12);
    expect(Math.max(...modest.map((one) => order.indexOf(one)))).to.be.below(4);
  });

  it("shares what a payer gets between its conversations: a chat does not stand behind a batch", async () => {
    const rig = new ReceptionRig();
    await rig.nodes.join(1, { slots: 1 });
    const busy = rig.ask({}, { conversationKey: "batch" });
    const batch = Array.from({ length: 10 }, () => rig.ask({}, { conversationKey: "batch" }));
    await settled();
    const chat = rig.ask({}, { conversationKey: "chat" });
    const order = await servedOneByOne(rig, busy, [...batch, chat]);
    expect(order).to.have.length(11);
    expect(order.indexOf(chat)).to.be.below(2);
  });
});

/** Ends whoever runs, again and again, on a fleet with one slot. @returns the others in the order in which they started */
async function servedOneByOne(rig: ReceptionRig, first: Asked, others: readonly Asked[]): Promise<readonly Asked[]> {
  const order: Asked[] = [];
  await settled();
  for (let running: Asked | undefined = first; running; ) {
    rig.finish(running);
    await settled();
    running = others.find((one) => one.choice !== null && !order.includes(one));
    if (running) order.push(running);
  }
  return order;
}
