// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice One order of a payer; the hash is the taskId.
/// @dev `maxFee` bounds the charges of all attempts together; `deadline` in unix seconds. The voucher signs it through `taskId`.
struct TaskOrder {
    bytes32 sessionId;
    uint256 nonce;
    bytes32 promptCommit;
    bytes32 modelId;
    uint8 tier;
    uint32 maxOutTokens;
    uint96 maxFee;
    uint48 deadline;
}

bytes32 constant TASK_ORDER_TYPEHASH = keccak256(
    "TaskOrder(bytes32 sessionId,uint256 nonce,bytes32 promptCommit,bytes32 modelId,uint8 tier,"
    "uint32 maxOutTokens,uint96 maxFee,uint48 deadline)"
);

library TaskOrderLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(TaskOrder memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(TASK_ORDER_TYPEHASH, value));
    }
}

using TaskOrderLib for TaskOrder global;
