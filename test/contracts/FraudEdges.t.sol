// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {FraudProofs} from "../../contracts/FraudProofs.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../contracts/fraud/TreeJudge.sol";
import {ChangeClaim, Entry} from "../../contracts/fraud/Evidence.sol";
import {Credit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Item, Items, ItemsOpening} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice Opens lists for the test.
contract ItemsWindow {
    function changeOf(bytes32 id, bytes32 listHash, ItemsOpening calldata opening) external pure returns (uint256) {
        return Items.changeOf(id, listHash, opening);
    }
}

/// @notice Edges of the proofs: how they are wired, lists of several groups, leaves proven twice, receipts of other leaves.
contract FraudEdgesTest is Trials {
    NodeJudge private nodeJudge;
    LeafJudge private leafJudge;
    TreeJudge private treeJudge;
    RelayerJudge private relayerJudge;

    // ---- wiring

    function test_FraudProofsNeedsABond() public {
        _deployBooks();
        _makeJudges();
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.ZeroAmount.selector));
        new FraudProofs(settlement, nodeJudge, leafJudge, treeJudge, relayerJudge, 0);
    }

    function test_FraudProofsRefusesTheJudgesOfAnotherDeployment() public {
        BatchSettlement other = settlement;
        _deployBooks();
        _makeJudges();
        nodeJudge = proofs.nodeJudge();
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.Miswired.selector, address(other)));
        new FraudProofs(settlement, nodeJudge, leafJudge, treeJudge, relayerJudge, CHALLENGE_BOND);
    }

    // ---- lists of several groups

    /// @dev 40 items, ids 10, 20, ... 400: groups of 16, 16 and 8.
    function test_aChangeIsShownByOneGroupOrTwo() public {
        ItemsWindow window = new ItemsWindow();
        (Item[] memory items, bytes32[] memory groups, bytes32 listHash) = _list(40);
        for (uint256 i = 0; i < 40; ++i) {
            uint256 change = window.changeOf(items[i].id, listHash, _open(items, groups, uint32(i / 16), 1));
            vm.assertEq(change, 1_000 + i, "it stands in its group");
        }
        // Absent: before all, inside a group, between two groups, behind all.
        vm.assertEq(window.changeOf(bytes32(uint256(5)), listHash, _open(items, groups, 0, 1)), 0, "before all");
        vm.assertEq(window.changeOf(bytes32(uint256(15)), listHash, _open(items, groups, 0, 1)), 0, "inside");
        vm.assertEq(window.changeOf(bytes32(uint256(165)), listHash, _open(items, groups, 0, 2)), 0, "between");
        vm.assertEq(window.changeOf(bytes32(uint256(405)), listHash, _open(items, groups, 2, 1)), 0, "behind all");
        vm.assertEq(window.changeOf("any", keccak256(""), ItemsOpening(new bytes32[](0), 0, new Item[][](0))), 0, "no list");
    }

    function test_aGroupAloneDoesNotShowWhatLiesBesideIt() public {
        ItemsWindow window = new ItemsWindow();
        (Item[] memory items, bytes32[] memory groups, bytes32 listHash) = _list(40);
        _expectNotShown(window, 165, listHash, _open(items, groups, 0, 1));
        _expectNotShown(window, 165, listHash, _open(items, groups, 1, 1));
        _expectNotShown(window, 5, listHash, _open(items, groups, 1, 1));
        _expectNotShown(window, 405, listHash, _open(items, groups, 0, 2));
        _expectNotShown(window, 10, listHash, _open(items, groups, 0, 0));
        ItemsOpening memory opening = _open(items, groups, 1, 1);
        opening.opened[0][3].change += 1;
        bytes32 computed = _hash(opening.opened[0]);
        vm.expectRevert(abi.encodeWithSelector(Items.OpeningMismatch.selector, groups[1], computed));
        window.changeOf(items[19].id, listHash, opening);
    }

    /// @dev A group without an item names no neighbour, though it is the last one.
    function test_anEmptyGroupShowsNothing() public {
        ItemsWindow window = new ItemsWindow();
        ItemsOpening memory opening = ItemsOpening(new bytes32[](2), 1, new Item[][](1));
        (opening.groups[0], opening.groups[1]) = (keccak256("unseen"), keccak256(""));
        _expectNotShown(window, 5, keccak256(abi.encodePacked(opening.groups)), opening);
    }

    // ---- leaves

    /// @dev Proven invalid (F4) and then a second time in a later batch (F7): its charge goes back once per batch.
    function test_aLeafThatWasVoidedIsNotRefundedAgain() public {
        Record memory record = _attempt();
        record.order.tier = 3;
        _seal(record);
        Posted memory first = _postRows(_rows(record));
        Posted memory second = _postRows(_rows(record));
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveInvalidLeaf, (relayerId, 2, second.bySession[0].leaf, _sessionProof(second, 0), record, SALT)
        );
        _prove(call);
        uint96 voided = escrow.sessionOf(sessionId).voidedCharge;
        uint256 owed = proofs.owedTo(pay, payer) - MINIMUM_PENALTY / 5;
        vm.assertEq(voided + owed, CHARGE, "once");
        call = abi.encodeCall(
            IFraudProofs.proveTaskInTwoBatches,
            (relayerId, 1, _entry(first, Tree.SESSION, 0), 2, _entry(second, Tree.SESSION, 0), SALT)
        );
        uint256 bond = BOND - owed - MINIMUM_PENALTY;
        _prove(call);
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, voided, "not twice");
        vm.assertEq(proofs.owedTo(pay, payer), owed + MINIMUM_PENALTY / 5 + bond / 5, "but its part of the penalty");
    }

    /// @dev Credited 700 too much, which is taken from the tab; then the batch is condemned: what the node earned before stays.
    function test_aCreditIsNotVoidedBeyondItself() public {
        _settle(sessionId, 10e6, 10e6);
        Row[] memory rows = _rows(_attempt(), _attemptOf(_addNode(0xB7), authorization));
        Row[] memory byTab = _sorted(rows, Tree.TAB);
        Credit[] memory credits = _creditsOf(byTab);
        (credits[0].change, credits[1].change) = (FEE + 700, FEE - 700);
        rows = _sorted(rows, Tree.SESSION);
        Posted memory posted = _postChanges(rows, byTab, _debitsOf(rows), credits);
        Item[] memory items = new Item[](2);
        for (uint256 i = 0; i < 2; ++i) items[i] = Item(bytes32(uint256(credits[i].nodeId)), credits[i].change);
        bytes32[] memory groups = new bytes32[](1);
        groups[0] = _hash(items);
        ItemsOpening memory opening = _open(items, groups, 0, 1);
        Entry[] memory bounds = new Entry[](1);
        bounds[0] = _entry(posted, Tree.TAB, 1);
        ChangeClaim memory claim = ChangeClaim(Tree.TAB, items[0].id, true, false, bounds);
        _prove(abi.encodeCall(IFraudProofs.proveWrongChange, (posted.header, opening, claim, SALT)));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 700, "the excess");
        pay.mint(address(this), CHALLENGE_BOND);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        proofs.challengeData(relayerId, 2, 0);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 2, 0);
        proofs.voidEntries(posted.header, false, opening);
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, FEE + 700, "the batch's credit, once");
        vm.warp(START + 6 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), 10e6, "what it had earned before");
    }

    function test_aLeafIsShownWithItsOwnReceipt() public {
        Posted memory posted = _postRows(_tasks(2));
        Entry memory left = _entry(posted, Tree.SESSION, 0);
        Entry memory right = _entry(posted, Tree.SESSION, 1);
        left.receipt = right.receipt;
        _expectNotProven(
            abi.encodeCall(IFraudProofs.proveDisorder, (relayerId, 1, Tree.SESSION, left, right, SALT)),
            abi.encodeWithSelector(
                IFraudErrors.ReceiptOfOtherLeaf.selector, left.leaf.receiptHash, right.leaf.receiptHash
            )
        );
    }

    /// @dev The relayer's key of an epoch that had not begun, or had ended, when the assignment was issued.
    function test_F4_theRelayersKeyOutOfItsEpoch() public {
        bytes memory consent = _consent(address(relayers), relayerOwner, 0xC5);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC5), consent);
        vm.warp(START + W / 2);
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START + W);
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _prove(
            abi.encodeCall(
                IFraudProofs.proveInvalidLeaf, (relayerId, 1, posted.bySession[0].leaf, _sessionProof(posted, 0), record, SALT)
            )
        );
        _assertPenalty(MINIMUM_PENALTY, payer, FEE);
    }

    // ---- helpers

    function _makeJudges() private {
        nodeJudge = new NodeJudge(settlement);
        leafJudge = new LeafJudge(settlement, MINIMUM_PENALTY);
        treeJudge = new TreeJudge(settlement);
        relayerJudge = new RelayerJudge(settlement, board);
    }

    function _list(uint256 count) private pure returns (Item[] memory items, bytes32[] memory groups, bytes32 listHash) {
        items = new Item[](count);
        for (uint256 i = 0; i < count; ++i) items[i] = Item(bytes32(10 * (i + 1)), 1_000 + i);
        groups = new bytes32[]((count + 15) / 16);
        for (uint256 i = 0; i < groups.length; ++i) groups[i] = _hash(_group(items, i));
        listHash = keccak256(abi.encodePacked(groups));
    }

    function _group(Item[] memory items, uint256 group) private pure returns (Item[] memory part) {
        uint256 left = items.length - 16 * group;
        part = new Item[](left < 16 ? left : 16);
        for (uint256 i = 0; i < part.length; ++i) part[i] = Item(items[16 * group + i].id, items[16 * group + i].change);
    }

    function _hash(Item[] memory items) private pure returns (bytes32) {
        bytes memory packed = Items.room(items.length);
        for (uint256 i = 0; i < items.length; ++i) Items.put(packed, i, uint256(items[i].id), items[i].change);
        return keccak256(packed);
    }

    function _open(Item[] memory items, bytes32[] memory groups, uint32 first, uint256 count)
        private
        pure
        returns (ItemsOpening memory opening)
    {
        opening.groups = groups;
        opening.first = first;
        opening.opened = new Item[][](count);
        for (uint256 i = 0; i < count; ++i) opening.opened[i] = _group(items, first + i);
    }

    function _expectNotShown(ItemsWindow window, uint256 id, bytes32 listHash, ItemsOpening memory opening) private {
        vm.expectRevert(abi.encodeWithSelector(Items.ItemNotShown.selector, bytes32(id)));
        window.changeOf(bytes32(id), listHash, opening);
    }
}
