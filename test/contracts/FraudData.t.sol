// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {ForceState, IForces} from "../../contracts/interfaces/IForces.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Item, Items} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F9: data that is demanded, shown or withheld, and what becomes of a condemned batch.
contract FraudDataTest is Accusations {
    function setUp() public override {
        super.setUp();
        pay.mint(challenger, 100 * CHALLENGE_BOND);
        vm.prank(challenger);
        pay.approve(fraudProofs, type(uint256).max);
    }

    // ---- demanded and shown

    function test_F9_anAnswerEarnsTheRelayerTheBond() public {
        Posted memory posted = _postRows(_tasks(3));
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.DataChallenged(relayerId, 1, 1, challenger, START + W);
        _challenge(1);
        vm.warp(START + W);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.DataAnswered(relayerId, 1, 1);
        _answer(posted, 1);
        vm.assertEq(proofs.owedTo(pay, relayerOwner), CHALLENGE_BOND, "the relayer's");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND, "and nothing is slashed");
        vm.warp(START + 2 * W);
        bytes memory none = abi.encodeWithSelector(IFraudProofs.NoOpenChallenge.selector, relayerId, uint64(1), uint32(1));
        vm.expectRevert(none);
        proofs.condemn(relayerId, 1, 1);
        vm.expectRevert(none);
        _answer(posted, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.NoOpenChallenge.selector, relayerId, uint64(1), uint32(0))
        );
        proofs.condemn(relayerId, 1, 0);
    }

    function test_F9_demandsComeWithinOneWindow() public {
        _postRows(_tasks(2));
        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.IndexOutOfRange.selector, uint32(2), uint32(2)));
        proofs.challengeData(relayerId, 1, 2);
        vm.expectRevert(abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, relayerId, uint64(2)));
        proofs.challengeData(relayerId, 2, 0);
        vm.warp(START + W);
        proofs.challengeData(relayerId, 1, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.ChallengedBefore.selector, relayerId, uint64(1), uint32(0))
        );
        proofs.challengeData(relayerId, 1, 0);
        vm.warp(START + W + 1);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.ChallengeTooLate.selector, START + W));
        proofs.challengeData(relayerId, 1, 1);
        vm.stopPrank();
        vm.assertEq(pay.balanceOf(fraudProofs), CHALLENGE_BOND, "one bond");
        vm.assertEq(proofs.challengeOf(relayerId, 1, 0).challenger, challenger, "kept");
        vm.assertEq(proofs.challengeOf(relayerId, 1, 0).openedAt, START + W, "since");
        vm.assertEq(proofs.challengeOf(relayerId, 1, 1).challenger, address(0), "none");
    }

    function test_F9_onlyTheRecordItselfAnswers() public {
        Posted memory posted = _postRows(_tasks(3));
        _challenge(1);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.NoOpenChallenge.selector, relayerId, uint64(1), uint32(2))
        );
        _answer(posted, 2);
        Record memory record = posted.bySession[1].record;
        record.order.nonce += 1;
        vm.expectRevert(
            abi.encodeWithSignature("RecordNotLinked(bytes32,bytes32)", record.assignment.taskId, record.order.hash())
        );
        _answer(posted, 1);
        record.order.nonce -= 1;
        record.receiptSignature = "";
        vm.expectRevert(
            abi.encodeWithSelector(IFraudErrors.RecordOfOtherLeaf.selector, receipts.leafHash(posted.bySession[1].leaf))
        );
        _answer(posted, 1);
    }

    /// @dev An answer that shows an invalid leaf is an answer; what it shows is F4's.
    function test_F9_whatIsShownCanBeProvenInvalid() public {
        Record memory record = _attempt();
        record.receipt.body.fee += 1;
        record.receipt.nodeCumulative += 1;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _challenge(0);
        vm.warp(START + W);
        _answer(posted, 0);
        vm.warp(START + 3 * W - 1);
        _prove(
            abi.encodeCall(
                IFraudProofs.proveInvalidLeaf, (relayerId, 1, posted.bySession[0].leaf, _sessionProof(posted, 0), record, SALT)
            )
        );
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, posted.header.totalDebit, "in time to be voided");
    }

    // ---- withheld

    function test_F9_silenceCondemnsTheBatch() public {
        _postRows(_tasks(2));
        _challenge(1);
        vm.warp(START + W);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AnswerStillPossible.selector, START + W));
        proofs.condemn(relayerId, 1, 1);
        vm.warp(START + W + 1);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.BatchCondemned(relayerId, 1);
        vm.prank(stranger);
        proofs.condemn(relayerId, 1, 1);
        vm.assertEq(proofs.condemnedAt(relayerId, 1), START + W + 1, "condemned");
        vm.assertTrue(vault.isJailed(Party.RELAYER, relayerId), "jailed");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), 0, "slashed whole");
        vm.assertEq(proofs.owedTo(pay, challenger), CHALLENGE_BOND + BOND * 3 / 10, "its bond and its part");
        vm.assertEq(proofs.toBurn(pay), BOND - BOND * 3 / 10, "nobody else is known to be harmed");
        vm.assertEq(proofs.owedTo(pay, stranger), 0, "not the messenger's");
    }

    function test_F9_lateAnswersAreNone() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(1);
        vm.warp(START + W + 1);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AnswerTooLate.selector, START + W));
        _answer(posted, 1);
    }

    function test_F9_othersWhoAskedInVainGetTheirBondsBack() public {
        _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 1, 0);
        _bond(Party.RELAYER, relayerId, BOND);
        proofs.condemn(relayerId, 1, 1);
        vm.assertEq(proofs.owedTo(pay, challenger), 2 * CHALLENGE_BOND + BOND * 3 / 10, "one slash, two bonds");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND, "slashed once");
    }

    // ---- a condemned batch

    /// @dev Two sessions, two nodes: everything goes back, and both nodes get their work paid by force.
    function test_F9_aCondemnedBatchIsUndoneAndItsNodesForce() public {
        (Posted memory posted, Record[] memory records, Item[] memory debits, Item[] memory credits) = _condemned();
        proofs.voidEntries(posted.header, false, _whole(credits));
        proofs.voidEntries(posted.header, true, _whole(debits));
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertEq(escrow.sessionOf(debits[i].id).voidedCharge, CHARGE, "back in the lock");
            vm.assertEq(escrow.tabOf(relayerId, uint32(uint256(credits[i].id))).voidedEarned, FEE, "not paid by the batch");
        }
        vm.assertEq(escrow.potOf(keccak256(abi.encode("F9", relayerId, uint64(1)))), 0, "debits = credits + fee");
        // Twice changes nothing.
        bytes32 pot = keccak256(abi.encode("F9", relayerId, uint64(1)));
        bytes memory nothing = abi.encodeWithSelector(IFraudProofs.NothingVoided.selector, pot);
        vm.expectRevert(nothing);
        proofs.voidEntries(posted.header, false, _whole(credits));
        vm.expectRevert(nothing);
        proofs.voidEntries(posted.header, true, _whole(debits));
        _forceAll(records);
        // A void comes off what matures first, so what was forced beside it waits for that.
        vm.warp(START + 6 * W);
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertEq(escrow.sessionOf(debits[i].id).forced, FEE, "the payer pays the work once");
            vm.assertEq(escrow.claimTab(relayerId, uint32(uint256(credits[i].id))), FEE, "the node is paid once");
        }
    }

    /// @dev The pot first holds the fee alone: credits must be voided before debits are given back whole.
    function test_F9_debitsAreGivenBackAsFarAsThePotReaches() public {
        (Posted memory posted,, Item[] memory debits, Item[] memory credits) = _condemned();
        proofs.voidEntries(posted.header, true, _whole(debits));
        uint96 fees = 2 * (CHARGE - FEE);
        vm.assertEq(escrow.sessionOf(debits[0].id).voidedCharge, fees, "as far as it reached");
        vm.assertEq(escrow.sessionOf(debits[1].id).voidedCharge, 0, "not as far as this");
        proofs.voidEntries(posted.header, false, _whole(credits));
        proofs.voidEntries(posted.header, true, _whole(debits));
        vm.assertEq(escrow.sessionOf(debits[0].id).voidedCharge, CHARGE, "the rest");
        vm.assertEq(escrow.sessionOf(debits[1].id).voidedCharge, CHARGE, "whole");
    }

    function test_F9_onlyCondemnedBatchesOfTheirTimeAreUndone() public {
        Posted memory posted = _postRows(_tasks(2));
        Item[] memory credits = new Item[](1);
        credits[0] = Item(bytes32(uint256(nodeId)), 2 * FEE);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotCondemned.selector, relayerId, uint64(1)));
        proofs.voidEntries(posted.header, false, _whole(credits));
        _challenge(0);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 1, 0);
        credits[0].change -= 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                Items.OpeningMismatch.selector, posted.header.creditsHash, keccak256(abi.encodePacked(_whole(credits).groups))
            )
        );
        proofs.voidEntries(posted.header, false, _whole(credits));
        credits[0].change += 1;
        bytes32 posted_ = posted.header.hash();
        posted.header.creditsHash = 0;
        vm.expectRevert(
            abi.encodeWithSelector(IFraudErrors.HeaderOfOtherBatch.selector, posted_, posted.header.hash())
        );
        proofs.voidEntries(posted.header, false, _whole(credits));
        posted.header.creditsHash = keccak256(abi.encodePacked(_whole(credits).groups));
        vm.warp(START + 6 * W);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.BatchMatured.selector, relayerId, uint64(1)));
        proofs.voidEntries(posted.header, false, _whole(credits));
    }

    /// @dev Neither does a leaf of it answer, nor what was answered with it before it fell.
    function test_F9_noForceIsAnsweredWithACondemnedBatch() public {
        Record memory record = _attempt();
        Record memory second = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        (Ack memory ack2, bytes memory acked2) = _ack(second);
        vm.warp(START + W);
        Posted memory posted = _postRows(_rows(record, second));
        settlement.openForce(record, ack, acked, 0);
        uint256 index = posted.byTab[0].leaf.receiptHash == ack.receiptHash ? 0 : 1;
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[index].leaf, _tabProof(posted, index));
        _challenge(0);
        vm.warp(START + 2 * W + 1);
        proofs.condemn(relayerId, 1, 0);
        settlement.openForce(second, ack2, acked2, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.LeafNotSettled.selector, relayerId, uint64(1), receipts.leafHash(posted.byTab[1 - index].leaf)
            )
        );
        settlement.answerForce(ack2.receiptHash, 1, posted.byTab[1 - index].leaf, _tabProof(posted, 1 - index));
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 3 * W + 2);
        settlement.resolveForce(ack.receiptHash);
        settlement.resolveForce(ack2.receiptHash);
        vm.assertEq(escrow.tabOf(relayerId, nodeId).forcedEarned, 2 * FEE, "both");
    }

    /// @dev Of a batch posted long after the ack: forceable until 3 W after its condemnation, and no longer.
    function test_F9_forcesOfACondemnedBatchHaveMoreTime() public {
        Record memory record = _attempt();
        Record memory late = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + 10 * W);
        _postRows(_rows(record));
        _challenge(0);
        vm.warp(START + 11 * W);
        bytes memory tooLate = abi.encodeWithSelector(
            IForces.ForceNotNow.selector, uint48(START), START + W, START + 8 * W, START + 11 * W
        );
        vm.expectRevert(tooLate);
        settlement.openForce(record, ack, acked, 1);
        vm.warp(START + 11 * W + 1);
        proofs.condemn(relayerId, 1, 0);
        vm.warp(START + 14 * W + 2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.ForceNotNow.selector, uint48(START), START + W, START + 14 * W + 1, START + 14 * W + 2
            )
        );
        settlement.openForce(record, ack, acked, 1);
        vm.warp(START + 14 * W + 1);
        (Ack memory later, bytes memory laterAcked) = _ack(late);
        settlement.openForce(record, ack, acked, 1);
        // Acked after the batch was posted: it cannot have stood in it.
        vm.warp(START + 24 * W);
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.ForceNotNow.selector, later.ackedAt, later.ackedAt + W, later.ackedAt + 8 * W, START + 24 * W
            )
        );
        settlement.openForce(late, later, laterAcked, 1);
    }

    /// @dev Condemned when its credits are paid already: the bond falls, but nobody is paid again by a force.
    function test_F9_aLateCondemnationMakesNothingForceable() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        Posted memory posted = _postRows(_rows(record));
        settlement.openForce(record, ack, acked, 0);
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        _challenge(0);
        vm.warp(START + 7 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "paid by the batch");
        proofs.condemn(relayerId, 1, 0);
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), 0, "slashed all the same");
        vm.assertEq(proofs.condemnedAt(relayerId, 1), 0, "but its answers stand");
        vm.expectRevert(
            abi.encodeWithSelector(IForces.ForceExists.selector, ack.receiptHash, ForceState.ANSWERED)
        );
        settlement.openForce(record, ack, acked, 1);
    }

    function _forceAll(Record[] memory records) private {
        vm.warp(START + 2 * W);
        for (uint256 i = 0; i < 2; ++i) {
            Ack memory ack = Ack(records[i].receipt.hash(), relayerId, 1, uint48(START));
            settlement.openForce(records[i], ack, _sign(SIGNER_KEY, ack.hash()), 1);
        }
        vm.warp(START + 3 * W + 1);
        for (uint256 i = 0; i < 2; ++i) {
            (uint96 fromLock,) = settlement.resolveForce(records[i].receipt.hash());
            vm.assertEq(fromLock, FEE, "from the lock that holds the refund");
        }
    }

    // ---- helpers

    function _challenge(uint32 index) private {
        vm.prank(challenger);
        proofs.challengeData(relayerId, 1, index);
    }

    function _answer(Posted memory posted, uint256 index) private {
        proofs.answerData(
            relayerId, 1, posted.bySession[index].leaf, _sessionProof(posted, index), posted.bySession[index].record
        );
    }

    function _condemned()
        private
        returns (Posted memory posted, Record[] memory records, Item[] memory debits, Item[] memory credits)
    {
        uint32 second = _addNode(0xB7);
        SpendingAuthorization memory own = _addSession(VOUCHER, 90);
        records = new Record[](2);
        (records[0], records[1]) = (_attempt(), _attemptOf(second, own));
        posted = _postRows(_rows(records[0], records[1]));
        (debits, credits) = (new Item[](2), new Item[](2));
        for (uint256 i = 0; i < 2; ++i) {
            debits[i] = Item(posted.bySession[i].record.order.sessionId, CHARGE);
            credits[i] = Item(bytes32(uint256(posted.byTab[i].record.receipt.nodeId)), FEE);
        }
        _challenge(0);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 1, 0);
    }
}
