// What a long run keeps: results of this very task by this very code, whole or not at all.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { kept } from "../../bench/routing/kept.ts";

describe("kept results", () => {
  let folder = "";
  beforeEach(() => { folder = mkdtempSync(join(tmpdir(), "tidelane-kept-")); });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (hash: string, isClean = true) => kept(join(folder, "results"), () => ({ hash, isClean }));

  it("are found again by the same task and the same commit, and by no other", () => {
    at("aaaa").write({ seed: 1 }, { goodput: 0.5 });
    expect(at("aaaa").read({ seed: 1 })).to.deep.equal({ goodput: 0.5 });
    expect(at("aaaa").read({ seed: 2 })).to.equal(undefined);
    expect(at("bbbb").read({ seed: 1 })).to.equal(undefined);
    expect(readdirSync(join(folder, "results")).every((name) => name.endsWith(".json"))).to.equal(true);
  });

  it("of code with changes nothing is kept or believed", () => {
    at("aaaa", false).write({ seed: 1 }, 1);
    expect(at("aaaa").read({ seed: 1 })).to.equal(undefined);
    at("aaaa").write({ seed: 1 }, 1);
    expect(at("aaaa", false).read({ seed: 1 })).to.equal(undefined);
  });

  it("without a folder nothing is", () => {
    const none = kept(undefined);
    none.write({ seed: 1 }, 1);
    expect(none.read({ seed: 1 })).to.equal(undefined);
  });
});
