// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {EscrowBase, EscrowWiring} from "../../contracts/escrow/EscrowBase.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {FeeToken, HookToken} from "../../contracts/mocks/OddTokens.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Authorizations} from "./support/Authorizations.sol";
import {vm} from "./support/Vm.sol";

/// @notice Tokens in and out of free balances.
contract DepositsTest is Authorizations {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    uint96 private constant AMOUNT = 7e6;

    function test_onlyTheDeployerMintsTestTokens() public {
        vm.expectRevert(abi.encodeWithSelector(TideToken.NotMinter.selector, stranger));
        vm.prank(stranger);
        pay.mint(stranger, 1);
    }

    function test_depositCreditsTheCaller() public {
        _give(stranger, AMOUNT);
        vm.startPrank(stranger);
        pay.approve(address(escrow), AMOUNT);
        vm.expectEmit(address(escrow));
        emit IEscrow.Deposited(stranger, stranger, AMOUNT);
        escrow.deposit(AMOUNT);
        vm.stopPrank();
        vm.assertEq(escrow.freeBalanceOf(stranger), AMOUNT, "free balance");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "tracked");
    }

    function test_depositForCreditsTheOther() public {
        _give(stranger, AMOUNT);
        vm.startPrank(stranger);
        pay.approve(address(escrow), AMOUNT);
        vm.expectEmit(address(escrow));
        emit IEscrow.Deposited(nodeOwner, stranger, AMOUNT);
        escrow.depositFor(nodeOwner, AMOUNT);
        vm.stopPrank();
        vm.assertEq(escrow.freeBalanceOf(nodeOwner), AMOUNT, "free balance");
        vm.assertEq(escrow.freeBalanceOf(stranger), 0, "not the sender's");
    }

    function test_withdrawPaysOut() public {
        vm.expectEmit(address(escrow));
        emit IEscrow.Withdrawn(payer, stranger, AMOUNT);
        vm.prank(payer);
        escrow.withdraw(AMOUNT, stranger);
        vm.assertEq(pay.balanceOf(stranger), AMOUNT, "paid");
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 - AMOUNT, "rest");
        vm.assertEq(escrow.trackedBalance(), 1_000e6 - AMOUNT, "tracked");
    }

    function test_refusals() public {
        vm.startPrank(payer);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.InsufficientBalance.selector, payer, uint96(1_000e6), uint96(1_000e6 + 1))
        );
        escrow.withdraw(1_000e6 + 1, payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        escrow.withdraw(0, payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
        escrow.withdraw(1, address(0));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        escrow.deposit(0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
        escrow.depositFor(address(0), 1);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(escrow), 0, AMOUNT)
        );
        escrow.deposit(AMOUNT);
        vm.stopPrank();
    }

    function test_allBooksTogetherStayIn96Bits() public {
        uint96 rest = type(uint96).max - 1_000e6;
        _fund(stranger, rest);
        _give(stranger, 1);
        vm.startPrank(stranger);
        pay.approve(address(escrow), 1);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.AmountTooLarge.selector, uint256(2) ** 96, uint256(type(uint96).max))
        );
        escrow.deposit(1);
        vm.stopPrank();
    }

    function test_permitInOneCall() public {
        (uint8 v, bytes32 r, bytes32 s) = _permit(AMOUNT, START + 1);
        _give(payer, AMOUNT);
        vm.prank(payer);
        escrow.depositWithPermit(AMOUNT, START + 1, v, r, s);
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 + AMOUNT, "free balance");
    }

    /// @dev Whoever sees the permit in the mempool can use it up, and gains nothing.
    function test_permitUsedByAnotherFirst() public {
        (uint8 v, bytes32 r, bytes32 s) = _permit(AMOUNT, START + 1);
        _give(payer, AMOUNT);
        vm.prank(stranger);
        pay.permit(payer, address(escrow), AMOUNT, START + 1, v, r, s);
        vm.prank(payer);
        escrow.depositWithPermit(AMOUNT, START + 1, v, r, s);
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 + AMOUNT, "free balance");
    }

    function test_badPermitWithoutAllowanceIsRefused() public {
        _give(payer, AMOUNT);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(escrow), 0, AMOUNT)
        );
        vm.prank(payer);
        escrow.depositWithPermit(AMOUNT, START + 1, 27, bytes32(uint256(1)), bytes32(uint256(1)));
    }

    /// @dev Anyone may send it: it is credited to its signer, whoever that is.
    function test_authorizationCreditsItsSigner() public {
        _give(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _receiveAuthorization("nonce");
        vm.expectEmit(address(escrow));
        emit IEscrow.AuthorizationDeposited(payer, "nonce");
        vm.prank(stranger);
        escrow.depositWithAuthorization(payer, AMOUNT, 0, START + 1, "nonce", v, r, s);
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 + AMOUNT, "free balance");
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, bytes32("nonce")));
        escrow.depositWithAuthorization(payer, AMOUNT, 0, START + 1, "nonce", v, r, s);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector));
        escrow.depositWithAuthorization(stranger, AMOUNT, 0, START + 1, "nonce", v, r, s);
    }

    function test_depositAndOpenInOneCall() public {
        vm.prank(payer);
        escrow.withdraw(1_000e6, payer);
        (uint8 v, bytes32 r, bytes32 s) = _permit(AMOUNT, START + 1);
        SpendingAuthorization memory authorization = _authorization(VOUCHER, AMOUNT);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IEscrow.depositWithPermit, (AMOUNT, START + 1, v, r, s));
        calls[1] = abi.encodeCall(IEscrow.openSession, (authorization, _sign(PAYER_KEY, authorization.hash())));
        vm.prank(payer);
        escrow.multicall(calls);
        vm.assertEq(escrow.sessionOf(authorization.hash()).lock, AMOUNT, "lock");
    }

    function test_feeOnTransferIsRefused() public {
        FeeToken token = new FeeToken();
        Escrow odd = _escrowOf(IERC20(address(token)));
        token.mint(payer, AMOUNT);
        vm.startPrank(payer);
        token.approve(address(odd), AMOUNT);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.WrongAmountReceived.selector, uint256(AMOUNT), uint256(AMOUNT) * 99 / 100)
        );
        odd.deposit(AMOUNT);
        vm.stopPrank();
    }

    /// @dev A token with hooks re-enters while the first withdrawal is under way; every door that moves tokens is shut.
    function test_reentryIsRefused() public {
        HookToken token = new HookToken();
        Escrow odd = _escrowOf(IERC20(address(token)));
        token.mint(payer, AMOUNT);
        vm.startPrank(payer);
        token.approve(address(odd), AMOUNT);
        odd.deposit(AMOUNT);
        bytes[] memory doors = new bytes[](7);
        doors[0] = abi.encodeCall(IEscrow.withdraw, (1, payer));
        doors[1] = abi.encodeCall(IEscrow.deposit, (1));
        doors[2] = abi.encodeCall(IEscrow.depositFor, (payer, 1));
        doors[3] = abi.encodeCall(IEscrow.depositWithPermit, (1, 0, 0, 0, 0));
        doors[4] = abi.encodeCall(IEscrow.depositWithAuthorization, (payer, 1, 0, 0, 0, 0, 0, 0));
        doors[5] = abi.encodeCall(IEscrow.claimTab, (relayerId, nodeId));
        doors[6] = abi.encodeCall(IEscrow.claimRelayerFee, (relayerId, payer));
        for (uint256 i = 0; i < doors.length; ++i) {
            token.setHook(address(odd), doors[i]);
            odd.withdraw(1, payer);
            bytes4 reason = bytes4(token.answer());
            vm.assertEq(
                bytes32(reason), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector), "a door was open"
            );
        }
        vm.stopPrank();
        vm.assertEq(odd.freeBalanceOf(payer), AMOUNT - doors.length, "each withdrawal once");
    }

    function test_constructorBounds() public {
        EscrowWiring memory wiring = _wiring(IERC20(address(pay)), address(0));
        wiring.leverage = 6;
        vm.expectRevert(abi.encodeWithSelector(EscrowBase.LeverageOutOfRange.selector, uint8(6), uint8(5)));
        new Escrow(wiring);
        wiring.leverage = 0;
        vm.expectRevert(abi.encodeWithSelector(EscrowBase.LeverageOutOfRange.selector, uint8(0), uint8(5)));
        new Escrow(wiring);
        wiring.leverage = 1;
        wiring.windowSeconds = 0;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        new Escrow(wiring);
    }

    function testFuzz_inAndOutAgain(uint96 amount, uint96 part) public {
        amount = uint96(1 + amount % 1e20);
        part = uint96(1 + part % amount);
        _fund(stranger, amount);
        vm.prank(stranger);
        escrow.withdraw(part, stranger);
        vm.assertEq(pay.balanceOf(stranger), part, "out");
        vm.assertEq(escrow.freeBalanceOf(stranger), amount - part, "in");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "tracked");
    }

    function _give(address to, uint96 amount) private {
        pay.mint(to, amount);
    }

    function _permit(uint96 amount, uint256 deadline) private view returns (uint8, bytes32, bytes32) {
        bytes32 hash = keccak256(abi.encode(PERMIT_TYPEHASH, payer, address(escrow), amount, pay.nonces(payer), deadline));
        return _signForToken(PAYER_KEY, hash);
    }

    function _receiveAuthorization(bytes32 nonce) private view returns (uint8, bytes32, bytes32) {
        return _authorize(RECEIVE_TYPEHASH, PAYER_KEY, address(escrow), AMOUNT, nonce);
    }

    function _escrowOf(IERC20 token) private returns (Escrow) {
        return new Escrow(_wiring(token, address(0)));
    }
}
