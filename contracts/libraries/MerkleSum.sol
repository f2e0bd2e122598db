// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice A leaf of both trees: one attempt's receipt and the hashes of the signatures behind it.
/// @dev Voucher hashes are zero in ALLOWANCE mode.
struct Leaf {
    bytes32 receiptHash;
    uint128 fee;
    uint128 charge;
    bytes32 nodeSigHash;
    bytes32 voucherHash;
    bytes32 voucherSigHash;
    bytes32 assignmentSigHash;
}

/// @notice A path: the leaf's position from 0, and its siblings from the leaf's level up.
struct SumProof {
    uint32 index;
    bytes32[] hashes;
    uint128[] sums;
}

/// @notice Where a path leads to.
/// @dev `fits` is false where the proof's shape is not that of a tree of so many leaves, or a sum leaves 128 bits; the rest then
/// means nothing. `leftSum` is the sum of all leaves left of the path.
struct PathEnd {
    bool fits;
    bytes32 rootHash;
    uint128 rootSum;
    uint128 leftSum;
}

/// @title Merkle-sum trees
/// @notice A node's hash binds both children's sums, so a path also gives the sum of everything to its left.
/// @dev Padded to a power of two with (0, 0): a path's length follows from the leaf count alone.
library MerkleSum {
    uint32 internal constant LEAF_COUNT_MAX = 2 ** 20;

    function leafHash(Leaf memory leaf) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                bytes1(0x00),
                leaf.receiptHash,
                leaf.fee,
                leaf.charge,
                leaf.nodeSigHash,
                leaf.voucherHash,
                leaf.voucherSigHash,
                leaf.assignmentSigHash
            )
        );
    }

    function nodeHash(bytes32 leftHash, uint128 leftSum, bytes32 rightHash, uint128 rightSum)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(bytes1(0x01), leftHash, leftSum, rightHash, rightSum));
    }

    /// @notice Walks a path up.
    /// @return end where it leads to, and what it passed on its left.
    function walk(bytes32 hash, uint128 sum, SumProof calldata proof, uint32 leafCount)
        internal
        pure
        returns (PathEnd memory end)
    {
        uint256 depth = depthOf(leafCount);
        if (proof.index >= leafCount || proof.hashes.length != depth || proof.sums.length != depth) return end;
        end.rootHash = hash;
        end.rootSum = sum;
        for (uint256 level = 0; level < depth; ++level) {
            uint128 siblingSum = proof.sums[level];
            // Below 2^128 at every level: no cast cuts, no addition overflows, and a false sum is false, not a revert.
            if (siblingSum > type(uint128).max - end.rootSum) return end;
            if ((proof.index >> level) & 1 == 1) {
                end.leftSum += siblingSum;
                end.rootHash = nodeHash(proof.hashes[level], siblingSum, end.rootHash, end.rootSum);
            } else {
                end.rootHash = nodeHash(end.rootHash, end.rootSum, proof.hashes[level], siblingSum);
            }
            end.rootSum += siblingSum;
        }
        end.fits = true;
    }

    /// @return depth ceil(log2(leafCount)), 0 for none.
    function depthOf(uint32 leafCount) internal pure returns (uint256 depth) {
        while (depth < 32 && uint256(1) << depth < leafCount) ++depth;
    }

    /// @notice The root over a whole list, for readers of small trees.
    function root(bytes32[] memory hashes, uint128[] memory sums)
        internal
        pure
        returns (bytes32 rootHash, uint128 rootSum)
    {
        uint256 width = uint256(1) << depthOf(uint32(hashes.length));
        bytes32[] memory levelHashes = new bytes32[](width);
        uint128[] memory levelSums = new uint128[](width);
        for (uint256 i = 0; i < hashes.length; ++i) {
            levelHashes[i] = hashes[i];
            levelSums[i] = sums[i];
        }
        for (; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                levelHashes[i] =
                    nodeHash(levelHashes[2 * i], levelSums[2 * i], levelHashes[2 * i + 1], levelSums[2 * i + 1]);
                levelSums[i] = levelSums[2 * i] + levelSums[2 * i + 1];
            }
        }
        return (levelHashes[0], levelSums[0]);
    }
}
