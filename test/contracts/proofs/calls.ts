// Every proof that the auditor can make, against the contracts: accepted as it is, refused with anything in it changed.
import { expect } from "chai";
import { commitmentOf, encodeAnnouncement, encodeProof, proofCall, type ProofCall, type ProofName } from "../../../auditor/proofs/call.ts";
import { offences } from "../../../bench/gas/offences.ts";
import { BondVaultAbi } from "../../../protocol/generated/abi/BondVault.ts";
import { FraudProofsAbi } from "../../../protocol/generated/abi/FraudProofs.ts";
import { hashOf, RELAYER_ID, type World } from "../../../bench/gas/world.ts";
import type { Address } from "../../../protocol/units.ts";
import { bondRelayer, judgeAccepts, read, smallWorld } from "./rig.ts";

const SALT = hashOf(4_242);
/** Of each scalar of a proof's evidence every fifth is changed, or the run would be of minutes. */
const EVERY = 5;
const PROOFS = FraudProofsAbi.filter((one) => one.type === "function" && one.name.startsWith("prove")).map((one) => (one as { name: string }).name).sort();

describe("a proof", () => {
  let world: World;
  before(async function () {
    this.timeout(60_000);
    world = await smallWorld();
  });

  it("of each kind is accepted by the contracts, announced and sent as encoded, and with any changed value it is not", async function () {
    this.timeout(120_000);
    const seen = new Set<string>();
    let refused = 0;
    for await (const { name, finding } of offences(world)) {
      const call = proofCall(finding);
      refused += await expectRefusedWhereChanged(world, name, call);
      const [party, id] = ["F1", "F2", "F3"].includes(finding.offence) ? [0, 1] : [1, RELAYER_ID];
      const before = await bondOf(world, party!, id!);
      await send(world, call);
      if (finding.offence !== "F13") expect(await bondOf(world, party!, id!) < before, `${name}: the bond falls`).to.equal(true);
      await bondRelayer(world);
      seen.add(finding.functionName);
    }
    expect([...seen].sort(), "one offence at least for each function").to.deep.equal(PROOFS);
    expect(refused, "changed values that were tried").to.be.above(150);
  });

  it("is announced by its sender, its salt and its every byte", () => {
    const call: ProofCall = { functionName: "proveHeaderEquivocation", args: [] as never };
    const [one, other]: Address[] = [`0x${"11".repeat(20)}`, `0x${"22".repeat(20)}`];
    expect(commitmentOf(one!, "0x01")).to.not.equal(commitmentOf(other!, "0x01"));
    expect(commitmentOf(one!, "0x01")).to.not.equal(commitmentOf(one!, "0x02"));
    expect(encodeAnnouncement(one!, "0x01").endsWith(commitmentOf(one!, "0x01").slice(2))).to.equal(true);
    expect(() => encodeProof(call, SALT), "arguments are the function's").to.throw();
  });
});

/** As a challenger does: the announcement first, the very bytes two blocks later. */
async function send({ chain, contracts, owner }: World, call: ProofCall): Promise<void> {
  const to = contracts["FraudProofs"]!;
  const data = encodeProof(call, SALT);
  await chain.pay(owner, to, encodeAnnouncement(owner, data), 0n);
  await chain.request("evm_mine");
  await chain.pay(owner, to, data, 0n);
}

/** Asked of the judge alone: announcing each change would prove no more. @returns how many were tried */
async function expectRefusedWhereChanged(world: World, name: string, call: ProofCall): Promise<number> {
  expect(await judgeAccepts(world, call), `${name} as it is`).to.equal(true);
  const places = scalarsOf(call.args).filter((path) => !isUnread(call.functionName, path)).filter((_, i) => i % EVERY === 0);
  for (const path of places) {
    const accepted = await judgeAccepts(world, { ...call, args: changedAt(call.args, path) } as ProofCall);
    expect(accepted, `${name} with ${path.join(".")} changed`).to.equal(false);
  }
  return places.length;
}

/** In what a proof shows beside the point: what is shown only where another thing is. */
function isUnread(functionName: ProofName, path: readonly string[]): boolean {
  // A bad leaf's sum shows no children.
  return functionName === "proveBadSum" && /^(left|right)/.test(path[1] ?? "");
}

function scalarsOf(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return typeof value === "boolean" ? [] : [[...path]];
  return Object.entries(value).flatMap(([key, member]) => scalarsOf(member, [...path, key]));
}

function changedAt(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key !== undefined) {
    if (Array.isArray(value)) return value.map((member, i) => (String(i) === key ? changedAt(member, rest) : member));
    return { ...(value as object), [key]: changedAt((value as Record<string, unknown>)[key], rest) };
  }
  if (typeof value === "bigint") return value ^ 1n;
  if (typeof value === "number") return value % 2 === 0 ? value + 1 : value - 1;
  // The last byte but one of a hex string: of a signature it lies in s, of a hash anywhere.
  const hex = value as string;
  const at = hex.length - 4;
  return `${hex.slice(0, at)}${(Number.parseInt(hex[at]!, 16) ^ 1).toString(16)}${hex.slice(at + 1)}`;
}

function bondOf(world: World, party: number, id: number): Promise<bigint> {
  return read(world, "BondVault", BondVaultAbi, "activeBondOf", [party, id]) as Promise<bigint>;
}
