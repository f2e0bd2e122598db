// The settlement ledger against a reference model that was written from the protocol: random operations, those that must be
// refused among them, each compared in its outcome, its error's values, and what it left behind.
// `npm test` runs 2,000; deep mode a million (LEDGER_OPERATIONS sets another number).
import { expect } from "chai";
import { network } from "hardhat";
import { numberToHex } from "viem";
import { nativeSignerOfKey } from "../../relayer/adapters/crypto.ts";
import { itemsHash } from "../../protocol/merkleSum.ts";
import { hashStruct, type Domain } from "../../protocol/typedData.ts";
import { signStruct } from "../../protocol/signing.ts";
import { ZERO_HASH, type Address, type Hash, type Hex } from "../../protocol/units.ts";
import type { BatchHeader, SpendingAuthorization } from "../../protocol/generated/structs.ts";
import { LedgerModel, type CreditWish, type DebitWish, type Refusal } from "../reference/ledger.ts";

const OPERATIONS = Number(process.env["LEDGER_OPERATIONS"] ?? (process.env["DEEP_TESTS"] === "1" ? 1_000_000 : 2_000));
/** A chain in memory keeps all of its blocks: about 30 kB for each operation. */
const OPERATIONS_PER_WORLD = 25_000;
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
const [PAYERS, NODES, RELAYERS, SESSIONS_LIVE] = [3, 3, 2, 10];
const [W, LEVERAGE, START] = [3_600, 5, 1_900_000_000];
const [BOND, SUPPLY, GAS] = [5_000n, 10n ** 24n, "0xe00000"];
const POT = `0x${"70".repeat(32)}`;
// Accounts that the ledger obeys; here they are the test's own.
const [SETTLEMENT, FRAUD_PROOFS] = [`0x${"5e".repeat(20)}`, `0x${"f7".repeat(20)}`] as Address[];

/** Test keys, public numbers, never for real money. */
const signerOf = (n: number) => nativeSignerOfKey(`0x${(0xed0000 + n).toString(16).padStart(64, "0")}`);
const [payers, sessionKey, hotKeys, stranger] = [[1, 2, 3].map(signerOf), signerOf(10), [21, 22, 23].map(signerOf), signerOf(99)];

describe(`the ledger and its reference model, ${OPERATIONS} operations (FUZZ_SEED=${seed})`, function () {
  // What differs once is told at once, not after an hour.
  this.bail(true);
  const happened = new Map<string, number>();
  for (let first = 0; first < OPERATIONS; first += OPERATIONS_PER_WORLD) {
    const count = Math.min(OPERATIONS_PER_WORLD, OPERATIONS - first);
    it(`agree on every outcome and on every book, from operation ${first} on`, () => compareOperations(seed + first, count, happened)).timeout(3_600_000);
  }

  it("did each of them, and refused in many ways", () => {
    if (OPERATIONS > 10_000) console.log(Object.fromEntries([...happened].sort()));
    // What never happened was not compared.
    for (const name of Object.keys(operations)) expect(happened.get(`${name} done`) ?? 0, `${name} succeeded`).to.be.above(OPERATIONS > 10_000 ? OPERATIONS / 4_000 : 0);
    expect([...happened].filter(([key]) => !key.endsWith(" done")).length, "kinds of refusals").to.be.above(12);
  });
});

/** So many operations on a chain of their own; `happened` counts each outcome. */
async function compareOperations(worldSeed: number, count: number, happened: Map<string, number>): Promise<void> {
  const world = await deploy(worldSeed);
  for (let i = 0; i < count; ++i) {
    world.model.now += BigInt(1 + (world.draw(40) === 0 ? world.draw(2 * W) : world.draw(5)));
    const name = Object.keys(operations)[world.pickOperation()]!;
    const { expected, from, call } = await operations[name]!(world);
    const outcome = await world.send(from, call);
    const key = `${name} ${expected?.error ?? "done"}`;
    happened.set(key, (happened.get(key) ?? 0) + 1);
    expect(named(outcome, expected), `operation ${i} of world ${worldSeed}, ${key}`).to.deep.equal(expected && { error: expected.error, values: expected.values.map(String) });
    await world.compare(i % 500 === 499 || i + 1 === count);
  }
  await world.close();
}

