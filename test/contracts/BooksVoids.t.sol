// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IBondVault, Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Item} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {Log, countOf, vm} from "./support/Vm.sol";

/// @notice What proofs take and give back, to the unit: nothing twice, nothing beyond what was charged, and each of it reported.
contract BooksVoidsTest is Accusations {
    // ---- reported

    function test_aProofReportsWhatItMoved() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 500;
        record.receipt.body.fee += 1;
        record.receipt.nodeCumulative += 1;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        uint96 charge = uint96(posted.bySession[0].leaf.charge);
        bytes32 leafHash = receipts.leafHash(posted.bySession[0].leaf);
        bytes32 key = keccak256(abi.encode("F4", relayerId, uint64(1), leafHash));
        bytes memory call = _f4(posted, 0);
        _announce(call);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.LeafVoided(relayerId, 1, leafHash);
        vm.expectEmit(address(escrow));
        emit IEscrow.CreditVoided(relayerId, nodeId, key, FEE + 1);
        vm.expectEmit(address(escrow));
        emit IEscrow.CreditVoided(relayerId, 0, key, charge - FEE - 1);
        vm.expectEmit(address(escrow));
        emit IEscrow.ChargeVoided(sessionId, key, charge);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.Proven(
            IFraudProofs.proveInvalidLeaf.selector, Party.RELAYER, relayerId, challenger, key, charge, MINIMUM_PENALTY
        );
        vm.prank(challenger);
        (bool ok,) = fraudProofs.call(call);
        vm.assertTrue(ok, "proven");
    }

    /// @dev After maturity nothing is given back, and nothing is said to be.
    function test_aProofThatRefundsNothingReportsNoRefund() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        vm.warp(START + 6 * W);
        bytes memory call = _f4(posted, 0);
        vm.recordLogs();
        _prove(call);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IEscrow.ChargeVoided.selector), 0, "of charges");
        vm.assertEq(countOf(logs, IEscrow.CreditVoided.selector), 0, "of credits");
    }

    // ---- the least amount

    /// @dev A unit for work that is worth none: the node's tab gives it back, and neither the relayer's fees nor its bond are asked.
    function test_oneUnitOfANodesFaultIsItsTabs() public {
        Posted memory posted = _postRows(_rows(_worth(_attempt(), 1, 1)));
        bytes memory call = _f4(posted, 0);
        vm.recordLogs();
        _prove(call);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IEscrow.CreditVoided.selector), 1, "the tab alone");
        vm.assertEq(countOf(logs, IBondVault.Slashed.selector), 1, "for the penalty alone");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 1, "from the tab");
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, 1, "to the lock");
        _assertPenalty(MINIMUM_PENALTY, payer, 0);
    }

    /// @dev A unit that no fee covers: the relayer's bond pays it.
    function test_oneUnitOfARelayersFaultIsItsBonds() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        Posted memory posted = _postRows(_rows(_worth(record, 4, 1)));
        _prove(_f4(posted, 0));
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, 0, "there was no fee to take");
        _assertPenalty(MINIMUM_PENALTY, payer, 1);
    }

    // ---- not more than once

    /// @dev First against a neighbour further away, which shows a part of it: the second proof takes the rest of it from the tab.
    function test_F5_anExcessShownInTwoPartsIsTakenOnce() public {
        uint32 second = _addNode(0xB7);
        Row[] memory rows = new Row[](3);
        rows[0] = _row(_attempt());
        rows[1] = _row(_worth(_attemptOf(second, authorization), 1_000, 300));
        rows[2] = _row(_attemptOf(second, authorization));
        Row[] memory byTab = _sorted(rows, Tree.TAB);
        Credit[] memory credits = _creditsOf(byTab);
        (credits[0].change, credits[1].change) = (FEE + 700, FEE - 400);
        rows = _sorted(rows, Tree.SESSION);
        Posted memory posted = _postChanges(rows, byTab, _debitsOf(rows), credits);
        _prove(_f5Credits(posted, credits, nodeId, true, _only(posted, Tree.TAB, 2), false));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 400, "what the further neighbour shows");
        _prove(_f5Credits(posted, credits, nodeId, true, _only(posted, Tree.TAB, 1), false));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 700, "the excess, once");
    }

    /// @dev An invalid leaf is also its task's excess: both are proven, and the lock gets its charge back once.
    function test_noChargeIsGivenBackBeyondItself() public {
        bytes32 other = _addSession(VOUCHER, 41).hash();
        _settle(other, 11e6, 10e6);
        Posted memory posted = _postRows(_rows(_overspent(_attempt())));
        _prove(_f4(posted, 0));
        _prove(_f5Task(posted, 0, 0));
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, CHARGE, "once; the rest is the bond's");
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        vm.assertEq(escrow.releaseLock(sessionId), LOCK, "and the lock can be released");
    }

    /// @dev Nobody ever opened the session that the leaf names: there is no payer, and nothing is taken for one.
    function test_withoutAPayerNobodyIsOwed() public {
        SpendingAuthorization memory own = _authorization(VOUCHER, LOCK);
        own.salt = 42;
        Row[] memory rows = _rows(_attemptOf(nodeId, own));
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, LOCK);
        Posted memory first = _postChanges(rows, rows, debits, _creditsOf(rows));
        Posted memory second = _postChanges(rows, rows, debits, _creditsOf(rows));
        _prove(_f7Two(first, 0, 1, second, 0, 2));
        vm.assertEq(proofs.owedTo(pay, address(0)), 0, "owed to nobody");
        _assertPenalty(BOND, address(0), 0);
    }

    // ---- demands

    function test_F9_everyAnswerEarnsItsBond() public {
        Posted memory posted = _postRows(_tasks(2));
        for (uint32 i = 0; i < 2; ++i) {
            _challenge(1, i);
            Row memory row = posted.bySession[i];
            proofs.answerData(relayerId, 1, row.leaf, _sessionProof(posted, i), row.record);
        }
        vm.assertEq(proofs.owedTo(pay, relayerOwner), 2 * CHALLENGE_BOND, "both");
    }

    /// @dev The bond of a demand goes back once, or the others' would be paid out with it.
    function test_F9_aDemandIsOverWhenItWasCondemned() public {
        _postRows(_tasks(1));
        _condemn(1);
        uint256 owed = proofs.owedTo(pay, challenger);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.NoOpenChallenge.selector, relayerId, uint64(1), uint32(0))
        );
        proofs.condemn(relayerId, 1, 0);
        vm.assertEq(proofs.owedTo(pay, challenger), owed, "once");
    }

    // ---- a condemned batch

    /// @dev The pot first holds the fees alone. Both sessions were charged before: what is given back in two parts is the batch's
    /// charge all the same, or the first one would be given the other's.
    function test_F9_aDebitInTwoPartsIsGivenBackOnce() public {
        SpendingAuthorization memory other = _addSession(VOUCHER, 43);
        _settle(sessionId, 1e6, 1e6);
        _settle(other.hash(), 1e6, 1e6);
        Record memory one = _attempt();
        Posted memory posted = _postRows(_rows(one, _attemptOf(nodeId, other)));
        (Item[] memory debits, Item[] memory credits) = _items(posted);
        _condemn(3);
        proofs.voidEntries(posted.header, true, _whole(debits));
        vm.assertEq(escrow.sessionOf(debits[0].id).voidedCharge, 2 * (CHARGE - FEE), "as far as the fees reach");
        proofs.voidEntries(posted.header, false, _whole(credits));
        proofs.voidEntries(posted.header, true, _whole(debits));
        vm.assertEq(escrow.sessionOf(debits[0].id).voidedCharge, CHARGE, "once");
        vm.assertEq(escrow.sessionOf(debits[1].id).voidedCharge, CHARGE, "and the other's");
        vm.assertEq(escrow.potOf(keccak256(abi.encode("F9", relayerId, uint64(3)))), 0, "which is all");
    }

    /// @dev Of three sessions two were given back whole before, one of them more than the batch charged it: neither stands in the
    /// third one's way, nor is anything reported of them.
    function test_F9_whatOtherProofsGaveBackIsPassedOver() public {
        SpendingAuthorization[] memory own = new SpendingAuthorization[](3);
        for (uint256 i = 0; i < 3; ++i) {
            own[i] = _addSession(VOUCHER, 44 + i);
            _settle(own[i].hash(), 11e6, 10e6);
        }
        Row[] memory rows = new Row[](3);
        rows[0] = _row(_overspent(_attemptOf(nodeId, own[0])));
        rows[1] = _row(_overspent(_attemptOf(nodeId, own[1])));
        rows[2] = _row(_attemptOf(nodeId, own[2]));
        Posted memory posted = _postRows(rows);
        (Item[] memory debits,) = _items(posted);
        for (uint256 i = 0; i < 3; ++i) {
            Record memory record = posted.bySession[i].record;
            if (record.order.maxFee == 1e6) continue;
            _prove(_f4(posted, i));
            if (record.order.sessionId == own[0].hash()) _prove(_f5TaskOf(posted, i));
        }
        vm.assertEq(escrow.sessionOf(own[0].hash()).voidedCharge, CHARGE + 57_500, "more than the batch charged");
        vm.assertEq(escrow.sessionOf(own[1].hash()).voidedCharge, CHARGE, "all of it");
        _condemn(4);
        vm.recordLogs();
        proofs.voidEntries(posted.header, true, _whole(debits));
        vm.assertEq(countOf(vm.getRecordedLogs(), IEscrow.ChargeVoided.selector), 1, "one is reported");
        vm.assertEq(escrow.sessionOf(own[2].hash()).voidedCharge, 3 * (CHARGE - FEE), "the third, as far as the fees reach");
    }

    // ---- helpers

    /// @dev So many tokens out at 0.3 and none in, for that fee.
    function _worth(Record memory record, uint32 outputTokens, uint96 fee) private view returns (Record memory) {
        record.receipt.body.inputTokens = 0;
        record.receipt.body.outputTokens = outputTokens;
        record.receipt.body.fee = fee;
        _seal(record);
        return record;
    }

    /// @dev The relayer has let it cost 57,500 more than the order.
    function _overspent(Record memory record) private view returns (Record memory) {
        record.order.maxFee = 200_000;
        _seal(record);
        return record;
    }

    function _f5TaskOf(Posted memory posted, uint256 index) private pure returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveTaskAboveMaxFee,
            (
                posted.header.relayerId,
                posted.header.batchId,
                posted.bySession[index].record.order,
                _entry(posted, Tree.SESSION, index),
                _entry(posted, Tree.SESSION, index),
                SALT
            )
        );
    }

    /// @dev One leaf of each session, all by the first node.
    function _items(Posted memory posted) private view returns (Item[] memory debits, Item[] memory credits) {
        debits = new Item[](posted.bySession.length);
        for (uint256 i = 0; i < debits.length; ++i) debits[i] = Item(posted.bySession[i].record.order.sessionId, CHARGE);
        credits = new Item[](1);
        credits[0] = Item(bytes32(uint256(nodeId)), posted.header.totalCredit);
    }

    function _challenge(uint64 batchId, uint32 index) private {
        pay.mint(challenger, CHALLENGE_BOND);
        vm.startPrank(challenger);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        proofs.challengeData(relayerId, batchId, index);
        vm.stopPrank();
    }

    function _condemn(uint64 batchId) private {
        _challenge(batchId, 0);
        vm.warp(block.timestamp + W + 1);
        proofs.condemn(relayerId, batchId, 0);
    }
}
