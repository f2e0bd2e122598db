import { expect } from "chai";
import fc from "fast-check";
import { findingsOf, keyName, verifyTask, type ChainFacts } from "../../auditor/verify.ts";
import { Mode, Status } from "../../protocol/constants.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import { taskViewFromJson, taskViewToJson, type TaskView } from "../../protocol/taskView.ts";
import { honestRecord, node } from "../protocol/honest.ts";
import { bundleOf, settledBundle, type Bundle } from "./bundle.ts";

const verify = (bundle: Bundle, change: { view?: Partial<TaskView>; facts?: Partial<ChainFacts> } = {}) =>
  verifyTask(bundle.taskId, { ...bundle.view, ...change.view }, { ...bundle.facts, ...change.facts });

const findingNames = async (...args: Parameters<typeof verify>): Promise<string[]> => findingsOf(await verify(...args)).map((one) => one.name);

type Path = (string | number)[];

/** Every string, number and null of a JSON value with the path to it. */
function leavesOf(value: unknown, path: Path = []): { path: Path; value: unknown }[] {
  if (typeof value !== "object" || value === null) return [{ path, value }];
  return Object.entries(value).flatMap(([key, member]) => leavesOf(member, [...path, key]));
}

/** A copy in which the value at the path is replaced. */
function replaced(json: unknown, path: Path, value: unknown): unknown {
  const copy = structuredClone(json) as Record<string, unknown>;
  let at = copy;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[path.at(-1)!] = value;
  return copy;
}

/** The same kind of value, one digit or one unit away. */
function flipped(value: unknown, at: number): unknown {
  if (typeof value === "number") return value + 1;
  const text = value as string;
  const first = text.startsWith("0x") ? 2 : 0;
  const i = first + (at % (text.length - first));
  const digit = text[i] === "1" ? "2" : "1";
  return text.slice(0, i) + digit + text.slice(i + 1);
}

