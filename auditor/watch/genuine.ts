// Whether the messages of a finding are signed by whom they accuse: what somebody forged or published as junk goes no further.
import { isSignedBy } from "../../protocol/signing.ts";
import type { StructName, Structs } from "../../protocol/generated/structs.ts";
import type { Hex } from "../../protocol/units.ts";
import { keyName } from "../verify.ts";
import type { KeyFacts } from "./faults.ts";
import type { Finding } from "./findings.ts";

/** One message, its signature, and the key that must have made it. */
interface Claim {
  readonly party: "node" | "relayer";
  readonly id: number;
  readonly epoch: number;
  isGenuine(keys: KeyFacts): Promise<boolean>;
}

/** Nodes and relayers whose keys decide, as (id, epoch). */
export function keysNamed(findings: readonly Finding[]): { readonly nodes: [number, number][]; readonly relayers: [number, number][] } {
  const claims = findings.flatMap(claimsOf);
  const of = (party: Claim["party"]): [number, number][] => claims.filter((one) => one.party === party).map(({ id, epoch }) => [id, epoch]);
  return { nodes: of("node"), relayers: of("relayer") };
}

/** True of findings about batches and boards: their judge reads what stands on chain. */
export async function isGenuine(finding: Finding, keys: KeyFacts): Promise<boolean> {
  for (const claim of claimsOf(finding)) if (!await claim.isGenuine(keys)) return false;
  return true;
}

function claimsOf(finding: Finding): Claim[] {
  if (finding.functionName === "proveSaturationEquivocation") return two("SaturationAttestation", finding.evidence, (one) => ofNode(one.nodeId, one.keyEpoch));
  if (finding.functionName === "proveReceiptEquivocation") return two("TaskReceipt", finding.evidence, (one) => ofNode(one.nodeId, one.keyEpoch));
  if (finding.functionName === "proveHeaderEquivocation") return two("BatchHeader", finding.evidence, (one) => ofRelayer(one.relayerId, one.relayerEpoch));
  if (finding.functionName === "proveDoubleAssignment") return two("Assignment", finding.evidence, (one) => ofRelayer(one.relayerId, one.relayerEpoch));
  if (finding.functionName === "proveSharesAboveMaxFee") {
    const { assignments, signatures } = finding.evidence;
    return assignments.map((one, i) => claim("Assignment", one, signatures[i]!, ofRelayer(one.relayerId, one.relayerEpoch)));
  }
  if (finding.functionName !== "proveFalseRefusal") return [];
  const { attestation, attestationSignature, assignment, assignmentSignature, refusal, refusalSignature } = finding.evidence;
  return [
    claim("SaturationAttestation", attestation, attestationSignature, ofNode(attestation.nodeId, attestation.keyEpoch)),
    claim("Assignment", assignment, assignmentSignature, ofRelayer(assignment.relayerId, assignment.relayerEpoch)),
    claim("Refusal", refusal, refusalSignature, ofNode(refusal.nodeId, refusal.keyEpoch)),
  ];
}

type Key = Pick<Claim, "party" | "id" | "epoch">;
const ofNode = (id: number, epoch: number): Key => ({ party: "node", id, epoch });
const ofRelayer = (id: number, epoch: number): Key => ({ party: "relayer", id, epoch });

const two = <Name extends StructName>(
  name: Name, { one, oneSignature, other, otherSignature }: { one: Structs[Name]; oneSignature: Hex; other: Structs[Name]; otherSignature: Hex }, keyOf: (message: Structs[Name]) => Key,
): Claim[] => [claim(name, one, oneSignature, keyOf(one)), claim(name, other, otherSignature, keyOf(other))];

const claim = <Name extends StructName>(name: Name, message: Structs[Name], signature: Hex, key: Key): Claim => ({
  ...key,
  isGenuine: async ({ domain, nodeKeys, relayerKeys, recover }) => {
    const fact = (key.party === "node" ? nodeKeys : relayerKeys).get(keyName(key.id, key.epoch));
    return fact !== undefined && isSignedBy(fact.key, domain, name, message, signature, recover);
  },
});
