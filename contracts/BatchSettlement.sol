// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Batch, Credit, Debit, IBatchSettlement} from "./interfaces/IBatchSettlement.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IKeyRing} from "./interfaces/IKeyRing.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "./interfaces/IRelayerRegistry.sol";
import {IVoids} from "./interfaces/IVoids.sol";
import {Escrow} from "./Escrow.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {TidelaneDomain} from "./libraries/TidelaneDomain.sol";
import {Forces} from "./settlement/Forces.sol";
import {BatchHeader} from "./types/BatchHeader.sol";

/// @title Verifies a batch of settlements, moves debits to credits, stores the roots
contract BatchSettlement is IBatchSettlement, Forces {
    Escrow public immutable escrow;
    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    IBondVault public immutable bondVault;
    /// @notice Says which batches and leaves no longer count; zero in a deployment without fraud proofs.
    address public immutable fraudProofs;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;

    mapping(uint32 relayerId => uint64) private lastBatchIds;
    mapping(uint32 relayerId => mapping(uint64 batchId => Batch)) private batches;

    /// @param escrow_ deployed before this contract, like the registries that it names, for the address that this contract gets.
    constructor(Escrow escrow_) TidelaneDomain(address(this)) {
        escrow = escrow_;
        nodeRegistry = escrow_.nodeRegistry();
        relayerRegistry = escrow_.relayerRegistry();
        bondVault = escrow_.bondVault();
        fraudProofs = escrow_.fraudProofs();
        windowSeconds = escrow_.windowSeconds();
        _expectThis(address(escrow_));
        _expectThis(address(escrow_.nodeRegistry()));
        _expectThis(address(escrow_.relayerRegistry()));
    }

    /// @inheritdoc IBatchSettlement
    function postBatch(
        BatchHeader calldata header,
        bytes calldata signature,
        Debit[] calldata,
        Credit[] calldata
    ) external override returns (bytes32 batchHash) {
        batchHash = header.hash();
        _checkHeader(header, batchHash, signature);
        _checkChain(header);
        _store(header, batchHash);
        emit BatchPosted(header.relayerId, header.batchId, batchHash, header);
        // The items are checked where their books are: settle takes the very arguments of this call, so they go on unread.
        Address.functionCall(address(escrow), bytes.concat(IEscrow.settle.selector, msg.data[4:]));
    }

    /// @inheritdoc IBatchSettlement
    function domainSeparator() external view override returns (bytes32) {
        return _domainSeparator();
    }

    /// @inheritdoc IBatchSettlement
    function lastBatchOf(uint32 relayerId) external view override returns (uint64 batchId, bytes32 batchHash) {
        batchId = lastBatchIds[relayerId];
        batchHash = batches[relayerId][batchId].batchHash;
    }

    /// @inheritdoc IBatchSettlement
    function batchOf(uint32 relayerId, uint64 batchId) external view override returns (Batch memory) {
        return batches[relayerId][batchId];
    }

    function _expectThis(address sibling) private view {
        address named = TidelaneDomain(sibling).verifyingContract();
        if (named != address(this)) revert Miswired(sibling, named);
    }

    /// @dev Who posts, who signed, and when. A closed key still speaks for the time in which it was open.
    function _checkHeader(BatchHeader calldata header, bytes32 batchHash, bytes calldata signature) private view {
        (address poster, address key, uint48 closedAt) =
            relayerRegistry.posterAndKeyOf(header.relayerId, header.relayerEpoch);
        if (msg.sender != poster) revert NotPoster(header.relayerId, msg.sender, poster);
        if (key == address(0)) revert UnknownRelayerEpoch(header.relayerId, header.relayerEpoch);
        _checkTimes(header);
        // Posted within W / 2 of its end, a period cannot lie long before the epoch opened; only its closing is to be asked.
        if (closedAt != 0 && header.periodEnd >= closedAt + windowSeconds) {
            revert PeriodAfterKeyEpoch(header.periodEnd, closedAt);
        }
        address recovered = Signatures.recover(_digest(batchHash), signature);
        if (recovered != key) revert HeaderSignatureInvalid(key, recovered);
    }

    function _checkTimes(BatchHeader calldata header) private view {
        bool ordered = header.periodStart <= header.periodEnd && header.periodEnd <= block.timestamp
            && block.timestamp <= header.postBy
            && header.postBy <= uint256(header.periodEnd) + windowSeconds / 2;
        if (!ordered) revert WrongTimes(header.periodStart, header.periodEnd, header.postBy, block.timestamp);
    }

    function _checkChain(BatchHeader calldata header) private view {
        uint64 last = lastBatchIds[header.relayerId];
        if (header.batchId != last + 1) revert WrongBatchId(header.relayerId, header.batchId, last + 1);
        bytes32 prevHash = batches[header.relayerId][last].batchHash;
        if (header.prevBatchHash != prevHash) {
            revert WrongPrevBatchHash(header.relayerId, header.prevBatchHash, prevHash);
        }
        if (header.leafCount == 0 || header.leafCount > MerkleSum.LEAF_COUNT_MAX) {
            revert LeafCountOutOfRange(header.leafCount, MerkleSum.LEAF_COUNT_MAX);
        }
        if (header.sessionRoot == 0 || header.tabRoot == 0) revert EmptyRoot(header.sessionRoot, header.tabRoot);
    }

    function _store(BatchHeader calldata header, bytes32 batchHash) private {
        lastBatchIds[header.relayerId] = header.batchId;
        batches[header.relayerId][header.batchId] = Batch({
            batchHash: batchHash,
            sessionRoot: header.sessionRoot,
            tabRoot: header.tabRoot,
            totalDebit: header.totalDebit,
            totalCredit: header.totalCredit,
            leafCount: header.leafCount,
            postedAt: uint32(block.timestamp)
        });
    }

    function _batchOf(uint32 relayerId, uint64 batchId) internal view override returns (Batch memory) {
        return batches[relayerId][batchId];
    }

    function _escrow() internal view override returns (IEscrow) {
        return escrow;
    }

    function _bondVault() internal view override returns (IBondVault) {
        return bondVault;
    }

    function _voids() internal view override returns (IVoids) {
        return IVoids(fraudProofs);
    }

    function _registries() internal view override returns (IKeyRing, IKeyRing) {
        return (nodeRegistry, relayerRegistry);
    }

    function _window() internal view override returns (uint48) {
        return windowSeconds;
    }
}
