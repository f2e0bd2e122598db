// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../interfaces/IBondVault.sol";
import {Tree} from "../interfaces/ITaskReceipts.sol";
import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";

/// @notice A leaf, its place in one tree of a batch, and the receipt that it stands for.
struct Entry {
    Leaf leaf;
    SumProof proof;
    TaskReceipt receipt;
}

/// @notice A place in a tree whose stored sum is not that of what lies below it, or padding that is not empty.
/// @dev `level` 0 is the leaves. Above it the two children are shown; at level 0 the leaf, or in the padding its bare hash.
/// `ownSums` are the sums under which the place and its ancestors are named by their parents, the root's left out.
struct BadSum {
    uint8 level;
    uint32 index;
    Leaf leaf;
    bytes32 leftHash;
    uint128 leftSum;
    bytes32 rightHash;
    uint128 rightSum;
    uint128[] ownSums;
    bytes32[] siblingHashes;
    uint128[] siblingSums;
}

/// @notice A session's or tab's leaves in a batch.
/// @dev Where the change is said to be over them (`isOver`), `bounds` are the neighbours of its leaves: those that exist,
/// `hasLeft` says whether the first is a left one. Otherwise they are its first and its last leaf.
struct ChangeClaim {
    Tree tree;
    bytes32 id;
    bool isOver;
    bool hasLeft;
    Entry[] bounds;
}

/// @notice What a proof comes to.
/// @dev `refund` goes back to the session's lock while the batch is immature: up to `fromTab` of it from the tab of `nodeId`,
/// then from the relayer's fees, then from its bond. `extra` is the relayer's bond's to the harmed party. The penalty is the
/// greater of bond x penaltyBps and `penaltyLeast`. `excess` is the size of an offence that can be shown in part: of a greater
/// one proven later only the rest is due, and no further penalty.
struct Verdict {
    bytes32 key;
    Party party;
    uint32 offender;
    uint32 relayerId;
    uint64 batchId;
    bytes32 voidedLeaf;
    bytes32 sessionId;
    address harmed;
    uint32 nodeId;
    uint96 fromTab;
    uint96 refund;
    uint96 extra;
    uint96 excess;
    uint16 penaltyBps;
    uint96 penaltyLeast;
    bool jail;
    bool doubles;
}
