// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Bond, Party} from "../interfaces/IBondVault.sol";
import {Commit, Field, IInferenceGateway} from "../interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../interfaces/IInferenceRequests.sol";
import {Requests} from "../libraries/Requests.sol";
import {Earnings} from "./Earnings.sol";

/// @title Who may answer an open request: the one that said so first, for two minutes
/// @notice The live commit stands in the request's own slot; only commits beside it, and those that lapsed, get one of their own:
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

    /// @dev One slot. `holder` is the relayer of the last exclusive commit, 0 once its penalty was dealt with; the commit was made
    /// two minutes before `exclusiveUntil`, which is 0 as long as nobody committed.
    struct Entry {
        RequestState state;
        bool isOpen;
        uint32 holder;
        uint48 exclusiveUntil;
        bytes20 digest;
    }

    /// @inheritdoc IInferenceGateway
    uint96 public immutable override minimumPenalty;

    mapping(bytes32 requestId => Entry) internal entries;
    /// @dev Commits that do not stand in their request's entry.
    mapping(bytes32 requestId => mapping(uint32 relayerId => Commit)) private aside;

    constructor(uint96 minimumPenalty_) {
        if (minimumPenalty_ == 0) revert ZeroAmount();
        minimumPenalty = minimumPenalty_;
    }

    /// @inheritdoc IInferenceGateway
    function commit(bytes32 requestId, uint32 relayerId, bytes32 commitment) external override nonReentrant {
        _checkCommitter(relayerId);
        Entry memory entry = entries[requestId];
        if (entry.state != RequestState.PENDING) revert NotPending(requestId, entry.state);
        if (!entry.isOpen) revert NotOpen(requestId);
        if (commitment == 0) revert EmptyCommitment();
        if (_commitOf(entry, requestId, relayerId).madeAt != 0) revert CommittedAlready(requestId, relayerId);
        bytes20 digest = bytes20(commitment);
        uint48 exclusiveUntil;
        if (block.timestamp < entry.exclusiveUntil) {
            aside[requestId][relayerId] = Commit(digest, uint48(block.timestamp), 0);
        } else {
            if (entry.holder != 0) aside[requestId][entry.holder] = _commitIn(entry);
            exclusiveUntil = uint48(block.timestamp) + EXCLUSIVE_SECONDS;
            entries[requestId] = Entry(RequestState.PENDING, true, relayerId, exclusiveUntil, digest);
            _holdPenalty(relayerId);
        }
        emit Committed(requestId, relayerId, commitment, exclusiveUntil);
    }

    /// @inheritdoc IInferenceGateway
    function forfeit(Request calldata request_, uint32 relayerId) external override nonReentrant {
        bytes32 requestId = request_.id(address(this));
        Commit memory own = commitOf(requestId, relayerId);
        if (own.exclusiveUntil == 0 || block.timestamp < own.exclusiveUntil) {
            revert NotLapsed(requestId, relayerId, own.exclusiveUntil);
        }
        own.exclusiveUntil = 0;
        aside[requestId][relayerId] = own;
        if (entries[requestId].holder == relayerId) entries[requestId].holder = 0;
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
    function commitOf(bytes32 requestId, uint32 relayerId) public view override returns (Commit memory) {
        return _commitOf(entries[requestId], requestId, relayerId);
    }

    /// @notice Ends a request by an answer. Who answers in time gets the penalty back; who is late may still answer, where
    /// nobody else's turn it is.
    function _end(bytes32 requestId, uint32 relayerId, bytes32 receiptHash, bytes32 salt) internal {
        Entry memory entry = entries[requestId];
        entry.state = RequestState.FULFILLED;
        if (entry.isOpen) {
            Commit memory own = _commitOf(entry, requestId, relayerId);
            _checkOpened(requestId, relayerId, own, keccak256(abi.encode(receiptHash, relayerId, salt)));
            if (block.timestamp < entry.exclusiveUntil) {
                if (entry.holder != relayerId) {
                    revert ExclusiveToOther(requestId, entry.holder, entry.exclusiveUntil);
                }
                (entry.holder, entry.digest) = (0, 0);
                relayerBooks[relayerId].commitBond += minimumPenalty;
            }
        }
        entries[requestId] = entry;
    }

    function _checkOpened(bytes32 requestId, uint32 relayerId, Commit memory own, bytes32 opened) private view {
        if (own.madeAt == 0) revert NotCommitted(requestId, relayerId);
        // Time that has moved on is a later block, on every chain.
        if (own.madeAt >= block.timestamp) revert CommitTooFresh(requestId, relayerId, own.madeAt);
        if (bytes20(opened) != own.digest) {
            revert FieldMismatch(Field.COMMIT_DIGEST, uint160(bytes20(opened)), uint160(own.digest));
        }
    }

    function _checkCommitter(uint32 relayerId) private view {
        address poster = relayerRegistry.posterOf(relayerId);
        if (msg.sender != poster) revert NotPoster(relayerId, msg.sender, poster);
        Bond memory bond = bondVault.bondOf(Party.RELAYER, relayerId);
        if (bond.active < minimumPenalty) revert RelayerNotBonded(relayerId, bond.active, minimumPenalty);
        if (block.timestamp < bond.jailedUntil) revert RelayerJailed(relayerId);
    }

    function _holdPenalty(uint32 relayerId) private {
        uint96 bonded = relayerBooks[relayerId].commitBond;
        if (bonded < minimumPenalty) revert CommitBondTooSmall(relayerId, bonded, minimumPenalty);
        relayerBooks[relayerId].commitBond = bonded - minimumPenalty;
    }

    function _commitOf(Entry memory entry, bytes32 requestId, uint32 relayerId) private view returns (Commit memory own) {
        // The first commit is always exclusive: before it, none stands aside.
        if (entry.exclusiveUntil == 0 || relayerId == 0) return own;
        return entry.holder == relayerId ? _commitIn(entry) : aside[requestId][relayerId];
    }

    function _commitIn(Entry memory entry) private pure returns (Commit memory) {
        return Commit(entry.digest, entry.exclusiveUntil - EXCLUSIVE_SECONDS, entry.exclusiveUntil);
    }
}
