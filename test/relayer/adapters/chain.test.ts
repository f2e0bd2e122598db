// The Chain port against a real node: what is read is what the contracts hold, and one poster's transactions never collide.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { encodeFunctionData, parseTransaction } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { connectChain, type ViemChain } from "../../../relayer/adapters/chain.ts";
import { EscrowAbi } from "../../../protocol/generated/abi/Escrow.ts";
import { RelayerRegistryAbi } from "../../../protocol/generated/abi/RelayerRegistry.ts";
import { Mode } from "../../../protocol/constants.ts";
import { signerOfKey, signStruct } from "../../../protocol/signing.ts";
import { hashStruct } from "../../../protocol/typedData.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import { ZERO_HASH, type Address, type Hex } from "../../../protocol/units.ts";
import type { SpendingAuthorization } from "../../../protocol/generated/structs.ts";
import { accounts, keys, startLocalChain, type LocalChain } from "../localChain.ts";
import { until } from "../until.ts";
import { codeOf } from "./journalSuite.ts";

const addressOf = (key: Hex): Address => signerOfKey(key).address;

describe("the chain", function () {
  this.timeout(60_000);
  let local: LocalChain;
  let chain: ViemChain;
  let salt = 0n;

  before(async () => {
    local = await startLocalChain();
    chain = await connect();
  });
  after(() => local?.stop());

  const connect = (bends: Partial<Parameters<typeof connectChain>[0]> = {}): Promise<ViemChain> =>
    connectChain({ rpcUrls: [local.url], chainId: 31_337, addresses: local.addresses, posterKey: accounts.poster, ...bends });
  const authorization = (bends: Partial<SpendingAuthorization> = {}): SpendingAuthorization => ({
    payer: addressOf(accounts.payer), sessionKey: addressOf(keys.session), relayerId: 1, lock: 1_000_000n, maxTotal: 2_000_000n, maxPerTask: 50_000n, maxPerDay: 300_000n,
    maxPriceInPerMTok: 10n ** 6n, maxPriceOutPerMTok: 10n ** 6n, maxFeeBps: 500, mode: Mode.VOUCHER, validAfter: 1, validUntil: 4_000_000_000, salt: ++salt, ...bends,
  });
  const sign = (terms: SpendingAuthorization): Promise<Hex> => signStruct(signerOfKey(accounts.payer), local.domain, "SpendingAuthorization", terms);
  const detailsOf = (promise: Promise<unknown>): Promise<TidelaneError["details"]> => promise.then(() => ({}), (error: unknown) => (error instanceof TidelaneError ? error.details : {}));

  it("reads the deployment's immutable bounds", () => {
    expect(chain.deployment).to.include({ windowSeconds: 60, epochSeconds: 15, leverage: 5 });
    expect(chain.deployment.domain).to.deep.equal(local.domain);
  });

  it("refuses another chain, and a chain without the contracts", async () => {
    const wrong = connect({ chainId: 8_453 });
    expect(await codeOf(wrong)).to.equal("wrong_chain");
    expect(await detailsOf(wrong)).to.deep.equal({ found: 31_337, expected: 8_453 });
    expect(await codeOf(connect({ addresses: { ...local.addresses, BatchSettlement: addressOf(accounts.payer) } }))).to.equal("not_deployed");
    expect(await codeOf(connect({ addresses: {} }))).to.equal("invalid_deployment");
    expect(await codeOf(connect({ rpcUrls: ["http://127.0.0.1:1"] }))).to.equal("chain_unreachable");
  });

  it("goes to the next RPC where the first does not answer", async () => {
    const other = await connect({ rpcUrls: ["http://127.0.0.1:1", local.url] });
    expect((await other.head()).number).to.equal((await chain.head()).number);
  });

  it("reads relayer, nodes and keys; null where there are none", async () => {
    expect(await chain.relayer(1)).to.deep.equal({ signer: addressOf(keys.signer), epoch: 1, poster: addressOf(accounts.poster), feeBps: 300, bond: 1_000_000_000n, live: true });
    expect(await chain.relayer(9)).to.equal(null);
    expect(await chain.node(2)).to.deep.equal({ nodeId: 2, hotKey: addressOf(keys.hot[1]), keyEpoch: 1, hardwareClass: 1, slots: 4, live: true });
    expect(await chain.node(9)).to.equal(null);
    expect([await chain.nodeKey(1, 1), await chain.nodeKey(1, 2), await chain.relayerKey(1, 1), await chain.relayerKey(7, 1)])
      .to.deep.equal([addressOf(keys.hot[0]), null, addressOf(keys.signer), null]);
    expect(await chain.tab(1, 1)).to.deep.equal({ earned: 0n, provenEarned: 0n });
    expect(await chain.lastBatch(1)).to.deep.equal({ batchId: 0n, hash: ZERO_HASH });
    expect(await chain.batchHash(1, 1n)).to.equal(null);
    expect(await chain.debitCapacity(1)).to.equal(5_000_000_000n);
  });

  it("opens sessions for others and reads them back", async () => {
    const terms = authorization();
    const sessionId = hashStruct("SpendingAuthorization", terms);
    expect(await chain.session(sessionId)).to.equal(null);
    await chain.openSession(terms, await sign(terms));
    expect(await chain.session(sessionId)).to.include({
      payer: terms.payer, sessionKey: terms.sessionKey, relayerId: 1, mode: Mode.VOUCHER, lock: 1_000_000n, maxTotal: 2_000_000n, charged: 0n, provenCap: 0n, forced: 0n, debitable: 1_000_000n, bucketLevel: 0n, state: "open",
    });
    const allowance = authorization({ mode: Mode.ALLOWANCE });
    await chain.openSession(allowance, await sign(allowance));
    expect(await chain.session(hashStruct("SpendingAuthorization", allowance))).to.include({ provenCap: 2_000_000n, bucketLevel: 600_000n });
  });

  it("says in words why the contract refuses an authorization, before any gas is spent", async () => {
    const terms = authorization({ lock: 10n ** 12n, maxTotal: 10n ** 12n });
    const nonce = await chain.nonce();
    const refused = chain.openSession(terms, await sign(terms));
    expect(await codeOf(refused)).to.equal("authorization_rejected");
    expect((await detailsOf(refused)).reason).to.match(/^InsufficientBalance\(0x[0-9a-fA-F]{40}, \d+, 1000000000000\)$/);
    const unsigned = authorization();
    expect((await detailsOf(chain.openSession(unsigned, await sign(terms)))).reason).to.match(/^AuthorizationSignatureInvalid\(/);
    expect(await chain.nonce()).to.equal(nonce);
  });

  it("sees a session that is closed, and when its lock can be released", async () => {
    const terms = authorization();
    const sessionId = hashStruct("SpendingAuthorization", terms);
    await chain.openSession(terms, await sign(terms));
    await local.send(accounts.payer, local.addresses.Escrow!, encodeFunctionData({ abi: EscrowAbi, functionName: "revoke", args: [sessionId] }));
    expect((await chain.session(sessionId))?.state).to.equal("closing");
    await local.rpc("evm_increaseTime", [181]);
    await local.rpc("evm_mine");
    expect((await chain.session(sessionId))?.state).to.equal("closed");
  });

  it("gives every transaction of many callers its own nonce, in one queue", async () => {
    const before = await chain.nonce();
    const many = Array.from({ length: 6 }, () => authorization());
    const outcomes = await Promise.all(many.map(async (terms) => codeOf(chain.openSession(terms, await sign(terms)))));
    expect(outcomes).to.deep.equal(many.map(() => "none"));
    expect(await chain.nonce()).to.equal(before + 6);
  });

  it("lets one job's failure be nobody else's", async () => {
    const failing = chain.exclusive(async () => { throw new Error("mine"); });
    const next = chain.exclusive(async (nonce) => nonce);
    expect(await failing.catch((error: Error) => error.message)).to.equal("mine");
    expect(await next).to.equal(await chain.nonce());
  });

  it("signs without telling anybody, sends the same bytes twice without harm, and replaces for more", async () => {
    const call = { to: local.addresses.Escrow!, data: encodeFunctionData({ abi: EscrowAbi, functionName: "trackedBalance" }) };
    const nonce = await chain.nonce();
    await local.rpc("evm_setAutomine", [false]);
    try {
      const first = await chain.sign({ ...call, nonce, gas: 100_000n });
      await chain.broadcast(first.raw);
      await chain.broadcast(first.raw);
      expect(await chain.receipt(first.hash)).to.equal(null);
      const dearer = await chain.replace(first, nonce);
      const [was, is] = [parseTransaction(first.raw), parseTransaction(dearer.raw)];
      expect(is.maxPriorityFeePerGas! * 8n > was.maxPriorityFeePerGas! * 9n && is.maxFeePerGas! * 8n > was.maxFeePerGas! * 9n).to.equal(true);
      expect([is.to, is.data, is.nonce, is.gas]).to.deep.equal([was.to, was.data, was.nonce, was.gas]);
      await chain.broadcast(dearer.raw);
      await local.rpc("evm_mine");
      expect((await chain.receipt(dearer.hash))?.status).to.equal("success");
      expect(await chain.receipt(first.hash)).to.equal(null);
      await chain.broadcast(first.raw);
    } finally {
      await local.rpc("evm_setAutomine", [true]);
    }
  });

  it("waits for what an earlier process left in the pool before it gives out the next nonce", async () => {
    const nonce = await chain.nonce();
    await local.rpc("evm_setAutomine", [false]);
    try {
      await chain.broadcast((await chain.sign({ to: addressOf(accounts.payer), data: "0x", nonce, gas: 100_000n })).raw);
      let given: number | null = null;
      const job = chain.exclusive(async (mine) => { given = mine; });
      await until(async () => Number(await local.rpc("eth_getTransactionCount", [addressOf(accounts.poster), "pending"])) === nonce + 1);
      expect(given).to.equal(null);
      await local.rpc("evm_mine");
      await job;
      expect(given).to.equal(nonce + 1);
    } finally {
      await local.rpc("evm_setAutomine", [true]);
    }
  });

  it("tells a revert in a block from one that was foreseen", async () => {
    const call = { to: local.addresses.Escrow!, data: encodeFunctionData({ abi: EscrowAbi, functionName: "withdraw", args: [5n, addressOf(accounts.poster)] }) };
    const foreseen = chain.simulate(call);
    expect(await codeOf(foreseen)).to.equal("call_reverted");
    expect(await detailsOf(foreseen)).to.deep.equal({ reason: `InsufficientBalance(${privateKeyToAccount(accounts.poster).address}, 0, 5)`, mined: false });
    const nonce = await chain.nonce();
    const sent = await chain.sign({ ...call, nonce, gas: 200_000n });
    await chain.broadcast(sent.raw);
    await until(async () => (await chain.receipt(sent.hash)) !== null);
    expect((await chain.receipt(sent.hash))?.status).to.equal("reverted");
  });

  it("names the poster that ran out of gas", async () => {
    const poor = await connect({ posterKey: `0x${"77".repeat(32)}` });
    const sent = await poor.sign({ to: local.addresses.Escrow!, data: "0x", nonce: 0, gas: 100_000n });
    expect(await codeOf(poor.broadcast(sent.raw))).to.equal("poster_out_of_gas");
  });

  it("says that nobody answers when the RPC goes away or talks nonsense", async () => {
    const server: Server = createServer((_, response) => response.end("<html>"));
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const nonsense = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await codeOf(connect({ rpcUrls: [nonsense] }))).to.equal("chain_unreachable");
    server.close();
    const owner = await chain.relayer(1);
    expect(owner?.live).to.equal(true);
    await local.send(accounts.relayerOwner, local.addresses.RelayerRegistry!, encodeFunctionData({ abi: RelayerRegistryAbi, functionName: "retire", args: [1] }));
    expect((await chain.relayer(1))?.live).to.equal(false);
    await local.stop();
    expect(await codeOf(chain.head())).to.equal("chain_unreachable");
    expect(await codeOf(chain.submit({ to: local.addresses.Escrow!, data: "0x" }))).to.equal("chain_unreachable");
  });
});
