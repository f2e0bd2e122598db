// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Plain ECDSA recovery that answers zero instead of reverting
/// @notice Hot, session and relayer keys are plain keys even where their address has code, so that evidence stays valid for
/// ever. The caller compares with a key that is never zero and reverts with what it expected.
library Signatures {
    /// @dev Half the group order: a greater s is the malleable twin of a lower one.
    uint256 private constant S_MAX = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @return the signer, or zero for a length other than 65, a high s, or a v other than 27 and 28.
    function recover(bytes32 digest, bytes calldata signature) internal pure returns (address) {
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        return signer;
    }

    /// @return the signer of an ERC-2098 pair, or zero for a high s.
    function recoverCompact(bytes32 digest, bytes32 r, bytes32 vs) internal pure returns (address) {
        uint256 s = uint256(vs) & type(uint256).max >> 1;
        return s > S_MAX ? address(0) : ecrecover(digest, uint8(uint256(vs) >> 255) + 27, r, bytes32(s));
    }
}
