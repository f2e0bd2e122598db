// The example dApp, contracts/examples/Oracle.sol, from outside: deployed, asked, its answers read, a request refunded.
import { createWalletClient, parseAbi, parseEventLogs, type Abi, type TransactionReceipt } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { ContractRequest } from "../../protocol/requests.ts";
import type { Address, Hash, Hex, Seconds, TokenAmount, Tokens } from "../../protocol/units.ts";
import { contract, expectChain, lower, MINED_TIMEOUT_MS, reached, reader, tokenAbi, transportOf, type ChainAccess } from "./chain.ts";

/** As InferenceConsumer.Terms. */
export interface OracleTerms {
  readonly modelId: Hash;
  readonly maxOutTokens: Tokens;
  readonly maxFee: TokenAmount;
  readonly callbackGas: number;
  readonly lifetimeSeconds: Seconds;
  /** 0: any bonded relayer may answer. */
  readonly relayerId: number;
}

export interface OracleAnswer {
  readonly requestId: Hash;
  /** Empty where the answer was too long for a callback and lies at `uri`. */
  readonly answer: string;
  readonly uri: string;
}

export interface AskedQuestion {
  readonly requestId: Hash;
  readonly request: ContractRequest;
  readonly block: bigint;
  readonly transaction: Hash;
}

export type RequestOutcome = "pending" | "fulfilled" | "refunded";

const oracleAbi = parseAbi([
  "struct Terms { bytes32 modelId; uint32 maxOutTokens; uint96 maxFee; uint32 callbackGas; uint32 lifetimeSeconds; uint32 relayerId; }",
  "constructor(address gateway, Terms terms)", "function terms() view returns (bytes32, uint32, uint96, uint32, uint32, uint32)",
  "function ask(string question) payable returns (bytes32 requestId)", "function pullAnswer(Request request, bytes32 assignmentHash, bytes output)",
  "struct Request { address requester; uint32 relayerId; bytes32 modelId; bytes32 promptHash; uint32 maxOutTokens; uint96 maxFee; uint32 callbackGas; uint96 gasPayment; uint48 requestedAt; uint48 deadline; uint64 serial; }",
  "event Answered(bytes32 indexed requestId, string answer, string uri)",
]);
/** As InferenceGateway's DELIVERY_GAS. */
const DELIVERY_GAS = 250_000n;
/** The base fee may rise until the question is mined; what is sent beyond the least is the poster's, or comes back with a refund. */
const BASE_FEE_ROOM = 2n;
const FETCH_MS_MAX = 10_000;
/** More calldata than any block takes. */
const ANSWER_BYTES_MAX = 1_048_576;
const STATES: readonly (RequestOutcome | "none")[] = ["none", "pending", "fulfilled", "refunded"];

/** @throws of every call: `transaction_reverted` with the contract's reason, `wrong_chain`, retryable `chain_unreachable` */
export class OracleChain {
  readonly #access: ChainAccess;
  readonly #account;
  readonly #client;

  constructor(access: ChainAccess, privateKey: Hex) {
    this.#access = access;
    this.#account = privateKeyToAccount(privateKey);
    this.#client = reader(access);
  }

  /** @param bytecode of the compiled Oracle. @returns where it stands. */
  async deploy(bytecode: Hex, terms: OracleTerms): Promise<Address> {
    const receipt = await this.#mined((wallet) => wallet.deployContract({ abi: oracleAbi, bytecode, args: [this.#gateway, terms], account: this.#account, chain: null }));
    return lower(receipt.contractAddress!);
  }

