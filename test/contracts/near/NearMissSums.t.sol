// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BadSum, Entry} from "../../../contracts/fraud/Evidence.sol";
import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {IFraudErrors} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F5, F6: deferred, hedged and redundant work that adds up, in places where it might look as if it did not.
contract NearMissSumsTest is NearMisses {
    // ---- F5: changes that are those of their leaves

    function test_near_F5_betweenTwoSessions() public {
        _nearOver(1, 2, true, true);
    }

    function test_near_F5_theFirstSessionHasNoLeftNeighbour() public {
        _nearOver(0, 1, false, true);
    }

    function test_near_F5_theLastSessionHasNoRightNeighbour() public {
        _nearOver(2, 1, true, false);
    }

    function test_near_F5_allOfItsLeavesAreDebited() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint96 moved = 0; moved < 2; ++moved) {
            (Posted memory posted, Debit[] memory debits) = _moved(own, 1, 2, moved);
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[1].hash(), false, _around(posted, Tree.SESSION, 2, 3), false);
            if (moved == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    /// @dev One of its leaves proves no lack: others may stand beside it.
    function test_near_F5_onlyAPartOfItsLeavesIsShown() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint256 i = 0; i < 2; ++i) {
            (Posted memory posted, Debit[] memory debits) = _moved(own, 1, 2, i == 0 ? 0 : CHARGE + 1);
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[1].hash(), false, _around(posted, Tree.SESSION, 2, 2), false);
            if (i == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    /// @dev Deferred: in none of this batch's leaves, and in none of its debits.
    function test_near_F5_aSessionDeferredPastThisBatch() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint96 carried = 0; carried < 2; ++carried) {
            Row[] memory rows = _rows(_attemptOf(nodeId, own[0]), _attemptOf(nodeId, own[2]));
            Debit[] memory debits = new Debit[](2 + carried);
            for (uint256 i = 0; i < debits.length; ++i) {
                debits[i].sessionId = own[carried == 0 ? 2 * i : i].hash();
                debits[i].change = carried == 1 && i == 1 ? 500 : CHARGE - (i == 0 ? 500 * carried : 0);
                _cover(debits[i]);
            }
            Posted memory posted = _postChanges(rows, rows, debits, _creditsOf(rows));
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[1].hash(), true, _around(posted, Tree.SESSION, 0, 1), true);
            if (carried == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    /// @dev Deferred over several batches: each debits its own leaves and carries nothing over.
    function test_near_F5_aSessionSettledOverSeveralBatches() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint256 i = 0; i < 3; ++i) {
            (Posted memory posted, Debit[] memory debits) = _moved(own, 2, 1, i == 2 ? 1 : 0);
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[1].hash(), true, _around(posted, Tree.SESSION, 1, 4), true);
            if (i < 2) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    /// @dev What charges nothing is a leaf, and no item of the list.
    function test_near_F5_aHedgeThatWasCancelledBeforeItsFirstToken() public {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint256 i = 0; i < 2; ++i) {
            Record memory free = _attemptOf(nodeId, own[0]);
            free.receipt.body.fee = i == 0 ? 0 : FEE;
            _seal(free);
            Row[] memory rows = _rows(free, _attemptOf(nodeId, own[2]));
            Debit[] memory debits = new Debit[](1);
            (debits[0].sessionId, debits[0].change) = (own[2].hash(), i == 0 ? CHARGE : 2 * CHARGE);
            _cover(debits[0]);
            Posted memory posted = _postChanges(rows, rows, debits, _creditsOf(rows));
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[0].hash(), false, _around(posted, Tree.SESSION, 0, 0), false);
            if (i == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    function test_near_F5_aTabCreditedWithItsLeaves() public {
        uint32 second = _addNode(0xB7);
        for (uint96 moved = 0; moved < 2; ++moved) {
            (Posted memory posted, Credit[] memory credits) = _movedCredit(second, moved);
            bytes memory call = _f5Credits(posted, credits, nodeId, true, _only(posted, Tree.TAB, 1), false);
            if (moved == 0) _expectNothingWrong(call);
            else _guiltyOfTab(call);
        }
    }

    /// @dev Credits lag behind what a node's running total claims: the leaves decide.
    function test_near_F5_aTabThatClaimsMoreThanItWasCredited() public {
        uint32 second = _addNode(0xB7);
        for (uint96 moved = 0; moved < 2; ++moved) {
            (Posted memory posted, Credit[] memory credits) = _movedCredit(second, moved);
            bytes memory call = _f5Credits(posted, credits, second, false, _around(posted, Tree.TAB, 1, 1), false);
            if (moved == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    function test_near_F5_redundantSubtasksUpToTheOrdersMaxFee() public {
        _expectNothingWrong(_f5Task(_twoSubtasks(2 * CHARGE), 0, 1));
        _guilty(_f5Task(_twoSubtasks(2 * CHARGE - 1), 0, 1));
    }

    function test_near_F5_twoTasksOfOneConversation() public {
        _expectNotTheSame(_f5Task(_postRows(_tasks(2)), 0, 1));
        _guilty(_f5Task(_twoSubtasks(CHARGE), 0, 1));
    }

    // ---- F6: sums that add up

    function test_near_F6_theOnlyLeafIsTheRoot() public {
        _nearSum(_tasks(1), Tree.SESSION, 0, 0);
    }

    function test_near_F6_theLeftOfTwo() public {
        _nearSum(_tasks(2), Tree.SESSION, 0, 0);
    }

    function test_near_F6_theRightOfTwo() public {
        _nearSum(_tasks(2), Tree.SESSION, 0, 1);
    }

    function test_near_F6_theLeafBesideThePadding() public {
        _nearSum(_tasks(3), Tree.SESSION, 0, 2);
    }

    function test_near_F6_thePaddingItself() public {
        _nearSum(_tasks(3), Tree.SESSION, 0, 3);
    }

    function test_near_F6_anInnerNodeOverPaddingAlone() public {
        _nearSum(_tasks(5), Tree.SESSION, 1, 3);
    }

    function test_near_F6_anInnerNode() public {
        _nearSum(_tasks(4), Tree.SESSION, 1, 1);
    }

    function test_near_F6_theRootAndTheHeadersTotal() public {
        _nearSum(_tasks(4), Tree.SESSION, 2, 0);
    }

    function test_near_F6_feesInTheTabTree() public {
        Row[] memory rows = _rows(_attempt(), _attemptOf(_addNode(0xB7), authorization));
        _nearSum(rows, Tree.TAB, 0, 1);
    }

    /// @dev A hedge that earned nothing is a leaf of sum zero, as padding is, and no padding.
    function test_near_F6_aLeafThatChargesNothing() public {
        Record memory free = _attempt();
        free.receipt.body.fee = 0;
        _seal(free);
        Row[] memory rows = _sorted(_rows(free, _attempt()), Tree.SESSION);
        _nearSum(rows, Tree.SESSION, 0, rows[0].leaf.charge == 0 ? 0 : 1);
    }

    /// @dev Sums that the accuser made up lead to another root.
    function test_near_F6_sumsThatWereNeverNamed() public {
        Row[] memory rows = _sorted(_tasks(4), Tree.SESSION);
        (bytes32 root, BadSum memory badSum) = _bumped(rows, Tree.SESSION, 0, 2, 0);
        Posted memory posted = _postRoot(rows, Tree.SESSION, root, 0);
        badSum.ownSums[0] += 1;
        _expectNotProven(
            _f6(posted, Tree.SESSION, badSum),
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, posted.header.hash(), receipts.leafHash(rows[2].leaf), uint32(2))
        );
        (root, badSum) = _bumped(rows, Tree.SESSION, 0, 2, 1);
        _guilty(_f6(_postRoot(rows, Tree.SESSION, root, 1), Tree.SESSION, badSum));
    }

    // ---- helpers

    /// @dev One unit is debited too much of a session, or none; its neighbours are shown.
    function _nearOver(uint256 session, uint256 from, bool hasLeft, bool hasRight) private {
        SpendingAuthorization[] memory own = _threeSessions();
        for (uint96 moved = 0; moved < 2; ++moved) {
            (Posted memory posted, Debit[] memory debits) = _moved(own, from, session, moved);
            Entry[] memory bounds = hasLeft && hasRight
                ? _around(posted, Tree.SESSION, 2 * session - 1, 2 * session + 2)
                : _only(posted, Tree.SESSION, hasLeft ? 2 * session - 1 : 2 * session + 2);
            bytes memory call = _f5(posted, debits, Tree.SESSION, own[session].hash(), true, bounds, hasLeft);
            if (moved == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    function _movedCredit(uint32 second, uint96 moved) private returns (Posted memory posted, Credit[] memory credits) {
        Row[] memory rows = _rows(_attempt(), _attemptOf(second, authorization));
        Row[] memory byTab = _sorted(rows, Tree.TAB);
        Row[] memory bySession = _sorted(rows, Tree.SESSION);
        credits = _creditsOf(byTab);
        credits[0].change += moved;
        credits[1].change -= moved;
        posted = _postChanges(bySession, byTab, _debitsOf(bySession), credits);
    }

    function _guiltyOfTab(bytes memory call) private {
        _guilty(call);
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 1, "the excess is taken from the tab");
    }

    /// @dev A place of the tree, honest; then the same place named with one unit more than what lies below it.
    function _nearSum(Row[] memory rows, Tree tree, uint256 level, uint256 index) private {
        rows = _sorted(rows, tree);
        (bytes32 root, BadSum memory badSum) = _bumped(rows, tree, level, index, 0);
        _expectNothingWrong(_f6(_postRoot(rows, tree, root, 0), tree, badSum));
        (root, badSum) = _bumped(rows, tree, level, index, 1);
        _guilty(_f6(_postRoot(rows, tree, root, 1), tree, badSum));
    }
}
