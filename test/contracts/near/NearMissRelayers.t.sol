// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {TaskOrder} from "../../../contracts/types/TaskOrder.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F8, F10: headers that were rebuilt with care, and attempts that are further ones.
contract NearMissRelayersTest is NearMisses {
    // ---- F8: two headers of one batch

    function test_near_F8_rebuiltASecondAfterItsPostBy() public {
        (BatchHeader memory one, BatchHeader memory other) = _rebuilt();
        _expectNothingWrong(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        other.periodEnd = one.postBy;
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_rebuiltShownTheOtherWayRound() public {
        (BatchHeader memory one, BatchHeader memory other) = _rebuilt();
        _expectNothingWrong(_f8(other, SIGNER_KEY, one, SIGNER_KEY));
        other.periodEnd = one.postBy;
        _guilty(_f8(other, SIGNER_KEY, one, SIGNER_KEY));
    }

    function test_near_F8_rebuiltTwice() public {
        (BatchHeader memory one, BatchHeader memory other) = _rebuilt();
        BatchHeader memory third = _copy(other);
        third.periodEnd = other.postBy + 1;
        third.postBy = third.periodEnd + W / 2;
        _expectNothingWrong(_f8(one, SIGNER_KEY, third, SIGNER_KEY));
        _expectNothingWrong(_f8(other, SIGNER_KEY, third, SIGNER_KEY));
        third.periodEnd = other.postBy;
        _guilty(_f8(other, SIGNER_KEY, third, SIGNER_KEY));
    }

    /// @dev Rotated between the signing and the rebuilding.
    function test_near_F8_rebuiltUnderTheNextKey() public {
        (BatchHeader memory one, BatchHeader memory other) = _rebuilt();
        _rotateSigner();
        other.relayerEpoch = 2;
        _expectNothingWrong(_f8(one, SIGNER_KEY, other, 0xC5));
        other.periodEnd = one.postBy;
        _guilty(_f8(one, SIGNER_KEY, other, 0xC5));
    }

    function test_near_F8_theNextBatch() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        other.batchId += 1;
        _expectNotTheSame(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        other.batchId -= 1;
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_anotherRelayersBatchOfThatNumber() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        other.relayerId = 2;
        _expectNotTheSame(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        other.relayerId = relayerId;
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    /// @dev Sent again at a higher gas price, after a crash: the same header.
    function test_near_F8_sentAgainAfterACrash() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _expectNoConflict(_f8(one, SIGNER_KEY, one, SIGNER_KEY), one.hash());
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_forgedByANode() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _expectNotSigned(_f8(one, SIGNER_KEY, other, HOT_KEY), SIGNER_KEY, other.hash());
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_signedForAnotherDeployment() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        bytes memory elsewhere = _signElsewhere(SIGNER_KEY, one.hash());
        _expectNotSigned(
            abi.encodeCall(IFraudProofs.proveHeaderEquivocation, (one, elsewhere, other, _sign(SIGNER_KEY, other.hash()), SALT)),
            SIGNER_KEY,
            one.hash()
        );
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_closedKeyStolenTwoWindowsLater() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _rotateSigner();
        vm.warp(START + 2 * W);
        _expectKeyOver(_f8(one, SIGNER_KEY, other, SIGNER_KEY), relayerId, 1, START);
        vm.warp(START + 2 * W - 1);
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F8_keyEpochThatNeverWas() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        other.relayerEpoch = 2;
        _expectKeyOver(_f8(one, SIGNER_KEY, other, SIGNER_KEY), relayerId, 2, 0);
        other.relayerEpoch = 1;
        _guilty(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    // ---- F10: one attempt, one node; shares within the order

    function test_near_F10_migratedToAnotherNode() public {
        _nearAttempt(0, 1);
    }

    function test_near_F10_hedgedWhileItRuns() public {
        _nearAttempt(0, 2);
    }

    function test_near_F10_recoveredAfterACrash() public {
        _nearAttempt(0, 128);
    }

    function test_near_F10_redundantSubtask() public {
        _nearAttempt(1, 0);
    }

    function test_near_F10_anotherTask() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        other.taskId = keccak256("the next turn");
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.taskId = one.taskId;
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F10_anotherRelayersAttempt() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        other.relayerId = 2;
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.relayerId = relayerId;
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F10_sentAgainOverANewConnection() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _expectNoConflict(_f10(one, SIGNER_KEY, one, SIGNER_KEY), one.hash());
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F10_forgedByANode() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _expectNotSigned(_f10(one, SIGNER_KEY, other, HOT_KEY), SIGNER_KEY, other.hash());
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F10_closedKeyStolenTwoWindowsLater() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _rotateSigner();
        vm.warp(START + 2 * W);
        _expectKeyOver(_f10(one, SIGNER_KEY, other, SIGNER_KEY), relayerId, 1, START);
        vm.warp(START + 2 * W - 1);
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }

    function test_near_F10_keyRotatedInMidTask() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _rotateSigner();
        (other.relayerEpoch, other.attempt) = (2, 1);
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, 0xC5));
        other.attempt = 0;
        _guilty(_f10(one, SIGNER_KEY, other, 0xC5));
    }

    function test_near_F10_sharesUpToTheOrdersMaxFee() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(16, 100_000);
        order.maxFee = 1_600_000;
        _retask(order, shares);
        _expectNothingWrong(_f10Shares(order, shares, SIGNER_KEY));
        order.maxFee -= 1;
        _retask(order, shares);
        _guilty(_f10Shares(order, shares, SIGNER_KEY));
    }

    /// @dev Migration and hedges share their subtask's share: it counts once.
    function test_near_F10_twoAttemptsOfOneSubtask() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(2, 600_000);
        (shares[1].subtask, shares[1].attempt) = (0, 1);
        _retask(order, shares);
        _expectNeighbours(_f10Shares(order, shares, SIGNER_KEY));
        shares[1].subtask = 1;
        _guilty(_f10Shares(order, shares, SIGNER_KEY));
    }

    function test_near_F10_sharesOfAnotherOrder() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(2, 600_000);
        _retask(order, shares);
        shares[1].taskId = keccak256("the next turn");
        _expectNotTheSame(_f10Shares(order, shares, SIGNER_KEY));
        _retask(order, shares);
        _guilty(_f10Shares(order, shares, SIGNER_KEY));
    }

    function _rebuilt() private view returns (BatchHeader memory one, BatchHeader memory other) {
        (one, other) = _headers();
        other.periodEnd = one.postBy + 1;
        other.postBy = other.periodEnd + W / 2;
    }

    function _nearAttempt(uint16 subtask, uint8 attempt) private {
        (Assignment memory one, Assignment memory other) = _assignments();
        (other.subtask, other.attempt) = (subtask, attempt);
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        (other.subtask, other.attempt) = (0, 0);
        _guilty(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
    }
}
