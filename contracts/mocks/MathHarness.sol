// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Fees} from "../libraries/Fees.sol";
import {Items} from "../libraries/Items.sol";
import {Leaf, MerkleSum, PathEnd, SumProof} from "../libraries/MerkleSum.sol";
import {Request} from "../interfaces/IInferenceRequests.sol";
import {Requests} from "../libraries/Requests.sol";
import {Tide} from "../libraries/Tide.sol";

/// @title A window on the libraries
/// @notice Lets TypeScript compare its twins with Solidity's fee formula, trees and hashes. Deployed in tests only.
contract MathHarness {
    function fee(
        uint32 inTokens,
        uint32 outTokens,
        uint96 priceIn,
        uint96 priceOut,
        uint16 feeBps,
        uint96 shareCap
    ) external pure returns (uint256 nodeFee, uint256 charge) {
        return Fees.fee(inTokens, outTokens, priceIn, priceOut, feeBps, shareCap);
    }

    function leafHash(Leaf calldata leaf) external pure returns (bytes32) {
        return MerkleSum.leafHash(leaf);
    }

    function nodeHash(bytes32 leftHash, uint128 leftSum, bytes32 rightHash, uint128 rightSum)
        external
        pure
        returns (bytes32)
    {
        return MerkleSum.nodeHash(leftHash, leftSum, rightHash, rightSum);
    }

    function root(bytes32[] calldata hashes, uint128[] calldata sums)
        external
        pure
        returns (bytes32 rootHash, uint128 rootSum)
    {
        return MerkleSum.root(hashes, sums);
    }

    function verifyProof(bytes32 hash, uint128 sum, SumProof calldata proof, uint32 leafCount)
        external
        pure
        returns (bool fits, bytes32 rootHash, uint128 rootSum, uint128 leftSum)
    {
        PathEnd memory end = MerkleSum.walk(hash, sum, proof, leafCount);
        return (end.fits, end.rootHash, end.rootSum, end.leftSum);
    }

    function itemsHash(bytes32[] calldata ids, uint96[] calldata changes) external pure returns (bytes32) {
        bytes memory list = Items.room(ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            Items.put(list, i, uint256(ids[i]), changes[i]);
        }
        return Items.hash(list);
    }

    function tideStep(uint32 multiplier, uint256 saturationBps) external pure returns (uint32) {
        return Tide.step(multiplier, saturationBps);
    }

    function tideDecayed(uint32 multiplier, uint256 epochs) external pure returns (uint32) {
        return Tide.decayed(multiplier, epochs);
    }

    function tidePriced(uint96 base, uint32 multiplier) external pure returns (uint96) {
        return Tide.pricedDown(base, multiplier);
    }

    function tierPriced(uint96 base, uint32 multiplier, uint8 tier) external pure returns (uint96) {
        return Tide.pricedDown(base, multiplier, tier);
    }

    function requestTask(Request calldata request, address gateway) external pure returns (bytes32 requestId, bytes32 taskId) {
        requestId = Requests.id(request, gateway);
        return (requestId, Requests.order(request, requestId).hash());
    }
}
