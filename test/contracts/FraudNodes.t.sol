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
