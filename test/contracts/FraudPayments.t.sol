// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {FraudProofs} from "../../contracts/FraudProofs.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../contracts/fraud/TreeJudge.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice How proofs are announced, and how what they take is paid and burned.
contract FraudPaymentsTest is Trials {
    function setUp() public override {
        super.setUp();
        pay.mint(challenger, 100 * CHALLENGE_BOND);
        vm.prank(challenger);
        pay.approve(fraudProofs, type(uint256).max);
    }

    // ---- announcing

    function test_proofsAreAnnouncedTwoBlocksBeforeByTheirSender() public {
        (bytes memory call, bytes32 commitment) = _anyProof(challenger);
        vm.roll(50);
        _expectNotAnnounced(call, challenger, commitment, 0);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.Announced(commitment);
        proofs.announce(commitment);
        vm.roll(51);
        _expectNotAnnounced(call, challenger, commitment, 50);
        // Announcing again puts nothing off.
        proofs.announce(commitment);
        vm.roll(52);
        (, bytes32 copied) = _anyProof(stranger);
        _expectNotAnnounced(call, stranger, copied, 0);
        vm.prank(challenger);
        (bool ok, bytes memory answer) = fraudProofs.call(call);
        // It has come as far as the judge.
        vm.assertFalse(ok, "nothing wrong");
        vm.assertEq(bytes4(answer), IFraudErrors.BatchUnknown.selector, "judged");
    }

    function test_aBitOfAnAnnouncedCallChangedIsAnotherCall() public {
        (bytes memory call, bytes32 commitment) = _anyProof(challenger);
        vm.roll(50);
        proofs.announce(commitment);
        vm.roll(60);
        call[call.length - 1] ^= 0x01;
        bytes32 other = keccak256(abi.encode(challenger, keccak256(call)));
        _expectNotAnnounced(call, challenger, other, 0);
    }

    // ---- payments

    function test_rewardsArePulledAndTheRestIsBurned() public {
        _postRows(_tasks(1));
        _challenge(0);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 1, 0);
        uint256 owed = CHALLENGE_BOND + BOND * 3 / 10;
        vm.prank(challenger);
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.Claimed(IERC20(address(pay)), challenger, stranger, owed);
        proofs.claim(pay, stranger);
        vm.assertEq(pay.balanceOf(stranger), owed, "paid");
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NothingOwed.selector, pay, challenger));
        vm.prank(challenger);
        proofs.claim(pay, stranger);
        uint256 burned = BOND - BOND * 3 / 10;
        vm.expectEmit(fraudProofs);
        emit IFraudProofs.Burned(IERC20(address(pay)), burned);
        proofs.burn(pay);
        vm.assertEq(pay.balanceOf(address(0xdEaD)), burned, "where nobody can spend it");
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NothingOwed.selector, pay, address(0xdEaD)));
        proofs.burn(pay);
        vm.assertEq(pay.balanceOf(fraudProofs), 0, "nothing is left");
    }

    // ---- wiring

    function test_refusesToBeAnywhereElse() public {
        NodeJudge nodeJudge = new NodeJudge(settlement);
        LeafJudge leafJudge = new LeafJudge(settlement, MINIMUM_PENALTY);
        TreeJudge treeJudge = new TreeJudge(settlement);
        RelayerJudge relayerJudge = new RelayerJudge(settlement, board);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.Miswired.selector, fraudProofs));
        new FraudProofs(settlement, nodeJudge, leafJudge, treeJudge, relayerJudge, CHALLENGE_BOND);
    }

    // ---- helpers

    function _challenge(uint32 index) private {
        vm.prank(challenger);
        proofs.challengeData(relayerId, 1, index);
    }

    function _anyProof(address sender) private returns (bytes memory call, bytes32 commitment) {
        Record memory record;
        Posted memory posted;
        posted.bySession = _rows(record);
        call = abi.encodeCall(
            IFraudProofs.proveInvalidLeaf, (relayerId, 9, posted.bySession[0].leaf, _sessionProof(posted, 0), record, SALT)
        );
        commitment = keccak256(abi.encode(sender, keccak256(call)));
    }

    function _expectNotAnnounced(bytes memory call, address sender, bytes32 commitment, uint256 since) private {
        vm.prank(sender);
        (bool ok, bytes memory answer) = fraudProofs.call(call);
        vm.assertFalse(ok, "not announced");
        bytes memory reason = abi.encodeWithSelector(IFraudProofs.NotAnnounced.selector, commitment, since, block.number);
        vm.assertEq(keccak256(answer), keccak256(reason), "reason");
    }
}
