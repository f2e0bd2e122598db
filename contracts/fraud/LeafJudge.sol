// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../BatchSettlement.sol";
import {Batch} from "../interfaces/IBatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {Force, ForceState} from "../interfaces/IForces.sol";
import {Tree} from "../interfaces/ITaskReceipts.sol";
import {Fees} from "../libraries/Fees.sol";
import {Leaf, MerkleSum, PathEnd, SumProof} from "../libraries/MerkleSum.sol";
import {Fault, Record, Records} from "../libraries/Records.sol";
import {Assignment} from "../types/Assignment.sol";
import {Entry, Verdict} from "./Evidence.sol";
import {Judge} from "./Judge.sol";

/// @title What a settled leaf must be: F4, F13, and the answers to F9
contract LeafJudge is Judge {
    /// @notice The least penalty of an invalid leaf.
    uint96 public immutable minimumPenalty;

    constructor(BatchSettlement batchSettlement_, uint96 minimumPenalty_) Judge(batchSettlement_) {
        minimumPenalty = minimumPenalty_;
    }

    /// @notice F4.
    function proveInvalidLeaf(
        uint32 relayerId,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata sessionProof,
        Record calldata record,
        bytes32
    ) external view returns (Verdict memory verdict) {
        Batch memory batch = _checkRecord(relayerId, batchId, leaf, sessionProof, record);
        Fault fault = record.receipt.relayerId == relayerId ? _faultOf(leaf, record) : Fault.RECEIPT_FIELDS;
        if (fault == Fault.NONE) revert NothingWrong();
        bytes32 leafHash = MerkleSum.leafHash(leaf);
        verdict = _voiding(relayerId, batchId, batch, leafHash, record.receipt.body.sessionId, uint96(leaf.charge));
        verdict.key = keccak256(abi.encode("F4", relayerId, batchId, leafHash));
        verdict.penaltyLeast = _threeTimes(uint96(leaf.fee));
        if (!Records.isNodes(fault) || !_isSignedByNode(record)) return verdict;
        verdict.nodeId = record.receipt.nodeId;
        verdict.fromTab = leaf.fee < record.receipt.body.fee ? uint96(leaf.fee) : record.receipt.body.fee;
    }

    /// @notice F13.
    function provePaidAfterForce(
        bytes32 forcedReceiptHash,
        uint64 batchId,
        Entry calldata entry,
        Assignment calldata assignment,
        bytes32
    ) external view returns (Verdict memory verdict) {
        Force memory force = batchSettlement.forceOf(forcedReceiptHash);
        Batch memory batch = _batch(force.relayerId, batchId);
        _stands(batch, Tree.SESSION, entry);
        // A batch posted in time answers the force; one posted later, before or after the force resolved, pays beside it.
        bool about = force.state == ForceState.RESOLVED && batch.postedAt > uint256(force.openedAt) + windowSeconds
            && entry.receipt.body.taskId == force.taskId
            && entry.receipt.body.assignmentHash == assignment.hash();
        if (!about) revert NotTheSame();
        bool twice = entry.leaf.receiptHash == forcedReceiptHash || uint256(entry.leaf.charge) + force.fee > force.maxFee
            || (
                force.paysInput && entry.receipt.body.subtask == force.subtask
                    && Records.paysInput(entry.receipt, assignment)
            );
        if (!twice) revert NothingWrong();
        bytes32 leafHash = MerkleSum.leafHash(entry.leaf);
        uint96 charge = uint96(entry.leaf.charge);
        verdict = _voiding(force.relayerId, batchId, batch, leafHash, entry.receipt.body.sessionId, charge);
        verdict.key = keccak256(abi.encode("F13", force.relayerId, batchId, leafHash));
        verdict.extra = charge;
    }

    /// @notice Reverts unless the record is the one of that leaf, linked by hash to its last part: what F9 asks for.
    function requireRecord(
        uint32 relayerId,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata sessionProof,
        Record calldata record
    ) external view {
        _checkRecord(relayerId, batchId, leaf, sessionProof, record);
    }

    function _checkRecord(
        uint32 relayerId,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata proof,
        Record calldata record
    ) private view returns (Batch memory batch) {
        batch = _batch(relayerId, batchId);
        bytes32 leafHash = MerkleSum.leafHash(leaf);
        PathEnd memory end = MerkleSum.walk(leafHash, leaf.charge, proof, batch.leafCount);
        bool stands = end.fits && end.rootHash == batch.sessionRoot && end.rootSum == batch.totalDebit;
        if (!stands) revert LeafNotThere(batch.batchHash, leafHash, proof.index);
        bytes32 receiptHash = record.receipt.hash();
        if (receiptHash != leaf.receiptHash) revert ReceiptOfOtherLeaf(leaf.receiptHash, receiptHash);
        Records.requireLinked(record);
        bool signatures = keccak256(record.receiptSignature) == leaf.nodeSigHash
            && keccak256(record.assignmentSignature) == leaf.assignmentSigHash;
        bool voucher = leaf.voucherHash == 0
            || (record.voucher.hash() == leaf.voucherHash && keccak256(record.voucherSignature) == leaf.voucherSigHash);
        if (!signatures || !voucher) revert RecordOfOtherLeaf(leafHash);
    }

    /// @dev The record's own faults first, then those of the leaf that stands for it.
    function _faultOf(Leaf calldata leaf, Record calldata record) private view returns (Fault fault) {
        fault = Records.faultOf(record, leaf.voucherHash, _keys());
        if (fault != Fault.NONE) return fault;
        uint96 fee = record.receipt.body.fee;
        bool holds = leaf.fee == fee && leaf.charge == Fees.chargeDown(fee, record.assignment.feeBps)
            && (leaf.voucherHash != 0 || leaf.voucherSigHash == 0);
        return holds ? Fault.NONE : Fault.LEAF_SUMS;
    }

    /// @dev A tab pays for what its node signed. A signature that is not the node's is easily put into a leaf to rob it.
    function _isSignedByNode(Record calldata record) private view returns (bool) {
        address key = nodeRegistry.keyAddressOf(record.receipt.nodeId, record.receipt.keyEpoch);
        return Records.isSigned(key, record.receipt.hash(), record.receiptSignature, _keys());
    }

    /// @dev The whole charge goes back, as long as it can be kept from being paid out.
    function _voiding(
        uint32 relayerId,
        uint64 batchId,
        Batch memory batch,
        bytes32 leafHash,
        bytes32 sessionId,
        uint96 charge
    ) private view returns (Verdict memory verdict) {
        verdict.party = Party.RELAYER;
        verdict.offender = relayerId;
        verdict.relayerId = relayerId;
        verdict.batchId = batchId;
        verdict.voidedLeaf = leafHash;
        verdict.sessionId = sessionId;
        verdict.harmed = _payerOf(sessionId);
        if (_isImmature(batch)) verdict.refund = charge;
    }

    function _threeTimes(uint96 fee) private view returns (uint96) {
        uint256 penalty = 3 * uint256(fee);
        if (penalty < minimumPenalty) return minimumPenalty;
        return penalty < type(uint96).max ? uint96(penalty) : type(uint96).max;
    }
}
