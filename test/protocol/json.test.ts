import { expect } from "chai";
import fc from "fast-check";
import { structFromJson, structToJson } from "../../protocol/json.ts";
import { InvalidValueError, TidelaneError } from "../../protocol/errors.ts";
import { recordFromJson, recordToJson, type AttemptRecord } from "../../protocol/records.ts";
import { fieldsOf } from "../../protocol/typedData.ts";
import { hexBytes, structNames, structOf } from "./arbitraries.ts";

describe("structs as JSON", () => {
  for (const name of structNames) {
    it(`${name}: goes there and back through text`, () => {
      fc.assert(fc.property(structOf(name), (value) => {
        expect(structFromJson(name, JSON.parse(JSON.stringify(structToJson(name, value as never))))).to.deep.equal(value);
      }));
    });

    it(`${name}: names the member that is missing or of another type`, () => {
      const [sample] = fc.sample(structOf(name), { numRuns: 1, seed: 1 });
      const good = structToJson(name, sample as never);
      for (const field of fieldsOf(name)) for (const bad of [undefined, null, "", "0x", -1, 1.5, "1e3", "01", [], {}, true, `0x${"gg".repeat(32)}`, (1n << 300n).toString()]) {
        expect(() => structFromJson(name, { ...good, [field.name]: bad }), `${field.name} = ${JSON.stringify(bad)}`).to.throw(InvalidValueError, field.name);
      }
    });
  }

  it("throws nothing but its own error, whatever comes", () => {
    fc.assert(fc.property(fc.constantFrom(...structNames), fc.anything(), (name, value) => {
      try {
        structFromJson(name, value);
      } catch (error) {
        expect(error).to.be.instanceOf(TidelaneError);
      }
    }));
  });

  it("takes no member from a prototype", () => {
    const voucher = JSON.parse('{"__proto__": {"sessionId": "0x", "cumulativeCap": "1"}, "taskId": "0x"}') as object;
    expect(() => structFromJson("Voucher", Object.create(voucher))).to.throw(InvalidValueError);
  });
});

describe("records as JSON", () => {
  const record = fc.record({
    authorization: structOf("SpendingAuthorization"), order: structOf("TaskOrder"), voucher: structOf("Voucher"), voucherSignature: hexBytes(65),
    assignment: structOf("Assignment"), assignmentSignature: hexBytes(65), receipt: structOf("TaskReceipt"), receiptSignature: hexBytes(65),
  }) as fc.Arbitrary<AttemptRecord>;

  it("go there and back, with and without a voucher", () => {
    fc.assert(fc.property(record, fc.boolean(), (full, isAllowance) => {
      const value: AttemptRecord = isAllowance ? { ...full, voucher: null, voucherSignature: "0x" } : full;
      expect(recordFromJson(JSON.parse(JSON.stringify(recordToJson(value))))).to.deep.equal(value);
    }), { numRuns: 50 });
  });
});
