// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry, Verdict} from "../../contracts/fraud/Evidence.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {JudgedTrees} from "./support/JudgedTrees.sol";

/// @notice F7, F11: the whole verdict on trees out of order, and leaves that stand in no tree.
contract JudgedOrderTest is JudgedTrees {
    // ---- F7: one task in two batches

    function test_F7_verdictOnATaskInTwoBatches() public {
        (Posted memory first, Posted memory second) = _twice();
        bytes memory call = _f7Two(first, 0, 1, second, 0, 2);
        Verdict memory expected = _voiding(second, 0, abi.encode("F7", relayerId, uint64(2), receipts.leafHash(second.bySession[0].leaf)));
        _expectUntilMature(call, expected);
    }

    function test_F7_bothLeavesStandInTheirBatches() public {
        (Posted memory first, Posted memory second) = _twice();
        (Entry memory earlier, Entry memory later) = (_entry(first, Tree.SESSION, 0), _entry(second, Tree.SESSION, 0));
        bytes memory call = abi.encodeCall(IFraudProofs.proveTaskInTwoBatches, (relayerId, 1, _invented(earlier), 2, later, SALT));
        _expectNotThere(call, first.header.hash(), receipts.leafHash(_invented(earlier).leaf), 0);
        call = abi.encodeCall(IFraudProofs.proveTaskInTwoBatches, (relayerId, 1, earlier, 2, _invented(later), SALT));
        _expectNotThere(call, second.header.hash(), receipts.leafHash(_invented(later).leaf), 0);
    }

    // ---- F7: a second input

    function test_F7_verdictOnASecondInput() public {
        Posted memory posted = _twoInputs();
        bytes32 leafHash = receipts.leafHash(posted.bySession[1].leaf);
        _expectUntilMature(_f7Input(posted, 0, 1), _voiding(posted, 1, abi.encode("F7 input", relayerId, uint64(1), leafHash)));
    }

    function test_F7_bothInputsStandInTheBatch() public {
        Posted memory posted = _twoInputs();
        for (uint256 i = 0; i < 2; ++i) {
            Entry[] memory shown = _around(posted, Tree.SESSION, 0, 1);
            shown[i] = _invented(shown[i]);
            bytes memory call = _inputs(posted, shown);
            _expectNotThere(call, posted.header.hash(), receipts.leafHash(shown[i].leaf), i);
        }
    }

    /// @dev Each of the two is paid under the assignment that its own receipt names.
    function test_F7_eachInputsAssignmentIsItsOwn() public {
        Posted memory posted = _twoInputs();
        for (uint256 i = 0; i < 2; ++i) {
            Posted memory bent = abi.decode(abi.encode(posted), (Posted));
            bent.bySession[i].record.assignment.priceInPerMTok += 1;
            _expectRefused(_f7Input(bent, 0, 1), IFraudErrors.NotTheSame.selector);
        }
    }

    /// @dev Whichever of the two paid no input, there is no second one.
    function test_F7_twoOfThemPaidInput() public {
        Record memory record = _attempt();
        Record memory free = _withoutInput(_again(record, nodeId, 0, 1), COMPLETE, 0, 1_000_000);
        _expectRefused(_f7Input(_postRows(_rows(record, free)), 0, 1), IFraudErrors.NothingWrong.selector);
        free = _withoutInput(_attempt(), COMPLETE, 0, 1_000_000);
        record = _again(free, nodeId, 0, 1);
        (record.assignment.priceInPerMTok, record.receipt.body.fee) = (100_000, FEE);
        _seal(record);
        _expectRefused(_f7Input(_postRows(_rows(free, record)), 0, 1), IFraudErrors.NothingWrong.selector);
    }

    // ---- F7: order

    /// @dev Neighbours that differ in one member of their place, exchanged: of the session tree four, of the tab tree two.
    function test_F7_verdictOnNeighboursOutOfOrder() public {
        for (uint256 member = 0; member < 6; ++member) {
            Tree tree = member < 4 ? Tree.SESSION : Tree.TAB;
            Row[] memory rows = _differingIn(member);
            _expectRefused(_f7Order(_postBare(rows), tree, 0, 1), IFraudErrors.NothingWrong.selector);
            (rows[0], rows[1]) = (rows[1], rows[0]);
            Posted memory posted = _postBare(rows);
            bytes memory key = abi.encode("F7 order", relayerId, posted.header.batchId, tree, uint32(1));
            _expectVerdict(_f7Order(posted, tree, 0, 1), _onRelayer(key, 10_000));
        }
    }

    function test_F7_neighboursStandInTheTree() public {
        Posted memory posted = _postRows(_tasks(2));
        for (uint256 i = 0; i < 4; ++i) {
            Tree tree = i < 2 ? Tree.SESSION : Tree.TAB;
            Entry[] memory shown = _around(posted, tree, 0, 1);
            shown[i % 2] = _invented(shown[i % 2]);
            bytes memory call = abi.encodeCall(IFraudProofs.proveDisorder, (relayerId, 1, tree, shown[0], shown[1], SALT));
            _expectNotThere(call, posted.header.hash(), receipts.leafHash(shown[i % 2].leaf), i % 2);
        }
    }

    // ---- F11

    function test_F11_verdict() public {
        for (uint256 i = 0; i < 2; ++i) {
            (Tree tree, Tree otherTree) = i == 0 ? (Tree.SESSION, Tree.TAB) : (Tree.TAB, Tree.SESSION);
            Posted memory posted = _twoStories(_tasks(1), i == 0, 0);
            bytes32 leafHash = receipts.leafHash(_entry(posted, tree, 0).leaf);
            bytes memory key = abi.encode("F11", relayerId, posted.header.batchId, leafHash);
            _expectVerdict(_f11(posted, tree, 0, _only(posted, otherTree, 0)), _onRelayer(key, 10_000));
        }
    }

    /// @dev A leaf that the accuser made up stands in no tree, and is missed in none.
    function test_F11_theLeafThatIsMissedStandsInItsTree() public {
        Posted memory posted = _postRows(_tasks(1));
        for (uint256 i = 0; i < 2; ++i) {
            (Tree tree, Tree otherTree) = i == 0 ? (Tree.SESSION, Tree.TAB) : (Tree.TAB, Tree.SESSION);
            Entry memory invented = _invented(_entry(posted, tree, 0));
            bytes memory call = abi.encodeCall(IFraudProofs.proveAsymmetry, (relayerId, 1, tree, invented, _only(posted, otherTree, 0), SALT));
            _expectNotThere(call, posted.header.hash(), receipts.leafHash(invented.leaf), 0);
        }
    }

    /// @dev Nor do neighbours that were made up.
    function test_F11_whatIsShownBesideItStandsInTheOther() public {
        Posted memory posted = _postRows(_sorted(_tasks(3), Tree.TAB));
        for (uint256 i = 0; i < 3; ++i) {
            Entry[] memory others = i == 2 ? _only(posted, Tree.TAB, 0) : _around(posted, Tree.TAB, 0, 1);
            others[i % 2] = _invented(others[i % 2]);
            _expectNotThere(
                _f11(posted, Tree.SESSION, 0, others), posted.header.hash(), receipts.leafHash(others[i % 2].leaf), others[i % 2].proof.index
            );
        }
    }

    /// @dev None, or three of which the first holds other bytes in its place: neither says anything.
    function test_F11_oneOrTwoAreShown() public {
        Posted memory posted = _twoStories(_sorted(_tasks(3), Tree.TAB), true, 0);
        uint256 own = _placeIn(posted.bySession, posted.byTab[0].record.receipt.hash());
        Entry[] memory three = new Entry[](3);
        for (uint256 i = 0; i < 3; ++i) three[i] = _entry(posted, Tree.TAB, i);
        _expectRefused(_f11(posted, Tree.SESSION, own, three), IFraudErrors.WrongNeighbours.selector);
        _expectRefused(_f11(posted, Tree.SESSION, own, new Entry[](0)), IFraudErrors.WrongNeighbours.selector);
        bytes memory key = abi.encode("F11", relayerId, uint64(1), receipts.leafHash(posted.bySession[own].leaf));
        _expectVerdict(_f11(posted, Tree.SESSION, own, _only(posted, Tree.TAB, 0)), _onRelayer(key, 10_000));
    }

    // ---- helpers

    function _twice() private returns (Posted memory first, Posted memory second) {
        Record memory record = _attempt();
        first = _postRows(_rows(record));
        second = _postRows(_rows(_again(record, nodeId, 1, 0)));
    }

    function _twoInputs() private returns (Posted memory) {
        Record memory record = _attempt();
        return _postRows(_rows(record, _again(record, nodeId, 0, 1)));
    }

    function _inputs(Posted memory posted, Entry[] memory shown) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveSecondInput,
            (relayerId, 1, shown[0], posted.bySession[0].record.assignment, shown[1], posted.bySession[1].record.assignment, SALT)
        );
    }

    /// @dev Two rows in order that differ in session, task, subtask, attempt, node or nodeSeq; what stands below it in the place
    /// is the other way round.
    function _differingIn(uint256 member) private returns (Row[] memory rows) {
        Record memory one = _attempt();
        Record memory other = abi.decode(abi.encode(one), (Record));
        (one.receipt.body.sessionId, other.receipt.body.sessionId) = _ordered(member == 0, bytes32(uint256(7)));
        (one.receipt.body.taskId, other.receipt.body.taskId) = _ordered(member == 1, bytes32(uint256(8)));
        if (member == 0) (one.receipt.body.taskId, other.receipt.body.taskId) = (other.receipt.body.taskId, bytes32(0));
        (one.receipt.body.subtask, other.receipt.body.subtask) = member == 2 ? (5, 256) : member < 2 ? (9, 5) : (5, 5);
        (one.receipt.body.attempt, other.receipt.body.attempt) = member == 3 ? (0, 1) : (255, 0);
        (one.receipt.nodeId, other.receipt.nodeId) = member == 4 ? (nodeId, nodeId + 1) : (nodeId, nodeId);
        (one.receipt.nodeSeq, other.receipt.nodeSeq) = member == 5 ? (uint64(5), uint64(6)) : (uint64(9), uint64(8));
        rows = _rows(one, other);
    }

    function _ordered(bool differ, bytes32 id) private pure returns (bytes32 one, bytes32 other) {
        return (id, differ ? bytes32(uint256(id) + 1) : id);
    }

    /// @dev The tab tree, or the session tree, holds other bytes in the place of that leaf.
    function _twoStories(Row[] memory rows, bool inTabs, uint256 index) private returns (Posted memory) {
        (Row[] memory bySession, Row[] memory byTab) = (_sorted(rows, Tree.SESSION), _sorted(rows, Tree.TAB));
        Row[] memory bent = abi.decode(abi.encode(inTabs ? byTab : bySession), (Row[]));
        bent[index].leaf.assignmentSigHash = keccak256("another");
        return inTabs ? _postTrees(bySession, bent) : _postTrees(bent, byTab);
    }

    function _placeIn(Row[] memory rows, bytes32 receiptHash) private pure returns (uint256 place) {
        while (rows[place].leaf.receiptHash != receiptHash) ++place;
    }
}
