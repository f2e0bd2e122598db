// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Verdict} from "../../contracts/fraud/Evidence.sol";
import {IFraudErrors} from "../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {TaskOrder} from "../../contracts/types/TaskOrder.sol";
import {Judged} from "./support/Judged.sol";
import {vm} from "./support/Vm.sol";

/// @notice F8, F10: the whole verdict on a relayer that signed twice, and evidence of which one part is not its own.
contract JudgedRelayersTest is Judged {
    function _judge() internal view override returns (address) {
        return address(proofs.relayerJudge());
    }

    // ---- F8

    function test_F8_verdict() public view {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        one.batchId = other.batchId = 7;
        _expectVerdict(_f8(one, SIGNER_KEY, other, SIGNER_KEY), _onRelayer(abi.encode("F8", relayerId, uint64(7)), 10_000));
    }

    function test_F8_bothHeadersAreSigned() public view {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _expectUnsigned(_f8(one, HOT_KEY, other, SIGNER_KEY), one.hash());
        _expectUnsigned(_f8(one, SIGNER_KEY, other, HOT_KEY), other.hash());
    }

    // ---- F10: one attempt given out twice

    function test_F10_verdict() public {
        (Assignment memory one, Assignment memory other) = _subtask();
        _expectVerdict(_f10(one, SIGNER_KEY, other, SIGNER_KEY), _double(one, address(0xB0B4)));
        _expectVerdict(_f10(other, SIGNER_KEY, one, SIGNER_KEY), _double(one, nodePayout));
    }

    /// @dev Whoever holds one assignment cannot invent the other, whichever is shown first.
    function test_F10_bothAssignmentsAreSigned() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _expectUnsigned(_f10(one, HOT_KEY, other, SIGNER_KEY), one.hash());
        _expectUnsigned(_f10(one, SIGNER_KEY, other, HOT_KEY), other.hash());
    }

    // ---- F10: shares

    function test_F10_verdictOnShares() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(3, 400_000);
        _retask(order, shares);
        Verdict memory expected = _onRelayer(abi.encode("F10 shares", relayerId, order.hash()), 1_000);
        expected.harmed = payer;
        _expectVerdict(_f10Shares(order, shares, SIGNER_KEY), expected);
    }

    /// @dev One share above the order is an offence by itself.
    function test_F10_aSingleShareAboveItsOrder() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(1, 1_000_001);
        _retask(order, shares);
        Verdict memory expected = _onRelayer(abi.encode("F10 shares", relayerId, order.hash()), 1_000);
        expected.harmed = payer;
        _expectVerdict(_f10Shares(order, shares, SIGNER_KEY), expected);
    }

    /// @dev Out of order, a subtask could be shown again behind another one.
    function test_F10_sharesAreShownInTheirOrder() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(3, 400_000);
        (shares[1].subtask, shares[2].subtask) = (2, 1);
        _retask(order, shares);
        _expectRefused(_f10Shares(order, shares, SIGNER_KEY), IFraudErrors.WrongNeighbours.selector);
        (shares[1].subtask, shares[2].subtask) = (1, 0);
        _retask(order, shares);
        _expectRefused(_f10Shares(order, shares, SIGNER_KEY), IFraudErrors.WrongNeighbours.selector);
    }

    // ---- helpers

    /// @dev Subtask 5 of a task in its attempt 6, given to two nodes with a payout each.
    function _subtask() private returns (Assignment memory one, Assignment memory other) {
        (one, other) = _assignments();
        (one.subtask, one.attempt, other.subtask, other.attempt) = (5, 6, 5, 6);
        vm.prank(nodeOwner);
        nodes.update(other.nodeId, _profileWith(address(0xB0B4)), _none(), new bytes32[](0));
    }

    function _double(Assignment memory one, address harmed) private view returns (Verdict memory expected) {
        expected = _onRelayer(abi.encode("F10", relayerId, one.taskId, one.subtask, one.attempt), 1_000);
        expected.harmed = harmed;
    }

    function _expectUnsigned(bytes memory call, bytes32 structHash) private view {
        _expectRefused(call, abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), structHash));
    }
}
