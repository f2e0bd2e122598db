// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {RequestState} from "../../contracts/interfaces/IInferenceRequests.sol";
import {GatewayActors} from "./support/GatewayActors.sol";
import {vm} from "./support/Vm.sol";

/// @notice What holds of the gateway after every act. Numbers are those of the protocol's invariants.
contract GatewayInvariantsTest is GatewayActors {
    struct Act {
        bytes4 selector;
        bytes32 name;
        /// How many of its calls really act, in the run with fixed draws; the others find nothing to act on.
        uint256 percentLeast;
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        Act[] memory acts = _acts();
        bytes4[] memory selectors = new bytes4[](acts.length);
        for (uint256 i = 0; i < acts.length; ++i) selectors[i] = acts[i].selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(this), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function invariant_everythingHolds() public {
        vm.warp(time);
        vm.assertEq(bytes(breach).length, 0, breach);
        _I1_booksAreWhatIsHeld();
        _I12_statesAreThoseOfTheActs();
        _I13_I7_sumsAreThoseOfTheAnswers();
        _I18_maturity();
    }

    function _I1_booksAreWhatIsHeld() private view {
        uint256 pending;
        for (uint256 i = 0; i < asked.length; ++i) {
            if (expected[gateway.requestIdOf(asked[i])] == RequestState.PENDING) ++pending;
        }
        address[] memory accounts = new address[](CONSUMERS + 2);
        for (uint256 i = 0; i < CONSUMERS; ++i) accounts[i] = address(consumers[i]);
        (accounts[CONSUMERS], accounts[CONSUMERS + 1]) = (stranger, NOBODY);
        uint256 booked = _owed(accounts) + pending * MAX_FEE + heldBack;
        vm.assertEq(booked, pay.balanceOf(address(gateway)), "all books together = token balance");
        uint256 coins = gateway.gasBalanceOf(poster) + pending * GAS_PAYMENT;
        for (uint256 i = 0; i < CONSUMERS; ++i) coins += gateway.gasBalanceOf(address(consumers[i]));
        vm.assertEq(coins, address(gateway).balance, "all gas payments together = coin balance");
    }

    function _I12_statesAreThoseOfTheActs() private view {
        for (uint256 i = 0; i < asked.length; ++i) {
            bytes32 id = gateway.requestIdOf(asked[i]);
            vm.assertEq(uint256(gateway.stateOf(id)), uint256(expected[id]), "state");
            bool isKept = gateway.outputCommitOf(id) != 0;
            bool isAnswered = expected[id] == RequestState.FULFILLED;
            if (asked[i].callbackGas == 0) vm.assertTrue(isKept == isAnswered, "a commitment where there is an answer");
            else vm.assertTrue(isAnswered || !isKept, "no commitment without an answer");
        }
    }

    function _I13_I7_sumsAreThoseOfTheAnswers() private view {
        vm.assertEq(gateway.nodeAccountOf(nodeId).earned, earnedInAll, "the node earned its answers' fees");
        vm.assertEq(gateway.relayerAccountOf(relayerId).fees, relayerFees, "the relayer its parts");
    }

    function _I18_maturity() private view {
        uint256 matured = gateway.nodeAccountOf(nodeId).matured;
        vm.assertLe(matured, earnedBefore(block.timestamp - 3 * W), "nothing younger than 3 W");
        vm.assertGe(matured, earnedBefore(block.timestamp - 6 * W), "everything older than 6 W");
    }

    /// @dev The acts must really happen, or the invariants say nothing: one long run with fixed draws, the same every time.
    function test_everyActHappensOftenEnough() public {
        Act[] memory acts = _acts();
        for (uint256 i = 0; i < 600; ++i) {
            Act memory next = acts[uint256(keccak256(abi.encode("act", i))) % acts.length];
            bytes memory draws = abi.encode(keccak256(abi.encode("a", i)), keccak256(abi.encode("b", i)));
            (bool ok,) = address(this).call(bytes.concat(next.selector, draws));
            vm.assertTrue(ok, "an act reverted");
        }
        for (uint256 i = 0; i < acts.length; ++i) {
            uint256 percent = 100 * done[acts[i].name] / tried[acts[i].name];
            vm.assertGe(percent, acts[i].percentLeast, string(abi.encodePacked(acts[i].name)));
        }
        invariant_everythingHolds();
    }

    function _acts() private pure returns (Act[] memory acts) {
        acts = new Act[](13);
        acts[0] = Act(GatewayActors.ask.selector, "ask", 100);
        acts[1] = Act(GatewayActors.commit.selector, "commit", 10);
        acts[2] = Act(GatewayActors.fulfil.selector, "fulfil", 10);
        acts[3] = Act(GatewayActors.refund.selector, "refund", 5);
        acts[4] = Act(GatewayActors.forfeit.selector, "forfeit", 5);
        acts[5] = Act(GatewayActors.claimNode.selector, "claimNode", 4);
        acts[6] = Act(GatewayActors.withdraw.selector, "withdraw", 15);
        acts[7] = Act(GatewayActors.withdrawGas.selector, "withdrawGas", 15);
        acts[8] = Act(GatewayActors.replay.selector, "replay", 80);
        acts[9] = Act(GatewayActors.forge.selector, "forge", 80);
        acts[10] = Act(GatewayActors.pass.selector, "pass", 100);
        // More than once: asking, answering in time, and time itself are what all of this is about.
        acts[11] = acts[0];
        acts[12] = acts[2];
    }
}
