// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, RelayerAccount, Session, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Batches} from "./support/Batches.sol";
import {vm} from "./support/Vm.sol";

/// @notice No debit without the payer's word, no credit without the node's, debits = credits + fee; bond and bucket bound both.
contract DualCapTest is Batches {
    // ---- the dual cap

    function test_noDebitAboveTheProvenCap() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE - 1);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, sessionId, uint256(CHARGE), CHARGE - 1)
        );
        debits[0] = _debit(sessionId, CHARGE, 0);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, sessionId, uint256(CHARGE), uint96(0))
        );
    }

    function test_voucherCountsUpToMaxTotalOnly() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.maxTotal = CHARGE - 1;
        authorization.salt = 2;
        bytes32 small = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(small, CHARGE, type(uint96).max);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, small, uint256(CHARGE), CHARGE - 1)
        );
    }

    function test_noDebitAboveTheLock() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, CHARGE - 1);
        authorization.maxTotal = LOCK;
        bytes32 small = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(small, CHARGE, LOCK);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveLock.selector, small, uint256(CHARGE), CHARGE - 1)
        );
        vm.prank(payer);
        escrow.topUp(small, 1);
        _settle(small, CHARGE, FEE);
    }

    function test_noDebitAfterTheLockReturned() public {
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveLock.selector, sessionId, uint256(CHARGE), uint96(0))
        );
    }

    function test_aSessionServesItsRelayerOnly() public {
        uint32 first = relayerId;
        relayerId = _registerRelayer(stranger, 0xC9);
        _bond(Party.RELAYER, relayerId, 1_000e6);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        BatchHeader memory header = _header(debits, new Credit[](0));
        bytes memory signature = _sign(0xC9, header.hash());
        vm.expectRevert(abi.encodeWithSelector(IEscrow.SessionOfOtherRelayer.selector, sessionId, first, relayerId));
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, new Credit[](0));
    }

    function test_unknownSession() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(bytes32("unknown"), CHARGE, CHARGE);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.SessionOfOtherRelayer.selector, bytes32("unknown"), uint32(0), relayerId)
        );
    }

    function test_changesAreAboveZero() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, 0, CHARGE);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ZeroChange.selector, uint256(sessionId)));
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, 0, FEE);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ZeroChange.selector, uint256(nodeId))
        );
    }

    function test_noCreditAboveWhatTheNodeSigned() public {
        (, Debit[] memory debits, Credit[] memory credits) = _batch();
        credits[0] = _credit(nodeId, HOT_KEY, FEE, FEE - 1);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.CreditAboveProvenEarned.selector, relayerId, nodeId, uint256(FEE), FEE - 1)
        );
        credits[0] = _credit(nodeId, HOT_KEY, FEE, 0);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.CreditAboveProvenEarned.selector, relayerId, nodeId, uint256(FEE), uint96(0))
        );
    }

    function test_receiptCountsUnderItsEpochAfterARotation() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB2);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB2), consent);
        credits[0].keyEpoch = 3;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.UnknownNodeEpoch.selector, nodeId, uint32(3))
        );
        credits[0].keyEpoch = 1;
        _post(header, debits, credits);
    }

    // ---- conservation, fee and leverage

    function test_creditsNeverExceedDebits() public {
        (, Debit[] memory debits, Credit[] memory credits) = _batch();
        credits[0] = _credit(nodeId, HOT_KEY, CHARGE + 1, CHARGE + 1);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.CreditAboveDebit.selector, uint256(CHARGE), uint256(CHARGE) + 1)
        );
    }

    /// @dev A relayer cannot debit what no node claims: its fee is at most a tenth of the credits.
    function test_feeIsATenthOfTheCreditsAtMost() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, 11e6 + 1, LOCK);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, 10e6, 10e6);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.FeeAboveLimit.selector, uint256(1e6 + 1), uint256(1e6))
        );
        debits[0] = _debit(sessionId, 11e6, LOCK);
        _post(_header(debits, credits), debits, credits);
        vm.assertEq(escrow.relayerAccountOf(relayerId).fees, 1e6, "fee");
    }

    function test_unmaturedDebitsStayWithinLeverageTimesBond() public {
        _fund(payer, 100_000e6);
        SpendingAuthorization memory authorization = _authorization(VOUCHER, 60_000e6);
        authorization.salt = 2;
        bytes32 large = _open(authorization);
        vm.assertEq(escrow.debitCapacityOf(relayerId), 50_000e6, "capacity");
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(large, 50_000e6 + 1, 60_000e6);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, 50_000e6, 50_000e6);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.LeverageExceeded.selector, relayerId, uint256(50_000e6 + 1), uint256(50_000e6))
        );
        _settle(large, 50_000e6, 50_000e6);
        vm.assertEq(escrow.debitCapacityOf(relayerId), 0, "used up");
        debits[0] = _debit(large, 1, 60_000e6);
        credits[0] = _credit(nodeId, HOT_KEY, 1, 60_000e6);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.LeverageExceeded.selector, relayerId, uint256(50_000e6 + 1), uint256(50_000e6))
        );
        vm.warp(START + 6 * W);
        vm.assertEq(escrow.debitCapacityOf(relayerId), 50_000e6, "free again when the debits have matured");
        _settle(large, 1, 1);
    }

    function test_unbondingBondBacksNoNewDebits() public {
        vm.prank(relayerOwner);
        vault.requestUnbond(Party.RELAYER, relayerId, 10_000e6);
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.LeverageExceeded.selector, relayerId, uint256(CHARGE), uint256(0))
        );
    }

    // ---- the bucket

    function test_allowanceIsBoundByItsBucket() public {
        SpendingAuthorization memory authorization = _authorization(ALLOWANCE, LOCK);
        authorization.salt = 2;
        bytes32 id = _open(authorization);
        uint96 perDay = LOCK / 4;
        _settle(id, 2 * perDay, 2 * perDay);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 0, "drawn");
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, 1, 0);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveBucket.selector, id, uint96(1), uint96(0))
        );
        vm.warp(START + 12 hours);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, perDay / 2, "half a day refills half a day's allowance");
        debits[0] = _debit(id, perDay / 2 + 1, 0);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveBucket.selector, id, perDay / 2 + 1, perDay / 2)
        );
        vm.warp(START + 30 days);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 2 * perDay, "never above its capacity");
        _settle(id, 2 * perDay, 2 * perDay);
        debits[0] = _debit(id, 1, 0);
        vm.warp(START + 60 days);
        _expectDebitRefused(
            debits,
            abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, id, uint256(LOCK) + 1, LOCK)
        );
    }

    function test_allowanceTakesNoVoucher() public {
        SpendingAuthorization memory authorization = _authorization(ALLOWANCE, LOCK);
        authorization.salt = 2;
        bytes32 id = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, 1, LOCK + 1);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.VoucherNotAccepted.selector, id, ALLOWANCE));
    }

    // ---- fuzz

    /// @dev Any split of any change: debits = credits + fee, and no book moves but those named.
    function testFuzz_conservation(uint96 charge, uint96 fee, uint96 cap, uint96 cumulative) public {
        charge = uint96(1 + charge % LOCK);
        fee = uint96(charge - charge / 12 + fee % (charge / 12 + 1));
        cap = uint96(charge + cap % (LOCK - charge + 1));
        cumulative = uint96(fee + cumulative % LOCK);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, charge, cap);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, fee, cumulative);
        _post(_header(debits, credits), debits, credits);
        Session memory session = escrow.sessionOf(sessionId);
        Tab memory tab = escrow.tabOf(relayerId, nodeId);
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        vm.assertEq(session.charged, uint256(tab.earned) + account.fees, "debits = credits + fee");
        vm.assertEq(session.charged, charge, "charged");
        vm.assertEq(session.provenCap, cap, "proven cap");
        vm.assertEq(tab.provenEarned, cumulative, "proven earned");
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 - LOCK, "free balance untouched");
    }

    function testFuzz_bucketNeverExceedsItsBound(uint32[8] memory waits, uint96[8] memory wishes) public {
        SpendingAuthorization memory authorization = _authorization(ALLOWANCE, LOCK);
        authorization.salt = 2;
        bytes32 id = _open(authorization);
        uint256 perDay = LOCK / 4;
        uint256 drawn;
        for (uint256 i = 0; i < waits.length; ++i) {
            vm.warp(block.timestamp + waits[i] % 1 days);
            uint256 level = escrow.sessionOf(id).bucketLevel;
            uint256 left = LOCK - drawn;
            uint96 change = uint96(wishes[i] % ((level < left ? level : left) + 1));
            if (change == 0) continue;
            _settle(id, change, change);
            drawn += change;
            // The token bucket's bound over any span from opening: its capacity and what flowed in.
            vm.assertLe(drawn, 2 * perDay + perDay * (block.timestamp - START) / 1 days, "bucket bound");
        }
    }
}
