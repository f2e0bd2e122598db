// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Verdict} from "../../contracts/fraud/Evidence.sol";
import {IFraudErrors} from "../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {Refusal} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {Judged} from "./support/Judged.sol";
import {vm} from "./support/Vm.sol";

/// @notice F1, F2, F3: the whole verdict on a node, and refusals that are honest in more than one way.
contract JudgedNodesTest is Judged {
    function _judge() internal view override returns (address) {
        return address(proofs.nodeJudge());
    }

    function test_F1_verdict() public view {
        SaturationAttestation memory one = _attested();
        SaturationAttestation memory other = _attested();
        other.slots = 4;
        Verdict memory expected = _onNode(abi.encode("F1", nodeId, relayerId, uint32(1), SEQ), 1_000);
        expected.jail = true;
        _expectVerdict(_f1(one, HOT_KEY, other, HOT_KEY), expected);
    }

    function test_F1_bothAttestationsAreSigned() public view {
        SaturationAttestation memory one = _attested();
        SaturationAttestation memory other = _attested();
        other.slots = 4;
        _expectUnsigned(_f1(one, 0xBAD, other, HOT_KEY), one.hash());
        _expectUnsigned(_f1(one, HOT_KEY, other, 0xBAD), other.hash());
    }

    /// @dev Named by the later receipt of the two, whatever it is compared with.
    function test_F2_verdict() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.body.prevReceiptHash = one.hash();
        other.nodeCumulative += 1;
        _expectVerdict(_f2(one, HOT_KEY, other, HOT_KEY), _equivocation(other));
        other.nodeSeq = one.nodeSeq;
        _expectVerdict(_f2(one, HOT_KEY, other, HOT_KEY), _equivocation(other));
    }

    function test_F2_bothReceiptsAreSigned() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        other.nodeSeq = one.nodeSeq;
        _expectUnsigned(_f2(one, 0xBAD, other, HOT_KEY), one.hash());
        _expectUnsigned(_f2(one, HOT_KEY, other, 0xBAD), other.hash());
    }

    /// @dev A total that starts anew beyond 96 bits does not follow from the one before it.
    function test_F2_aTotalThatRunsOver() public {
        (TaskReceipt memory one, TaskReceipt memory other) = _receipts();
        one.nodeCumulative = type(uint96).max;
        (other.body.prevReceiptHash, other.nodeCumulative) = (one.hash(), other.body.fee - 1);
        _expectVerdict(_f2(one, HOT_KEY, other, HOT_KEY), _equivocation(other));
    }

    function test_F3_verdict() public view {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        Verdict memory expected = _onNode(abi.encode("F3", nodeId, refusal.assignmentHash), 100);
        expected.doubles = true;
        _expectVerdict(_f3(attestation, assignment, refusal), expected);
    }

    /// @dev Honest for two of its three reasons at once: each of them is enough alone, and so are two.
    function test_F3_refusalsThatAreHonestTwice() public view {
        for (uint256 i = 0; i < 3; ++i) {
            (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
            if (i != 0) refusal.reason = 2;
            if (i != 1) refusal.refusedAtMs = attestation.validUntilMs + 1;
            if (i != 2) refusal.accepted = attestation.slots;
            _expectRefused(_f3(attestation, assignment, refusal), IFraudErrors.NothingWrong.selector);
        }
    }

    /// @dev Dated so far ahead that its milliseconds leave 48 bits: after the attestation's time, like any other.
    function test_F3_assignedAtTheEndOfTime() public view {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        assignment.issuedAt = type(uint48).max;
        refusal.assignmentHash = assignment.hash();
        _expectRefused(_f3(attestation, assignment, refusal), IFraudErrors.NothingWrong.selector);
    }

    // ---- helpers

    function _receipts() private returns (TaskReceipt memory one, TaskReceipt memory other) {
        return (_attempt().receipt, _attempt().receipt);
    }

    function _equivocation(TaskReceipt memory other) private view returns (Verdict memory) {
        return _onNode(abi.encode("F2", nodeId, relayerId, other.nodeSeq), 10_000);
    }

    function _expectUnsigned(bytes memory call, bytes32 structHash) private view {
        _expectRefused(call, abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(HOT_KEY), structHash));
    }
}
