// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IEscrow} from "./IEscrow.sol";

/// @title An address of its own for each payer's deposits
/// @notice Whatever pay tokens reach a payer's box are that payer's, however they came: an ERC-3009 transfer authorization (what
/// x402's `exact` scheme signs) that anyone submitted, a plain transfer, an exchange's withdrawal. Anyone may credit them.
/// @dev Beside the Escrow and without rights in it: every box ends in depositFor. A box's address is known before it has code.
interface IDepositBoxes {
    /// @notice The box of `payer` has code from now on.
    /// @param payer whose tokens it holds.
    /// @param box its address, the same before and after.
    event BoxOpened(address indexed payer, address indexed box);
    /// @notice What lay in a box is in the free balance of `payer` at the Escrow.
    /// @param payer who was credited.
    /// @param box where it lay.
    /// @param amount in the pay token's smallest unit.
    event Collected(address indexed payer, address indexed box, uint96 amount);
    /// @notice A payer took tokens out of its box without the Escrow.
    /// @param payer whose box it is.
    /// @param token which was taken, the pay token or another.
    /// @param to who received them.
    /// @param amount in that token's smallest unit.
    event TakenOut(address indexed payer, IERC20 indexed token, address indexed to, uint256 amount);

    /// @notice The box holds nothing of that token.
    /// @param payer whose box was asked for.
    /// @param box its address.
    error BoxIsEmpty(address payer, address box);
    /// @notice The zero address has no box and receives nothing.
    error NoAddress();

    /// @notice Credits `payer` at the Escrow with all that lies in its box. Anyone may send it, as often as there is something.
    /// @param payer whose box is emptied, and who is credited.
    /// @return amount what was credited, in the pay token's smallest unit.
    function collect(address payer) external returns (uint96 amount);

    /// @notice The same after submitting an ERC-3009 transferWithAuthorization from `payer` to its box.
    /// @dev An authorization that somebody else submitted first does no harm: what it moved lies in the box. One that was
    /// cancelled moves nothing, so nothing is credited for it.
    /// @param payer who signed, and who is credited.
    /// @param amount that the authorization moves.
    /// @param validAfter unix seconds, as signed.
    /// @param validBefore unix seconds, as signed.
    /// @param nonce as signed.
    /// @param v of the signature.
    /// @param r of the signature.
    /// @param s of the signature.
    /// @return credited all that lay in the box, at least `amount` where this call submitted the authorization.
    function collectWithAuthorization(
        address payer,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint96 credited);

    /// @notice Takes the caller's own tokens out of its box without the Escrow: tokens sent by mistake, too.
    /// @param token which to take.
    /// @param to who receives them.
    /// @return amount all that lay there of it.
    function takeOut(IERC20 token, address to) external returns (uint256 amount);

    /// @notice Where tokens for `payer` are to be sent; x402's `payTo`.
    /// @param payer who is to be credited.
    /// @return box its address, with code or without.
    function boxOf(address payer) external view returns (address box);

    /// @notice Where collected tokens go.
    /// @return the Escrow of this deployment.
    function escrow() external view returns (IEscrow);

    /// @notice What is collected.
    /// @return the Escrow's pay token.
    function payToken() external view returns (IERC20);
}
