// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {BondVault} from "../../contracts/BondVault.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {EscrowWiring} from "../../contracts/escrow/EscrowBase.sol";
import {Credit, Debit, IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, Session} from "../../contracts/interfaces/IEscrow.sol";
import {ISaturationBoard} from "../../contracts/interfaces/ISaturationBoard.sol";
import {Fees} from "../../contracts/libraries/Fees.sol";
import {Items} from "../../contracts/libraries/Items.sol";
import {NodeRegistry} from "../../contracts/registry/NodeRegistry.sol";
import {RelayerRegistry} from "../../contracts/registry/RelayerRegistry.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Batches} from "./support/Batches.sol";
import {vm} from "./support/Vm.sol";

/// @notice The books at their ends: the longest list, the shortest period, the most that 96 bits hold, and what they were wired to.
contract BooksEscrowTest is Batches {
    uint96 private constant ALL = type(uint96).max;
    uint96 private constant HALF = 2 ** 95;

    // ---- wiring

    function test_theEscrowNamesWhatItWasToldOfAllThatSurroundsIt() public {
        EscrowWiring memory wiring = EscrowWiring({
            payToken: pay,
            nodeRegistry: nodes,
            relayerRegistry: relayers,
            bondVault: vault,
            batchSettlement: address(0xE1),
            saturationBoard: ISaturationBoard(address(0xE2)),
            fraudProofs: address(0xE3),
            inferenceGateway: address(0xE4),
            transferProofs: address(0xE6),
            guardian: address(0xE5),
            windowSeconds: 7,
            leverage: 3
        });
        Escrow own = new Escrow(wiring);
        vm.assertEq(
            keccak256(
                abi.encode(
                    own.payToken(), own.nodeRegistry(), own.relayerRegistry(), own.bondVault(), own.batchSettlement(),
                    own.saturationBoard(), own.fraudProofs(), own.inferenceGateway(), own.transferProofs(), own.guardian(),
                    own.windowSeconds(), own.leverage()
                )
            ),
            keccak256(abi.encode(wiring)),
            "to the last address"
        );
    }

    /// @dev Each of the three that a batch is checked against: one that names another deployment is refused.
    function test_noRegistryOfAnotherDeployment() public {
        for (uint256 i = 0; i < 3; ++i) {
            address foretold = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 4);
            NodeRegistry ownNodes = new NodeRegistry(i == 0 ? stranger : foretold);
            RelayerRegistry ownRelayers = new RelayerRegistry(i == 1 ? stranger : foretold);
            BondVault ownVault = new BondVault(stake, pay, ownNodes, ownRelayers, fraudProofs, W, SLOT_STAKE);
            Escrow own = new Escrow(
                EscrowWiring({
                    payToken: pay,
                    nodeRegistry: ownNodes,
                    relayerRegistry: ownRelayers,
                    bondVault: ownVault,
                    batchSettlement: i == 2 ? stranger : foretold,
                    saturationBoard: ISaturationBoard(address(0)),
                    fraudProofs: fraudProofs,
                    inferenceGateway: address(0),
                    transferProofs: address(0),
                    guardian: guardian,
                    windowSeconds: W,
                    leverage: LEVERAGE
                })
            );
            address wrong = i == 0 ? address(ownNodes) : i == 1 ? address(ownRelayers) : address(own);
            vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.Miswired.selector, wrong, stranger));
            new BatchSettlement(own);
        }
    }

    // ---- batches

    /// @dev 500 are read, and refused for what is wrong with the first of them.
    function test_fiveHundredItemsAreNotTooMany() public {
        Debit[] memory debits = new Debit[](499);
        Credit[] memory credits = new Credit[](1);
        _expectRefused(
            _header(debits, credits), debits, credits,
            abi.encodeWithSelector(IEscrow.ItemsNotAscending.selector, uint256(0), uint256(0))
        );
    }

    function test_aPeriodMayBeOneSecond() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        header.periodStart = header.periodEnd;
        _post(header, debits, credits);
        vm.assertEq(escrow.sessionOf(sessionId).charged, CHARGE, "settled");
    }

    /// @dev Node 2 at relayer 1: which number is whose shows.
    function test_whatIsCreditedAndClaimedNamesRelayerAndNode() public {
        uint32 second = _registerNode(nodeOwner, 0xB2);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, 5, 5);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(second, 0xB2, 5, 5);
        BatchHeader memory header = _header(debits, credits);
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectEmit(address(escrow));
        emit IEscrow.TabCredited(relayerId, second, 5);
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
        vm.warp(START + 6 * W);
        vm.expectEmit(address(escrow));
        emit IEscrow.TabClaimed(relayerId, second, nodePayout, 5);
        escrow.claimTab(relayerId, second);
    }

    /// @dev Two whole periods without another fee: all that there was has matured, and the account says so.
    function test_theAccountSaysWhichFeesHaveMatured() public {
        _settle(sessionId, 1_100_000, 1_000_000);
        vm.assertEq(escrow.relayerAccountOf(relayerId).feesMatured, 0, "not yet");
        vm.warp(START + 14 * W);
        vm.assertEq(escrow.relayerAccountOf(relayerId).feesMatured, 100_000, "all");
    }

    /// @dev The bond has fallen below what it should back: nothing more can be debited, and that can be read.
    function test_aFallenBondBacksNothingMore() public {
        _settle(sessionId, 1_100_000, 1_000_000);
        vm.prank(fraudProofs);
        vault.slash(Party.RELAYER, relayerId, ALL, stranger);
        vm.assertEq(escrow.debitCapacityOf(relayerId), 0, "none");
    }

    /// @dev What a proof opens is groups of 16 and what is left, whatever the length of the list.
    function test_aListIsHashedInGroupsOfSixteen() public pure {
        uint8[6] memory counts = [0, 1, 16, 17, 32, 40];
        for (uint256 i = 0; i < counts.length; ++i) {
            bytes memory list = Items.room(counts[i]);
            bytes memory groups;
            bytes memory group;
            for (uint256 j = 0; j < counts[i]; ++j) {
                Items.put(list, j, 10 * j, 1_000 + j);
                group = abi.encodePacked(group, 10 * j, 1_000 + j);
                if (j % 16 != 15 && j + 1 != counts[i]) continue;
                groups = abi.encodePacked(groups, keccak256(group));
                group = "";
            }
            vm.assertEq(Items.hash(list), keccak256(groups), "the hash of the hashes of its groups");
        }
    }

    /// @dev Where a fee one greater would exceed the cap by the least that can be, and this one fills it.
    function test_theGreatestFeeWithinACapIsFoundToTheUnit() public pure {
        vm.assertEq(Fees.feeWithinDown(9_999, 1), 9_999, "the greatest");
        vm.assertEq(Fees.chargeDown(9_999, 1), 9_999, "within the cap");
        vm.assertEq(Fees.chargeDown(10_000, 1), 10_001, "the next one is not");
    }

    // ---- sessions

    function test_whatWasNeverOpenedIsNotClosing() public view {
        vm.assertEq(escrow.closingSince("no"), 0, "since never");
    }

    /// @dev The greatest allowance fills its bucket within 96 bits.
    function test_theGreatestAllowanceOpens() public {
        SpendingAuthorization memory own = _authorization(ALLOWANCE, LOCK);
        (own.salt, own.maxPerDay, own.validAfter) = (51, ALL / 2, uint48(START - 5));
        Session memory session = escrow.sessionOf(_open(own));
        vm.assertEq(session.bucketLevel, ALL - 1, "twice a day's");
        vm.assertEq(session.validAfter, START - 5, "what was signed is kept");
    }

    /// @dev All that 96 bits hold is locked. Half of it is charged, voided and thereby locked again, and then all of it is forced:
    /// what was charged and forced in all no longer fits 96 bits, what is spent, earned and paid does.
    function test_totalsOfALifeMayLeave96Bits() public {
        _bond(Party.RELAYER, relayerId, HALF / 2);
        vm.assertEq(escrow.debitCapacityOf(relayerId), 5 * (uint256(HALF / 2) + 10_000e6), "five times the bond");
        _fund(payer, ALL - 1_000e6);
        bytes32 id = _openSession(VOUCHER, escrow.freeBalanceOf(payer));
        _settle(id, HALF, HALF);
        vm.startPrank(fraudProofs);
        vm.assertEq(escrow.voidCredit("pot", relayerId, nodeId, HALF), HALF, "taken from the tab");
        vm.assertEq(escrow.voidDebit("pot", id, HALF), HALF, "given to the lock");
        vm.stopPrank();
        uint96 lock = escrow.sessionOf(id).lock;
        vm.startPrank(address(settlement));
        vm.assertEq(escrow.holdForForce(id, lock, lock), lock, "held");
        vm.assertEq(escrow.payForce(id, nodeId, lock, lock), lock, "paid");
        vm.stopPrank();
        vm.warp(START + 6 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), lock, "what was earned, less what was voided");
        vm.assertEq(escrow.claimableTab(relayerId, nodeId), 0, "once");
        vm.prank(fraudProofs);
        vm.assertEq(escrow.voidCredit("pot", relayerId, nodeId, 1), 0, "nothing is left to void");
        vm.prank(payer);
        escrow.closeSession(id);
        vm.warp(START + 9 * W);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingToRelease.selector, id));
        escrow.releaseLock(id);
    }
}