/** An error by name alone where the model names no values. */
function named(outcome: Refusal | null, expected: Refusal | null): unknown {
  if (outcome === null) return null;
  return { error: outcome.error, values: expected?.values.length === 0 ? [] : outcome.values.map((value) => String(value).toLowerCase()) };
}

interface Step {
  readonly expected: Refusal | null;
  readonly from: string;
  readonly call: readonly [name: string, ...args: unknown[]];
}

type World = Awaited<ReturnType<typeof deploy>>;

/** Each name once or more, by how often it is drawn. */
const operations: Readonly<Record<string, (world: World) => Step | Promise<Step>>> = {
  settle: (world) => settle(world),
  deposit: ({ model, draw, owner }) => {
    const [payer, amount] = [draw(PAYERS), BigInt(draw(60_000))];
    return { expected: model.deposit(payer, amount), from: owner, call: ["depositFor", payers[payer]!.address, amount] };
  },
  withdraw: ({ model, draw }) => {
    const payer = draw(PAYERS);
    const amount = near(model.free[payer]!, draw, 40);
    const { address } = payers[payer]!;
    return { expected: model.withdraw(payer, address, amount), from: address, call: ["withdraw", amount, address] };
  },
  open: (world) => open(world),
  topUp: (world) => {
    const { model, draw } = world;
    const [id, amount] = [world.anySession(), BigInt(draw(5_000))];
    const payer = world.payerOf(id);
    const { address } = payers[payer]!;
    return { expected: model.topUp(id, payer, address, amount), from: address, call: ["topUp", id, amount] };
  },
  revoke: (world) => {
    const [id, payer] = [world.draw(4) === 0 ? world.anySession() : world.unknownSession(), world.draw(PAYERS)];
    return { expected: world.model.revoke(id, payer), from: payers[payer]!.address, call: ["revoke", id] };
  },
  close: (world) => {
    const id = world.draw(3) === 0 ? world.anySession() : world.unknownSession();
    const payer = world.payerOf(id);
    return { expected: world.model.close(id, payer, payers[payer]!.address), from: payers[payer]!.address, call: ["closeSession", id] };
  },
  release: (world) => {
    // Of those that closed long ago too, which no batch names any more.
    const opened = [...world.model.sessions.keys()];
    const id = world.draw(2) === 0 ? world.anySession() : opened[world.draw(opened.length)]!;
    return { expected: world.model.release(id), from: world.owner, call: ["releaseLock", id] };
  },
  claimTab: ({ model, draw, owner }) => {
    const [relayerId, nodeId] = [BigInt(1 + draw(RELAYERS)), BigInt(1 + draw(NODES))];
    return { expected: model.claimTab(relayerId, nodeId), from: owner, call: ["claimTab", relayerId, nodeId] };
  },
  claimFee: ({ model, draw, owner }) => {
    const relayerId = BigInt(1 + draw(RELAYERS));
    return { expected: model.claimFee(relayerId), from: owner, call: ["claimRelayerFee", relayerId, owner] };
  },
  hold: (world) => {
    const { model, draw, holds } = world;
    const [id, amount, cap] = [world.liveSession(), BigInt(draw(2_000)), BigInt(draw(40_000))];
    holds.push({ id, held: model.hold(id, amount, cap), amount });
    return { expected: null, from: SETTLEMENT!, call: ["holdForForce", id, amount, cap] };
  },
  payForce: (world) => {
    const { model, draw, holds } = world;
    const { id, held, amount } = holds.splice(draw(Math.max(holds.length, 1)), 1)[0] ?? { id: world.liveSession(), held: 0n, amount: BigInt(draw(2_000)) };
    const [nodeId, due] = [BigInt(1 + draw(NODES)), draw(3) === 0 ? 0n : amount];
    return { expected: model.payForce(id, nodeId, held, due), from: SETTLEMENT!, call: ["payForce", id, nodeId, held, due] };
  },
  fundTab: async (world) => {
    const { model, draw } = world;
    const [relayerId, nodeId, amount] = [BigInt(1 + draw(RELAYERS)), BigInt(1 + draw(NODES)), BigInt(1 + draw(500))];
    if (draw(3) === 0) return { expected: { error: "NotFunded", values: [model.tracked + amount, model.tracked] }, from: SETTLEMENT!, call: ["fundTab", relayerId, nodeId, amount] };
    await world.giveTokens(amount);
    return { expected: model.fundTab(relayerId, nodeId, amount), from: SETTLEMENT!, call: ["fundTab", relayerId, nodeId, amount] };
  },
  voidTab: ({ model, draw }) => {
    const [relayerId, nodeId, amount] = [BigInt(1 + draw(RELAYERS)), BigInt(1 + draw(NODES)), BigInt(draw(300))];
    return { expected: model.voidTab(relayerId, nodeId, amount), from: FRAUD_PROOFS!, call: ["voidCredit", POT, relayerId, nodeId, amount] };
  },
  voidFees: ({ model, draw }) => {
    const [relayerId, amount] = [BigInt(1 + draw(RELAYERS)), BigInt(draw(60))];
    return { expected: model.voidFees(relayerId, amount), from: FRAUD_PROOFS!, call: ["voidCredit", POT, relayerId, 0, amount] };
  },
  giveBack: (world) => {
    const [id, amount] = [world.liveSession(), BigInt(world.draw(400))];
    return { expected: world.model.giveBack(id, amount), from: FRAUD_PROOFS!, call: ["voidDebit", POT, id, amount] };
  },
};
const WEIGHTS = [24, 6, 3, 10, 4, 2, 2, 5, 5, 4, 3, 3, 2, 2, 2, 2];

