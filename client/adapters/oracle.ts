// The example dApp, contracts/examples/Oracle.sol, from outside: deployed, asked, its answers read or handed in.
import { createWalletClient, parseAbi, parseEventLogs, type Abi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { InferenceGatewayAbi } from "../../protocol/generated/abi/InferenceGateway.ts";
import { TidelaneError } from "../../protocol/errors.ts";
import type { ContractRequest } from "../../protocol/requests.ts";
import type { Address, Hash, Hex, Seconds, TokenAmount, Tokens } from "../../protocol/units.ts";
import { contract, expectChain, lower, MINED_TIMEOUT_MS, reached, reader, senderOf, tokenAbi, transportOf, type ChainAccess, type Sender } from "./chain.ts";
import { gatewayBooks, rangesBack } from "./gateway.ts";

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

const oracleAbi = parseAbi([
  "struct Terms { bytes32 modelId; uint32 maxOutTokens; uint96 maxFee; uint32 callbackGas; uint32 lifetimeSeconds; uint32 relayerId; }",
  "constructor(address gateway, Terms terms)", "function terms() view returns (bytes32, uint32, uint96, uint32, uint32, uint32)",
  "function ask(string question) payable returns (bytes32 requestId)", "function pullAnswer(Request request, bytes32 assignmentHash, bytes output)",
  "struct Request { address requester; uint32 relayerId; bytes32 modelId; bytes32 promptHash; uint32 maxOutTokens; uint96 maxFee; uint32 callbackGas; uint96 gasPayment; uint48 requestedAt; uint48 deadline; uint64 serial; }",
  "error NotAskedHere(bytes32 requestId, address requester)", "error PulledAlready(bytes32 requestId)", "error WrongOutput(bytes32 requestId, bytes32 computed, bytes32 committed)",
  "event Answered(bytes32 indexed requestId, string answer, string uri)",
]);
/** Asking fails for the gateway's reasons too. */
const askingAbi = [...oracleAbi, ...InferenceGatewayAbi].filter((item) => item.type === "error" || item.type === "function") as unknown as Abi;
/** As InferenceGateway's DELIVERY_GAS. */
const DELIVERY_GAS = 250_000n;
/** The base fee may rise until the question is mined; what is sent beyond the least is the poster's, or comes back with a refund. */
const BASE_FEE_ROOM = 2n;
const FETCH_MS_MAX = 10_000;
/** More calldata than any block takes. */
const ANSWER_BYTES_MAX = 1_048_576;

/** @throws of every call: `transaction_reverted` with the contract's reason, `wrong_chain`, retryable `chain_unreachable` */
export class OracleChain {
  readonly #access: ChainAccess;
  readonly #key: Hex;
  readonly #sender: Sender;
  readonly #client;

  constructor(access: ChainAccess, privateKey: Hex) {
    this.#access = access;
    this.#key = privateKey;
    this.#sender = senderOf(access, privateKey);
    this.#client = reader(access);
  }

  /** @param bytecode of the compiled Oracle. @returns where it stands. */
  async deploy(bytecode: Hex, terms: OracleTerms): Promise<Address> {
    await expectChain(this.#client, this.#access.chainId);
    return reached(async () => {
      const wallet = createWalletClient({ account: privateKeyToAccount(this.#key), transport: transportOf(this.#access) });
      const hash = await wallet.deployContract({ abi: oracleAbi, bytecode, args: [this.#gateway, terms], chain: null });
      const { status, contractAddress } = await this.#client.waitForTransactionReceipt({ hash, timeout: MINED_TIMEOUT_MS });
      if (status === "success" && contractAddress) return lower(contractAddress);
      throw new TidelaneError(`The transaction ${hash} was mined, but reverted.`, { code: "transaction_reverted", details: { hash } });
    });
  }

  async terms(oracle: Address): Promise<OracleTerms> {
    const [modelId, maxOutTokens, maxFee, callbackGas, lifetimeSeconds, relayerId] = await reached(async () => this.#client.readContract({ address: oracle, abi: oracleAbi, functionName: "terms" }));
    return { modelId, maxOutTokens, maxFee, callbackGas, lifetimeSeconds, relayerId };
  }

  /** Approves the price first where it must, for this question alone. */
  async ask(oracle: Address, question: string): Promise<AskedQuestion> {
    const { maxFee, callbackGas } = await this.terms(oracle);
    const token = { address: contract(this.#access, "payToken"), abi: tokenAbi } as const;
    const allowance = await reached(async () => this.#client.readContract({ ...token, functionName: "allowance", args: [this.#sender.address, oracle] }));
    if (allowance < maxFee) await this.#sender.send(token.address, tokenAbi as unknown as Abi, "approve", [oracle, maxFee]);
    const { baseFeePerGas } = await reached(async () => this.#client.getBlock());
    const value = (DELIVERY_GAS + BigInt(callbackGas)) * (baseFeePerGas ?? 0n) * BASE_FEE_ROOM;
    const transaction = await this.#sender.send(oracle, askingAbi, "ask", [question], value);
    const { logs, blockNumber } = await reached(async () => this.#client.getTransactionReceipt({ hash: transaction }));
    const { requestId, request } = parseEventLogs({ abi: InferenceGatewayAbi, eventName: "Requested", logs })[0]!.args;
    return { requestId, request: { ...request, requester: lower(request.requester) }, block: blockNumber, transaction };
  }

  /** Of one question, or of all that were asked in the last month, in their order. */
  async answers(oracle: Address, asked?: { readonly requestId: Hash; readonly block: bigint }): Promise<readonly OracleAnswer[]> {
    const newest = await reached(async () => this.#client.getBlockNumber({ cacheTime: 0 }));
    const found: OracleAnswer[][] = [];
    for (const range of rangesBack(newest)) {
      const logs = await reached(async () => this.#client.getContractEvents({ address: oracle, abi: oracleAbi, eventName: "Answered", ...range, strict: true, ...(asked ? { args: { requestId: asked.requestId } } : {}) }));
      found.push(logs.map(({ args }) => args));
      if (asked && range.fromBlock <= asked.block) break;
    }
    return found.reverse().flat();
  }

  /** Hands in an answer whose callback failed, from its event, or one that was too long for a callback, from where it lies. */
  async pull(requestId: Hash): Promise<Hash> {
    const books = gatewayBooks(this.#access);
    const [{ request }, { assignmentHash, output, uri }] = await Promise.all([books.request(requestId), books.answer(requestId)]);
    return await this.#sender.send(request.requester, oracleAbi as unknown as Abi, "pullAnswer", [request, assignmentHash, uri === "" ? output : await bytesAt(uri)]);
  }

  get #gateway(): Address {
    return contract(this.#access, "InferenceGateway");
  }
}

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
