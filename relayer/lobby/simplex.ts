// A small linear program solver: maximise c x where A x <= b, x >= 0 and b >= 0, so that nothing is a feasible start.
import { InvalidValueError } from "../../protocol/errors.ts";

export interface LinearProgram {
  /** c, one entry per variable. */
  readonly objective: readonly number[];
  /** Rows of A; variables that are not named have coefficient 0. */
  readonly constraints: readonly { readonly coefficients: ReadonlyMap<number, number>; readonly atMost: number }[];
}

export interface Solution {
  readonly value: number;
  readonly x: Float64Array;
  /** By constraint: what one more unit of its bound is worth. */
  readonly prices: Float64Array;
  readonly pivots: number;
}

const EPSILON = 1e-9;
/** After so many pivots that gained nothing the choice follows Bland's rule, which cannot go in circles. */
const STALLS_MAX = 50;
const PIVOTS_MAX = 50_000;

/**
 * Dantzig's primal simplex on a dense tableau: meant for hundreds of rows and columns. Rows are scaled to their greatest coefficient.
 * @throws InvalidValueError where a bound is negative or the program has no greatest value
 */
export function maximise(program: LinearProgram): Solution {
  const rows = program.constraints.length;
  const variables = program.objective.length;
  const width = variables + rows + 1;
  const tableau = new Float64Array((rows + 1) * width);
  const basis = Int32Array.from({ length: rows }, (_, row) => variables + row);
  const scales = program.constraints.map(({ coefficients }) => Math.max(EPSILON, ...[...coefficients.values()].map(Math.abs)));
  for (const [row, { coefficients, atMost }] of program.constraints.entries()) {
    if (!(atMost >= 0)) throw new InvalidValueError(`constraints[${row}].atMost`, "a number from 0 on");
    const scale = scales[row]!;
    for (const [column, value] of coefficients) tableau[row * width + column] = value / scale;
    tableau[row * width + variables + row] = 1;
    tableau[row * width + width - 1] = atMost / scale;
  }
  for (let column = 0; column < variables; column++) tableau[rows * width + column] = -program.objective[column]!;
  const pivots = solve(tableau, basis, rows, width);
  const x = new Float64Array(variables);
  for (let row = 0; row < rows; row++) if (basis[row]! < variables) x[basis[row]!] = tableau[row * width + width - 1]!;
  const prices = Float64Array.from(scales, (scale, row) => tableau[rows * width + variables + row]! / scale);
  return { value: tableau[rows * width + width - 1]!, x, prices, pivots };
}

function solve(tableau: Float64Array, basis: Int32Array, rows: number, width: number): number {
  let stalls = 0;
  for (let pivots = 0; pivots < PIVOTS_MAX; pivots++) {
    const column = entering(tableau, rows, width, stalls > STALLS_MAX);
    if (column < 0) return pivots;
    const row = leaving(tableau, basis, rows, width, column);
    if (row < 0) throw new InvalidValueError("program", "a linear program whose objective is bounded");
    stalls = tableau[row * width + width - 1]! > EPSILON ? 0 : stalls + 1;
    pivot(tableau, rows, width, row, column);
    basis[row] = column;
  }
  throw new InvalidValueError("program", `one that is solved within ${PIVOTS_MAX} pivots`);
}

/** The steepest column, or by Bland's rule the first that gains. */
function entering(tableau: Float64Array, rows: number, width: number, first: boolean): number {
  let best = -1;
  let least = -EPSILON;
  for (let column = 0; column < width - 1; column++) {
    const gain = tableau[rows * width + column]!;
    if (gain >= least) continue;
    best = column;
    least = gain;
    if (first) break;
  }
  return best;
}

/** The row that binds first; of equals the one with the lowest variable, as Bland's rule wants it. */
function leaving(tableau: Float64Array, basis: Int32Array, rows: number, width: number, column: number): number {
  let best = -1;
  let least = Infinity;
  for (let row = 0; row < rows; row++) {
    const value = tableau[row * width + column]!;
    if (value <= EPSILON) continue;
    const ratio = tableau[row * width + width - 1]! / value;
    if (ratio > least + EPSILON || (ratio >= least - EPSILON && best >= 0 && basis[row]! > basis[best]!)) continue;
    best = row;
    least = ratio;
  }
  return best;
}

function pivot(tableau: Float64Array, rows: number, width: number, row: number, column: number): void {
  const from = row * width;
  const inverse = 1 / tableau[from + column]!;
  for (let j = 0; j < width; j++) tableau[from + j]! *= inverse;
  for (let i = 0; i <= rows; i++) {
    const factor = tableau[i * width + column]!;
    if (i === row || factor === 0) continue;
    const to = i * width;
    for (let j = 0; j < width; j++) tableau[to + j]! -= factor * tableau[from + j]!;
    tableau[to + column] = 0;
  }
}