/** Mostly a part of it, sometimes all, one more, or nothing. */
function near(amount: bigint, draw: World["draw"], parts: number): bigint {
  const where = draw(12);
  if (where === 0) return amount + 1n;
  if (where === 1) return 0n;
  return where === 2 ? amount : amount / BigInt(1 + draw(parts));
}

async function open(world: World): Promise<Step> {
  const { model, draw } = world;
  const again = draw(10) === 0 ? world.signed[draw(world.signed.length)] : undefined;
  const isAllowance = draw(2) === 0;
  const payer = draw(PAYERS);
  const lock = draw(8) === 0 ? near(model.free[payer]!, draw, 2) : model.free[payer]! / BigInt(2 + draw(6));
  const authorization: SpendingAuthorization = again?.authorization ?? {
    payer: payers[payer]!.address, sessionKey: sessionKey.address, relayerId: 1 + draw(RELAYERS), lock, maxTotal: lock * 3n / 2n + BigInt(draw(10)), maxPerTask: 1n,
    maxPerDay: isAllowance ? 1n + lock / BigInt(1 + draw(8)) : 0n, maxPriceInPerMTok: 1n, maxPriceOutPerMTok: 1n, maxFeeBps: 500, mode: isAllowance ? 1 : 0,
    validAfter: Number(model.now) + (draw(20) === 0 ? 5 : -1), validUntil: Number(model.now) + 1 + draw(30 * W), salt: BigInt(world.signed.length),
  };
  const id = again?.id ?? hashStruct("SpendingAuthorization", authorization);
  const by = payers.findIndex(({ address }) => address === authorization.payer);
  const expected = model.open(id, authorization.payer, {
    payer: by, relayerId: BigInt(authorization.relayerId), isAllowance: authorization.mode === 1, maxTotal: authorization.maxTotal, maxPerDay: authorization.maxPerDay,
    validUntil: BigInt(authorization.validUntil), lock: authorization.lock,
  }, BigInt(authorization.validAfter));
  if (!again) world.signed.push({ id, authorization });
  if (expected === null) world.live.push(id);
  if (world.live.length > SESSIONS_LIVE) world.live.shift();
  return { expected, from: world.owner, call: ["openSession", authorization, await signStruct(payers[by]!, world.domain, "SpendingAuthorization", authorization)] };
}

