// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Entry} from "../../contracts/fraud/Evidence.sol";
import {Items, ItemsOpening} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";

/// @notice F5: changes of sessions, tabs and tasks that their leaves do not make.
contract FraudChangesTest is Trees {
    // ---- F5: sessions

    /// @dev Three sessions in order; the middle one is debited 1,000 more than its leaves, the last as much less.
    function test_F5_overDebit() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, 1_000);
        bytes32 id = debits[1].sessionId;
        _prove(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 4), true));
        vm.assertEq(escrow.sessionOf(id).voidedCharge, 1_000, "the excess is back in the lock, from the relayer's fees");
        _assertPenalty(BOND / 10, payer, 1_000);
    }

    function test_F5_underDebitHarmsNobodyButItsRelayer() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, 1_000);
        bytes32 id = debits[2].sessionId;
        Entry[] memory bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, Tree.SESSION, 4), _entry(posted, Tree.SESSION, 5));
        _prove(_f5(posted, debits, Tree.SESSION, id, false, bounds, false));
        vm.assertEq(escrow.sessionOf(id).voidedCharge, 0, "nothing to give back");
        _assertPenalty(BOND / 10, payer, 0);
    }

    /// @dev In a tree out of order the neighbours of an id may stand the wrong way round; F7 is for that.
    function test_F5_neighboursThatStandTheWrongWayRound() public {
        SpendingAuthorization[] memory own = _threeSessions();
        Row[] memory rows = new Row[](2);
        (rows[0], rows[1]) = (_row(_attemptOf(nodeId, own[2])), _row(_attemptOf(nodeId, own[0])));
        Debit[] memory debits = new Debit[](3);
        for (uint256 i = 0; i < 3; ++i) {
            debits[i].sessionId = own[i].hash();
            debits[i].change = i == 1 ? 500 : CHARGE - 250;
            _cover(debits[i]);
        }
        Posted memory posted = _postChanges(rows, rows, debits, _creditsOf(rows));
        Entry[] memory bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, Tree.SESSION, 1), _entry(posted, Tree.SESSION, 0));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, own[1].hash(), true, bounds, true));
    }

    /// @dev Debited without a single leaf: first, between, and last in the order.
    function test_F5_debitWithoutLeaves() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint256 left = 0; left < 3; ++left) {
            // All but the one at `left` have leaves.
            Row[] memory rows = new Row[](2);
            rows[0] = _row(_attemptOf(nodeId, own[left == 0 ? 1 : 0]));
            rows[1] = _row(_attemptOf(nodeId, own[left == 2 ? 1 : 2]));
            Debit[] memory debits = new Debit[](3);
            for (uint256 i = 0; i < 3; ++i) {
                debits[i].sessionId = own[i].hash();
                debits[i].change = i == left ? 500 : CHARGE - 250;
                _cover(debits[i]);
            }
            Posted memory posted = _postChanges(rows, rows, debits, _creditsOf(rows));
            Entry[] memory bounds = new Entry[](left == 1 ? 2 : 1);
            bounds[0] = _entry(posted, Tree.SESSION, left == 2 ? 1 : 0);
            if (left == 1) bounds[1] = _entry(posted, Tree.SESSION, 1);
            uint96 bond = vault.activeBondOf(_relayer(), relayerId);
            _prove(_f5(posted, debits, Tree.SESSION, own[left].hash(), true, bounds, left != 0));
            vm.assertEq(escrow.sessionOf(own[left].hash()).voidedCharge, 500, "all of it");
            vm.assertEq(vault.activeBondOf(_relayer(), relayerId), bond - bond / 10 - 500, "and once more, and a tenth");
        }
    }

    /// @dev A change of zero: it has leaves but is not in the list, before, between and behind those that are.
    function test_F5_leavesWithoutADebit() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint256 left = 0; left < 3; ++left) {
            Row[] memory rows = new Row[](3);
            for (uint256 i = 0; i < 3; ++i) rows[i] = _row(_attemptOf(nodeId, own[i]));
            Debit[] memory debits = new Debit[](2);
            for (uint256 i = 0; i < 2; ++i) {
                debits[i].sessionId = own[i < left ? i : i + 1].hash();
                debits[i].change = CHARGE + (i == 0 ? CHARGE : 0);
                _cover(debits[i]);
            }
            Posted memory posted = _postChanges(rows, rows, debits, _creditsOf(rows));
            Entry[] memory bounds = new Entry[](2);
            (bounds[0], bounds[1]) = (_entry(posted, Tree.SESSION, left), _entry(posted, Tree.SESSION, left));
            uint96 bond = vault.activeBondOf(_relayer(), relayerId);
            _prove(_f5(posted, debits, Tree.SESSION, own[left].hash(), false, bounds, false));
            vm.assertEq(vault.activeBondOf(_relayer(), relayerId), bond - bond / 10, "a tenth");
        }
    }

    /// @dev The relayer's friend shows a part of the excess, by bounds wider than need be, to be before all others.
    function test_F5_whoeverShowsAPartFirstKeepsNobodyFromTheRest() public {
        uint96 excess = CHARGE + 1_000;
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, excess);
        bytes32 id = debits[1].sessionId;
        _prove(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 5), true));
        vm.assertEq(escrow.sessionOf(id).voidedCharge, 1_000, "a part");
        bytes memory whole = _f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 4), true);
        _prove(whole);
        uint96 voided = escrow.sessionOf(id).voidedCharge;
        vm.assertEq(voided + proofs.owedTo(pay, payer), 2 * uint256(excess) + BOND / 10 / 5, "twice the whole, and of one penalty");
        vm.assertEq(vault.activeBondOf(_relayer(), relayerId), BOND - BOND / 10 - (2 * excess - voided), "one penalty");
        bytes32 key = keccak256(abi.encode("F5", relayerId, uint64(1), Tree.SESSION, id));
        bytes memory before = abi.encodeWithSelector(IFraudProofs.PunishedBefore.selector, key);
        _expectNotProven(whole, before);
        _expectNotProven(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 5), true), before);
    }

    // ---- F5: tabs

    function test_F5_overCreditIsTakenFromTheTabAndUnderCreditIsMadeGood() public {
        uint32 second = _addNode(0xB7);
        Row[] memory rows = new Row[](2);
        (rows[0], rows[1]) = (_row(_attempt()), _row(_attemptOf(second, authorization)));
        Row[] memory bySession = _sorted(rows, Tree.SESSION);
        Row[] memory byTab = _sorted(rows, Tree.TAB);
        Credit[] memory credits = _creditsOf(byTab);
        credits[0].change += 700;
        credits[1].change -= 700;
        Posted memory posted = _postChanges(bySession, byTab, _debitsOf(bySession), credits);
        Entry[] memory bounds = new Entry[](1);
        bounds[0] = _entry(posted, Tree.TAB, 1);
        _prove(_f5Credits(posted, credits, nodeId, true, bounds, false));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 700, "taken from the tab");
        _assertPenalty(BOND / 10, address(0), 0);
        bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, Tree.TAB, 1), _entry(posted, Tree.TAB, 1));
        _prove(_f5Credits(posted, credits, second, false, bounds, false));
        uint256 left = BOND - BOND / 10;
        vm.assertEq(proofs.owedTo(pay, nodePayout), 1_400 + left / 10 / 5, "twice what it lacks, and its part of the penalty");
    }

    // ---- F5: near misses

    function test_F5_honestChangesAreNotSlashable() public {
        SpendingAuthorization[] memory own = _threeSessions();
        Row[] memory rows = new Row[](6);
        for (uint256 i = 0; i < 6; ++i) rows[i] = _row(_attemptOf(nodeId, own[i / 2]));
        rows = _sorted(rows, Tree.SESSION);
        Debit[] memory debits = _debitsOf(rows);
        Posted memory posted = _postRows(rows);
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 id = own[i].hash();
            uint256 lefts = i == 0 ? 0 : 1;
            Entry[] memory bounds = new Entry[](i == 1 ? 2 : 1);
            if (i != 0) bounds[0] = _entry(posted, Tree.SESSION, 2 * i - 1);
            if (i != 2) bounds[lefts] = _entry(posted, Tree.SESSION, 2 * i + 2);
            _expectNothingWrong(_f5(posted, debits, Tree.SESSION, id, true, bounds, i != 0));
            bounds = new Entry[](2);
            (bounds[0], bounds[1]) = (_entry(posted, Tree.SESSION, 2 * i), _entry(posted, Tree.SESSION, 2 * i + 1));
            _expectNothingWrong(_f5(posted, debits, Tree.SESSION, id, false, bounds, false));
            // A part of its leaves shows nothing either: more may stand beside them.
            (bounds[0], bounds[1]) = (bounds[1], bounds[1]);
            _expectNothingWrong(_f5(posted, debits, Tree.SESSION, id, false, bounds, false));
            // Without neighbours the whole tree is the bound.
            _expectNothingWrong(_f5(posted, debits, Tree.SESSION, id, true, new Entry[](0), false));
        }
        _deferred(own);
    }

    function test_F5_boundsThatAreNotThoseOfTheSession() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, 0);
        bytes32 id = debits[1].sessionId;
        // Its own leaf as a neighbour, on either side; sides exchanged; too many; leaves of others as its own.
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 2, 4), true));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 3), true));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 4, 1), true));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 4), false));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 1, 3), false));
        _expectNothingWrong(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 3, 2), false));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, false, new Entry[](0), false));
        // A leaf that is not there.
        Entry[] memory bounds = _around(posted, Tree.SESSION, 2, 3);
        bounds[0].proof.index = 1;
        _expectNotProven(
            _f5(posted, debits, Tree.SESSION, id, false, bounds, false),
            abi.encodeWithSelector(
                IFraudErrors.LeafNotThere.selector, posted.header.hash(), receipts.leafHash(bounds[0].leaf), uint32(1)
            )
        );
    }

    function test_F5_listsThatAreNotTheHeaders() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, 0);
        bytes32 id = debits[1].sessionId;
        Entry[] memory bounds = _around(posted, Tree.SESSION, 1, 4);
        debits[1].change += 1;
        ItemsOpening memory opening = _opening(debits);
        _expectNotProven(
            _f5(posted, debits, Tree.SESSION, id, true, bounds, true),
            abi.encodeWithSelector(Items.OpeningMismatch.selector, posted.header.debitsHash, keccak256(abi.encodePacked(opening.groups)))
        );
        debits[1].change -= 1;
        posted.header.periodEnd -= 1;
        _expectNotProven(
            _f5(posted, debits, Tree.SESSION, id, true, bounds, true),
            abi.encodeWithSelector(
                IFraudErrors.HeaderOfOtherBatch.selector, settlement.batchOf(relayerId, 1).batchHash, posted.header.hash()
            )
        );
    }

    // ---- F5: tasks

    function test_F5_aTaskAboveItsOrder() public {
        Posted memory posted = _twoSubtasks(2 * CHARGE - 1);
        _prove(_f5Task(posted, 0, 1));
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, 1, "the excess");
        _assertPenalty(BOND / 10, payer, 1);
    }

    /// @dev Receipts of two sessions that name one task: what stands between them is no part of it.
    function test_F5_aTaskDoesNotReachOverSessions() public {
        SpendingAuthorization[] memory own = _threeSessions();
        Row[] memory rows = new Row[](3);
        for (uint256 i = 0; i < 3; ++i) {
            Record memory record = _attemptOf(nodeId, own[i]);
            if (i == 2) record.receipt.body.taskId = rows[0].record.order.hash();
            _signAll(record);
            rows[i] = _row(record);
        }
        Posted memory posted = _postTrees(rows, _sorted(rows, Tree.TAB));
        _expectNotTheSame(_f5Task(posted, 0, 2));
        _expectNothingWrong(_f5Task(posted, 0, 0));
    }

    function test_F5_tasksWithinTheirOrder() public {
        Posted memory posted = _twoSubtasks(2 * CHARGE);
        _expectNothingWrong(_f5Task(posted, 0, 1));
        _expectNothingWrong(_f5Task(posted, 0, 0));
        _expectNothingWrong(_f5Task(posted, 1, 0));
        Posted memory others = _postRows(_tasks(2));
        _expectNotTheSame(_f5Task(others, 0, 1));
    }

    /// @dev A session deferred over several batches stands in none of those between.
    function _deferred(SpendingAuthorization[] memory own) private {
        Row[] memory rows = new Row[](2);
        (rows[0], rows[1]) = (_row(_attemptOf(nodeId, own[0])), _row(_attemptOf(nodeId, own[2])));
        Debit[] memory debits = _debitsOf(rows);
        Posted memory posted = _postRows(rows);
        _expectNothingWrong(
            _f5(posted, debits, Tree.SESSION, own[1].hash(), true, _around(posted, Tree.SESSION, 0, 1), true)
        );
    }

    // ---- helpers

    function _relayer() private pure returns (Party) {
        return Party.RELAYER;
    }
}
