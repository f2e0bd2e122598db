// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IEscrow, Session} from "../../contracts/interfaces/IEscrow.sol";
import {ForceState, IForces} from "../../contracts/interfaces/IForces.sol";
import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice Forces to the unit: what of them a session's lock, cap and bucket pay, what the bond, and that nothing is left stuck.
contract BooksForcesTest is Accusations {
    // ---- what the caps leave

    /// @dev The voucher says more than the payer's authorization: what it says beyond maxTotal counts for nothing.
    function test_aVoucherBeyondTheTotalForcesTheTotal() public {
        SpendingAuthorization memory own = _authorization(VOUCHER, LOCK);
        (own.salt, own.maxTotal) = (31, 100_000);
        bytes32 id = _open(own);
        _expectPaid(_attemptOf(nodeId, own), 100_000, FEE - 100_000);
        vm.assertEq(escrow.sessionOf(id).provenCap, 100_000, "what was proven stays within the total");
    }

    /// @dev An old voucher takes nothing back: were the cap to fall below what is spent, no force could be resolved any more.
    function test_anOlderVoucherLowersNoCap() public {
        _settle(sessionId, 10e6, 10e6);
        _expectPaid(_vouched(_attempt(), 5e6), 0, FEE);
        vm.assertEq(escrow.sessionOf(sessionId).provenCap, 10e6, "what a greater one has proven");
    }

    /// @dev Of a cap that covers a part beside what was charged, the lock pays that part.
    function test_theLockPaysNoMoreThanTheVoucherLeaves() public {
        _settle(sessionId, 50_000, 50_000);
        _expectPaid(_vouched(_attempt(), 120_000), 70_000, FEE - 70_000);
    }

    /// @dev What a force took counts when a batch charges: to the unit, and not beyond.
    function test_aBatchCountsWhatForcesTook() public {
        _expectPaid(_attempt(), FEE, 0);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, LOCK - FEE, LOCK - FEE);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, LOCK - FEE + 1, LOCK);
        BatchHeader memory header = _header(debits, credits);
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.ChargeAboveProvenCap.selector, sessionId, uint256(LOCK) + 1, LOCK)
        );
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
        debits[0] = _debit(sessionId, LOCK - FEE, LOCK);
        _post(_header(debits, credits), debits, credits);
    }

    /// @dev What the order does not owe draws no bucket, not even the part of a unit that has run in since the last draw.
    function test_aForceThatThePayerDoesNotOweLeavesTheBucketAlone() public {
        SpendingAuthorization memory own = _authorization(ALLOWANCE, LOCK);
        (own.salt, own.maxPerDay) = (32, 1);
        bytes32 id = _open(own);
        Record memory first = _tiny(_attemptOf(nodeId, own), 2);
        Record memory second = _again(first, nodeId, 1, 0);
        bytes32[2] memory hashes = [_openForce(first), _openForceOf(second, uint48(START))];
        vm.warp(START + 3 * W);
        settlement.resolveForce(hashes[0]);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 0, "drawn: two days' allowance");
        vm.warp(START + 3 * W + 12 hours);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(hashes[1]);
        vm.assertEq(fromLock, 0, "the order is paid");
        vm.assertEq(fromBond, 2, "the relayer has sold it twice");
        vm.warp(START + 3 * W + 1 days);
        vm.assertEq(escrow.sessionOf(id).bucketLevel, 1, "a whole day's");
    }

    // ---- the least amount

    function test_oneUnitIsPaidByTheLock() public {
        _expectPaid(_tiny(_attempt(), 1), 1, 0);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), 1, "and arrives");
        vm.assertEq(pay.balanceOf(nodePayout), 1, "paid");
    }

    /// @dev Node 2 at relayer 1: which number is whose shows in whose tab it arrives.
    function test_oneUnitIsPaidByTheBond() public {
        uint32 second = _addNode(0xB2);
        Record memory record = _tiny(_attemptOf(second, authorization), 1);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        bytes32 hash = _openForceOf(record, uint48(START));
        vm.warp(START + 4 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(hash);
        vm.assertEq(fromLock, 0, "nothing is left there");
        vm.assertEq(fromBond, 1, "the bond");
        vm.assertEq(escrow.claimTab(relayerId, second), 1, "and it arrives");
    }

    // ---- inputs

    /// @dev Neither forced nor settled, a hedge leaves the input of its subtask to whoever charges it.
    function test_aForcedHedgeLeavesTheInputToTheNext() public {
        Record memory record = _attempt();
        Record memory hedge = _again(record, nodeId, 0, 1);
        hedge.assignment.priceInPerMTok = 0;
        hedge.receipt.body.fee = 150_000;
        _seal(hedge);
        _expectPaid(hedge, 150_000, 0);
        _expectPaid(record, FEE, 0);
    }

    /// @dev 2,000,000 tokens at 2^95: the input alone would leave 96 bits, so all that the share pays is input.
    function test_anInputBeyond96BitsIsAllOfTheFee() public {
        SpendingAuthorization memory own = _authorization(VOUCHER, LOCK);
        (own.salt, own.maxPriceInPerMTok) = (33, type(uint96).max);
        _open(own);
        Record memory first = _attemptOf(nodeId, own);
        first.assignment.priceInPerMTok = 2 ** 95;
        first.assignment.feeBps = 0;
        first.assignment.shareCap = 400_000;
        first.receipt.body.inputTokens = 2_000_000;
        first.receipt.body.fee = 400_000;
        first.receipt.nodeCumulative = 400_000;
        _seal(first);
        Record memory second = _again(first, nodeId, 0, 1);
        _expectPaid(first, 400_000, 0);
        vm.assertEq(settlement.forceOf(first.receipt.hash()).inputFee, 400_000, "all of it");
        _expectPaid(second, 0, 400_000);
    }

    // ---- acks, batches that fell, and leaves

    /// @dev Signed with the relayer's own key, and yet another's word.
    function test_anAckInAnothersNameIsNone() public {
        Record memory record = _attempt();
        Ack memory ack = Ack(record.receipt.hash(), relayerId + 1, 1, uint48(START));
        bytes memory acked = _sign(SIGNER_KEY, ack.hash());
        vm.warp(START + W);
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.AckOfOther.selector, ack.receiptHash, ack.receiptHash, relayerId, relayerId + 1
            )
        );
        settlement.openForce(record, ack, acked, 0);
    }

    /// @dev Node 2 at relayer 1, its second batch: which number is whose shows.
    function test_aForceNamesRelayerNodeAndBatch() public {
        Record memory record = _attemptOf(_addNode(0xB2), authorization);
        _postRows(_tasks(1));
        Posted memory posted = _postRows(_rows(record));
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        vm.expectEmit(address(settlement));
        emit IForces.ForceOpened(ack.receiptHash, relayerId, record.receipt.nodeId, sessionId, FEE, FEE);
        settlement.openForce(record, ack, acked, 0);
        vm.expectEmit(address(settlement));
        emit IForces.ForceAnswered(ack.receiptHash, relayerId, 2);
        settlement.answerForce(ack.receiptHash, 2, posted.byTab[0].leaf, _tabProof(posted, 0));
        vm.assertEq(uint256(settlement.forceOf(ack.receiptHash).answeredBy), 2, "and it is kept");
    }

    /// @dev Answered by a batch that fell, it may be opened once more: while it is open again, and when it is resolved, no further
    /// time, or the node would be paid as often as it likes.
    function test_anAnswerThatFellReopensOnce() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        Posted memory posted = _postRows(_rows(record));
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        _condemn();
        settlement.openForce(record, ack, acked, 1);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IForces.ForceExists.selector, ack.receiptHash, i == 0 ? ForceState.OPEN : ForceState.RESOLVED
                )
            );
            settlement.openForce(record, ack, acked, 1);
            if (i != 0) break;
            vm.warp(block.timestamp + W + 1);
            settlement.resolveForce(ack.receiptHash);
        }
        vm.assertEq(escrow.tabOf(relayerId, nodeId).forcedEarned, FEE, "once");
    }

    /// @dev Condemned at once: the three windows from then end before the eight from the ack, which stay.
    function test_aBatchCondemnedEarlyShortensNoTime() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        _postRows(_rows(record));
        _condemn();
        vm.warp(START + 8 * W);
        settlement.openForce(record, ack, acked, 1);
    }

    /// @dev Its charge is wrong and was proven so: it no longer stands for the receipt, and a force of that is paid.
    function test_aVoidedLeafAnswersNoForce() public {
        Record memory record = _attempt();
        Row[] memory rows = _rows(record);
        rows[0].leaf.charge += 1;
        Posted memory posted = _postRows(rows);
        bytes32 hash = _openForceOf(record, uint48(START));
        _prove(_f4(posted, 0));
        bytes memory reason = abi.encodeWithSelector(
            IForces.LeafNotSettled.selector, relayerId, uint64(1), receipts.leafHash(posted.byTab[0].leaf)
        );
        vm.expectRevert(reason);
        settlement.answerForce(hash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        vm.expectRevert(reason);
        settlement.showSettled(hash, 1, posted.byTab[0].leaf, _tabProof(posted, 0), record.receipt, record.assignment);
    }

    // ---- helpers

    /// @dev The first batch, as soon as that can be.
    function _condemn() private {
        pay.mint(challenger, CHALLENGE_BOND);
        vm.startPrank(challenger);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        proofs.challengeData(relayerId, 1, 0);
        vm.stopPrank();
        vm.warp(block.timestamp + W + 1);
        proofs.condemn(relayerId, 1, 0);
    }

    /// @dev At 0.3 a million of tokens and no input: `fee` units, which the order pays once.
    function _tiny(Record memory record, uint96 fee) private view returns (Record memory) {
        record.order.maxFee = fee;
        record.assignment.shareCap = fee;
        record.receipt.body.inputTokens = 0;
        record.receipt.body.outputTokens = uint32(fee) * 4;
        record.receipt.body.fee = fee;
        _seal(record);
        return record;
    }

    /// @dev Under a voucher of that cap instead.
    function _vouched(Record memory record, uint96 cap) private view returns (Record memory) {
        record.voucher.cumulativeCap = cap;
        record.assignment.voucherHash = record.voucher.hash();
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        return record;
    }

    function _openForceOf(Record memory record, uint48 ackedAt) private returns (bytes32) {
        Ack memory ack = Ack(record.receipt.hash(), relayerId, 1, ackedAt);
        if (block.timestamp < ackedAt + W) vm.warp(ackedAt + W);
        return settlement.openForce(record, ack, _sign(SIGNER_KEY, ack.hash()), 0);
    }

    /// @dev Forced and resolved: the tab gets all of it, and both sides pay what is said here.
    function _expectPaid(Record memory record, uint96 byLock, uint96 byBond) private {
        uint96 had = escrow.tabOf(relayerId, nodeId).forcedEarned;
        uint96 bond = vault.activeBondOf(Party.RELAYER, relayerId);
        bytes32 hash = _openForceOf(record, uint48(block.timestamp));
        vm.warp(block.timestamp + W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(hash);
        vm.assertEq(fromLock, byLock, "by the lock");
        vm.assertEq(fromBond, byBond, "by the bond");
        vm.assertEq(bond - vault.activeBondOf(Party.RELAYER, relayerId), byBond, "gone from the bond");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).forcedEarned - had, byLock + byBond, "earned");
        Session memory session = escrow.sessionOf(record.order.sessionId);
        vm.assertEq(session.reserved, 0, "nothing is held any more");
        vm.assertLe(uint256(session.charged) + session.forced, session.provenCap, "I2");
    }
}
