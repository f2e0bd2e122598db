// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice A hot or signing key's agreement to stand in a registry for an owner.
/// @dev Signed with `key` itself, so that nobody can occupy a key that somebody else holds. `registry` is NodeRegistry or
/// RelayerRegistry.
struct KeyConsent {
    address registry;
    address owner;
    address key;
}

bytes32 constant KEY_CONSENT_TYPEHASH = keccak256("KeyConsent(address registry,address owner,address key)");

library KeyConsentLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(KeyConsent memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(KEY_CONSENT_TYPEHASH, value));
    }
}

using KeyConsentLib for KeyConsent global;
