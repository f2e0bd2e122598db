// ECDSA over digests with viem's pure utilities, for the edges; adapters put native code behind the same `Recover`.
import { recoverAddress } from "viem/utils";
import { privateKeyToAddress, sign } from "viem/accounts";
import { digest, type Domain } from "./typedData.ts";
import type { StructName, Structs } from "./generated/structs.ts";
import type { Address, Hash, Hex, Signature } from "./units.ts";

/** Signs digests with one key. The key itself never leaves the implementation. */
export interface DigestSigner {
  readonly address: Address;
  sign(digestToSign: Hash): Promise<Signature>;
}

/** @returns the signer's address (lowercase), or null where the signature is malformed, high-s or recovers nothing. */
export type Recover = (digestSigned: Hash, signature: Hex) => Promise<Address | null>;

/** Half the group order: a greater s is the malleable twin of a lower one and is refused, as on chain. */
const S_MAX = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** 65 bytes, v in {27, 28}, 0 < s <= n/2: what Solidity accepts. */
export function isCanonicalSignature(signature: Hex): boolean {
  if (!/^0x[0-9a-fA-F]{128}1[bc]$/.test(signature)) return false;
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  return s > 0n && s <= S_MAX;
}

export const recoverWithViem: Recover = async (digestSigned, signature) => {
  if (!isCanonicalSignature(signature)) return null;
  try {
    return (await recoverAddress({ hash: digestSigned, signature })).toLowerCase() as Address;
  } catch {
    return null;
  }
};

export function signerOfKey(privateKey: Hex): DigestSigner {
  return {
    address: privateKeyToAddress(privateKey).toLowerCase() as Address,
    sign: (digestToSign) => sign({ hash: digestToSign, privateKey, to: "hex" }),
  };
}

export const signStruct = <Name extends StructName>(signer: DigestSigner, domain: Domain, name: Name, value: Structs[Name]): Promise<Signature> =>
  signer.sign(digest(domain, name, value));

/** True where `expected` signed the struct in this domain. */
export const isSignedBy = async <Name extends StructName>(
  expected: Address, domain: Domain, name: Name, value: Structs[Name], signature: Hex, recover: Recover = recoverWithViem,
): Promise<boolean> => (await recover(digest(domain, name, value), signature)) === expected.toLowerCase();
