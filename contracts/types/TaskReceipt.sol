// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ReceiptBody, ReceiptBodyLib} from "./ReceiptBody.sol";

/// @notice A node's signed claim: the body, and the tab's running total after it.
/// @dev `nodeSeq` = unix milliseconds << 20 | counter; `nodeCumulative` is the sum of fees of this tab.
struct TaskReceipt {
    ReceiptBody body;
    uint32 nodeId;
    uint32 relayerId;
    uint32 keyEpoch;
    uint64 nodeSeq;
    uint96 nodeCumulative;
}

bytes32 constant TASK_RECEIPT_TYPEHASH = keccak256(
    "TaskReceipt(ReceiptBody body,uint32 nodeId,uint32 relayerId,uint32 keyEpoch,uint64 nodeSeq,"
    "uint96 nodeCumulative)ReceiptBody(bytes32 assignmentHash,bytes32 sessionId,bytes32 taskId,"
    "uint16 subtask,uint8 attempt,uint8 role,bytes32 prevReceiptHash,bytes32 outputCommit,"
    "uint32 inputTokens,uint32 outputTokens,uint96 fee,uint48 startedAt,uint48 finishedAt,uint8 status)"
);

library TaskReceiptLib {
    /// @dev EIP-712 hashStruct; the nested body enters as its own hash.
    function hash(TaskReceipt memory r) internal pure returns (bytes32) {
        return hashWithBody(r, ReceiptBodyLib.hash(r.body));
    }

    /// @dev The same where the body travels as its hash only.
    function hashWithBody(TaskReceipt memory r, bytes32 bodyHash) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                TASK_RECEIPT_TYPEHASH, bodyHash, r.nodeId, r.relayerId, r.keyEpoch, r.nodeSeq, r.nodeCumulative
            )
        );
    }
}

using TaskReceiptLib for TaskReceipt global;
