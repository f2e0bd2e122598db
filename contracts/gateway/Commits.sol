// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {Commit, Field, IInferenceGateway} from "../interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../interfaces/IInferenceRequests.sol";
import {Requests} from "../libraries/Requests.sol";
import {Earnings} from "./Earnings.sol";

/// @title Who may answer an open request: the one that said so first, for two minutes
/// @notice Of a request one word is kept, of a commit another:
///
///     commit ──▶ exclusive for two minutes ──▶ fulfilled in time: the penalty is given back
///        │                    └──────────────▶ lapsed: the penalty is shared out; it may still answer, as others may now
///        └─ another is live: not exclusive, nothing held back; may answer once that one has lapsed
///
/// A commitment names its relayer, so a copied one opens nothing; a junk one costs the minimum penalty for two minutes of one
/// request, once.
abstract contract Commits is Earnings {
    using Requests for Request;
    using SafeERC20 for IERC20;

    uint48 private constant EXCLUSIVE_SECONDS = 2 minutes;
    uint256 private constant CALLER_PERCENT = 30;
    uint256 private constant REQUESTER_PERCENT = 20;
    /// @dev Nobody's: what goes there is gone for whoever forfeited it, so forfeiting to oneself never pays.
    address private constant NOBODY = 0x000000000000000000000000000000000000dEaD;

    struct Entry {
        RequestState state;
        bool isOpen;
        uint32 holder;
        uint48 exclusiveUntil;
    }

    /// @inheritdoc IInferenceGateway
    uint96 public immutable override minimumPenalty;

    mapping(bytes32 requestId => Entry) internal entries;
    mapping(bytes32 requestId => mapping(uint32 relayerId => Commit)) private commits;

    constructor(uint96 minimumPenalty_) {
        if (minimumPenalty_ == 0) revert ZeroAmount();
        minimumPenalty = minimumPenalty_;
    }

    /// @inheritdoc IInferenceGateway
    function commit(bytes32 requestId, uint32 relayerId, bytes32 commitment) external override nonReentrant {
        _checkCommitter(relayerId);
        Entry storage entry = entries[requestId];
        if (entry.state != RequestState.PENDING) revert NotPending(requestId, entry.state);
        if (!entry.isOpen) revert NotOpen(requestId);
        if (commitment == 0) revert EmptyCommitment();
        Commit storage own = commits[requestId][relayerId];
        if (own.madeInBlock != 0) revert CommittedAlready(requestId, relayerId);
        uint48 exclusiveUntil;
        if (block.timestamp >= entry.exclusiveUntil) {
            exclusiveUntil = uint48(block.timestamp) + EXCLUSIVE_SECONDS;
            (entry.holder, entry.exclusiveUntil) = (relayerId, exclusiveUntil);
            _holdPenalty(relayerId);
        }
        (own.digest, own.madeInBlock, own.exclusiveUntil) = (bytes20(commitment), uint48(block.number), exclusiveUntil);
        emit Committed(requestId, relayerId, commitment, exclusiveUntil);
    }

    /// @inheritdoc IInferenceGateway
    function forfeit(Request calldata request_, uint32 relayerId) external override nonReentrant {
        bytes32 requestId = request_.id(address(this));
        Commit storage own = commits[requestId][relayerId];
        uint48 until = own.exclusiveUntil;
        if (until == 0 || block.timestamp < until) revert NotLapsed(requestId, relayerId, until);
        own.exclusiveUntil = 0;
        uint96 toCaller = uint96(minimumPenalty * CALLER_PERCENT / 100);
        uint96 toRequester = uint96(minimumPenalty * REQUESTER_PERCENT / 100);
        uint96 burned = minimumPenalty - toCaller - toRequester;
        _credit(msg.sender, toCaller);
        _credit(request_.requester, toRequester);
        _credit(NOBODY, burned);
        emit Forfeited(requestId, relayerId, toCaller, toRequester, burned);
    }

    /// @inheritdoc IInferenceGateway
    function bondCommits(uint32 relayerId, uint96 amount) external override nonReentrant {
        if (relayerRegistry.ownerOf(relayerId) == address(0)) revert UnknownRelayer(relayerId);
        // First, so that the sum is one of tokens that are here.
        _pull(amount);
        relayerBooks[relayerId].commitBond += amount;
        emit CommitBonded(relayerId, msg.sender, amount);
    }

    /// @inheritdoc IInferenceGateway
    function withdrawCommitBond(uint32 relayerId, uint96 amount, address to) external override nonReentrant {
        _checkRelayerOwner(relayerId, to);
        if (amount == 0) revert ZeroAmount();
        uint96 bonded = relayerBooks[relayerId].commitBond;
        if (amount > bonded) revert CommitBondTooSmall(relayerId, bonded, amount);
        relayerBooks[relayerId].commitBond = bonded - amount;
        emit CommitBondWithdrawn(relayerId, to, amount);
        payToken.safeTransfer(to, amount);
    }

    /// @inheritdoc IInferenceRequests
    function stateOf(bytes32 requestId) external view override returns (RequestState) {
        return entries[requestId].state;
    }

    /// @inheritdoc IInferenceGateway
    function commitOf(bytes32 requestId, uint32 relayerId) external view override returns (Commit memory) {
        return commits[requestId][relayerId];
    }

    /// @dev Who answers in time gets the penalty back; who is late may still answer, where nobody else's turn it is.
    function _openCommit(bytes32 requestId, uint32 relayerId, bytes32 receiptHash, bytes32 salt) internal {
        Commit memory own = commits[requestId][relayerId];
        if (own.madeInBlock == 0) revert NotCommitted(requestId, relayerId);
        if (own.madeInBlock >= block.number) revert CommitTooFresh(requestId, relayerId, own.madeInBlock);
        bytes20 opened = bytes20(keccak256(abi.encode(receiptHash, relayerId, salt)));
        if (opened != own.digest) revert FieldMismatch(Field.COMMIT_DIGEST, uint160(opened), uint160(own.digest));
        Entry memory entry = entries[requestId];
        bool isLive = block.timestamp < entry.exclusiveUntil;
        if (isLive && entry.holder != relayerId) revert ExclusiveToOther(requestId, entry.holder, entry.exclusiveUntil);
        if (!isLive || own.exclusiveUntil == 0) return;
        commits[requestId][relayerId].exclusiveUntil = 0;
        relayerBooks[relayerId].commitBond += minimumPenalty;
    }

    function _checkCommitter(uint32 relayerId) private view {
        address poster = relayerRegistry.posterOf(relayerId);
        if (msg.sender != poster) revert NotPoster(relayerId, msg.sender, poster);
        uint96 bonded = bondVault.activeBondOf(Party.RELAYER, relayerId);
        if (bonded < minimumPenalty) revert RelayerNotBonded(relayerId, bonded, minimumPenalty);
        if (bondVault.isJailed(Party.RELAYER, relayerId)) revert RelayerJailed(relayerId);
    }

    function _holdPenalty(uint32 relayerId) private {
        uint96 bonded = relayerBooks[relayerId].commitBond;
        if (bonded < minimumPenalty) revert CommitBondTooSmall(relayerId, bonded, minimumPenalty);
        relayerBooks[relayerId].commitBond = bonded - minimumPenalty;
    }
}
