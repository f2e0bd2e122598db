// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Field, Fulfilment, IInferenceGateway} from "../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request} from "../../contracts/interfaces/IInferenceRequests.sol";
import {Requests} from "../../contracts/libraries/Requests.sol";
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
        answer.receipt.body.inputTokens = inTokens;
        answer.receipt.body.outputTokens = outTokens % (OUT_TOKENS + 1);
        answer.receipt.body.fee = _fee(answer);
        _resign(answer);
        gateway.fulfil(answer);
        uint256 left = gateway.balanceOf(payer);
        uint256 fee = gateway.nodeAccountOf(nodeId).earned;
        uint256 part = gateway.relayerAccountOf(relayerId).fees;
        vm.assertEq(fee + part + left, MAX_FEE, "node, relayer and rest are the fee paid");
        vm.assertLe(part * 10_000, fee * 1_000, "the relayer's part is within its basis points");
    }

    // ---- the receipt

    function testFuzz_eachFieldOfTheReceiptFits(uint8 field, uint256 other) public {
        Fulfilment memory answer = _answer(made);
        field %= 11;
        uint256 expected = _bend(answer, field, other);
        _resign(answer);
        uint256 found = _read(answer, field);
        if (found == expected) return;
        _expectMismatch(answer, Field(uint8(Field.RECEIPT_ASSIGNMENT) + field), found, expected);
    }

    function test_noMoreOutputThanAskedFor() public {
        Fulfilment memory answer = _answer(made);
        answer.receipt.body.outputTokens = OUT_TOKENS + 1;
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
        _expectMismatch(answer, Field.OUTPUT_COMMIT, uint256(computed), uint256(answer.receipt.body.outputCommit));
    }

    function test_anEmptyAnswerIsOne() public {
        Fulfilment memory answer = _answer(made);
        answer.output = "";
        _refresh(answer);
        gateway.fulfil(answer);
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.body.outputCommit, "commitment");
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
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.body.outputCommit, "the long answer's commitment");
    }

    function test_fourKilobytesTravelAlong() public {
        Fulfilment memory answer = _answer(made);
        answer.output = new bytes(4_096);
        _refresh(answer);
        gateway.fulfil(answer);
        vm.assertEq(gateway.outputCommitOf(id), answer.receipt.body.outputCommit, "commitment");
    }

    // ---- signatures and keys

    function test_signedByTheRightKeys() public {
        Fulfilment memory answer = _answer(made);
        answer.assignmentSignature = _sign(HOT_KEY, answer.assignment.hash());
        _expectAssignmentSigner(answer, vm.addr(HOT_KEY));
        answer = _answer(made);
        answer.receiptSignature = _sign(SIGNER_KEY, answer.receipt.hash());
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
        bytes32 receiptHash = answer.receipt.hash();
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
        answer.receipt.body.finishedAt = answer.assignment.issuedAt;
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
        answer.receipt.body.finishedAt = early;
        _resign(answer);
        _expectRefused(
            answer, abi.encodeWithSelector(IInferenceGateway.SignedBeforeRequest.selector, early, later.requestedAt)
        );
        answer.receipt.body.finishedAt = early + 1;
        _resign(answer);
        gateway.fulfil(answer);
    }

    // ---- helpers

    /// @return expected value of the field that was bent; fields in the order of Field from RECEIPT_ASSIGNMENT on.
    function _bend(Fulfilment memory answer, uint8 field, uint256 other) private pure returns (uint256 expected) {
        expected = _read(answer, field);
        if (field == 0) answer.receipt.body.assignmentHash = bytes32(other);
        if (field == 1) answer.receipt.body.sessionId = bytes32(other);
        if (field == 2) answer.receipt.body.taskId = bytes32(other);
        if (field == 3) answer.receipt.body.subtask = uint16(other);
        if (field == 4) answer.receipt.body.attempt = uint8(other);
        if (field == 5) answer.receipt.body.role = uint8(other);
        if (field == 6) answer.receipt.nodeId = uint32(other);
        if (field == 7) answer.receipt.relayerId = uint32(other);
        if (field == 8) answer.receipt.keyEpoch = uint32(other);
        if (field == 9) answer.receipt.body.status = uint8(other);
        if (field == 10) answer.receipt.body.fee = uint96(other);
    }

    function _read(Fulfilment memory answer, uint8 field) private pure returns (uint256) {
        if (field == 0) return uint256(answer.receipt.body.assignmentHash);
        if (field == 1) return uint256(answer.receipt.body.sessionId);
        if (field == 2) return uint256(answer.receipt.body.taskId);
        if (field == 3) return answer.receipt.body.subtask;
        if (field == 4) return answer.receipt.body.attempt;
        if (field == 5) return answer.receipt.body.role;
        if (field == 6) return answer.receipt.nodeId;
        if (field == 7) return answer.receipt.relayerId;
        if (field == 8) return answer.receipt.keyEpoch;
        return field == 9 ? answer.receipt.body.status : answer.receipt.body.fee;
    }

    /// @dev The formula once more, written from the protocol's text.
    function _fee(Fulfilment memory answer) private pure returns (uint96) {
        uint256 priced = (
            uint256(answer.receipt.body.inputTokens) * answer.assignment.priceInPerMTok
                + uint256(answer.receipt.body.outputTokens) * answer.assignment.priceOutPerMTok
        ) / 1e6;
        uint256 most = (uint256(answer.assignment.shareCap) * 10_000 + 9_999) / (10_000 + answer.assignment.feeBps);
        return uint96(priced < most ? priced : most);
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
