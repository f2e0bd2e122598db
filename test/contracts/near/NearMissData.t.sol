// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Item} from "../../../contracts/libraries/Items.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F9: demands for data that were answered in time, by whomever, and demands that are none.
contract NearMissDataTest is NearMisses {
    function setUp() public override {
        super.setUp();
        pay.mint(challenger, 100 * CHALLENGE_BOND);
        vm.prank(challenger);
        pay.approve(fraudProofs, type(uint256).max);
    }

    function test_near_F9_answeredAtOnce() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredInTheLastSecond() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.warp(START + W);
        _answer(posted, 0);
        vm.warp(START + W + 1);
        _expectRefused(abi.encodeWithSelector(IFraudProofs.AnswerTooLate.selector, START + W));
        _answer(posted, 1);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_theTimeForTheAnswerIsNotOver() public {
        _postRows(_tasks(2));
        _challenge(1);
        vm.warp(START + W);
        _expectRefused(abi.encodeWithSelector(IFraudProofs.AnswerStillPossible.selector, START + W));
        proofs.condemn(relayerId, 1, 1);
        _condemned(1);
    }

    function test_near_F9_nobodyDemandedThatRecord() public {
        _postRows(_tasks(2));
        _challenge(1);
        _expectNotCondemnedOnly(0);
    }

    /// @dev Nodes and payers hold their own records: any of them may answer for a relayer that is away.
    function test_near_F9_answeredByItsNode() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.prank(nodeOwner);
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredAfterBothKeysWereRotated() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        _rotateNodeKey();
        _rotateSigner();
        vm.warp(START + W);
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredAfterTheSessionClosed() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredInAPause() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.prank(guardian);
        escrow.pauseNewSessions();
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredByARetiredRelayer() public {
        Posted memory posted = _postRows(_tasks(2));
        _challenge(0);
        _challenge(1);
        vm.prank(relayerOwner);
        relayers.retire(relayerId);
        _answer(posted, 0);
        _expectNotCondemnedOnly(0);
    }

    function test_near_F9_answeredWithoutAVoucherInAllowanceMode() public {
        Record memory record = _attemptOf(nodeId, _addSession(ALLOWANCE, 70));
        Posted memory posted = _postRows(_rows(record));
        _challenge(0);
        _answer(posted, 0);
        _expectNone(0);
        posted = _postRows(_tasks(1));
        _challengeOf(2, 0);
        _condemnedOf(2, 0);
    }

    /// @dev A hedge that earned nothing is a leaf all the same, with a record to show.
    function test_near_F9_answeredForALeafThatChargesNothing() public {
        Record memory free = _attempt();
        free.receipt.body.fee = 0;
        _seal(free);
        Posted memory posted = _postRows(_rows(free, _attempt()));
        uint256 place = posted.bySession[0].leaf.charge == 0 ? 0 : 1;
        _challenge(uint32(place));
        _challenge(uint32(1 - place));
        _answer(posted, place);
        _expectNotCondemnedOnly(uint32(place));
    }

    function test_near_F9_demandedTooLate() public {
        _postRows(_tasks(2));
        vm.warp(START + W + 1);
        _expectRefused(abi.encodeWithSelector(IFraudProofs.ChallengeTooLate.selector, START + W));
        _challenge(0);
        vm.warp(START + W);
        _challenge(0);
        vm.warp(START + 2 * W + 1);
        _condemnedNow(1, 0);
    }

    /// @dev Padding has no record.
    function test_near_F9_demandedBehindTheLastLeaf() public {
        _postRows(_tasks(3));
        _expectRefused(abi.encodeWithSelector(IFraudProofs.IndexOutOfRange.selector, uint32(3), uint32(3)));
        _challenge(3);
        _challenge(2);
        _condemned(2);
    }

    function test_near_F9_entriesOfABatchThatIsNotCondemned() public {
        Posted memory posted = _postRows(_tasks(2));
        Item[] memory credits = new Item[](1);
        credits[0] = Item(bytes32(uint256(nodeId)), 2 * FEE);
        _expectRefused(abi.encodeWithSelector(IFraudProofs.NotCondemned.selector, relayerId, uint64(1)));
        proofs.voidEntries(posted.header, false, _whole(credits));
        _challenge(0);
        _condemned(0);
        proofs.voidEntries(posted.header, false, _whole(credits));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 2 * FEE, "voided");
    }

    // ---- helpers

    function _challenge(uint32 index) private {
        _challengeOf(1, index);
    }

    function _challengeOf(uint64 batchId, uint32 index) private {
        vm.prank(challenger);
        proofs.challengeData(relayerId, batchId, index);
    }

    function _answer(Posted memory posted, uint256 index) private {
        Row memory row = posted.bySession[index];
        proofs.answerData(relayerId, posted.header.batchId, row.leaf, _sessionProof(posted, index), row.record);
    }

    /// @dev The next call is refused for that reason.
    function _expectRefused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    /// @dev Of two leaves, this one condemns nothing; the other, which was demanded and not shown, does.
    function _expectNotCondemnedOnly(uint32 index) private {
        vm.warp(START + W + 1);
        _expectNone(index);
        _condemnedNow(1, 1 - index);
    }

    function _expectNone(uint32 index) private {
        _expectRefused(abi.encodeWithSelector(IFraudProofs.NoOpenChallenge.selector, relayerId, uint64(1), index));
        proofs.condemn(relayerId, 1, index);
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND, "nothing is slashed");
    }

    /// @dev The guilty sibling: demanded, and not shown.
    function _condemned(uint32 index) private {
        _condemnedOf(1, index);
    }

    function _condemnedOf(uint64 batchId, uint32 index) private {
        vm.warp(START + W + 1);
        _condemnedNow(batchId, index);
    }

    function _condemnedNow(uint64 batchId, uint32 index) private {
        proofs.condemn(relayerId, batchId, index);
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), 0, "slashed whole");
        vm.assertTrue(proofs.condemnedAt(relayerId, batchId) != 0, "condemned");
    }
}
