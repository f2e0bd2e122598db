// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice A node's signed saturation vector and grant of slots to one relayer.
/// @dev Saturations in basis points; times in unix milliseconds; `seq` as in TaskReceipt.
struct SaturationAttestation {
    uint32 nodeId;
    uint32 relayerId;
    uint32 keyEpoch;
    uint64 seq;
    bytes32 prevHash;
    uint16 slots;
    uint16 prepSlots;
    uint16 computeBps;
    uint16 memoryBps;
    uint16 queueBps;
    uint16 networkBps;
    uint32 queuedTokens;
    uint32 kvFreeTokens;
    bytes32 offersHash;
    uint48 observedAtMs;
    uint48 validUntilMs;
}

bytes32 constant SATURATION_ATTESTATION_TYPEHASH = keccak256(
    "SaturationAttestation(uint32 nodeId,uint32 relayerId,uint32 keyEpoch,uint64 seq,bytes32 prevHash,"
    "uint16 slots,uint16 prepSlots,uint16 computeBps,uint16 memoryBps,uint16 queueBps,uint16 networkBps,"
    "uint32 queuedTokens,uint32 kvFreeTokens,bytes32 offersHash,uint48 observedAtMs,uint48 validUntilMs)"
);

library SaturationAttestationLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(SaturationAttestation memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(SATURATION_ATTESTATION_TYPEHASH, value));
    }
}

using SaturationAttestationLib for SaturationAttestation global;
