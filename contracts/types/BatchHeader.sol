// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice One settlement batch: what is debited, credited, and the roots and data behind it.
/// @dev Signed with the relayer's signing key of `relayerEpoch`; times in unix seconds.
struct BatchHeader {
    uint32 relayerId;
    uint32 relayerEpoch;
    uint64 batchId;
    bytes32 prevBatchHash;
    bytes32 sessionRoot;
    bytes32 tabRoot;
    uint32 leafCount;
    bytes32 debitsHash;
    bytes32 creditsHash;
    uint96 totalDebit;
    uint96 totalCredit;
    bytes32 dataHash;
    uint48 periodStart;
    uint48 periodEnd;
    uint48 postBy;
}

bytes32 constant BATCH_HEADER_TYPEHASH = keccak256(
    "BatchHeader(uint32 relayerId,uint32 relayerEpoch,uint64 batchId,bytes32 prevBatchHash,"
    "bytes32 sessionRoot,bytes32 tabRoot,uint32 leafCount,bytes32 debitsHash,bytes32 creditsHash,"
    "uint96 totalDebit,uint96 totalCredit,bytes32 dataHash,uint48 periodStart,uint48 periodEnd,"
    "uint48 postBy)"
);

library BatchHeaderLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(BatchHeader memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(BATCH_HEADER_TYPEHASH, value));
    }
}

using BatchHeaderLib for BatchHeader global;
