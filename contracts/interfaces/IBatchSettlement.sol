// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchHeader} from "../types/BatchHeader.sol";

/// @notice One session's entry of a batch.
/// @dev The voucher (cumulativeCap, taskId, r, vs) raises the proven cap; all four are 0 where it need not be raised and in
/// ALLOWANCE mode. r, vs: the 65-byte signature in ERC-2098 form, s | (v - 27) << 255.
struct Debit {
    bytes32 sessionId;
    uint96 change;
    uint96 cumulativeCap;
    bytes32 taskId;
    bytes32 r;
    bytes32 vs;
}

/// @notice One tab's entry of a batch.
/// @dev The receipt (keyEpoch, nodeSeq, nodeCumulative, bodyHash, r, vs) raises provenEarned; its body travels as its hash. All
/// are 0 where it need not be raised.
struct Credit {
    uint32 nodeId;
    uint32 keyEpoch;
    uint64 nodeSeq;
    uint96 change;
    uint96 nodeCumulative;
    bytes32 bodyHash;
    bytes32 r;
    bytes32 vs;
}

/// @notice What is kept of a batch.
/// @dev The trees' root sums are the totals. `postedAt` in unix seconds, 32 bits.
struct Batch {
    bytes32 batchHash;
    bytes32 sessionRoot;
    bytes32 tabRoot;
    uint96 totalDebit;
    uint96 totalCredit;
    uint32 leafCount;
    uint32 postedAt;
}

/// @title Verifies a batch of settlements, moves debits to credits, stores the roots
/// @notice Its address is the verifying contract of every signed struct: EIP-712 name "Tidelane", version "1".
interface IBatchSettlement {
    /// @notice The header and the items travel in the transaction; `batchHash` is the header's struct hash.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param batchHash the header's struct hash.
    /// @param header the batch's, as signed.
    event BatchPosted(
        uint32 indexed relayerId, uint64 indexed batchId, bytes32 indexed batchHash, BatchHeader header
    );

    /// @notice Only the relayer's poster posts its batches; zero where the relayer is unknown.
    /// @param relayerId in the RelayerRegistry.
    /// @param caller who tried.
    /// @param poster who may; zero where the relayer is unknown.
    error NotPoster(uint32 relayerId, address caller, address poster);
    /// @notice The relayer has no signing key of that epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param relayerEpoch of the relayer's signing key.
    error UnknownRelayerEpoch(uint32 relayerId, uint32 relayerEpoch);
    /// @notice The period ends W or more after the signing key's epoch was closed.
    /// @param periodEnd unix seconds, as signed.
    /// @param closedAt when that key epoch was closed, unix seconds; 0 while open.
    error PeriodAfterKeyEpoch(uint48 periodEnd, uint48 closedAt);
    /// @notice The header is not signed by the relayer's key of that epoch; `recovered` is zero for a malformed signature.
    /// @param key of the relayer in that epoch.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error HeaderSignatureInvalid(address key, address recovered);
    /// @notice Batches are numbered without gaps; an id below `expected` was posted already.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @param expected the id that comes next.
    error WrongBatchId(uint32 relayerId, uint64 batchId, uint64 expected);
    /// @notice The header was built on another history than the chain's.
    /// @param relayerId in the RelayerRegistry.
    /// @param prevBatchHash that the header names.
    /// @param expected the hash of the relayer's last batch.
    error WrongPrevBatchHash(uint32 relayerId, bytes32 prevBatchHash, bytes32 expected);
    /// @notice periodStart <= periodEnd <= now <= postBy <= periodEnd + W / 2 does not hold.
    /// @param periodStart unix seconds, as signed.
    /// @param periodEnd unix seconds, as signed.
    /// @param postBy unix seconds, as signed.
    /// @param timestamp of this block, unix seconds.
    error WrongTimes(uint48 periodStart, uint48 periodEnd, uint48 postBy, uint256 timestamp);
    /// @notice A tree has 1 to `most` leaves.
    /// @param leafCount number of leaves.
    /// @param most the limit, itself allowed.
    error LeafCountOutOfRange(uint32 leafCount, uint32 most);
    /// @notice Both roots must be there.
    /// @param sessionRoot as in the header.
    /// @param tabRoot as in the header.
    error EmptyRoot(bytes32 sessionRoot, bytes32 tabRoot);
    /// @notice A contract of the deployment names another settlement contract than this one.
    /// @param sibling the contract that was asked.
    /// @param named the address that is named instead.
    error Miswired(address sibling, address named);

    /// @notice Posts the next batch of a relayer. Sent by its poster; cannot be paused.
    /// @dev Reverts with the errors above where the header is at fault, with those of IEscrow where an item is.
    /// @param header the batch's, as signed.
    /// @param signature the header's, with the relayer's signing key of header.relayerEpoch: 65 bytes r || s || v.
    /// @param debits strictly ascending by sessionId.
    /// @param credits strictly ascending by nodeId; together at most 500 items.
    /// @return batchHash the header's struct hash, the next batch's prevBatchHash.
    function postBatch(BatchHeader calldata header, bytes calldata signature, Debit[] calldata debits, Credit[] calldata credits)
        external
        returns (bytes32 batchHash);

    /// @notice The EIP-712 domain separator of every signed struct.
    /// @return as EIP-712 hashes it.
    function domainSeparator() external view returns (bytes32);

    /// @notice A relayer's last posted batch.
    /// @param relayerId in the RelayerRegistry.
    /// @return batchId the relayer's last posted batch, 0 before its first.
    /// @return batchHash its header's struct hash.
    function lastBatchOf(uint32 relayerId) external view returns (uint64 batchId, bytes32 batchHash);

    /// @notice What is kept of a batch.
    /// @param relayerId in the RelayerRegistry.
    /// @param batchId of that relayer, counted from 1.
    /// @return all zero where it was never posted.
    function batchOf(uint32 relayerId, uint64 batchId) external view returns (Batch memory);
}
