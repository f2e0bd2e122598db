// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SumProof} from "../libraries/MerkleSum.sol";
import {PoolFigure} from "./ISaturationBoard.sol";

/// @notice What a relayer committed for an epoch; the board keeps its hash.
struct EpochCommitment {
    uint32 relayerId;
    uint64 epoch;
    bytes32 root;
    uint32 leafCount;
    PoolFigure[] pools;
}

/// @notice A leaf of an epoch's tree and its place.
/// @dev hash = keccak256(0x00 || modelId || nodeId || attestationHash); sum = slots << 96 | slots x saturationBps.
struct BoardEntry {
    bytes32 modelId;
    uint32 nodeId;
    bytes32 attestationHash;
    uint32 slots;
    uint96 slotBps;
    SumProof proof;
}
