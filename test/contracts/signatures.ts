// A vector of every signed struct by three libraries that share no code, and everything about it that can be changed: which
// structs and which fields there are is read from the contracts' own ABI, so a new field cannot be forgotten.
import { expect } from "chai";
import { TypedDataEncoder, Wallet, type ParamType } from "ethers";
import fc from "fast-check";
import { network } from "hardhat";
import { bytesToHex, concat, hexToBytes, numberToHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import secp256k1 from "secp256k1";
import { digest, domainSeparator, typedDataOf, type Domain } from "../../protocol/typedData.ts";
import type { StructName } from "../../protocol/generated/structs.ts";
import type { Hash, Hex } from "../../protocol/units.ts";
import { structNames, structOf } from "../protocol/arbitraries.ts";

const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
/** A test key, a public number, never for real money. */
const KEY: Hex = `0x${"51".repeat(32)}`;
const wallet = new Wallet(KEY);
const account = privateKeyToAccount(KEY);
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const ORDER = 2n * HALF_ORDER + 1n;
const ZERO_ADDRESS = `0x${"00".repeat(20)}`;
const domain: Domain = { chainId: 31_337, verifyingContract: `0x${"aa".repeat(20)}` };
type Value = Record<string, unknown>;

const signers: Readonly<Record<string, (name: StructName, value: Value, on: Domain) => Promise<Hex>>> = {
  ethers: async (name, value, on) => {
    const { domain: named, types, message } = typedDataOf(on, name, value as never);
    return await wallet.signTypedData(named, Object.fromEntries(Object.entries(types).map(([type, fields]) => [type, [...fields]])), message as Value) as Hex;
  },
  viem: (name, value, on) => account.signTypedData(typedDataOf(on, name, value as never) as never),
  secp256k1: async (name, value, on) => {
    const { signature, recid } = secp256k1.ecdsaSign(hexToBytes(digest(on, name, value as never)), hexToBytes(KEY));
    return concat([bytesToHex(signature), numberToHex(27 + recid, { size: 1 })]);
  },
};

describe(`signatures over every struct (FUZZ_SEED=${seed})`, () => {
  let contracts: Awaited<ReturnType<typeof deploy>>;
  before(async function () {
    this.timeout(120_000);
    contracts = await deploy();
  });

  it("are there for every struct that the contracts hash", () => {
    expect(contracts.structs.map(({ name }) => name).sort()).to.deep.equal([...structNames].sort());
  });

  for (const name of structNames) {
    it(`${name}: ethers, viem and secp256k1 sign alike, and Solidity takes their word for it`, async () => {
      const value = sampleOf(name);
      const signatures = await Promise.all(Object.values(signers).map((sign) => sign(name, value, domain)));
      expect(new Set(signatures).size, "one signature").to.equal(1);
      const hash = await contracts.hashOf(name, value);
      expect(hash).to.equal(TypedDataEncoder.hashStruct(name, ethersTypes(name), value));
      for (const signature of signatures) expect(await contracts.isSigned(wallet.address, hash, signature)).to.equal(true);
      expect(await contracts.signerOf(hash, compact(signatures[0]!))).to.equal(wallet.address);
    }).timeout(60_000);

    it(`${name}: no word for it once any field is another`, async () => {
      const value = sampleOf(name);
      const signature = await signers["ethers"]!(name, value, domain);
      const { fields } = contracts.structs.find((one) => one.name === name)!;
      expect(fields).to.have.lengthOf.above(2);
      for (const field of fields) {
        const hash = await contracts.hashOf(name, flipped(value, field));
        expect(await contracts.isSigned(wallet.address, hash, signature), field.path.join(".")).to.equal(false);
        expect(await contracts.signerOf(hash, compact(signature)), field.path.join(".")).not.to.equal(wallet.address);
      }
    }).timeout(60_000);

    it(`${name}: nor on another chain, for another contract, or in another form`, async () => {
      const value = sampleOf(name);
      const hash = await contracts.hashOf(name, value);
      const elsewhere: Domain[] = [{ ...domain, chainId: domain.chainId + 1 }, { ...domain, verifyingContract: `0x${"ab".repeat(20)}` }];
      for (const other of elsewhere) {
        const signature = await signers["ethers"]!(name, value, other);
        expect(await contracts.isSigned(wallet.address, hash, signature), JSON.stringify(other)).to.equal(false);
        expect(await contracts.signerOf(hash, compact(signature))).not.to.equal(wallet.address);
      }
      const signature = await signers["ethers"]!(name, value, domain);
      for (const [what, bad] of Object.entries(malformed(signature))) {
        for (const key of [wallet.address, ZERO_ADDRESS]) expect(await contracts.isSigned(key, hash, bad), what).to.equal(false);
      }
      for (const [what, bad] of Object.entries(malformedPairs(signature))) {
        expect(await contracts.signerOf(hash, bad), what).to.equal(ZERO_ADDRESS);
      }
    }).timeout(60_000);
  }
});

interface Field {
  readonly path: readonly string[];
  readonly type: string;
}

/** The structs of StructHashes by its ABI, and their fields, those of nested structs one by one. */
async function deploy() {
  const { ethers } = await network.create();
  const hashes = await ethers.deployContract("StructHashes");
  const harness = await ethers.deployContract("RecordHarness", [wallet.address, wallet.address, domainSeparator(domain)]);
  const structs = hashes.interface.fragments.filter((fragment) => fragment.type === "function").map((fragment) => {
    const [value] = fragment.inputs as ParamType[];
    const method = (fragment as unknown as { name: string }).name;
    return { name: `${method[0]!.toUpperCase()}${method.slice(1)}`, fields: fieldsOf(value!, []) };
  });
  const hashOf = async (name: StructName, value: Value): Promise<Hash> => (await hashes.getFunction(`${name[0]!.toLowerCase()}${name.slice(1)}`).staticCall(value) as [Hash, Hash])[1];
  const isSigned = async (key: string, hash: Hash, signature: Hex): Promise<boolean> => await harness.getFunction("isSigned").staticCall(key, hash, signature) as boolean;
  const signerOf = async (hash: Hash, { r, vs }: { r: Hex; vs: Hex }): Promise<string> => await harness.getFunction("signerOf").staticCall(hash, r, vs) as string;
  return { structs, hashOf, isSigned, signerOf };
}

function fieldsOf(tuple: ParamType, path: readonly string[]): Field[] {
  return tuple.components!.flatMap((component) => (component.components ? fieldsOf(component, [...path, component.name]) : [{ path: [...path, component.name], type: component.type }]));
}

const sampleOf = (name: StructName): Value => fc.sample(structOf(name), { numRuns: 1, seed })[0] as unknown as Value;

const ethersTypes = (name: StructName) => Object.fromEntries(Object.entries(typedDataOf(domain, name, {} as never).types).map(([type, fields]) => [type, [...fields]]));

/** The same value but for its last bit at that place. */
function flipped(value: Value, { path: [first, ...rest], type }: Field): Value {
  const found = value[first!];
  if (rest.length > 0) return { ...value, [first!]: flipped(found as Value, { path: rest, type }) };
  if (type.startsWith("uint")) return { ...value, [first!]: BigInt(found as number | bigint) ^ 1n };
  const text = found as string;
  return { ...value, [first!]: text.slice(0, -1) + (Number.parseInt(text.slice(-1), 16) ^ 1).toString(16) };
}

function partsOf(signature: Hex): { r: bigint; s: bigint; v: number } {
  return { r: BigInt(signature.slice(0, 66)), s: BigInt(`0x${signature.slice(66, 130)}`), v: Number.parseInt(signature.slice(130), 16) };
}

const put = (r: bigint, s: bigint, v: number): Hex => concat([numberToHex(r, { size: 32 }), numberToHex(s, { size: 32 }), numberToHex(v, { size: 1 })]);

function malformed(signature: Hex): Record<string, Hex> {
  const { r, s, v } = partsOf(signature);
  return {
    "high s": put(r, ORDER - s, 55 - v), "the other v": put(r, s, 55 - v), "v = 0": put(r, s, 0), "v = 1": put(r, s, 1), "v = 29": put(r, s, 29), "v = 255": put(r, s, 255),
    "r = 0": put(0n, s, v), "s = 0": put(r, 0n, v), "r = order": put(ORDER, s, v), zeros: put(0n, 0n, 0), "zeros with v": put(0n, 0n, 27),
    "a byte less": signature.slice(0, 130) as Hex, "a byte more": `${signature}00`, nothing: "0x", compact: concat([compact(signature).r, compact(signature).vs]),
  };
}

/** ERC-2098, as batches carry signatures. */
function compact(signature: Hex): { r: Hex; vs: Hex } {
  const { r, s, v } = partsOf(signature);
  return { r: numberToHex(r, { size: 32 }), vs: numberToHex(s | BigInt(v - 27) << 255n, { size: 32 }) };
}

function malformedPairs(signature: Hex): Record<string, { r: Hex; vs: Hex }> {
  const { r, vs } = compact(signature);
  const word = (value: bigint): Hex => numberToHex(value, { size: 32 });
  return { "high s": { r, vs: word(HALF_ORDER + 1n) }, zeros: { r: word(0n), vs: word(0n) }, "r = 0": { r: word(0n), vs }, "r = order": { r: word(ORDER), vs }, "s = 0": { r, vs: word(0n) } };
}
