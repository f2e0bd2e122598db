// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../BatchSettlement.sol";
import {BoardEntry, EpochCommitment} from "../interfaces/IBoardEvidence.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {KeyEpoch} from "../interfaces/IKeyRing.sol";
import {ISaturationBoard, PoolFigure} from "../interfaces/ISaturationBoard.sol";
import {MerkleSum, PathEnd} from "../libraries/MerkleSum.sol";
import {Records} from "../libraries/Records.sol";
import {Assignment} from "../types/Assignment.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {SaturationAttestation} from "../types/SaturationAttestation.sol";
import {TaskOrder} from "../types/TaskOrder.sol";
import {Verdict} from "./Evidence.sol";
import {Judge} from "./Judge.sol";

/// @title What relayers sign and publish, and must not: F8, F10, F12
contract RelayerJudge is Judge {
    uint256 private constant SUBTASKS_SHOWN_MAX = 16;
    uint256 private constant OFFER_BYTES = 128;
    uint256 private constant SLOT_BPS_BITS = 96;

    ISaturationBoard public immutable saturationBoard;

    constructor(BatchSettlement batchSettlement_, ISaturationBoard saturationBoard_) Judge(batchSettlement_) {
        saturationBoard = saturationBoard_;
    }

    /// @notice F8.
    function proveHeaderEquivocation(
        BatchHeader calldata one,
        bytes calldata oneSignature,
        BatchHeader calldata other,
        bytes calldata otherSignature,
        bytes32
    ) external view returns (Verdict memory) {
        if (one.relayerId != other.relayerId || one.batchId != other.batchId) revert NotTheSame();
        bytes32 oneHash = one.hash();
        bytes32 otherHash = other.hash();
        if (oneHash == otherHash) revert NoConflict(oneHash);
        // A header rebuilt after the older one could no longer be posted is what a careful relayer signs.
        if (one.periodEnd > other.postBy || other.periodEnd > one.postBy) revert NothingWrong();
        _requireCounted(relayerRegistry, one.relayerId, one.relayerEpoch, oneHash, oneSignature);
        _requireCounted(relayerRegistry, other.relayerId, other.relayerEpoch, otherHash, otherSignature);
        return _ofRelayer(keccak256(abi.encode("F8", one.relayerId, one.batchId)), one.relayerId, WHOLE_BPS);
    }

    /// @notice F10: one attempt given out twice.
    function proveDoubleAssignment(
        Assignment calldata one,
        bytes calldata oneSignature,
        Assignment calldata other,
        bytes calldata otherSignature,
        bytes32
    ) external view returns (Verdict memory verdict) {
        bool same = one.relayerId == other.relayerId && one.taskId == other.taskId && one.subtask == other.subtask
            && one.attempt == other.attempt;
        if (!same) revert NotTheSame();
        bytes32 oneHash = one.hash();
        bytes32 otherHash = other.hash();
        if (oneHash == otherHash) revert NoConflict(oneHash);
        _requireCounted(relayerRegistry, one.relayerId, one.relayerEpoch, oneHash, oneSignature);
        _requireCounted(relayerRegistry, other.relayerId, other.relayerEpoch, otherHash, otherSignature);
        verdict = _ofRelayer(
            keccak256(abi.encode("F10", one.relayerId, one.taskId, one.subtask, one.attempt)), one.relayerId, TENTH_BPS
        );
        verdict.harmed = nodeRegistry.payoutOf(other.nodeId);
    }

    /// @notice F10: more shares than the order pays for.
    function proveSharesAboveMaxFee(
        TaskOrder calldata order,
        Assignment[] calldata assignments,
        bytes[] calldata signatures,
        bytes32
    ) external view returns (Verdict memory verdict) {
        if (assignments.length == 0 || assignments.length > SUBTASKS_SHOWN_MAX) revert WrongNeighbours();
        bytes32 taskId = order.hash();
        uint32 relayerId = assignments[0].relayerId;
        uint256 shares;
        for (uint256 i = 0; i < assignments.length; ++i) {
            Assignment calldata shown = assignments[i];
            if (shown.taskId != taskId || shown.relayerId != relayerId) revert NotTheSame();
            if (i != 0 && shown.subtask <= assignments[i - 1].subtask) revert WrongNeighbours();
            _requireCounted(relayerRegistry, relayerId, shown.relayerEpoch, shown.hash(), signatures[i]);
            shares += shown.shareCap;
        }
        if (shares <= order.maxFee) revert NothingWrong();
        verdict = _ofRelayer(keccak256(abi.encode("F10 shares", relayerId, taskId)), relayerId, TENTH_BPS);
        verdict.harmed = _payerOf(order.sessionId);
    }

    /// @notice F12: a leaf that is not what its attestation says.
    function proveBadBoardLeaf(
        EpochCommitment calldata commitment,
        BoardEntry calldata entry,
        SaturationAttestation calldata attestation,
        bytes32
    ) external view returns (Verdict memory) {
        _checkCommitment(commitment);
        _onBoard(commitment, entry);
        if (attestation.hash() != entry.attestationHash) revert NotTheSame();
        bool holds = attestation.nodeId == entry.nodeId && attestation.relayerId == commitment.relayerId
            && entry.slots <= attestation.slots && entry.slotBps == uint256(entry.slots) * _greatest(attestation);
        if (holds) revert NothingWrong();
        return _ofEpoch(commitment, entry.modelId, entry.nodeId);
    }

    /// @notice F12: a later attestation that the relayer itself relied on in the epoch.
    function proveStaleBoardLeaf(
        EpochCommitment calldata commitment,
        BoardEntry calldata entry,
        SaturationAttestation calldata attestation,
        SaturationAttestation calldata later,
        Assignment calldata assignment,
        bytes calldata assignmentSignature,
        bytes32
    ) external view returns (Verdict memory) {
        _checkCommitment(commitment);
        _onBoard(commitment, entry);
        if (attestation.hash() != entry.attestationHash || later.nodeId != entry.nodeId) revert NotTheSame();
        _checkReliedOn(commitment, later, assignment, assignmentSignature);
        if (later.seq <= attestation.seq) revert NothingWrong();
        return _ofEpoch(commitment, entry.modelId, entry.nodeId);
    }

    /// @notice F12: an attestation that the relayer relied on in the epoch, and left out.
    function proveOmittedBoardLeaf(
        EpochCommitment calldata commitment,
        bytes32 modelId,
        SaturationAttestation calldata omitted,
        bytes calldata offers,
        Assignment calldata assignment,
        bytes calldata assignmentSignature,
        BoardEntry[] calldata others,
        bytes32
    ) external view returns (Verdict memory) {
        _checkCommitment(commitment);
        _checkReliedOn(commitment, omitted, assignment, assignmentSignature);
        if (!_offers(omitted.offersHash, offers, modelId)) revert NothingWrong();
        _requireEmpty(commitment, modelId, omitted.nodeId, others);
        return _ofEpoch(commitment, modelId, omitted.nodeId);
    }

    /// @notice F12: a pool figure that its leaves do not add up to.
    function proveWrongPool(
        EpochCommitment calldata commitment,
        uint256 pool,
        BoardEntry[] calldata bounds,
        bool isOver,
        bool hasLeft,
        bytes32
    ) external view returns (Verdict memory) {
        _checkCommitment(commitment);
        PoolFigure calldata figure = commitment.pools[pool];
        (uint256 slots, uint256 slotBps) = isOver
            ? _sumBetween(commitment, figure.modelId, bounds, hasLeft)
            : _sumFromTo(commitment, figure.modelId, bounds);
        bool wrong = isOver
            ? figure.slots > slots || figure.slotBps > slotBps
            : figure.slots < slots || figure.slotBps < slotBps;
        if (!wrong) revert NothingWrong();
        return _ofEpoch(commitment, figure.modelId, 0);
    }

    // ---- the board

    function _checkCommitment(EpochCommitment calldata commitment) private view {
        bytes32 onBoard = saturationBoard.epochHashOf(commitment.relayerId, commitment.epoch);
        bytes32 shown = keccak256(abi.encode(commitment));
        if (onBoard != shown) revert CommitmentOfOtherEpoch(onBoard, shown);
    }

    /// @return leftSum both sums of everything left of the entry, the slots in the upper 32 bits.
    /// @return rootSum those of the tree.
    function _onBoard(EpochCommitment calldata commitment, BoardEntry calldata entry)
        private
        pure
        returns (uint256 leftSum, uint256 rootSum)
    {
        bytes32 hash =
            keccak256(abi.encodePacked(bytes1(0x00), entry.modelId, entry.nodeId, entry.attestationHash));
        PathEnd memory end = MerkleSum.walk(hash, _sumOf(entry), entry.proof, commitment.leafCount);
        if (!end.fits || end.rootHash != commitment.root) {
            revert LeafNotThere(commitment.root, hash, entry.proof.index);
        }
        return (end.leftSum, end.rootSum);
    }

    /// @dev An assignment of the epoch, signed by this relayer, names it: so no node can frame a relayer with what it never sent.
    /// It was observed in the epoch too: what is relied on across an epoch's edge may stand in either board. And the key counts
    /// still: whoever steals a closed one can date an assignment back.
    function _checkReliedOn(
        EpochCommitment calldata commitment,
        SaturationAttestation calldata attestation,
        Assignment calldata assignment,
        bytes calldata signature
    ) private view {
        uint32 relayerId = commitment.relayerId;
        bool about = assignment.relayerId == relayerId && attestation.relayerId == relayerId
            && assignment.nodeId == attestation.nodeId && assignment.attestationHash == attestation.hash()
            && saturationBoard.epochAt(assignment.issuedAt) == commitment.epoch
            && saturationBoard.epochAt(attestation.observedAtMs / 1_000) == commitment.epoch;
        if (!about) revert NotTheSame();
        KeyEpoch memory epoch = relayerRegistry.keyOf(relayerId, assignment.relayerEpoch);
        if (!Records.inEpoch(epoch, assignment.issuedAt, windowSeconds)) {
            revert KeyEpochOver(relayerId, assignment.relayerEpoch, epoch.closedAt);
        }
        _requireCounted(relayerRegistry, relayerId, assignment.relayerEpoch, assignment.hash(), signature);
    }

    function _offers(bytes32 offersHash, bytes calldata offers, bytes32 modelId) private pure returns (bool) {
        if (keccak256(offers) != offersHash) revert NotTheSame();
        for (uint256 i = 0; i + OFFER_BYTES <= offers.length; i += OFFER_BYTES) {
            if (bytes32(offers[i:i + 32]) == modelId) return true;
        }
        return false;
    }

    function _requireEmpty(
        EpochCommitment calldata commitment,
        bytes32 modelId,
        uint32 nodeId,
        BoardEntry[] calldata others
    ) private pure {
        if (others.length == 0 || others.length > 2) revert WrongNeighbours();
        for (uint256 i = 0; i < others.length; ++i) _onBoard(commitment, others[i]);
        bool firstBefore = _isBefore(others[0], modelId, nodeId);
        bool firstAfter = _isAfter(others[0], modelId, nodeId);
        bool empty;
        if (others.length == 2) {
            empty = firstBefore && _isAfter(others[1], modelId, nodeId)
                && uint256(others[0].proof.index) + 1 == others[1].proof.index;
        } else {
            empty = (firstAfter && others[0].proof.index == 0)
                || (firstBefore && others[0].proof.index + 1 == commitment.leafCount);
        }
        if (!empty) revert WrongNeighbours();
    }

    function _sumBetween(
        EpochCommitment calldata commitment,
        bytes32 modelId,
        BoardEntry[] calldata bounds,
        bool hasLeft
    ) private pure returns (uint256 slots, uint256 slotBps) {
        uint256 lefts = hasLeft ? 1 : 0;
        if (bounds.length == 0 || bounds.length < lefts || bounds.length > lefts + 1) revert WrongNeighbours();
        (uint256 from, uint256 to) = _onBoard(commitment, bounds[0]);
        if (hasLeft) {
            from += _sumOf(bounds[0]);
            if (bounds[0].modelId >= modelId) revert WrongNeighbours();
        } else {
            from = 0;
        }
        if (bounds.length > lefts) {
            BoardEntry calldata right = bounds[bounds.length - 1];
            // The only model of a board has no neighbours: any of its leaves shows what the whole tree sums to.
            bool whole = !hasLeft && right.modelId == modelId;
            if (right.modelId <= modelId && !whole) revert WrongNeighbours();
            if (!whole) (to,) = _onBoard(commitment, right);
        }
        return _split(from, to);
    }

    function _sumFromTo(EpochCommitment calldata commitment, bytes32 modelId, BoardEntry[] calldata bounds)
        private
        pure
        returns (uint256 slots, uint256 slotBps)
    {
        bool own = bounds.length == 2 && bounds[0].modelId == modelId && bounds[1].modelId == modelId;
        if (!own) revert WrongNeighbours();
        (uint256 from,) = _onBoard(commitment, bounds[0]);
        (uint256 to,) = _onBoard(commitment, bounds[1]);
        return _split(from, to + _sumOf(bounds[1]));
    }

    /// @dev Both sums rise from left to right, so the difference of the joint sums is the joint difference.
    function _split(uint256 from, uint256 to) private pure returns (uint256 slots, uint256 slotBps) {
        if (to < from) revert WrongNeighbours();
        uint256 both = to - from;
        return (both >> SLOT_BPS_BITS, both & ((1 << SLOT_BPS_BITS) - 1));
    }

    function _sumOf(BoardEntry calldata entry) private pure returns (uint128) {
        return uint128(entry.slots) << uint128(SLOT_BPS_BITS) | entry.slotBps;
    }

    function _isBefore(BoardEntry calldata entry, bytes32 modelId, uint32 nodeId) private pure returns (bool) {
        return entry.modelId == modelId ? entry.nodeId < nodeId : entry.modelId < modelId;
    }

    function _isAfter(BoardEntry calldata entry, bytes32 modelId, uint32 nodeId) private pure returns (bool) {
        return entry.modelId == modelId ? entry.nodeId > nodeId : entry.modelId > modelId;
    }

    function _greatest(SaturationAttestation calldata attestation) private pure returns (uint16 greatest) {
        greatest = attestation.computeBps;
        if (attestation.memoryBps > greatest) greatest = attestation.memoryBps;
        if (attestation.queueBps > greatest) greatest = attestation.queueBps;
        if (attestation.networkBps > greatest) greatest = attestation.networkBps;
        if (greatest > WHOLE_BPS) greatest = WHOLE_BPS;
    }

    function _ofEpoch(EpochCommitment calldata commitment, bytes32 modelId, uint32 nodeId)
        private
        view
        returns (Verdict memory verdict)
    {
        verdict = _ofRelayer(
            keccak256(abi.encode("F12", commitment.relayerId, commitment.epoch, modelId, nodeId)),
            commitment.relayerId,
            TENTH_BPS
        );
        if (nodeId != 0) verdict.harmed = nodeRegistry.payoutOf(nodeId);
    }

    function _ofRelayer(bytes32 key, uint32 relayerId, uint16 bps) private pure returns (Verdict memory verdict) {
        verdict.key = key;
        verdict.party = Party.RELAYER;
        verdict.offender = relayerId;
        verdict.relayerId = relayerId;
        verdict.penaltyBps = bps;
    }
}
