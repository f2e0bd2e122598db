// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice Raises what a session may be charged in all, signed with the session key.
/// @dev `cumulativeCap` = charged so far + the charges that all orders in flight may reach; the voucher with the greatest cap counts.
struct Voucher {
    bytes32 sessionId;
    uint96 cumulativeCap;
    bytes32 taskId;
}

bytes32 constant VOUCHER_TYPEHASH =
    keccak256("Voucher(bytes32 sessionId,uint96 cumulativeCap,bytes32 taskId)");

library VoucherLib {
    /// @dev EIP-712 hashStruct: all members are static, so abi.encode lays them out as encodeData does.
    function hash(Voucher memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPEHASH, value));
    }
}

using VoucherLib for Voucher global;
