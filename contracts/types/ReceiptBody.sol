// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice What a node did for one assignment.
/// @dev `status`: 1 COMPLETE, 2 ABORTED (the node's fault), 3 CANCELLED (client or relayer). Zero is no status.
struct ReceiptBody {
    bytes32 assignmentHash;
    bytes32 sessionId;
    bytes32 taskId;
    uint16 subtask;
    uint8 attempt;
    uint8 role;
    bytes32 prevReceiptHash;
    bytes32 outputCommit;
    uint32 inputTokens;
    uint32 outputTokens;
    uint96 fee;
    uint48 startedAt;
    uint48 finishedAt;
    uint8 status;
}

bytes32 constant RECEIPT_BODY_TYPEHASH = keccak256(
    "ReceiptBody(bytes32 assignmentHash,bytes32 sessionId,bytes32 taskId,uint16 subtask,uint8 attempt,"
    "uint8 role,bytes32 prevReceiptHash,bytes32 outputCommit,uint32 inputTokens,uint32 outputTokens,"
    "uint96 fee,uint48 startedAt,uint48 finishedAt,uint8 status)"
);

library ReceiptBodyLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(ReceiptBody memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_BODY_TYPEHASH, value));
    }
}

using ReceiptBodyLib for ReceiptBody global;
