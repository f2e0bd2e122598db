// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// @title How tokens come in and go out
/// @notice Every book of the Escrow is a part of `trackedBalance`, which only this file changes.
abstract contract Deposits is EscrowBase {
    using SafeERC20 for IERC20;

    uint256 public override trackedBalance;
    mapping(address payer => uint96) public override freeBalanceOf;

    /// @inheritdoc IEscrow
    function deposit(uint96 amount) external override nonReentrant {
        _depositFrom(msg.sender, msg.sender, amount);
    }

    /// @inheritdoc IEscrow
    function depositFor(address payer, uint96 amount) external override nonReentrant {
        _depositFrom(msg.sender, payer, amount);
    }

    /// @inheritdoc IEscrow
    function depositWithPermit(uint96 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        override
        nonReentrant
    {
        // Whoever sends the permit first uses it up and leaves the allowance behind: then the transfer below succeeds all the same.
        try IERC20Permit(address(payToken)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _depositFrom(msg.sender, msg.sender, amount);
    }

    /// @inheritdoc IEscrow
    function depositWithAuthorization(
        address payer,
        uint96 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external override nonReentrant {
        uint256 before = _beforeReceiving(payer, amount);
        IERC3009(address(payToken)).receiveWithAuthorization(
            payer, address(this), amount, validAfter, validBefore, nonce, v, r, s
        );
        _received(payer, payer, amount, before);
        // The token's events are those of a transfer that nobody credited; this one says that it was.
        emit AuthorizationDeposited(payer, nonce);
    }

    /// @inheritdoc IEscrow
    function creditArrived(address payer, uint96 amount) external override nonReentrant {
        if (msg.sender != transferProofs) revert NotTransferProofs(msg.sender);
        _beforeReceiving(payer, amount);
        _trackArrived(amount);
        _credit(payer, payer, amount);
    }

    /// @inheritdoc IEscrow
    function withdraw(uint96 amount, address to) external override nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _takeFree(msg.sender, amount);
        emit Withdrawn(msg.sender, to, amount);
        _payOut(to, amount);
    }

    function _depositFrom(address from, address payer, uint96 amount) private {
        uint256 before = _beforeReceiving(payer, amount);
        payToken.safeTransferFrom(from, address(this), amount);
        _received(payer, from, amount, before);
    }

    function _beforeReceiving(address payer, uint96 amount) private view returns (uint256 balance) {
        if (amount == 0) revert ZeroAmount();
        if (payer == address(0)) revert ZeroAddress();
        return payToken.balanceOf(address(this));
    }

    function _received(address payer, address from, uint96 amount, uint256 before) private {
        uint256 received = payToken.balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(amount, received);
        _track(amount);
        _credit(payer, from, amount);
    }

    function _credit(address payer, address from, uint96 amount) private {
        freeBalanceOf[payer] += amount;
        emit Deposited(payer, from, amount);
    }

    /// @dev Of tokens that came without a call: no book takes what another one holds.
    function _trackArrived(uint96 amount) internal {
        _track(amount);
        uint256 held = payToken.balanceOf(address(this));
        if (trackedBalance > held) revert NotFunded(trackedBalance, held);
    }

    function _track(uint96 amount) private {
        uint256 tracked = trackedBalance + amount;
        // All books together stay in 96 bits, so no single one can leave them.
        if (tracked > type(uint96).max) revert AmountTooLarge(tracked, type(uint96).max);
        trackedBalance = tracked;
    }

    function _takeFree(address payer, uint96 amount) internal {
        uint96 free = freeBalanceOf[payer];
        if (amount > free) revert InsufficientBalance(payer, free, amount);
        freeBalanceOf[payer] = free - amount;
    }

    /// @dev The amount has left its book already.
    function _payOut(address to, uint96 amount) internal {
        if (to == address(0)) revert ZeroAddress();
        trackedBalance -= amount;
        payToken.safeTransfer(to, amount);
    }
}
