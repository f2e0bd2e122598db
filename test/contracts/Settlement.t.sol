// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {SaturationBoard} from "../../contracts/SaturationBoard.sol";
import {Batch, Credit, Debit, IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, RelayerAccount, Session, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {ISaturationBoard} from "../../contracts/interfaces/ISaturationBoard.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice postBatch: what it moves, what it stores, and everything it refuses.
contract SettlementTest is World {
    uint96 private constant LOCK = 100e6;
    uint96 private constant CHARGE = 10_300_000;
    uint96 private constant FEE = 10_000_000;

    bytes32 private sessionId;

    function setUp() public override {
        super.setUp();
        sessionId = _openSession(VOUCHER, LOCK);
    }

    // ---- what it does

    function test_movesDebitsToCreditsAndTheRestToTheFee() public {
        vm.expectEmit(address(escrow));
        emit IEscrow.SessionDebited(sessionId, CHARGE);
        vm.expectEmit(address(escrow));
        emit IEscrow.TabCredited(relayerId, nodeId, FEE);
        vm.expectEmit(address(escrow));
        emit IEscrow.FeeAccrued(relayerId, CHARGE - FEE);
        _settle(sessionId, CHARGE, FEE);
        vm.assertEq(escrow.sessionOf(sessionId).charged, CHARGE, "charged");
        vm.assertEq(escrow.sessionOf(sessionId).provenCap, CHARGE, "proven cap");
        Tab memory tab = escrow.tabOf(relayerId, nodeId);
        vm.assertEq(tab.earned, FEE, "earned");
        vm.assertEq(tab.provenEarned, FEE, "proven earned");
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        vm.assertEq(account.debited, CHARGE, "debited");
        vm.assertEq(account.fees, CHARGE - FEE, "fees");
        vm.assertEq(escrow.trackedBalance(), 1_000e6, "nothing came, nothing went");
    }

    function test_storesRootsTotalsAndTime() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectEmit(address(settlement));
        emit IBatchSettlement.BatchPosted(relayerId, 1, header.hash(), header);
        vm.prank(poster);
        bytes32 batchHash = settlement.postBatch(header, signature, debits, credits);
        vm.assertEq(batchHash, header.hash(), "hash");
        Batch memory batch = settlement.batchOf(relayerId, 1);
        vm.assertEq(batch.batchHash, batchHash, "stored hash");
        vm.assertEq(batch.sessionRoot, header.sessionRoot, "session root");
        vm.assertEq(batch.tabRoot, header.tabRoot, "tab root");
        vm.assertEq(batch.totalDebit, CHARGE, "total debit");
        vm.assertEq(batch.totalCredit, FEE, "total credit");
        vm.assertEq(batch.leafCount, 10, "leaves");
        vm.assertEq(batch.postedAt, START, "posted at");
        (uint64 lastId, bytes32 lastHash) = settlement.lastBatchOf(relayerId);
        vm.assertEq(lastId, 1, "last id");
        vm.assertEq(lastHash, batchHash, "last hash");
    }

    /// @dev Cumulative values imply the rest: a later batch may stand on an earlier voucher and an earlier receipt.
    function test_provenAmountsLastOverBatches() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, LOCK);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, FEE, 50e6);
        _post(_header(debits, credits), debits, credits);
        debits[0] = _debit(sessionId, CHARGE, 0);
        credits[0] = _credit(nodeId, HOT_KEY, FEE, 0);
        _post(_header(debits, credits), debits, credits);
        vm.assertEq(escrow.sessionOf(sessionId).charged, 2 * CHARGE, "charged");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).earned, 2 * FEE, "earned");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).provenEarned, 50e6, "proven earned");
    }

    function test_batchWithoutItemsIsPosted() public {
        Debit[] memory debits = new Debit[](0);
        Credit[] memory credits = new Credit[](0);
        BatchHeader memory header = _header(debits, credits);
        vm.assertEq(header.debitsHash, keccak256(""), "an empty list");
        _post(header, debits, credits);
        vm.assertEq(settlement.batchOf(relayerId, 1).leafCount, 10, "free work has leaves too");
    }

    function test_manySessionsAndTabs() public {
        (Debit[] memory debits, Credit[] memory credits) = _many(37);
        _post(_header(debits, credits), debits, credits);
        for (uint256 i = 0; i < debits.length; ++i) {
            vm.assertEq(escrow.sessionOf(debits[i].sessionId).charged, 1_000 + i, "charged");
        }
        for (uint256 i = 0; i < credits.length; ++i) {
            vm.assertEq(escrow.tabOf(relayerId, credits[i].nodeId).earned, 1_000 + i, "earned");
        }
    }

    // ---- the header

    function test_onlyThePosterPosts() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.NotPoster.selector, relayerId, stranger, poster));
        vm.prank(stranger);
        settlement.postBatch(header, signature, debits, credits);
        header.relayerId = 99;
        vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.NotPoster.selector, uint32(99), poster, address(0)));
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }

    function test_postingAgainFailsOnItsId() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        _post(header, debits, credits);
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.WrongBatchId.selector, relayerId, uint64(1), uint64(2)));
        header.batchId = 3;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.WrongBatchId.selector, relayerId, uint64(3), uint64(2)));
        bytes32 last = settlement.batchOf(relayerId, 1).batchHash;
        header.batchId = 2;
        header.prevBatchHash = keccak256("another history");
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.WrongPrevBatchHash.selector, relayerId, header.prevBatchHash, last)
        );
    }

    function test_timesOfTheHeader() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        header.periodStart = header.periodEnd + 1;
        _expectWrongTimes(header, debits, credits);
        header.periodStart = 0;
        header.periodEnd = uint48(START + 1);
        _expectWrongTimes(header, debits, credits);
        header.periodEnd = uint48(START);
        header.postBy = uint48(START - 1);
        _expectWrongTimes(header, debits, credits);
        header.postBy = uint48(START) + W / 2 + 1;
        _expectWrongTimes(header, debits, credits);
        header.postBy = uint48(START) + W / 2;
        vm.warp(header.postBy + 1);
        _expectWrongTimes(header, debits, credits);
        vm.warp(header.postBy);
        _post(header, debits, credits);
    }

    function test_rootsAndLeafCount() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        header.leafCount = 0;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.LeafCountOutOfRange.selector, uint32(0), uint32(2 ** 20)));
        header.leafCount = 2 ** 20 + 1;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.LeafCountOutOfRange.selector, uint32(2 ** 20 + 1), uint32(2 ** 20)));
        header.leafCount = 2 ** 20;
        bytes32 root = header.sessionRoot;
        header.sessionRoot = 0;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.EmptyRoot.selector, bytes32(0), header.tabRoot));
        header.sessionRoot = root;
        header.tabRoot = 0;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.EmptyRoot.selector, root, bytes32(0)));
    }

    /// @dev Rotation and retirement do not invalidate what was signed before them.
    function test_closedSignerSpeaksForItsTime() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory consent = _consent(address(relayers), relayerOwner, 0xC2);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC2), consent);
        vm.warp(START + W / 2);
        _post(header, debits, credits);

        vm.warp(START + W);
        (header, debits, credits) = _batch();
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.PeriodAfterKeyEpoch.selector, uint48(START + W), uint48(START))
        );
        header.relayerEpoch = 3;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IBatchSettlement.UnknownRelayerEpoch.selector, relayerId, uint32(3)));
    }

    function test_retiredAndJailedRelayersStillSettle() public {
        vm.prank(relayerOwner);
        relayers.retire(relayerId);
        vm.prank(fraudProofs);
        vault.jail(Party.RELAYER, relayerId, uint48(START + 30 days));
        vm.prank(nodeOwner);
        nodes.retire(nodeId);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + W - 1);
        _settle(sessionId, CHARGE, FEE);
        vm.assertEq(escrow.tabOf(relayerId, nodeId).earned, FEE, "earned");
    }

    // ---- lists and totals

    function test_itemsStrictlyAscend() public {
        (Debit[] memory debits, Credit[] memory credits) = _many(3);
        (debits[0], debits[1]) = (debits[1], debits[0]);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ItemsNotAscending.selector, debits[0].sessionId, debits[1].sessionId)
        );
        debits[0] = debits[1];
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ItemsNotAscending.selector, debits[1].sessionId, debits[1].sessionId)
        );
    }

    function test_tabsStrictlyAscend() public {
        (Debit[] memory debits, Credit[] memory credits) = _many(3);
        credits[2] = credits[1];
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ItemsNotAscending.selector, uint256(credits[1].nodeId), uint256(credits[1].nodeId))
        );
        (credits[0], credits[1]) = (credits[1], credits[0]);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ItemsNotAscending.selector, uint256(credits[0].nodeId), uint256(credits[1].nodeId))
        );
    }

    function test_listsFitTheirHashes() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes32 right = header.debitsHash;
        header.debitsHash = keccak256("other debits");
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.WrongDebitsHash.selector, header.debitsHash, right));
        header.debitsHash = right;
        right = header.creditsHash;
        header.creditsHash = keccak256("other credits");
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.WrongCreditsHash.selector, header.creditsHash, right));
    }

    function test_listsFitTheirTotals() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        header.totalDebit = CHARGE - 1;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.WrongTotals.selector, uint256(CHARGE), uint256(FEE), CHARGE - 1, FEE));
        header.totalDebit = CHARGE;
        header.totalCredit = FEE + 1;
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.WrongTotals.selector, uint256(CHARGE), uint256(FEE), CHARGE, FEE + 1));
    }

    function test_atMost500Items() public {
        Debit[] memory debits = new Debit[](499);
        Credit[] memory credits = new Credit[](2);
        _expectRefused(_header(debits, credits), debits, credits, abi.encodeWithSelector(IEscrow.TooManyItems.selector, uint256(501), uint256(500)));
    }

    // ---- the dual cap

    function test_noDebitAboveTheProvenCap() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE - 1);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, sessionId, uint256(CHARGE), CHARGE - 1));
        debits[0] = _debit(sessionId, CHARGE, 0);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, sessionId, uint256(CHARGE), uint96(0)));
    }

    function test_voucherCountsUpToMaxTotalOnly() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.maxTotal = CHARGE - 1;
        authorization.salt = 2;
        bytes32 small = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(small, CHARGE, type(uint96).max);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, small, uint256(CHARGE), CHARGE - 1));
    }

    function test_noDebitAboveTheLock() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, CHARGE - 1);
        authorization.maxTotal = LOCK;
        bytes32 small = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(small, CHARGE, LOCK);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveLock.selector, small, uint256(CHARGE), CHARGE - 1));
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
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveLock.selector, sessionId, uint256(CHARGE), uint96(0)));
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
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.SessionOfOtherRelayer.selector, bytes32("unknown"), uint32(0), relayerId));
    }

    function test_changesAreAboveZero() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, 0, CHARGE);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ZeroChange.selector, uint256(sessionId)));
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, 0, FEE);
        _expectRefused(_header(debits, credits), debits, credits, abi.encodeWithSelector(IEscrow.ZeroChange.selector, uint256(nodeId)));
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
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.UnknownNodeEpoch.selector, nodeId, uint32(3)));
        credits[0].keyEpoch = 1;
        _post(header, debits, credits);
    }

    // ---- conservation, fee and leverage

    function test_creditsNeverExceedDebits() public {
        (, Debit[] memory debits, Credit[] memory credits) = _batch();
        credits[0] = _credit(nodeId, HOT_KEY, CHARGE + 1, CHARGE + 1);
        _expectRefused(_header(debits, credits), debits, credits, abi.encodeWithSelector(IEscrow.CreditAboveDebit.selector, uint256(CHARGE), uint256(CHARGE) + 1));
    }

    /// @dev A relayer cannot debit what no node claims: its fee is at most a tenth of the credits.
    function test_feeIsATenthOfTheCreditsAtMost() public {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, 11e6 + 1, LOCK);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, 10e6, 10e6);
        _expectRefused(_header(debits, credits), debits, credits, abi.encodeWithSelector(IEscrow.FeeAboveLimit.selector, uint256(1e6 + 1), uint256(1e6)));
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
        _expectRefused(header, debits, credits, abi.encodeWithSelector(IEscrow.LeverageExceeded.selector, relayerId, uint256(CHARGE), uint256(0)));
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
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveBucket.selector, id, uint96(1), uint96(0)));
        vm.warp(START + 12 hours);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, perDay / 2, "half a day refills half a day's allowance");
        debits[0] = _debit(id, perDay / 2 + 1, 0);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveBucket.selector, id, perDay / 2 + 1, perDay / 2));
        vm.warp(START + 30 days);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 2 * perDay, "never above its capacity");
        _settle(id, 2 * perDay, 2 * perDay);
        debits[0] = _debit(id, 1, 0);
        vm.warp(START + 60 days);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, id, uint256(LOCK) + 1, LOCK));
    }

    function test_allowanceTakesNoVoucher() public {
        SpendingAuthorization memory authorization = _authorization(ALLOWANCE, LOCK);
        authorization.salt = 2;
        bytes32 id = _open(authorization);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, 1, LOCK + 1);
        _expectDebitRefused(debits, abi.encodeWithSelector(IEscrow.VoucherNotAccepted.selector, id, ALLOWANCE));
    }

    // ---- outsiders

    function test_settleIsForBatchSettlementOnly() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotBatchSettlement.selector, poster));
        vm.prank(poster);
        escrow.settle(header, "", debits, credits);
    }

    /// @dev Everything that somebody else may do between signing and posting leaves the batch valid.
    function test_nothingOutsidersDoMakesABatchFail() public {
        _settle(sessionId, CHARGE, FEE);
        vm.warp(START + 6 * W);
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB2);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.prank(payer);
        escrow.revoke(sessionId);
        vm.startPrank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB2), consent);
        nodes.retire(nodeId);
        vm.stopPrank();
        vm.prank(guardian);
        escrow.pauseNewSessions();
        vm.prank(fraudProofs);
        vault.jail(Party.RELAYER, relayerId, type(uint48).max);
        escrow.claimTab(relayerId, nodeId);
        _fund(payer, 1);
        _bond(Party.RELAYER, relayerId, 1);
        pay.mint(address(escrow), 5);
        vm.warp(header.postBy);
        _post(header, debits, credits);
        vm.assertEq(escrow.tabOf(relayerId, nodeId).earned, 2 * FEE, "earned");
    }

    // ---- wiring

    function test_miswiredDeploymentsAreRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.Miswired.selector, address(escrow), address(settlement)));
        new BatchSettlement(escrow);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.Miswired.selector, address(board)));
        new SaturationBoard(settlement, EPOCH);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.ZeroEpoch.selector));
        new SaturationBoard(settlement, 0);
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

    // ---- helpers

    function _batch() private view returns (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) {
        debits = new Debit[](1);
        uint96 charged = escrow.sessionOf(sessionId).charged;
        debits[0] = _debit(sessionId, CHARGE, charged + CHARGE);
        credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, FEE, escrow.tabOf(relayerId, nodeId).earned + FEE);
        header = _header(debits, credits);
    }

    /// @dev As many tabs as sessions; item i changes by 1,000 + i on both sides.
    function _many(uint256 count) private returns (Debit[] memory debits, Credit[] memory credits) {
        bytes32[] memory ids = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            SpendingAuthorization memory authorization = _authorization(VOUCHER, 1e6);
            authorization.salt = 1_000 + i;
            ids[i] = _open(authorization);
            // Insertion sort: ascending, as a batch must be.
            for (uint256 j = i; j > 0 && ids[j - 1] > ids[j]; --j) (ids[j - 1], ids[j]) = (ids[j], ids[j - 1]);
        }
        debits = new Debit[](count);
        credits = new Credit[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint96 change = uint96(1_000 + i);
            debits[i] = _debit(ids[i], change, change);
            credits[i] = _credit(_registerNode(nodeOwner, 0xB100 + i), 0xB100 + i, change, change);
        }
    }

    function _expectRefused(BatchHeader memory header, Debit[] memory debits, Credit[] memory credits, bytes memory reason)
        private
    {
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(reason);
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }

    function _expectDebitRefused(Debit[] memory debits, bytes memory reason) private {
        Credit[] memory credits = new Credit[](0);
        _expectRefused(_header(debits, credits), debits, credits, reason);
    }

    function _expectWrongTimes(BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) private {
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(
                IBatchSettlement.WrongTimes.selector, header.periodStart, header.periodEnd, header.postBy, block.timestamp
            )
        );
    }
}
