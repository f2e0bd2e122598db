// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {AgreeableToken, HookToken, OddToken} from "../../contracts/mocks/OddTokens.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Twelve kinds of odd tokens as the pay token: what cannot be booked rightly is refused, and the rest lives a whole life.
/// @dev The deployment's own choice of token is immutable; these are what somebody might choose, or what a choice may turn into.
contract OddTokensTest is World {
    uint96 private constant DEPOSIT = 1_000e6;
    uint96 private constant CHARGE = 10_300_000;
    uint96 private constant FEE = 10_000_000;

    OddToken private token;

    function _makeTokens() internal override {
        token = new OddToken(6);
        pay = TideToken(address(token));
        stake = new TideToken("Test stake", "TIDE");
    }

    function _feesWaitForSeeds() internal pure override returns (bool) {
        return false;
    }

    // ---- tokens that lie about what they moved

    function test_01_feeOnTransfer() public {
        token.become(OddToken.Oddity.KEEPS_A_PART);
        _expectDepositRefused(abi.encodeWithSelector(IEscrow.WrongAmountReceived.selector, 100e6, 99e6));
    }

    function test_02_rebasingUp() public {
        token.rebase(20_000);
        _wholeLife();
        vm.assertEq(token.balanceOf(address(escrow)), DEPOSIT, "the surplus is nobody's");
    }

    /// @dev Nothing can be paid that is not there; what is booked stays booked, and is paid once the tokens are back.
    function test_02_rebasingDown() public {
        token.rebase(5_000);
        _expectWithdrawalRefused(
            DEPOSIT, abi.encodeWithSelector(OddToken.Insufficient.selector, address(escrow), DEPOSIT / 2, DEPOSIT)
        );
        _withdraw(DEPOSIT / 4, stranger);
        vm.assertEq(token.balanceOf(stranger), DEPOSIT / 4, "no more and no less than was asked for");
        token.mint(address(escrow), DEPOSIT / 2);
        _withdraw(DEPOSIT * 3 / 4, stranger);
        vm.assertEq(token.balanceOf(stranger), DEPOSIT, "whole");
    }

    function test_03_noReturnValue() public {
        token.become(OddToken.Oddity.RETURNS_NOTHING);
        _wholeLife();
    }

    function test_04_falseReturn() public {
        token.become(OddToken.Oddity.RETURNS_FALSE);
        bytes memory refused = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token));
        _expectDepositRefused(refused);
        _expectWithdrawalRefused(DEPOSIT, refused);
    }

    function test_05_revertOnZero() public {
        token.become(OddToken.Oddity.REVERTS_ON_ZERO);
        _wholeLife();
    }

    // ---- tokens that stop somebody

    function test_06_blacklistOfOne() public {
        token.setBlocked(payer, true);
        bytes memory blocked = abi.encodeWithSelector(OddToken.Blocked.selector, payer);
        vm.expectRevert(blocked);
        vm.prank(payer);
        escrow.withdraw(1e6, payer);
        _withdraw(1e6, stranger);
        vm.assertEq(token.balanceOf(stranger), 1e6, "to another address of the payer's choice");
        token.setBlocked(nodePayout, true);
        bytes32 id = _openSession(VOUCHER, 100e6);
        _settle(id, CHARGE, FEE);
        vm.warp(START + 7 * W);
        vm.expectRevert(abi.encodeWithSelector(OddToken.Blocked.selector, nodePayout));
        escrow.claimTab(relayerId, nodeId);
        vm.prank(nodeOwner);
        nodes.update(nodeId, _profileWith(address(0xFEED)), _none(), new bytes32[](0));
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "to the payout that the owner sets instead");
    }

    function test_06_blacklistOfTheEscrow() public {
        token.setBlocked(address(escrow), true);
        bytes memory blocked = abi.encodeWithSelector(OddToken.Blocked.selector, address(escrow));
        _expectDepositRefused(blocked);
        _expectWithdrawalRefused(DEPOSIT, blocked);
        token.setBlocked(address(escrow), false);
        _wholeLife();
    }

    function test_07_pausable() public {
        token.become(OddToken.Oddity.PAUSED);
        bytes memory paused = abi.encodeWithSelector(OddToken.Paused.selector);
        _expectDepositRefused(paused);
        _expectWithdrawalRefused(DEPOSIT, paused);
        // What moves no token goes on meanwhile: sessions, settlement, closing.
        bytes32 id = _openSession(VOUCHER, 100e6);
        _settle(id, CHARGE, FEE);
        vm.warp(START + 7 * W);
        vm.expectRevert(paused);
        escrow.claimTab(relayerId, nodeId);
        token.become(OddToken.Oddity.NONE);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "nothing was lost by waiting");
    }

    function test_08_hooks() public {
        HookToken hooks = new HookToken();
        token = OddToken(address(hooks));
        pay = TideToken(address(hooks));
        _deployBooks();
        nodeId = _registerNode(nodeOwner, HOT_KEY);
        _fund(payer, DEPOSIT);
        hooks.setHook(address(escrow), abi.encodeCall(IEscrow.withdraw, (1, stranger)));
        _withdraw(1e6, payer);
        bytes4 reason = bytes4(hooks.answer());
        vm.assertEq(bytes32(reason), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector), "shut");
        vm.assertEq(escrow.freeBalanceOf(payer), DEPOSIT - 1e6, "once");
    }

    // ---- tokens that lack something, or have it in another size

    function test_09_noPermit() public {
        token.mint(payer, 3);
        vm.startPrank(payer);
        token.approve(address(escrow), 3);
        escrow.depositWithPermit(3, block.timestamp, 27, 0, 0);
        vm.assertEq(escrow.freeBalanceOf(payer), DEPOSIT + 3, "the allowance serves");
        vm.expectRevert("");
        escrow.depositWithAuthorization(payer, 3, 0, block.timestamp + 1, 0, 27, 0, 0);
        vm.stopPrank();
        vm.assertEq(escrow.freeBalanceOf(payer), DEPOSIT + 3, "no authorization, no deposit");
    }

    /// @dev A fallback that says yes is no transfer: what counts is what arrived.
    function test_09_permitsThatAreAnsweredByAFallback() public {
        AgreeableToken yes = new AgreeableToken();
        pay = TideToken(address(yes));
        _deployBooks();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongAmountReceived.selector, 3, 0));
        escrow.depositWithAuthorization(payer, 3, 0, block.timestamp + 1, 0, 27, 0, 0);
    }

    /// @dev No amount is read as so many dollars anywhere: one unit and 10^24 of them live the same life.
    function test_10_decimals() public {
        uint8[3] memory decimals = [0, 6, 18];
        for (uint256 i = 0; i < decimals.length; ++i) {
            OddToken other = new OddToken(decimals[i]);
            pay = TideToken(address(other));
            _deployBooks();
            uint96 whole = uint96(7 * 10 ** (decimals[i] + 6));
            _fund(payer, whole);
            _fund(payer, 1);
            vm.prank(payer);
            escrow.withdraw(whole + 1, stranger);
            vm.assertEq(other.balanceOf(stranger), whole + 1, "to the unit");
        }
    }

    // ---- tokens that change, and tokens that answer too much

    function test_11_upgradeable() public {
        bytes32 id = _openSession(VOUCHER, 100e6);
        _settle(id, CHARGE, FEE);
        token.become(OddToken.Oddity.KEEPS_A_PART);
        _expectDepositRefused(abi.encodeWithSelector(IEscrow.WrongAmountReceived.selector, 100e6, 99e6));
        // A fee on the way out is the receiver's; the books of the others stay whole.
        _withdraw(100e6, stranger);
        vm.assertEq(token.balanceOf(stranger), 99e6, "less arrives");
        vm.assertEq(escrow.trackedBalance(), token.balanceOf(address(escrow)), "tracked = held");
        token.become(OddToken.Oddity.RETURNS_NOTHING);
        vm.warp(START + 7 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "the node's claim survives both upgrades");
    }

    /// @dev The bomb costs what it costs inside the token; none of it is copied.
    function test_12_returnBomb() public {
        token.become(OddToken.Oddity.RETURNS_MUCH);
        uint256 before = gasleft();
        _withdraw(1e6, stranger);
        // 331,776 for the token's own memory; to copy it would cost as much again.
        vm.assertLe(before - gasleft(), 500_000, "gas of one withdrawal");
        _withdrawRest();
    }

    // ---- helpers

    /// @dev Deposit, session, batch, claims, lock, withdrawal: everybody is paid to the unit and the books are empty.
    function _wholeLife() private {
        bytes32 id = _openSession(VOUCHER, 100e6);
        _settle(id, CHARGE, FEE);
        vm.prank(payer);
        escrow.closeSession(id);
        vm.warp(START + 15 * W);
        vm.assertEq(escrow.claimTab(relayerId, nodeId), FEE, "the node");
        vm.prank(relayerOwner);
        vm.assertEq(escrow.claimRelayerFee(relayerId, relayerOwner), CHARGE - FEE, "the relayer");
        escrow.releaseLock(id);
        _withdrawRest();
        vm.assertEq(token.balanceOf(nodePayout), FEE, "paid to the node");
        vm.assertEq(token.balanceOf(relayerOwner), CHARGE - FEE, "paid to the relayer");
        vm.assertEq(token.balanceOf(stranger), DEPOSIT - CHARGE, "paid back to the payer");
    }

    function _withdrawRest() private {
        _withdraw(escrow.freeBalanceOf(payer), stranger);
        vm.assertEq(escrow.trackedBalance(), 0, "the books are empty");
    }

    function _withdraw(uint96 amount, address to) private {
        vm.prank(payer);
        escrow.withdraw(amount, to);
    }

    function _expectDepositRefused(bytes memory reason) private {
        (uint256 tracked, uint256 free) = (escrow.trackedBalance(), escrow.freeBalanceOf(payer));
        token.mint(address(this), 100e6);
        token.approve(address(escrow), 100e6);
        vm.expectRevert(reason);
        escrow.depositFor(payer, 100e6);
        vm.assertEq(escrow.trackedBalance(), tracked, "nothing was booked");
        vm.assertEq(escrow.freeBalanceOf(payer), free, "nor credited");
    }

    function _expectWithdrawalRefused(uint96 amount, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(payer);
        escrow.withdraw(amount, stranger);
        vm.assertEq(escrow.freeBalanceOf(payer), amount, "still booked");
        vm.assertEq(IERC20(address(token)).balanceOf(stranger), 0, "nothing left");
    }
}
