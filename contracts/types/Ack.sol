// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice The relayer's signed word that a receipt is journaled.
/// @dev Only acked receipts can be forced; time in unix seconds.
struct Ack {
    bytes32 receiptHash;
    uint32 relayerId;
    uint32 relayerEpoch;
    uint48 ackedAt;
}

bytes32 constant ACK_TYPEHASH =
    keccak256("Ack(bytes32 receiptHash,uint32 relayerId,uint32 relayerEpoch,uint48 ackedAt)");

library AckLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(Ack memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(ACK_TYPEHASH, value));
    }
}

using AckLib for Ack global;
