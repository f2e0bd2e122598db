// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IInferenceRequests, Request, RequestState} from "../../contracts/interfaces/IInferenceRequests.sol";
import {GatewayMock} from "../../contracts/mocks/GatewayMock.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {vm} from "./support/Vm.sol";

/// @notice The stand-in that dApps test with: what it takes and gives back, as the gateway does.
contract GatewayMockTest {
    bytes32 private constant MODEL = keccak256("org/model@q4");
    uint96 private constant MAX_FEE = 5e6;
    uint96 private constant GAS_PAYMENT = 7;
    uint256 private constant START = 1_800_000_000;

    TideToken private pay;
    GatewayMock private gateway;
    address private asker = address(0xA5);
    address private other = address(0x07);

    function setUp() public {
        vm.warp(START);
        pay = new TideToken("Test dollar", "tUSD");
        gateway = new GatewayMock(pay);
        pay.mint(asker, 100e6);
        vm.deal(asker, 1 ether);
        vm.prank(asker);
        pay.approve(address(gateway), type(uint256).max);
    }

    function test_whatIsLeftOfAFeeComesBack() public {
        gateway.setPrice(2e6);
        (uint96 maxFee,) = gateway.quote(1, 1, MODEL, 10, 10, 0);
        vm.assertEq(maxFee, 2e6, "quoted");
        bytes32 id = _ask();
        vm.assertFalse(gateway.answer(id, "yes"), "no callback was asked for");
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.FULFILLED), "fulfilled");
        vm.assertEq(gateway.balanceOf(asker), MAX_FEE - 2e6, "the rest");
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceRequests.NotPending.selector, id, RequestState.FULFILLED)
        );
        gateway.answer(id, "again");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NotAccount.selector, asker, address(this), other));
        gateway.withdraw(asker, other);
        vm.prank(asker);
        vm.assertEq(gateway.withdraw(asker, other), MAX_FEE - 2e6, "paid");
        vm.assertEq(pay.balanceOf(other), MAX_FEE - 2e6, "to whom it said");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NothingToPay.selector));
        gateway.withdraw(asker, asker);
    }

    function test_aPriceAboveTheFeeTakesTheFee() public {
        gateway.setPrice(MAX_FEE + 1);
        gateway.answer(_ask(), "yes");
        vm.assertEq(gateway.balanceOf(asker), 0, "nothing is left");
    }

    function test_refundAfterTheDeadline() public {
        Request memory made = _next("");
        bytes32 id = _ask();
        vm.assertEq(gateway.requestIdOf(made), id, "the id is the hash of what was asked");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.DeadlineNotPassed.selector, id, made.deadline));
        gateway.refund(made);
        vm.warp(made.deadline + 1);
        gateway.refund(made);
        vm.assertEq(gateway.balanceOf(asker), MAX_FEE, "the fee");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NotPending.selector, id, RequestState.REFUNDED));
        gateway.refund(made);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NotAccount.selector, asker, address(this), other));
        gateway.withdrawGas(asker, payable(other));
        vm.assertEq(gateway.withdrawGas(asker, payable(asker)), GAS_PAYMENT, "the gas");
        vm.assertEq(asker.balance, 1 ether, "all of it");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NothingToPay.selector));
        gateway.withdrawGas(asker, payable(asker));
    }

    function test_promptsAndAnswersByUri() public {
        Request memory made = _next("");
        made.promptHash = keccak256("far away");
        vm.prank(asker);
        bytes32 id = gateway.requestByUri{value: GAS_PAYMENT}(
            MODEL, "ipfs://prompt", made.promptHash, 100, MAX_FEE, 0, made.deadline, 1
        );
        vm.assertEq(id, gateway.requestIdOf(made), "id");
        gateway.answerByUri(id, keccak256("commit"), "ipfs://answer");
        vm.assertEq(gateway.outputCommitOf(id), keccak256("commit"), "waits to be pulled");
    }

    function _next(bytes memory prompt) private view returns (Request memory) {
        return Request({
            requester: asker,
            relayerId: 1,
            modelId: MODEL,
            promptHash: keccak256(prompt),
            maxOutTokens: 100,
            maxFee: MAX_FEE,
            callbackGas: 0,
            gasPayment: GAS_PAYMENT,
            requestedAt: uint48(block.timestamp),
            deadline: uint48(START) + 1 hours,
            serial: 1
        });
    }

    function _ask() private returns (bytes32) {
        vm.prank(asker);
        return gateway.request{value: GAS_PAYMENT}(MODEL, "", 100, MAX_FEE, 0, uint48(START) + 1 hours, 1);
    }
}
