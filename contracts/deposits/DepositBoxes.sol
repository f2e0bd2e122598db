// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDepositBoxes} from "../interfaces/IDepositBoxes.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {EscrowBase} from "../escrow/EscrowBase.sol";
import {DepositBox} from "./DepositBox.sol";

/// @title An address of its own for each payer's deposits
/// @notice A signature cannot tell a used ERC-3009 authorization from a cancelled one, but a balance can: what lies at an address
/// made for one payer alone is that payer's. So nobody's deposit can be claimed by another, whoever submits what first.
/// @dev Keeps no state: a box's address follows from the payer's, the rest is the token's balance.
contract DepositBoxes is IDepositBoxes {
    using SafeERC20 for IERC20;

    IEscrow public immutable override escrow;
    IERC20 public immutable override payToken;
    address private immutable implementation;

    /// @param escrow_ whose free balances are credited.
    constructor(EscrowBase escrow_) {
        escrow = escrow_;
        payToken = escrow_.payToken();
        implementation = address(new DepositBox());
        // For good: the Escrow takes tokens of nobody but its caller, and nothing stays here between two calls.
        escrow_.payToken().forceApprove(address(escrow_), type(uint256).max);
    }

    /// @inheritdoc IDepositBoxes
    function collect(address payer) public override returns (uint96 amount) {
        address box = boxOf(payer);
        uint256 held = payToken.balanceOf(box);
        if (held == 0) revert BoxIsEmpty(payer, box);
        // More than all books together could hold waits for the next call.
        amount = held > type(uint96).max ? type(uint96).max : uint96(held);
        _open(payer, box).hand(payToken, address(this), amount);
        escrow.depositFor(payer, amount);
        emit Collected(payer, box, amount);
    }

    /// @inheritdoc IDepositBoxes
    function collectWithAuthorization(
        address payer,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external override returns (uint96 credited) {
        // Whoever submits it first moves the same tokens to the same box: then the collection below succeeds all the same.
        try IERC3009(address(payToken)).transferWithAuthorization(
            payer, boxOf(payer), amount, validAfter, validBefore, nonce, v, r, s
        ) {} catch {}
        return collect(payer);
    }

    /// @inheritdoc IDepositBoxes
    function takeOut(IERC20 token, address to) external override returns (uint256 amount) {
        if (to == address(0)) revert NoAddress();
        address box = boxOf(msg.sender);
        amount = token.balanceOf(box);
        if (amount == 0) revert BoxIsEmpty(msg.sender, box);
        emit TakenOut(msg.sender, token, to, amount);
        _open(msg.sender, box).hand(token, to, amount);
    }

    /// @inheritdoc IDepositBoxes
    function boxOf(address payer) public view override returns (address box) {
        if (payer == address(0)) revert NoAddress();
        return Clones.predictDeterministicAddress(implementation, _saltOf(payer));
    }

    /// @dev With code from the first call on; whoever sends that call pays for it.
    function _open(address payer, address box) private returns (DepositBox) {
        if (box.code.length == 0) {
            Clones.cloneDeterministic(implementation, _saltOf(payer));
            emit BoxOpened(payer, box);
        }
        return DepositBox(box);
    }

    function _saltOf(address payer) private pure returns (bytes32) {
        return bytes32(uint256(uint160(payer)));
    }
}
