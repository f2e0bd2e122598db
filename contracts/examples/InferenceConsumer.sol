// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IInferenceConsumer} from "../interfaces/IInferenceConsumer.sol";
import {IInferenceRequests, Request} from "../interfaces/IInferenceRequests.sol";

/// @title A contract that asks
/// @notice Inherit it, call _ask, and receive every answer once in _answered: by the gateway's callback, or, where that failed,
/// by whoever shows the answer to pullAnswer.
abstract contract InferenceConsumer is IInferenceConsumer {
    using SafeERC20 for IERC20;

    /// @notice What a question may cost and how it is answered.
    /// @dev As the parameters of IInferenceRequests.request; `lifetimeSeconds` from now to the deadline.
    struct Terms {
        bytes32 modelId;
        uint32 maxOutTokens;
        uint96 maxFee;
        uint32 callbackGas;
        uint32 lifetimeSeconds;
        uint32 relayerId;
    }

    IInferenceRequests public immutable gateway;
    /// @notice What the gateway is paid in.
    IERC20 public immutable payToken;

    mapping(bytes32 requestId => bool) private isPulled;

    /// @notice Only the gateway calls back.
    error NotGateway(address caller);
    /// @notice The request was another contract's.
    error NotAskedHere(bytes32 requestId, address requester);
    /// @notice The answer was handed in already.
    error PulledAlready(bytes32 requestId);
    /// @notice These bytes are not the answer that the node signed; `committed` is 0 where none waits to be pulled.
    error WrongOutput(bytes32 requestId, bytes32 computed, bytes32 committed);

    constructor(IInferenceRequests gateway_) {
        gateway = gateway_;
        payToken = gateway_.payToken();
        // For good, and once: the gateway takes tokens of nobody but its caller.
        payToken.forceApprove(address(gateway_), type(uint256).max);
    }

    /// @inheritdoc IInferenceConsumer
    function onInference(bytes32 requestId, bytes calldata output, bytes32 outputCommit, string calldata uri)
        external
        override
    {
        // It calls only who asked, once for each request.
        if (msg.sender != address(gateway)) revert NotGateway(msg.sender);
        _answered(requestId, output, outputCommit, uri);
    }

    /// @notice Hands an answer in whose callback failed, or that was too long for it. Anyone may: the node's signature stands
    /// behind the commitment.
    /// @param request from the gateway's Requested event.
    /// @param assignmentHash from its Fulfilled event.
    function pullAnswer(Request calldata request, bytes32 assignmentHash, bytes calldata output) external {
        bytes32 requestId = gateway.requestIdOf(request);
        if (request.requester != address(this)) revert NotAskedHere(requestId, request.requester);
        if (isPulled[requestId]) revert PulledAlready(requestId);
        bytes32 committed = gateway.outputCommitOf(requestId);
        bytes32 salt = keccak256(abi.encodePacked(requestId, assignmentHash));
        bytes32 computed = keccak256(abi.encodePacked(salt, output));
        if (computed != committed) revert WrongOutput(requestId, computed, committed);
        isPulled[requestId] = true;
        _answered(requestId, output, committed, "");
    }

    /// @notice Asks out of this contract's own tokens.
    /// @param gasPayment wei of this contract's own, passed on for the delivery.
    function _ask(bytes memory prompt, Terms memory terms, uint256 gasPayment) internal returns (bytes32 requestId) {
        requestId = gateway.request{value: gasPayment}(
            terms.modelId,
            prompt,
            terms.maxOutTokens,
            terms.maxFee,
            terms.callbackGas,
            uint48(block.timestamp) + terms.lifetimeSeconds,
            terms.relayerId
        );
    }

    /// @notice An answer; once for each request. It runs on the gas that was paid for: do little, keep the rest for later.
    /// @param output empty where the answer lies at `uri`: then pullAnswer may still bring it, in a second call.
    function _answered(bytes32 requestId, bytes calldata output, bytes32 outputCommit, string memory uri) internal virtual;
}