describe("verifying a receipt", () => {
  it("verifies an honest, settled task", async () => {
    const verification = await verify(await settledBundle());
    expect(findingsOf(verification)).to.deep.equal([]);
    expect(verification.verdict).to.equal("verified");
    expect(verification.checks.map((one) => one.name)).to.include.members(["order", "record", "keys", "session", "chain", "session tree", "tab tree"]);
  });

  it("verifies in trees of every small size and place, and in ALLOWANCE mode", async () => {
    for (let before = 0; before < 4; before++) for (let after = 0; after < 4; after++) {
      expect((await verify(await settledBundle({ before, after }))).verdict).to.equal("verified");
    }
    expect((await verify(await settledBundle({ before: 1, after: 1 }, { authorization: { mode: Mode.ALLOWANCE } }))).verdict).to.equal("verified");
  });

  it("verifies after its form was written to JSON and read again", async () => {
    const bundle = await settledBundle();
    const again = taskViewFromJson(JSON.parse(JSON.stringify(taskViewToJson(bundle.view))));
    expect(again).to.deep.equal(bundle.view);
    expect((await verify({ ...bundle, view: again })).verdict).to.equal("verified");
  });

  it("finds every change of any digit or number of a receipt", async function () {
    this.timeout(60_000);
    const bundle = await settledBundle();
    const json = JSON.parse(JSON.stringify(taskViewToJson(bundle.view))) as Record<string, unknown>;
    const all = leavesOf(json).filter(({ path }) => path.at(-1) !== "state");
    expect(all.length).to.be.greaterThan(90);
    const isFound = async (path: Path, value: unknown): Promise<boolean> => {
      try {
        return (await verify({ ...bundle, view: taskViewFromJson(replaced(json, path, value)) })).verdict === "wrong";
      } catch (error) {
        return error instanceof TidelaneError;
      }
    };
    for (const leaf of all) expect(await isFound(leaf.path, flipped(leaf.value, 0)), leaf.path.join(".")).to.equal(true);
    await fc.assert(fc.asyncProperty(fc.constantFrom(...all), fc.nat(200), ({ path, value }, at) => isFound(path, flipped(value, at))), { numRuns: 300 });
  });

  it("finds every change of what the chain holds", async () => {
    const bundle = await settledBundle();
    const batch = bundle.facts.batch!;
    const other = `0x${"ee".repeat(32)}` as const;
    const changes: Partial<typeof batch>[] = [
      { batchHash: other }, { sessionRoot: other }, { tabRoot: other }, { totalDebit: batch.totalDebit + 1n }, { totalCredit: batch.totalCredit - 1n },
      { leafCount: batch.leafCount + 1 }, { leafCount: batch.leafCount * 4 }, { posting: { ...batch.posting!, transactionHash: other } },
    ];
    for (const change of changes) expect(await findingNames(bundle, { facts: { batch: { ...batch, ...change } } }), Object.keys(change)[0]!).to.include("chain");
  });

  it("names what is wrong", async () => {
    const bundle = await settledBundle();
    const key = { key: node.address, openedAtSeconds: 1_800_000_000, closedAtSeconds: 0 };
    const nodeKeys = (change: Partial<typeof key>) => ({ facts: { nodeKeys: new Map([[keyName(7, 1), { ...key, ...change }]]) } });
    expect(await findingNames(bundle, { facts: { domain: { ...bundle.facts.domain, chainId: 1 } } })).to.include.members(["deployment", "record"]);
    expect(await findingNames({ ...bundle, taskId: `0x${"0".repeat(64)}` })).to.deep.equal(["order"]);
    expect(await findingNames(bundle, { facts: { sessionPayers: new Map() } })).to.deep.equal(["session"]);
    expect(await findingNames(bundle, nodeKeys({ closedAtSeconds: 1_899_999_980 }))).to.deep.equal(["keys"]);
    expect(await findingNames(bundle, nodeKeys({ openedAtSeconds: 1_900_000_021 }))).to.deep.equal(["keys"]);
    expect(await findingNames(bundle, { facts: { nodeKeys: new Map() } })).to.deep.equal(["record", "keys"]);
    expect(await findingNames(bundle, { view: { attempts: [] } })).to.include("order");
    expect(await findingNames(bundle, { view: { attempts: [{ ...bundle.view.attempts[0]!, proofs: null }] } })).to.deep.equal(["inclusion"]);
    expect(await findingNames(bundle, { view: { state: "open" } })).to.deep.equal(["charges"]);
  });

  it("accepts a key within one window of its epoch's edges", async () => {
    const bundle = await settledBundle();
    const edge = (openedAtSeconds: number, closedAtSeconds: number) =>
      ({ facts: { nodeKeys: new Map([[keyName(7, 1), { key: node.address, openedAtSeconds, closedAtSeconds }]]) } });
    expect(await findingNames(bundle, edge(1_900_000_020, 0))).to.deep.equal([]);
    expect(await findingNames(bundle, edge(1_800_000_000, 1_899_999_981))).to.deep.equal([]);
  });

  it("tells an unsettled task from a wrong one", async () => {
    const bundle = await settledBundle();
    const waiting = { ...bundle.view.batch!, state: "sent" as const };
    expect((await verify(bundle, { view: { batch: null }, facts: { batch: null } })).verdict).to.equal("unsettled");
    expect((await verify(bundle, { view: { batch: waiting }, facts: { batch: null } })).verdict).to.equal("unsettled");
    expect(await findingNames(bundle, { facts: { batch: null } })).to.deep.equal(["chain"]);
    const invented = { ...bundle.view.attempts[0]!.record, receipt: { ...bundle.view.attempts[0]!.record.receipt, nodeCumulative: 10n ** 9n } };
    expect((await verify(bundle, { view: { batch: null, attempts: [{ record: invented, proofs: null }] }, facts: { batch: null } })).verdict).to.equal("wrong");
  });

  it("finds a task that is charged beyond its order over several attempts", async () => {
    const first = await honestRecord({ assignment: { subtasks: 2 } });
    const twice = await honestRecord({ assignment: { subtasks: 2, attempt: 1, nodeId: 7 } });
    const names = await findingNames(await bundleOf([first, twice], { before: 0, after: 0 }));
    expect(names).to.deep.equal(["charges"]);
    const aborted = await honestRecord({ body: { status: Status.ABORTED } });
    expect(await findingNames(await bundleOf([aborted, twice], { before: 0, after: 1 }))).to.deep.equal([]);
    const wide = { order: { maxFee: 250n }, voucher: { cumulativeCap: 10_000n } };
    const split = await Promise.all([0, 1].map((subtask) => honestRecord({ ...wide, assignment: { subtasks: 2, subtask, shareCap: 250n }, body: { subtask } })));
    const bundle = await bundleOf(split, { before: 0, after: 0 });
    expect(findingsOf(await verify(bundle)).map((one) => one.detail).join()).to.match(/exceed the order's maxFee 250/);
  });
});
