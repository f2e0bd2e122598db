// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry} from "../../../contracts/fraud/Evidence.sol";
import {IFraudErrors} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {NearMisses} from "../support/NearMisses.sol";

/// @notice F7, F11: several attempts of one task, several tasks of one session, and trees that tell one story.
contract NearMissOrderTest is NearMisses {
    // ---- F7: one input, one batch, one order

    function test_near_F7_migratedAfterTheNodesDeath() public {
        Record memory dead = _withoutInput(_attempt(), ABORTED, 100_000, 1_000_000);
        _nearInput(dead, _complete(_again(dead, nodeId, 0, 1)), _complete(_again(dead, nodeId, 0, 2)));
    }

    function test_near_F7_hedgedOnASecondNode() public {
        Record memory record = _attempt();
        uint32 second = _addNode(0xB7);
        Record memory hedge = _withoutInput(_again(record, second, 0, 1), COMPLETE, 0, 1_000_000);
        _nearInput(record, hedge, _again(record, second, 0, 2));
    }

    function test_near_F7_recoveredFromTheOutputAlone() public {
        Record memory record = _attempt();
        Record memory recovered = _withoutInput(_again(record, nodeId, 0, 128), COMPLETE, 100_000, 0);
        _nearInput(record, recovered, _again(record, nodeId, 0, 129));
    }

    /// @dev A cancelled stream paid its input; the hedge that ran beside it did not.
    function test_near_F7_cancelledWithItsHedge() public {
        Record memory record = _attempt();
        record.receipt.body.status = CANCELLED;
        _seal(record);
        Record memory hedge = _withoutInput(_again(record, nodeId, 0, 1), CANCELLED, 0, 1_000_000);
        _nearInput(record, hedge, _again(record, nodeId, 0, 2));
    }

    function test_near_F7_redundantSubtasksPayAnInputEach() public {
        Record memory record = _attempt();
        _expectNotTheSame(_f7Input(_postRows(_rows(record, _again(record, nodeId, 1, 0))), 0, 1));
        _guilty(_f7Input(_postRows(_rows(record, _again(record, nodeId, 0, 1))), 0, 1));
    }

    function test_near_F7_oneLeafShownTwice() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record, _again(record, nodeId, 0, 1)));
        _expectNotTheSame(_f7Input(posted, 0, 0));
        _expectNotTheSame(_f7Input(posted, 1, 0));
        _guilty(_f7Input(posted, 0, 1));
    }

    /// @dev Deferred over several batches: each task stands in one.
    function test_near_F7_tasksOfOneSessionInTwoBatches() public {
        Record memory record = _attempt();
        Posted memory first = _postRows(_rows(record));
        _expectNotTheSame(_f7Two(first, 0, 1, _postRows(_rows(_attempt())), 0, 2));
        _guilty(_f7Two(first, 0, 1, _postRows(_rows(record)), 0, 3));
    }

    /// @dev Signed, never posted, and rebuilt after its postBy with the same tasks: only what the chain holds counts.
    function test_near_F7_aBatchRebuiltAfterItsPostBy() public {
        Record memory record = _attempt();
        Posted memory rebuilt = _postRows(_rows(record));
        _expectNotProven(_f7Two(rebuilt, 0, 1, rebuilt, 0, 2), abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, relayerId, uint64(2)));
        Posted memory second = _postRows(_rows(record));
        _guilty(_f7Two(rebuilt, 0, 1, second, 0, 2));
    }

    function test_near_F7_attemptsInTheirOrder() public {
        Record memory record = _attempt();
        _nearOrder(_rows(record, _withoutInput(_again(record, nodeId, 0, 1), COMPLETE, 0, 1)), Tree.SESSION, 0);
    }

    /// @dev Sixteen bits of subtask stand above eight of attempt.
    function test_near_F7_subtask255BeforeSubtask256() public {
        Record memory record = _attempt();
        _nearOrder(_rows(_again(record, nodeId, 255, 128), _again(record, nodeId, 256, 0)), Tree.SESSION, 0);
    }

    function test_near_F7_twoTabsWithOneNodeSeq() public {
        Record memory record = _attempt();
        Record memory other = _attemptOf(_addNode(0xB7), authorization);
        for (uint256 i = 0; i < 2; ++i) {
            // The second time both are the first node's.
            if (i == 1) other = _attempt();
            other.receipt.nodeSeq = record.receipt.nodeSeq;
            _signAll(other);
            Row[] memory rows = _rows(record, other);
            bytes memory call = _f7Order(_postTrees(_sorted(rows, Tree.SESSION), rows), Tree.TAB, 0, 1);
            if (i == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    /// @dev A later receipt of an earlier task: each tree has an order of its own.
    function test_near_F7_receiptsThatEndInAnotherOrderThanTheirTasks() public {
        Row[] memory rows = _tasks(2);
        if (rows[0].record.receipt.body.taskId < rows[1].record.receipt.body.taskId) {
            uint64 seq = rows[0].record.receipt.nodeSeq;
            rows[0].record.receipt.nodeSeq = rows[1].record.receipt.nodeSeq;
            rows[1].record.receipt.nodeSeq = seq;
        }
        for (uint256 i = 0; i < 2; ++i) {
            _signAll(rows[i].record);
            rows[i].leaf = _leafOf(rows[i].record);
        }
        _nearOrder(rows, Tree.TAB, 0);
    }

    // ---- F11: what stands in one tree stands in the other

    function test_near_F11_theOnlyLeaf() public {
        _nearSides(_tasks(1), Tree.SESSION, 0, _indices(0), true);
    }

    function test_near_F11_theFirstLeafOfATab() public {
        Row[] memory rows = _sorted(_tasks(3), Tree.TAB);
        _nearSides(rows, Tree.TAB, 0, _indices(_placeOf(rows, Tree.SESSION, rows[0])), true);
    }

    /// @dev The last leaf of the other tree is at its edge, and hides nothing beyond it.
    function test_near_F11_theLastLeafIsNotBeyondTheEdge() public {
        Row[] memory rows = _sorted(_tasks(3), Tree.TAB);
        _nearSides(rows, Tree.SESSION, _placeOf(rows, Tree.SESSION, rows[0]), _indices(2), false);
    }

    function test_near_F11_neighboursWithTheLeafBetweenThem() public {
        Row[] memory rows = _sorted(_tasks(3), Tree.TAB);
        _nearSides(rows, Tree.SESSION, _placeOf(rows, Tree.SESSION, rows[1]), _indices(0, 2), false);
    }

    function test_near_F11_neighboursElsewhere() public {
        Row[] memory rows = _sorted(_tasks(3), Tree.TAB);
        _nearSides(rows, Tree.SESSION, _placeOf(rows, Tree.SESSION, rows[2]), _indices(0, 1), false);
    }

    function test_near_F11_aHedgeThatEarnedNothing() public {
        Record memory free = _attempt();
        free.receipt.body.fee = 0;
        _seal(free);
        Row[] memory rows = _rows(_attempt(), free);
        uint256 place = _placeOf(rows, Tree.TAB, rows[1]);
        _nearSides(rows, Tree.SESSION, _placeOf(rows, Tree.SESSION, rows[1]), _indices(place), true);
    }

    function test_near_F11_twoNodesOfOneTask() public {
        Record memory record = _attempt();
        Record memory hedge = _withoutInput(_again(record, _addNode(0xB7), 0, 1), COMPLETE, 0, 1);
        _nearSides(_rows(record, hedge), Tree.SESSION, 1, _indices(1), true);
    }

    function test_near_F11_redundantSubtasks() public {
        Record memory record = _attempt();
        _nearSides(_rows(record, _again(record, nodeId, 1, 0)), Tree.TAB, 1, _indices(1), true);
    }

    function test_near_F11_recoveredWithAGapInItsSeq() public {
        Record memory record = _attempt();
        Record memory recovered = _withoutInput(_again(record, nodeId, 0, 128), COMPLETE, 100_000, 0);
        recovered.receipt.nodeSeq += uint64(1) << 40;
        _signAll(recovered);
        _nearSides(_rows(record, recovered), Tree.SESSION, 1, _indices(1), true);
    }

    function test_near_F11_keyRotatedInMidBatch() public {
        Record memory record = _attempt();
        _rotateNodeKey();
        Record memory next = _attempt();
        next.assignment.keyEpoch = 2;
        _seal(next);
        next.receiptSignature = _sign(0xB5, next.receipt.hash());
        Row[] memory rows = _rows(record, next);
        _nearSides(rows, Tree.TAB, 1, _indices(_placeOf(rows, Tree.SESSION, rows[1])), true);
    }

    /// @dev A deferred task's leaf is no part of this batch, in neither tree.
    function test_near_F11_aLeafOfTheNextBatch() public {
        Row[] memory rows = _tasks(2);
        Posted memory first = _postRows(rows);
        Posted memory second = _postRows(_tasks(2));
        bytes32 leafHash = receipts.leafHash(second.bySession[0].leaf);
        Entry[] memory others = _only(second, Tree.TAB, 0);
        second.header.batchId = 1;
        _expectNotProven(
            _f11(second, Tree.SESSION, 0, others),
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, first.header.hash(), leafHash, uint32(0))
        );
        _nearSides(_tasks(1), Tree.SESSION, 0, _indices(0), true);
    }

    // ---- helpers

    /// @dev As a whole attempt: with input, and complete.
    function _complete(Record memory record) private view returns (Record memory) {
        (record.receipt.body.status, record.receipt.body.fee) = (COMPLETE, FEE);
        _seal(record);
        return record;
    }

    /// @dev `second` pays no further input beside `first`; `third` does beside whichever of them has paid it.
    function _nearInput(Record memory first, Record memory second, Record memory third) private {
        _expectNothingWrong(_f7Input(_postRows(_rows(first, second)), 0, 1));
        bool paid = first.receipt.body.status != ABORTED;
        _guilty(_f7Input(_postRows(_rows(paid ? first : second, third)), 0, 1));
    }

    /// @dev Neighbours in their order; then exchanged.
    function _nearOrder(Row[] memory rows, Tree tree, uint256 left) private {
        Posted memory posted = _postRows(rows);
        _expectNothingWrong(_f7Order(posted, tree, left, left + 1));
        Row[] memory bent = tree == Tree.SESSION ? posted.bySession : posted.byTab;
        (bent[left], bent[left + 1]) = (bent[left + 1], bent[left]);
        posted = tree == Tree.SESSION ? _postTrees(bent, posted.byTab) : _postTrees(posted.bySession, bent);
        _guilty(_f7Order(posted, tree, left, left + 1));
    }

    /// @dev A leaf and what stands in the other tree: its own leaf proves nothing wrong, others are no neighbours of an empty place.
    /// Then the other tree holds other bytes in its place.
    function _nearSides(Row[] memory rows, Tree tree, uint256 index, uint256[] memory shown, bool own) private {
        Tree otherTree = tree == Tree.SESSION ? Tree.TAB : Tree.SESSION;
        Posted memory posted = _postRows(rows);
        Entry[] memory others = new Entry[](shown.length);
        for (uint256 i = 0; i < shown.length; ++i) others[i] = _entry(posted, otherTree, shown[i]);
        bytes memory call = _f11(posted, tree, index, others);
        if (own) _expectNothingWrong(call);
        else _expectNeighbours(call);
        uint256 place = _placeOf(rows, otherTree, (tree == Tree.SESSION ? posted.bySession : posted.byTab)[index]);
        Row[] memory bent = abi.decode(abi.encode(otherTree == Tree.TAB ? posted.byTab : posted.bySession), (Row[]));
        bent[place].leaf.assignmentSigHash = keccak256("another");
        posted = otherTree == Tree.TAB ? _postTrees(posted.bySession, bent) : _postTrees(bent, posted.byTab);
        _guilty(_f11(posted, tree, index, _only(posted, otherTree, place)));
    }

    function _placeOf(Row[] memory rows, Tree tree, Row memory row) private pure returns (uint256 place) {
        Row[] memory sorted = _sorted(rows, tree);
        while (sorted[place].leaf.receiptHash != row.leaf.receiptHash) ++place;
    }

    function _indices(uint256 one) private pure returns (uint256[] memory indices) {
        indices = new uint256[](1);
        indices[0] = one;
    }

    function _indices(uint256 one, uint256 other) private pure returns (uint256[] memory indices) {
        indices = new uint256[](2);
        (indices[0], indices[1]) = (one, other);
    }
}
