import { expect } from "chai";
import { hashStruct } from "../../../protocol/typedData.ts";
import { isSignedBy } from "../../../protocol/signing.ts";
import { partyOf, type SignedAttestation } from "../../../protocol/link.ts";
import { domain, hangsAfter, nodeSigner, peer, RELAYER_ID, requestOf } from "../fixtures.ts";
import { eventually } from "../engines/suite.ts";
import { worldOf, type World } from "./world.ts";

/** Reads attestations until the test ends. */
function listen(world: World): { all: SignedAttestation[]; stop: () => Promise<void> } {
  const end = new AbortController();
  const all: SignedAttestation[] = [];
  const reading = (async () => { for await (const signed of world.agent.attestations(peer, end.signal)) all.push(signed); })();
  return { all, stop: async () => { end.abort(); await reading; } };
}

describe("attestor", () => {
  it("attests at once, then each second: signed, chained, remembered first", async () => {
    const world = worldOf();
    const { all, stop } = listen(world);
    await eventually(() => all.length >= 3);
    await stop();
    for (const [i, { attestation, signature }] of all.entries()) {
      expect(await isSignedBy(nodeSigner.address, domain, "SaturationAttestation", attestation, signature)).to.equal(true);
      if (i > 0) {
        expect(attestation.prevHash).to.equal(hashStruct("SaturationAttestation", all[i - 1]!.attestation));
        expect(attestation.observedAtMs - all[i - 1]!.attestation.observedAtMs).to.be.at.least(900);
      }
    }
    expect(world.store.attestation(RELAYER_ID)!.seq >= all.at(-1)!.attestation.seq).to.equal(true);
    expect(all[0]!.attestation).to.include({ slots: 2, computeBps: 0, kvFreeTokens: 1_000 });
    expect(all[0]!.offers).to.have.length(1);
  });

  it("attests sooner when places are taken, and no slots when it drains", async () => {
    const world = worldOf();
    world.engine.script = hangsAfter(["x"]);
    const { all, stop } = listen(world);
    await eventually(() => all.length === 1);
    const read = world.send(await requestOf());
    await eventually(() => all.some(({ attestation }) => attestation.computeBps === 5_000));
    const taken = all.findIndex(({ attestation }) => attestation.computeBps === 5_000);
    expect(all[taken]!.attestation.observedAtMs - all[taken - 1]!.attestation.observedAtMs).to.be.within(150, 990);
    // Who shares the node is told beside it, and nobody where it is free.
    expect([all[0]!.presences, all[taken]!.presences]).to.deep.equal([[], [{ party: partyOf(RELAYER_ID, null), running: 1 }]]);
    await world.agent.drain(0);
    await read;
    await eventually(() => all.at(-1)!.attestation.slots === 0);
    expect(all.at(-1)!.offers).to.deep.equal([]);
    await stop();
  });

  it("attests no slots while no engine is up", async () => {
    const world = worldOf();
    world.engine.up = false;
    const { all, stop } = listen(world);
    await eventually(() => all.length === 1);
    expect(all[0]!.attestation).to.include({ slots: 0, computeBps: 10_000 });
    await stop();
  });

  it("follows the stake, and attests nothing once its hot key was replaced", async () => {
    const world = worldOf();
    world.chain.slots = 1;
    const end = new AbortController();
    const running = world.agent.run(end.signal);
    const { all, stop } = listen(world);
    await eventually(() => all.at(-1)?.attestation.slots === 1);
    await stop();
    end.abort();
    await running;

    const replaced = worldOf({ keyEpoch: 9 });
    const over = new AbortController();
    const runs = replaced.agent.run(over.signal);
    const seen = listen(replaced);
    await eventually(() => seen.all.at(-1)?.attestation.slots === 0);
    await seen.stop();
    over.abort();
    await runs;
  });

  it("says how far its connection is behind", async () => {
    const world = worldOf();
    const end = new AbortController();
    const slow = { ...peer, backlogBytes: () => 524_288 };
    for await (const { attestation } of world.agent.attestations(slow, end.signal)) {
      expect(attestation.networkBps).to.equal(5_000);
      end.abort();
    }
  });

  it("gives every process of a relayer the same chain", async () => {
    const world = worldOf();
    const [a, b] = [listen(world), listen(world)];
    await eventually(() => a.all.length >= 2 && b.all.length >= 2);
    await Promise.all([a.stop(), b.stop()]);
    const hashes = new Set([...a.all, ...b.all].map(({ attestation }) => hashStruct("SaturationAttestation", attestation)));
    expect(new Set([...a.all, ...b.all].map(({ attestation }) => attestation.seq)).size).to.equal(hashes.size);
  });
});
