// Native hashing and recovery for the receipts' path: hash-wasm's keccak and libsecp256k1, the same bits as viem.
import { createKeccak } from "hash-wasm";
import secp256k1 from "secp256k1";
import { isCanonicalSignature, signerOfKey, type DigestSigner } from "../../protocol/signing.ts";
import type { Address, Hash, Hex } from "../../protocol/units.ts";
import type { Crypto } from "../ports/world.ts";

/**
 * Compiles the hash once; afterwards every call is synchronous work on the caller's thread (about 50 us for a recovery).
 * @returns `keccak256` over bytes given as hex, and `recover`, which is null where the signature is malformed, high-s or
 * recovers nothing, as protocol/signing.ts demands.
 */
export async function createNativeCrypto(): Promise<Crypto> {
  const hasher = await createKeccak(256);
  const keccakOfBytes = (bytes: Uint8Array): string => hasher.init().update(bytes).digest("hex");
  return {
    keccak256: (data: Hex): Hash => `0x${keccakOfBytes(Buffer.from(data.slice(2), "hex"))}`,
    recover: async (digestSigned: Hash, signature: Hex): Promise<Address | null> => {
      if (!isCanonicalSignature(signature)) return null;
      const bytes = Buffer.from(signature.slice(2), "hex");
      // Buffer drops what is not hex, so a short result means that the text was none.
      if (bytes.length !== 65) return null;
      const key = publicKeyOf(Buffer.from(digestSigned.slice(2), "hex"), bytes);
      return key && `0x${keccakOfBytes(key.subarray(1)).slice(24)}`;
    },
  };
}

/**
 * Signs as protocol/signing.ts does (RFC 6979, low s, v in {27, 28}: the same bits), about twenty times as fast: a relayer
 * signs an assignment before each first token and an ack before each last one.
 */
export function nativeSignerOfKey(privateKey: Hex): DigestSigner {
  const key = Buffer.from(privateKey.slice(2), "hex");
  return {
    address: signerOfKey(privateKey).address,
    sign: async (digestToSign) => {
      const { signature, recid } = secp256k1.ecdsaSign(Buffer.from(digestToSign.slice(2), "hex"), key);
      return `0x${Buffer.from(signature).toString("hex")}${recid === 0 ? "1b" : "1c"}`;
    },
  };
}

/** The uncompressed key (0x04 || x || y), or null where r, s give no point. */
function publicKeyOf(digestBytes: Uint8Array, signature: Uint8Array): Uint8Array | null {
  try {
    return secp256k1.ecdsaRecover(signature.subarray(0, 64), signature[64]! - 27, digestBytes, false);
  } catch {
    return null;
  }
}
