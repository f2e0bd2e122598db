// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {InferenceConsumer} from "../../contracts/examples/InferenceConsumer.sol";
import {Oracle} from "../../contracts/examples/Oracle.sol";
import {Fulfilment} from "../../contracts/interfaces/IInferenceGateway.sol";
import {Request} from "../../contracts/interfaces/IInferenceRequests.sol";
import {GatewayMock} from "../../contracts/mocks/GatewayMock.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice The example dApp on the gateway itself, and on the mock that a dApp's own tests would use.
contract ConsumersTest is GatewayWorld {
    uint32 private constant ENOUGH = 100_000;
    uint32 private constant TOO_LITTLE = 3_000;

    function test_askedAndAnswered() public {
        (Oracle oracle, Request memory made, bytes32 id) = _asked(ENOUGH);
        vm.expectEmit(address(oracle));
        emit Oracle.Answered(id, string(OUTPUT), "");
        gateway.fulfil(_answer(made));
        oracle.collect(stranger);
        vm.assertEq(pay.balanceOf(stranger), MAX_FEE - CHARGE, "the rest is the keeper's");
    }

    function test_aFailedCallbackIsPulled() public {
        (Oracle oracle, Request memory made, bytes32 id) = _asked(TOO_LITTLE);
        Fulfilment memory answer = _answer(made);
        bytes32 from = answer.assignment.hash();
        bytes32 computed = answer.receipt.outputCommit;
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.WrongOutput.selector, id, computed, bytes32(0)));
        oracle.pullAnswer(made, from, OUTPUT);
        gateway.fulfil(answer);
        bytes32 lie = keccak256(abi.encodePacked(keccak256(abi.encodePacked(id, from)), "lies"));
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.WrongOutput.selector, id, lie, computed));
        oracle.pullAnswer(made, from, "lies");
        vm.expectEmit(address(oracle));
        emit Oracle.Answered(id, string(OUTPUT), "");
        vm.prank(stranger);
        oracle.pullAnswer(made, from, OUTPUT);
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.PulledAlready.selector, id));
        oracle.pullAnswer(made, from, OUTPUT);
    }

    function test_anAnswerThatWasHandedOverIsNotPulled() public {
        (Oracle oracle, Request memory made, bytes32 id) = _asked(ENOUGH);
        Fulfilment memory answer = _answer(made);
        gateway.fulfil(answer);
        bytes32 computed = answer.receipt.outputCommit;
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.WrongOutput.selector, id, computed, bytes32(0)));
        oracle.pullAnswer(made, answer.assignment.hash(), OUTPUT);
    }

    function test_anotherContractsAnswerIsNotPulled() public {
        (Oracle oracle,,) = _asked(ENOUGH);
        (Request memory made, bytes32 id) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        gateway.fulfil(answer);
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.NotAskedHere.selector, id, payer));
        oracle.pullAnswer(made, answer.assignment.hash(), OUTPUT);
    }

    function test_aLongAnswerIsToldFirstAndHandedInLater() public {
        (Oracle oracle, Request memory made, bytes32 id) = _asked(ENOUGH);
        Fulfilment memory answer = _answer(made);
        bytes memory long = new bytes(5_000);
        answer.output = long;
        _refresh(answer);
        (answer.output, answer.uri) = ("", "ipfs://answer");
        vm.expectEmit(address(oracle));
        emit Oracle.Answered(id, "", "ipfs://answer");
        gateway.fulfil(answer);
        vm.expectEmit(address(oracle));
        emit Oracle.Answered(id, string(long), "");
        oracle.pullAnswer(made, answer.assignment.hash(), long);
    }

    function test_onlyTheGatewayCallsBack() public {
        (Oracle oracle,, bytes32 id) = _asked(ENOUGH);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(InferenceConsumer.NotGateway.selector, stranger));
        oracle.onInference(id, "lies", 0, "");
    }

    function test_refundsComeBackToTheKeeper() public {
        (Oracle oracle, Request memory made,) = _asked(ENOUGH);
        vm.warp(made.deadline + 1);
        gateway.refund(made);
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Oracle.NotKeeper.selector, stranger));
        oracle.collect(stranger);
        vm.expectRevert(abi.encodeWithSelector(Oracle.NotKeeper.selector, stranger));
        oracle.collectGas(payable(stranger));
        vm.stopPrank();
        oracle.collect(stranger);
        oracle.collectGas(payable(stranger));
        vm.assertEq(pay.balanceOf(stranger), MAX_FEE, "tokens");
        vm.assertEq(stranger.balance, GAS_PAYMENT, "coin");
    }

    function test_theMockAnswersAsTheGatewayDoes() public {
        GatewayMock mock = new GatewayMock(pay);
        mock.setPrice(CHARGE);
        Oracle oracle = new Oracle(mock, _terms(ENOUGH));
        bytes32 id = _askOf(oracle);
        vm.expectEmit(address(oracle));
        emit Oracle.Answered(id, string(OUTPUT), "");
        vm.assertTrue(mock.answer(id, OUTPUT), "called");
        vm.assertEq(mock.balanceOf(address(oracle)), MAX_FEE - CHARGE, "rest");

        oracle = new Oracle(mock, _terms(TOO_LITTLE));
        Request memory made = _next(address(oracle), relayerId, TOO_LITTLE);
        made.serial = 2;
        id = _askOf(oracle);
        vm.assertEq(id, mock.requestIdOf(made), "id");
        vm.assertFalse(mock.answer(id, OUTPUT), "on the gas that was asked for");
        oracle.pullAnswer(made, mock.ASSIGNMENT_HASH(), OUTPUT);
    }

    function _asked(uint32 callbackGas) private returns (Oracle oracle, Request memory made, bytes32 id) {
        oracle = new Oracle(gateway, _terms(callbackGas));
        made = _next(address(oracle), relayerId, callbackGas);
        id = _askOf(oracle);
        vm.assertEq(id, gateway.requestIdOf(made), "id");
    }

    function _askOf(Oracle oracle) private returns (bytes32 id) {
        vm.startPrank(payer);
        pay.approve(address(oracle), MAX_FEE);
        id = oracle.ask{value: GAS_PAYMENT}(string(PROMPT));
        vm.stopPrank();
    }

    function _terms(uint32 callbackGas) private view returns (InferenceConsumer.Terms memory) {
        return InferenceConsumer.Terms({
            modelId: MODEL,
            maxOutTokens: OUT_TOKENS,
            maxFee: MAX_FEE,
            callbackGas: callbackGas,
            lifetimeSeconds: 1 hours,
            relayerId: relayerId
        });
    }
}
