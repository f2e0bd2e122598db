// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Field, Fulfilment, IInferenceGateway, ReceiptPart} from "../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request} from "../../contracts/interfaces/IInferenceRequests.sol";
import {Requests} from "../../contracts/libraries/Requests.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice What a record must be to pay: each value that is not as it must be, refused with what was found.
contract GatewayRecordsTest is GatewayWorld {
    using Requests for Request;

    Request private made;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        (Request memory asked, bytes32 requestId) = _ask(payer, relayerId, 0);
        (made, id) = (asked, requestId);
    }

    // ---- the assignment

    function test_theTaskIsTheRequestsOwn() public {
        Fulfilment memory answer = _answer(made);
        bytes32 expected = answer.assignment.taskId;
        answer.assignment.taskId = keccak256("another");
        _refresh(answer);
        _expectMismatch(answer, Field.TASK, uint256(answer.assignment.taskId), uint256(expected));
    }

    function test_anAnswerToOneRequestAnswersNoOther() public {
        (Request memory other, bytes32 otherId) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(made);
        answer.request = other;
        bytes32 expected = other.order(otherId).hash();
        _expectMismatch(answer, Field.TASK, uint256(answer.assignment.taskId), uint256(expected));
    }

    function test_oneWholeSubtaskWithoutVoucher() public {
        Fulfilment memory answer = _answer(made);
        answer.assignment.subtask = 1;
        _refresh(answer);
        _expectMismatch(answer, Field.SUBTASK, 1, 0);
        answer = _answer(made);
        answer.assignment.subtasks = 2;
        _refresh(answer);
        _expectMismatch(answer, Field.SUBTASKS, 2, 1);
        answer = _answer(made);
        answer.assignment.voucherHash = keccak256("voucher");
        _refresh(answer);
        _expectMismatch(answer, Field.VOUCHER, uint256(keccak256("voucher")), 0);
    }

    function test_onlyTheNamedRelayerAnswers() public {
        uint32 other = _registerRelayer(stranger, 0xC9);
        Fulfilment memory answer = _answer(made);
        answer.assignment.relayerId = other;
        _refresh(answer);
        answer.assignmentSignature = _sign(0xC9, answer.assignment.hash());
        _expectMismatch(answer, Field.RELAYER, other, relayerId);
    }

    function test_boundsOfPrice() public {
        Fulfilment memory answer = _answer(made);
        answer.assignment.feeBps = 1_001;
        _refresh(answer);
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.FeeTooHigh.selector, 1_001, 1_000));
        answer = _answer(made);
        answer.assignment.shareCap = MAX_FEE + 1;
        _refresh(answer);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.ShareAboveMaxFee.selector, MAX_FEE + 1, MAX_FEE)
        );
    }

    /// @dev However dear the tokens: the charge stays within maxFee, and no unit is lost between the four books.
    function testFuzz_chargesStayWithinMaxFee(uint32 inTokens, uint32 outTokens, uint96 priceIn, uint96 priceOut, uint16 bps)
        public
    {
        Fulfilment memory answer = _answer(made);
        answer.assignment.priceInPerMTok = priceIn;
        answer.assignment.priceOutPerMTok = priceOut;
        answer.assignment.feeBps = bps % 1_001;
        _refresh(answer);
        answer.receipt.inputTokens = inTokens;
        answer.receipt.outputTokens = outTokens % (OUT_TOKENS + 1);
        _resign(answer);
        gateway.fulfil(answer);
        uint256 left = gateway.balanceOf(payer);
        uint256 fee = gateway.nodeAccountOf(nodeId).earned;
        uint256 part = gateway.relayerAccountOf(relayerId).fees;
        vm.assertEq(fee + part + left, MAX_FEE, "node, relayer and rest are the fee paid");
        vm.assertLe(part * 10_000, fee * 1_000, "the relayer's part is within its basis points");
    }

    // ---- the receipt

    /// @dev Of a receipt the gateway takes what only the node knows and makes the rest itself: one that says otherwise was signed
    /// in vain. Half an answer (its status) is none.
    function testFuzz_aReceiptThatDoesNotFollowFromTheAssignment(uint8 field, uint256 other) public {
        Fulfilment memory answer = _answer(made);
        TaskReceipt memory signed = _receipt(answer);
        bytes32 fitting = signed.hash();
        _bend(signed, field % 11, other);
        if (signed.hash() == fitting) return;
        answer.receiptSignature = _sign(HOT_KEY, signed.hash());
        _expectReceiptSigner(answer, _recover(fitting, answer.receiptSignature));
    }

    function testFuzz_whatTheNodeSaysIsAsItSignedIt(uint8 field, uint256 other) public {
        Fulfilment memory answer = _answer(made);
        bytes32 signed = _receipt(answer).hash();
        _bendPart(answer.receipt, field % 8, other);
        bytes32 shown = _receipt(answer).hash();
        if (shown == signed) return;
        _expectReceiptSigner(answer, _recover(shown, answer.receiptSignature));
    }

    function test_noMoreOutputThanAskedFor() public {
        Fulfilment memory answer = _answer(made);
        answer.receipt.outputTokens = OUT_TOKENS + 1;
        _resign(answer);
        _expectRefused(
            answer,
            abi.encodeWithSelector(IInferenceGateway.TooManyOutputTokens.selector, OUT_TOKENS + 1, OUT_TOKENS)
        );
    }

    // ---- the output

    function testFuzz_onlyTheSignedOutput(bytes calldata output) public {
        Fulfilment memory answer = _answer(made);
        if (keccak256(output) == keccak256(OUTPUT) || output.length > 4_096) return;
        answer.output = output;
        bytes32 computed = Requests.outputCommit(id, answer.assignment.hash(), output);
        _expectMismatch(answer, Field.OUTPUT_COMMIT, uint256(computed), uint256(answer.receipt.outputCommit));
    }

    function test_anEmptyAnswerIsOne() public {
        Fulfilment memory answer = _answer(made);
        answer.output = "";
        _refresh(answer);
        gateway.fulfil(answer);
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.outputCommit, "commitment");
    }

    function test_longAnswersGoByUri() public {
        Fulfilment memory answer = _answer(made);
        answer.output = new bytes(4_097);
        _refresh(answer);
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.OutputTooLong.selector, 4_097, 4_096));
        answer.uri = "ipfs://answer";
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.OutputTooLong.selector, 4_097, 0));
        answer.output = "";
        answer.uri = string(new bytes(513));
        _expectRefused(answer, abi.encodeWithSelector(IInferenceRequests.UriLengthOutOfRange.selector, 513, 512));
        answer.uri = "ipfs://answer";
        gateway.fulfil(answer);
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.outputCommit, "the long answer's commitment");
    }

    function test_fourKilobytesTravelAlong() public {
        Fulfilment memory answer = _answer(made);
        answer.output = new bytes(4_096);
        _refresh(answer);
        gateway.fulfil(answer);
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.outputCommit, "commitment");
    }

    // ---- signatures and keys

    function test_signedByTheRightKeys() public {
        Fulfilment memory answer = _answer(made);
        answer.assignmentSignature = _sign(HOT_KEY, answer.assignment.hash());
        _expectAssignmentSigner(answer, vm.addr(HOT_KEY));
        answer = _answer(made);
        answer.receiptSignature = _sign(SIGNER_KEY, _receipt(answer).hash());
        _expectReceiptSigner(answer, vm.addr(SIGNER_KEY));
    }

    function test_malformedSignatures() public {
        Fulfilment memory answer = _answer(made);
        bytes memory good = answer.receiptSignature;
        uint8[4] memory vs = [0, 1, 29, 255];
        for (uint256 i = 0; i < vs.length; ++i) {
            answer.receiptSignature = bytes.concat(good);
            answer.receiptSignature[64] = bytes1(vs[i]);
            _expectReceiptSigner(answer, address(0));
        }
        answer.receiptSignature = _highS(good);
        _expectReceiptSigner(answer, address(0));
        answer.receiptSignature = "";
        _expectReceiptSigner(answer, address(0));
        answer.receiptSignature = new bytes(65);
        _expectReceiptSigner(answer, address(0));
        answer.receiptSignature = bytes.concat(good, hex"00");
        _expectReceiptSigner(answer, address(0));
    }

    /// @dev I11.
    function test_signedForAnotherChainOrContract() public {
        Fulfilment memory answer = _answer(made);
        bytes32 receiptHash = _receipt(answer).hash();
        vm.chainId(block.chainid + 1);
        address read = _recover(receiptHash, answer.receiptSignature);
        address readAssignment = _recover(answer.assignment.hash(), answer.assignmentSignature);
        vm.assertTrue(read != vm.addr(HOT_KEY), "another chain, another signer");
        _expectAssignmentSigner(answer, readAssignment);
    }

    function test_keysCountInTheirEpochs() public {
        Fulfilment memory answer = _answer(made);
        answer.assignment.relayerEpoch = 2;
        _refresh(answer);
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.OutsideKeyEpoch.selector, address(0), answer.assignment.issuedAt, uint48(0), uint48(0)
            )
        );
        answer = _answer(made);
        vm.prank(relayerOwner);
        relayers.retire(relayerId);
        answer.assignment.issuedAt = uint48(START) + W;
        _refresh(answer);
        vm.warp(START + W);
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.OutsideKeyEpoch.selector, vm.addr(SIGNER_KEY), uint48(START) + W, uint48(START), uint48(START)
            )
        );
        answer.assignment.issuedAt -= 1;
        _refresh(answer);
        answer.receipt.finishedAt = answer.assignment.issuedAt;
        _resign(answer);
        gateway.fulfil(answer);
    }

    /// @dev An old key that leaked cannot sign for what was asked after it was closed by dating its word back.
    function test_nothingIsSignedLongBeforeItWasAsked() public {
        vm.warp(START + 10 * W);
        (Request memory later,) = _ask(payer, relayerId, 0);
        Fulfilment memory answer = _answer(later);
        uint48 early = later.requestedAt - W - 1;
        answer.assignment.issuedAt = early;
        _refresh(answer);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.SignedBeforeRequest.selector, early, later.requestedAt)
        );
        answer = _answer(later);
        answer.receipt.finishedAt = early;
        _resign(answer);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.SignedBeforeRequest.selector, early, later.requestedAt)
        );
        answer.receipt.finishedAt = early + 1;
        _resign(answer);
        gateway.fulfil(answer);
    }

    // ---- helpers

    /// @dev Each field that does not travel.
    function _bend(TaskReceipt memory receipt, uint8 field, uint256 other) private pure {
        if (field == 0) receipt.body.assignmentHash = bytes32(other);
        if (field == 1) receipt.body.sessionId = bytes32(other);
        if (field == 2) receipt.body.taskId = bytes32(other);
        if (field == 3) receipt.body.subtask = uint16(other);
        if (field == 4) receipt.body.attempt = uint8(other);
        if (field == 5) receipt.body.role = uint8(other);
        if (field == 6) receipt.nodeId = uint32(other);
        if (field == 7) receipt.relayerId = uint32(other);
        if (field == 8) receipt.keyEpoch = uint32(other);
        if (field == 9) receipt.body.status = uint8(other);
        if (field == 10) receipt.body.fee = uint96(other);
    }

    /// @dev Each field that travels, within what is refused for another reason.
    function _bendPart(ReceiptPart memory part, uint8 field, uint256 other) private view {
        if (field == 0) part.prevReceiptHash = bytes32(other);
        if (field == 1) part.outputCommit = bytes32(other);
        if (field == 2) part.inputTokens = uint32(other);
        if (field == 3) part.outputTokens = uint32(other % (OUT_TOKENS + 1));
        if (field == 4) part.startedAt = uint48(other);
        if (field == 5) part.finishedAt = uint48(block.timestamp + other % W);
        if (field == 6) part.nodeSeq = uint64(other);
        if (field == 7) part.nodeCumulative = uint96(other);
    }

    function _highS(bytes memory signature) private pure returns (bytes memory high) {
        (bytes32 r, uint256 s) = (bytes32(0), 0);
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        s = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - s;
        return abi.encodePacked(r, s, signature[64] == bytes1(uint8(27)) ? uint8(28) : uint8(27));
    }

    function _expectMismatch(Fulfilment memory answer, Field field, uint256 found, uint256 expected) private {
        _expectRefused(answer, abi.encodeWithSelector(IInferenceGateway.FieldMismatch.selector, field, found, expected));
    }

    function _expectAssignmentSigner(Fulfilment memory answer, address recovered) private {
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.AssignmentSignatureInvalid.selector, relayerId, vm.addr(SIGNER_KEY), recovered
            )
        );
    }

    function _expectReceiptSigner(Fulfilment memory answer, address recovered) private {
        _expectRefused(
            answer,
            abi.encodeWithSelector(
                IInferenceGateway.ReceiptSignatureInvalid.selector, nodeId, vm.addr(HOT_KEY), recovered
            )
        );
    }
}
