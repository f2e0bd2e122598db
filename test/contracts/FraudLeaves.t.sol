// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {IForces} from "../../contracts/interfaces/IForces.sol";
import {RelayerAccount, Session, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Fault, Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice F4 and F13: leaves whose records do not hold, and leaves that pay again what a force has paid.
contract FraudLeavesTest is Trials {
    uint96 private constant RELAYER_PART = CHARGE - FEE;

    // ---- F4: whose fault, whose money

    /// @dev The relayer's own fault: the node keeps its credit, the relayer's fees and bond give the charge back.
    function test_F4_aFaultOfTheRelayersIsPaidByTheRelayer() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        uint96 charge = posted.header.totalDebit;
        _prove(_f4(posted, 0));
        vm.assertEq(escrow.relayerAccountOf(relayerId).feesVoided, charge - FEE, "its fees first");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 0, "never an honest tab");
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, charge - FEE, "back in the lock");
        // The rest of the charge from the bond, to the payer; then the penalty.
        _assertPenalty(MINIMUM_PENALTY, payer, FEE);
        vm.assertTrue(proofs.isVoided(relayerId, 1, receipts.leafHash(posted.bySession[0].leaf)), "voided");
    }

    /// @dev The node's fault: its tab gives the fee back, the relayer its part, and the bond only the penalty.
    function test_F4_aFaultOfTheNodesIsPaidByItsTab() public {
        Record memory record = _attempt();
        record.receipt.body.fee += 50_000;
        record.receipt.nodeCumulative += 50_000;
        _seal(record);
        Posted memory posted = _postRows(_rows(record, _attempt()));
        uint256 index = posted.bySession[0].leaf.fee == FEE ? 1 : 0;
        uint96 charge = uint96(posted.bySession[index].leaf.charge);
        _prove(_f4(posted, index));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, FEE + 50_000, "its tab");
        vm.assertEq(escrow.relayerAccountOf(relayerId).feesVoided, charge - FEE - 50_000, "the relayer's part");
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, charge, "the whole charge is back");
        _assertPenalty(MINIMUM_PENALTY, payer, 0);
        // What is left matures: the honest receipt's fee.
        vm.warp(START + 6 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "the honest part");
    }

    /// @dev A relayer that puts a false receipt with a false signature into a leaf does not get at the tab of the node it names.
    function test_F4_noTabPaysForWhatItsNodeDidNotSign() public {
        _settle(sessionId, 10e6, 10e6);
        for (uint256 i = 0; i < 2; ++i) {
            Record memory record = _attempt();
            record.receipt.body.fee += uint96(i);
            _seal(record);
            record.receiptSignature = _sign(0xBAD, record.receipt.hash());
            _prove(_f4(_postRows(_rows(record)), 0));
            vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 0, "the node keeps what it earned");
        }
        vm.assertGe(proofs.owedTo(pay, payer), 2 * FEE, "the relayer's bond gives the charges back");
    }

    function test_F4_threeTimesTheFeeWhereThatIsMore() public {
        SpendingAuthorization memory own = _authorization(VOUCHER, LOCK);
        (own.salt, own.maxPerTask, own.maxPriceInPerMTok) = (9, 60e6, 40e6);
        _open(own);
        Record memory record = _attemptOf(nodeId, own);
        record.order.maxFee = 60e6;
        record.assignment.shareCap = 60e6;
        record.assignment.priceInPerMTok = 40e6;
        record.receipt.body.fee = 40_150_000 + 1;
        record.receipt.nodeCumulative = 50e6;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _prove(_f4(posted, 0));
        _assertPenalty(3 * 40_150_001, payer, 0);
    }

    /// @dev What went back into the lock is the payer's again, after CLOSING.
    function test_F4_theRefundLeavesWithTheLock() public {
        Record memory record = _attempt();
        record.receipt.body.outputTokens = 400_000;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _prove(_f4(posted, 0));
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        vm.assertEq(escrow.releaseLock(sessionId), LOCK, "as if nothing had been charged");
        vm.assertEq(escrow.sessionOf(sessionId).charged, CHARGE, "charged never falls");
    }

    /// @dev Late: the credits have matured, so nothing is voided or refunded; the penalty is due all the same.
    function test_F4_afterMaturityOnlyThePenaltyIsLeft() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        vm.warp(START + 6 * W);
        _prove(_f4(posted, 0));
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, 0, "no refund");
        _assertPenalty(MINIMUM_PENALTY, payer, 0);
    }

    function test_F4_aLeafIsPunishedOnce() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _prove(_f4(posted, 0));
        bytes32 key = keccak256(abi.encode("F4", relayerId, uint64(1), receipts.leafHash(posted.bySession[0].leaf)));
        _expectNotProven(_f4(posted, 0), abi.encodeWithSelector(IFraudProofs.PunishedBefore.selector, key));
    }

    // ---- F4: every fault

    function test_F4_everyFieldThatOnePartSaysOfAnother() public {
        for (uint256 i = 0; i < 8; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.taskId = keccak256("another");
            if (i == 1) record.receipt.body.subtask = 1;
            if (i == 2) record.receipt.body.attempt = 1;
            if (i == 3) record.receipt.body.role = 2;
            if (i == 4) record.receipt.keyEpoch = 2;
            if (i == 5) record.receipt.relayerId = 2;
            if (i == 6) record.receipt.nodeId = 2;
            if (i == 7) record.receipt.body.sessionId = _addSession(VOUCHER, 50).hash();
            _signAll(record);
            hotKeyOf[2] = HOT_KEY;
            if (i == 6) _addNode(0xBB);
            hotKeyOf[2] = 0xBB;
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everyTermThatThePayerSigned() public {
        for (uint256 i = 0; i < 9; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.assignment.priceInPerMTok = 1e6 + 1;
            if (i == 1) record.assignment.priceOutPerMTok = 1e6 + 1;
            if (i == 2) record.assignment.feeBps = 501;
            if (i == 3) record.assignment.shareCap = 1e6 + 1;
            if (i == 4) record.order.maxFee = 1e6 + 1;
            if (i == 5) record.order.tier = 3;
            if (i == 6) record.order.maxOutTokens = 499_999;
            if (i == 7) record.receipt.body.status = 4;
            if (i == 8) record.assignment.subtask = 1;
            _seal(record);
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everyPartOfTheFee() public {
        for (uint256 i = 0; i < 5; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.fee -= 1;
            if (i == 1) record.receipt.body.inputTokens += 10;
            if (i == 2) record.receipt.body.status = ABORTED;
            if (i == 3) record.receipt.nodeCumulative = FEE - 1;
            if (i == 4) record.assignment.shareCap = CHARGE - 1;
            _seal(record);
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everySignature() public {
        for (uint256 i = 0; i < 6; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receiptSignature = _sign(0xBAD, record.receipt.hash());
            if (i == 1) record.assignmentSignature = _sign(0xBAD, record.assignment.hash());
            if (i == 2) record.voucherSignature = _sign(0xBAD, record.voucher.hash());
            if (i == 3) record.receiptSignature = "";
            if (i == 4) record.assignmentSignature = hex"00";
            if (i == 5) record.voucherSignature = _sign(PAYER_KEY, record.voucher.hash());
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_vouchers() public {
        // None where one is needed.
        Record memory record = _attempt();
        record.assignment.voucherHash = 0;
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        Row memory row = _row(record);
        (row.leaf.voucherHash, row.leaf.voucherSigHash) = (0, 0);
        _expectProvenRow(row, MINIMUM_PENALTY);
        // Of another order.
        record = _attempt();
        record.voucher.taskId = keccak256("another");
        record.assignment.voucherHash = record.voucher.hash();
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        _expectProven(record, MINIMUM_PENALTY);
        // Other than the one that the assignment names.
        record = _attempt();
        record.voucher.cumulativeCap -= 1;
        _signAll(record);
        _expectProven(record, MINIMUM_PENALTY);
        // One where none belongs.
        record = _attemptOf(nodeId, _addSession(ALLOWANCE, 60));
        record.voucher.cumulativeCap = 5;
        record.assignment.voucherHash = record.voucher.hash();
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        row = _row(record);
        row.leaf.voucherHash = record.voucher.hash();
        row.leaf.voucherSigHash = keccak256("");
        _expectProvenRow(row, MINIMUM_PENALTY);
    }

    /// @dev The receipt holds, the leaf does not stand for it.
    function test_F4_theLeafsOwnAmounts() public {
        for (uint256 i = 0; i < 4; ++i) {
            Row memory row = _row(_attempt());
            if (i == 0) row.leaf.fee += 1;
            if (i == 1) row.leaf.charge += 1;
            if (i == 2) row.leaf.charge -= 1;
            if (i == 3) row.leaf.fee -= 1;
            _expectProvenRow(row, MINIMUM_PENALTY);
        }
    }

    function test_F4_keysOutOfTheirEpochs() public {
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB5);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB5), consent);
        vm.warp(START + W);
        _expectProven(_attempt(), MINIMUM_PENALTY);
        // The new key spoke before it was opened.
        vm.warp(START + 2 * W);
        Record memory record = _attempt();
        record.assignment.keyEpoch = 2;
        record.assignment.issuedAt = uint48(START - W - 1);
        hotKeyOf[nodeId] = 0xB5;
        _seal(record);
        _expectProven(record, MINIMUM_PENALTY);
    }

    // ---- F4: near misses

    function test_F4_honestLeavesAreNotSlashable() public {
        _expectHonest(_attempt());
        // Ended by the client, by the node, without output, without charge.
        Record memory record = _attempt();
        record.receipt.body.status = CANCELLED;
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.receipt.body.status = ABORTED;
        record.receipt.body.fee = 150_000;
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.receipt.body.inputTokens = 0;
        record.receipt.body.outputTokens = 0;
        record.receipt.body.fee = 0;
        _seal(record);
        _expectHonest(record);
        // Cut at its share: the greatest fee whose charge fits.
        record = _attempt();
        record.assignment.shareCap = 103_000;
        record.receipt.body.fee = 100_000;
        _seal(record);
        _expectHonest(record);
        // A hedge without input price; a later attempt after a node's death; a further subtask, and a redundant one.
        record = _attempt();
        record.assignment.priceInPerMTok = 0;
        record.receipt.body.fee = 150_000;
        _seal(record);
        _expectHonest(record);
        _expectHonest(_again(_attempt(), nodeId, 0, 128));
        _expectHonest(_again(_attempt(), nodeId, 3, 0));
        // Tiers, and the payer's limits reached to the unit.
        record = _attempt();
        record.order.tier = 2;
        record.assignment.feeBps = 500;
        _seal(record);
        _expectHonest(record);
        // An allowance has no voucher.
        _expectHonest(_attemptOf(nodeId, _addSession(ALLOWANCE, 70)));
    }

    /// @dev Rotation in mid-batch and clocks that are apart: a closed key speaks for W more, a new one from W before.
    function test_F4_rotationInMidBatch() public {
        Record memory early = _attempt();
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB5);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB5), consent);
        consent = _consent(address(relayers), relayerOwner, 0xC5);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC5), consent);
        _expectHonest(early);
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START + W - 1);
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.assignment.keyEpoch = 2;
        record.assignment.issuedAt = uint48(START - W);
        hotKeyOf[nodeId] = 0xB5;
        _seal(record);
        Posted memory posted = _postUnder(1, _rows(record));
        _expectNothingWrong(_f4(posted, 0));
    }

    function test_F4_theEvidenceMustBeTheLeafs() public {
        Posted memory posted = _postRows(_tasks(5));
        Record memory record = posted.bySession[2].record;
        Record memory other = posted.bySession[3].record;
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveInvalidLeaf, (relayerId, 1, posted.bySession[2].leaf, _sessionProof(posted, 2), other, SALT)
        );
        _expectNotProven(
            call,
            abi.encodeWithSelector(
                IFraudErrors.ReceiptOfOtherLeaf.selector, record.receipt.hash(), other.receipt.hash()
            )
        );
        bytes32 leafHash = receipts.leafHash(posted.bySession[2].leaf);
        bytes memory ofOther = abi.encodeWithSelector(IFraudErrors.RecordOfOtherLeaf.selector, leafHash);
        bytes memory was = record.receiptSignature;
        record.receiptSignature = "a signature that the leaf does not hold";
        _expectNotProven(_f4(posted, 2), ofOther);
        (record.receiptSignature, was) = (was, record.assignmentSignature);
        record.assignmentSignature = "another";
        _expectNotProven(_f4(posted, 2), ofOther);
        (record.assignmentSignature, was) = (was, record.voucherSignature);
        record.voucherSignature = "another";
        _expectNotProven(_f4(posted, 2), ofOther);
        record.voucherSignature = was;
        record.voucher.cumulativeCap += 1;
        _expectNotProven(_f4(posted, 2), ofOther);
        record.voucher.cumulativeCap -= 1;
        bytes memory notThere =
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, settlement.batchOf(relayerId, 1).batchHash, leafHash, uint32(3));
        _expectNotProven(
            abi.encodeCall(
                IFraudProofs.proveInvalidLeaf, (relayerId, 1, posted.bySession[2].leaf, _sessionProof(posted, 3), record, SALT)
            ),
            notThere
        );
        _expectNotProven(
            abi.encodeCall(
                IFraudProofs.proveInvalidLeaf, (relayerId, 2, posted.bySession[2].leaf, _sessionProof(posted, 2), record, SALT)
            ),
            abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, relayerId, uint64(2))
        );
    }

    // ---- F13: paid twice after a force

    function test_F13_theForcedReceiptItself() public {
        Record memory record = _forced();
        Posted memory posted = _postRows(_rows(record));
        _prove(_f13(record, posted, 0));
        // Once back into the lock, from the fees as far as they reach; the rest and the charge again from the bond.
        vm.assertEq(escrow.sessionOf(sessionId).voidedCharge, RELAYER_PART, "from its fees");
        _assertPenalty(0, payer, uint256(CHARGE) - RELAYER_PART + CHARGE);
    }

    function test_F13_aSecondInputOfTheSubtask() public {
        Record memory record = _forced();
        Posted memory posted = _postRows(_rows(_again(record, nodeId, 0, 1)));
        _prove(_f13(record, posted, 0));
        _assertPenalty(0, payer, uint256(CHARGE) - RELAYER_PART + CHARGE);
    }

    function test_F13_aboveTheOrdersMaxFee() public {
        Record memory record = _attempt();
        record.order.maxFee = FEE + CHARGE - 1;
        record.assignment.shareCap = FEE + CHARGE - 1;
        _seal(record);
        _force(record);
        Posted memory posted = _postRows(_rows(_again(record, nodeId, 1, 0)));
        _prove(_f13(record, posted, 0));
        _assertPenalty(0, payer, uint256(CHARGE) - RELAYER_PART + CHARGE);
    }

    function test_F13_nearMisses() public {
        Record memory record = _attempt();
        Record memory beside = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        // Posted before the force is resolved: that is what answers are for.
        Posted memory early = _postRows(_rows(record));
        vm.warp(START + 2 * W + 1);
        _expectNotTheSame(_f13(record, early, 0));
        settlement.resolveForce(ack.receiptHash);
        _expectNotTheSame(_f13(record, early, 0));
        // Another task; a hedge, an aborted attempt, another subtask within maxFee.
        vm.warp(START + 2 * W + 2);
        _expectNotTheSame(_f13(record, _postRows(_rows(beside)), 0));
        Record memory next = _again(record, nodeId, 0, 1);
        next.assignment.priceInPerMTok = 0;
        next.receipt.body.fee = 150_000;
        _seal(next);
        _expectNothingWrong(_f13(record, _postRows(_rows(next)), 0));
        next = _again(record, nodeId, 0, 2);
        next.receipt.body.status = ABORTED;
        next.receipt.body.fee = 150_000;
        _seal(next);
        _expectNothingWrong(_f13(record, _postRows(_rows(next)), 0));
        _expectNothingWrong(_f13(record, _postRows(_rows(_again(record, nodeId, 1, 0))), 0));
        // Nothing was forced.
        bytes memory call = abi.encodeCall(
            IFraudProofs.provePaidAfterForce,
            (beside.receipt.hash(), 1, _entry(early, Tree.SESSION, 0), record.assignment, SALT)
        );
        _expectNotProven(call, abi.encodeWithSelector(IFraudErrors.BatchUnknown.selector, uint32(0), uint64(1)));
    }

    // ---- helpers

    function _forced() private returns (Record memory record) {
        record = _attempt();
        _force(record);
    }

    function _force(Record memory record) private {
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        settlement.resolveForce(ack.receiptHash);
        vm.warp(START + 2 * W + 2);
    }

    function _f4(Posted memory posted, uint256 index) private view returns (bytes memory) {
        Row memory row = posted.bySession[index];
        return abi.encodeCall(
            IFraudProofs.proveInvalidLeaf,
            (relayerId, posted.header.batchId, row.leaf, _sessionProof(posted, index), row.record, SALT)
        );
    }

    function _f13(Record memory forced, Posted memory posted, uint256 index) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.provePaidAfterForce,
            (
                forced.receipt.hash(),
                posted.header.batchId,
                _entry(posted, Tree.SESSION, index),
                posted.bySession[index].record.assignment,
                SALT
            )
        );
    }

    function _expectProven(Record memory record, uint256 penalty) private {
        _expectProvenRow(_row(record), penalty);
    }

    /// @dev Posted among honest leaves, so that the path matters.
    function _expectProvenRow(Row memory row, uint256 penalty) private {
        Row[] memory rows = new Row[](3);
        (rows[0], rows[1], rows[2]) = (_row(_attempt()), row, _row(_attempt()));
        Posted memory posted = _postUnder(1, rows);
        uint256 index;
        while (posted.bySession[index].leaf.receiptHash != row.leaf.receiptHash) ++index;
        uint256 burned = proofs.toBurn(pay);
        _prove(_f4(posted, index));
        vm.assertGe(proofs.toBurn(pay) - burned, penalty / 2, "half of the penalty is burned");
        (uint256 booked, uint256 tracked) = _books();
        vm.assertEq(booked, tracked, "I1");
    }

    function _expectHonest(Record memory record) private {
        _expectNothingWrong(_f4(_postUnder(1, _rows(record)), 0));
    }

    /// @dev Posts in its own time and under its own keys, whatever was rotated before.
    function _postUnder(uint32 epoch, Row[] memory rows) private returns (Posted memory) {
        uint256 was = hotKeyOf[nodeId];
        hotKeyOf[nodeId] = epoch == 1 ? HOT_KEY : was;
        Posted memory posted = _postRows(rows);
        hotKeyOf[nodeId] = was;
        return posted;
    }

    function _books() private view returns (uint256 booked, uint256 tracked) {
        booked = escrow.freeBalanceOf(payer);
        bytes32[4] memory ids = [
            sessionId, _authorizationOf(VOUCHER, 50), _authorizationOf(ALLOWANCE, 60), _authorizationOf(ALLOWANCE, 70)
        ];
        for (uint256 i = 0; i < ids.length; ++i) {
            Session memory one = escrow.sessionOf(ids[i]);
            booked += uint256(one.lock) + one.voidedCharge - one.charged - one.forced;
        }
        for (uint32 id = 1; id <= nodes.count(); ++id) {
            Tab memory tab = escrow.tabOf(relayerId, id);
            booked += uint256(tab.earned) + tab.forcedEarned - tab.voidedEarned - tab.claimed;
        }
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        booked += uint256(account.fees) - account.feesVoided - account.feesClaimed;
        return (booked, escrow.trackedBalance());
    }

    function _authorizationOf(uint8 mode, uint256 salt) private view returns (bytes32) {
        SpendingAuthorization memory own = _authorization(mode, LOCK);
        own.salt = salt;
        return own.hash();
    }
}
