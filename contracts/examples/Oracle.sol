// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IInferenceRequests} from "../interfaces/IInferenceRequests.sol";
import {InferenceConsumer} from "./InferenceConsumer.sol";

/// @title A small dApp: pay a fixed price, ask, read the answer in an event
/// @notice What a question did not use stays in the gateway as this contract's balance; its keeper takes it out.
contract Oracle is InferenceConsumer {
    using SafeERC20 for IERC20;

    address public immutable keeper;
    bytes32 private immutable modelId;
    uint32 private immutable maxOutTokens;
    uint96 private immutable maxFee;
    uint32 private immutable callbackGas;
    uint32 private immutable lifetimeSeconds;
    uint32 private immutable relayerId;

    /// @notice Somebody asked what stands in the gateway's Requested event.
    event Asked(bytes32 indexed requestId, address indexed asker);
    /// @notice The answer, or where it lies.
    event Answered(bytes32 indexed requestId, string answer, string uri);

    /// @notice Only the keeper takes the change out.
    error NotKeeper(address caller);

    constructor(IInferenceRequests gateway_, Terms memory terms_) InferenceConsumer(gateway_) {
        keeper = msg.sender;
        modelId = terms_.modelId;
        maxOutTokens = terms_.maxOutTokens;
        maxFee = terms_.maxFee;
        callbackGas = terms_.callbackGas;
        lifetimeSeconds = terms_.lifetimeSeconds;
        relayerId = terms_.relayerId;
    }

    /// @notice Asks; takes the price in the gateway's pay token (approve first) and the sent coin for the delivery's gas.
    function ask(string calldata question) external payable returns (bytes32 requestId) {
        payToken.safeTransferFrom(msg.sender, address(this), maxFee);
        requestId = _ask(bytes(question), terms(), msg.value);
        emit Asked(requestId, msg.sender);
    }

    /// @notice Takes out what questions did not use, refunds included.
    function collect(address to) external {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        gateway.withdraw(address(this), to);
    }

    /// @notice Takes out the gas payments of questions that were refunded.
    function collectGas(address payable to) external {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        gateway.withdrawGas(address(this), to);
    }

    /// @notice What every question costs at most (`maxFee`, to be approved) and how it is answered.
    function terms() public view returns (Terms memory) {
        return Terms(modelId, maxOutTokens, maxFee, callbackGas, lifetimeSeconds, relayerId);
    }

    function _answered(bytes32 requestId, bytes calldata output, bytes32, string memory uri) internal override {
        emit Answered(requestId, string(output), uri);
    }
}
