// Receipts tries by themselves; against a chain's own roots they are held in test/contracts/transferProofs.ts.
import { expect } from "chai";
import { fromRlp, keccak256, numberToHex, toRlp } from "viem/utils";
import { InvalidValueError } from "../../protocol/errors.ts";
import { integer, proofInList, TRANSACTIONS_MAX } from "../../protocol/receiptTrie.ts";
import { arrivedIn, AUTHORIZATION_DEPOSITED, AUTHORIZATION_USED, encodedReceipt, TRANSFER, type RpcLog, type RpcReceipt } from "../../protocol/transferProof.ts";
import type { Hash, Hex } from "../../protocol/units.ts";

type Item = Hex | readonly Item[];

/** Walks a proof down, by the yellow paper's words and nothing of the code at test. @returns null where it does not hold */
function valueAt(root: Hash, path: string, nodes: readonly Hex[]): Hex | null {
  let wanted: Item = root;
  let rest = path;
  for (const node of nodes) {
    if (keccak256(node) !== wanted) return null;
    const items = fromRlp(node, "hex") as readonly Item[];
    if (items.length === 17) {
      wanted = items[Number.parseInt(rest[0]!, 16)]!;
      rest = rest.slice(1);
      continue;
    }
    const [flag, ...nibbles] = (items[0] as Hex).slice(2);
    const part = (Number(flag) % 2 === 1 ? nibbles : nibbles.slice(1)).join("");
    if (!rest.startsWith(part)) return null;
    rest = rest.slice(part.length);
    if (Number(flag) >= 2) return rest === "" && node === nodes.at(-1) ? items[1] as Hex : null;
    wanted = items[1]!;
  }
  return null;
}

const valueOf = (i: number): Hex => `0x${"ab".repeat(40)}${i.toString(16).padStart(8, "0")}`;

describe("a receipts trie", () => {
  for (const count of [1, 2, 3, 16, 17, 127, 128, 129, 130, 256, 257, 400]) {
    it(`of ${count} proves each of its values under one root`, () => {
      const values = Array.from({ length: count }, (_, i) => valueOf(i));
      const step = Math.max(1, Math.floor(count / 12));
      const indices = Array.from({ length: count }, (_, i) => i).filter((i) => i % step === 0 || i + 1 === count || i === 128);
      const { root } = proofInList(values, 0);
      for (const index of indices) {
        const proof = proofInList(values, index);
        expect(proof.root).to.equal(root);
        expect(valueAt(root, toRlp(integer(index)).slice(2), proof.nodes), `value ${index}`).to.equal(values[index]);
      }
    });
  }

  it("holds nodes of less than 32 bytes in their parents", () => {
    const items: Hex[][] | Hex[] = Array.from({ length: 17 }, (): Hex => "0x");
    const branch: (Hex | Hex[])[] = [...items] as Hex[];
    // Paths 80 of the first and 01 of the second: what is left of each behind the branch has one nibble.
    [branch[8], branch[0]] = [["0x30", "0x0a"], ["0x31", "0x0b"]];
    const encoded = toRlp(branch as Hex[]);
    expect(proofInList(["0x0a", "0x0b"], 0)).to.deep.equal({ root: keccak256(encoded), nodes: [encoded] });
  });

  it("refuses no values, too many, and places that it does not have", () => {
    expect(() => proofInList([], 0)).to.throw(InvalidValueError);
    expect(() => proofInList(Array<Hex>(TRANSACTIONS_MAX + 1).fill("0x01"), 0)).to.throw(InvalidValueError);
    for (const index of [-1, 1, 0.5]) expect(() => proofInList(["0x01"], index)).to.throw(InvalidValueError);
  });

  it("has numbers in the least bytes that hold them", () => {
    expect([0, 1, 127, 128, 256, 65_536].map((value) => integer(value))).to.deep.equal(["0x", "0x01", "0x7f", "0x80", "0x0100", "0x010000"]);
  });
});

describe("a receipt in a trie", () => {
  const receipt: RpcReceipt = { type: "0x0", status: "0x1", cumulativeGasUsed: "0x5208", logsBloom: `0x${"00".repeat(256)}`, logs: [], transactionIndex: "0x0", blockHash: `0x${"11".repeat(32)}` };
  const fields: Item[] = ["0x01", "0x5208", receipt.logsBloom, []];
  const rlp = (...more: Hex[]): string => toRlp([...fields, ...more] as Hex[]).slice(2);

  it("stands behind its type, with what a deposit from the layer below adds", () => {
    expect(encodedReceipt(receipt)).to.equal(`0x${rlp()}`);
    expect(encodedReceipt({ ...receipt, type: "0x2" })).to.equal(`0x02${rlp()}`);
    const deposit = { ...receipt, type: "0x7e", depositNonce: "0x0" } as const;
    expect(encodedReceipt({ ...deposit, depositReceiptVersion: "0x1" })).to.equal(`0x7e${rlp("0x", "0x01")}`);
    expect(encodedReceipt(deposit), "before the version was introduced").to.equal(`0x7e${rlp()}`);
  });
});

describe("transfers by authorization among logs", () => {
  const [payToken, escrow, payer, other] = ["aa", "bb", "cc", "dd"].map((byte): Hex => `0x${byte.repeat(20)}`) as [Hex, Hex, Hex, Hex];
  const topic = (address: Hex): Hex => `0x${"0".repeat(24)}${address.slice(2)}`;
  const nonce: Hex = `0x${"01".repeat(32)}`;
  const used: RpcLog = { address: payToken, topics: [AUTHORIZATION_USED, topic(payer), nonce], data: "0x" };
  const moved: RpcLog = { address: payToken, topics: [TRANSFER, topic(payer), topic(escrow)], data: numberToHex(5, { size: 32 }) };
  const deposited: RpcLog = { address: escrow, topics: [AUTHORIZATION_DEPOSITED, topic(payer), nonce], data: "0x" };
  const found = (...logs: RpcLog[]): number[] => arrivedIn(logs, { payToken, escrow }).map(({ logPosition }) => logPosition);

  it("are an AuthorizationUsed with the signer's Transfer to the Escrow directly behind it", () => {
    expect(arrivedIn([moved, used, moved], { payToken, escrow })).to.deep.equal([{ logPosition: 1, payer, nonce, amount: 5n }]);
    expect(found(used, moved, used, moved)).to.deep.equal([0, 2]);
    expect([found(used), found(moved), found(used, deposited, moved), found(moved, used)]).to.deep.equal([[], [], [], []]);
  });

  it("are not another token's, another receiver's or another signer's", () => {
    for (const [first, second] of [
      [{ ...used, address: other }, moved], [used, { ...moved, address: other }], [used, { ...moved, topics: [TRANSFER, topic(payer), topic(other)] }],
      [used, { ...moved, topics: [TRANSFER, topic(other), topic(escrow)] }], [{ ...used, topics: used.topics.slice(0, 2) }, moved],
    ] as const) expect(found(first, second)).to.deep.equal([]);
  });

  it("are not those of nothing, whatever stands beside them", () => {
    const ofNothing: RpcLog = { ...moved, data: numberToHex(0, { size: 32 }) };
    expect(found(used, ofNothing, used, moved, used, ofNothing)).to.deep.equal([2]);
  });

  it("are not those that the Escrow credited itself", () => {
    expect(found(used, moved, deposited)).to.deep.equal([]);
    expect(found(used, moved, { ...deposited, address: other })).to.deep.equal([0]);
    expect(found(used, moved, { ...deposited, topics: [AUTHORIZATION_DEPOSITED, topic(other), nonce] })).to.deep.equal([0]);
  });
});
