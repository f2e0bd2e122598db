// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F4, F13: whose money an invalid leaf costs, and a leaf that pays again what a force has paid.
contract FraudLeavesTest is Accusations {
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

    /// @dev Too late to answer, and too early for a force that nobody resolved yet: it pays beside it all the same.
    function test_F13_postedBetweenTheLastAnswerAndTheResolution() public {
        Record memory record = _attempt();
        bytes32 receiptHash = _openForce(record);
        vm.warp(START + 2 * W + 1);
        Posted memory posted = _postRows(_rows(record));
        _expectNotTheSame(_f13(record, posted, 0));
        settlement.resolveForce(receiptHash);
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
}
