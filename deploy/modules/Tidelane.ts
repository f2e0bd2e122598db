// The contracts of one deployment, in the order of their creation.
//
//   1  NodeRegistry, RelayerRegistry  and, on local and test networks, two tokens
//   2  BondVault
//   3  Escrow                         told where 4, 5, 7 and 8 will be
//   4  BatchSettlement                checks that it is where 3 and the registries expect it
//   5  SaturationBoard                checks the same
//   6  TaskReceipts, the four judges
//   7  FraudProofs                    checks that it is where 2 and 3 expect it
//   8  TransferProofs                 checks that it is where 3 expects it
//   9  InferenceGateway, DepositBoxes nobody needs to be told of them: the one keeps its own money, the other none
//
// Contracts name each other in immutables, so some must be told an address before it exists: deploy/plan.ts works it out from
// the deployer's next nonce, and every contract that was foretold refuses to be created anywhere else.
import { buildModule, type ArgumentType, type Future } from "@nomicfoundation/ignition-core";
import { MODULE_ID } from "../plan.ts";

type Builder = Parameters<Parameters<typeof buildModule>[1]>[0];

/** Tokens that exist already. Parameters: payToken, stakeToken and those of `contracts`. */
export const onTokens = buildModule(MODULE_ID, (m) => contracts(m, m.getParameter("payToken"), m.getParameter("stakeToken"), []));

/** With test tokens, which the deployer can mint. */
export const withTestTokens = buildModule(MODULE_ID, (m) => {
  const payToken = m.contract("TideToken", ["Tidelane test dollar", "tUSD"], { id: "PayToken" });
  const stakeToken = m.contract("TideToken", ["Tidelane test stake", "TIDE"], { id: "StakeToken" });
  return { payToken, stakeToken, ...contracts(m, payToken, stakeToken, [payToken, stakeToken]) };
});

function contracts(m: Builder, payToken: ArgumentType, stakeToken: ArgumentType, before: Future[]) {
  const batchSettlement = m.getParameter("batchSettlement");
  const saturationBoard = m.getParameter("saturationBoard");
  const fraudProofs = m.getParameter("fraudProofs");
  const windowSeconds = m.getParameter("windowSeconds");
  const NodeRegistry = m.contract("NodeRegistry", [batchSettlement]);
  const RelayerRegistry = m.contract("RelayerRegistry", [batchSettlement]);
  const BondVault = m.contract(
    "BondVault", [stakeToken, payToken, NodeRegistry, RelayerRegistry, fraudProofs, windowSeconds, m.getParameter("stakePerSlot")],
    { after: before },
  );
  const Escrow = m.contract("Escrow", [{
    payToken, nodeRegistry: NodeRegistry, relayerRegistry: RelayerRegistry, bondVault: BondVault, batchSettlement, saturationBoard,
    fraudProofs, inferenceGateway: m.getParameter("inferenceGateway"), transferProofs: m.getParameter("transferProofs"),
    guardian: m.getParameter("guardian"), windowSeconds, leverage: m.getParameter("leverage"),
  }]);
  const BatchSettlement = m.contract("BatchSettlement", [Escrow]);
  const SaturationBoard = m.contract("SaturationBoard", [BatchSettlement, m.getParameter("epochSeconds")]);
  const after = [SaturationBoard];
  const TaskReceipts = m.contract("TaskReceipts", [BatchSettlement], { after });
  const NodeJudge = m.contract("NodeJudge", [BatchSettlement], { after });
  const LeafJudge = m.contract("LeafJudge", [BatchSettlement, m.getParameter("minimumPenalty")], { after });
  const TreeJudge = m.contract("TreeJudge", [BatchSettlement], { after });
  const RelayerJudge = m.contract("RelayerJudge", [BatchSettlement, SaturationBoard]);
  const FraudProofs = m.contract(
    "FraudProofs", [BatchSettlement, NodeJudge, LeafJudge, TreeJudge, RelayerJudge, m.getParameter("challengeBond")], { after: [TaskReceipts] },
  );
  const TransferProofs = m.contract("TransferProofs", [Escrow], { after: [FraudProofs] });
  const InferenceGateway = m.contract("InferenceGateway", [BatchSettlement, SaturationBoard, m.getParameter("minimumPenalty")], { after: [TransferProofs] });
  const DepositBoxes = m.contract("DepositBoxes", [Escrow], { after: [TransferProofs] });
  return {
    NodeRegistry, RelayerRegistry, BondVault, Escrow, BatchSettlement, SaturationBoard, TaskReceipts,
    NodeJudge, LeafJudge, TreeJudge, RelayerJudge, FraudProofs, TransferProofs, InferenceGateway, DepositBoxes,
  };
}

// `hardhat ignition` reads the default export.
export default onTokens;
