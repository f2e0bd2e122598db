// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IBondVault, Party} from "../../contracts/interfaces/IBondVault.sol";
import {IForces} from "../../contracts/interfaces/IForces.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {countOf, vm} from "./support/Vm.sol";

/// @notice What is shown against a force, added up: several leaves, several forces of one task, and what is no second input.
contract BooksShownTest is Accusations {
    uint96 private constant ALL = type(uint96).max;
    uint96 private constant HALF = 2 ** 95;

    /// @dev Two subtasks in batches, the third forced: the order pays what is left beside both.
    function test_allThatWasSettledOfTheTaskCounts() public {
        Record[] memory records = _subtasks(3, 2 * CHARGE + 100_000);
        Posted memory posted = _postRows(_rows(records[0], records[1]));
        bytes32 hash = _openForceOf(records[2]);
        for (uint256 i = 0; i < 2; ++i) {
            Row memory row = posted.byTab[i];
            settlement.showSettled(hash, 1, row.leaf, _tabProof(posted, i), row.record.receipt, row.record.assignment);
        }
        vm.assertEq(settlement.forceOf(hash).settled, 2 * CHARGE, "both");
        _expectResolved(hash, 100_000, FEE - 100_000);
    }

    /// @dev None of them in a batch: the third force finds what the two before it took.
    function test_allThatWasForcedOfTheTaskCounts() public {
        Record[] memory records = _subtasks(3, 2 * FEE + 100_000);
        bytes32[3] memory hashes;
        for (uint256 i = 0; i < 3; ++i) hashes[i] = _openForceOf(records[i]);
        vm.recordLogs();
        _expectResolved(hashes[0], FEE, 0);
        _expectResolved(hashes[1], FEE, 0);
        vm.assertEq(countOf(vm.getRecordedLogs(), IBondVault.Slashed.selector), 0, "no bond is asked, not even for nothing");
        _expectResolved(hashes[2], 100_000, FEE - 100_000);
    }

    /// @dev Batches alone charged more than the order pays: nothing of the force is owed, and it is resolved all the same.
    function test_anOrderThatIsOverspentOwesNothing() public {
        Record[] memory records = _subtasks(3, CHARGE + 10_000);
        Posted memory posted = _postRows(_rows(records[0], records[1]));
        bytes32 hash = _openForceOf(records[2]);
        for (uint256 i = 0; i < 2; ++i) {
            Row memory row = posted.byTab[i];
            settlement.showSettled(hash, 1, row.leaf, _tabProof(posted, i), row.record.receipt, row.record.assignment);
        }
        _expectResolved(hash, 0, FEE);
    }

    /// @dev A second input of 100,000 in an order that is 200,000 short: the greater of the two is not owed.
    function test_aSecondInputInAnOrderThatIsShortOfMore() public {
        Record[] memory records = _subtasks(1, CHARGE + 50_000);
        Posted memory posted = _postRows(_rows(records[0]));
        bytes32 hash = _openForceOf(_again(records[0], nodeId, 0, 1));
        _show(hash, posted, records[0].assignment, true);
        _expectResolved(hash, 50_000, FEE - 50_000);
    }

    /// @dev Half of 96 bits was charged and half was forced for one task: a small share more finds an order that owes nothing.
    function test_totalsOfATaskMayLeave96Bits() public {
        Record[] memory records = _greatSubtasks();
        Posted memory posted = _postGreat(records[0]);
        vm.warp(START + 6 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), HALF, "what was charged is paid and gone");
        bytes32[2] memory hashes;
        for (uint256 i = 0; i < 2; ++i) {
            Ack memory ack = Ack(records[i + 1].receipt.hash(), relayerId, 1, uint48(START));
            hashes[i] = settlement.openForce(records[i + 1], ack, _sign(SIGNER_KEY, ack.hash()), 0);
        }
        _show(hashes[1], posted, records[0].assignment, false);
        vm.warp(START + 7 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(hashes[0]);
        vm.assertEq(uint256(fromLock) + fromBond, HALF, "the first is paid");
        (fromLock, fromBond) = settlement.resolveForce(hashes[1]);
        vm.assertEq(fromLock, 0, "of the second the payer owes nothing");
        vm.assertEq(fromBond, 1_000, "the bond does");
    }

    /// @dev The tree's root is the batch's, its sum is not what the batch credited: nothing in it was settled.
    function test_aLeafOfATreeThatDoesNotAddUpAnswersNothing() public {
        Record memory record = _attempt();
        Row[] memory rows = _rows(record);
        Credit[] memory credits = _creditsOf(rows);
        credits[0].change -= 1;
        Posted memory posted = _postChanges(rows, rows, _debitsOf(rows), credits);
        bytes32 hash = _openForceOf(record);
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafNotSettled.selector, relayerId, uint64(1), receipts.leafHash(rows[0].leaf))
        );
        settlement.answerForce(hash, 1, rows[0].leaf, _tabProof(posted, 0));
    }

    /// @dev The leaf of the forced receipt itself is an answer, and no charge beside it.
    function test_theForcedReceiptIsNotShownAgainstItself() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record));
        _expectDoesNotCount(_openForceOf(record), posted, record.assignment);
    }

    /// @dev Whether a leaf was paid an input its own assignment says: another's would make a hedge a second input.
    function test_aLeafIsShownWithItsOwnAssignment() public {
        Record memory record = _attempt();
        Record memory hedge = _again(record, _addNode(0xB7), 0, 1);
        hedge.assignment.priceInPerMTok = 0;
        hedge.receipt.body.fee = 150_000;
        _seal(hedge);
        Posted memory posted = _postRows(_rows(hedge));
        bytes32 hash = _openForceOf(record);
        _expectDoesNotCount(hash, posted, record.assignment);
        _show(hash, posted, hedge.assignment, false);
    }

    /// @dev What charges no input has none that could be a second one.
    function test_nothingIsASecondInputOfAHedge() public {
        Record memory record = _attempt();
        Record memory hedge = _again(record, nodeId, 0, 1);
        hedge.assignment.priceInPerMTok = 0;
        hedge.receipt.body.fee = 150_000;
        _seal(hedge);
        Posted memory posted = _postRows(_rows(record));
        bytes32 hash = _openForceOf(hedge);
        _show(hash, posted, record.assignment, false);
        _expectResolved(hash, 150_000, 0);
    }

    /// @dev The lock has less than the fee: what is held and what is claimed are two numbers.
    function test_aForceReportsWhatItClaimsAndWhatIsHeld() public {
        _settle(sessionId, LOCK - 100_000, LOCK - 100_000);
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        vm.expectEmit(address(settlement));
        emit IForces.ForceOpened(ack.receiptHash, relayerId, nodeId, sessionId, FEE, 100_000);
        settlement.openForce(record, ack, acked, 0);
    }

    /// @dev Neither lock nor bond has anything left, and the token has lost a part of what the books hold: the force is resolved for
    /// nothing all the same.
    function test_aForceThatNobodyCanPayIsResolved() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        settlement.openForce(record, ack, acked, 0);
        vm.prank(fraudProofs);
        vault.slash(Party.RELAYER, relayerId, BOND, stranger);
        vm.prank(address(escrow));
        pay.transfer(stranger, 1);
        vm.warp(START + 4 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(uint256(fromLock) + fromBond, 0, "nothing");
    }

    // ---- helpers

    /// @dev One task of a session over all that 96 bits hold, in two subtasks of half of it each and a small one.
    function _greatSubtasks() private returns (Record[] memory records) {
        _fund(payer, ALL - 1_000e6);
        _bond(Party.RELAYER, relayerId, ALL / 4);
        SpendingAuthorization memory own = _authorization(VOUCHER, escrow.freeBalanceOf(payer));
        (own.salt, own.maxPerTask, own.maxPriceInPerMTok) = (61, ALL, ALL);
        _open(own);
        records = new Record[](3);
        records[0] = _attemptOf(nodeId, own);
        records[0].order.maxFee = ALL;
        records[0].assignment.shareCap = HALF;
        records[0].assignment.priceInPerMTok = HALF;
        records[0].assignment.feeBps = 0;
        records[0].receipt.body.fee = HALF;
        records[0].receipt.nodeCumulative = HALF;
        _seal(records[0]);
        for (uint16 i = 1; i < 3; ++i) {
            records[i] = abi.decode(abi.encode(records[0]), (Record));
            (records[i].assignment.subtask, records[i].assignment.subtasks) = (i, i + 1);
            if (i == 2) (records[i].assignment.shareCap, records[i].receipt.body.fee) = (1_000, 1_000);
            _seal(records[i]);
        }
    }

    function _postGreat(Record memory record) private returns (Posted memory) {
        Row[] memory rows = _rows(record);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(record.order.sessionId, HALF, HALF);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, HALF, HALF);
        return _postChanges(rows, rows, debits, credits);
    }

    /// @dev One task in so many subtasks, each with an input of its own.
    function _subtasks(uint16 count, uint96 maxFee) private returns (Record[] memory records) {
        records = new Record[](count);
        records[0] = _attempt();
        records[0].order.maxFee = maxFee;
        records[0].assignment.shareCap = maxFee;
        _seal(records[0]);
        for (uint16 i = 1; i < count; ++i) records[i] = _again(records[0], nodeId, i, 0);
    }

    function _openForceOf(Record memory record) private returns (bytes32) {
        Ack memory ack = Ack(record.receipt.hash(), relayerId, 1, uint48(START));
        vm.warp(START + W);
        return settlement.openForce(record, ack, _sign(SIGNER_KEY, ack.hash()), 0);
    }

    function _expectResolved(bytes32 hash, uint96 byLock, uint96 byBond) private {
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(hash);
        vm.assertEq(fromLock, byLock, "by the lock");
        vm.assertEq(fromBond, byBond, "by the bond");
        vm.assertEq(settlement.forceOf(hash).resolvedAt, START + 2 * W + 1, "since");
    }

    function _show(bytes32 hash, Posted memory posted, Assignment memory assignment, bool isSecond) private {
        Row memory row = posted.byTab[0];
        vm.expectEmit(address(settlement));
        emit IForces.SettledShown(hash, 1, uint96(row.leaf.charge), isSecond);
        settlement.showSettled(hash, 1, row.leaf, _tabProof(posted, 0), row.record.receipt, assignment);
        vm.assertTrue(settlement.forceOf(hash).secondInput == isSecond, "kept");
    }

    function _expectDoesNotCount(bytes32 hash, Posted memory posted, Assignment memory assignment) private {
        Row memory row = posted.byTab[0];
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafDoesNotCount.selector, hash, receipts.leafHash(row.leaf))
        );
        settlement.showSettled(hash, 1, row.leaf, _tabProof(posted, 0), row.record.receipt, assignment);
    }
}
