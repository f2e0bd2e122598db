// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {BondVault} from "../../contracts/BondVault.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {FraudProofs} from "../../contracts/FraudProofs.sol";
import {EscrowWiring} from "../../contracts/escrow/EscrowBase.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../contracts/fraud/TreeJudge.sol";
import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IBondVault, Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {ISaturationBoard} from "../../contracts/interfaces/ISaturationBoard.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Item} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {NodeRegistry} from "../../contracts/registry/NodeRegistry.sol";
import {RelayerRegistry} from "../../contracts/registry/RelayerRegistry.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {Refusal} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {Log, countOf, vm} from "./support/Vm.sol";

/// @notice Whose money a verdict reaches, and whose not: tabs, stakes and bonds at the ends of what can be asked of them.
contract BooksPenaltiesTest is Accusations {
    uint96 private constant ALL = type(uint96).max;

    // ---- stakes

    /// @dev Doubled without end, a penalty would leave the 256 bits that it is reckoned in, and the 255th offence would be free.
    function test_F3_refusingAllDayIsNeverFree() public {
        (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal) = _refused();
        for (uint256 i = 0; i < 254; ++i) {
            assignment.subtask = uint16(i);
            refusal.assignmentHash = assignment.hash();
            _prove(_f3(attestation, assignment, refusal));
        }
        _bond(Party.NODE, nodeId, STAKE);
        assignment.subtask = 254;
        refusal.assignmentHash = assignment.hash();
        _prove(_f3(attestation, assignment, refusal));
        vm.assertEq(vault.activeBondOf(Party.NODE, nodeId), 0, "the whole stake");
    }

    /// @dev A tenth of 50: one for the challenger, one for the harmed, the rest burned.
    function test_oneUnitForTheHarmedIsPaid() public {
        uint32 second = _addNode(0xB9);
        _bond(Party.NODE, second, 50);
        (SaturationAttestation memory one, SaturationAttestation memory other) = (_attested(), _attested());
        (one.nodeId, other.nodeId, other.slots) = (second, second, 7);
        _prove(_f1(one, 0xB9, other, 0xB9));
        vm.assertEq(proofs.owedTo(stake, challenger), 1, "the challenger's");
        vm.assertEq(proofs.owedTo(stake, relayerOwner), 1, "the harmed relayer's");
        vm.assertEq(proofs.toBurn(stake), 3, "the rest");
    }

    /// @dev What is on its way out still answers, and counts as much as what stays.
    function test_unbondingStakeCountsWhole() public {
        vm.prank(nodeOwner);
        vault.requestUnbond(Party.NODE, nodeId, STAKE * 3 / 4);
        (SaturationAttestation memory one, SaturationAttestation memory other) = (_attested(), _attested());
        other.slots = 7;
        _prove(_f1(one, HOT_KEY, other, HOT_KEY));
        vm.assertEq(vault.bondOf(Party.NODE, nodeId).active, STAKE / 4 - STAKE / 10, "a tenth of both");
        vm.assertEq(vault.bondOf(Party.NODE, nodeId).unbonding, STAKE * 3 / 4, "of what stays first");
    }

    // ---- tabs and leaves

    /// @dev A fault that is the node's, shown too late: the tab has been paid, and keeps that. Nobody sits for it.
    function test_F4_afterMaturityNoTabIsAsked() public {
        Posted memory posted = _postRows(_rows(_overstated(_attempt())));
        vm.warp(START + 6 * W);
        _prove(_f4(posted, 0));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 0, "from the tab");
        _assertPenalty(MINIMUM_PENALTY, payer, 0);
        vm.assertFalse(vault.isJailed(Party.RELAYER, relayerId), "no term is due for a leaf");
    }

    /// @dev Voided by another proof before: its charge has gone back, and neither the tab nor the bond gives it again.
    function test_F4_aLeafVoidedBeforeMovesNothingMore() public {
        Record memory record = _overstated(_attempt());
        Posted memory first = _postRows(_rows(record));
        Posted memory second = _postRows(_rows(record));
        _prove(_f7Two(first, 0, 1, second, 0, 2));
        _bond(Party.RELAYER, relayerId, BOND);
        bytes memory call = _f4(second, 0);
        vm.recordLogs();
        _prove(call);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IBondVault.Slashed.selector), 1, "the penalty alone");
        vm.assertEq(countOf(logs, IEscrow.CreditVoided.selector), 0, "of no tab and no fees");
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), BOND - MINIMUM_PENALTY, "the penalty");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 0, "the tab");
    }

    /// @dev The relayer's fault: its fees are asked, and no tab, not even for nothing.
    function test_F4_aRelayersFaultAsksItsFeesAlone() public {
        Record memory record = _attempt();
        record.assignment.feeBps = 600;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        bytes memory call = _f4(posted, 0);
        vm.recordLogs();
        _prove(call);
        vm.assertEq(countOf(vm.getRecordedLogs(), IEscrow.CreditVoided.selector), 1, "once");
        vm.assertEq(escrow.relayerAccountOf(relayerId).feesVoided, FEE * 6 / 100, "all of the fees");
    }

    /// @dev Two leaves of one tab, both of them taken back; then the batch falls, and the tab gives what is left of its credit.
    function test_F9_whatTwoProofsTookOfATabIsNotTakenAgain() public {
        _settle(sessionId, 11e6, 10e6);
        Row[] memory rows = new Row[](3);
        (rows[0], rows[1], rows[2]) = (_row(_overstated(_attempt())), _row(_overstated(_attempt())), _row(_attempt()));
        Posted memory posted = _postRows(rows);
        for (uint256 i = 0; i < 3; ++i) {
            if (posted.bySession[i].leaf.fee != FEE) _prove(_f4(posted, i));
        }
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, 2 * FEE + 2, "two leaves");
        pay.mint(challenger, CHALLENGE_BOND);
        vm.startPrank(challenger);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        proofs.challengeData(relayerId, 2, 0);
        vm.stopPrank();
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 2, 0);
        Item[] memory credits = new Item[](1);
        credits[0] = Item(bytes32(uint256(nodeId)), posted.header.totalCredit);
        proofs.voidEntries(posted.header, false, _whole(credits));
        bytes32 pot = keccak256(abi.encode("F9", relayerId, uint64(2)));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NothingVoided.selector, pot));
        proofs.voidEntries(posted.header, false, _whole(credits));
        vm.assertEq(escrow.tabOf(relayerId, nodeId).voidedEarned, posted.header.totalCredit, "the batch's credit, once");
    }

    // ---- the greatest amounts

    /// @dev Refund and extra together leave 96 bits: all that the bond has is due, not what is left of the sum beyond them.
    function test_F5_anExcessOfHalfOf96BitsTakesTheBond() public {
        _expectBondDue(2 ** 95);
    }

    function test_F5_anExcessOf96BitsTakesTheBond() public {
        _expectBondDue(ALL);
    }

    // ---- wiring

    function test_fraudProofsRefuseAnEscrowThatNamesAnother() public {
        (NodeJudge nodeJudge, LeafJudge leafJudge) = (proofs.nodeJudge(), proofs.leafJudge());
        (TreeJudge treeJudge, RelayerJudge relayerJudge) = (proofs.treeJudge(), proofs.relayerJudge());
        uint64 nonce = vm.getNonce(address(this));
        address foretold = vm.computeCreateAddress(address(this), nonce + 4);
        NodeRegistry ownNodes = new NodeRegistry(foretold);
        RelayerRegistry ownRelayers = new RelayerRegistry(foretold);
        address own = vm.computeCreateAddress(address(this), nonce + 5);
        BondVault ownVault = new BondVault(stake, pay, ownNodes, ownRelayers, own, W, SLOT_STAKE);
        EscrowWiring memory wiring;
        (wiring.payToken, wiring.nodeRegistry, wiring.relayerRegistry, wiring.bondVault) = (pay, ownNodes, ownRelayers, ownVault);
        (wiring.batchSettlement, wiring.fraudProofs, wiring.windowSeconds, wiring.leverage) = (foretold, stranger, W, LEVERAGE);
        wiring.saturationBoard = ISaturationBoard(address(0));
        BatchSettlement ownSettlement = new BatchSettlement(new Escrow(wiring));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.Miswired.selector, stranger));
        new FraudProofs(ownSettlement, nodeJudge, leafJudge, treeJudge, relayerJudge, CHALLENGE_BOND);
    }

    // ---- helpers

    /// @dev The node has signed one unit more than its work is worth.
    function _overstated(Record memory record) private view returns (Record memory) {
        record.receipt.body.fee += 1;
        record.receipt.nodeCumulative += 1;
        _seal(record);
        return record;
    }

    /// @dev All that 96 bits hold is in one session, and so much of it is debited without a leaf: the only one is another's.
    function _expectBondDue(uint96 amount) private {
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        _fund(payer, ALL - 1_000e6);
        _bond(Party.RELAYER, relayerId, ALL / 4);
        bytes32 id = _openSession(VOUCHER, ALL);
        SpendingAuthorization memory other = _authorization(VOUCHER, LOCK);
        do ++other.salt; while (other.hash() < id);
        Row[] memory rows = _rows(_attemptOf(nodeId, other));
        (rows[0].leaf.charge, rows[0].leaf.fee) = (amount, amount);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, amount, amount);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, amount, amount);
        Posted memory posted = _postChanges(rows, rows, debits, credits);
        _prove(_f5(posted, debits, Tree.SESSION, id, true, _only(posted, Tree.SESSION, 0), false));
        vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), 0, "all of the bond");
        vm.assertEq(proofs.owedTo(pay, payer), uint256(ALL / 4) + BOND, "to whom it was taken from");
    }
}
