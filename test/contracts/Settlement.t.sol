// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SaturationBoard} from "../../contracts/SaturationBoard.sol";
import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {Batch, Credit, Debit, IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, RelayerAccount, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {ISaturationBoard} from "../../contracts/interfaces/ISaturationBoard.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {Batches} from "./support/Batches.sol";
import {vm} from "./support/Vm.sol";

/// @notice postBatch: what it moves and stores, the header and the lists that it refuses, and what outsiders cannot do to it.
contract SettlementTest is Batches {
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
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.WrongBatchId.selector, relayerId, uint64(1), uint64(2))
        );
        header.batchId = 3;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.WrongBatchId.selector, relayerId, uint64(3), uint64(2))
        );
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
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.LeafCountOutOfRange.selector, uint32(0), uint32(2 ** 20))
        );
        header.leafCount = 2 ** 20 + 1;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.LeafCountOutOfRange.selector, uint32(2 ** 20 + 1), uint32(2 ** 20))
        );
        header.leafCount = 2 ** 20;
        bytes32 root = header.sessionRoot;
        header.sessionRoot = 0;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.EmptyRoot.selector, bytes32(0), header.tabRoot)
        );
        header.sessionRoot = root;
        header.tabRoot = 0;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.EmptyRoot.selector, root, bytes32(0))
        );
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
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IBatchSettlement.UnknownRelayerEpoch.selector, relayerId, uint32(3))
        );
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
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.WrongDebitsHash.selector, header.debitsHash, right)
        );
        header.debitsHash = right;
        right = header.creditsHash;
        header.creditsHash = keccak256("other credits");
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.WrongCreditsHash.selector, header.creditsHash, right)
        );
    }

    function test_listsFitTheirTotals() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        header.totalDebit = CHARGE - 1;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.WrongTotals.selector, uint256(CHARGE), uint256(FEE), CHARGE - 1, FEE)
        );
        header.totalDebit = CHARGE;
        header.totalCredit = FEE + 1;
        _expectRefused(
            header, debits, credits,
            abi.encodeWithSelector(IEscrow.WrongTotals.selector, uint256(CHARGE), uint256(FEE), CHARGE, FEE + 1)
        );
    }

    function test_atMost500Items() public {
        Debit[] memory debits = new Debit[](499);
        Credit[] memory credits = new Credit[](2);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.TooManyItems.selector, uint256(501), uint256(500))
        );
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
        vm.expectRevert(
            abi.encodeWithSelector(IBatchSettlement.Miswired.selector, address(escrow), address(settlement))
        );
        new BatchSettlement(escrow);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.Miswired.selector, address(board)));
        new SaturationBoard(settlement, EPOCH);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.ZeroEpoch.selector));
        new SaturationBoard(settlement, 0);
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
