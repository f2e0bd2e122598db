// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {BadSum, ChangeClaim, Entry} from "../../contracts/fraud/Evidence.sol";
import {Item, Items, ItemsOpening} from "../../contracts/libraries/Items.sol";
import {MerkleSum, SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice F5, F6, F7, F11: trees that do not add up, are out of order, or tell two stories.
contract FraudTreesTest is Trials {
    bytes private constant NEIGHBOURS = abi.encodeWithSelector(IFraudErrors.WrongNeighbours.selector);

    // ---- F5: sessions

    /// @dev Three sessions in order; the middle one is debited 1,000 more than its leaves, the last as much less.
    function test_F5_overDebit() public {
        (Posted memory posted, Debit[] memory debits) = _misdebited(1_000);
        bytes32 id = debits[1].sessionId;
        _prove(_f5(posted, debits, Tree.SESSION, id, true, _around(posted, Tree.SESSION, 1, 4), true));
        vm.assertEq(escrow.sessionOf(id).voidedCharge, 1_000, "the excess is back in the lock, from the relayer's fees");
        _assertPenalty(BOND / 10, payer, 1_000);
    }

    function test_F5_underDebitHarmsNobodyButItsRelayer() public {
        (Posted memory posted, Debit[] memory debits) = _misdebited(1_000);
        bytes32 id = debits[2].sessionId;
        Entry[] memory bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, Tree.SESSION, 4), _entry(posted, Tree.SESSION, 5));
        _prove(_f5(posted, debits, Tree.SESSION, id, false, bounds, false));
        vm.assertEq(escrow.sessionOf(id).voidedCharge, 0, "nothing to give back");
        _assertPenalty(BOND / 10, payer, 0);
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

    function test_F5_boundsThatAreNotThoseOfTheSession() public {
        (Posted memory posted, Debit[] memory debits) = _misdebited(0);
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
        (Posted memory posted, Debit[] memory debits) = _misdebited(0);
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

    function test_F5_tasksWithinTheirOrder() public {
        Posted memory posted = _twoSubtasks(2 * CHARGE);
        _expectNothingWrong(_f5Task(posted, 0, 1));
        _expectNothingWrong(_f5Task(posted, 0, 0));
        _expectNothingWrong(_f5Task(posted, 1, 0));
        Posted memory others = _postRows(_tasks(2));
        _expectNotTheSame(_f5Task(others, 0, 1));
    }

    // ---- F6

    /// @dev An inner node that the next one up names with one unit more than its children make.
    function test_F6_anInnerSumThatDoesNotAddUp() public {
        Row[] memory rows = _sorted(_tasks(4), Tree.SESSION);
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        bytes32 left = MerkleSum.nodeHash(h[0], s[0], h[1], s[1]);
        bytes32 right = MerkleSum.nodeHash(h[2], s[2], h[3], s[3]);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 1;
        Credit[] memory credits = _creditsOf(rows);
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = 4;
        header.sessionRoot = MerkleSum.nodeHash(left, s[0] + s[1] + 1, right, s[2] + s[3]);
        header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
        _post(header, debits, credits);
        BadSum memory badSum = _inner(h, s, right, 1);
        _expectNothingWrong(_f6(Tree.SESSION, _otherInner(h, s, left, 1)));
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev The tree adds up, but not to what was debited.
    function test_F6_aRootThatIsNotTheTotal() public {
        Row[] memory rows = _sorted(_tasks(2), Tree.SESSION);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 9;
        _postChanges(rows, _sorted(rows, Tree.TAB), debits, _creditsOf(rows));
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        BadSum memory badSum;
        badSum.level = 1;
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[0], s[0], h[1], s[1]);
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev A leaf whose parent names it with another charge; and the same tree's other leaf, which is right.
    function test_F6_aLeafUnderAnotherSum() public {
        Row[] memory rows = _sorted(_tasks(2), Tree.SESSION);
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 5;
        Credit[] memory credits = _creditsOf(rows);
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = 2;
        header.sessionRoot = MerkleSum.nodeHash(h[0], s[0], h[1], s[1] + 5);
        header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
        _post(header, debits, credits);
        BadSum memory badSum = _leafPath(1);
        badSum.leaf = rows[0].leaf;
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[0], h[1], s[1] + 5);
        _expectNothingWrong(_f6(Tree.SESSION, badSum));
        badSum.leaf = rows[1].leaf;
        badSum.index = 1;
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[1] + 5, h[0], s[0]);
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    function test_F6_paddingThatIsNotEmpty() public {
        for (uint256 i = 0; i < 2; ++i) {
            Row[] memory rows = _sorted(_tasks(3), Tree.SESSION);
            (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
            // A hash without a sum, or a sum without a hash.
            bytes32 hidden = i == 0 ? keccak256("hidden") : bytes32(0);
            uint128 hiddenSum = uint128(i);
            bytes32 left = MerkleSum.nodeHash(h[0], s[0], h[1], s[1]);
            bytes32 right = MerkleSum.nodeHash(h[2], s[2], hidden, hiddenSum);
            Debit[] memory debits = _debitsOf(rows);
            debits[0].change += uint96(hiddenSum);
            Credit[] memory credits = _creditsOf(rows);
            BatchHeader memory header = _header(debits, credits);
            header.leafCount = 3;
            header.sessionRoot = MerkleSum.nodeHash(left, s[0] + s[1], right, s[2] + hiddenSum);
            header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
            _post(header, debits, credits);
            BadSum memory badSum = _leafPath(2);
            badSum.index = 3;
            badSum.leftHash = hidden;
            (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (hiddenSum, h[2], s[2]);
            (badSum.ownSums[1], badSum.siblingHashes[1], badSum.siblingSums[1]) = (s[2] + hiddenSum, left, s[0] + s[1]);
            uint256 burned = proofs.toBurn(pay);
            bytes memory call = abi.encodeCall(
                IFraudProofs.proveBadSum, (relayerId, uint64(i + 1), Tree.SESSION, badSum, SALT)
            );
            _prove(call);
            vm.assertGe(proofs.toBurn(pay), burned + 1, "burned");
            if (i == 0) _bond(_relayer(), relayerId, BOND);
        }
    }

    /// @dev Every place of every level of honest trees of all shapes.
    function test_F6_honestTreesAreNotSlashable() public {
        for (uint256 count = 1; count <= 6; ++count) {
            Posted memory posted = _postRows(_tasks(count));
            _expectHonestTree(posted, Tree.SESSION, posted.bySession);
            _expectHonestTree(posted, Tree.TAB, posted.byTab);
        }
    }

    function _expectHonestTree(Posted memory posted, Tree tree, Row[] memory rows) private {
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, tree);
        uint256 depth = MerkleSum.depthOf(uint32(rows.length));
        uint256 width = 1 << depth;
        (bytes32[] memory level, uint128[] memory sums) = (new bytes32[](width), new uint128[](width));
        for (uint256 i = 0; i < rows.length; ++i) (level[i], sums[i]) = (h[i], s[i]);
        for (uint256 i = 0; i < width; ++i) {
            SumProof memory path = _pathOf(h, s, uint32(i));
            BadSum memory badSum = _climbOf(path, sums[i]);
            badSum.index = uint32(i);
            if (i < rows.length) badSum.leaf = rows[i].leaf;
            _expectNothingWrong(
                abi.encodeCall(IFraudProofs.proveBadSum, (relayerId, posted.header.batchId, tree, badSum, SALT))
            );
        }
    }

    function test_F6_pathsThatLeadNowhere() public {
        Posted memory posted = _postRows(_tasks(4));
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(posted.bySession, Tree.SESSION);
        BadSum memory badSum = _climbOf(_pathOf(h, s, 1), s[1]);
        (badSum.index, badSum.leaf) = (1, posted.bySession[1].leaf);
        badSum.ownSums[0] += 1;
        _expectNotProven(
            _f6(Tree.SESSION, badSum),
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, posted.header.hash(), h[1], uint32(1))
        );
        badSum.ownSums[0] -= 1;
        badSum.level = 1;
        _expectNeighbours(_f6(Tree.SESSION, badSum));
        badSum.level = 0;
        badSum.index = 5;
        _expectNeighbours(_f6(Tree.SESSION, badSum));
        badSum.index = 1;
        badSum.siblingSums = new uint128[](1);
        _expectNeighbours(_f6(Tree.SESSION, badSum));
    }

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

    function _threeSessions() private returns (SpendingAuthorization[] memory own) {
        own = new SpendingAuthorization[](3);
        for (uint256 i = 0; i < 3; ++i) {
            own[i] = _addSession(VOUCHER, 500 + i);
            for (uint256 j = i; j > 0 && own[j - 1].hash() > own[j].hash(); --j) (own[j - 1], own[j]) = (own[j], own[j - 1]);
        }
    }

    /// @dev Three sessions of two leaves each.
    function _misdebited(uint96 moved) private returns (Posted memory posted, Debit[] memory debits) {
        SpendingAuthorization[] memory own = _threeSessions();
        Row[] memory rows = new Row[](6);
        for (uint256 i = 0; i < 6; ++i) rows[i] = _row(_attemptOf(nodeId, own[i / 2]));
        rows = _sorted(rows, Tree.SESSION);
        debits = _debitsOf(rows);
        debits[1].change += moved;
        debits[2].change -= moved;
        posted = _postChanges(rows, _sorted(rows, Tree.TAB), debits, _creditsOf(rows));
    }

    function _twoSubtasks(uint96 maxFee) private returns (Posted memory) {
        Record memory record = _attempt();
        record.order.maxFee = maxFee;
        record.assignment.shareCap = maxFee;
        _seal(record);
        return _postRows(_rows(record, _again(record, nodeId, 1, 0)));
    }

    function _around(Posted memory posted, Tree tree, uint256 left, uint256 right) private pure returns (Entry[] memory bounds) {
        bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, tree, left), _entry(posted, tree, right));
    }

    function _opening(Debit[] memory debits) private pure returns (ItemsOpening memory) {
        Item[] memory items = new Item[](debits.length);
        for (uint256 i = 0; i < debits.length; ++i) items[i] = Item(debits[i].sessionId, debits[i].change);
        return _whole(items);
    }

    function _whole(Item[] memory items) private pure returns (ItemsOpening memory opening) {
        bytes memory packed = Items.room(items.length);
        for (uint256 i = 0; i < items.length; ++i) Items.put(packed, i, uint256(items[i].id), items[i].change);
        opening.groups = new bytes32[](1);
        opening.groups[0] = keccak256(packed);
        opening.opened = new Item[][](1);
        opening.opened[0] = items;
    }

    function _f5(
        Posted memory posted,
        Debit[] memory debits,
        Tree tree,
        bytes32 id,
        bool isOver,
        Entry[] memory bounds,
        bool hasLeft
    ) private pure returns (bytes memory) {
        ChangeClaim memory claim = ChangeClaim(tree, id, isOver, hasLeft, bounds);
        return abi.encodeCall(IFraudProofs.proveWrongChange, (posted.header, _opening(debits), claim, SALT));
    }

    function _f5Credits(
        Posted memory posted,
        Credit[] memory credits,
        uint32 id,
        bool isOver,
        Entry[] memory bounds,
        bool hasLeft
    ) private pure returns (bytes memory) {
        Item[] memory items = new Item[](credits.length);
        for (uint256 i = 0; i < credits.length; ++i) items[i] = Item(bytes32(uint256(credits[i].nodeId)), credits[i].change);
        ChangeClaim memory claim = ChangeClaim(Tree.TAB, bytes32(uint256(id)), isOver, hasLeft, bounds);
        return abi.encodeCall(IFraudProofs.proveWrongChange, (posted.header, _whole(items), claim, SALT));
    }

    function _f5Task(Posted memory posted, uint256 first, uint256 last) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveTaskAboveMaxFee,
            (
                relayerId,
                posted.header.batchId,
                posted.bySession[0].record.order,
                _entry(posted, Tree.SESSION, first),
                _entry(posted, Tree.SESSION, last),
                SALT
            )
        );
    }

    function _f6(Tree tree, BadSum memory badSum) private view returns (bytes memory) {
        return abi.encodeCall(IFraudProofs.proveBadSum, (relayerId, 1, tree, badSum, SALT));
    }

    function _f7Two(Posted memory first, uint256 i, uint64 firstId, Posted memory second, uint256 j, uint64 secondId)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveTaskInTwoBatches,
            (relayerId, firstId, _entry(first, Tree.SESSION, i), secondId, _entry(second, Tree.SESSION, j), SALT)
        );
    }

    function _f7Input(Posted memory posted, uint256 one, uint256 other) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveSecondInput,
            (
                relayerId,
                posted.header.batchId,
                _entry(posted, Tree.SESSION, one),
                posted.bySession[one].record.assignment,
                _entry(posted, Tree.SESSION, other),
                posted.bySession[other].record.assignment,
                SALT
            )
        );
    }

    function _f7Order(Posted memory posted, Tree tree, uint256 left, uint256 right) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveDisorder,
            (relayerId, posted.header.batchId, tree, _entry(posted, tree, left), _entry(posted, tree, right), SALT)
        );
    }

    function _f11(Posted memory posted, Tree tree, uint256 index, Entry[] memory others) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveAsymmetry,
            (relayerId, posted.header.batchId, tree, _entry(posted, tree, index), others, SALT)
        );
    }

    function _expectNeighbours(bytes memory call) private {
        _expectNotProven(call, NEIGHBOURS);
    }

    function _leafPath(uint256 depth) private pure returns (BadSum memory badSum) {
        badSum.ownSums = new uint128[](depth);
        badSum.siblingHashes = new bytes32[](depth);
        badSum.siblingSums = new uint128[](depth);
    }

    function _climbOf(SumProof memory path, uint128 sum) private pure returns (BadSum memory badSum) {
        badSum = _leafPath(path.hashes.length);
        badSum.siblingHashes = path.hashes;
        badSum.siblingSums = path.sums;
        for (uint256 i = 0; i < path.hashes.length; ++i) {
            badSum.ownSums[i] = sum;
            sum += path.sums[i];
        }
    }

    function _inner(bytes32[] memory h, uint128[] memory s, bytes32 right, uint128 more)
        private
        pure
        returns (BadSum memory badSum)
    {
        badSum = _leafPath(1);
        badSum.level = 1;
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[0], s[0], h[1], s[1]);
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[0] + s[1] + more, right, s[2] + s[3]);
    }

    function _otherInner(bytes32[] memory h, uint128[] memory s, bytes32 left, uint128 more)
        private
        pure
        returns (BadSum memory badSum)
    {
        badSum = _leafPath(1);
        (badSum.level, badSum.index) = (1, 1);
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[2], s[2], h[3], s[3]);
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[2] + s[3], left, s[0] + s[1] + more);
    }
}
