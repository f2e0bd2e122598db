// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Request} from "../interfaces/IInferenceRequests.sol";
import {SpendingAuthorization} from "../types/SpendingAuthorization.sol";
import {TaskOrder} from "../types/TaskOrder.sol";
import {Fees} from "./Fees.sol";

/// @title The session and the order that a contract's request stands for
/// @notice A contract signs nothing; the gateway holds its money and stands for its word. So that receipts, assignments and all
/// who check them need no second form, a request is put as the authorization and the order that a payer would have signed.
library Requests {
    /// @notice Beside VOUCHER (0) and ALLOWANCE (1); the Escrow opens no such session, so the two never share an id.
    uint8 internal constant MODE = 2;

    /// @notice The request's own session: one task, no price bound but the fee.
    /// @dev `sessionKey` is the gateway, which no key signs for; `salt` binds what an authorization has no field for.
    function authorization(Request memory request, address gateway) internal pure returns (SpendingAuthorization memory) {
        return SpendingAuthorization({
            payer: request.requester,
            sessionKey: gateway,
            relayerId: request.relayerId,
            lock: request.maxFee,
            maxTotal: request.maxFee,
            maxPerTask: request.maxFee,
            maxPerDay: 0,
            maxPriceInPerMTok: type(uint96).max,
            maxPriceOutPerMTok: type(uint96).max,
            maxFeeBps: Fees.FEE_BPS_MAX,
            mode: MODE,
            validAfter: request.requestedAt,
            validUntil: request.deadline,
            salt: uint256(
                keccak256(
                    abi.encode(
                        request.modelId,
                        request.promptHash,
                        request.maxOutTokens,
                        request.callbackGas,
                        request.gasPayment,
                        request.serial
                    )
                )
            )
        });
    }

    /// @return the request's id, which is also its session's.
    function id(Request memory request, address gateway) internal pure returns (bytes32) {
        return authorization(request, gateway).hash();
    }

    /// @notice The one order under a request; its hash is the task's id.
    function order(Request memory request, bytes32 requestId) internal pure returns (TaskOrder memory) {
        return TaskOrder({
            sessionId: requestId,
            nonce: 0,
            promptCommit: keccak256(abi.encodePacked(requestId, request.promptHash)),
            modelId: request.modelId,
            tier: 0,
            maxOutTokens: request.maxOutTokens,
            maxFee: request.maxFee,
            deadline: request.deadline
        });
    }

    /// @notice What a node's receipt commits to: the output under a salt that only the request's readers know, which is everybody.
    function outputCommit(bytes32 requestId, bytes32 assignmentHash, bytes memory output) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(keccak256(abi.encodePacked(requestId, assignmentHash)), output));
    }
}
