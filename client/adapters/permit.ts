// An EIP-2612 permit, where the token knows them: a deposit then needs one transaction instead of two.
import { BaseError, ContractFunctionExecutionError, domainSeparator, parseAbi, parseSignature, type PrivateKeyAccount, type PublicClient, type TypedDataDomain } from "viem";
import type { Address, Hex } from "../../protocol/units.ts";

export interface Permit {
  /** Unix seconds. */
  readonly deadline: bigint;
  readonly v: number;
  readonly r: Hex;
  readonly s: Hex;
}

const VALID_SECONDS = 3_600n;
const abi = parseAbi([
  "function name() view returns (string)", "function version() view returns (string)", "function nonces(address) view returns (uint256)",
  "function DOMAIN_SEPARATOR() view returns (bytes32)",
]);
const types = { Permit: [
  { name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" }, { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" },
] } as const;

/**
 * @returns null where the token takes no permits, or signs them in a domain that cannot be told from its name and version.
 * @throws whatever viem throws where the chain does not answer.
 */
export async function permitFor(client: PublicClient, account: PrivateKeyAccount, token: Address, spender: Address, value: bigint): Promise<Permit | null> {
  const read = (functionName: "name" | "version" | "DOMAIN_SEPARATOR"): Promise<string | null> => client.readContract({ address: token, abi, functionName }).catch(nullIfUnknown);
  const [name, version, separator, nonce, chainId, block] = await Promise.all([
    read("name"), read("version"), read("DOMAIN_SEPARATOR"),
    client.readContract({ address: token, abi, functionName: "nonces", args: [account.address] }).catch(nullIfUnknown), client.getChainId(), client.getBlock(),
  ]);
  if (name === null || separator === null || nonce === null) return null;
  // EIP-2612 leaves the version to the token; one that does not say it has the first.
  const domain: TypedDataDomain = { name, version: version ?? "1", chainId, verifyingContract: token };
  if (domainSeparator({ domain }) !== separator) return null;
  // The chain's clock, not this machine's, decides what is too late.
  const deadline = block.timestamp + VALID_SECONDS;
  const signature = parseSignature(await account.signTypedData({ domain, types, primaryType: "Permit", message: { owner: account.address, spender, value, nonce, deadline } }));
  return { deadline, v: 27 + signature.yParity, r: signature.r, s: signature.s };
}

/** A token without that function is no failure; a chain that does not answer is. */
function nullIfUnknown(error: unknown): null {
  const answered = error instanceof ContractFunctionExecutionError && error.walk((one) => one instanceof BaseError && /^(ContractFunctionRevertedError|ContractFunctionZeroDataError|AbiDecodingDataSizeTooSmallError)$/.test(one.name));
  if (answered) return null;
  throw error;
}
