// How a tab goes on after a restart: never behind what was signed, whatever was lost.
import { expect } from "chai";
import { hashStruct } from "../../../protocol/typedData.ts";
import { signStruct } from "../../../protocol/signing.ts";
import { ZERO_HASH } from "../../../protocol/units.ts";
import { domain, MemoryStore, nodeSigner, requestOf, RELAYER_ID, strangerSigner, TestChain, TestLinks } from "../fixtures.ts";
import { endOf, worldOf } from "./world.ts";
import type { TaskReceipt } from "../../../protocol/generated/structs.ts";

async function journaled(nodeCumulative: bigint, signer = nodeSigner): Promise<TestLinks> {
  const world = worldOf();
  const { receipt } = endOf(await world.send(await requestOf()));
  const last: TaskReceipt = { ...receipt, nodeCumulative };
  const links = new TestLinks();
  links.last = { receipt: last, signature: await signStruct(signer, domain, "TaskReceipt", last) };
  return links;
}

const resumed = async (parts: { store?: MemoryStore; chain?: TestChain; links?: TestLinks }) => endOf(await worldOf({}, parts).send(await requestOf())).receipt;

function storeWith(cumulative: bigint): MemoryStore {
  const store = new MemoryStore();
  store.tabs.set(RELAYER_ID, { nodeSeq: BigInt(Date.now() - 1_000) << 20n, receiptHash: `0x${"77".repeat(32)}`, cumulative });
  return store;
}

describe("tab: how it goes on", () => {
  it("begins at nothing for a new node", async () => {
    expect(await resumed({})).to.include({ nodeCumulative: 9n });
  });

  it("goes on from its own record where that is the newest", async () => {
    const chain = new TestChain();
    chain.proven = 90n;
    const receipt = await resumed({ store: storeWith(100n), chain, links: await journaled(100n) });
    expect(receipt.nodeCumulative).to.equal(109n);
    expect(receipt.body.prevReceiptHash).to.equal(`0x${"77".repeat(32)}`);
  });

  it("goes on from the relayer's record, naming no previous receipt, where its own was lost or is old", async () => {
    for (const store of [new MemoryStore(), storeWith(50n)]) {
      const receipt = await resumed({ store, links: await journaled(100n) });
      expect(receipt.nodeCumulative).to.equal(109n);
      expect(receipt.body.prevReceiptHash).to.equal(ZERO_HASH);
    }
  });

  it("goes on from what the chain has proof of where that is the greatest", async () => {
    const chain = new TestChain();
    chain.proven = 300n;
    const receipt = await resumed({ store: storeWith(100n), chain, links: await journaled(200n) });
    expect(receipt.nodeCumulative).to.equal(309n);
    expect(receipt.body.prevReceiptHash).to.equal(ZERO_HASH);
  });

  it("believes no record that it did not sign itself", async () => {
    expect((await resumed({ links: await journaled(1_000_000n, strangerSigner) })).nodeCumulative).to.equal(9n);
  });

  it("signs later than anything that it knows to have signed, also when the clock went back", async () => {
    const store = storeWith(1n);
    const ahead = BigInt(Date.now() + 3_600_000) << 20n;
    store.tabs.set(RELAYER_ID, { nodeSeq: ahead, receiptHash: ZERO_HASH, cumulative: 1n });
    expect((await resumed({ store })).nodeSeq).to.equal(ahead + 1n);
  });

  it("signs nothing while it remembers nothing and the relayer does not answer; goes on when it does", async () => {
    const links = new TestLinks();
    links.unreachable = true;
    const world = worldOf({}, { links });
    expect((await world.send(await requestOf())).at(-1)).to.include({ type: "failed", code: "relayer_unreachable" });
    links.unreachable = false;
    expect(endOf(await world.send(await requestOf())).receipt.nodeCumulative).to.equal(9n);
  });

  it("goes on from its own record when the relayer does not answer", async () => {
    const links = new TestLinks();
    links.unreachable = true;
    const receipt = await resumed({ store: storeWith(100n), links });
    expect(receipt.nodeCumulative).to.equal(109n);
    expect(hashStruct("TaskReceipt", receipt)).to.match(/^0x/);
  });
});
