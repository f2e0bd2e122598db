// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Fulfilment, IInferenceGateway} from "../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../../contracts/interfaces/IInferenceRequests.sol";
import {HostileConsumer} from "../../contracts/mocks/HostileConsumers.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice Whatever a callback does: the answer is delivered, every amount is what it would have been, no door opens (I13, I19).
contract GatewayCallbacksTest is GatewayWorld {
    uint32 private constant GAS = 300_000;

    HostileConsumer private consumer;

    function setUp() public override {
        super.setUp();
        consumer = new HostileConsumer();
        pay.mint(address(consumer), 1_000e6);
    }

    function test_aCallbackIsMade() public {
        _deliver(HostileConsumer.Manner.BEHAVE, GAS, true);
        vm.assertEq(consumer.calls(), 1, "once");
    }

    function test_revert() public {
        _deliver(HostileConsumer.Manner.REVERT, GAS, false);
    }

    /// @dev No byte of the answer is copied, so a bomb costs its maker only.
    function test_revertBomb() public {
        _deliver(HostileConsumer.Manner.REVERT_WITH_A_MEGABYTE, 500_000, false);
    }

    function test_returnBomb() public {
        uint256 plain = _gasOf(HostileConsumer.Manner.BURN_GAS, 500_000);
        uint256 bomb = _gasOf(HostileConsumer.Manner.RETURN_A_MEGABYTE, 500_000);
        vm.assertLe(bomb, plain, "a bomb costs no more than the callback's own gas");
    }

    function test_burntGas() public {
        _deliver(HostileConsumer.Manner.BURN_GAS, GAS, false);
        _deliver(HostileConsumer.Manner.INVALID, GAS, false);
    }

    function test_selfDestruct() public {
        _deliver(HostileConsumer.Manner.SELF_DESTRUCT, GAS, true);
    }

    function test_noCode() public {
        vm.deal(stranger, 1 ether);
        _equip(stranger, MAX_FEE);
        (Request memory made, bytes32 id) = _ask(stranger, relayerId, GAS);
        _expectFailedCallback(id, stranger, _answer(made), true);
        _checkPaid(stranger, 0, 1);
    }

    function test_noCallbackWasAskedFor() public {
        consumer.prepare(HostileConsumer.Manner.REVERT, "");
        _deliver(HostileConsumer.Manner.REVERT, 0, true);
        vm.assertEq(consumer.calls(), 0, "not called");
    }

    /// @dev I19: each door of the gateway, from within a callback.
    function test_everyDoorIsShutMeanwhile() public {
        (Request memory other,) = _ask(payer, relayerId, 0);
        Fulfilment memory otherAnswer = _answer(other);
        Request memory none;
        bytes[] memory doors = new bytes[](12);
        doors[0] = abi.encodeCall(IInferenceGateway.fulfil, (otherAnswer));
        doors[1] = abi.encodeCall(IInferenceRequests.refund, (other));
        doors[2] = abi.encodeCall(IInferenceRequests.withdraw, (address(consumer), address(consumer)));
        doors[3] = abi.encodeCall(IInferenceRequests.withdrawGas, (poster, payable(poster)));
        doors[4] = abi.encodeCall(IInferenceGateway.claimNode, (nodeId));
        doors[5] = abi.encodeCall(IInferenceGateway.claimRelayerFee, (relayerId, relayerOwner));
        doors[6] = abi.encodeCall(IInferenceGateway.commit, (bytes32(0), relayerId, SALT));
        doors[7] = abi.encodeCall(IInferenceGateway.forfeit, (none, relayerId));
        doors[8] = abi.encodeCall(IInferenceGateway.bondCommits, (relayerId, 1));
        doors[9] = abi.encodeCall(IInferenceGateway.withdrawCommitBond, (relayerId, 1, relayerOwner));
        doors[10] = abi.encodeCall(IInferenceRequests.request, (MODEL, PROMPT, 1, 1, 0, uint48(START) + 1, 0));
        doors[11] =
            abi.encodeCall(IInferenceRequests.requestByUri, (MODEL, "ipfs://x", SALT, 1, 1, 0, uint48(START) + 1, 0));
        bytes memory shut = abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        for (uint256 i = 0; i < doors.length; ++i) {
            consumer.prepare(HostileConsumer.Manner.REENTER, doors[i]);
            (Request memory made,) = _askAs(500_000);
            gateway.fulfil(_answer(made));
            vm.assertTrue(consumer.isDoorShut(), "a door opened");
            vm.assertEq(keccak256(consumer.reason()), keccak256(shut), "shut by the guard");
        }
        vm.assertEq(consumer.calls(), doors.length, "every callback ran to its end");
    }

    /// @dev EIP-150: the callback gets all of its gas or the delivery reverts; the deliverer cannot starve it.
    function testFuzz_allOrNothing(uint256 gasGiven, uint32 callbackGas) public {
        callbackGas = 70_000 + callbackGas % 430_001;
        gasGiven = 150_000 + gasGiven % 800_000;
        consumer.prepare(HostileConsumer.Manner.COUNT_GAS, "");
        (Request memory made, bytes32 id) = _askAs(callbackGas);
        Fulfilment memory answer = _answer(made);
        (bool done,) = address(gateway).call{gas: gasGiven}(abi.encodeCall(IInferenceGateway.fulfil, (answer)));
        if (!done) {
            vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.PENDING), "nothing happened");
            return;
        }
        // Entering the function costs a little before it can look.
        vm.assertGe(consumer.gasGot() + 1_000, callbackGas, "exactly its gas");
        vm.assertLe(consumer.gasGot(), callbackGas, "and no more");
    }

    function test_enoughGasIsAskedForByName() public {
        (Request memory made,) = _askAs(500_000);
        Fulfilment memory answer = _answer(made);
        (bool done, bytes memory reason) =
            address(gateway).call{gas: 620_000}(abi.encodeCall(IInferenceGateway.fulfil, (answer)));
        vm.assertFalse(done, "too little");
        uint256 needed = 507_936 + 32_000;
        (uint256 available,) = abi.decode(_arguments(reason), (uint256, uint256));
        bytes memory expected = abi.encodeWithSelector(IInferenceGateway.GasTooLow.selector, available, needed);
        vm.assertEq(keccak256(reason), keccak256(expected), "said so");
        vm.assertLe(available + 1, needed, "available");
    }

    // ---- helpers

    function _askAs(uint32 callbackGas) private returns (Request memory made, bytes32 id) {
        made = _next(address(consumer), relayerId, callbackGas);
        vm.deal(address(this), GAS_PAYMENT);
        id = consumer.ask{value: GAS_PAYMENT}(
            gateway, MODEL, PROMPT, OUT_TOKENS, MAX_FEE, callbackGas, made.deadline, relayerId
        );
    }

    function _deliver(HostileConsumer.Manner manner, uint32 callbackGas, bool succeeds) private {
        consumer.prepare(manner, "");
        (Request memory made, bytes32 id) = _askAs(callbackGas);
        uint96 had = gateway.balanceOf(address(consumer));
        uint256 nth = gateway.nodeAccountOf(nodeId).earned / FEE + 1;
        _expectFailedCallback(id, address(consumer), _answer(made), !succeeds);
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.FULFILLED), "delivered");
        _checkPaid(address(consumer), had, nth);
    }

    function _expectFailedCallback(bytes32 id, address requester, Fulfilment memory answer, bool fails) private {
        if (fails) {
            vm.expectEmit(address(gateway));
            emit IInferenceGateway.CallbackFailed(id, requester, answer.receipt.outputCommit);
        }
        gateway.fulfil(answer);
        bool isKept = fails || answer.request.callbackGas == 0;
        vm.assertEq(gateway.outputCommitOf(id), isKept ? answer.receipt.outputCommit : bytes32(0), "kept for a pull");
    }

    function _checkPaid(address requester, uint96 had, uint256 nth) private view {
        vm.assertEq(gateway.balanceOf(requester) - had, MAX_FEE - CHARGE, "rest");
        vm.assertEq(gateway.nodeAccountOf(nodeId).earned, nth * FEE, "the node's");
        vm.assertEq(gateway.relayerAccountOf(relayerId).fees, nth * (CHARGE - FEE), "the relayer's");
        vm.assertEq(gateway.gasBalanceOf(poster), nth * GAS_PAYMENT, "gas");
    }

    function _gasOf(HostileConsumer.Manner manner, uint32 callbackGas) private returns (uint256) {
        consumer.prepare(manner, "");
        (Request memory made,) = _askAs(callbackGas);
        Fulfilment memory answer = _answer(made);
        uint256 before = gasleft();
        gateway.fulfil(answer);
        return before - gasleft();
    }

    function _arguments(bytes memory reason) private pure returns (bytes memory arguments) {
        arguments = new bytes(reason.length - 4);
        for (uint256 i = 4; i < reason.length; ++i) arguments[i - 4] = reason[i];
    }
}
