// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../BatchSettlement.sol";
import {Escrow} from "../Escrow.sol";
import {Batch} from "../interfaces/IBatchSettlement.sol";
import {IFraudErrors} from "../interfaces/IFraudProofs.sol";
import {IKeyRing, KeyEpoch} from "../interfaces/IKeyRing.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "../interfaces/IRelayerRegistry.sol";
import {Tree} from "../interfaces/ITaskReceipts.sol";
import {Maturity} from "../libraries/Maturity.sol";
import {MerkleSum, PathEnd} from "../libraries/MerkleSum.sol";
import {Keys, Records} from "../libraries/Records.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";
import {Entry} from "./Evidence.sol";

/// @title What every judge needs: batches, keys and paths
/// @notice A judge only reads: it answers a proof with a verdict or reverts. FraudProofs hands it the very call that it got.
abstract contract Judge is IFraudErrors, TidelaneDomain {
    uint16 internal constant WHOLE_BPS = 10_000;
    uint16 internal constant TENTH_BPS = 1_000;
    uint48 private constant CLOSED_WINDOWS = 2;
    uint48 private constant CREDIT_PERIOD_WINDOWS = 3;

    BatchSettlement public immutable batchSettlement;
    Escrow public immutable escrow;
    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;

    constructor(BatchSettlement batchSettlement_) TidelaneDomain(address(batchSettlement_)) {
        batchSettlement = batchSettlement_;
        escrow = batchSettlement_.escrow();
        nodeRegistry = batchSettlement_.nodeRegistry();
        relayerRegistry = batchSettlement_.relayerRegistry();
        windowSeconds = batchSettlement_.windowSeconds();
    }

    function _batch(uint32 relayerId, uint64 batchId) internal view returns (Batch memory batch) {
        batch = batchSettlement.batchOf(relayerId, batchId);
        if (batch.batchHash == 0) revert BatchUnknown(relayerId, batchId);
    }

    /// @notice Whether a batch's credits have not matured yet, so that they can be voided.
    function _isImmature(Batch memory batch) internal view returns (bool) {
        return Maturity.isImmature(batch.postedAt, CREDIT_PERIOD_WINDOWS * windowSeconds);
    }

    /// @return leftSum of everything left of the entry. Reverts unless it stands where it says and is its receipt's leaf.
    function _stands(Batch memory batch, Tree tree, Entry calldata entry) internal pure returns (uint256 leftSum) {
        bytes32 leafHash = MerkleSum.leafHash(entry.leaf);
        bool session = tree == Tree.SESSION;
        PathEnd memory end = MerkleSum.walk(
            leafHash, session ? entry.leaf.charge : entry.leaf.fee, entry.proof, batch.leafCount
        );
        bool stands = end.fits && end.rootHash == (session ? batch.sessionRoot : batch.tabRoot)
            && end.rootSum == (session ? batch.totalDebit : batch.totalCredit);
        if (!stands) revert LeafNotThere(batch.batchHash, leafHash, entry.proof.index);
        bytes32 receiptHash = entry.receipt.hash();
        if (receiptHash != entry.leaf.receiptHash) revert ReceiptOfOtherLeaf(entry.leaf.receiptHash, receiptHash);
        return end.leftSum;
    }

    function _sumOf(Tree tree, Entry calldata entry) internal pure returns (uint256) {
        return tree == Tree.SESSION ? entry.leaf.charge : entry.leaf.fee;
    }

    /// @dev A closed key's word counts for 2 W more: long enough for those who got it, too short for those who stole it.
    function _requireCounted(IKeyRing registry, uint32 id, uint32 epochId, bytes32 structHash, bytes calldata signature)
        internal
        view
    {
        KeyEpoch memory epoch = registry.keyOf(id, epochId);
        bool counts = epoch.key != address(0)
            && (epoch.closedAt == 0 || block.timestamp < uint256(epoch.closedAt) + CLOSED_WINDOWS * windowSeconds);
        if (!counts) revert KeyEpochOver(id, epochId, epoch.closedAt);
        _requireSigned(epoch.key, structHash, signature);
    }

    function _requireSigned(address key, bytes32 structHash, bytes calldata signature) internal view {
        if (!Records.isSigned(key, structHash, signature, _keys())) revert NotSigned(key, structHash);
    }

    function _keys() internal view returns (Keys memory) {
        return Keys(nodeRegistry, relayerRegistry, _domainSeparator(), windowSeconds);
    }

    function _payerOf(bytes32 sessionId) internal view returns (address) {
        return escrow.sessionOf(sessionId).payer;
    }
}
