// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, RelayerAccount} from "../../contracts/interfaces/IEscrow.sol";
import {IForces} from "../../contracts/interfaces/IForces.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {FraudProofs} from "../../contracts/FraudProofs.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../contracts/fraud/TreeJudge.sol";
import {Leaf, SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {Fault, Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice Corners of the money paths that mutation testing found open: amounts and times at the ends of their types, errors that
/// name two numbers which are usually the same, evidence of which only one part is another's.
contract MoneyEdgesTest is Trials {
    /// @dev Node 2 at relayer 1: which number is whose shows.
    function test_aCreditAboveItsProofNamesRelayerAndNode() public {
        uint32 second = _registerNode(nodeOwner, 0xB2);
        (Debit[] memory debits, Credit[] memory credits) = _one(second, 0xB2, 5, 4);
        _expectSettlementRefused(
            debits, credits,
            abi.encodeWithSelector(IEscrow.CreditAboveProvenEarned.selector, relayerId, second, uint256(5), uint96(4))
        );
    }

    /// @dev The sum leaves 96 bits: it is refused for what it is, not with a panic.
    function test_aCreditBeyond96BitsIsRefusedByName() public {
        uint32 second = _registerNode(nodeOwner, 0xB2);
        (Debit[] memory debits, Credit[] memory credits) = _one(second, 0xB2, 5, 5);
        BatchHeader memory header = _header(debits, credits);
        _post(header, debits, credits);
        (debits, credits) = _one(second, 0xB2, type(uint96).max, type(uint96).max);
        _expectSettlementRefused(
            debits, credits,
            abi.encodeWithSelector(
                IEscrow.CreditAboveProvenEarned.selector, relayerId, second, uint256(type(uint96).max) + 5, type(uint96).max
            )
        );
    }

    /// @dev Fees of two periods: those that have matured are paid once the seeds up to them are out, whatever came later.
    function test_laterFeesAskNoLaterSeeds() public {
        uint256 period = 7 * W;
        uint256 start = (START / period + 1) * period;
        vm.warp(start);
        _settle(sessionId, 1_100_000, 1_000_000);
        vm.warp(start + 2 * period);
        _settle(sessionId, 1_100_000, 1_000_000);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.SeedsNotRevealed.selector, relayerId, uint256(0), start + period)
        );
        vm.prank(relayerOwner);
        escrow.claimRelayerFee(relayerId, relayerOwner);
    }

    /// @dev However often it is posted in one period: nothing of it has matured, and all of it weighs on the bond.
    function test_frequentPostingMaturesNoDebitAndNoFee() public {
        uint256 period = 21 * W;
        vm.warp((START / period + 1) * period);
        for (uint256 i = 1; i <= 4; ++i) {
            _settle(sessionId, 1_100_000, 1_000_000);
            RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
            vm.assertEq(account.debited, i * 1_100_000, "debited");
            vm.assertEq(account.debitedMatured, 0, "no debit matures inside its period");
            vm.assertEq(account.feesMatured, 0, "no fee matures inside its period");
            vm.assertEq(escrow.tabOf(relayerId, nodeId).matured, 0, "no credit matures inside its period");
            vm.assertEq(escrow.debitCapacityOf(relayerId), 5 * uint256(BOND) - i * 1_100_000, "what the bond still backs");
        }
        vm.warp(block.timestamp + 3 * W);
        _settle(sessionId, 1_100_000, 1_000_000);
        vm.assertEq(escrow.relayerAccountOf(relayerId).debitedMatured, 0, "one whole period lies between");
        vm.warp(block.timestamp + 3 * W);
        vm.assertEq(escrow.relayerAccountOf(relayerId).debitedMatured, 4_400_000, "those of the first period");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).matured, 4_000_000, "and its credits");
    }

    function test_pausingAndResumingAreAnnounced() public {
        vm.startPrank(guardian);
        vm.expectEmit(address(escrow));
        emit IEscrow.NewSessionsPaused(uint48(START + 7 days));
        escrow.pauseNewSessions();
        vm.expectEmit(address(escrow));
        emit IEscrow.NewSessionsResumed();
        escrow.resumeNewSessions();
        vm.stopPrank();
    }

    function test_relayersSitLongerThanNodes() public {
        _condemn(_postRows(_rows(_attempt(), _attempt())), START + W + 1);
        uint48 until = vault.bondOf(Party.RELAYER, relayerId).jailedUntil;
        vm.assertEq(until, block.timestamp + 21 * W, "as long as a relayer's bond takes to leave");
    }

    // ---- forces

    /// @dev An ack from the far future opens nothing, and is refused by name at the very end of its type too.
    function test_anAckFromTheFutureForcesNothing() public {
        Record memory record = _attempt();
        bytes32 hash = record.receipt.hash();
        uint48[2] memory times = [uint48(block.timestamp + 1), type(uint48).max];
        for (uint256 i = 0; i < times.length; ++i) {
            Ack memory ack = Ack(hash, relayerId, 1, times[i]);
            bytes memory signature = _sign(SIGNER_KEY, ack.hash());
            vm.expectRevert(
                abi.encodeWithSelector(
                    IForces.ForceNotNow.selector, times[i], uint256(times[i]) + W, uint256(times[i]) + 8 * W, block.timestamp
                )
            );
            settlement.openForce(record, ack, signature, 0);
        }
    }

    /// @dev The leaf is settled, the receipt is another one of the same task: its subtask must not be read for the leaf's.
    function test_aLeafIsShownWithItsOwnReceiptOnly() public {
        Record memory record = _attempt();
        Record memory other = _again(record, nodeId, 0, 1);
        Posted memory posted = _postRows(_rows(other));
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        TaskReceipt memory another = abi.decode(abi.encode(other.receipt), (TaskReceipt));
        another.nodeSeq += 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.LeafDoesNotCount.selector, ack.receiptHash, receipts.leafHash(posted.byTab[0].leaf)
            )
        );
        settlement.showSettled(
            ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0), another, other.assignment
        );
    }

    /// @dev Whatever else of the leaf is changed: its sums, its place in the tree, or the shape of the path.
    function test_onlyTheVeryLeafAnswers() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record));
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        Leaf memory leaf = _leafOf(record);
        leaf.nodeSigHash ^= bytes32(uint256(1));
        _expectNotSettled(ack.receiptHash, leaf, _tabProof(posted, 0));
        leaf = _leafOf(record);
        SumProof memory longer = SumProof(0, new bytes32[](1), new uint128[](1));
        _expectNotSettled(ack.receiptHash, leaf, longer);
        SumProof memory elsewhere = _tabProof(posted, 0);
        elsewhere.index = 1;
        _expectNotSettled(ack.receiptHash, leaf, elsewhere);
        settlement.answerForce(ack.receiptHash, 1, leaf, _tabProof(posted, 0));
    }

    /// @dev Each field that a receipt repeats from its assignment, one at a time, signed by the right node all the same.
    function test_aReceiptThatSaysOtherwiseThanItsAssignmentIsNotForced() public {
        uint32 otherRelayer = _registerRelayer(stranger, 0xC2);
        for (uint256 field = 0; field < 8; ++field) {
            Record memory record = _attempt();
            TaskReceipt memory receipt = record.receipt;
            if (field == 0) receipt.body.taskId ^= bytes32(uint256(1));
            if (field == 1) receipt.body.sessionId ^= bytes32(uint256(1));
            if (field == 2) receipt.body.subtask += 1;
            if (field == 3) receipt.body.attempt += 1;
            if (field == 4) receipt.body.role += 1;
            if (field == 5) receipt.nodeId += 1;
            if (field == 6) receipt.keyEpoch += 1;
            if (field == 7) receipt.relayerId = otherRelayer;
            _signAll(record);
            Ack memory ack = Ack(receipt.hash(), receipt.relayerId, 1, uint48(block.timestamp));
            bytes memory acked = _sign(field == 7 ? 0xC2 : SIGNER_KEY, ack.hash());
            vm.warp(block.timestamp + W);
            vm.expectRevert(
                abi.encodeWithSelector(IForces.RecordFaulty.selector, ack.receiptHash, Fault.RECEIPT_FIELDS)
            );
            settlement.openForce(record, ack, acked, 0);
        }
    }

    /// @dev A voucher that the session key signed for another session, or another task.
    function test_aVoucherForSomethingElseCoversNothing() public {
        for (uint256 i = 0; i < 2; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.voucher.sessionId ^= bytes32(uint256(1));
            else record.voucher.taskId ^= bytes32(uint256(1));
            record.assignment.voucherHash = record.voucher.hash();
            record.receipt.body.assignmentHash = record.assignment.hash();
            _signAll(record);
            (Ack memory ack, bytes memory acked) = _ack(record);
            vm.warp(block.timestamp + W);
            vm.expectRevert(
                abi.encodeWithSelector(IForces.RecordFaulty.selector, ack.receiptHash, Fault.VOUCHER_FIELDS)
            );
            settlement.openForce(record, ack, acked, 0);
        }
    }

    function test_everyJudgeIsOfTheSameDeployment() public {
        address other = address(settlement);
        for (uint256 i = 0; i < 4; ++i) {
            (NodeJudge node, LeafJudge leaf, TreeJudge tree, RelayerJudge relayer) =
                (proofs.nodeJudge(), proofs.leafJudge(), proofs.treeJudge(), proofs.relayerJudge());
            _deployBooks();
            if (i != 0) node = new NodeJudge(settlement);
            if (i != 1) leaf = new LeafJudge(settlement, MINIMUM_PENALTY);
            if (i != 2) tree = new TreeJudge(settlement);
            if (i != 3) relayer = new RelayerJudge(settlement, board);
            // The address foretold for FraudProofs is five deployments behind the books: three judges are made, one is missing.
            new NodeJudge(settlement);
            vm.expectRevert(abi.encodeWithSelector(IFraudProofs.Miswired.selector, other));
            new FraudProofs(settlement, node, leaf, tree, relayer, CHALLENGE_BOND);
        }
    }

    /// @dev What a condemned batch cannot have held gets no more time through it.
    function test_aReceiptAckedAfterACondemnedBatchKeepsItsOwnTime() public {
        // The start of a period of maturity, so that the batch can be condemned as late as ever.
        uint48 from = uint48(START) + W;
        vm.warp(from);
        Posted memory posted = _postRows(_rows(_attempt(), _attempt()));
        Record memory record = _attempt();
        Ack memory ack = Ack(record.receipt.hash(), relayerId, 1, from + 1);
        bytes memory acked = _sign(SIGNER_KEY, ack.hash());
        _condemn(posted, from + 6 * W - 1);
        vm.warp(from + 8 * W + 2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IForces.ForceNotNow.selector, ack.ackedAt, from + 1 + W, from + 1 + 8 * W, block.timestamp
            )
        );
        settlement.openForce(record, ack, acked, posted.header.batchId);
        // Acked in the very second in which it was posted, it may have stood there.
        record = _attempt();
        ack = Ack(record.receipt.hash(), relayerId, 1, from);
        settlement.openForce(record, ack, _sign(SIGNER_KEY, ack.hash()), posted.header.batchId);
    }

    function test_aForceHoldsNoMoreThanTheLockStillHas() public {
        _settle(sessionId, LOCK - 100_000, LOCK - 100_000);
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.assertEq(settlement.forceOf(ack.receiptHash).held, 100_000, "held");
        vm.assertEq(escrow.sessionOf(sessionId).reserved, 100_000, "reserved");
    }

    // ---- helpers

    function _expectNotSettled(bytes32 receiptHash, Leaf memory leaf, SumProof memory proof) private {
        vm.expectRevert(
            abi.encodeWithSelector(IForces.LeafNotSettled.selector, relayerId, uint64(1), receipts.leafHash(leaf))
        );
        settlement.answerForce(receiptHash, 1, leaf, proof);
    }

    function _condemn(Posted memory posted, uint256 when) private {
        pay.mint(challenger, CHALLENGE_BOND);
        vm.startPrank(challenger);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        proofs.challengeData(relayerId, posted.header.batchId, 0);
        vm.stopPrank();
        vm.warp(when);
        proofs.condemn(relayerId, posted.header.batchId, 0);
    }

    function _one(uint32 node, uint256 key, uint96 change, uint96 cumulative)
        private
        view
        returns (Debit[] memory debits, Credit[] memory credits)
    {
        debits = new Debit[](1);
        uint96 spent = escrow.sessionOf(sessionId).charged;
        debits[0] = _debit(sessionId, 5, spent + 5);
        credits = new Credit[](1);
        credits[0] = _credit(node, key, change, cumulative);
    }

    function _expectSettlementRefused(Debit[] memory debits, Credit[] memory credits, bytes memory reason) private {
        BatchHeader memory header = _header(debits, credits);
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(reason);
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }
}
