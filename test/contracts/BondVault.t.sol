// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BondVault} from "../../contracts/BondVault.sol";
import {Bond, IBondVault, Party} from "../../contracts/interfaces/IBondVault.sol";
import {FeeToken} from "../../contracts/mocks/OddTokens.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Stakes and bonds: in, waiting, out, slashed, jailed.
contract BondVaultTest is World {
    uint96 private constant STAKE = 5 * SLOT_STAKE + 1;

    function setUp() public override {
        super.setUp();
        _bond(Party.NODE, nodeId, STAKE);
    }

    function test_eachPartyBondsInItsToken() public view {
        vm.assertEq(stake.balanceOf(address(vault)), STAKE, "nodes stake the stake token");
        vm.assertEq(pay.balanceOf(address(vault)), 10_000e6, "relayers bond the pay token");
        vm.assertEq(vault.totalBonded(Party.NODE), STAKE, "nodes' books");
        vm.assertEq(vault.totalBonded(Party.RELAYER), 10_000e6, "relayers' books");
        vm.assertEq(vault.slotsOf(nodeId), 5, "whole slots only");
    }

    function test_anyoneAddsToAnyBond() public {
        stake.mint(stranger, 7);
        vm.startPrank(stranger);
        stake.approve(address(vault), 7);
        vm.expectEmit(address(vault));
        emit IBondVault.Bonded(Party.NODE, nodeId, stranger, 7);
        vault.bond(Party.NODE, nodeId, 7);
        vm.stopPrank();
        vm.assertEq(vault.activeBondOf(Party.NODE, nodeId), STAKE + 7, "active");
    }

    function test_bondBounds() public {
        vm.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.bond(Party.NODE, nodeId, 0);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.UnknownParty.selector, Party.NODE, uint32(99)));
        vault.bond(Party.NODE, 99, 1);
        uint256 total = uint256(STAKE) + type(uint96).max;
        vm.expectRevert(abi.encodeWithSelector(IBondVault.AmountTooLarge.selector, total, uint256(type(uint96).max)));
        vault.bond(Party.NODE, nodeId, type(uint96).max);
    }

    function test_unbondingTakes14WindowsForNodesAnd21ForRelayers() public {
        vm.prank(nodeOwner);
        vm.expectEmit(address(vault));
        emit IBondVault.UnbondRequested(Party.NODE, nodeId, SLOT_STAKE, uint48(START) + 14 * W);
        vault.requestUnbond(Party.NODE, nodeId, SLOT_STAKE);
        vm.prank(relayerOwner);
        vault.requestUnbond(Party.RELAYER, relayerId, 1e6);
        Bond memory bond = vault.bondOf(Party.NODE, nodeId);
        vm.assertEq(bond.active, STAKE - SLOT_STAKE, "active");
        vm.assertEq(bond.unbonding, SLOT_STAKE, "unbonding");
        vm.assertEq(vault.slotsOf(nodeId), 4, "what unbonds backs no slot");
        vm.warp(START + 14 * W - 1);
        _expectNotWithdrawn(Party.NODE, nodeId, nodeOwner, START + 14 * W);
        vm.warp(START + 14 * W);
        vm.prank(nodeOwner);
        vm.expectEmit(address(vault));
        emit IBondVault.BondWithdrawn(Party.NODE, nodeId, stranger, SLOT_STAKE);
        vault.withdraw(Party.NODE, nodeId, stranger);
        vm.assertEq(stake.balanceOf(stranger), SLOT_STAKE, "paid");
        vm.warp(START + 21 * W - 1);
        _expectNotWithdrawn(Party.RELAYER, relayerId, relayerOwner, START + 21 * W);
        vm.warp(START + 21 * W);
        vm.prank(relayerOwner);
        vault.withdraw(Party.RELAYER, relayerId, stranger);
        vm.assertEq(pay.balanceOf(stranger), 1e6, "paid in the pay token");
        vm.assertEq(vault.totalBonded(Party.RELAYER), 10_000e6 - 1e6, "books");
    }

    function test_anotherRequestStartsTheDelayAnew() public {
        vm.startPrank(nodeOwner);
        vault.requestUnbond(Party.NODE, nodeId, 1);
        vm.warp(START + 10 * W);
        vault.requestUnbond(Party.NODE, nodeId, 2);
        vm.stopPrank();
        vm.warp(START + 14 * W);
        _expectNotWithdrawn(Party.NODE, nodeId, nodeOwner, START + 24 * W);
        vm.warp(START + 24 * W);
        vm.prank(nodeOwner);
        vault.withdraw(Party.NODE, nodeId, stranger);
        vm.assertEq(stake.balanceOf(stranger), 3, "both");
    }

    function test_onlyTheOwnerTakesOut() public {
        bytes memory reason = abi.encodeWithSelector(IBondVault.NotOwner.selector, Party.NODE, nodeId, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        vault.requestUnbond(Party.NODE, nodeId, 1);
        vm.expectRevert(reason);
        vault.withdraw(Party.NODE, nodeId, stranger);
        vm.stopPrank();
        vm.startPrank(nodeOwner);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        vault.requestUnbond(Party.NODE, nodeId, 0);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.BondTooSmall.selector, Party.NODE, nodeId, STAKE, STAKE + 1));
        vault.requestUnbond(Party.NODE, nodeId, STAKE + 1);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.NothingUnbonding.selector, Party.NODE, nodeId));
        vault.withdraw(Party.NODE, nodeId, nodeOwner);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAddress.selector));
        vault.withdraw(Party.NODE, nodeId, address(0));
        vm.stopPrank();
    }

    /// @dev Also while it unbonds, and after its delay, until the transaction that takes it out.
    function test_stakeIsSlashableUntilWithdrawn() public {
        vm.prank(nodeOwner);
        vault.requestUnbond(Party.NODE, nodeId, SLOT_STAKE);
        vm.warp(START + 20 * W);
        vm.prank(fraudProofs);
        vm.expectEmit(address(vault));
        emit IBondVault.Slashed(Party.NODE, nodeId, fraudProofs, STAKE);
        vm.assertEq(vault.slash(Party.NODE, nodeId, type(uint96).max, fraudProofs), STAKE, "no more than the whole bond");
        vm.assertEq(stake.balanceOf(fraudProofs), STAKE, "handed over");
        vm.expectRevert(abi.encodeWithSelector(IBondVault.NothingUnbonding.selector, Party.NODE, nodeId));
        vm.prank(nodeOwner);
        vault.withdraw(Party.NODE, nodeId, nodeOwner);
        vm.assertEq(vault.totalBonded(Party.NODE), 0, "books");
    }

    function test_onlyFraudProofsSlashAndJail() public {
        bytes memory reason = abi.encodeWithSelector(IBondVault.NotFraudProofs.selector, guardian);
        vm.startPrank(guardian);
        vm.expectRevert(reason);
        vault.slash(Party.NODE, nodeId, 1, guardian);
        vm.expectRevert(reason);
        vault.jail(Party.NODE, nodeId, type(uint48).max);
        vm.stopPrank();
    }

    function test_jailTakesTheSlotsForItsTerm() public {
        vm.startPrank(fraudProofs);
        vm.expectEmit(address(vault));
        emit IBondVault.Jailed(Party.NODE, nodeId, uint48(START + 100));
        vault.jail(Party.NODE, nodeId, uint48(START + 100));
        vault.jail(Party.NODE, nodeId, uint48(START + 50));
        vm.stopPrank();
        vm.assertTrue(vault.isJailed(Party.NODE, nodeId), "jailed");
        vm.assertEq(vault.slotsOf(nodeId), 0, "no slots");
        vm.warp(START + 99);
        vm.assertTrue(vault.isJailed(Party.NODE, nodeId), "a shorter term changes nothing");
        vm.warp(START + 100);
        vm.assertFalse(vault.isJailed(Party.NODE, nodeId), "free");
        vm.assertEq(vault.slotsOf(nodeId), 5, "slots again");
    }

    function test_feeOnTransferIsRefused() public {
        FeeToken token = new FeeToken();
        BondVault odd = new BondVault(IERC20(address(token)), pay, nodes, relayers, fraudProofs, W, SLOT_STAKE);
        token.mint(address(this), 100);
        token.approve(address(odd), 100);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.WrongAmountReceived.selector, uint256(100), uint256(99)));
        odd.bond(Party.NODE, nodeId, 100);
    }

    function test_constructorBounds() public {
        vm.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        new BondVault(stake, pay, nodes, relayers, fraudProofs, 0, SLOT_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IBondVault.ZeroAmount.selector));
        new BondVault(stake, pay, nodes, relayers, fraudProofs, W, 0);
    }

    function testFuzz_slashTakesActiveFirstAndNeverMoreThanThereIs(uint96 unbonding, uint96 amount) public {
        unbonding = uint96(1 + unbonding % STAKE);
        amount = uint96(amount % (2 * STAKE));
        vm.prank(nodeOwner);
        vault.requestUnbond(Party.NODE, nodeId, unbonding);
        vm.prank(fraudProofs);
        uint96 taken = vault.slash(Party.NODE, nodeId, amount, fraudProofs);
        vm.assertEq(taken, amount < STAKE ? amount : STAKE, "taken");
        Bond memory bond = vault.bondOf(Party.NODE, nodeId);
        vm.assertEq(uint256(bond.active) + bond.unbonding, STAKE - taken, "left");
        vm.assertTrue(bond.active == 0 || bond.unbonding == unbonding, "active first");
        vm.assertEq(vault.totalBonded(Party.NODE), stake.balanceOf(address(vault)), "books and tokens");
    }

    function _expectNotWithdrawn(Party party, uint32 id, address owner, uint256 at) private {
        vm.expectRevert(abi.encodeWithSelector(IBondVault.StillUnbonding.selector, party, id, uint48(at)));
        vm.prank(owner);
        vault.withdraw(party, id, owner);
    }
}
