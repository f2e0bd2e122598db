// A throwaway certificate for tests of TLS, made anew each time: no key is kept in the repository, and no tool is needed.
import { generateKeyPairSync, sign } from "node:crypto";

/** DER: tag, length, content (X.690). */
function der(tag: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
  const length = content.length < 128 ? [content.length] : content.length < 256 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const SEQUENCE = 0x30;
const ECDSA_WITH_SHA256 = der(SEQUENCE, der(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
const COMMON_NAME = der(0x06, [0x55, 0x04, 0x03]);
const SUBJECT_ALT_NAME = der(0x06, [0x55, 0x1d, 0x11]);

/** @returns PEM of an EC certificate for an IPv4 address, valid from 2020 to 2049, and of its key. */
export function selfSigned(address: string): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = der(SEQUENCE, der(0x31, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from("tidelane test")))));
  const validity = der(SEQUENCE, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("490101000000Z")));
  const alternative = der(SEQUENCE, der(0x87, address.split(".").map(Number)));
  const extensions = der(0xa3, der(SEQUENCE, der(SEQUENCE, SUBJECT_ALT_NAME, der(0x04, alternative))));
  const body = der(SEQUENCE, der(0xa0, der(0x02, [2])), der(0x02, [1]), ECDSA_WITH_SHA256, name, validity, name, publicKey.export({ type: "spki", format: "der" }), extensions);
  const signature = der(0x03, [0], sign("sha256", body, privateKey));
  const cert = der(SEQUENCE, body, ECDSA_WITH_SHA256, signature).toString("base64").replace(/(.{64})/g, "$1\n");
  return { cert: `-----BEGIN CERTIFICATE-----\n${cert}\n-----END CERTIFICATE-----\n`, key: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
}
