// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {InferenceGateway} from "../../contracts/InferenceGateway.sol";
import {Fulfilment, IInferenceGateway, NodeAccount, Outcome} from "../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../../contracts/interfaces/IInferenceRequests.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice Requests, refunds, earnings and quotes.
contract GatewayTest is GatewayWorld {
    // ---- asking

    function test_aRequestIsTakenAndTold() public {
        Request memory made = _next(payer, relayerId, 0);
        bytes32 id = gateway.requestIdOf(made);
        vm.expectEmit(address(gateway));
        emit IInferenceRequests.Requested(id, payer, relayerId, made, PROMPT, "");
        (, bytes32 given) = _ask(payer, relayerId, 0);
        vm.assertEq(given, id, "the id is the hash of what was told");
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.PENDING), "pending");
        vm.assertEq(pay.balanceOf(address(gateway)), 100 * PENALTY + MAX_FEE, "paid");
        vm.assertEq(address(gateway).balance, GAS_PAYMENT, "gas paid");
    }

    /// @dev Nothing is counted for it: the first free id is taken, and who asks the same twice in a second looks twice.
    function test_equalRequestsDiffer() public {
        Request memory made = _next(payer, relayerId, 0);
        for (uint64 i = 0; i < 3; ++i) {
            made.serial = i;
            bytes32 expectedId = gateway.requestIdOf(made);
            vm.expectEmit(address(gateway));
            emit IInferenceRequests.Requested(expectedId, payer, relayerId, made, PROMPT, "");
            (, bytes32 given) = _ask(payer, relayerId, 0);
            vm.assertEq(given, expectedId, "the next one");
        }
        vm.warp(block.timestamp + 1);
        vm.assertEq(_next(payer, relayerId, 0).serial, 0, "a second later it is another request");
    }

    function test_anEndedRequestsIdIsNotGivenAgain() public {
        (Request memory made, bytes32 id) = _ask(payer, relayerId, 0);
        gateway.fulfil(_answer(made));
        (Request memory again, bytes32 next) = _ask(payer, relayerId, 0);
        vm.assertEq(again.serial, 1, "counted on");
        vm.assertTrue(next != id, "another id");
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.FULFILLED), "the first has ended for good");
        vm.assertEq(uint256(gateway.stateOf(next)), uint256(RequestState.PENDING), "the second is open");
    }

    /// @dev Who asks is part of the id: nobody can take another's.
    function test_anothersEqualRequestStandsInNobodysWay() public {
        _equip(stranger, MAX_FEE);
        vm.deal(stranger, GAS_PAYMENT);
        _ask(stranger, relayerId, 0);
        vm.assertEq(_next(payer, relayerId, 0).serial, 0, "the first of its own");
    }

    function test_byUri() public {
        Request memory made = _next(payer, 0, 0);
        made.promptHash = keccak256("somewhere else");
        bytes32 id = gateway.requestIdOf(made);
        vm.expectEmit(address(gateway));
        emit IInferenceRequests.Requested(id, payer, 0, made, "", "ipfs://prompt");
        vm.prank(payer);
        gateway.requestByUri{value: GAS_PAYMENT}(
            MODEL, "ipfs://prompt", made.promptHash, OUT_TOKENS, MAX_FEE, 0, made.deadline, 0
        );
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.PENDING), "pending");
    }

    function test_refusedRequests() public {
        uint48 soon = uint48(START) + 1 hours;
        _expectNotAsked(PROMPT, 0, MAX_FEE, 0, soon, 0, abi.encodeWithSelector(IInferenceRequests.ZeroAmount.selector));
        _expectNotAsked(PROMPT, 1, 0, 0, soon, 0, abi.encodeWithSelector(IInferenceRequests.ZeroAmount.selector));
        _expectNotAsked(
            "", 1, MAX_FEE, 0, soon, 0,
            abi.encodeWithSelector(IInferenceRequests.PromptLengthOutOfRange.selector, 0, 16_384)
        );
        _expectNotAsked(
            new bytes(16_385), 1, MAX_FEE, 0, soon, 0,
            abi.encodeWithSelector(IInferenceRequests.PromptLengthOutOfRange.selector, 16_385, 16_384)
        );
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 500_001, soon, 0,
            abi.encodeWithSelector(IInferenceRequests.CallbackGasTooHigh.selector, 500_001, 500_000)
        );
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 0, uint48(START), 0,
            abi.encodeWithSelector(IInferenceRequests.DeadlineOutOfRange.selector, START, START, 30 days)
        );
        uint48 late = uint48(START) + 30 days + 1;
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 0, late, 0,
            abi.encodeWithSelector(IInferenceRequests.DeadlineOutOfRange.selector, late, START, 30 days)
        );
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 0, soon, 77, abi.encodeWithSelector(IInferenceRequests.RelayerNotLive.selector, 77)
        );
        vm.prank(relayerOwner);
        relayers.retire(relayerId);
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 0, soon, relayerId,
            abi.encodeWithSelector(IInferenceRequests.RelayerNotLive.selector, relayerId)
        );
    }

    function test_urisHaveALength() public {
        uint48 soon = uint48(START) + 1 hours;
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.UriLengthOutOfRange.selector, 0, 512));
        gateway.requestByUri(MODEL, "", 0, 1, 1, 0, soon, 0);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.UriLengthOutOfRange.selector, 513, 512));
        gateway.requestByUri(MODEL, string(new bytes(513)), 0, 1, 1, 0, soon, 0);
    }

    function test_deliveryIsPaidAtTheBaseFee() public {
        vm.fee(7 gwei);
        uint256 least = 350_000 * 7 gwei;
        vm.prank(payer);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceRequests.GasPaymentOutOfRange.selector, least - 1, least, type(uint96).max
            )
        );
        gateway.request{value: least - 1}(MODEL, PROMPT, 1, MAX_FEE, 100_000, uint48(START) + 1, 0);
        vm.prank(payer);
        gateway.request{value: least}(MODEL, PROMPT, 1, MAX_FEE, 100_000, uint48(START) + 1, 0);
        (, uint256 quoted) = gateway.quote(relayerId, nodeId, MODEL, 1, 1, 100_000);
        vm.assertEq(quoted, least, "quoted");
    }

    /// @dev One switch of one guardian: sessions and requests stop together, and nothing else does (I14).
    function test_pauseStopsNewRequestsOnly() public {
        (Request memory made,) = _ask(payer, relayerId, 0);
        (Request memory other,) = _ask(payer, relayerId, 0);
        vm.prank(guardian);
        escrow.pauseNewSessions();
        _expectNotAsked(
            PROMPT, 1, MAX_FEE, 0, uint48(START) + 1 hours, 0,
            abi.encodeWithSelector(IInferenceRequests.NewRequestsPaused.selector, uint48(START) + 7 days)
        );
        gateway.fulfil(_answer(made));
        vm.warp(other.deadline + 1);
        gateway.refund(other);
        gateway.withdraw(payer, payer);
        gateway.withdrawGas(payer, payable(payer));
        vm.warp(START + 6 * W);
        gateway.claimNode(nodeId);
        vm.prank(relayerOwner);
        gateway.withdrawCommitBond(relayerId, 1, relayerOwner);
    }

    // ---- answering a request that names its relayer

    function test_anyoneDeliversTheSignedRecord() public {
        (Request memory made, bytes32 id) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        Outcome memory outcome = Outcome({
            assignmentHash: answer.assignment.hash(),
            receiptHash: _receipt(answer).hash(),
            outputCommit: answer.receipt.outputCommit,
            fee: FEE,
            charge: CHARGE
        });
        vm.expectEmit(address(gateway));
        emit IInferenceGateway.Fulfilled(id, relayerId, nodeId, outcome, OUTPUT, "");
        vm.prank(stranger);
        gateway.fulfil(answer);
        vm.assertEq(uint256(gateway.stateOf(id)), uint256(RequestState.FULFILLED), "fulfilled");
        vm.assertEq(gateway.outputCommitOf(id), outcome.outputCommit, "commitment");
        vm.assertEq(gateway.nodeAccountOf(nodeId).earned, FEE, "the node's");
        vm.assertEq(gateway.relayerAccountOf(relayerId).fees, CHARGE - FEE, "the relayer's");
        vm.assertEq(gateway.balanceOf(payer), MAX_FEE - CHARGE, "the rest");
        vm.assertEq(gateway.gasBalanceOf(poster), GAS_PAYMENT, "the gas is the poster's, whoever delivers");
        vm.assertEq(gateway.gasBalanceOf(stranger), 0, "not the deliverer's");
    }

    /// @dev I12, I7: a request is paid once, and neither after a refund nor after its deadline.
    function test_aRequestEndsOnce() public {
        (Request memory made, bytes32 id) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        gateway.fulfil(answer);
        bytes memory over = abi.encodeWithSelector(IInferenceRequests.NotPending.selector, id, RequestState.FULFILLED);
        _expectRefused(answer, over);
        vm.warp(made.deadline + 1);
        vm.expectRevert(over);
        gateway.refund(made);

        (made, id) = _ask(payer, relayerId, 0);
        answer = _answer(made);
        vm.warp(made.deadline + 1);
        gateway.refund(made);
        over = abi.encodeWithSelector(IInferenceRequests.NotPending.selector, id, RequestState.REFUNDED);
        _expectRefused(answer, over);
        vm.expectRevert(over);
        gateway.refund(made);
    }

    function test_deadlineIsTheLastMoment() public {
        (Request memory made, bytes32 id) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        vm.warp(made.deadline);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.DeadlineNotPassed.selector, id, made.deadline));
        gateway.refund(made);
        vm.warp(made.deadline + 1);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.DeadlinePassed.selector, id, made.deadline, made.deadline + 1)
        );
        vm.warp(made.deadline);
        gateway.fulfil(answer);
    }

    function test_refundGivesEverythingBack() public {
        (Request memory made, bytes32 id) = _ask(payer, 0, 200_000);
        vm.warp(made.deadline + 1);
        vm.expectEmit(address(gateway));
        emit IInferenceRequests.Refunded(id, payer, MAX_FEE, GAS_PAYMENT);
        vm.prank(stranger);
        gateway.refund(made);
        uint256 tokens = pay.balanceOf(payer);
        uint256 coins = payer.balance;
        gateway.withdraw(payer, payer);
        gateway.withdrawGas(payer, payable(payer));
        vm.assertEq(pay.balanceOf(payer) - tokens, MAX_FEE, "fee");
        vm.assertEq(payer.balance - coins, GAS_PAYMENT, "gas");
    }

    function test_aRequestThatWasNeverMadeIsUnknown() public {
        Request memory never = _next(payer, relayerId, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceRequests.UnknownRequest.selector, gateway.requestIdOf(never))
        );
        gateway.refund(never);
    }

    /// @dev The id is the hash of every field: a request shown with another value is another request.
    function testFuzz_aBentRequestIsUnknown(uint8 field, uint256 other) public {
        (Request memory made,) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        _bend(answer.request, field % 11, other);
        bytes32 bent = gateway.requestIdOf(answer.request);
        if (bent == gateway.requestIdOf(made)) return;
        bytes memory reason = abi.encodeWithSelector(IInferenceRequests.UnknownRequest.selector, bent);
        _expectRefused(answer, reason);
        vm.warp(START + 60 days);
        vm.expectRevert(reason);
        gateway.refund(answer.request);
    }

    // ---- earnings

    /// @dev I18: as a tab's credits, after one to two periods of 3 W, however often others follow.
    function test_nodesClaimWhatHasMatured() public {
        vm.warp((START / (3 * W) + 1) * 3 * W);
        _fulfilOne();
        vm.warp(block.timestamp + 3 * W);
        _fulfilOne();
        vm.assertEq(gateway.claimableNode(nodeId), 0, "the first has not had a whole period");
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NothingMatured.selector, nodeId));
        gateway.claimNode(nodeId);
        vm.warp(block.timestamp + 3 * W);
        vm.assertEq(gateway.claimableNode(nodeId), FEE, "the first");
        vm.expectEmit(address(gateway));
        emit IInferenceGateway.NodeClaimed(nodeId, nodePayout, FEE);
        gateway.claimNode(nodeId);
        vm.assertEq(pay.balanceOf(nodePayout), FEE, "paid");
        vm.warp(block.timestamp + 3 * W);
        gateway.claimNode(nodeId);
        NodeAccount memory account = gateway.nodeAccountOf(nodeId);
        vm.assertEq(account.claimed, account.earned, "all of it");
    }

    function test_relayerFeesWaitForTimeAndSeeds() public {
        vm.warp((START / (7 * W) + 1) * 7 * W);
        _fulfilOne();
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NotRelayerOwner.selector, relayerId, stranger));
        gateway.claimRelayerFee(relayerId, stranger);
        vm.startPrank(relayerOwner);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.NothingMatured.selector, relayerId));
        gateway.claimRelayerFee(relayerId, relayerOwner);
        uint256 needed = block.timestamp + 7 * W;
        vm.warp(block.timestamp + 14 * W);
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.SeedsNotRevealed.selector, relayerId, 0, needed));
        gateway.claimRelayerFee(relayerId, relayerOwner);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.ZeroAddress.selector));
        gateway.claimRelayerFee(relayerId, address(0));
        vm.stopPrank();
        _revealSeeds();
        vm.prank(relayerOwner);
        gateway.claimRelayerFee(relayerId, relayerOwner);
        vm.assertEq(pay.balanceOf(relayerOwner), CHARGE - FEE, "paid");
    }

    function test_balancesGoWhereTheirAccountsSay() public {
        _fulfilOne();
        vm.startPrank(stranger);
        bytes memory reason = abi.encodeWithSelector(IInferenceRequests.NotAccount.selector, payer, stranger, stranger);
        vm.expectRevert(reason);
        gateway.withdraw(payer, stranger);
        reason = abi.encodeWithSelector(IInferenceRequests.NotAccount.selector, poster, stranger, stranger);
        vm.expectRevert(reason);
        gateway.withdrawGas(poster, payable(stranger));
        vm.stopPrank();
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.ZeroAddress.selector));
        gateway.withdraw(payer, address(0));
        gateway.withdraw(payer, stranger);
        vm.assertEq(pay.balanceOf(stranger), MAX_FEE - CHARGE, "elsewhere, by the account itself");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NothingToPay.selector));
        gateway.withdraw(payer, payer);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.NothingToPay.selector));
        gateway.withdrawGas(payer, payable(payer));
        vm.stopPrank();
        vm.prank(poster);
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.GasNotTaken.selector, address(pay)));
        gateway.withdrawGas(poster, payable(address(pay)));
    }

    // ---- quotes and wiring

    /// @dev What a quote says is exactly what such an answer costs.
    function testFuzz_aQuoteCoversItsAnswer(uint32 inTokens, uint32 outTokens) public view {
        outTokens = 1 + outTokens % 1_000_000;
        (uint96 quoted,) = gateway.quote(relayerId, nodeId, MODEL, inTokens, outTokens, 0);
        uint256 fee = (uint256(inTokens) * 100_000 + uint256(outTokens) * 300_000) / 1e6;
        vm.assertEq(quoted, fee + fee * 300 / 10_000, "fee and the relayer's part");
    }

    function test_quotesAreForListedModels() public {
        bytes32 unknown = keccak256("unknown");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.ModelNotListed.selector, nodeId, unknown));
        gateway.quote(relayerId, nodeId, unknown, 1, 1, 0);
    }

    function test_wiring() public {
        vm.assertEq(address(gateway.payToken()), address(pay), "token");
        vm.assertEq(gateway.minimumPenalty(), PENALTY, "penalty");
        vm.expectRevert(abi.encodeWithSelector(IInferenceRequests.ZeroAmount.selector));
        new InferenceGateway(settlement, board, 0);
        BatchSettlement other = BatchSettlement(address(new OtherSettlement(escrow)));
        vm.expectRevert(abi.encodeWithSelector(IInferenceGateway.Miswired.selector, address(board), address(settlement)));
        new InferenceGateway(other, board, PENALTY);
    }

    function _fulfilOne() private {
        (Request memory made,) = _ask(payer, relayerId, 0);
        gateway.fulfil(_answer(made));
    }

    function _expectNotAsked(
        bytes memory prompt,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 toRelayer,
        bytes memory reason
    ) private {
        vm.prank(payer);
        vm.expectRevert(reason);
        gateway.request(MODEL, prompt, maxOutTokens, maxFee, callbackGas, deadline, toRelayer);
    }

    function _bend(Request memory made, uint8 field, uint256 other) private pure {
        if (field == 0) made.requester = address(uint160(other));
        if (field == 1) made.relayerId = uint32(other);
        if (field == 2) made.modelId = bytes32(other);
        if (field == 3) made.promptHash = bytes32(other);
        if (field == 4) made.maxOutTokens = uint32(other);
        if (field == 5) made.maxFee = uint96(other);
        if (field == 6) made.callbackGas = uint32(other);
        if (field == 7) made.gasPayment = uint96(other);
        if (field == 8) made.requestedAt = uint48(other);
        if (field == 9) made.deadline = uint48(other);
        if (field == 10) made.serial = uint64(other);
    }

    function _revealSeeds() private {
        uint64 first = board.epochAt(block.timestamp) + 1;
        bytes32 seed = keccak256("seed");
        vm.prank(poster);
        board.commitSeedChain(relayerId, first, keccak256(abi.encode(seed)));
        vm.warp(block.timestamp + 2 * EPOCH);
        board.revealSeed(relayerId, first, seed);
    }
}

/// @notice A settlement contract that a board does not belong to.
contract OtherSettlement {
    Escrow public immutable escrow;

    constructor(Escrow escrow_) {
        escrow = escrow_;
    }
}
