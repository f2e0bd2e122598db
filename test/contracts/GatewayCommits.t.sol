// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {Commit, Field, Fulfilment, IInferenceGateway} from "../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../../contracts/interfaces/IInferenceRequests.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice Open requests: committed before they are answered, so that neither copies nor junk gain anything.
contract GatewayCommitsTest is GatewayWorld {
    uint256 private constant OTHER_KEY = 0xC9;
    address private constant NOBODY = 0x000000000000000000000000000000000000dEaD;

    Request private made;
    bytes32 private id;
    uint32 private other;

    function setUp() public override {
        super.setUp();
        (Request memory asked, bytes32 requestId) = _ask(payer, 0, 0);
        (made, id) = (asked, requestId);
        other = _registerRelayer(relayerOwner, OTHER_KEY);
        _bond(Party.RELAYER, other, PENALTY);
        pay.mint(address(this), PENALTY);
        gateway.bondCommits(other, PENALTY);
    }

    function test_committedThenFulfilled() public {
        Fulfilment memory answer = _answer(made);
        bytes32 commitment = keccak256(abi.encode(_receipt(answer).hash(), relayerId, SALT));
        uint48 until = uint48(START) + 2 minutes;
        vm.expectEmit(address(gateway));
        emit IInferenceGateway.Committed(id, relayerId, commitment, until);
        _commit(id, answer);
        Commit memory kept = gateway.commitOf(id, relayerId);
        vm.assertEq(bytes32(kept.digest), bytes32(bytes20(commitment)), "digest");
        vm.assertEq(kept.exclusiveUntil, until, "exclusive");
        vm.assertEq(gateway.relayerAccountOf(relayerId).commitBond, 99 * PENALTY, "held back");
        vm.warp(block.timestamp + 1);
        gateway.fulfil(answer);
        vm.assertEq(gateway.relayerAccountOf(relayerId).commitBond, 100 * PENALTY, "given back");
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.FULFILLED), "fulfilled");
    }

    function test_notWithoutACommit() public {
        Fulfilment memory answer = _answer(made);
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.NotCommitted.selector, id, relayerId));
    }

    function test_notInTheCommitsOwnBlock() public {
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.CommitTooFresh.selector, id, relayerId, uint48(block.timestamp))
        );
    }

    function test_onlyWhatWasCommittedTo() public {
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        vm.warp(block.timestamp + 1);
        answer.salt = keccak256("another");
        bytes32 opened = keccak256(abi.encode(_receipt(answer).hash(), relayerId, answer.salt));
        bytes20 kept = gateway.commitOf(id, relayerId).digest;
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.FieldMismatch.selector,
                Field.COMMIT_DIGEST,
                uint256(uint160(bytes20(opened))),
                uint256(uint160(kept))
            )
        );
    }

    /// @dev A commitment that was copied from the mempool names its author and opens nothing for anybody else.
    function test_aCopiedCommitmentOpensNothing() public {
        Fulfilment memory answer = _answer(made);
        bytes32 commitment = keccak256(abi.encode(_receipt(answer).hash(), relayerId, SALT));
        vm.prank(poster);
        gateway.commit(id, other, commitment);
        vm.warp(block.timestamp + 1);
        answer.assignment.relayerId = other;
        _refresh(answer);
        answer.assignmentSignature = _sign(OTHER_KEY, answer.assignment.hash());
        bytes32 opened = keccak256(abi.encode(_receipt(answer).hash(), other, SALT));
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.FieldMismatch.selector,
                Field.COMMIT_DIGEST,
                uint256(uint160(bytes20(opened))),
                uint256(uint160(bytes20(commitment)))
            )
        );
    }

    /// @dev Junk keeps the others waiting for two minutes, once, and costs the minimum penalty.
    function test_aJunkCommitLapses() public {
        vm.prank(poster);
        gateway.commit(id, other, keccak256("junk"));
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        vm.assertEq(gateway.commitOf(id, relayerId).exclusiveUntil, 0, "not exclusive beside another");
        vm.assertEq(gateway.relayerAccountOf(relayerId).commitBond, 100 * PENALTY, "so nothing is held back");
        vm.warp(block.timestamp + 1);
        uint48 until = uint48(START) + 2 minutes;
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.ExclusiveToOther.selector, id, other, until));
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotLapsed.selector, id, other, until));
        gateway.forfeit(made, other);
        vm.warp(until);
        gateway.fulfil(answer);

        uint96 toCaller = PENALTY * 30 / 100;
        uint96 toRequester = PENALTY * 20 / 100;
        uint96 burned = PENALTY - toCaller - toRequester;
        uint96 had = gateway.balanceOf(payer);
        vm.expectEmit(address(gateway));
        emit IInferenceGateway.Forfeited(id, other, toCaller, toRequester, burned);
        vm.prank(stranger);
        gateway.forfeit(made, other);
        vm.assertEq(gateway.balanceOf(stranger), toCaller, "caller");
        vm.assertEq(gateway.balanceOf(payer) - had, toRequester, "requester");
        vm.assertEq(gateway.balanceOf(NOBODY), burned, "nobody");
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotLapsed.selector, id, other, uint48(0)));
        gateway.forfeit(made, other);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotLapsed.selector, id, relayerId, uint48(0)));
        gateway.forfeit(made, relayerId);
    }

    function test_whoIsLateMayStillAnswerButLosesThePenalty() public {
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        vm.warp(START + 2 minutes);
        gateway.fulfil(answer);
        vm.assertEq(gateway.relayerAccountOf(relayerId).commitBond, 99 * PENALTY, "not given back");
        gateway.forfeit(made, relayerId);
        vm.assertEq(gateway.balanceOf(NOBODY), PENALTY - PENALTY * 30 / 100 - PENALTY * 20 / 100, "burned");
    }

    function test_theNextOneIsExclusiveAfterALapse() public {
        vm.prank(poster);
        gateway.commit(id, other, keccak256("junk"));
        vm.warp(START + 2 minutes);
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        vm.assertEq(gateway.commitOf(id, relayerId).exclusiveUntil, uint48(START) + 4 minutes, "its own two minutes");
    }

    /// @dev Whatever became of it meanwhile: exclusive, beside another's, pushed aside, forfeited.
    function test_oncePerRelayerAndRequest() public {
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        _expectCommittedAlready(relayerId);
        vm.prank(poster);
        gateway.commit(id, other, keccak256("beside"));
        _expectCommittedAlready(other);
        vm.warp(START + 2 minutes);
        uint32 third = _registerRelayer(relayerOwner, 0xCB);
        _bond(Party.RELAYER, third, PENALTY);
        pay.mint(address(this), PENALTY);
        gateway.bondCommits(third, PENALTY);
        vm.prank(poster);
        gateway.commit(id, third, keccak256("junk"));
        _expectCommittedAlready(relayerId);
        gateway.forfeit(made, relayerId);
        _expectCommittedAlready(relayerId);
        vm.warp(START + 4 minutes);
        gateway.forfeit(made, third);
        _expectCommittedAlready(third);
    }

    /// @dev A lapse is not forgiven because somebody else answered in time.
    function test_aLapseIsForfeitedAfterAnothersAnswerToo() public {
        vm.prank(poster);
        gateway.commit(id, other, keccak256("junk"));
        vm.warp(START + 2 minutes);
        Fulfilment memory answer = _answer(made);
        _commit(id, answer);
        vm.warp(block.timestamp + 1);
        gateway.fulfil(answer);
        vm.assertEq(gateway.commitOf(id, relayerId).madeAt, 0, "given back");
        vm.assertEq(gateway.commitOf(id, 0).madeAt, 0, "nobody's");
        gateway.forfeit(made, other);
        vm.assertEq(gateway.balanceOf(NOBODY), PENALTY - PENALTY * 30 / 100 - PENALTY * 20 / 100, "burned");
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotLapsed.selector, id, relayerId, uint48(0)));
        gateway.forfeit(made, relayerId);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotLapsed.selector, id, uint32(0), uint48(0)));
        gateway.forfeit(made, 0);
    }

    function test_whoMayCommit() public {
        bytes32 commitment = keccak256("commitment");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotPoster.selector, relayerId, stranger, poster));
        gateway.commit(id, relayerId, commitment);

        uint32 poor = _registerRelayer(relayerOwner, 0xCA);
        _bond(Party.RELAYER, poor, PENALTY - 1);
        vm.startPrank(poster);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceGateway.RelayerNotBonded.selector, poor, PENALTY - 1, PENALTY)
        );
        gateway.commit(id, poor, commitment);
        vm.stopPrank();
        _bond(Party.RELAYER, poor, 1);
        vm.startPrank(poster);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.CommitBondTooSmall.selector, poor, 0, PENALTY));
        gateway.commit(id, poor, commitment);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.EmptyCommitment.selector));
        gateway.commit(id, relayerId, 0);
        vm.stopPrank();
        vm.prank(fraudProofs);
        vault.jail(Party.RELAYER, relayerId, uint48(START) + 1);
        vm.prank(poster);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.RelayerJailed.selector, relayerId));
        gateway.commit(id, relayerId, commitment);
    }

    function test_onlyOpenPendingRequestsTakeCommits() public {
        (, bytes32 named) = _ask(payer, relayerId, 0);
        vm.startPrank(poster);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotOpen.selector, named));
        gateway.commit(named, relayerId, SALT);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceRequests.NotPending.selector, SALT, RequestState.NONE)
        );
        gateway.commit(SALT, relayerId, SALT);
        vm.stopPrank();
    }

    function test_theCommitBondIsItsOwners() public {
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotRelayerOwner.selector, other, stranger));
        gateway.withdrawCommitBond(other, 1, stranger);
        vm.stopPrank();
        vm.startPrank(relayerOwner);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.ZeroAmount.selector));
        gateway.withdrawCommitBond(other, 0, relayerOwner);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceGateway.CommitBondTooSmall.selector, other, PENALTY, PENALTY + 1)
        );
        gateway.withdrawCommitBond(other, PENALTY + 1, relayerOwner);
        vm.expectEmit(address(gateway));
        emit IInferenceGateway.CommitBondWithdrawn(other, relayerOwner, PENALTY);
        gateway.withdrawCommitBond(other, PENALTY, relayerOwner);
        vm.assertEq(pay.balanceOf(relayerOwner), PENALTY, "paid");
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.UnknownRelayer.selector, 77));
        gateway.bondCommits(77, 1);
    }

    function _expectCommittedAlready(uint32 whose) private {
        vm.prank(poster);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.CommittedAlready.selector, id, whose));
        gateway.commit(id, whose, keccak256("again"));
    }
}
