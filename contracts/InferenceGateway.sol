// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "./BatchSettlement.sol";
import {Balances} from "./gateway/Balances.sol";
import {Commits} from "./gateway/Commits.sol";
import {IInferenceConsumer} from "./interfaces/IInferenceConsumer.sol";
import {Field, Fulfilment, IInferenceGateway, Outcome, ReceiptPart} from "./interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "./interfaces/IInferenceRequests.sol";
import {KeyEpoch} from "./interfaces/IKeyRing.sol";
import {ISaturationBoard} from "./interfaces/ISaturationBoard.sol";
import {Fees} from "./libraries/Fees.sol";
import {Requests} from "./libraries/Requests.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Tide} from "./libraries/Tide.sol";
import {Assignment} from "./types/Assignment.sol";
import {ReceiptBody} from "./types/ReceiptBody.sol";
import {TaskReceipt} from "./types/TaskReceipt.sol";

/// @title Requests from contracts
/// @notice One door in, two out: request, then fulfil or refund. Every door is shut while another one is open.
contract InferenceGateway is Commits {
    using Requests for Request;

    uint256 private constant PROMPT_BYTES_MAX = 16_384;
    uint256 private constant OUTPUT_BYTES_MAX = 4_096;
    uint256 private constant URI_BYTES_MAX = 512;
    uint256 private constant LIFETIME_SECONDS_MAX = 30 days;
    uint32 private constant CALLBACK_GAS_MAX = 500_000;
    /// @dev What the call itself and what follows it use beside the callback's own gas.
    uint256 private constant CALL_OVERHEAD_GAS = 32_000;
    /// @dev Commit and fulfilment without the callback, as measured.
    uint256 private constant DELIVERY_GAS = 250_000;
    uint8 private constant COMPLETE = 1;

    mapping(bytes32 requestId => bytes32) public override outputCommitOf;

    constructor(BatchSettlement batchSettlement, ISaturationBoard board, uint96 minimumPenalty_)
        Balances(batchSettlement, board)
        Commits(minimumPenalty_)
    {}

    /// @inheritdoc IInferenceRequests
    function request(
        bytes32 modelId,
        bytes calldata prompt,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable override nonReentrant returns (bytes32 requestId) {
        if (prompt.length == 0 || prompt.length > PROMPT_BYTES_MAX) {
            revert PromptLengthOutOfRange(prompt.length, PROMPT_BYTES_MAX);
        }
        Request memory made =
            _requestOf(modelId, keccak256(prompt), maxOutTokens, maxFee, callbackGas, deadline, relayerId);
        requestId = _open(made);
        emit Requested(requestId, msg.sender, relayerId, made, prompt, "");
        _pull(maxFee);
    }

    /// @inheritdoc IInferenceRequests
    function requestByUri(
        bytes32 modelId,
        string calldata uri,
        bytes32 promptHash,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable override nonReentrant returns (bytes32 requestId) {
        uint256 length = bytes(uri).length;
        if (length == 0 || length > URI_BYTES_MAX) revert UriLengthOutOfRange(length, URI_BYTES_MAX);
        Request memory made = _requestOf(modelId, promptHash, maxOutTokens, maxFee, callbackGas, deadline, relayerId);
        requestId = _open(made);
        emit Requested(requestId, msg.sender, relayerId, made, "", uri);
        _pull(maxFee);
    }

    /// @inheritdoc IInferenceGateway
    function fulfil(Fulfilment calldata fulfilment) external override nonReentrant {
        Request memory asked = fulfilment.request;
        bytes32 requestId = _pendingId(asked);
        if (block.timestamp > asked.deadline) revert DeadlinePassed(requestId, asked.deadline, block.timestamp);
        Outcome memory outcome = _checkRecord(requestId, asked, fulfilment);
        _checkOutput(requestId, outcome, fulfilment);
        uint32 relayerId = fulfilment.assignment.relayerId;
        uint32 nodeId = fulfilment.assignment.nodeId;
        _end(requestId, relayerId, outcome.receiptHash, fulfilment.salt);
        _earn(nodeId, outcome.fee, relayerId, outcome.charge - outcome.fee);
        _credit(asked.requester, asked.maxFee - outcome.charge);
        _creditGas(relayerRegistry.posterOf(relayerId), asked.gasPayment);
        emit Fulfilled(requestId, relayerId, nodeId, outcome, fulfilment.output, fulfilment.uri);
        bool isHandedOver = _callBack(requestId, asked, outcome.outputCommit, fulfilment);
        // The doors are shut while the callback runs, so this is still one step.
        if (!isHandedOver || bytes(fulfilment.uri).length != 0) outputCommitOf[requestId] = outcome.outputCommit;
    }

    /// @inheritdoc IInferenceRequests
    function refund(Request calldata request_) external override nonReentrant {
        Request memory asked = request_;
        bytes32 requestId = _pendingId(asked);
        if (block.timestamp <= asked.deadline) revert DeadlineNotPassed(requestId, asked.deadline);
        entries[requestId].state = RequestState.REFUNDED;
        _credit(asked.requester, asked.maxFee);
        _creditGas(asked.requester, asked.gasPayment);
        emit Refunded(requestId, asked.requester, asked.maxFee, asked.gasPayment);
    }

    /// @inheritdoc IInferenceRequests
    function quote(
        uint32 relayerId,
        uint32 nodeId,
        bytes32 modelId,
        uint32 inputTokens,
        uint32 outputTokens,
        uint32 callbackGas
    ) external view override returns (uint96 maxFee, uint256 gasPayment) {
        (uint96 priceIn, uint96 priceOut) = _tidePrices(relayerId, nodeId, modelId);
        uint16 feeBps = relayerRegistry.relayerOf(relayerId).feeBps;
        (, uint256 charge) = Fees.fee(inputTokens, outputTokens, priceIn, priceOut, feeBps, type(uint96).max);
        return (uint96(charge), _leastGasPayment(callbackGas));
    }

    /// @inheritdoc IInferenceRequests
    function requestIdOf(Request calldata request_) external view override returns (bytes32) {
        return request_.id(address(this));
    }

    function _tidePrices(uint32 relayerId, uint32 nodeId, bytes32 modelId)
        private
        view
        returns (uint96 priceIn, uint96 priceOut)
    {
        bool listed;
        (listed, priceIn, priceOut) = nodeRegistry.priceOf(nodeId, modelId);
        if (!listed) revert ModelNotListed(nodeId, modelId);
        uint32 multiplier = saturationBoard.tideMultiplier(relayerId, modelId);
        return (Tide.pricedDown(priceIn, multiplier), Tide.pricedDown(priceOut, multiplier));
    }

    function _requestOf(
        bytes32 modelId,
        bytes32 promptHash,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) private view returns (Request memory) {
        uint48 pausedUntil = escrow.newSessionsPausedUntil();
        if (block.timestamp < pausedUntil) revert NewRequestsPaused(pausedUntil);
        if (maxOutTokens == 0) revert ZeroAmount();
        if (callbackGas > CALLBACK_GAS_MAX) revert CallbackGasTooHigh(callbackGas, CALLBACK_GAS_MAX);
        if (deadline <= block.timestamp || deadline > block.timestamp + LIFETIME_SECONDS_MAX) {
            revert DeadlineOutOfRange(deadline, block.timestamp, LIFETIME_SECONDS_MAX);
        }
        if (relayerId != 0 && !relayerRegistry.isLive(relayerId)) revert RelayerNotLive(relayerId);
        uint256 least = _leastGasPayment(callbackGas);
        if (msg.value < least || msg.value > type(uint96).max) {
            revert GasPaymentOutOfRange(msg.value, least, type(uint96).max);
        }
        return Request({
            requester: msg.sender,
            relayerId: relayerId,
            modelId: modelId,
            promptHash: promptHash,
            maxOutTokens: maxOutTokens,
            maxFee: maxFee,
            callbackGas: callbackGas,
            gasPayment: uint96(msg.value),
            requestedAt: uint48(block.timestamp),
            deadline: deadline,
            serial: 0
        });
    }

    /// @dev Only the requester itself can have asked the very same in the same second: it alone pays for looking further.
    function _open(Request memory made) private returns (bytes32 requestId) {
        requestId = made.id(address(this));
        while (entries[requestId].state != RequestState.NONE) {
            ++made.serial;
            requestId = made.id(address(this));
        }
        Entry storage entry = entries[requestId];
        (entry.state, entry.isOpen) = (RequestState.PENDING, made.relayerId == 0);
    }

    function _leastGasPayment(uint32 callbackGas) private view returns (uint256) {
        return (DELIVERY_GAS + callbackGas) * block.basefee;
    }

    function _pendingId(Request memory asked) private view returns (bytes32 requestId) {
        requestId = asked.id(address(this));
        RequestState state = entries[requestId].state;
        if (state == RequestState.NONE) revert UnknownRequest(requestId);
        if (state != RequestState.PENDING) revert NotPending(requestId, state);
    }

    /// @dev Everything that a fraud proof could contest about a record, so that none is needed here.
    function _checkRecord(bytes32 requestId, Request memory asked, Fulfilment calldata fulfilment)
        private
        view
        returns (Outcome memory outcome)
    {
        Assignment memory assignment = fulfilment.assignment;
        _checkAssignment(requestId, asked, assignment);
        outcome.assignmentHash = assignment.hash();
        (outcome.fee, outcome.charge) = _feeOf(asked, assignment, fulfilment.receipt);
        outcome.receiptHash =
            _receiptOf(requestId, outcome.assignmentHash, assignment, fulfilment.receipt, outcome.fee).hash();
        outcome.outputCommit = fulfilment.receipt.outputCommit;

        address key = _keyAt(
            relayerRegistry.keyOf(assignment.relayerId, assignment.relayerEpoch), assignment.issuedAt, asked.requestedAt
        );
        address recovered = Signatures.recover(_digest(outcome.assignmentHash), fulfilment.assignmentSignature);
        if (recovered != key) revert AssignmentSignatureInvalid(assignment.relayerId, key, recovered);
        key = _keyAt(
            nodeRegistry.keyOf(assignment.nodeId, assignment.keyEpoch), fulfilment.receipt.finishedAt, asked.requestedAt
        );
        recovered = Signatures.recover(_digest(outcome.receiptHash), fulfilment.receiptSignature);
        if (recovered != key) revert ReceiptSignatureInvalid(assignment.nodeId, key, recovered);
    }

    function _checkAssignment(bytes32 requestId, Request memory asked, Assignment memory assignment) private pure {
        _expect(Field.TASK, uint256(assignment.taskId), uint256(asked.order(requestId).hash()));
        _expect(Field.SUBTASK, assignment.subtask, 0);
        _expect(Field.SUBTASKS, assignment.subtasks, 1);
        _expect(Field.VOUCHER, uint256(assignment.voucherHash), 0);
        if (asked.relayerId != 0) _expect(Field.RELAYER, assignment.relayerId, asked.relayerId);
        if (assignment.feeBps > Fees.FEE_BPS_MAX) revert FeeTooHigh(assignment.feeBps, Fees.FEE_BPS_MAX);
        if (assignment.shareCap > asked.maxFee) revert ShareAboveMaxFee(assignment.shareCap, asked.maxFee);
    }

    /// @dev Both are at most the share, which is at most maxFee.
    function _feeOf(Request memory asked, Assignment memory assignment, ReceiptPart calldata part)
        private
        pure
        returns (uint96, uint96)
    {
        if (part.outputTokens > asked.maxOutTokens) revert TooManyOutputTokens(part.outputTokens, asked.maxOutTokens);
        (uint256 fee, uint256 charge) = Fees.fee(
            part.inputTokens,
            part.outputTokens,
            assignment.priceInPerMTok,
            assignment.priceOutPerMTok,
            assignment.feeBps,
            assignment.shareCap
        );
        return (uint96(fee), uint96(charge));
    }

    /// @dev The receipt that fits: whatever else the node may have signed, its signature is not one of this.
    function _receiptOf(
        bytes32 requestId,
        bytes32 assignmentHash,
        Assignment memory assignment,
        ReceiptPart calldata part,
        uint96 fee
    ) private pure returns (TaskReceipt memory receipt) {
        ReceiptBody memory body = receipt.body;
        body.assignmentHash = assignmentHash;
        body.sessionId = requestId;
        body.taskId = assignment.taskId;
        body.subtask = assignment.subtask;
        body.attempt = assignment.attempt;
        body.role = assignment.role;
        body.prevReceiptHash = part.prevReceiptHash;
        body.outputCommit = part.outputCommit;
        body.inputTokens = part.inputTokens;
        body.outputTokens = part.outputTokens;
        body.fee = fee;
        body.startedAt = part.startedAt;
        body.finishedAt = part.finishedAt;
        // Half an answer is none: a contract cannot look at it and ask again.
        body.status = COMPLETE;
        receipt.nodeId = assignment.nodeId;
        receipt.relayerId = assignment.relayerId;
        receipt.keyEpoch = assignment.keyEpoch;
        receipt.nodeSeq = part.nodeSeq;
        receipt.nodeCumulative = part.nodeCumulative;
    }

    function _checkOutput(bytes32 requestId, Outcome memory outcome, Fulfilment calldata fulfilment) private pure {
        uint256 length = fulfilment.output.length;
        uint256 uriLength = bytes(fulfilment.uri).length;
        if (uriLength > URI_BYTES_MAX) revert UriLengthOutOfRange(uriLength, URI_BYTES_MAX);
        uint256 most = uriLength == 0 ? OUTPUT_BYTES_MAX : 0;
        if (length > most) revert OutputTooLong(length, most);
        if (uriLength != 0) return;
        bytes32 computed = Requests.outputCommit(requestId, outcome.assignmentHash, fulfilment.output);
        _expect(Field.OUTPUT_COMMIT, uint256(computed), uint256(outcome.outputCommit));
    }

    /// @dev Signed in its key's epoch, and not long before there was anything to sign: an old key that leaked signs nothing new.
    function _keyAt(KeyEpoch memory entry, uint48 signedAt, uint48 requestedAt) private view returns (address) {
        if (uint256(signedAt) + windowSeconds < requestedAt) revert SignedBeforeRequest(signedAt, requestedAt);
        bool isInEpoch = entry.key != address(0) && uint256(signedAt) + windowSeconds >= entry.openedAt
            && (entry.closedAt == 0 || signedAt < uint256(entry.closedAt) + windowSeconds);
        if (!isInEpoch) revert OutsideKeyEpoch(entry.key, signedAt, entry.openedAt, entry.closedAt);
        return entry.key;
    }

    /// @return isDone whether the requester has the answer.
    /// @dev Every amount is written by now. The callback gets exactly its gas: a call passes on at most 63/64 of what is left
    /// (EIP-150), so less than enough is refused here instead of being the callback's misfortune. No byte of its answer is copied.
    function _callBack(bytes32 requestId, Request memory asked, bytes32 outputCommit, Fulfilment calldata fulfilment)
        private
        returns (bool isDone)
    {
        uint256 callbackGas = asked.callbackGas;
        if (callbackGas == 0) return false;
        address to = asked.requester;
        bytes memory data = abi.encodeCall(
            IInferenceConsumer.onInference, (requestId, fulfilment.output, outputCommit, fulfilment.uri)
        );
        isDone = to.code.length != 0;
        if (isDone) {
            uint256 needed = callbackGas + callbackGas / 63 + CALL_OVERHEAD_GAS;
            if (gasleft() < needed) revert GasTooLow(gasleft(), needed);
            assembly ("memory-safe") {
                isDone := call(callbackGas, to, 0, add(data, 0x20), mload(data), 0, 0)
            }
        }
        if (!isDone) emit CallbackFailed(requestId, to, outputCommit);
    }

    function _expect(Field field, uint256 found, uint256 expected) private pure {
        if (found != expected) revert FieldMismatch(field, found, expected);
    }
}
