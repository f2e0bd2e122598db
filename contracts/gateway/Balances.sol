// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BatchSettlement} from "../BatchSettlement.sol";
import {Escrow} from "../Escrow.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {IInferenceGateway} from "../interfaces/IInferenceGateway.sol";
import {IInferenceRequests} from "../interfaces/IInferenceRequests.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "../interfaces/IRelayerRegistry.sol";
import {ISaturationBoard} from "../interfaces/ISaturationBoard.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";

/// @title The gateway's surroundings, and how tokens and native coin come in and go out
/// @notice The gateway keeps its own money: nothing here reaches into the Escrow, and nothing there into this.
abstract contract Balances is IInferenceGateway, TidelaneDomain, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    IERC20 public immutable override payToken;
    Escrow public immutable escrow;
    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    IBondVault public immutable bondVault;
    ISaturationBoard public immutable saturationBoard;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;

    mapping(address account => uint96) public override balanceOf;
    mapping(address account => uint256) public override gasBalanceOf;

    /// @param batchSettlement deployed before this contract, as its Escrow and the board are.
    constructor(BatchSettlement batchSettlement, ISaturationBoard board) TidelaneDomain(address(batchSettlement)) {
        escrow = batchSettlement.escrow();
        address named = TidelaneDomain(address(board)).verifyingContract();
        if (named != address(batchSettlement)) revert Miswired(address(board), named);
        payToken = escrow.payToken();
        nodeRegistry = escrow.nodeRegistry();
        relayerRegistry = escrow.relayerRegistry();
        bondVault = escrow.bondVault();
        saturationBoard = board;
        windowSeconds = escrow.windowSeconds();
    }

    /// @inheritdoc IInferenceRequests
    function withdraw(address account, address to) external override nonReentrant returns (uint96 amount) {
        _checkPayee(account, to);
        amount = balanceOf[account];
        if (amount == 0) revert NothingToPay();
        balanceOf[account] = 0;
        emit Withdrawn(account, to, amount);
        payToken.safeTransfer(to, amount);
    }

    /// @inheritdoc IInferenceRequests
    function withdrawGas(address account, address payable to) external override nonReentrant returns (uint256 amount) {
        _checkPayee(account, to);
        amount = gasBalanceOf[account];
        if (amount == 0) revert NothingToPay();
        gasBalanceOf[account] = 0;
        emit GasWithdrawn(account, to, amount);
        (bool taken,) = to.call{value: amount}("");
        if (!taken) revert GasNotTaken(to);
    }

    /// @dev Sums of real tokens; a token of which 2^96 units exist in one place is refused where they come in.
    function _credit(address account, uint96 amount) internal {
        if (amount != 0) balanceOf[account] += amount;
    }

    function _creditGas(address account, uint256 amount) internal {
        if (amount != 0) gasBalanceOf[account] += amount;
    }

    /// @notice Takes tokens of the caller, or reverts where another amount arrives.
    function _pull(uint96 amount) internal {
        if (amount == 0) revert ZeroAmount();
        uint256 before = payToken.balanceOf(address(this));
        payToken.safeTransferFrom(msg.sender, address(this), amount);
        uint256 held = payToken.balanceOf(address(this));
        // Every book is a part of what is held, so below this bound no sum of them leaves 96 bits.
        if (held > type(uint96).max) revert AmountTooLarge(held, type(uint96).max);
        if (held - before != amount) revert WrongAmountReceived(amount, held - before);
    }

    function _checkPayee(address account, address to) private view {
        if (to == address(0)) revert ZeroAddress();
        if (msg.sender != account && to != account) revert NotAccount(account, msg.sender, to);
    }
}
