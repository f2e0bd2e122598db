// The standard operators of mutation testing over Solidity's syntax tree: what each place in a function can be turned into.
import type { Sources } from "./sources.ts";

/** A node of solc's syntax tree; its members differ by nodeType. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Node = Readonly<Record<string, any>>;

/** How a mutant is put beside the code that it replaces: as an expression, or as a statement. */
export type Form = "expression" | "statement" | "modifier";

export interface Place {
  readonly form: Form;
  readonly operator: string;
  /** Byte offsets in the file. */
  readonly start: number;
  readonly end: number;
  /** What stands there instead; empty where a statement or a modifier is left out. */
  readonly after: string;
  /** Places of one group are one mutant: a constant changes wherever it is used. */
  readonly group?: string;
}

const RELATIONAL: Readonly<Record<string, readonly string[]>> = {
  "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="],
};
const ARITHMETIC: Readonly<Record<string, string>> = {
  "+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "|",
};
const COMPOUND: Readonly<Record<string, readonly string[]>> = { "+=": ["-=", "="], "-=": ["+=", "="], "<<=": [">>="], "/=": ["*="] };

/** Every place of one file, outer places before those inside them. */
export function placesOf(file: string, sources: Sources, tree: Node): Place[] {
  const text = new Text(sources[file]!);
  const places: Place[] = [];
  for (const body of bodiesOf(tree)) new Walk(text, places).visit(body, null);
  return places;
}

/** Functions of contracts and libraries: constants and declarations are no code, and modifiers are left out where they are used. */
function bodiesOf(tree: Node): Node[] {
  const contracts = (tree.nodes as Node[]).filter((node) => node.nodeType === "ContractDefinition" && node.contractKind !== "interface");
  return contracts.flatMap((contract) => (contract.nodes as Node[]).filter((node) => node.nodeType === "FunctionDefinition"));
}

/** A file by the compiler's byte offsets. */
export class Text {
  private readonly bytes: Buffer;

  constructor(text: string) {
    this.bytes = Buffer.from(text, "utf8");
  }

  of(node: Node): string {
    return this.slice(...rangeOf(node));
  }

  slice(start: number, end: number): string {
    return this.bytes.toString("utf8", start, end);
  }

  lineOf(offset: number): number {
    return this.slice(0, offset).split("\n").length;
  }

  /** A statement with its semicolon, which the tree leaves out for some. */
  statementEnd(node: Node): number {
    const [, end] = rangeOf(node);
    if (this.slice(end - 1, end) === ";" || this.slice(end - 1, end) === "}") return end;
    return this.bytes.indexOf(";", end) + 1;
  }
}

export function rangeOf(node: Node): [start: number, end: number] {
  const [start, length] = (node.src as string).split(":").map(Number);
  return [start!, start! + length!];
}

class Walk {
  private readonly text: Text;
  private readonly places: Place[];

  constructor(text: Text, places: Place[]) {
    this.text = text;
    this.places = places;
  }

  visit(node: Node, parent: Node | null): void {
    if (node.nodeType === "InlineAssembly") return;
    this.at(node, parent);
    for (const [key, value] of Object.entries(node)) {
      // The step of a loop is left alone: without it a loop only ends when the gas does.
      if (key === "loopExpression" || key === "documentation" || key === "overrides" || key === "parameters" || key === "returnParameters") continue;
      for (const child of Array.isArray(value) ? value : [value]) {
        if (child !== null && typeof child === "object" && typeof child.nodeType === "string") this.visit(child, node);
      }
    }
  }

  private at(node: Node, parent: Node | null): void {
    const type = node.nodeType as string;
    if (type === "BinaryOperation") this.binary(node);
    else if (type === "UnaryOperation" && node.operator === "!") this.expression(node, "negation", this.text.of(node.subExpression));
    else if (type === "IfStatement" || type === "Conditional") this.condition(node.condition);
    else if (type === "Literal") this.literal(node, parent);
    else if (type === "Identifier" || type === "MemberAccess") this.constant(node);
    else if (type === "FunctionCall") this.swapped(node, parent);
    else if (type === "ModifierInvocation") this.modifier(node);
    else if (type === "Return" && node.expression) this.statement(node, "return left out", "");
    else if (type === "EmitStatement") this.statement(node, "event left out", "");
    else if (type === "ExpressionStatement") this.expressionStatement(node);
  }

  private binary(node: Node): void {
    if (isConstant(node)) return;
    const [left, right] = [this.text.of(node.leftExpression), this.text.of(node.rightExpression)];
    for (const other of RELATIONAL[node.operator] ?? []) this.expression(node, "relational", `${left} ${other} ${right}`);
    const other = ARITHMETIC[node.operator];
    if (other) this.expression(node, "arithmetic", `${left} ${other} ${right}`);
    if (node.operator === "&&" || node.operator === "||") {
      this.expression(node, "logical", `(${left}) ${node.operator === "&&" ? "||" : "&&"} (${right})`);
      this.expression(node, "operand left out", right);
      this.expression(node, "operand left out", left);
    }
    if (other) this.narrowed(node, node.leftExpression, `${node.operator} ${right}`, "left");
    if (other) this.narrowed(node, node.rightExpression, `${left} ${node.operator}`, "right");
  }