async function settle(world: World): Promise<Step> {
  const { model, draw, domain } = world;
  const relayerId = BigInt(1 + draw(RELAYERS));
  const own = world.live.filter((id) => model.sessions.get(id)!.relayerId === relayerId || draw(30) === 0);
  const debits = [...new Set(own.filter(() => draw(3) === 0))].sort().map((sessionId): DebitWish => {
    const { charged, forced, lock } = model.sessions.get(sessionId)!;
    const change = draw(15) === 0 ? near(lock, draw, 3) : 1n + (lock - charged - forced > 0n ? lock - charged - forced : 0n) / BigInt(4 + draw(20));
    return { sessionId: sessionId as Hex, change, cap: draw(6) === 0 ? 0n : charged + forced + change + BigInt(draw(200)) - (draw(25) === 0 ? change : 0n), isSigned: draw(25) !== 0 };
  });
  const total = debits.reduce((sum, { change }) => sum + change, 0n);
  const credits = creditsOf(world, relayerId, draw(15) === 0 ? near(total, draw, 2) : total - (total * BigInt(draw(80))) / 1_000n);
  const sum = (items: readonly { readonly change: bigint }[]): bigint => items.reduce((all, { change }) => all + change, 0n);
  const item = (id: Hex, change: bigint) => ({ id: id as Hash, change });
  const header: BatchHeader = {
    relayerId: Number(relayerId), relayerEpoch: 1, batchId: 1n, prevBatchHash: ZERO_HASH, sessionRoot: ZERO_HASH, tabRoot: ZERO_HASH, leafCount: 1,
    debitsHash: itemsHash(debits.map(({ sessionId, change }) => item(sessionId as Hex, change))),
    creditsHash: itemsHash(credits.map(({ nodeId, change }) => item(numberToHex(nodeId, { size: 32 }), change))),
    totalDebit: sum(debits), totalCredit: sum(credits), dataHash: ZERO_HASH, periodStart: 0, periodEnd: 0, postBy: 0,
  };
  const vouched = await Promise.all(debits.map(async ({ sessionId, change, cap, isSigned }) => {
    const voucher = { sessionId: sessionId as Hash, cumulativeCap: cap, taskId: ZERO_HASH };
    return { ...voucher, change, ...(cap === 0n ? { r: ZERO_HASH, vs: ZERO_HASH } : compact(await signStruct(isSigned ? sessionKey : stranger, domain, "Voucher", voucher))) };
  }));
  const claimed = await Promise.all(credits.map((credit) => signedCredit(world, relayerId, credit)));
  return { expected: model.settle(relayerId, debits, credits), from: SETTLEMENT!, call: ["settle", header, "0x", vouched, claimed] };
}

function creditsOf({ model, draw }: World, relayerId: bigint, total: bigint): CreditWish[] {
  const count = BigInt(1 + draw(NODES));
  return Array.from({ length: Number(count) }, (_, i) => {
    const nodeId = BigInt(i + 1);
    const change = i === 0 ? total - (total / count) * (count - 1n) : total / count;
    const earned = model.tab(relayerId, nodeId).earned.total();
    return { nodeId, change, cumulative: draw(8) === 0 ? 0n : earned + change + BigInt(draw(50)) - (draw(40) === 0 ? 60n : 0n), isSigned: draw(40) !== 0 };
  }).map((credit) => ({ ...credit, cumulative: credit.cumulative < 0n ? 0n : credit.cumulative }));
}

const BODY = { assignmentHash: ZERO_HASH, sessionId: ZERO_HASH, taskId: ZERO_HASH, subtask: 0, attempt: 0, role: 1, prevReceiptHash: ZERO_HASH, outputCommit: ZERO_HASH, inputTokens: 0, outputTokens: 0, fee: 0n, startedAt: 0, finishedAt: 0, status: 1 };
const BODY_HASH = hashStruct("ReceiptBody", BODY);

async function signedCredit({ domain }: World, relayerId: bigint, { nodeId, change, cumulative, isSigned }: CreditWish) {
  const receipt = { body: BODY, nodeId: Number(nodeId), relayerId: Number(relayerId), keyEpoch: 1, nodeSeq: 1n, nodeCumulative: cumulative };
  const { r, vs } = compact(await signStruct(isSigned ? hotKeys[Number(nodeId) - 1]! : stranger, domain, "TaskReceipt", receipt));
  return { nodeId, keyEpoch: 1, nodeSeq: 1n, change, nodeCumulative: cumulative, bodyHash: BODY_HASH, r, vs };
}

