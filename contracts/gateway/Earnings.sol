// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {CommitterAccount, IInferenceGateway, NodeAccount} from "../interfaces/IInferenceGateway.sol";
import {Maturity, Trail} from "../libraries/Maturity.sol";
import {Balances} from "./Balances.sol";

/// @title What nodes and relayers earn by requests: direct counters that mature as tabs and fees do
abstract contract Earnings is Balances {
    using Maturity for Trail;
    using SafeERC20 for IERC20;

    uint48 private constant CREDIT_PERIOD_WINDOWS = 3;
    uint48 private constant FEE_PERIOD_WINDOWS = 7;

    struct NodeBook {
        uint96 earned;
        uint96 claimed;
        uint32 lastPeriod;
        Trail trail;
    }

    struct RelayerBook {
        // written by every commit and every fulfilment
        uint96 fees;
        uint96 commitBond;
        uint32 lastPeriod;
        // written by the first fulfilment of a period
        Trail trail;
        uint96 feesClaimed;
    }

    mapping(uint32 nodeId => NodeBook) private nodeBooks;
    mapping(uint32 relayerId => RelayerBook) internal relayerBooks;

    /// @inheritdoc IInferenceGateway
    function claimNode(uint32 nodeId) external override nonReentrant returns (uint96 amount) {
        amount = claimableNode(nodeId);
        if (amount == 0) revert NothingMatured(nodeId);
        nodeBooks[nodeId].claimed += amount;
        address payout = nodeRegistry.payoutOf(nodeId);
        emit NodeClaimed(nodeId, payout, amount);
        payToken.safeTransfer(payout, amount);
    }

    /// @inheritdoc IInferenceGateway
    function claimRelayerFee(uint32 relayerId, address to) external override nonReentrant returns (uint96 amount) {
        _checkRelayerOwner(relayerId, to);
        amount = claimableRelayerFee(relayerId);
        if (amount == 0) revert NothingMatured(relayerId);
        RelayerBook storage book = relayerBooks[relayerId];
        _checkSeedsRevealed(relayerId, book.lastPeriod);
        book.feesClaimed += amount;
        emit RelayerFeeClaimed(relayerId, to, amount);
        payToken.safeTransfer(to, amount);
    }

    /// @inheritdoc IInferenceGateway
    function nodeAccountOf(uint32 nodeId) external view override returns (NodeAccount memory) {
        NodeBook storage book = nodeBooks[nodeId];
        return NodeAccount(book.earned, _maturedOf(book), book.claimed);
    }

    /// @inheritdoc IInferenceGateway
    function relayerAccountOf(uint32 relayerId) external view override returns (CommitterAccount memory) {
        RelayerBook storage book = relayerBooks[relayerId];
        return CommitterAccount(book.fees, _maturedOf(book), book.feesClaimed, book.commitBond);
    }

    /// @inheritdoc IInferenceGateway
    function claimableNode(uint32 nodeId) public view override returns (uint96) {
        NodeBook storage book = nodeBooks[nodeId];
        return _maturedOf(book) - book.claimed;
    }

    /// @inheritdoc IInferenceGateway
    function claimableRelayerFee(uint32 relayerId) public view override returns (uint96) {
        RelayerBook storage book = relayerBooks[relayerId];
        return _maturedOf(book) - book.feesClaimed;
    }

    /// @dev Both amounts are parts of one maxFee, so all of them together are tokens that came in.
    function _earn(uint32 nodeId, uint96 fee, uint32 relayerId, uint96 relayerFee) internal {
        NodeBook storage node = nodeBooks[nodeId];
        (uint96 earned, uint32 lastPeriod) = (node.earned, node.lastPeriod);
        uint32 period = _period(CREDIT_PERIOD_WINDOWS);
        // Of nothing there is no checkpoint to keep.
        if (lastPeriod != period && earned != 0) node.trail.roll(lastPeriod, earned);
        (node.earned, node.lastPeriod) = (earned + fee, period);
        if (relayerFee == 0) return;
        RelayerBook storage relayer = relayerBooks[relayerId];
        (earned, lastPeriod) = (relayer.fees, relayer.lastPeriod);
        period = _period(FEE_PERIOD_WINDOWS);
        if (lastPeriod != period && earned != 0) relayer.trail.roll(lastPeriod, earned);
        (relayer.fees, relayer.lastPeriod) = (earned + relayerFee, period);
    }

    function _checkRelayerOwner(uint32 relayerId, address to) internal view {
        if (msg.sender != relayerRegistry.ownerOf(relayerId)) revert NotRelayerOwner(relayerId, msg.sender);
        if (to == address(0)) revert ZeroAddress();
    }

    /// @dev As the Escrow asks it of batches' fees: seeds up to the end of the last period that has matured, or of the last fee.
    function _checkSeedsRevealed(uint32 relayerId, uint32 lastPeriod) private view {
        uint256 lastOfFees = uint256(lastPeriod) + 1;
        uint256 lastOfMatured = uint256(_period(FEE_PERIOD_WINDOWS)) - 1;
        uint256 period = lastOfFees < lastOfMatured ? lastOfFees : lastOfMatured;
        uint256 needed = period * FEE_PERIOD_WINDOWS * windowSeconds;
        uint256 revealed = saturationBoard.revealedUntil(relayerId);
        if (revealed < needed) revert SeedsNotRevealed(relayerId, revealed, needed);
    }

    function _maturedOf(NodeBook storage book) private view returns (uint96) {
        return book.trail.matured(book.lastPeriod, _period(CREDIT_PERIOD_WINDOWS), book.earned);
    }

    function _maturedOf(RelayerBook storage book) private view returns (uint96) {
        return book.trail.matured(book.lastPeriod, _period(FEE_PERIOD_WINDOWS), book.fees);
    }

    function _period(uint48 windows) private view returns (uint32) {
        return uint32(block.timestamp / (windows * windowSeconds));
    }
}