  /** `uint256(a) + b` as `uint256(a + b)`: what the cast was for. */
  private narrowed(node: Node, operand: Node, rest: string, side: "left" | "right"): void {
    if (operand.nodeType !== "FunctionCall" || operand.kind !== "typeConversion") return;
    const bare = operand.arguments[0] as Node;
    if (!/^uint\d+$/.test(typeOf(bare)) || !/^uint\d+$/.test(typeOf(node)) || typeOf(bare) === typeOf(node)) return;
    const sibling = side === "left" ? node.rightExpression : node.leftExpression;
    if (typeOf(sibling) === typeOf(node)) return;
    const inner = side === "left" ? `${this.text.of(bare)} ${rest}` : `${rest} ${this.text.of(bare)}`;
    this.expression(node, "cast left out", `${typeOf(node)}(${inner})`);
  }

  private condition(condition: Node): void {
    this.expression(condition, "condition", "true");
    this.expression(condition, "condition", "false");
  }

  private literal(node: Node, parent: Node | null): void {
    // Put behind a question, a literal takes the smallest type that holds it; inside constants and shifts that would matter.
    if (parent?.nodeType === "BinaryOperation" && (isConstant(parent) || /^(<<|>>|\*\*)$/.test(parent.operator as string))) return;
    if (node.kind === "bool") this.expression(node, "constant", node.value === "true" ? "false" : "true");
    if (node.kind === "number" && /^\d+$/.test(node.value as string) && !node.subdenomination) this.expression(node, "constant", String(BigInt(node.value) + 1n));
  }

  private constant(node: Node): void {
    const name = this.text.of(node);
    if (/^(\w+\.)?[A-Z][A-Z0-9_]+$/.test(name) && /^uint\d+$/.test(typeOf(node))) {
      const [start, end] = rangeOf(node);
      this.places.push({ form: "expression", operator: "constant", start, end, after: `${name} + 1`, group: name });
    }
  }

  /** Two neighbouring arguments of one type, the one for the other. */
  private swapped(node: Node, parent: Node | null): void {
    const args = node.arguments as Node[];
    for (let i = 0; i + 1 < args.length; ++i) {
      const [one, other] = [args[i]!, args[i + 1]!];
      if (typeOf(one) !== typeOf(other) || this.text.of(one) === this.text.of(other)) continue;
      const [start, end] = rangeOf(node);
      const [[oneStart, oneEnd], [otherStart, otherEnd]] = [rangeOf(one), rangeOf(other)];
      const call = this.text.slice(start, oneStart) + this.text.of(other) + this.text.slice(oneEnd, otherStart) + this.text.of(one) + this.text.slice(otherEnd, end);
      const word = parent?.nodeType === "EmitStatement" ? "emit " : parent?.nodeType === "RevertStatement" ? "revert " : "";
      const isStatement = word !== "" || parent?.nodeType === "ExpressionStatement";
      if (isStatement) this.statement(parent!, "arguments swapped", `${word}${call};`);
      else this.expression(node, "arguments swapped", call);
    }
  }

  private modifier(node: Node): void {
    const [start, end] = rangeOf(node);
    const name = this.text.of(node);
    if (name === "nonReentrant" || /^only[A-Z]\w*$/.test(name)) this.places.push({ form: "modifier", operator: "modifier left out", start, end, after: "" });
  }

  private expressionStatement(node: Node): void {
    const expression = node.expression as Node;
    if (expression.nodeType === "UnaryOperation" && expression.operator !== "delete") return;
    // Without its assignment a storage pointer does not compile, and what it holds is asked everywhere below.
    if (/storage pointer$/.test(typeOf(expression)) && expression.nodeType === "Assignment") return;
    this.statement(node, "statement left out", "");
    const [left, right] = expression.nodeType === "Assignment" ? [expression.leftHandSide, expression.rightHandSide] : [null, null];
    for (const other of (left && COMPOUND[expression.operator]) || []) {
      this.statement(node, "assignment", `${this.text.of(left)} ${other} ${this.text.of(right)};`);
    }
  }

  private expression(node: Node, operator: string, after: string): void {
    const [start, end] = rangeOf(node);
    this.places.push({ form: "expression", operator, start, end, after });
  }

  private statement(node: Node, operator: string, after: string): void {
    this.places.push({ form: "statement", operator, start: rangeOf(node)[0], end: this.text.statementEnd(node), after });
  }
}

const typeOf = (node: Node): string => (node.typeDescriptions?.typeString as string | undefined) ?? "";
const isConstant = (node: Node): boolean => /^(int|rational)_const/.test(typeOf(node));
