// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {BatchSettlement} from "./BatchSettlement.sol";
import {BadSum, ChangeClaim, Entry, Verdict} from "./fraud/Evidence.sol";
import {DataChallenges} from "./fraud/DataChallenges.sol";
import {LeafJudge} from "./fraud/LeafJudge.sol";
import {NodeJudge} from "./fraud/NodeJudge.sol";
import {Penalties} from "./fraud/Penalties.sol";
import {RelayerJudge} from "./fraud/RelayerJudge.sol";
import {TreeJudge} from "./fraud/TreeJudge.sol";
import {BoardEntry, EpochCommitment} from "./interfaces/IBoardEvidence.sol";
import {IFraudProofs} from "./interfaces/IFraudProofs.sol";
import {Tree} from "./interfaces/ITaskReceipts.sol";
import {ItemsOpening} from "./libraries/Items.sol";
import {Leaf, SumProof} from "./libraries/MerkleSum.sol";
import {Record} from "./libraries/Records.sol";
import {Assignment} from "./types/Assignment.sol";
import {BatchHeader} from "./types/BatchHeader.sol";
import {Refusal} from "./types/Refusal.sol";
import {SaturationAttestation} from "./types/SaturationAttestation.sol";
import {TaskOrder} from "./types/TaskOrder.sol";
import {TaskReceipt} from "./types/TaskReceipt.sol";

/// @title Fraud proofs: one transaction each, no arbitrator
/// @notice Four judges read the evidence and keep nothing; this contract keeps what was announced and punished, and is the only
/// one that the books obey.
contract FraudProofs is DataChallenges {
    uint256 private constant ANNOUNCED_BLOCKS = 2;

    NodeJudge public immutable nodeJudge;
    TreeJudge public immutable treeJudge;
    RelayerJudge public immutable relayerJudge;

    mapping(bytes32 commitment => uint256 blockNumber) private announcedAt;

    constructor(
        BatchSettlement batchSettlement_,
        NodeJudge nodeJudge_,
        LeafJudge leafJudge_,
        TreeJudge treeJudge_,
        RelayerJudge relayerJudge_,
        uint96 challengeBond_
    ) Penalties(batchSettlement_) DataChallenges(leafJudge_, challengeBond_) {
        nodeJudge = nodeJudge_;
        treeJudge = treeJudge_;
        relayerJudge = relayerJudge_;
        _expectSame(nodeJudge_.batchSettlement());
        _expectSame(leafJudge_.batchSettlement());
        _expectSame(treeJudge_.batchSettlement());
        _expectSame(relayerJudge_.batchSettlement());
    }

    /// @inheritdoc IFraudProofs
    function announce(bytes32 commitment) external override {
        // The first time counts: announcing again cannot put off who announced before.
        if (announcedAt[commitment] == 0) announcedAt[commitment] = block.number;
        emit Announced(commitment);
    }

    /// @inheritdoc IFraudProofs
    function proveSaturationEquivocation(
        SaturationAttestation calldata, bytes calldata, SaturationAttestation calldata, bytes calldata, bytes32
    ) external override {
        _prove(address(nodeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveReceiptEquivocation(TaskReceipt calldata, bytes calldata, TaskReceipt calldata, bytes calldata, bytes32)
        external
        override
    {
        _prove(address(nodeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveFalseRefusal(
        SaturationAttestation calldata, bytes calldata, Assignment calldata, bytes calldata, Refusal calldata, bytes calldata, bytes32
    ) external override {
        _prove(address(nodeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveInvalidLeaf(uint32, uint64, Leaf calldata, SumProof calldata, Record calldata, bytes32) external override {
        _prove(address(leafJudge));
    }

    /// @inheritdoc IFraudProofs
    function provePaidAfterForce(bytes32, uint64, Entry calldata, Assignment calldata, bytes32) external override {
        _prove(address(leafJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveWrongChange(BatchHeader calldata, ItemsOpening calldata, ChangeClaim calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveTaskAboveMaxFee(uint32, uint64, TaskOrder calldata, Entry calldata, Entry calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveBadSum(uint32, uint64, Tree, BadSum calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveTaskInTwoBatches(uint32, uint64, Entry calldata, uint64, Entry calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveSecondInput(uint32, uint64, Entry calldata, Assignment calldata, Entry calldata, Assignment calldata, bytes32)
        external
        override
    {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveDisorder(uint32, uint64, Tree, Entry calldata, Entry calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveAsymmetry(uint32, uint64, Tree, Entry calldata, Entry[] calldata, bytes32) external override {
        _prove(address(treeJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveHeaderEquivocation(BatchHeader calldata, bytes calldata, BatchHeader calldata, bytes calldata, bytes32)
        external
        override
    {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveDoubleAssignment(Assignment calldata, bytes calldata, Assignment calldata, bytes calldata, bytes32)
        external
        override
    {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveSharesAboveMaxFee(TaskOrder calldata, Assignment[] calldata, bytes[] calldata, bytes32) external override {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveBadBoardLeaf(EpochCommitment calldata, BoardEntry calldata, SaturationAttestation calldata, bytes32)
        external
        override
    {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveStaleBoardLeaf(
        EpochCommitment calldata, BoardEntry calldata, SaturationAttestation calldata, SaturationAttestation calldata,
        Assignment calldata, bytes calldata, bytes32
    ) external override {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveOmittedBoardLeaf(
        EpochCommitment calldata, bytes32, SaturationAttestation calldata, bytes calldata, Assignment calldata, bytes calldata,
        BoardEntry[] calldata, bytes32
    ) external override {
        _prove(address(relayerJudge));
    }

    /// @inheritdoc IFraudProofs
    function proveWrongPool(EpochCommitment calldata, uint256, BoardEntry[] calldata, bool, bool, bytes32) external override {
        _prove(address(relayerJudge));
    }

    /// @dev The judge gets the very call, and reverts where it proves nothing.
    function _prove(address judge) private nonReentrant {
        _requireAnnounced();
        bytes memory answer = Address.functionStaticCall(judge, msg.data);
        _punish(abi.decode(answer, (Verdict)), msg.sender);
    }

    /// @dev Whoever copies a proof from the mempool would have had to announce it in his own name before.
    function _requireAnnounced() private view {
        bytes32 commitment = keccak256(abi.encode(msg.sender, keccak256(msg.data)));
        uint256 since = announcedAt[commitment];
        if (since == 0 || block.number < since + ANNOUNCED_BLOCKS) revert NotAnnounced(commitment, since, block.number);
    }

    function _expectSame(BatchSettlement named) private view {
        if (address(named) != address(batchSettlement)) revert Miswired(address(named));
    }
}
