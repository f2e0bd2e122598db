// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Batch} from "../interfaces/IBatchSettlement.sol";
import {IBondVault, Party} from "../interfaces/IBondVault.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {Force, ForceState, IForces} from "../interfaces/IForces.sol";
import {IKeyRing, KeyEpoch} from "../interfaces/IKeyRing.sol";
import {IVoids} from "../interfaces/IVoids.sol";
import {Fees} from "../libraries/Fees.sol";
import {Leaf, MerkleSum, PathEnd, SumProof} from "../libraries/MerkleSum.sol";
import {Fault, Keys, Record, Records} from "../libraries/Records.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";
import {Ack} from "../types/Ack.sol";
import {Assignment} from "../types/Assignment.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";

/// @title The exit of a node whose acked receipt is left out
///
///     acked ── W ──▶ openForce ── W ──▶ resolveForce     the session's lock pays, the bond what that does not owe or hold
///                        │  answerForce: it stands in a batch, nothing is owed
///                        │  showSettled: the same task was charged already
///
abstract contract Forces is IForces, TidelaneDomain, ReentrancyGuardTransient {
    uint48 private constant OPEN_UNTIL_WINDOWS = 8;
    uint48 private constant CONDEMNED_WINDOWS = 3;

    mapping(bytes32 receiptHash => Force) private forces;
    /// @dev What forces of one task were paid, and which of its subtasks' inputs.
    mapping(bytes32 taskId => uint96) private forcedOf;
    mapping(bytes32 taskId => mapping(uint16 subtask => bool)) private inputForced;
    mapping(bytes32 receiptHash => mapping(bytes32 leafHash => bool)) private shown;

    /// @inheritdoc IForces
    function openForce(Record calldata record, Ack calldata ack, bytes calldata ackSignature, uint64 condemnedBatchId)
        external
        override
        nonReentrant
        returns (bytes32 receiptHash)
    {
        receiptHash = record.receipt.hash();
        _refuseForced(receiptHash);
        _checkAck(receiptHash, record.receipt.relayerId, ack, ackSignature);
        _checkTime(ack, condemnedBatchId);
        Records.requireLinked(record);
        Fault fault = Records.faultOf(record, Records.voucherHashOf(record), _keys());
        if (fault != Fault.NONE) revert RecordFaulty(receiptHash, fault);
        uint96 fee = record.receipt.body.fee;
        if (fee == 0) revert NothingToForce(receiptHash);
        uint96 held = _escrow().holdForForce(record.order.sessionId, fee, record.voucher.cumulativeCap);
        _store(forces[receiptHash], record, held);
        emit ForceOpened(
            receiptHash, record.receipt.relayerId, record.receipt.nodeId, record.order.sessionId, fee, held
        );
    }

    /// @inheritdoc IForces
    function answerForce(bytes32 receiptHash, uint64 batchId, Leaf calldata leaf, SumProof calldata tabProof)
        external
        override
        nonReentrant
    {
        Force storage force = _contestable(receiptHash);
        bytes32 leafHash = _settledLeaf(force.relayerId, batchId, leaf, tabProof);
        if (leaf.receiptHash != receiptHash) revert LeafDoesNotCount(receiptHash, leafHash);
        force.state = ForceState.ANSWERED;
        force.answeredBy = batchId;
        _escrow().payForce(force.sessionId, force.nodeId, force.held, 0);
        emit ForceAnswered(receiptHash, force.relayerId, batchId);
    }

    /// @inheritdoc IForces
    function showSettled(
        bytes32 receiptHash,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata tabProof,
        TaskReceipt calldata receipt,
        Assignment calldata assignment
    ) external override {
        Force storage force = _contestable(receiptHash);
        bytes32 leafHash = _settledLeaf(force.relayerId, batchId, leaf, tabProof);
        bool counts = leaf.receiptHash != receiptHash && leaf.receiptHash == receipt.hash()
            && receipt.body.assignmentHash == assignment.hash() && receipt.body.taskId == force.taskId
            && !shown[receiptHash][leafHash];
        if (!counts) revert LeafDoesNotCount(receiptHash, leafHash);
        shown[receiptHash][leafHash] = true;
        // A leaf's charge is a part of its batch's total, which has 96 bits.
        force.settled += uint96(leaf.charge);
        bool second =
            force.paysInput && receipt.body.subtask == force.subtask && Records.paysInput(receipt, assignment);
        if (second) force.secondInput = true;
        emit SettledShown(receiptHash, batchId, uint96(leaf.charge), second);
    }

    /// @inheritdoc IForces
    function resolveForce(bytes32 receiptHash)
        external
        override
        nonReentrant
        returns (uint96 fromLock, uint96 fromBond)
    {
        Force storage force = forces[receiptHash];
        if (force.state != ForceState.OPEN) revert ForceNotOpen(receiptHash, force.state);
        uint256 from = uint256(force.openedAt) + _window();
        if (block.timestamp <= from) revert ForceNotResolvable(receiptHash, from);
        uint96 fee = force.fee;
        uint96 due = _dueOfPayer(force);
        force.state = ForceState.RESOLVED;
        force.resolvedAt = uint48(block.timestamp);
        forcedOf[force.taskId] += fee;
        if (force.paysInput) inputForced[force.taskId][force.subtask] = true;

        IEscrow escrow = _escrow();
        fromLock = escrow.payForce(force.sessionId, force.nodeId, force.held, due);
        if (fromLock < fee) {
            fromBond = _bondVault().slash(Party.RELAYER, force.relayerId, fee - fromLock, address(escrow));
            if (fromBond != 0) escrow.fundTab(force.relayerId, force.nodeId, fromBond);
        }
        emit ForceResolved(receiptHash, fromLock, fromBond);
    }

    /// @inheritdoc IForces
    function forceOf(bytes32 receiptHash) external view override returns (Force memory) {
        return forces[receiptHash];
    }

    /// @dev An answer that stood in a batch condemned since then is none.
    function _refuseForced(bytes32 receiptHash) private view {
        Force storage force = forces[receiptHash];
        ForceState state = force.state;
        if (state == ForceState.NONE) return;
        bool answerFell = state == ForceState.ANSWERED && _condemnedAt(force.relayerId, force.answeredBy) != 0;
        if (!answerFell) revert ForceExists(receiptHash, state);
    }

    function _checkAck(bytes32 receiptHash, uint32 relayerId, Ack calldata ack, bytes calldata signature) private view {
        if (ack.receiptHash != receiptHash || ack.relayerId != relayerId) {
            revert AckOfOther(receiptHash, ack.receiptHash, relayerId, ack.relayerId);
        }
        Keys memory keys = _keys();
        KeyEpoch memory epoch = keys.relayers.keyOf(relayerId, ack.relayerEpoch);
        bool holds = Records.inEpoch(epoch, ack.ackedAt, keys.windowSeconds)
            && Records.isSigned(epoch.key, ack.hash(), signature, keys);
        if (!holds) revert AckInvalid(relayerId, ack.relayerEpoch, ack.ackedAt);
    }

    function _checkTime(Ack calldata ack, uint64 condemnedBatchId) private view {
        uint256 from = uint256(ack.ackedAt) + _window();
        uint256 until = uint256(ack.ackedAt) + OPEN_UNTIL_WINDOWS * _window();
        if (condemnedBatchId != 0) {
            uint256 condemned = _condemnedAt(ack.relayerId, condemnedBatchId);
            // A receipt acked after the batch was posted cannot have stood in it.
            bool mayStand = condemned != 0 && ack.ackedAt <= _batchOf(ack.relayerId, condemnedBatchId).postedAt;
            if (mayStand && condemned + CONDEMNED_WINDOWS * _window() > until) {
                until = condemned + CONDEMNED_WINDOWS * _window();
            }
        }
        if (block.timestamp < from || block.timestamp > until) {
            revert ForceNotNow(ack.ackedAt, from, until, block.timestamp);
        }
    }

    function _store(Force storage force, Record calldata record, uint96 held) private {
        Assignment calldata assignment = record.assignment;
        force.sessionId = record.order.sessionId;
        force.taskId = assignment.taskId;
        force.relayerId = assignment.relayerId;
        force.nodeId = assignment.nodeId;
        force.openedAt = uint48(block.timestamp);
        force.subtask = assignment.subtask;
        force.state = ForceState.OPEN;
        force.fee = record.receipt.body.fee;
        force.maxFee = record.order.maxFee;
        force.held = held;
        if (!Records.paysInput(record.receipt, assignment)) return;
        force.paysInput = true;
        uint256 inputFee =
            uint256(record.receipt.body.inputTokens) * assignment.priceInPerMTok / Fees.TOKENS_PER_PRICE;
        force.inputFee = inputFee < force.fee ? uint96(inputFee) : force.fee;
    }

    /// @dev What the payer's order still covers: neither more than maxFee in all, nor the input of a subtask twice.
    function _dueOfPayer(Force storage force) private view returns (uint96) {
        uint256 fee = force.fee;
        uint256 total = uint256(force.settled) + forcedOf[force.taskId] + fee;
        uint256 over = total > force.maxFee ? total - force.maxFee : 0;
        bool second = force.secondInput || (force.paysInput && inputForced[force.taskId][force.subtask]);
        if (second && force.inputFee > over) over = force.inputFee;
        return over < fee ? uint96(fee - over) : 0;
    }

    function _contestable(bytes32 receiptHash) private view returns (Force storage force) {
        force = forces[receiptHash];
        if (force.state != ForceState.OPEN) revert ForceNotOpen(receiptHash, force.state);
        uint256 until = uint256(force.openedAt) + _window();
        if (block.timestamp > until) revert ForceTooLate(receiptHash, until);
    }

    /// @dev Under the tab root, neither condemned nor voided.
    function _settledLeaf(uint32 relayerId, uint64 batchId, Leaf calldata leaf, SumProof calldata proof)
        private
        view
        returns (bytes32 leafHash)
    {
        Batch memory batch = _batchOf(relayerId, batchId);
        leafHash = MerkleSum.leafHash(leaf);
        PathEnd memory end = MerkleSum.walk(leafHash, leaf.fee, proof, batch.leafCount);
        bool stands = end.fits && end.rootHash == batch.tabRoot && end.rootSum == batch.totalCredit;
        if (!stands || _condemnedAt(relayerId, batchId) != 0 || _isVoided(relayerId, batchId, leafHash)) {
            revert LeafNotSettled(relayerId, batchId, leafHash);
        }
    }

    function _condemnedAt(uint32 relayerId, uint64 batchId) private view returns (uint256) {
        IVoids voids = _voids();
        return address(voids) == address(0) ? 0 : voids.condemnedAt(relayerId, batchId);
    }

    function _isVoided(uint32 relayerId, uint64 batchId, bytes32 leafHash) private view returns (bool) {
        IVoids voids = _voids();
        return address(voids) != address(0) && voids.isVoided(relayerId, batchId, leafHash);
    }

    function _keys() private view returns (Keys memory) {
        (IKeyRing nodes, IKeyRing relayers) = _registries();
        return Keys(nodes, relayers, _domainSeparator(), _window());
    }

    function _escrow() internal view virtual returns (IEscrow);
    function _bondVault() internal view virtual returns (IBondVault);
    function _voids() internal view virtual returns (IVoids);
    function _registries() internal view virtual returns (IKeyRing nodes, IKeyRing relayers);
    function _window() internal view virtual returns (uint48);
    function _batchOf(uint32 relayerId, uint64 batchId) internal view virtual returns (Batch memory);
}
