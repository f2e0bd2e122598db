// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Batch, Credit, Debit, IBatchSettlement} from "./interfaces/IBatchSettlement.sol";
import {KeyEpoch} from "./interfaces/IKeyRing.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "./interfaces/IRelayerRegistry.sol";
import {SessionDebit, TabCredit} from "./interfaces/IEscrow.sol";
import {Escrow} from "./Escrow.sol";
import {Items} from "./libraries/Items.sol";
import {MerkleSum} from "./libraries/MerkleSum.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {TidelaneDomain} from "./libraries/TidelaneDomain.sol";
import {BatchHeader} from "./types/BatchHeader.sol";
import {TASK_RECEIPT_TYPEHASH} from "./types/TaskReceipt.sol";
import {Voucher} from "./types/Voucher.sol";

/// @title Verifies a batch of settlements, moves debits to credits, stores the roots
contract BatchSettlement is IBatchSettlement, TidelaneDomain {
    uint256 private constant ITEMS_MAX = 500;

    Escrow public immutable escrow;
    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;

    mapping(uint32 relayerId => uint64) private lastBatchIds;
    mapping(uint32 relayerId => mapping(uint64 batchId => Batch)) private batches;

    /// @param escrow_ deployed before this contract, like the registries that it names, for the address that this contract gets.
    constructor(Escrow escrow_) TidelaneDomain(address(this)) {
        escrow = escrow_;
        nodeRegistry = escrow_.nodeRegistry();
        relayerRegistry = escrow_.relayerRegistry();
        windowSeconds = escrow_.windowSeconds();
        _expectThis(address(escrow_));
        _expectThis(address(escrow_.nodeRegistry()));
        _expectThis(address(escrow_.relayerRegistry()));
    }

    /// @inheritdoc IBatchSettlement
    function postBatch(
        BatchHeader calldata header,
        bytes calldata signature,
        Debit[] calldata debits,
        Credit[] calldata credits
    ) external override returns (bytes32 batchHash) {
        batchHash = header.hash();
        _checkHeader(header, batchHash, signature);
        _checkChain(header);
        if (debits.length + credits.length > ITEMS_MAX) revert TooManyItems(debits.length + credits.length, ITEMS_MAX);

        SessionDebit[] memory sessionDebits = _checkDebits(header, debits);
        TabCredit[] memory tabCredits = _checkCredits(header, credits);
        _store(header, batchHash);
        emit BatchPosted(header.relayerId, header.batchId, batchHash, header);

        (uint256 totalDebit, uint256 totalCredit) = escrow.settle(header.relayerId, sessionDebits, tabCredits);
        if (totalDebit != header.totalDebit || totalCredit != header.totalCredit) {
            revert WrongTotals(totalDebit, totalCredit, header.totalDebit, header.totalCredit);
        }
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
        (address poster, address key, uint48 openedAt, uint48 closedAt) =
            relayerRegistry.posterAndKeyOf(header.relayerId, header.relayerEpoch);
        if (msg.sender != poster) revert NotPoster(header.relayerId, msg.sender, poster);
        if (key == address(0)) revert UnknownRelayerEpoch(header.relayerId, header.relayerEpoch);
        _checkTimes(header);
        bool inEpoch = header.periodEnd + windowSeconds >= openedAt
            && (closedAt == 0 || header.periodEnd < closedAt + windowSeconds);
        if (!inEpoch) revert PeriodOutsideKeyEpoch(header.periodEnd, openedAt, closedAt);
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

    /// @dev Order, hash and voucher signatures; whether the signer is the session's key, the Escrow decides.
    function _checkDebits(BatchHeader calldata header, Debit[] calldata debits)
        private
        view
        returns (SessionDebit[] memory checked)
    {
        checked = new SessionDebit[](debits.length);
        uint256[] memory pairs = new uint256[](2 * debits.length);
        bytes32 previous;
        for (uint256 i = 0; i < debits.length; ++i) {
            Debit calldata debit = debits[i];
            if (debit.sessionId <= previous) revert ItemsNotAscending(previous, debit.sessionId);
            previous = debit.sessionId;
            pairs[2 * i] = uint256(debit.sessionId);
            pairs[2 * i + 1] = debit.change;
            SessionDebit memory item = checked[i];
            item.sessionId = debit.sessionId;
            item.change = debit.change;
            if (debit.cumulativeCap != 0) {
                item.cap = debit.cumulativeCap;
                item.signer = _voucherSigner(debit);
            }
        }
        bytes32 computed = Items.hash(pairs);
        if (computed != header.debitsHash) revert WrongDebitsHash(header.debitsHash, computed);
    }

    function _checkCredits(BatchHeader calldata header, Credit[] calldata credits)
        private
        view
        returns (TabCredit[] memory checked)
    {
        checked = new TabCredit[](credits.length);
        uint256[] memory pairs = new uint256[](2 * credits.length);
        uint32 previous;
        for (uint256 i = 0; i < credits.length; ++i) {
            Credit calldata credit = credits[i];
            uint32 nodeId = credit.nodeId;
            if (nodeId <= previous) revert ItemsNotAscending(bytes32(uint256(previous)), bytes32(uint256(nodeId)));
            previous = nodeId;
            pairs[2 * i] = nodeId;
            pairs[2 * i + 1] = credit.change;
            TabCredit memory item = checked[i];
            item.nodeId = nodeId;
            item.change = credit.change;
            if (credit.nodeCumulative != 0) {
                _checkReceipt(header.relayerId, credit);
                item.proven = credit.nodeCumulative;
            }
        }
        bytes32 computed = Items.hash(pairs);
        if (computed != header.creditsHash) revert WrongCreditsHash(header.creditsHash, computed);
    }

    function _voucherSigner(Debit calldata debit) private view returns (address signer) {
        Voucher memory voucher = Voucher(debit.sessionId, debit.cumulativeCap, debit.taskId);
        signer = Signatures.recoverCompact(_digest(voucher.hash()), debit.r, debit.vs);
        if (signer == address(0)) revert VoucherSignatureMalformed(debit.sessionId);
    }

    /// @dev A receipt counts under the key epoch that it names even after a rotation: it can only raise what the node itself
    /// claims, and debits bound what it is paid.
    function _checkReceipt(uint32 relayerId, Credit calldata credit) private view {
        KeyEpoch memory entry = nodeRegistry.keyOf(credit.nodeId, credit.keyEpoch);
        if (entry.key == address(0)) revert UnknownNodeEpoch(credit.nodeId, credit.keyEpoch);
        bytes32 receiptHash = keccak256(
            abi.encode(
                TASK_RECEIPT_TYPEHASH,
                credit.bodyHash,
                credit.nodeId,
                relayerId,
                credit.keyEpoch,
                credit.nodeSeq,
                credit.nodeCumulative
            )
        );
        address recovered = Signatures.recoverCompact(_digest(receiptHash), credit.r, credit.vs);
        if (recovered != entry.key) revert ReceiptSignatureInvalid(credit.nodeId, entry.key, recovered);
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
}
