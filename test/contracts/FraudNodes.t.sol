// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {Refusal} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F1, F2, F3: what a node pays for contradicting itself, and what only looks like it.
contract FraudNodesTest is Accusations {
    // ---- F1: saturation equivocation

    function test_F1_twoAttestationsOfOneSeq() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        bytes memory call = _f1(one, HOT_KEY, other, HOT_KEY);
        _prove(call);
        _assertStakePenalty(STAKE / 10, relayerOwner);
        vm.assertTrue(vault.isJailed(Party.NODE, nodeId), "jailed");
        vm.warp(START + 14 * W);
        vm.assertFalse(vault.isJailed(Party.NODE, nodeId), "as long as a stake takes to leave");
    }

    function test_F1_oneSlashPerSeq() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _prove(_f1(one, HOT_KEY, other, HOT_KEY));
        bytes32 key = keccak256(abi.encode("F1", nodeId, relayerId, uint32(1), SEQ));
        bytes memory before = abi.encodeWithSelector(IFraudProofs.PunishedBefore.selector, key);
        _expectNotProven(_f1(other, HOT_KEY, one, HOT_KEY), before);
        other.slots = 7;
        _expectNotProven(_f1(one, HOT_KEY, other, HOT_KEY), before);
    }

    function test_F1_nearMisses() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        bytes32 hash = one.hash();
        _expectNotProven(_f1(one, HOT_KEY, one, HOT_KEY), abi.encodeWithSelector(IFraudErrors.NoConflict.selector, hash));
        _expectNotProven(
            _f1(one, HOT_KEY, other, 0xBAD),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(HOT_KEY), other.hash())
        );
        _expectNotProven(
            _f1(one, SIGNER_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(HOT_KEY), hash)
        );
        // To two relayers, by two nodes, under two keys, or one after the other: each is what an honest node does.
        other.relayerId = 2;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.relayerId = relayerId;
        other.nodeId = _addNode(0xB9);
        _expectNotTheSame(_f1(one, HOT_KEY, other, 0xB9));
        other.nodeId = nodeId;
        other.keyEpoch = 2;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.keyEpoch = 1;
        other.seq += 1;
        _expectNotTheSame(_f1(one, HOT_KEY, other, HOT_KEY));
        other.seq = one.seq;
        other.keyEpoch = one.keyEpoch = 3;
        _expectNotProven(
            _f1(one, HOT_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, nodeId, uint32(3), uint48(0))
        );
    }

    /// @dev Whoever steals an old key cannot slash the node that closed it.
    function test_F1_countsUntilTwoWindowsAfterTheKeyWasClosed() public {
        (SaturationAttestation memory one, SaturationAttestation memory other) = _twins();
        _rotateNodeKey();
        vm.warp(START + 2 * W);
        _expectNotProven(
            _f1(one, HOT_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, nodeId, uint32(1), uint48(START))
        );
        vm.warp(START + 2 * W - 1);
        _prove(_f1(one, HOT_KEY, other, HOT_KEY));
    }

    // ---- F2: receipt equivocation

    function test_F2_twoReceiptsOfOneSeq() public {
        TaskReceipt memory one = _attempt().receipt;
        TaskReceipt memory other = _attempt().receipt;
        other.nodeSeq = one.nodeSeq;
        _prove(_f2(one, HOT_KEY, other, HOT_KEY));
        _assertStakePenalty(STAKE, relayerOwner);
        bytes32 key = keccak256(abi.encode("F2", nodeId, relayerId, one.nodeSeq));
        vm.assertTrue(proofs.isPunished(key), "once");
    }

    function test_F2_aSuccessorWhoseTotalIsNotItsPredecessorsPlusItsFee() public {
        TaskReceipt memory one = _attempt().receipt;
        TaskReceipt memory other = _attempt().receipt;
        other.body.prevReceiptHash = one.hash();
        other.nodeCumulative += 1;
        _prove(_f2(one, HOT_KEY, other, HOT_KEY));
        _assertStakePenalty(STAKE, relayerOwner);
    }

    function test_F2_nearMisses() public {
        TaskReceipt memory one = _attempt().receipt;
        TaskReceipt memory other = _attempt().receipt;
        // Gaps are allowed: a receipt that names no predecessor, or another one, contradicts nothing.
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.body.prevReceiptHash = keccak256("one that was lost");
        other.nodeCumulative += 50;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.nodeCumulative -= 50;
        // The chain as it should be.
        other.body.prevReceiptHash = one.hash();
        _expectNothingWrong(_f2(one, HOT_KEY, other, HOT_KEY));
        // A node that lost its database goes on with no predecessor and the greater total.
        other.body.prevReceiptHash = 0;
        other.nodeCumulative += 1_000;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.nodeSeq = one.nodeSeq;
        other.relayerId = 2;
        _expectNotTheSame(_f2(one, HOT_KEY, other, HOT_KEY));
        other.relayerId = relayerId;
        other.nodeId = _addNode(0xB9);
        _expectNotTheSame(_f2(one, HOT_KEY, other, 0xB9));
        other.nodeId = nodeId;
        _expectNotProven(
            _f2(one, HOT_KEY, other, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(HOT_KEY), other.hash())
        );
        _expectNotProven(
            _f2(one, SIGNER_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(HOT_KEY), one.hash())
        );
        _expectNotProven(_f2(one, HOT_KEY, one, HOT_KEY), abi.encodeWithSelector(IFraudErrors.NoConflict.selector, one.hash()));
        _rotateNodeKey();
        vm.warp(START + 2 * W);
        _expectNotProven(
            _f2(one, HOT_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, nodeId, uint32(1), uint48(START))
        );
    }

    /// @dev A receipt is signed under its assignment's epoch even after a rotation: two epochs of one tab still are one tab.
    function test_F2_oneSeqUnderTwoEpochs() public {
        TaskReceipt memory one = _attempt().receipt;
        _rotateNodeKey();
        TaskReceipt memory other = _attempt().receipt;
        other.keyEpoch = 2;
        other.nodeSeq = one.nodeSeq;
        _prove(_f2(one, HOT_KEY, other, 0xB5));
        _assertStakePenalty(STAKE, relayerOwner);
    }

    // ---- F3: said free, refused as full

    function test_F3_refusedAsFullWithFewerAcceptedThanSlots() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        _prove(_f3(attestation, assignment, refusal));
        _assertStakePenalty(STAKE / 100, relayerOwner);
    }

    function test_F3_doublesWithinADay() public {
        uint256 stakeLeft = STAKE;
        for (uint256 i = 0; i < 9; ++i) {
            (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
            assignment.attempt = uint8(i);
            refusal.assignmentHash = assignment.hash();
            _prove(_f3(attestation, assignment, refusal));
            uint256 bps = 100 << (i < 7 ? i : 7);
            stakeLeft -= stakeLeft * (bps < 10_000 ? bps : 10_000) / 10_000;
            vm.assertEq(vault.activeBondOf(Party.NODE, nodeId), stakeLeft, "left");
        }
    }

    function test_F3_startsAnewAfterADay() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        _prove(_f3(attestation, assignment, refusal));
        vm.warp(START + 1 days);
        assignment.attempt = 9;
        refusal.assignmentHash = assignment.hash();
        _prove(_f3(attestation, assignment, refusal));
        uint256 once = STAKE - STAKE / 100;
        vm.assertEq(vault.activeBondOf(Party.NODE, nodeId), once - once / 100, "one percent again");
    }

    function test_F3_nearMisses() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        // As many as it has slots are running: the refusal is the honest answer.
        refusal.accepted = 8;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.accepted = 9;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.accepted = 3;
        // For any other reason than being full.
        for (uint8 reason = 2; reason <= 7; ++reason) {
            refusal.reason = reason;
            _expectNothingWrong(_f3(attestation, assignment, refusal));
        }
        refusal.reason = 1;
        // Before and after the attestation's time.
        refusal.refusedAtMs = attestation.validUntilMs + 1;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.refusedAtMs = attestation.observedAtMs - 1;
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        refusal.refusedAtMs = attestation.observedAtMs;
        assignment.issuedAt = uint48(START + 6);
        refusal.assignmentHash = assignment.hash();
        _expectNothingWrong(_f3(attestation, assignment, refusal));
        assignment.issuedAt = uint48(START);
        refusal.assignmentHash = assignment.hash();
        // A later attestation stands between: the refusal names it.
        refusal.attestationSeq += 1;
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        refusal.attestationSeq -= 1;
        // The relayer relied on another attestation.
        assignment.attestationHash = keccak256("an older one");
        refusal.assignmentHash = assignment.hash();
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        assignment.attestationHash = attestation.hash();
        // A refusal of another assignment.
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        refusal.assignmentHash = assignment.hash();
        // Another relayer's assignment does not use up this one's slots.
        refusal.relayerId = 2;
        _expectNotTheSame(_f3(attestation, assignment, refusal));
        refusal.relayerId = relayerId;
        attestation.slots = 3;
        assignment.attestationHash = attestation.hash();
        refusal.assignmentHash = assignment.hash();
        _expectNothingWrong(_f3(attestation, assignment, refusal));
    }

    function test_F3_everySignatureIsAsked() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 hash = i == 0 ? attestation.hash() : i == 1 ? assignment.hash() : refusal.hash();
            _expectNotProven(
                abi.encodeCall(
                    IFraudProofs.proveFalseRefusal,
                    (
                        attestation,
                        _sign(i == 0 ? 0xBAD : HOT_KEY, attestation.hash()),
                        assignment,
                        _sign(i == 1 ? 0xBAD : SIGNER_KEY, assignment.hash()),
                        refusal,
                        _sign(i == 2 ? 0xBAD : HOT_KEY, refusal.hash()),
                        SALT
                    )
                ),
                abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(i == 1 ? SIGNER_KEY : HOT_KEY), hash)
            );
        }
    }

    // ---- helpers

    function _twins() private view returns (SaturationAttestation memory one, SaturationAttestation memory other) {
        one = _attested();
        other = _attested();
        other.slots = 4;
    }

}
