// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry, Verdict} from "../../contracts/fraud/Evidence.sol";
import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {JudgedTrees} from "./support/JudgedTrees.sol";
import {vm} from "./support/Vm.sol";

/// @notice F5: the whole verdict on changes that their leaves do not make, and bounds that were made up.
contract JudgedChangesTest is JudgedTrees {
    bytes4 private constant NEIGHBOURS = IFraudErrors.WrongNeighbours.selector;
    uint96 private constant MOVED = 1_000;

    // ---- sessions

    function test_F5_verdictOnADebitAboveItsLeaves() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, MOVED);
        bytes32 id = debits[1].sessionId;
        Verdict memory expected = _change(Tree.SESSION, id, MOVED);
        (expected.sessionId, expected.harmed, expected.extra, expected.refund) = (id, payer, MOVED, MOVED);
        _expectUntilMature(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 4), true), expected);
    }

    function test_F5_verdictOnADebitBelowItsLeaves() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 1, 2, MOVED);
        bytes32 id = debits[1].sessionId;
        Verdict memory expected = _change(Tree.SESSION, id, MOVED);
        (expected.sessionId, expected.harmed) = (id, payer);
        _expectUntilMature(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 2, 3), false), expected);
    }

    /// @dev Without a right neighbour what was debited in all is the bound; without any, all of it.
    function test_F5_whereNoNeighbourIsShownTheEdgeIsTheBound() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 0, 2, MOVED);
        bytes32 id = debits[2].sessionId;
        Verdict memory expected = _change(Tree.SESSION, id, MOVED);
        (expected.sessionId, expected.harmed, expected.extra, expected.refund) = (id, payer, MOVED, MOVED);
        _expectVerdict(_f5(posted, debits, Tree.SESSION, id, true, _only(posted, Tree.SESSION, 3), true), expected);
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, true, new Entry[](0), false), IFraudErrors.NothingWrong.selector);
    }

    function test_F5_asManyBoundsAsAreNamed() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, MOVED);
        bytes32 id = debits[1].sessionId;
        Entry[] memory three = new Entry[](3);
        (three[0], three[1], three[2]) = (_entry(posted, Tree.SESSION, 1), _entry(posted, Tree.SESSION, 4), _entry(posted, Tree.SESSION, 5));
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, true, three, true), NEIGHBOURS);
        // Two right neighbours, of which the first would do.
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 4, 5), false), NEIGHBOURS);
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, true, new Entry[](0), true), NEIGHBOURS);
        (three[0], three[1], three[2]) = (_entry(posted, Tree.SESSION, 2), _entry(posted, Tree.SESSION, 3), _entry(posted, Tree.SESSION, 3));
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, false, three, false), NEIGHBOURS);
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, false, _only(posted, Tree.SESSION, 2), false), NEIGHBOURS);
    }

    /// @dev Of a session's own leaves each is its own, and the first is shown first: by name, not as an arithmetic panic.
    function test_F5_ownLeavesInTheirOrder() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 1, 2, MOVED);
        bytes32 id = debits[1].sessionId;
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 1, 3), false), NEIGHBOURS);
        _expectRefused(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 2, 4), false), NEIGHBOURS);
        // A third of its own between the two that are shown the wrong way round.
        Row[] memory rows = new Row[](3);
        for (uint256 i = 0; i < 3; ++i) rows[i] = _row(_attempt());
        rows = _sorted(rows, Tree.SESSION);
        debits = _debitsOf(rows);
        posted = _postRows(rows);
        _expectRefused(_f5(posted, debits, Tree.SESSION, sessionId, false, _around(posted, Tree.SESSION, 2, 0), false), NEIGHBOURS);
    }

    function test_F5_boundsStandInTheTree() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, MOVED);
        for (uint256 i = 0; i < 4; ++i) {
            Entry[] memory bounds = i < 2 ? _around(posted, Tree.SESSION, 1, 4) : _around(posted, Tree.SESSION, 2, 3);
            bounds[i % 2] = _invented(bounds[i % 2]);
            bytes memory call = _f5(posted, debits, Tree.SESSION, debits[1].sessionId, i < 2, bounds, true);
            _expectNotThere(call, posted.header.hash(), receipts.leafHash(bounds[i % 2].leaf), bounds[i % 2].proof.index);
        }
    }

    // ---- tabs

    /// @dev The first tab, one between two, and the last: what the tree of tabs holds is the bound, not that of sessions.
    function test_F5_verdictOnACreditAboveItsLeaves() public {
        for (uint256 tab = 0; tab < 3; ++tab) {
            vm.warp(START);
            (Posted memory posted, Credit[] memory credits) = _threeTabs(tab, (tab + 1) % 3);
            Entry[] memory bounds = tab == 1 ? _around(posted, Tree.TAB, 0, 2) : _only(posted, Tree.TAB, 1);
            uint32 id = credits[tab].nodeId;
            Verdict memory expected = _change(Tree.TAB, bytes32(uint256(id)), MOVED);
            (expected.key, expected.batchId) = (_keyOf(posted, id), posted.header.batchId);
            (expected.nodeId, expected.fromTab) = (id, MOVED);
            _expectUntilMature(_f5Credits(posted, credits, id, true, bounds, tab != 0), expected);
        }
    }

    function test_F5_verdictOnACreditBelowItsLeaves() public {
        for (uint256 tab = 0; tab < 3; ++tab) {
            vm.warp(START);
            (Posted memory posted, Credit[] memory credits) = _threeTabs((tab + 1) % 3, tab);
            uint32 id = credits[tab].nodeId;
            Verdict memory expected = _change(Tree.TAB, bytes32(uint256(id)), MOVED);
            (expected.key, expected.batchId) = (_keyOf(posted, id), posted.header.batchId);
            (expected.harmed, expected.extra) = (nodePayout, 2 * MOVED);
            _expectUntilMature(_f5Credits(posted, credits, id, false, _around(posted, Tree.TAB, tab, tab), false), expected);
        }
    }

    // ---- tasks

    /// @dev Two tasks of two subtasks each: what stands left of the second is none of its charges.
    function test_F5_verdictOnATask() public {
        Row[] memory rows = new Row[](4);
        for (uint256 i = 0; i < 4; i += 2) {
            Record memory record = _attempt();
            (record.order.maxFee, record.assignment.shareCap) = (2 * CHARGE - 7, 2 * CHARGE - 7);
            _seal(record);
            (rows[i], rows[i + 1]) = (_row(record), _row(_again(record, nodeId, 1, 0)));
        }
        Posted memory posted = _postRows(rows);
        for (uint256 i = 0; i < 4; i += 2) {
            vm.warp(START);
            bytes32 taskId = posted.bySession[i].record.order.hash();
            Verdict memory expected = _onRelayer(abi.encode("F5 task", relayerId, uint64(1), taskId), 1_000);
            (expected.batchId, expected.sessionId, expected.harmed) = (1, sessionId, payer);
            (expected.extra, expected.excess, expected.refund) = (7, 7, 7);
            _expectUntilMature(_task(posted, i, _around(posted, Tree.SESSION, i, i + 1)), expected);
        }
    }

    function test_F5_bothLeavesOfATaskStandInTheTree() public {
        Posted memory posted = _twoSubtasks(CHARGE);
        for (uint256 i = 0; i < 2; ++i) {
            Entry[] memory shown = _around(posted, Tree.SESSION, 0, 1);
            shown[i] = _invented(shown[i]);
            bytes memory call = _task(posted, 0, shown);
            _expectNotThere(call, posted.header.hash(), receipts.leafHash(shown[i].leaf), i);
        }
    }

    /// @dev Either end of another task, or of another session that names the same task.
    function test_F5_bothEndsAreOfTheTaskAndItsSession() public {
        for (uint256 i = 0; i < 4; ++i) {
            Record memory record = _attempt();
            Record memory other = _again(record, nodeId, 1, 0);
            if (i < 2) other.receipt.body.taskId = keccak256("another task");
            else other.receipt.body.sessionId = keccak256("another session");
            Posted memory posted = _postBare(i % 2 == 0 ? _rows(other, record) : _rows(record, other));
            bytes memory call = _task(posted, i % 2 == 0 ? 1 : 0, _around(posted, Tree.SESSION, 0, 1));
            _expectRefused(call, IFraudErrors.NotTheSame.selector);
        }
    }

    /// @dev The last of its leaves shown as the first: by name, not as an arithmetic panic.
    function test_F5_aTasksLeavesTheWrongWayRound() public {
        Record memory record = _attempt();
        Row[] memory rows = new Row[](3);
        for (uint16 i = 0; i < 3; ++i) rows[i] = _row(i == 0 ? record : _again(record, nodeId, i, 0));
        _expectRefused(_f5Task(_postRows(rows), 2, 0), IFraudErrors.NothingWrong.selector);
    }

    // ---- helpers

    function _change(Tree tree, bytes32 id, uint96 excess) private view returns (Verdict memory expected) {
        expected = _onRelayer(abi.encode("F5", relayerId, uint64(1), tree, id), 1_000);
        (expected.batchId, expected.excess) = (1, excess);
    }

    function _keyOf(Posted memory posted, uint32 id) private view returns (bytes32) {
        return keccak256(abi.encode("F5", relayerId, posted.header.batchId, Tree.TAB, bytes32(uint256(id))));
    }

    /// @dev A leaf in each of three tabs; what is credited too much to one of them another one lacks.
    function _threeTabs(uint256 over, uint256 under) private returns (Posted memory posted, Credit[] memory credits) {
        if (nodes.count() == nodeId) {
            _addNode(0xB7);
            _addNode(0xB8);
        }
        Row[] memory rows = new Row[](3);
        for (uint32 i = 0; i < 3; ++i) rows[i] = _row(_attemptOf(nodeId + i, authorization));
        (Row[] memory bySession, Row[] memory byTab) = (_sorted(rows, Tree.SESSION), _sorted(rows, Tree.TAB));
        credits = _creditsOf(byTab);
        credits[over].change += MOVED;
        credits[under].change -= MOVED;
        posted = _postChanges(bySession, byTab, _debitsOf(bySession), credits);
    }

    function _task(Posted memory posted, uint256 own, Entry[] memory shown) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveTaskAboveMaxFee,
            (relayerId, posted.header.batchId, posted.bySession[own].record.order, shown[0], shown[1], SALT)
        );
    }
}
