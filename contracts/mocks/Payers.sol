// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title A contract wallet that accepts what its owner says, and may change its mind
/// @notice Deployed in tests only.
contract WalletMock is IERC1271 {
    mapping(bytes32 digest => bool) public accepted;

    function accept(bytes32 digest, bool yes) external {
        accepted[digest] = yes;
    }

    /// @notice Lets the test act as the wallet.
    function execute(address target, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call(data);
        require(ok, "call failed");
        return answer;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view override returns (bytes4) {
        return accepted[digest] ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
