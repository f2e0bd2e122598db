// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice The relayer's signed hand-over of one attempt of one subtask to one node.
/// @dev Times in unix seconds; prices per million tokens in the pay token's smallest unit; `shareCap` bounds this attempt's charge.
struct Assignment {
    bytes32 taskId;
    uint16 subtask;
    uint16 subtasks;
    uint8 attempt;
    uint32 relayerId;
    uint32 relayerEpoch;
    uint32 nodeId;
    uint32 keyEpoch;
    uint8 role;
    bytes32 voucherHash;
    bytes32 attestationHash;
    bytes32 decisionHash;
    bytes32 contextHead;
    uint96 priceInPerMTok;
    uint96 priceOutPerMTok;
    uint16 feeBps;
    uint96 shareCap;
    bytes32 inputCommit;
    uint48 issuedAt;
    uint48 deadline;
}

bytes32 constant ASSIGNMENT_TYPEHASH = keccak256(
    "Assignment(bytes32 taskId,uint16 subtask,uint16 subtasks,uint8 attempt,uint32 relayerId,"
    "uint32 relayerEpoch,uint32 nodeId,uint32 keyEpoch,uint8 role,bytes32 voucherHash,"
    "bytes32 attestationHash,bytes32 decisionHash,bytes32 contextHead,uint96 priceInPerMTok,"
    "uint96 priceOutPerMTok,uint16 feeBps,uint96 shareCap,bytes32 inputCommit,uint48 issuedAt,"
    "uint48 deadline)"
);

library AssignmentLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(Assignment memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(ASSIGNMENT_TYPEHASH, value));
    }
}

using AssignmentLib for Assignment global;
