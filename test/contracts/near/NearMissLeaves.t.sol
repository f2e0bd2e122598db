// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudErrors} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {Ack} from "../../../contracts/types/Ack.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F4, F13: leaves of migrated, hedged, cancelled, recovered and rotated attempts, and leaves beside a force.
contract NearMissLeavesTest is NearMisses {
    // ---- F4: a record that does not hold

    function test_near_F4_migratedAfterTheNodesDeath() public {
        Record memory record = _withoutInput(_attempt(), ABORTED, 100_000, 1_000_000);
        _expectHonest(record);
        record.receipt.body.fee = FEE;
        record.receipt.nodeCumulative = FEE;
        _guiltyLeaf(record);
    }

    function test_near_F4_hedgedAtNoInputPrice() public {
        Record memory record = _withoutInput(_attempt(), COMPLETE, 0, 1_000_000);
        _expectHonest(record);
        record.receipt.body.fee += 1;
        _guiltyLeaf(record);
    }

    function test_near_F4_cancelledStream() public {
        Record memory record = _attempt();
        (record.receipt.body.status, record.receipt.body.outputTokens, record.receipt.body.fee) = (CANCELLED, 10, 100_003);
        _seal(record);
        _expectHonest(record);
        record.receipt.body.outputTokens = 9;
        _guiltyLeaf(record);
    }

    function test_near_F4_shareThatCutsTheFee() public {
        Record memory record = _attempt();
        record.assignment.shareCap = 100_000;
        // The greatest fee whose charge of 300 bps stays within it.
        record.receipt.body.fee = 97_088;
        _seal(record);
        _expectHonest(record);
        record.receipt.body.fee = 97_089;
        _guiltyLeaf(record);
    }

    function test_near_F4_roundedDown() public {
        Record memory record = _attempt();
        (record.receipt.body.outputTokens, record.receipt.body.fee) = (1, 100_000);
        _seal(record);
        _expectHonest(record);
        record.receipt.body.fee = 100_001;
        _guiltyLeaf(record);
    }

    function test_near_F4_noVoucherInAllowanceMode() public {
        Record memory record = _attemptOf(nodeId, _addSession(ALLOWANCE, 70));
        _expectHonest(record);
        record.assignment.voucherHash = keccak256("a voucher");
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        _guilty(_f4(_postRows(_rows(record)), 0));
    }

    /// @dev A recovery attempt is 128 or more, and its total starts from what the chain knows.
    function test_near_F4_recoveredAfterACrash() public {
        Record memory record = _again(_attempt(), nodeId, 0, 128);
        record.receipt.nodeCumulative = 900e6;
        _seal(record);
        _expectHonest(record);
        record.receipt.nodeCumulative = FEE - 1;
        _guiltyLeaf(record);
    }

    function test_near_F4_redundantSubtasks() public {
        Record memory record = _attempt();
        (record.assignment.subtask, record.assignment.subtasks) = (2, 3);
        _seal(record);
        _expectHonest(record);
        record.assignment.subtask = 3;
        _guiltyLeaf(record);
    }

    function test_near_F4_nodeKeyRotatedInMidBatch() public {
        Record memory record = _attempt();
        _rotateNodeKey();
        record.assignment.issuedAt = uint48(START + W - 1);
        _seal(record);
        vm.warp(START + W);
        _expectHonest(record);
        record.assignment.issuedAt = uint48(START + W);
        _guiltyLeaf(record);
    }

    function test_near_F4_relayersKeyRotatedInMidBatch() public {
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START + W - 1);
        _seal(record);
        vm.warp(START + W / 2);
        Posted memory posted = _postRows(_rows(_copy(record)));
        record.assignment.issuedAt = uint48(START + W);
        _seal(record);
        Posted memory late = _postRows(_rows(record));
        vm.warp(START);
        _rotateSigner();
        _expectNothingWrong(_f4(posted, 0));
        _guilty(_f4(late, 0));
    }

    function test_near_F4_clockBehindTheKeysOpening() public {
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START - W);
        _seal(record);
        _expectHonest(record);
        record.assignment.issuedAt = uint48(START - W - 1);
        _guiltyLeaf(record);
    }

    function test_near_F4_pricesAtThePayersMaxima() public {
        Record memory record = _attempt();
        (record.assignment.priceInPerMTok, record.assignment.priceOutPerMTok, record.assignment.feeBps) = (1e6, 1e6, 500);
        (record.receipt.body.inputTokens, record.receipt.body.outputTokens) = (500_000, 450_000);
        (record.receipt.body.fee, record.receipt.nodeCumulative) = (950_000, 950_000);
        _seal(record);
        _expectHonest(record);
        record.assignment.feeBps = 501;
        _guiltyLeaf(record);
    }

    function test_near_F4_settledAfterTheSessionClosed() public {
        Record memory record = _attempt();
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 2 * W);
        _expectHonest(record);
        record.order.maxFee = record.authorization.maxPerTask + 1;
        _guiltyLeaf(record);
    }

    // ---- F13: paid after a force

    function test_near_F13_settledInTheLastSecondForAnAnswer() public {
        Record memory record = _attempt();
        bytes32 receiptHash = _openForce(record);
        vm.warp(START + 2 * W);
        Posted memory posted = _postRows(_rows(record));
        vm.warp(START + 2 * W + 1);
        Posted memory late = _postRows(_rows(record));
        settlement.resolveForce(receiptHash);
        _expectNotTheSame(_f13(record, posted, 0));
        _guilty(_f13(record, late, 0));
    }

    function test_near_F13_answeredInTime() public {
        Record memory record = _attempt();
        bytes32 receiptHash = _openForce(record);
        Posted memory posted = _postRows(_rows(record));
        settlement.answerForce(receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        vm.warp(START + 3 * W);
        Posted memory again = _postRows(_rows(record));
        // The second leaf is F7's: an answered force paid nothing.
        _expectNotTheSame(_f13(record, again, 0));
        Record memory forced = _attempt();
        _force(forced);
        _guilty(_f13(forced, _postRows(_rows(forced)), 0));
    }

    function test_near_F13_theForceIsStillOpen() public {
        Record memory record = _attempt();
        bytes32 receiptHash = _openForce(record);
        vm.warp(START + 2 * W + 1);
        Posted memory posted = _postRows(_rows(record));
        _expectNotTheSame(_f13(record, posted, 0));
        settlement.resolveForce(receiptHash);
        _guilty(_f13(record, posted, 0));
    }

    function test_near_F13_anotherTaskOfTheSession() public {
        Record memory record = _attempt();
        Record memory beside = _attempt();
        _force(record);
        _expectNotTheSame(_f13(record, _postRows(_rows(beside)), 0));
        _guilty(_f13(record, _postRows(_rows(record)), 0));
    }

    function test_near_F13_theHedgeBesideIt() public {
        Record memory record = _attempt();
        _force(record);
        Record memory hedge = _withoutInput(_again(record, nodeId, 0, 1), COMPLETE, 0, 1_000_000);
        _expectNothingWrong(_f13(record, _postRows(_rows(hedge)), 0));
        _guilty(_f13(record, _postRows(_rows(_again(record, nodeId, 0, 2))), 0));
    }

    function test_near_F13_theAbortedAttemptBeforeIt() public {
        Record memory record = _attempt();
        _force(record);
        Record memory aborted = _withoutInput(_again(record, nodeId, 0, 1), ABORTED, 100_000, 1_000_000);
        _expectNothingWrong(_f13(record, _postRows(_rows(aborted)), 0));
        _guilty(_f13(record, _postRows(_rows(_again(record, nodeId, 0, 2))), 0));
    }

    /// @dev The dead node forces what it delivered, without input; its successor's input is the only one.
    function test_near_F13_theDeadNodesOutputWasForced() public {
        Record memory aborted = _withoutInput(_attempt(), ABORTED, 100_000, 1_000_000);
        Record memory next = _again(aborted, nodeId, 0, 1);
        (next.receipt.body.status, next.receipt.body.fee) = (COMPLETE, FEE);
        _seal(next);
        _force(aborted);
        _expectNothingWrong(_f13(aborted, _postRows(_rows(next)), 0));
        _guilty(_f13(aborted, _postRows(_rows(aborted)), 0));
    }

    function test_near_F13_aRedundantSubtask() public {
        Record memory record = _attempt();
        _force(record);
        _expectNothingWrong(_f13(record, _postRows(_rows(_again(record, nodeId, 1, 0))), 0));
        _guilty(_f13(record, _postRows(_rows(_again(record, nodeId, 0, 1))), 0));
    }

    function test_near_F13_togetherExactlyTheOrdersMaxFee() public {
        for (uint96 short = 0; short < 2; ++short) {
            Record memory record = _attempt();
            record.order.maxFee = FEE + CHARGE - short;
            record.assignment.shareCap = FEE + CHARGE - short;
            _seal(record);
            _forceNow(record);
            Posted memory posted = _postRows(_rows(_again(record, nodeId, 1, 0)));
            if (short == 0) _expectNothingWrong(_f13(record, posted, 0));
            else _guilty(_f13(record, posted, 0));
        }
    }

    function test_near_F13_nothingWasForced() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record));
        _expectNotProven(_f13(record, posted, 0), abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, uint32(0), uint64(1)));
        Record memory forced = _attempt();
        _force(forced);
        _guilty(_f13(forced, _postRows(_rows(forced)), 0));
    }

    /// @dev Deferred over several batches: the other tasks of a session follow the force of one.
    function test_near_F13_deferredTasksOfTheSameSession() public {
        Row[] memory deferred = _tasks(3);
        Record memory record = _attempt();
        _force(record);
        Posted memory posted = _postRows(deferred);
        for (uint256 i = 0; i < 3; ++i) _expectNotTheSame(_f13(record, posted, i));
        Row[] memory rows = _rows(_attempt(), record);
        posted = _postRows(rows);
        uint256 index = posted.bySession[0].leaf.receiptHash == record.receipt.hash() ? 0 : 1;
        _expectNotTheSame(_f13(record, posted, 1 - index));
        _guilty(_f13(record, posted, index));
    }

    // ---- helpers

    function _expectHonest(Record memory record) private {
        _expectNothingWrong(_f4(_postRows(_rows(record)), 0));
    }

    function _guiltyLeaf(Record memory record) private {
        _seal(record);
        _guilty(_f4(_postRows(_rows(record)), 0));
    }

    /// @dev `_force` from whatever time it is.
    function _forceNow(Record memory record) private {
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(block.timestamp + W);
        bytes32 receiptHash = settlement.openForce(record, ack, acked, 0);
        vm.warp(block.timestamp + W + 1);
        settlement.resolveForce(receiptHash);
        vm.warp(block.timestamp + 1);
    }
}
