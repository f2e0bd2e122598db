// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice A payer's signed budget at one relayer; the hash is the sessionId.
/// @dev Signed by `payer` (EOA, ERC-1271 or ERC-7913 through its contract). Amounts in the pay token's smallest unit; times in unix seconds. `mode`: 0 VOUCHER, 1 ALLOWANCE.
struct SpendingAuthorization {
    address payer;
    address sessionKey;
    uint32 relayerId;
    uint96 lock;
    uint96 maxTotal;
    uint96 maxPerTask;
    uint96 maxPerDay;
    uint96 maxPriceInPerMTok;
    uint96 maxPriceOutPerMTok;
    uint16 maxFeeBps;
    uint8 mode;
    uint48 validAfter;
    uint48 validUntil;
    uint256 salt;
}

bytes32 constant SPENDING_AUTHORIZATION_TYPEHASH = keccak256(
    "SpendingAuthorization(address payer,address sessionKey,uint32 relayerId,uint96 lock,uint96 maxTotal,"
    "uint96 maxPerTask,uint96 maxPerDay,uint96 maxPriceInPerMTok,uint96 maxPriceOutPerMTok,"
    "uint16 maxFeeBps,uint8 mode,uint48 validAfter,uint48 validUntil,uint256 salt)"
);

library SpendingAuthorizationLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(SpendingAuthorization memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(SPENDING_AUTHORIZATION_TYPEHASH, value));
    }
}

using SpendingAuthorizationLib for SpendingAuthorization global;
