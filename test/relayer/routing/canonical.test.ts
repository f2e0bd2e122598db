import { expect } from "chai";
import fc from "fast-check";
import { canonicalJson, type Canonical } from "../../../relayer/routing/canonical.ts";

describe("canonical JSON", () => {
  it("is one text for one value, whatever the order of its members", () => {
    expect(canonicalJson({ b: [1, { d: null, c: "x\"\n" }], a: true, 10: 1, 9: 2 })).to.equal('{"10":1,"9":2,"a":true,"b":[1,{"c":"x\\"\\n","d":null}]}');
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value as Canonical);
      expect(canonicalJson(JSON.parse(text) as Canonical)).to.equal(text);
      expect(JSON.parse(text)).to.deep.equal(JSON.parse(JSON.stringify(value)));
    }));
  });
});
