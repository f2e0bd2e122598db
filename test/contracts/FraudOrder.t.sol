// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Entry} from "../../contracts/fraud/Evidence.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F7, F11: trees that are out of order, hold a task twice, or tell two stories.
contract FraudOrderTest is Accusations {
    // ---- F7

    function test_F7_aTaskInTwoBatches() public {
        Record memory record = _attempt();
        Posted memory first = _postRows(_rows(record, _attempt()));
        Posted memory second = _postRows(_rows(record));
        uint256 index = first.bySession[0].leaf.receiptHash == record.receipt.hash() ? 0 : 1;
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveTaskInTwoBatches,
            (relayerId, 1, _entry(first, Tree.SESSION, index), 2, _entry(second, Tree.SESSION, 0), SALT)
        );
        _prove(call);
        // Its fees gave back three parts of the later charge; the rest came out of the bond before it was slashed whole.
        uint96 fromFees = 3 * (CHARGE - FEE);
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, fromFees, "the later charge");
        _assertPenalty(BOND - (CHARGE - fromFees), payer, CHARGE - fromFees);
        vm.assertTrue(proofs.isVoided(relayerId, 2, receipts.leafHash(second.bySession[0].leaf)), "the later one");
        vm.assertFalse(proofs.isVoided(relayerId, 1, receipts.leafHash(second.bySession[0].leaf)), "not the earlier one");
    }

    /// @dev Each leaf of the task goes back, however many there are, and whichever is shown first.
    function test_F7_everyLeafOfATaskInTwoBatchesGoesBack() public {
        Record memory record = _attempt();
        Posted memory first = _postRows(_rows(record));
        Posted memory second = _postRows(_rows(_again(record, nodeId, 1, 0), _again(record, nodeId, 2, 0)));
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory call = _f7Two(first, 0, 1, second, i, 2);
            _prove(call);
            bytes32 leafHash = receipts.leafHash(second.bySession[i].leaf);
            vm.assertTrue(proofs.isVoided(relayerId, 2, leafHash), "voided");
            bytes32 key = keccak256(abi.encode("F7", relayerId, uint64(2), leafHash));
            _expectNotProven(call, abi.encodeWithSelector(IFraudProofs.PunishedBefore.selector, key));
            _bond(Party.RELAYER, relayerId, BOND);
        }
        uint256 given = escrow.sessionOf(sessionId).voidedCharge + proofs.owedTo(pay, payer);
        vm.assertGe(given, 2 * CHARGE, "both charges");
    }

    function test_F7_everyFurtherInputGoesBack() public {
        Record memory record = _attempt();
        Row[] memory rows = new Row[](3);
        for (uint8 i = 0; i < 3; ++i) rows[i] = _row(i == 0 ? record : _again(record, nodeId, 0, i));
        Posted memory posted = _postRows(rows);
        for (uint256 i = 1; i < 3; ++i) {
            _prove(_f7Input(posted, 0, i));
            vm.assertTrue(proofs.isVoided(relayerId, 1, receipts.leafHash(posted.bySession[i].leaf)), "voided");
            _bond(Party.RELAYER, relayerId, BOND);
        }
    }

    function test_F7_tasksInTwoBatches_nearMisses() public {
        Record memory record = _attempt();
        Posted memory first = _postRows(_rows(record, _again(record, nodeId, 0, 1)));
        Posted memory second = _postRows(_rows(_attempt()));
        // Different tasks; the same task in one batch; batches in the wrong order.
        _expectNotTheSame(_f7Two(first, 0, 1, second, 0, 2));
        _expectNotTheSame(_f7Two(first, 0, 1, first, 1, 1));
        _expectNotTheSame(_f7Two(first, 1, 2, first, 0, 1));
        _expectNotProven(
            _f7Two(first, 0, 1, first, 1, 2),
            abi.encodeWithSelector(
                IFraudErrors.LeafNotThere.selector, second.header.hash(), receipts.leafHash(first.bySession[1].leaf), uint32(1)
            )
        );
        _expectNotProven(_f7Two(first, 0, 1, first, 1, 3), abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, relayerId, uint64(3)));
    }

    function test_F7_twoInputsOfOneSubtask() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record, _again(record, nodeId, 0, 1)));
        _prove(_f7Input(posted, 0, 1));
        uint96 fromFees = 2 * (CHARGE - FEE);
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, fromFees, "the later charge");
        _assertPenalty(BOND - (CHARGE - fromFees), payer, CHARGE - fromFees);
    }

    /// @dev Migration after a node's death, hedging, redundancy, cancelled streams: all that pays one input, or none.
    function test_F7_secondInputs_nearMisses() public {
        Record memory record = _attempt();
        Record memory next = _again(record, nodeId, 0, 1);
        next.assignment.priceInPerMTok = 0;
        next.receipt.body.fee = 150_000;
        _seal(next);
        _expectNothingWrong(_f7Input(_postRows(_rows(record, next)), 0, 1));
        record = _attempt();
        record.receipt.body.status = ABORTED;
        record.receipt.body.fee = 150_000;
        _seal(record);
        _expectNothingWrong(_f7Input(_postRows(_rows(record, _again(_revived(record), nodeId, 0, 1))), 0, 1));
        record = _attempt();
        next = _again(record, nodeId, 0, 128);
        next.receipt.body.inputTokens = 0;
        next.receipt.body.fee = 150_000;
        _seal(next);
        _expectNothingWrong(_f7Input(_postRows(_rows(record, next)), 0, 1));
        record = _attempt();
        record.receipt.body.status = CANCELLED;
        _seal(record);
        _expectNotTheSame(_f7Input(_postRows(_rows(record, _again(record, nodeId, 1, 0))), 0, 1));
        _expectNotTheSame(_f7Input(_postRows(_tasks(2)), 0, 1));
        // One leaf is not two, whichever way it is shown.
        Posted memory posted = _postRows(_rows(_attempt(), _attempt()));
        _expectNotTheSame(_f7Input(posted, 0, 0));
        _expectNotTheSame(_f7Input(posted, 1, 0));
    }

    function test_F7_neighboursOutOfOrder() public {
        Row[] memory rows = _sorted(_tasks(3), Tree.SESSION);
        (rows[1], rows[2]) = (rows[2], rows[1]);
        Posted memory posted = _postTrees(rows, _sorted(rows, Tree.TAB));
        _expectNothingWrong(_f7Order(posted, Tree.SESSION, 0, 1));
        _expectNothingWrong(_f7Order(posted, Tree.TAB, 0, 1));
        _expectNothingWrong(_f7Order(posted, Tree.TAB, 1, 2));
        _expectNeighbours(_f7Order(posted, Tree.SESSION, 2, 1));
        _expectNeighbours(_f7Order(posted, Tree.SESSION, 0, 2));
        _expectNeighbours(_f7Order(posted, Tree.SESSION, 1, 1));
        _prove(_f7Order(posted, Tree.SESSION, 1, 2));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev One place claimed twice is out of order too: twice one attempt, or one nodeSeq for two receipts.
    function test_F7_onePlaceTwice() public {
        Record memory record = _attempt();
        Row[] memory rows = _rows(record, record);
        _prove(_f7Order(_postTrees(rows, rows), Tree.TAB, 0, 1));
        _assertPenalty(BOND, address(0), 0);
    }

    function test_F7_honestOrderIsNotSlashable() public {
        uint32 second = _addNode(0xB7);
        SpendingAuthorization memory own = _addSession(VOUCHER, 88);
        Record memory record = _attempt();
        Row[] memory rows = new Row[](7);
        rows[0] = _row(record);
        rows[1] = _row(_again(record, second, 0, 1));
        rows[2] = _row(_again(record, nodeId, 1, 0));
        rows[3] = _row(_again(record, nodeId, 256, 0));
        rows[4] = _row(_attemptOf(second, own));
        rows[5] = _row(_attemptOf(nodeId, own));
        rows[6] = _row(_attempt());
        Posted memory posted = _postRows(rows);
        for (uint256 i = 0; i < 6; ++i) {
            _expectNothingWrong(_f7Order(posted, Tree.SESSION, i, i + 1));
            _expectNothingWrong(_f7Order(posted, Tree.TAB, i, i + 1));
        }
    }

    // ---- F11

    /// @dev The tab tree holds another receipt than the session tree: of each, the place in the other is empty.
    function test_F11_placesThatAreEmptyInTheOtherTree() public {
        for (uint256 i = 0; i < 4; ++i) {
            Row[] memory rows = _tasks(3);
            Row[] memory byTab = _sorted(rows, Tree.TAB);
            // Its seq is lower than all, between them, or above them.
            Row memory hidden = _row(_attempt());
            hidden.record.receipt.nodeSeq = i == 0
                ? byTab[0].record.receipt.nodeSeq - 1
                : byTab[i - 1].record.receipt.nodeSeq + 1_000;
            for (uint256 j = 1; j < 3; ++j) byTab[j].record.receipt.nodeSeq += uint64(2_000 * j);
            if (i > 1) hidden.record.receipt.nodeSeq += 2_000 * uint64(i - 1);
            for (uint256 j = 0; j < 3; ++j) _resign(byTab[j]);
            _resign(hidden);
            Row[] memory bySession = new Row[](3);
            (bySession[0], bySession[1], bySession[2]) = (byTab[0], byTab[1], byTab[2]);
            uint256 dropped = i == 0 ? 1 : 0;
            bySession[dropped] = hidden;
            bySession = _sorted(bySession, Tree.SESSION);
            Posted memory posted = _postTrees(bySession, byTab);
            uint256 index;
            while (bySession[index].leaf.receiptHash != hidden.leaf.receiptHash) ++index;
            bool edge = i == 0 || i == 3;
            Entry[] memory others = new Entry[](edge ? 1 : 2);
            others[0] = _entry(posted, Tree.TAB, i == 0 ? 0 : i - 1);
            if (!edge) others[1] = _entry(posted, Tree.TAB, i);
            _prove(_f11(posted, Tree.SESSION, index, others));
            vm.assertEq(vault.activeBondOf(_relayer(), relayerId), 0, "all of it");
            _bond(_relayer(), relayerId, BOND);
        }
    }

    function test_F11_otherBytesInItsPlace() public {
        Row[] memory bySession = _rows(_attempt());
        Row[] memory byTab = abi.decode(abi.encode(bySession), (Row[]));
        byTab[0].leaf.assignmentSigHash = keccak256("another");
        Posted memory posted = _postTrees(bySession, byTab);
        Entry[] memory others = new Entry[](1);
        others[0] = _entry(posted, Tree.TAB, 0);
        _prove(_f11(posted, Tree.SESSION, 0, others));
        _assertPenalty(BOND, address(0), 0);
    }

    function test_F11_honestTreesAreNotSlashable() public {
        uint32 second = _addNode(0xB7);
        Row[] memory rows = new Row[](5);
        for (uint256 i = 0; i < 5; ++i) rows[i] = _row(_attemptOf(i % 2 == 0 ? nodeId : second, authorization));
        Posted memory posted = _postRows(rows);
        for (uint256 i = 0; i < 5; ++i) {
            _expectHonestSides(posted, Tree.SESSION, i);
            _expectHonestSides(posted, Tree.TAB, i);
        }
        _expectNeighbours(_f11(posted, Tree.SESSION, 0, new Entry[](0)));
    }

    /// @dev Shown with itself, with each single other leaf, and with each pair: never absent.
    function _expectHonestSides(Posted memory posted, Tree tree, uint256 index) private {
        Tree otherTree = tree == Tree.SESSION ? Tree.TAB : Tree.SESSION;
        Row[] memory rows = otherTree == Tree.SESSION ? posted.bySession : posted.byTab;
        bytes32 own = (tree == Tree.SESSION ? posted.bySession : posted.byTab)[index].leaf.receiptHash;
        for (uint256 i = 0; i < rows.length; ++i) {
            Entry[] memory others = new Entry[](1);
            others[0] = _entry(posted, otherTree, i);
            bytes memory call = _f11(posted, tree, index, others);
            if (rows[i].leaf.receiptHash == own) _expectNothingWrong(call);
            else _expectNeighbours(call);
            if (i + 1 == rows.length) continue;
            others = new Entry[](2);
            (others[0], others[1]) = (_entry(posted, otherTree, i), _entry(posted, otherTree, i + 1));
            _expectNeighbours(_f11(posted, tree, index, others));
        }
    }

    // ---- helpers

    function _relayer() private pure returns (Party) {
        return Party.RELAYER;
    }

    function _resign(Row memory row) private view {
        _signAll(row.record);
        row.leaf = _leafOf(row.record);
    }

    /// @dev As it was before it was aborted, for a further attempt of it.
    function _revived(Record memory record) private view returns (Record memory alive) {
        alive = abi.decode(abi.encode(record), (Record));
        alive.receipt.body.status = COMPLETE;
        alive.receipt.body.fee = FEE;
    }
}
