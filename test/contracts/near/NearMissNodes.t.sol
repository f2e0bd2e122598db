// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {Refusal} from "../../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {TaskReceipt} from "../../../contracts/types/TaskReceipt.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F1, F2, F3: nodes that crash, rotate, serve several relayers, refuse with reason, and contradict nothing.
contract NearMissNodesTest is NearMisses {
    // ---- F1: two attestations of one seq

    function test_near_F1_sentAgainToAProcessThatReconnected() public {
        SaturationAttestation memory one = _attested();
        _expectNoConflict(_f1(one, HOT_KEY, one, HOT_KEY), one.hash());
        SaturationAttestation memory other = _copy(one);
        other.queuedTokens += 1;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_toTwoRelayersAtOnce() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        other.relayerId = 2;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.relayerId = relayerId;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_twoNodesOfOneOwner() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        other.nodeId = _addNode(0xB9);
        _expectNotTheSame(_f1(one, HOT_KEY, other, 0xB9));
        other.nodeId = nodeId;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_keyRotatedInMidEpoch() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _rotateNodeKey();
        other.keyEpoch = 2;
        _expectNotTheSame(_f1(one, HOT_KEY, other, 0xB5));
        other.keyEpoch = 1;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_twoInOneMillisecond() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        other.seq += 1;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.seq -= 1;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    /// @dev A node that lost its counter goes on with the clock: its seq rises.
    function test_near_F1_databaseLostAndRestarted() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        other.prevHash = 0;
        other.seq = uint64((START + 2) * 1_000) << 20;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.seq = SEQ;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_clockSetBackAtTheEpochsEdge() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        other.observedAtMs = one.observedAtMs - 1_500;
        other.seq = one.seq + 1;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.seq = one.seq;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_forgedByItsRelayer() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _expectNotSigned(_f1(one, HOT_KEY, other, SIGNER_KEY), HOT_KEY, other.hash());
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_signedWithTheNextKeyBeforeItsEpoch() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _expectNotSigned(_f1(one, 0xB5, other, HOT_KEY), HOT_KEY, one.hash());
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_closedKeyStolenTwoWindowsLater() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _rotateNodeKey();
        vm.warp(START + 2 * W);
        _expectKeyOver(_f1(one, HOT_KEY, other, HOT_KEY), nodeId, 1, START);
        vm.warp(START + 2 * W - 1);
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_keyEpochThatNeverWas() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        one.keyEpoch = other.keyEpoch = 2;
        _expectKeyOver(_f1(one, HOT_KEY, other, HOT_KEY), nodeId, 2, 0);
        one.keyEpoch = other.keyEpoch = 1;
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F1_signedForAnotherDeployment() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _expectNotSigned(
            abi.encodeCall(
                IFraudProofs.proveSaturationEquivocation,
                (one, _sign(HOT_KEY, one.hash()), other, _signElsewhere(HOT_KEY, other.hash()), SALT)
            ),
            HOT_KEY,
            other.hash()
        );
        _guilty(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    // ---- F2: two receipts of one place, or a total that does not follow

    function test_near_F2_hedgeOnAnotherNode() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeSeq = one.nodeSeq;
        other.nodeId = _addNode(0xB9);
        _expectNotTheSame(_f2(one, HOT_KEY, other, 0xB9));
        other.nodeId = nodeId;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_tabsAtTwoRelayers() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeSeq = one.nodeSeq;
        other.relayerId = 2;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.relayerId = relayerId;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    /// @dev Streams end in any order: a receipt need not name the one before it.
    function test_near_F2_receiptsOfParallelStreams() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeCumulative += 7;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.body.prevReceiptHash = one.hash();
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    /// @dev It resumes from the greater total that relayer or chain know, with no predecessor.
    function test_near_F2_databaseLostAndResumedFromTheChain() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeCumulative += 5 * FEE;
        other.body.prevReceiptHash = 0;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.body.prevReceiptHash = one.hash();
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_theChainAsItShouldBe() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.body.prevReceiptHash = one.hash();
        _expectNothingWrong(_f2(one, HOT_KEY, other, HOT_KEY));
        other.nodeCumulative -= 1;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_aHedgeThatEarnedNothing() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.body.prevReceiptHash = one.hash();
        (other.body.fee, other.nodeCumulative) = (0, one.nodeCumulative);
        _expectNothingWrong(_f2(one, HOT_KEY, other, HOT_KEY));
        other.nodeCumulative += 1;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_aCancelledStreamsPartialFee() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.body.prevReceiptHash = one.hash();
        (other.body.status, other.body.fee) = (CANCELLED, FEE - OUTPUT_FEE / 2);
        other.nodeCumulative = one.nodeCumulative + other.body.fee;
        _expectNothingWrong(_f2(one, HOT_KEY, other, HOT_KEY));
        other.nodeCumulative = one.nodeCumulative + FEE;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_sentAgainUntilAcked() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        _expectNoConflict(_f2(one, HOT_KEY, one, HOT_KEY), one.hash());
        other.nodeSeq = one.nodeSeq;
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    /// @dev A receipt is signed under its assignment's epoch; the one after it may be under the next.
    function test_near_F2_keyRotatedInMidChain() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        _rotateNodeKey();
        (other.keyEpoch, other.body.prevReceiptHash) = (2, one.hash());
        _expectNothingWrong(_f2(one, HOT_KEY, other, 0xB5));
        other.nodeSeq = one.nodeSeq;
        _guilty(_f2(one, HOT_KEY, other, 0xB5));
    }

    function test_near_F2_closedKeyStolenTwoWindowsLater() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeSeq = one.nodeSeq;
        _rotateNodeKey();
        vm.warp(START + 2 * W);
        _expectKeyOver(_f2(one, HOT_KEY, other, HOT_KEY), nodeId, 1, START);
        vm.warp(START + 2 * W - 1);
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    function test_near_F2_forgedByItsRelayer() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeSeq = one.nodeSeq;
        _expectNotSigned(_f2(one, HOT_KEY, other, SIGNER_KEY), HOT_KEY, other.hash());
        _expectNotSigned(_f2(one, SIGNER_KEY, other, HOT_KEY), HOT_KEY, one.hash());
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    /// @dev Shown the wrong way round: the earlier does not name the later.
    function test_near_F2_theSuccessorShownFirst() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.body.prevReceiptHash = one.hash();
        other.nodeCumulative += 1;
        _expectNotTheSame(_f2(other, HOT_KEY, one, HOT_KEY));
        _guilty(_f2(one, HOT_KEY, other, HOT_KEY));
    }

    // ---- F3: refused as full

    function test_near_F3_asManyAcceptedAsSlots() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        refusal.accepted = 8;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.accepted = 7;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_refusedForAnotherReason() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        for (uint8 reason = 2; reason <= 7; ++reason) {
            refusal.reason = reason;
            _expectNothingWrong(_f3(attestation, assignment, refusal));
        }
        refusal.reason = 1;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_theAttestationHadRunOut() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        refusal.refusedAtMs = attestation.validUntilMs + 1;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.refusedAtMs = attestation.validUntilMs;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_clockSetBackBeforeTheObservation() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        refusal.refusedAtMs = attestation.observedAtMs - 1;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.refusedAtMs = attestation.observedAtMs;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_assignedAfterTheAttestationsTime() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        assignment.issuedAt = uint48(START + 6);
        refusal.assignmentHash = assignment.hash();
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        assignment.issuedAt = uint48(START + 5);
        refusal.assignmentHash = assignment.hash();
        _guilty(_f3(attestation, assignment, refusal));
    }

    /// @dev The node said in the meantime that it has become full.
    function test_near_F3_aLaterAttestationStoodBetween() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        refusal.attestationSeq += 1;
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        refusal.attestationSeq -= 1;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_theRelayerReliedOnAnOlderOne() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        assignment.attestationHash = keccak256("an older one");
        refusal.assignmentHash = assignment.hash();
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        assignment.attestationHash = attestation.hash();
        refusal.assignmentHash = assignment.hash();
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_theMigratedAttemptWasTaken() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        assignment.attempt = 1;
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        assignment.attempt = 0;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_theHedgesOtherNodeRefused() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        assignment.nodeId = 2;
        refusal.assignmentHash = assignment.hash();
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        assignment.nodeId = nodeId;
        refusal.assignmentHash = assignment.hash();
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_slotsGrantedToAnotherRelayer() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        refusal.relayerId = 2;
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        refusal.relayerId = relayerId;
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_refusalForgedByItsRelayer() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        _expectNotSigned(_f3Signed(attestation, assignment, refusal, SIGNER_KEY), HOT_KEY, refusal.hash());
        _guilty(_f3(attestation, assignment, refusal));
    }

    function test_near_F3_closedKeyStolenTwoWindowsLater() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        _rotateNodeKey();
        vm.warp(START + 2 * W);
        _expectKeyOver(_f3(attestation, assignment, refusal), nodeId, 1, START);
        vm.warp(START + 2 * W - 1);
        _guilty(_f3(attestation, assignment, refusal));
    }

    // ---- evidence

    function _twins() private view returns (SaturationAttestation memory one, SaturationAttestation memory other) {
        one = _attested();
        other = _attested();
        other.slots = 4;
    }

    function _receipts() private returns (TaskReceipt memory one, TaskReceipt memory other) {
        return (_attempt().receipt, _attempt().receipt);
    }
}
