// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Tokens of one payer, until DepositBoxes hands them on
/// @notice Runs behind a minimal proxy for each payer. It keeps no state and has one door, which only its maker opens.
contract DepositBox {
    using SafeERC20 for IERC20;

    address private immutable boxes = msg.sender;

    /// @notice Only DepositBoxes moves what lies here.
    /// @param caller who tried.
    error NotDepositBoxes(address caller);

    /// @notice Hands tokens to DepositBoxes or, where the payer asked for it, to whom it named.
    /// @param token which to hand over.
    /// @param to who receives them.
    /// @param amount in that token's smallest unit.
    function hand(IERC20 token, address to, uint256 amount) external {
        if (msg.sender != boxes) revert NotDepositBoxes(msg.sender);
        token.safeTransfer(to, amount);
    }
}