  async terms(oracle: Address): Promise<OracleTerms> {
    const [modelId, maxOutTokens, maxFee, callbackGas, lifetimeSeconds, relayerId] = await reached(async () => this.#client.readContract({ address: oracle, abi: oracleAbi, functionName: "terms" }));
    return { modelId, maxOutTokens, maxFee, callbackGas, lifetimeSeconds, relayerId };
  }

  /** Approves the price first where it must, for this question alone. */
  async ask(oracle: Address, question: string): Promise<AskedQuestion> {
    const { maxFee, callbackGas } = await this.terms(oracle);
    const token = { address: contract(this.#access, "payToken"), abi: tokenAbi } as const;
    const allowance = await reached(async () => this.#client.readContract({ ...token, functionName: "allowance", args: [this.#account.address, oracle] }));
    if (allowance < maxFee) await this.#mined(async (wallet) => wallet.writeContract({ ...token, functionName: "approve", args: [oracle, maxFee], account: this.#account, chain: null }));
    const { baseFeePerGas } = await reached(async () => this.#client.getBlock());
    const value = (DELIVERY_GAS + BigInt(callbackGas)) * (baseFeePerGas ?? 0n) * BASE_FEE_ROOM;
    const receipt = await this.#write(oracle, oracleAbi as unknown as Abi, "ask", [question], value);
    const { args } = parseEventLogs({ abi: InferenceGatewayAbi, eventName: "Requested", logs: receipt.logs })[0]!;
    return { requestId: args.requestId, request: requestOf(args.request), block: receipt.blockNumber, transaction: receipt.transactionHash };
  }

  /** @param fromBlock the one in which the oracle was first asked, or an earlier one. */
  async answers(oracle: Address, fromBlock: bigint, requestId?: Hash): Promise<readonly OracleAnswer[]> {
    const logs = await reached(async () => this.#client.getContractEvents({ address: oracle, abi: oracleAbi, eventName: "Answered", fromBlock, strict: true, ...(requestId ? { args: { requestId } } : {}) }));
    return logs.map(({ args }) => args);
  }

  async stateOf(requestId: Hash): Promise<RequestOutcome> {
    const state = STATES[await reached(async () => this.#client.readContract({ address: this.#gateway, abi: InferenceGatewayAbi, functionName: "stateOf", args: [requestId] }))];
    if (state === undefined || state === "none") throw new TidelaneError(`The gateway knows no request ${requestId}.`, { code: "unknown_request", details: { requestId } });
    return state;
  }

  /** The request as its event told it. @throws `unknown_request` */
  async request(requestId: Hash): Promise<ContractRequest> {
    const [seen] = await reached(async () => this.#client.getContractEvents({ address: this.#gateway, abi: InferenceGatewayAbi, eventName: "Requested", args: { requestId }, fromBlock: 0n, strict: true }));
    if (!seen) throw new TidelaneError(`The gateway knows no request ${requestId}.`, { code: "unknown_request", details: { requestId } });
    return requestOf(seen.args.request);
  }

  /** Anyone may, once the deadline has passed: fee and gas payment go back to the oracle's balances in the gateway. */
  async refund(requestId: Hash): Promise<Hash> {
    return (await this.#write(this.#gateway, InferenceGatewayAbi as unknown as Abi, "refund", [await this.request(requestId)])).transactionHash;
  }

  /** Hands in an answer whose callback failed, from its event, or one that was too long for a callback, from where it lies. */
  async pull(requestId: Hash): Promise<Hash> {
    const { requester, ...request } = await this.request(requestId);
    const [fulfilled] = await reached(async () => this.#client.getContractEvents({ address: this.#gateway, abi: InferenceGatewayAbi, eventName: "Fulfilled", args: { requestId }, fromBlock: 0n, strict: true }));
    if (!fulfilled) throw new TidelaneError(`Request ${requestId} is not answered.`, { code: "not_answered", retryable: true, details: { requestId } });
    const { output, uri, outcome } = fulfilled.args;
    const bytes = uri === "" ? output : await bytesAt(uri);
    return (await this.#write(requester, oracleAbi as unknown as Abi, "pullAnswer", [{ requester, ...request }, outcome.assignmentHash, bytes])).transactionHash;
  }

  get #gateway(): Address {
    return contract(this.#access, "InferenceGateway");
  }

  async #write(address: Address, abi: Abi, functionName: string, args: readonly unknown[], value = 0n): Promise<TransactionReceipt> {
    return this.#mined(async (wallet) => {
      const errors = (InferenceGatewayAbi as unknown as Abi).filter((item) => item.type === "error");
      const { request } = await this.#client.simulateContract({ account: this.#account, address, abi: [...abi, ...errors], functionName, args, value });
      return wallet.writeContract({ ...request, chain: null });
    });
  }

  async #mined(send: (wallet: ReturnType<typeof createWalletClient>) => Promise<Hash>): Promise<TransactionReceipt> {
    await expectChain(this.#client, this.#access.chainId);
    return reached(async () => {
      const hash = await send(createWalletClient({ account: this.#account, transport: transportOf(this.#access) }));
      const receipt = await this.#client.waitForTransactionReceipt({ hash, timeout: MINED_TIMEOUT_MS });
      if (receipt.status !== "success") throw new TidelaneError(`The transaction ${hash} was mined, but reverted.`, { code: "transaction_reverted", details: { hash } });
      return receipt;
    });
  }
}

const requestOf = (request: ContractRequest): ContractRequest => ({ ...request, requester: lower(request.requester) });

/** Whatever it says: the contract checks the bytes against the node's signature. @throws `answer_not_there` */
async function bytesAt(uri: string): Promise<Hex> {
  try {
    const response = await fetch(uri, { signal: AbortSignal.timeout(FETCH_MS_MAX) });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (response.ok && bytes.length <= ANSWER_BYTES_MAX) return `0x${bytes.toString("hex")}`;
    throw new Error(`it answered ${response.status} with ${bytes.length} bytes`);
  } catch (cause) {
    throw new TidelaneError(`The answer could not be fetched from ${uri}: ${(cause as Error).message}.`, { code: "answer_not_there", retryable: true, details: { uri }, cause });
  }
}
