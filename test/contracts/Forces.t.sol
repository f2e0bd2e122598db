// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, Session} from "../../contracts/interfaces/IEscrow.sol";
import {Force, ForceState, IForces} from "../../contracts/interfaces/IForces.sol";
import {Leaf} from "../../contracts/libraries/MerkleSum.sol";
import {Fault, Record, Records} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice The exit of a node whose acked receipt is left out: who pays it, when, and what cannot be forced.
contract ForcesTest is Trials {
    // ---- the exit

    function test_anUnansweredForcePaysTheFeeWithoutTheRelayersPart() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        vm.warp(START + W);
        vm.expectEmit(address(settlement));
        emit IForces.ForceOpened(ack.receiptHash, relayerId, nodeId, sessionId, FEE, FEE);
        settlement.openForce(record, ack, acked, 0);
        vm.assertEq(escrow.sessionOf(sessionId).reserved, FEE, "held");
        vm.assertEq(escrow.sessionOf(sessionId).forced, 0, "not paid yet");
        vm.warp(START + 2 * W);
        vm.expectRevert(abi.encodeWithSelector(IForces.ForceNotResolvable.selector, ack.receiptHash, START + 2 * W));
        settlement.resolveForce(ack.receiptHash);
        vm.warp(START + 2 * W + 1);
        vm.expectEmit(address(settlement));
        emit IForces.ForceResolved(ack.receiptHash, FEE, 0);
        vm.prank(stranger);
        settlement.resolveForce(ack.receiptHash);
        Session memory session = escrow.sessionOf(sessionId);
        vm.assertEq(session.forced, FEE, "forced");
        vm.assertEq(session.reserved, 0, "no longer held");
        vm.assertEq(session.charged, 0, "batches alone write charged");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).earned, 0, "batches alone write earned");
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "claimable at once");
        vm.assertEq(pay.balanceOf(nodePayout), FEE, "paid");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND, "the bond owes nothing");
        vm.expectRevert(
            abi.encodeWithSelector(IForces.ForceNotOpen.selector, ack.receiptHash, ForceState.RESOLVED)
        );
        settlement.resolveForce(ack.receiptHash);
        vm.expectRevert(abi.encodeWithSelector(IForces.ForceExists.selector, ack.receiptHash, ForceState.RESOLVED));
        settlement.openForce(record, ack, acked, 0);
    }

    function test_opensFromOneToEightWindowsAfterTheAck() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        for (uint256 i = 0; i < 2; ++i) {
            vm.warp(i == 0 ? START + W - 1 : START + 8 * W + 1);
            vm.expectRevert(
                abi.encodeWithSelector(
                    IForces.ForceNotNow.selector, uint48(START), START + W, START + 8 * W, block.timestamp
                )
            );
            settlement.openForce(record, ack, acked, 0);
        }
        vm.warp(START + 8 * W);
        settlement.openForce(record, ack, acked, 0);
    }

    /// @dev I14: with the relayer retired, its key rotated, new sessions paused and the session closed.
    function test_worksWithoutTheRelayerAndWhilePaused() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        bytes memory consent = _consent(address(relayers), relayerOwner, 0xC9);
        vm.startPrank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC9), consent);
        relayers.retire(relayerId);
        vm.stopPrank();
        vm.prank(nodeOwner);
        nodes.retire(nodeId);
        vm.prank(guardian);
        escrow.pauseNewSessions();
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        settlement.resolveForce(ack.receiptHash);
        escrow.claimTab(relayerId, nodeId);
        vm.assertEq(pay.balanceOf(nodePayout), FEE, "the node got out whole");
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        vm.startPrank(payer);
        escrow.withdraw(escrow.freeBalanceOf(payer), payer);
        vm.stopPrank();
        vm.assertEq(pay.balanceOf(payer), 1_000e6 - FEE, "and so did the payer");
    }

    /// @dev The lock's release waits for the open force and for no other reason.
    function test_anOpenForceKeepsItsPartOfTheLockOnly() public {
        (Record memory record,,) = _acked();
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 2 * W);
        // Acked late, so that the force is open while the lock is released.
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + 3 * W);
        settlement.openForce(record, ack, acked, 0);
        vm.assertEq(escrow.releaseLock(sessionId), LOCK - FEE, "all but the force");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingToRelease.selector, sessionId));
        escrow.releaseLock(sessionId);
        vm.warp(START + 4 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, FEE, "paid by the lock");
        vm.assertEq(fromBond, 0, "not by the bond");
    }

    function test_theBondPaysWhatTheLockNoLongerHolds() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 4 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, 0, "nothing is left");
        vm.assertEq(fromBond, FEE, "the bond pays");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND - FEE, "of the relayer that left it out");
        escrow.claimTab(relayerId, nodeId);
        vm.assertEq(pay.balanceOf(nodePayout), FEE, "paid");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "books and tokens");
    }

    function test_theBucketBoundsWhatAForceTakesOfAnAllowance() public {
        SpendingAuthorization memory own = _authorization(ALLOWANCE, LOCK);
        own.salt = 5;
        own.maxPerDay = FEE / 5;
        bytes32 id = _open(own);
        Record memory record = _attemptOf(nodeId, own);
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, 2 * (FEE / 5), "the bucket's capacity");
        vm.assertEq(fromBond, FEE - fromLock, "the rest is the bond's");
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 0, "the force has drawn it");
    }

    function test_theVoucherBehindAForceRaisesTheProvenCap() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        vm.assertEq(escrow.sessionOf(sessionId).provenCap, 0, "nothing was proven yet");
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.assertEq(escrow.sessionOf(sessionId).provenCap, LOCK, "the payer signed it");
    }

    /// @dev What is held back does not make a batch fail.
    function test_anOpenForceDoesNotStandInABatchsWay() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        _settle(sessionId, LOCK, LOCK);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, 0, "the batch was first");
        vm.assertEq(fromBond, FEE, "the relayer had spent what it owed");
    }

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

    // ---- what cannot be forced

    /// @dev Invented or undelivered work has no ack.
    function test_withoutTheRelayersAckNothingIsForced() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        bytes memory reason = abi.encodeWithSelector(IForces.AckInvalid.selector, relayerId, uint32(1), uint48(START));
        bytes memory byNode = _sign(HOT_KEY, ack.hash());
        vm.expectRevert(reason);
        settlement.openForce(record, ack, byNode, 0);
        vm.expectRevert(reason);
        settlement.openForce(record, ack, "", 0);
        Record memory other = _attempt();
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.AckOfOther.selector, other.receipt.hash(), ack.receiptHash, relayerId, relayerId
            )
        );
        settlement.openForce(other, ack, acked, 0);
        ack.relayerEpoch = 2;
        vm.expectRevert(abi.encodeWithSelector(IForces.AckInvalid.selector, relayerId, uint32(2), uint48(START)));
        settlement.openForce(record, ack, acked, 0);
    }

    /// @dev Key rotation in mid-flight: an ack counts until W after its epoch closed, and no longer.
    function test_anAckSignedAfterItsEpochIsNone() public {
        Record memory record = _attempt();
        bytes memory consent = _consent(address(relayers), relayerOwner, 0xC9);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC9), consent);
        vm.warp(START + W - 1);
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        (Ack memory late, bytes memory lateAcked) = _ack(record);
        vm.warp(START + 3 * W);
        vm.expectRevert(
            abi.encodeWithSelector(IForces.AckInvalid.selector, relayerId, uint32(1), uint48(START + W))
        );
        settlement.openForce(record, late, lateAcked, 0);
        settlement.openForce(record, ack, acked, 0);
    }

    function test_faultyRecordsAreNotForced() public {
        Record memory record = _attempt();
        record.receipt.body.fee += 1;
        _seal(record);
        _expectFaulty(record, Fault.FEE);
        record = _attempt();
        record.assignment.feeBps = 501;
        _seal(record);
        _expectFaulty(record, Fault.FEE_BPS);
        record = _attempt();
        record.voucherSignature = _sign(0xBAD, record.voucher.hash());
        _expectFaulty(record, Fault.VOUCHER_SIGNATURE);
        record.voucherSignature = "";
        _expectFaulty(record, Fault.ASSIGNMENT_FIELDS);
        record = _attempt();
        record.receipt.body.fee = 0;
        record.receipt.body.inputTokens = 0;
        record.receipt.body.outputTokens = 0;
        _seal(record);
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(block.timestamp + W);
        vm.expectRevert(abi.encodeWithSelector(IForces.NothingToForce.selector, record.receipt.hash()));
        settlement.openForce(record, ack, acked, 0);
    }

    function test_partsThatAreNotNamedByHashAreRefused() public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        vm.warp(START + W);
        bytes32 expected = record.assignment.hash();
        record.assignment.shareCap += 1;
        vm.expectRevert(abi.encodeWithSelector(Records.RecordNotLinked.selector, expected, record.assignment.hash()));
        settlement.openForce(record, ack, acked, 0);
        record.assignment.shareCap -= 1;
        expected = record.order.hash();
        record.order.maxFee += 1;
        vm.expectRevert(abi.encodeWithSelector(Records.RecordNotLinked.selector, expected, record.order.hash()));
        settlement.openForce(record, ack, acked, 0);
        record.order.maxFee -= 1;
        record.authorization.maxPerTask += 1;
        vm.expectRevert(
            abi.encodeWithSelector(Records.RecordNotLinked.selector, sessionId, record.authorization.hash())
        );
        settlement.openForce(record, ack, acked, 0);
    }

    function test_aSessionThatWasNeverOpenedPaysNothing() public {
        SpendingAuthorization memory own = authorization;
        own.salt = 77;
        Record memory record = _attemptOf(nodeId, own);
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.UnknownSession.selector, own.hash()));
        settlement.openForce(record, ack, acked, 0);
    }

    // ---- who may call what

    function test_onlyTheNamedContractsMoveForces() public {
        bytes memory reason = abi.encodeWithSelector(IEscrow.NotBatchSettlement.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        escrow.holdForForce(sessionId, 1, 1);
        vm.expectRevert(reason);
        escrow.payForce(sessionId, nodeId, 0, 1);
        vm.expectRevert(reason);
        escrow.fundTab(relayerId, nodeId, 1);
        reason = abi.encodeWithSelector(IEscrow.NotFraudProofs.selector, stranger);
        vm.expectRevert(reason);
        escrow.voidCredit("pot", relayerId, nodeId, 1);
        vm.expectRevert(reason);
        escrow.voidDebit("pot", sessionId, 1);
        vm.stopPrank();
        // Not even BatchSettlement credits tokens that are not there, or takes a stake.
        vm.startPrank(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotFunded.selector, uint256(1_000e6 + 1), uint256(1_000e6)));
        escrow.fundTab(relayerId, nodeId, 1);
        vm.expectRevert(abi.encodeWithSignature("NotFraudProofs(address)", address(settlement)));
        vault.slash(Party.NODE, nodeId, 1, stranger);
        vm.stopPrank();
    }

    function testFuzz_whateverTheLockHolds_theNodeIsPaidOnce(uint96 charged, uint96 lockLeft) public {
        (Record memory record, Ack memory ack, bytes memory acked) = _acked();
        charged = uint96(charged % (LOCK + 1));
        if (charged != 0) _settle(sessionId, charged, charged);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        lockLeft = uint96(lockLeft % (LOCK - charged + 1));
        if (lockLeft != 0) _settle(sessionId, lockLeft, lockLeft);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        uint256 left = LOCK - charged - lockLeft;
        vm.assertEq(fromLock, left < FEE ? left : FEE, "as far as the lock reaches");
        vm.assertEq(uint256(fromLock) + fromBond, FEE, "and the bond for the rest");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).forcedEarned, FEE, "once");
        Session memory session = escrow.sessionOf(sessionId);
        vm.assertLe(uint256(session.charged) + session.forced, session.provenCap, "I2");
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

    function _expectFaulty(Record memory record, Fault fault) private {
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(block.timestamp + W);
        vm.expectRevert(abi.encodeWithSelector(IForces.RecordFaulty.selector, record.receipt.hash(), fault));
        settlement.openForce(record, ack, acked, 0);
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
