// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {ITaskReceipts, Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Fees} from "../../contracts/libraries/Fees.sol";
import {Leaf, MerkleSum, PathEnd, SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {MathHarness} from "../../contracts/mocks/MathHarness.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Merkle-sum trees, the views over a posted batch, and the fee formula.
contract TreesTest is World {
    MathHarness private math;

    function setUp() public override {
        super.setUp();
        math = new MathHarness();
    }

    // ---- trees

    /// @dev Every leaf of a tree of any size proves itself, and its left sum is the sum of those before it.
    function testFuzz_everyLeafProvesItself(uint8 size, uint256 seed) public view {
        uint256 count = 1 + size % 33;
        (bytes32[] memory hashes, uint128[] memory sums) = _leaves(count, seed);
        (bytes32 root, uint128 total) = math.root(hashes, sums);
        uint256 leftSum;
        for (uint32 i = 0; i < count; ++i) {
            PathEnd memory end = _walk(hashes[i], sums[i], _proof(hashes, sums, i), uint32(count));
            vm.assertTrue(end.fits, "fits");
            vm.assertEq(end.rootHash, root, "root");
            vm.assertEq(end.rootSum, total, "total");
            vm.assertEq(end.leftSum, leftSum, "left sum");
            leftSum += sums[i];
        }
    }

    function testFuzz_aChangedByteProvesNothing(uint8 size, uint256 seed, uint8 what, uint256 where) public view {
        uint256 count = 2 + size % 31;
        (bytes32[] memory hashes, uint128[] memory sums) = _leaves(count, seed);
        (bytes32 root,) = math.root(hashes, sums);
        uint32 index = uint32(seed % count);
        SumProof memory proof = _proof(hashes, sums, index);
        uint256 level = where % proof.hashes.length;
        bytes32 flippedBit = bytes32(uint256(1) << where % 256);
        uint128 flippedSum = uint128(1) << uint128(where % 90);
        what %= 4;
        if (what == 0) hashes[index] ^= flippedBit;
        if (what == 1) sums[index] ^= flippedSum;
        if (what == 2) proof.hashes[level] ^= flippedBit;
        if (what == 3) proof.sums[level] ^= flippedSum;
        PathEnd memory end = _walk(hashes[index], sums[index], proof, uint32(count));
        vm.assertTrue(end.fits, "the shape is right");
        vm.assertFalse(end.rootHash == root, "proved");
    }

    function test_proofsOfAnotherShapeDoNotFit() public view {
        (bytes32[] memory hashes, uint128[] memory sums) = _leaves(5, 1);
        SumProof memory proof = _proof(hashes, sums, 4);
        (bool fits,,,) = math.verifyProof(hashes[4], sums[4], proof, 4);
        vm.assertFalse(fits, "another leaf count");
        proof.index = 5;
        (fits,,,) = math.verifyProof(hashes[4], sums[4], proof, 5);
        vm.assertFalse(fits, "an index in the padding");
        proof = _proof(hashes, sums, 4);
        proof.sums = new uint128[](2);
        (fits,,,) = math.verifyProof(hashes[4], sums[4], proof, 5);
        vm.assertFalse(fits, "fewer sums than hashes");
        (fits,,,) = math.verifyProof(hashes[4], sums[4], SumProof(0, new bytes32[](0), new uint128[](0)), 0);
        vm.assertFalse(fits, "an empty tree");
        proof = _proof(hashes, sums, 4);
        proof.sums[0] = type(uint128).max;
        (fits,,,) = math.verifyProof(hashes[4], 1, proof, 5);
        vm.assertFalse(fits, "a sum beyond 128 bits");
    }

    function test_domainsOfLeavesAndNodesDiffer() public view {
        vm.assertEq(
            math.nodeHash("a", 1, "b", 2), keccak256(abi.encodePacked(uint8(1), bytes32("a"), uint128(1), bytes32("b"), uint128(2))), "node"
        );
        Leaf memory leaf = Leaf("r", 3, 4, "n", "v", "w", "a");
        vm.assertEq(
            math.leafHash(leaf),
            keccak256(
                abi.encodePacked(
                    uint8(0), bytes32("r"), uint128(3), uint128(4), bytes32("n"), bytes32("v"), bytes32("w"), bytes32("a")
                )
            ),
            "leaf"
        );
    }

    // ---- views over a posted batch

    function test_receiptsOfABatchAreFound() public {
        (TaskReceipt[] memory settled, Leaf[] memory leaves) = _post(7);
        (bytes32[] memory hashes, uint128[] memory charges, uint128[] memory fees) = _sides(leaves);
        uint256 left;
        for (uint32 i = 0; i < leaves.length; ++i) {
            SumProof memory inSessions = _proof(hashes, charges, i);
            (bool stands, uint256 leftSum) = receipts.verifyLeaf(relayerId, 1, Tree.SESSION, leaves[i], inSessions);
            vm.assertTrue(stands, "stands");
            vm.assertEq(leftSum, left, "left sum");
            left += leaves[i].charge;
            _expectSettledAsItIsOnly(settled[i], leaves[i], inSessions, _proof(hashes, fees, i));
        }
    }

    function _expectSettledAsItIsOnly(
        TaskReceipt memory receipt,
        Leaf memory leaf,
        SumProof memory inSessions,
        SumProof memory inTabs
    ) private view {
        vm.assertTrue(receipts.isSettled(receipt, 1, leaf, inSessions, inTabs), "settled");
        vm.assertFalse(receipts.isSettled(receipt, 2, leaf, inSessions, inTabs), "not in a batch to come");
        vm.assertFalse(receipts.isSettled(receipt, 1, leaf, inTabs, inSessions), "each proof in its tree");
        leaf.charge += 1;
        vm.assertFalse(receipts.isSettled(receipt, 1, leaf, inSessions, inTabs), "another leaf");
        leaf.charge -= 1;
        receipt.nodeCumulative += 1;
        vm.assertFalse(receipts.isSettled(receipt, 1, leaf, inSessions, inTabs), "another receipt");
    }

    function test_aLeafMustHoldTheFeeThatTheReceiptClaims() public {
        TaskReceipt memory receipt = TaskReceipt(_body(4e6), nodeId, relayerId, 1, 1, 5e6);
        Leaf[] memory leaves = new Leaf[](1);
        leaves[0] = Leaf(receipt.hash(), 5e6, 5e6, "n", "v", "w", "a");
        _postRoots(leaves, 5e6, 5e6);
        SumProof memory proof = SumProof(0, new bytes32[](0), new uint128[](0));
        (bool stands,) = receipts.verifyLeaf(relayerId, 1, Tree.TAB, leaves[0], proof);
        vm.assertTrue(stands, "the leaf is there");
        vm.assertFalse(receipts.isSettled(receipt, 1, leaves[0], proof, proof), "but it is not what the node signed");
    }

    function test_headersByRelayerAndBatch() public {
        _post(3);
        (uint64 batchId, bytes32 batchHash) = receipts.lastBatchOf(relayerId);
        vm.assertEq(batchId, 1, "last batch");
        vm.assertEq(receipts.batchOf(relayerId, 1).batchHash, batchHash, "hash");
        vm.assertEq(receipts.batchOf(relayerId, 1).leafCount, 3, "leaves");
        vm.expectRevert(abi.encodeWithSelector(ITaskReceipts.UnknownBatch.selector, relayerId, uint64(2)));
        receipts.batchOf(relayerId, 2);
    }

    /// @dev Roots are the relayer's word; their sums are not: they must be the totals that moved money.
    function test_aRootWithAnotherSumProvesNothing() public {
        Leaf[] memory leaves = new Leaf[](1);
        leaves[0] = Leaf("r", 5e6, 6e6, "n", "v", "w", "a");
        _postRoots(leaves, 5e6, 5e6);
        SumProof memory proof = SumProof(0, new bytes32[](0), new uint128[](0));
        (bool stands, uint256 leftSum) = receipts.verifyLeaf(relayerId, 1, Tree.SESSION, leaves[0], proof);
        vm.assertFalse(stands, "a charge of 6 where 5 was debited");
        vm.assertEq(leftSum, 0, "left sum");
        (stands,) = receipts.verifyLeaf(relayerId, 1, Tree.TAB, leaves[0], proof);
        vm.assertTrue(stands, "the fee is what was credited");
    }

    // ---- fees

    /// @dev The charge stays within the cap; one unit more of fee would break the cap or the price.
    function testFuzz_feeIsTheGreatestWithinPriceAndCap(
        uint32 inTokens,
        uint32 outTokens,
        uint96 priceIn,
        uint96 priceOut,
        uint16 feeBps,
        uint96 shareCap
    ) public view {
        feeBps %= 1_001;
        (uint256 fee, uint256 charge) = math.fee(inTokens, outTokens, priceIn, priceOut, feeBps, shareCap);
        uint256 exactTimes1e6 = uint256(inTokens) * priceIn + uint256(outTokens) * priceOut;
        vm.assertLe(fee * 1e6, exactTimes1e6, "rounding never favours the taker");
        vm.assertLe(charge, shareCap, "charge within the cap");
        vm.assertEq(charge, fee + fee * feeBps / 10_000, "charge");
        uint256 more = fee + 1;
        vm.assertTrue(more * 1e6 > exactTimes1e6 || more + more * feeBps / 10_000 > shareCap, "the greatest such fee");
    }

    // ---- helpers

    function _walk(bytes32 hash, uint128 sum, SumProof memory proof, uint32 count) private view returns (PathEnd memory end) {
        (end.fits, end.rootHash, end.rootSum, end.leftSum) = math.verifyProof(hash, sum, proof, count);
    }

    function _leaves(uint256 count, uint256 seed) private pure returns (bytes32[] memory hashes, uint128[] memory sums) {
        hashes = new bytes32[](count);
        sums = new uint128[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = keccak256(abi.encode(seed, i));
            sums[i] = uint128(uint256(keccak256(abi.encode(hashes[i]))) >> 160);
        }
    }

    /// @dev Written apart from the library, straight from the definition: level by level over padded arrays.
    function _proof(bytes32[] memory hashes, uint128[] memory sums, uint32 index) private pure returns (SumProof memory proof) {
        uint256 depth;
        while (1 << depth < hashes.length) ++depth;
        proof = SumProof(index, new bytes32[](depth), new uint128[](depth));
        bytes32[] memory h = new bytes32[](1 << depth);
        uint128[] memory s = new uint128[](1 << depth);
        for (uint256 i = 0; i < hashes.length; ++i) (h[i], s[i]) = (hashes[i], sums[i]);
        uint256 at = index;
        for (uint256 level = 0; level < depth; ++level) {
            proof.hashes[level] = h[at ^ 1];
            proof.sums[level] = s[at ^ 1];
            at /= 2;
            for (uint256 i = 0; i < (1 << depth - level) / 2; ++i) {
                h[i] = keccak256(abi.encodePacked(uint8(1), h[2 * i], s[2 * i], h[2 * i + 1], s[2 * i + 1]));
                s[i] = s[2 * i] + s[2 * i + 1];
            }
        }
    }

    function _sides(Leaf[] memory leaves)
        private
        pure
        returns (bytes32[] memory hashes, uint128[] memory charges, uint128[] memory fees)
    {
        hashes = new bytes32[](leaves.length);
        charges = new uint128[](leaves.length);
        fees = new uint128[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            hashes[i] = MerkleSum.leafHash(leaves[i]);
            charges[i] = leaves[i].charge;
            fees[i] = leaves[i].fee;
        }
    }

    /// @dev A batch of one session and one tab whose leaves are those receipts, in the same order in both trees.
    function _post(uint256 count) private returns (TaskReceipt[] memory settled, Leaf[] memory leaves) {
        settled = new TaskReceipt[](count);
        leaves = new Leaf[](count);
        uint96 total;
        uint96 charged;
        for (uint256 i = 0; i < count; ++i) {
            uint96 fee = uint96(1e6 + i);
            total += fee;
            charged += uint96(Fees.chargeDown(fee, 300));
            settled[i] = TaskReceipt(_body(fee), nodeId, relayerId, 1, uint64(i + 1), total);
            leaves[i] = Leaf(settled[i].hash(), fee, uint128(Fees.chargeDown(fee, 300)), "n", "v", "w", "a");
        }
        _postRoots(leaves, charged, total);
    }

    function _postRoots(Leaf[] memory leaves, uint96 debit, uint96 credit) private {
        (bytes32[] memory hashes, uint128[] memory charges, uint128[] memory fees) = _sides(leaves);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(_openSession(VOUCHER, 100e6), debit, debit);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, credit, credit);
        BatchHeader memory header = _header(debits, credits);
        (header.sessionRoot,) = math.root(hashes, charges);
        (header.tabRoot,) = math.root(hashes, fees);
        header.leafCount = uint32(leaves.length);
        _post(header, debits, credits);
    }
}
