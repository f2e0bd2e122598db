// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice A node's signed answer that it cannot take an assignment.
/// @dev Binds the assignment and the attestation that it contradicts or confirms; time in unix milliseconds.
struct Refusal {
    bytes32 assignmentHash;
    uint32 nodeId;
    uint32 relayerId;
    uint32 keyEpoch;
    uint64 attestationSeq;
    uint16 accepted;
    uint8 reason;
    uint48 refusedAtMs;
}

bytes32 constant REFUSAL_TYPEHASH = keccak256(
    "Refusal(bytes32 assignmentHash,uint32 nodeId,uint32 relayerId,uint32 keyEpoch,uint64 attestationSeq,"
    "uint16 accepted,uint8 reason,uint48 refusedAtMs)"
);

library RefusalLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(Refusal memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(REFUSAL_TYPEHASH, value));
    }
}

using RefusalLib for Refusal global;
