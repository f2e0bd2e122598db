// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ForceState, IForces} from "../../contracts/interfaces/IForces.sol";
import {Leaf} from "../../contracts/libraries/MerkleSum.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice What is shown against a force: the receipt in a batch, or a charge of the same task.
contract ForceAnswersTest is Trials {
    // ---- answers

    function test_anAnswerEndsTheForce() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        Posted memory posted = _postRows(_rows(record, _attempt()));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        uint256 index = posted.byTab[0].leaf.receiptHash == ack.receiptHash ? 0 : 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.LeafDoesNotCount.selector, ack.receiptHash, _leafHash(posted.byTab[1 - index].leaf)
            )
        );
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[1 - index].leaf, _tabProof(posted, 1 - index));
        vm.expectEmit(address(settlement));
        emit IForces.ForceAnswered(ack.receiptHash, relayerId, 1);
        vm.prank(stranger);
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[index].leaf, _tabProof(posted, index));
        vm.assertEq(escrow.sessionOf(sessionId).reserved, 0, "nothing is held");
        vm.warp(START + 2 * W + 1);
        vm.expectRevert(abi.encodeWithSelector(IForces.ForceNotOpen.selector, ack.receiptHash, ForceState.ANSWERED));
        settlement.resolveForce(ack.receiptHash);
        vm.expectRevert(abi.encodeWithSelector(IForces.ForceExists.selector, ack.receiptHash, ForceState.ANSWERED));
        settlement.openForce(record, ack, acked, 0);
    }

    function test_anAnswerComesWithinOneWindow() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        Posted memory posted = _postRows(_rows(record));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        vm.expectRevert(abi.encodeWithSelector(IForces.ForceTooLate.selector, ack.receiptHash, START + 2 * W));
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        vm.warp(START + 2 * W);
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
    }

    function test_onlyASettledLeafAnswers() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        Posted memory posted = _postRows(_rows(record, _attempt()));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        Leaf memory leaf = _leafOf(record);
        _expectNotSettled(ack.receiptHash, 2, leaf, posted);
        leaf.fee += 1;
        _expectNotSettled(ack.receiptHash, 1, leaf, posted);
        vm.expectRevert(
            abi.encodeWithSelector(IForces.ForceNotOpen.selector, keccak256("none"), ForceState.NONE)
        );
        settlement.answerForce(keccak256("none"), 1, leaf, _tabProof(posted, 0));
    }

    // ---- the same task, charged already

    function test_whatExceedsTheOrderIsTheBonds() public {
        Record memory first = _attempt();
        Record memory record = _again(first, nodeId, 1, 0);
        // The order pays for both but for a part: 257,500 are settled, 250,000 are forced.
        first.order.maxFee = CHARGE + 100_000;
        first.assignment.shareCap = first.order.maxFee;
        record.order = first.order;
        record.assignment.shareCap = first.order.maxFee;
        _seal(first);
        _seal(record);
        (Ack memory ack, bytes memory acked) = _ack(record);
        Posted memory posted = _postRows(_rows(first));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.expectEmit(address(settlement));
        emit IForces.SettledShown(ack.receiptHash, 1, CHARGE, false);
        _show(ack.receiptHash, posted, first);
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafDoesNotCount.selector, ack.receiptHash, _leafHash(_leafOf(first)))
        );
        _show(ack.receiptHash, posted, first);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, 100_000, "as far as the order pays");
        vm.assertEq(fromBond, FEE - 100_000, "the rest is the relayer's");
    }

    function test_aSecondInputIsTheBonds() public {
        Record memory first = _attempt();
        Record memory record = _again(first, _addNode(0xB7), 0, 1);
        (Ack memory ack, bytes memory acked) = _ack(record);
        Posted memory posted = _postRows(_rows(first));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        _show(ack.receiptHash, posted, first);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromBond, 100_000, "the input was paid before");
        vm.assertEq(fromLock, 150_000, "the output was not");
    }

    /// @dev Two forces of one subtask, neither in any batch: the second input is the relayer's just the same.
    function test_twoForcesOfOneSubtaskPayOneInput() public {
        Record memory first = _attempt();
        Record memory record = _again(first, _addNode(0xB7), 0, 1);
        (Ack memory ack, bytes memory acked) = _ack(first);
        (Ack memory ack2, bytes memory acked2) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(first, ack, acked, 0);
        settlement.openForce(record, ack2, acked2, 0);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock,) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, FEE, "the first whole");
        (fromLock,) = settlement.resolveForce(ack2.receiptHash);
        vm.assertEq(fromLock, 150_000, "the second without input");
    }

    /// @dev A hedge has no input price; an aborted attempt pays none.
    function test_hedgesAndAbortedAttemptsAreNoSecondInput() public {
        Record memory first = _attempt();
        first.receipt.body.status = ABORTED;
        first.receipt.body.fee = 150_000;
        _seal(first);
        Record memory record = _again(first, _addNode(0xB7), 0, 1);
        record.receipt.body.status = COMPLETE;
        record.receipt.body.fee = FEE;
        record.receipt.nodeCumulative = FEE;
        _seal(record);
        (Ack memory ack, bytes memory acked) = _ack(record);
        Posted memory posted = _postRows(_rows(first));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        _show(ack.receiptHash, posted, first);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock,) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, FEE, "whole");
    }

    function test_onlyTheSameTaskIsShown() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        Record memory other = _attempt();
        Posted memory posted = _postRows(_rows(other));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafDoesNotCount.selector, ack.receiptHash, _leafHash(_leafOf(other)))
        );
        _show(ack.receiptHash, posted, other);
    }

    // ---- helpers

    function _acked() private returns (Record memory record, Ack memory ack, bytes memory acked) {
        record = _attempt();
        (ack, acked) = _ack(record);
    }

    function _show(bytes32 receiptHash, Posted memory posted, Record memory record) private {
        settlement.showSettled(
            receiptHash, posted.header.batchId, _leafOf(record), _tabProof(posted, 0), record.receipt, record.assignment
        );
    }

    function _expectNotSettled(bytes32 receiptHash, uint64 batchId, Leaf memory leaf, Posted memory posted) private {
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafNotSettled.selector, relayerId, batchId, _leafHash(leaf))
        );
        settlement.answerForce(receiptHash, batchId, leaf, _tabProof(posted, 0));
    }

    function _leafHash(Leaf memory leaf) private view returns (bytes32) {
        return receipts.leafHash(leaf);
    }
}
