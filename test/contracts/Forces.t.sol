// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, Session} from "../../contracts/interfaces/IEscrow.sol";
import {ForceState, IForces} from "../../contracts/interfaces/IForces.sol";
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

    function _expectFaulty(Record memory record, Fault fault) private {
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(block.timestamp + W);
        vm.expectRevert(abi.encodeWithSelector(IForces.RecordFaulty.selector, record.receipt.hash(), fault));
        settlement.openForce(record, ack, acked, 0);
    }
}
