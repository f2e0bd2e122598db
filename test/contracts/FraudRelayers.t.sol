// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudErrors} from "../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {TaskOrder} from "../../contracts/types/TaskOrder.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F8, F10: what a relayer pays for signing two headers of one batch, or one attempt twice.
contract FraudRelayersTest is Accusations {
    bytes private constant NEIGHBOURS = abi.encodeWithSelector(IFraudErrors.WrongNeighbours.selector);

    // ---- F8: header equivocation

    function test_F8_twoHeadersOfOneBatch() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _prove(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev Also where one of them was posted, and where the times only touch.
    function test_F8_headersWhoseTimesTouch() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        other.periodEnd = one.postBy;
        other.postBy = other.periodEnd + W / 2;
        _prove(_f8(other, SIGNER_KEY, one, SIGNER_KEY));
        _assertPenalty(BOND, address(0), 0);
    }

    function test_F8_nearMisses() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        // A batch rebuilt after the old one could no longer be posted.
        other.periodEnd = one.postBy + 1;
        other.postBy = other.periodEnd + W / 2;
        _expectNothingWrong(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        _expectNothingWrong(_f8(other, SIGNER_KEY, one, SIGNER_KEY));
        (one, other) = _headers();
        _expectNotProven(
            _f8(one, SIGNER_KEY, one, SIGNER_KEY), abi.encodeWithSelector(IFraudErrors.NoConflict.selector, one.hash())
        );
        other.batchId += 1;
        _expectNotTheSame(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        other.batchId -= 1;
        other.relayerId = 2;
        _expectNotTheSame(_f8(one, SIGNER_KEY, other, SIGNER_KEY));
        other.relayerId = relayerId;
        _expectNotProven(
            _f8(one, SIGNER_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), other.hash())
        );
        _expectNotProven(
            _f8(one, HOT_KEY, other, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), one.hash())
        );
        _rotateSigner();
        vm.warp(START + 2 * W);
        _expectNotProven(
            _f8(one, SIGNER_KEY, other, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(1), uint48(START))
        );
        other.relayerEpoch = 2;
        _expectNotProven(
            _f8(one, SIGNER_KEY, other, 0xC5),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(1), uint48(START))
        );
    }

    /// @dev Rotation between the two headers hides nothing while the old key counts.
    function test_F8_underTwoKeys() public {
        (BatchHeader memory one, BatchHeader memory other) = _headers();
        _rotateSigner();
        other.relayerEpoch = 2;
        _prove(_f8(one, SIGNER_KEY, other, 0xC5));
        _assertPenalty(BOND, address(0), 0);
    }

    // ---- F10: double assignment

    function test_F10_oneAttemptGivenToTwoNodes() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        _prove(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        _assertPenalty(BOND / 10, nodePayout, 0);
    }

    function test_F10_nearMisses() public {
        (Assignment memory one, Assignment memory other) = _assignments();
        // Migration and hedging: another attempt. Redundancy: another subtask. A crash: attempts from 128.
        other.attempt = 1;
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.attempt = 128;
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.attempt = 0;
        other.subtask = 1;
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.subtask = 0;
        other.taskId = keccak256("another");
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.taskId = one.taskId;
        other.relayerId = 2;
        _expectNotTheSame(_f10(one, SIGNER_KEY, other, SIGNER_KEY));
        other.relayerId = relayerId;
        _expectNotProven(
            _f10(one, SIGNER_KEY, one, SIGNER_KEY), abi.encodeWithSelector(IFraudErrors.NoConflict.selector, one.hash())
        );
        _expectNotProven(
            _f10(one, SIGNER_KEY, other, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), other.hash())
        );
        other.relayerEpoch = 2;
        _expectNotProven(
            _f10(one, SIGNER_KEY, other, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(2), uint48(0))
        );
        other.relayerEpoch = 1;
        _rotateSigner();
        vm.warp(START + 2 * W);
        _expectNotProven(
            _f10(one, SIGNER_KEY, other, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(1), uint48(START))
        );
    }

    function test_F10_moreSharesThanTheOrderPaysFor() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(16, 100_000);
        order.maxFee = 1_599_999;
        _retask(order, shares);
        _prove(_f10Shares(order, shares, SIGNER_KEY));
        _assertPenalty(BOND / 10, payer, 0);
    }

    function test_F10_shares_nearMisses() public {
        (TaskOrder memory order, Assignment[] memory shares) = _shares(16, 100_000);
        order.maxFee = 1_600_000;
        _retask(order, shares);
        _expectNothingWrong(_f10Shares(order, shares, SIGNER_KEY));
        // Two attempts of one subtask share one share.
        shares[5].subtask = shares[4].subtask;
        shares[5].attempt = 1;
        _expectNotProven(_f10Shares(order, shares, SIGNER_KEY), NEIGHBOURS);
        shares[5].subtask = 5;
        order.maxFee -= 1;
        _expectNotTheSame(_f10Shares(order, shares, SIGNER_KEY));
        _retask(order, shares);
        _expectNotProven(
            _f10Shares(order, shares, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), shares[0].hash())
        );
        shares[15].relayerId = 2;
        _expectNotTheSame(_f10Shares(order, shares, SIGNER_KEY));
        (order, shares) = _shares(17, 100_000);
        _retask(order, shares);
        _expectNotProven(_f10Shares(order, shares, SIGNER_KEY), NEIGHBOURS);
        (order, shares) = _shares(0, 100_000);
        _expectNotProven(_f10Shares(order, shares, SIGNER_KEY), NEIGHBOURS);
        (order, shares) = _shares(1, 1_000_000);
        _retask(order, shares);
        _expectNothingWrong(_f10Shares(order, shares, SIGNER_KEY));
    }
}
