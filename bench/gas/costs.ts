// Measures each operation in a world of its own; see bench/gas.ts for what the names mean.
import { EscrowAbi } from "../../protocol/generated/abi/Escrow.ts";
import { SaturationBoardAbi } from "../../protocol/generated/abi/SaturationBoard.ts";
import { Mode } from "../../protocol/constants.ts";
import { signStruct } from "../../protocol/signing.ts";
import type { SaturationAttestation } from "../../protocol/generated/structs.ts";
import { depositCosts } from "./deposits.ts";
import { fraudCosts } from "./fraud.ts";
import { gatewayCosts } from "./gateway.ts";
import { addNode, addSession, createWorld, EPOCH_SECONDS, hashOf, postBatch, RELAYER_ID, WINDOW_SECONDS, type World } from "./world.ts";

const SESSIONS = 100;
const TABS = 20;

/** Gas by operation. */
export type GasCosts = Readonly<Record<string, number>>;

/** The settlement path, exits, board, deposits. The world is handed on for what else is to be measured in it. */
async function settlementCosts(): Promise<{ readonly gas: GasCosts; readonly world: World }> {
  const world = await createWorld();
  const gas: Record<string, number> = {};
  const sessions = await populate(world, gas);
  await batches(world, sessions, gas);
  await exits(world, gas);
  await board(world, gas);
  return { gas: { ...gas, ...await depositCosts(world) }, world };
}

/** All of them. */
export async function allCosts(): Promise<GasCosts> {
  const { gas, world } = await settlementCosts();
  return { ...gas, ...await gatewayCosts(world), ...await fraudCosts() };
}

async function populate(world: World, gas: Record<string, number>) {
  for (let i = 0; i < TABS; i++) {
    const { register, bond } = await addNode(world);
    Object.assign(gas, { registerNode: register, bondNode: bond, registerAndBondNode: register + bond });
  }
  for (let i = 0; i < SESSIONS; i++) gas["openSession_voucher"] = await addSession(world, Mode.VOUCHER);
  for (let i = 0; i < SESSIONS; i++) gas["openSession_allowance"] = await addSession(world, Mode.ALLOWANCE);
  return { vouchers: world.sessions.slice(0, SESSIONS), allowances: world.sessions.slice(SESSIONS) };
}

async function batches(world: World, { vouchers, allowances }: Awaited<ReturnType<typeof populate>>, gas: Record<string, number>): Promise<void> {
  const { chain, nodes } = world;
  // A new period of claims, so that none begins between the measurements.
  await startPeriod(world);
  gas["postBatch_100_20_cold_total"] = await postBatch(world, vouchers, nodes, 1_000);
  gas["postBatch_100_20_total"] = await postBatch(world, vouchers, nodes, 1_000);
  const ofThousand = gas["postBatch_100_20_total"];
  const ofTenThousand = await postBatch(world, vouchers, nodes, 10_000);
  gas["postBatch_100_20_1000_perTask"] = Math.ceil(ofThousand / 1_000);
  gas["postBatch_100_20_10000_perTask"] = Math.ceil(ofTenThousand / 10_000);
  const half = await postBatch(world, vouchers.slice(0, SESSIONS / 2), nodes, 1_000);
  gas["session_marginal"] = Math.ceil((ofThousand - half) / (SESSIONS / 2));
  const fewTabs = await postBatch(world, vouchers, nodes.slice(0, TABS / 2), 1_000);
  gas["tab_marginal"] = Math.ceil((ofThousand - fewTabs) / (TABS / 2));
  gas["postBatch_1_1_total"] = await postBatch(world, vouchers.slice(0, 1), nodes.slice(0, 1), 1);
  await postBatch(world, allowances, nodes, 1_000);
  const allowance = await postBatch(world, allowances, nodes, 1_000);
  const halfAllowance = await postBatch(world, allowances.slice(0, SESSIONS / 2), nodes, 1_000);
  gas["session_allowance_marginal"] = Math.ceil((allowance - halfAllowance) / (SESSIONS / 2));
  // The first checkpoints ever are new storage; from then on a period's first batch writes over them.
  await startPeriod(world);
  await postBatch(world, vouchers, nodes, 1_000);
  await startPeriod(world);
  gas["postBatch_100_20_firstOfPeriod_total"] = await postBatch(world, vouchers, nodes, 1_000);
  gas["postBatch_100_20_1000_firstOfPeriod_perTask"] = Math.ceil(gas["postBatch_100_20_firstOfPeriod_total"] / 1_000);
  await chain.setTime(await chain.time() + 1);
}

async function exits(world: World, gas: Record<string, number>): Promise<void> {
  const { chain, contracts, owner } = world;
  const escrow = contracts["Escrow"]!;
  const call = (name: string, args: readonly unknown[]): Promise<number> => chain.call(owner, escrow, EscrowAbi, name, args);
  const { sessionId } = world.sessions[0]!;
  gas["deposit"] = await call("deposit", [1_000_000n]);
  gas["topUp"] = await call("topUp", [sessionId, 1_000_000n]);
  gas["closeSession"] = await call("closeSession", [sessionId]);
  await chain.setTime(await chain.time() + 6 * WINDOW_SECONDS);
  gas["releaseLock"] = await call("releaseLock", [sessionId]);
  gas["claimTab_first"] = await call("claimTab", [RELAYER_ID, 1]);
  gas["claimTab"] = await call("claimTab", [RELAYER_ID, 2]);
  gas["withdraw"] = await call("withdraw", [1_000_000n, owner]);
}

async function board(world: World, gas: Record<string, number>): Promise<void> {
  const { chain, contracts, owner } = world;
  const address = contracts["SaturationBoard"]!;
  const call = (name: string, args: readonly unknown[]): Promise<number> => chain.call(owner, address, SaturationBoardAbi, name, args);
  const epoch = BigInt(Math.floor(await chain.time() / EPOCH_SECONDS));
  gas["commitEpoch"] = await call("commitEpoch", [RELAYER_ID, epoch - 2n, hashOf(1), 20, hashOf(2), []]);
  gas["commitEpoch_onePool"] = await call("commitEpoch", [RELAYER_ID, epoch - 1n, hashOf(3), 20, hashOf(4), [{ modelId: hashOf(7), slots: 40n, slotBps: 200_000n }]]);
  gas["recordAttestation_first"] = await call("recordAttestation", await attestation(world, 1n));
  gas["recordAttestation_later"] = await call("recordAttestation", await attestation(world, 2n));
}

async function attestation(world: World, counter: bigint): Promise<[SaturationAttestation, string]> {
  const nowMs = await world.chain.time() * 1_000;
  const node = world.nodes[0]!;
  const value: SaturationAttestation = {
    nodeId: node.nodeId, relayerId: RELAYER_ID, keyEpoch: 1, seq: (BigInt(nowMs) << 20n) + counter, prevHash: hashOf(counter), slots: 8, prepSlots: 2,
    computeBps: 7_100, memoryBps: 6_200, queueBps: 300, networkBps: 40, queuedTokens: 12_000, kvFreeTokens: 80_000, offersHash: hashOf(9),
    observedAtMs: nowMs, validUntilMs: nowMs + 5_000,
  };
  return [value, await signStruct(node.key, world.domain, "SaturationAttestation", value)];
}

/** The next period of the tabs' checkpoints starts here; relayers' fees have longer ones. */
async function startPeriod(world: World): Promise<void> {
  const period = 3 * WINDOW_SECONDS;
  await world.chain.setTime((Math.floor(await world.chain.time() / period) + 1) * period + 1);
}
