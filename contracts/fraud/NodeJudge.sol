// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../BatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {Assignment} from "../types/Assignment.sol";
import {Refusal} from "../types/Refusal.sol";
import {SaturationAttestation} from "../types/SaturationAttestation.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";
import {Verdict} from "./Evidence.sol";
import {Judge} from "./Judge.sol";

/// @title What nodes sign and must not: F1, F2, F3
contract NodeJudge is Judge {
    uint16 private constant REFUSAL_BPS = 100;
    uint8 private constant REFUSED_AS_FULL = 1;

    constructor(BatchSettlement batchSettlement_) Judge(batchSettlement_) {}

    /// @notice F1.
    function proveSaturationEquivocation(
        SaturationAttestation calldata one,
        bytes calldata oneSignature,
        SaturationAttestation calldata other,
        bytes calldata otherSignature,
        bytes32
    ) external view returns (Verdict memory verdict) {
        bool same = one.nodeId == other.nodeId && one.relayerId == other.relayerId && one.keyEpoch == other.keyEpoch
            && one.seq == other.seq;
        if (!same) revert NotTheSame();
        bytes32 oneHash = one.hash();
        bytes32 otherHash = other.hash();
        if (oneHash == otherHash) revert NoConflict(oneHash);
        _requireCounted(nodeRegistry, one.nodeId, one.keyEpoch, oneHash, oneSignature);
        _requireCounted(nodeRegistry, other.nodeId, other.keyEpoch, otherHash, otherSignature);
        verdict = _ofNode(
            keccak256(abi.encode("F1", one.nodeId, one.relayerId, one.keyEpoch, one.seq)), one.nodeId, one.relayerId, TENTH_BPS
        );
        verdict.jail = true;
    }

    /// @notice F2.
    function proveReceiptEquivocation(
        TaskReceipt calldata one,
        bytes calldata oneSignature,
        TaskReceipt calldata other,
        bytes calldata otherSignature,
        bytes32
    ) external view returns (Verdict memory) {
        if (one.nodeId != other.nodeId || one.relayerId != other.relayerId) revert NotTheSame();
        bytes32 oneHash = one.hash();
        bytes32 otherHash = other.hash();
        if (oneHash == otherHash) revert NoConflict(oneHash);
        if (one.nodeSeq != other.nodeSeq) {
            if (other.body.prevReceiptHash != oneHash) revert NotTheSame();
            if (other.nodeCumulative == uint256(one.nodeCumulative) + other.body.fee) revert NothingWrong();
        }
        _requireCounted(nodeRegistry, one.nodeId, one.keyEpoch, oneHash, oneSignature);
        _requireCounted(nodeRegistry, other.nodeId, other.keyEpoch, otherHash, otherSignature);
        // The later receipt of the two names the offence, so that it is the same whatever it is compared with.
        return _ofNode(
            keccak256(abi.encode("F2", other.nodeId, other.relayerId, other.nodeSeq)), other.nodeId, other.relayerId, WHOLE_BPS
        );
    }

    /// @notice F3.
    function proveFalseRefusal(
        SaturationAttestation calldata attestation,
        bytes calldata attestationSignature,
        Assignment calldata assignment,
        bytes calldata assignmentSignature,
        Refusal calldata refusal,
        bytes calldata refusalSignature,
        bytes32
    ) external view returns (Verdict memory verdict) {
        _checkAbout(attestation, assignment, refusal);
        _checkFalse(attestation, assignment.issuedAt, refusal);
        _requireCounted(nodeRegistry, attestation.nodeId, attestation.keyEpoch, attestation.hash(), attestationSignature);
        _requireCounted(
            relayerRegistry, assignment.relayerId, assignment.relayerEpoch, assignment.hash(), assignmentSignature
        );
        _requireCounted(nodeRegistry, refusal.nodeId, refusal.keyEpoch, refusal.hash(), refusalSignature);
        verdict = _ofNode(
            keccak256(abi.encode("F3", refusal.nodeId, refusal.assignmentHash)), refusal.nodeId, refusal.relayerId, REFUSAL_BPS
        );
        verdict.doubles = true;
    }

    /// @dev One node, one relayer; the assignment names the attestation that it relied on, the refusal both of them.
    function _checkAbout(
        SaturationAttestation calldata attestation,
        Assignment calldata assignment,
        Refusal calldata refusal
    ) private pure {
        bool same = assignment.nodeId == attestation.nodeId && refusal.nodeId == attestation.nodeId
            && assignment.relayerId == attestation.relayerId && refusal.relayerId == attestation.relayerId
            && assignment.attestationHash == attestation.hash() && refusal.assignmentHash == assignment.hash()
            && refusal.attestationSeq == attestation.seq;
        if (!same) revert NotTheSame();
    }

    /// @dev A refusal for another reason, outside the attestation's validity, or with all slots taken is an honest answer.
    function _checkFalse(SaturationAttestation calldata attestation, uint48 issuedAt, Refusal calldata refusal) private pure {
        bool inside = refusal.refusedAtMs >= attestation.observedAtMs && refusal.refusedAtMs <= attestation.validUntilMs
            && uint256(issuedAt) * 1_000 <= attestation.validUntilMs;
        if (refusal.reason != REFUSED_AS_FULL || !inside || refusal.accepted >= attestation.slots) revert NothingWrong();
    }

    function _ofNode(bytes32 key, uint32 nodeId, uint32 relayerId, uint16 bps) private view returns (Verdict memory verdict) {
        verdict.key = key;
        verdict.party = Party.NODE;
        verdict.offender = nodeId;
        verdict.harmed = relayerRegistry.ownerOf(relayerId);
        verdict.penaltyBps = bps;
    }
}
