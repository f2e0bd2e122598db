// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {DepositBox} from "../../contracts/deposits/DepositBox.sol";
import {DepositBoxes} from "../../contracts/deposits/DepositBoxes.sol";
import {IDepositBoxes} from "../../contracts/interfaces/IDepositBoxes.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {HookToken} from "../../contracts/mocks/OddTokens.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {Authorizations} from "./support/Authorizations.sol";
import {vm} from "./support/Vm.sol";

/// @notice What reaches a payer's box is credited to that payer: once, whoever submits what first, and to nobody else.
contract DepositBoxesTest is Authorizations {
    uint96 private constant AMOUNT = 7e6;
    uint96 private constant BEFORE = 1_000e6;
    uint256 private constant OTHER_KEY = 0xA7;

    address private other = vm.addr(OTHER_KEY);
    DepositBoxes private boxes;

    function setUp() public override {
        super.setUp();
        boxes = new DepositBoxes(escrow);
    }

    function test_authorizationSubmittedHere() public {
        pay.mint(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(PAYER_KEY, AMOUNT, "n");
        address box = boxes.boxOf(payer);
        vm.assertEq(box.code.length, 0, "no code before");
        vm.expectEmit(address(boxes));
        emit IDepositBoxes.BoxOpened(payer, box);
        vm.expectEmit(address(escrow));
        emit IEscrow.Deposited(payer, address(boxes), AMOUNT);
        vm.expectEmit(address(boxes));
        emit IDepositBoxes.Collected(payer, box, AMOUNT);
        vm.prank(stranger);
        vm.assertEq(boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s), AMOUNT, "answer");
        _expectFree(payer, BEFORE + AMOUNT);
        vm.assertEq(boxes.boxOf(payer), box, "the same address with code");
        vm.assertTrue(box.code.length > 0, "code after");
    }

    /// @dev x402's facilitator submits it to the token itself; so can whoever sees it in the mempool.
    function test_authorizationSubmittedByAnotherFirst() public {
        pay.mint(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(PAYER_KEY, AMOUNT, "n");
        vm.prank(stranger);
        pay.transferWithAuthorization(payer, boxes.boxOf(payer), AMOUNT, 0, START + 1, "n", v, r, s);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        _expectFree(payer, BEFORE + AMOUNT);
        vm.assertEq(escrow.freeBalanceOf(stranger), 0, "nothing for who submitted it");
        // Neither the same nor a simple collection credits it again.
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        _expectEmpty(payer);
        boxes.collect(payer);
    }

    function test_submittedAndCollectedByAnotherFirst() public {
        pay.mint(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(PAYER_KEY, AMOUNT, "n");
        vm.startPrank(stranger);
        pay.transferWithAuthorization(payer, boxes.boxOf(payer), AMOUNT, 0, START + 1, "n", v, r, s);
        boxes.collect(payer);
        vm.stopPrank();
        _expectFree(payer, BEFORE + AMOUNT);
    }

    /// @dev The attack that a signature alone would allow: sign, cancel, then claim what another's authorization brought.
    function test_cancelledAuthorizationIsWorthNothing() public {
        pay.mint(payer, AMOUNT);
        pay.mint(other, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(OTHER_KEY, AMOUNT, "victim");
        pay.transferWithAuthorization(other, boxes.boxOf(other), AMOUNT, 0, START + 1, "victim", v, r, s);
        (v, r, s) = _cancel(PAYER_KEY, "n");
        pay.cancelAuthorization(payer, "n", v, r, s);
        vm.assertTrue(pay.authorizationState(payer, "n"), "used, as the token says");
        (v, r, s) = _transfer(PAYER_KEY, AMOUNT, "n");
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        boxes.collect(other);
        _expectFree(payer, BEFORE);
        _expectFree(other, AMOUNT);
    }

    function test_badAuthorizationsBringNothing() public {
        pay.mint(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(PAYER_KEY, AMOUNT, "n");
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT + 1, 0, START + 1, "n", v, r, s);
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "m", v, r, s);
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", 0, r, s);
        // Another's name over this signature, and this signature after its time.
        _expectEmpty(other);
        boxes.collectWithAuthorization(other, AMOUNT, 0, START + 1, "n", v, r, s);
        vm.warp(START + 1);
        _expectEmpty(payer);
        boxes.collectWithAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        vm.assertEq(pay.balanceOf(payer), AMOUNT, "still the payer's");
    }

    /// @dev The token itself takes it for no other address than the one that was signed.
    function test_signatureForTheBoxMovesNothingElsewhere() public {
        pay.mint(payer, AMOUNT);
        (uint8 v, bytes32 r, bytes32 s) = _transfer(PAYER_KEY, AMOUNT, "n");
        address box = boxes.boxOf(other);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector));
        pay.transferWithAuthorization(payer, box, AMOUNT, 0, START + 1, "n", v, r, s);
    }

    function test_plainTransfersAreCreditedWhole() public {
        pay.mint(boxes.boxOf(other), AMOUNT);
        pay.mint(boxes.boxOf(other), 1);
        vm.prank(stranger);
        vm.assertEq(boxes.collect(other), AMOUNT + 1, "all that lay there");
        pay.mint(boxes.boxOf(other), 5);
        boxes.collect(other);
        _expectFree(other, AMOUNT + 6);
        vm.assertEq(pay.balanceOf(address(boxes)), 0, "nothing stays");
    }

    function test_onlyThePayerTakesOut() public {
        address box = boxes.boxOf(payer);
        TideToken mistaken = new TideToken("Another", "ANO");
        mistaken.mint(box, 3);
        pay.mint(box, AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(IDepositBoxes.BoxIsEmpty.selector, stranger, boxes.boxOf(stranger)));
        vm.prank(stranger);
        boxes.takeOut(pay, stranger);
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(IDepositBoxes.NoAddress.selector));
        boxes.takeOut(pay, address(0));
        vm.expectEmit(address(boxes));
        emit IDepositBoxes.TakenOut(payer, IERC20(address(mistaken)), stranger, 3);
        boxes.takeOut(mistaken, stranger);
        vm.assertEq(boxes.takeOut(pay, payer), AMOUNT, "answer");
        vm.stopPrank();
        vm.assertEq(mistaken.balanceOf(stranger), 3, "the other token");
        vm.assertEq(pay.balanceOf(payer), AMOUNT, "the pay token");
        _expectFree(payer, BEFORE);
    }

    function test_aBoxOpensToItsMakerOnly() public {
        DepositBox box = DepositBox(boxes.boxOf(payer));
        pay.mint(address(box), AMOUNT);
        boxes.collect(payer);
        pay.mint(address(box), AMOUNT);
        for (uint256 i = 0; i < 2; ++i) {
            address caller = i == 0 ? stranger : payer;
            vm.expectRevert(abi.encodeWithSelector(DepositBox.NotDepositBoxes.selector, caller));
            vm.prank(caller);
            box.hand(pay, caller, AMOUNT);
        }
    }

    function test_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(IDepositBoxes.NoAddress.selector));
        boxes.boxOf(address(0));
        vm.expectRevert(abi.encodeWithSelector(IDepositBoxes.NoAddress.selector));
        boxes.collect(address(0));
        _expectEmpty(payer);
        boxes.collect(payer);
    }

    /// @dev What the books cannot hold stays the payer's: in its box, from where it can be taken out.
    function test_moreThanTheBooksHold() public {
        address box = boxes.boxOf(other);
        pay.mint(box, uint256(type(uint96).max) + 9);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.AmountTooLarge.selector, uint256(type(uint96).max) + BEFORE, uint256(type(uint96).max)
            )
        );
        boxes.collect(other);
        vm.prank(payer);
        escrow.withdraw(BEFORE, payer);
        vm.assertEq(boxes.collect(other), type(uint96).max, "as much as the books hold");
        vm.assertEq(pay.balanceOf(box), 9, "the rest waits");
        vm.prank(other);
        vm.assertEq(boxes.takeOut(pay, other), 9, "or is taken out");
    }

    function test_reentryCreditsOnce() public {
        HookToken token = new HookToken();
        Escrow odd = new Escrow(_wiring(IERC20(address(token)), address(0)));
        DepositBoxes oddBoxes = new DepositBoxes(odd);
        bytes[] memory doors = new bytes[](2);
        doors[0] = abi.encodeCall(IDepositBoxes.collect, (payer));
        doors[1] = abi.encodeCall(IDepositBoxes.takeOut, (IERC20(address(token)), stranger));
        for (uint256 i = 0; i < doors.length; ++i) {
            token.mint(oddBoxes.boxOf(payer), AMOUNT);
            token.setHook(address(oddBoxes), doors[i]);
            oddBoxes.collect(payer);
            vm.assertEq(
                bytes32(bytes4(token.answer())), bytes32(IDepositBoxes.BoxIsEmpty.selector), "nothing was left to take"
            );
        }
        vm.assertEq(odd.freeBalanceOf(payer), 2 * AMOUNT, "each once");
        vm.assertEq(odd.trackedBalance(), token.balanceOf(address(odd)), "tracked");
    }

    /// @notice Twelve acts in any order, by two payers and a stranger: each payer has in the end, free or in its box or its
    /// wallet, what it had at first, and nobody has another's.
    function testFuzz_nobodysDepositBecomesAnothers(uint256 seed) public {
        pay.mint(payer, 100e6);
        pay.mint(other, 100e6);
        for (uint256 i = 0; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            _act(seed % 6, (seed >> 8) % 2 == 0 ? PAYER_KEY : OTHER_KEY, uint96(1 + (seed >> 16) % 5e6), bytes32(seed % 5));
        }
        vm.assertEq(_wealth(payer), BEFORE + 100e6, "payer");
        vm.assertEq(_wealth(other), 100e6, "the other payer");
        vm.assertEq(_wealth(stranger), 0, "the stranger");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "tracked");
    }

    function _act(uint256 act, uint256 key, uint96 amount, bytes32 nonce) private {
        address who = vm.addr(key);
        address box = boxes.boxOf(who);
        (uint8 v, bytes32 r, bytes32 s) = act == 2 ? _cancel(key, nonce) : _transfer(key, amount, nonce);
        vm.prank(act == 3 || act == 5 ? who : stranger);
        if (act == 0) try pay.transferWithAuthorization(who, box, amount, 0, START + 1, nonce, v, r, s) {} catch {}
        else if (act == 1) try boxes.collectWithAuthorization(who, amount, 0, START + 1, nonce, v, r, s) {} catch {}
        else if (act == 2) try pay.cancelAuthorization(who, nonce, v, r, s) {} catch {}
        else if (act == 3) pay.transfer(box, amount);
        else if (act == 4) try boxes.collect(who) {} catch {}
        else try boxes.takeOut(pay, who) {} catch {}
    }

    function _wealth(address who) private view returns (uint256) {
        return escrow.freeBalanceOf(who) + pay.balanceOf(boxes.boxOf(who)) + pay.balanceOf(who);
    }

    function _expectFree(address who, uint256 amount) private view {
        vm.assertEq(escrow.freeBalanceOf(who), amount, "free balance");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "tracked");
    }

    function _expectEmpty(address who) private {
        vm.expectRevert(abi.encodeWithSelector(IDepositBoxes.BoxIsEmpty.selector, who, boxes.boxOf(who)));
    }

    function _transfer(uint256 key, uint96 amount, bytes32 nonce) private view returns (uint8, bytes32, bytes32) {
        return _authorize(TRANSFER_TYPEHASH, key, boxes.boxOf(vm.addr(key)), amount, nonce);
    }
}