/** ERC-2098. */
function compact(signature: Hex): { r: Hex; vs: Hex } {
  const s = BigInt(`0x${signature.slice(66, 130)}`) | (signature.endsWith("1c") ? 1n << 255n : 0n);
  return { r: `0x${signature.slice(2, 66)}`, vs: numberToHex(s, { size: 32 }) };
}

/** The Escrow with its registries and bonds; settlement and fraud proofs are accounts of the test. */
async function deploy(worldSeed: number) {
  const connection = await network.create();
  const { ethers, provider } = connection;
  const [first] = await ethers.getSigners();
  const owner = first!.address;
  const token = await ethers.deployContract("TideToken", ["Test dollar", "tUSD"]);
  const nodes = await ethers.deployContract("NodeRegistry", [SETTLEMENT]);
  const relayers = await ethers.deployContract("RelayerRegistry", [SETTLEMENT]);
  const vault = await ethers.deployContract("BondVault", [token, token, nodes, relayers, FRAUD_PROOFS, W, 1n]);
  const escrow = await ethers.deployContract("Escrow", [{
    payToken: token, nodeRegistry: nodes, relayerRegistry: relayers, bondVault: vault, batchSettlement: SETTLEMENT, saturationBoard: ethers.ZeroAddress,
    fraudProofs: FRAUD_PROOFS, inferenceGateway: ethers.ZeroAddress, transferProofs: ethers.ZeroAddress, guardian: ethers.ZeroAddress, windowSeconds: W, leverage: LEVERAGE,
  }]);
  const escrowAddress = await escrow.getAddress();
  const domain: Domain = { chainId: Number((await ethers.provider.getNetwork()).chainId), verifyingContract: SETTLEMENT! };
  const model = new LedgerModel(PAYERS, BigInt(W), BigInt(LEVERAGE));
  for (const account of [SETTLEMENT!, FRAUD_PROOFS!, ...payers.map(({ address }) => address), owner]) {
    await provider.request({ method: "hardhat_impersonateAccount", params: [account] });
    await provider.request({ method: "hardhat_setBalance", params: [account, numberToHex(10n ** 30n)] });
  }
  const consent = async (registry: { getAddress(): Promise<string> }, key: typeof stranger): Promise<Hex> =>
    signStruct(key, domain, "KeyConsent", { registry: await registry.getAddress() as Address, owner: owner as Address, key: key.address });
  for (const key of hotKeys) await nodes.getFunction("register").send({ payout: owner, hardwareClass: 1, agentId: 0 }, key.address, [], await consent(nodes, key));
  await token.getFunction("mint").send(owner, SUPPLY);
  for (const spender of [vault, escrow]) await token.getFunction("approve").send(spender, SUPPLY);
  for (let id = 1; id <= RELAYERS; ++id) {
    await relayers.getFunction("register").send(owner, signerOf(30 + id).address, 300, "https://relayer.example", await consent(relayers, signerOf(30 + id)));
    await vault.getFunction("bond").send(1, id, BOND);
    model.bonds.set(BigInt(id), BOND);
  }
  model.now = BigInt(START);

  let state = worldSeed | 1;
  const draw = (below: number): number => {
    // Mulberry32: small, and the same everywhere.
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
  const live: string[] = [];
  const signed: { readonly id: string; readonly authorization: SpendingAuthorization }[] = [];
  const holds: { readonly id: string; readonly held: bigint; readonly amount: bigint }[] = [];
  const unknownSession = (): Hex => numberToHex(draw(5), { size: 32 });
  const liveSession = (): string => live[draw(live.length)]!;
  /** Mostly the session's own, sometimes anybody. */
  const payerOf = (id: string): number => (draw(3) === 0 ? draw(PAYERS) : model.sessions.get(id)?.payer ?? draw(PAYERS));
  const pickOperation = (): number => {
    // Before there is a session, there is nothing but deposits and openings.
    if (live.length < 3) return draw(2) === 0 ? 1 : 3;
    let left = draw(WEIGHTS.reduce((sum, weight) => sum + weight, 0));
    return WEIGHTS.findIndex((weight) => (left -= weight) < 0);
  };

  const transact = (from: string, to: string, data: string): Promise<unknown> => provider.request({ method: "eth_sendTransaction", params: [{ from, to, data, gas: GAS, gasPrice: "0x2540be400" }] });
  const send = async (from: string, [name, ...args]: Step["call"]): Promise<Refusal | null> => {
    await provider.request({ method: "evm_setNextBlockTimestamp", params: [Number(model.now)] });
    try {
      await transact(from, escrowAddress, escrow.interface.encodeFunctionData(name, args));
      return null;
    } catch (error) {
      const revert = escrow.interface.parseError(dataOf(error));
      if (!revert) throw error;
      return { error: revert.name, values: revert.args.map((value) => value as bigint | string) };
    }
  };
  const giveTokens = async (amount: bigint): Promise<void> => {
    await transact(owner, await token.getAddress(), token.interface.encodeFunctionData("transfer", [escrowAddress, amount]));
    model.now += 2n;
  };
  const read = async (name: string, ...args: unknown[]): Promise<Record<string, unknown>> => await escrow.getFunction(name).staticCall(...args) as Record<string, unknown>;

  const compareSession = async (id: string): Promise<void> => {
    const session = model.sessions.get(id)!;
    const { lock, charged, provenCap, forced, reserved, voidedCharge, closingAt } = session;
    const wanted = { lock, charged, provenCap, forced, reserved, voidedCharge, closingAt, bucketLevel: model.bucketLevel(session) };
    const found = await read("sessionOf", id);
    expect(Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]])), `session ${id}`).to.deep.equal(wanted);
  };
  const compareTab = async (relayerId: bigint, nodeId: bigint): Promise<void> => {
    const { earned, provenEarned, forcedEarned, voidedEarned, claimed } = model.tab(relayerId, nodeId);
    const wanted = { earned: earned.total(), provenEarned, matured: earned.matured(model.now), voidedEarned, claimed, forcedEarned };
    const found = await read("tabOf", relayerId, nodeId);
    expect(Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]])), `tab ${relayerId}/${nodeId}`).to.deep.equal(wanted);
  };
  const compareRelayer = async (id: bigint): Promise<void> => {
    const { debited, fees, feesVoided, feesClaimed } = model.relayer(id);
    const wanted = { debited: debited.total(), debitedMatured: debited.matured(model.now), fees: fees.total(), feesMatured: fees.matured(model.now), feesVoided, feesClaimed };
    const found = await read("relayerAccountOf", id);
    expect(Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]])), `relayer ${id}`).to.deep.equal(wanted);
  };
  /** One book after each operation, all of them now and then. */
  const compare = async (all: boolean): Promise<void> => {
    const which = draw(3);
    if (live.length > 0 && (all || which === 0)) for (const id of all ? live : [liveSession()]) await compareSession(id);
    if (all || which === 1) for (let i = 0; i < (all ? RELAYERS * NODES : 1); ++i) await compareTab(BigInt(1 + (all ? i % RELAYERS : draw(RELAYERS))), BigInt(1 + (all ? Math.floor(i / RELAYERS) : draw(NODES))));
    if (all || which === 2) for (let id = 1; id <= RELAYERS; ++id) await compareRelayer(BigInt(id));
    if (!all) return;
    expect(await escrow.getFunction("trackedBalance").staticCall(), "tracked").to.equal(model.tracked);
    expect(await token.getFunction("balanceOf").staticCall(escrowAddress), "held").to.equal(model.tracked);
    expect(await escrow.getFunction("potOf").staticCall(POT), "voided and not given back").to.equal(model.potLeft());
    for (const [i, { address }] of payers.entries()) expect(await escrow.getFunction("freeBalanceOf").staticCall(address), `payer ${i}`).to.equal(model.free[i]);
  };
  return { model, draw, live, signed, holds, owner, domain, liveSession, unknownSession, payerOf, anySession: () => (draw(20) === 0 ? unknownSession() : liveSession()), pickOperation, send, giveTokens, compare, close: () => connection.close() };
}

/** The revert's bytes, wherever the engine put them. */
function dataOf(error: unknown): string {
  const { data, cause } = error as { data?: unknown; cause?: unknown };
  if (typeof data === "string" && data.startsWith("0x")) return data;
  if (data !== null && typeof data === "object" && typeof (data as { data?: unknown }).data === "string") return (data as { data: string }).data;
  if (cause !== undefined) return dataOf(cause);
  throw error;
}
