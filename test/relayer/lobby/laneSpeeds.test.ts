// What nodes are worth to the lanes: faster is worth more, the unable nothing, and short prompts no more than they are.
import { expect } from "chai";
import { laneSpeeds } from "../../../relayer/lobby/laneSpeeds.ts";
import { SizeMix } from "../../../relayer/lobby/sizeMix.ts";
import type { InputClass } from "../../../relayer/lobby/sizeMix.ts";
import type { NodeModel } from "../../../relayer/lobby/predict.ts";

const modelOf = (slowness: number, kvTokens = 100_000): NodeModel => ({ curve: { aNs: 8e6 * slowness, bNs: 130_000 * slowness, cNs: 360 * slowness, dNs: 50_000 * slowness, ePs: 14_000 * slowness }, slots: 64, kvTokens, chunkTokens: 512 });

function classesOf(outTokens: number, inputs: readonly number[] = [200, 1_000, 4_000]): InputClass[] {
  const mix = new SizeMix();
  for (let i = 0; i < 300; i++) {
    mix.arrived(inputs[i % inputs.length]!);
    mix.finished(inputs[i % inputs.length]!, outTokens);
  }
  return mix.classes();
}

const [decode, prep] = [classesOf(200), classesOf(1)];
const speedsOf = (model: NodeModel, writes = decode, reads = prep) => laneSpeeds(7, model, writes, reads, () => 2_000);

describe("lane speeds", () => {
  it("fall with a node's slowness, in either lane, and reading alone is quicker than answering", () => {
    const [quick, slow] = [speedsOf(modelOf(1)), speedsOf(modelOf(3))];
    expect(quick.id).to.equal(7);
    expect(slow.decodeSpeed).to.be.within(0, quick.decodeSpeed / 2);
    expect(slow.prepSpeed).to.be.within(0, quick.prepSpeed / 2);
    expect(quick.prepSpeed).to.be.above(quick.decodeSpeed);
    expect(slow.decodeSpeed).to.be.above(0);
  });

  it("are nothing where no prompt can be read in time or held, or nothing is known to come", () => {
    expect(speedsOf(modelOf(1_000))).to.include({ decodeSpeed: 0, prepSpeed: 0 });
    expect(speedsOf(modelOf(1, 10))).to.include({ decodeSpeed: 0, prepSpeed: 0 });
    expect(speedsOf(modelOf(1), [], [])).to.include({ decodeSpeed: 0, prepSpeed: 0 });
  });

  it("do not take a node for fuller than its memory lets it be: long prompts leave most of its slots empty", () => {
    const long = classesOf(200, [20_000]);
    const model = { ...modelOf(0.25, 60_000), slots: 512 };
    const { decodeSpeed } = laneSpeeds(7, model, long, long, () => 10_000);
    expect(decodeSpeed).to.be.above(0.9 * laneSpeeds(7, { ...model, slots: 4 }, long, long, () => 10_000).decodeSpeed).and.above(0.1);
  });

  it("count by the work: who can only read the short ones is worth less than their number", () => {
    const slow = modelOf(6);
    const shortOnly = speedsOf(slow, decode, classesOf(1, [200]));
    const ofAll = speedsOf(slow, decode, prep);
    expect(ofAll.prepSpeed).to.be.above(0);
    expect(ofAll.prepSpeed).to.be.below(shortOnly.prepSpeed / 2);
  });
});
