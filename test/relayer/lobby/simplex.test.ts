// The linear program solver against programs with known answers, and against brute force.
import { expect } from "chai";
import fc from "fast-check";
import { maximise, type LinearProgram } from "../../../relayer/lobby/simplex.ts";

const program = (objective: number[], rows: readonly (readonly number[])[]): LinearProgram => ({
  objective, constraints: rows.map((row) => ({ coefficients: new Map(row.slice(0, -1).map((value, i) => [i, value])), atMost: row.at(-1)! })),
});

describe("the simplex", () => {
  it("solves the textbook's factory (Hillier and Lieberman: 36 at 2, 6)", () => {
    const { value, x, prices } = maximise(program([3, 5], [[1, 0, 4], [0, 2, 12], [3, 2, 18]]));
    expect(value).to.be.closeTo(36, 1e-9);
    expect([...x]).to.deep.equal([2, 6]);
    expect([...prices].map((price) => Math.round(price * 1e9) / 1e9)).to.deep.equal([0, 1.5, 1]);
  });

  it("does not go in circles (Beale's example, 1/20)", () => {
    const { value } = maximise(program([0.75, -150, 0.02, -6], [[0.25, -60, -0.04, 9, 0], [0.5, -90, -0.02, 3, 0], [0, 0, 1, 0, 1]]));
    expect(value).to.be.closeTo(0.05, 1e-9);
  });

  it("walks the Klee-Minty cube to its end", () => {
    expect(maximise(program([100, 10, 1], [[1, 0, 0, 1], [20, 1, 0, 100], [200, 20, 1, 10_000]])).value).to.be.closeTo(10_000, 1e-6);
  });

  it("says so where there is no greatest value or a bound is negative", () => {
    expect(() => maximise(program([1], [[-1, 5]]))).to.throw("bounded");
    expect(() => maximise(program([1], [[1, -5]]))).to.throw("atMost");
    expect(() => maximise(program([1], [[1, Number.NaN]]))).to.throw("atMost");
  });

  it("finds what trying every corner finds in two dimensions, and stays feasible", () => {
    const row = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 40 }));
    fc.assert(fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 })), (rows, objective) => {
      const { value, x, prices } = maximise(program([...objective], rows));
      // What the bounds are worth at their prices is the value itself, and no price is negative.
      expect(rows.reduce((sum, row, i) => sum + prices[i]! * row[2], 0)).to.be.closeTo(value, 1e-6);
      expect(Math.min(...prices)).to.be.at.least(-1e-9);
      for (const [a, b, most] of rows) expect(a * x[0]! + b * x[1]!).to.be.at.most(most + 1e-6);
      expect(value).to.be.closeTo(bestCorner(rows, objective), 1e-6);
    }), { numRuns: 300 });
  });
});

function bestCorner(rows: readonly (readonly [number, number, number])[], [p, q]: readonly [number, number]): number {
  const lines = [...rows, [1, 0, 0] as const, [0, 1, 0] as const];
  let best = 0;
  for (const [a, b, m] of lines) {
    for (const [c, d, n] of lines) {
      const determinant = a * d - b * c;
      if (determinant === 0) continue;
      const [x, y] = [(m * d - b * n) / determinant, (a * n - m * c) / determinant];
      if (x < -1e-9 || y < -1e-9 || rows.some(([e, f, most]) => e * x + f * y > most + 1e-9)) continue;
      best = Math.max(best, p * x + q * y);
    }
  }
  return best;
}
