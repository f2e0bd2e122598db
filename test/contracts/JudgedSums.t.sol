// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BadSum, Entry} from "../../contracts/fraud/Evidence.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {MathHarness} from "../../contracts/mocks/MathHarness.sol";
import {JudgedTrees} from "./support/JudgedTrees.sol";
import {vm} from "./support/Vm.sol";

/// @notice F6, and what every proof from a tree asks: paths of the tree's shape that reach the root and the batch's total.
contract JudgedSumsTest is JudgedTrees {
    // ---- F6

    function test_F6_verdict() public {
        for (uint256 i = 0; i < 2; ++i) {
            Tree tree = i == 0 ? Tree.SESSION : Tree.TAB;
            Row[] memory rows = _sorted(_tasks(2), tree);
            (bytes32 root, BadSum memory badSum) = _bumped(rows, tree, 0, 1, 1);
            Posted memory posted = _postRoot(rows, tree, root, 1);
            bytes memory key = abi.encode("F6", relayerId, posted.header.batchId, tree);
            _expectVerdict(_f6(posted, tree, badSum), _onRelayer(key, 10_000));
        }
    }

    /// @dev Siblings or sums too many or too few: a path of another shape says nothing, even where the rest of it is false.
    function test_F6_aPathHasAsManySiblingsAsLevels() public {
        Row[] memory rows = _sorted(_tasks(4), Tree.SESSION);
        (bytes32 root, BadSum memory badSum) = _bumped(rows, Tree.SESSION, 0, 2, 1);
        Posted memory posted = _postRoot(rows, Tree.SESSION, root, 1);
        for (uint256 i = 0; i < 4; ++i) {
            BadSum memory bent = abi.decode(abi.encode(badSum), (BadSum));
            if (i == 0) bent.siblingHashes = _resized(bent.siblingHashes, 3);
            if (i == 1) bent.siblingHashes = _resized(bent.siblingHashes, 1);
            if (i == 2) bent.siblingSums = _resized(bent.siblingSums, 3);
            if (i == 3) bent.siblingSums = _resized(bent.siblingSums, 1);
            _expectRefused(_f6(posted, Tree.SESSION, bent), IFraudErrors.WrongNeighbours.selector);
        }
    }

    /// @dev A place of a level above the leaves whose index its level does not have leads to the same node by the same turns.
    function test_F6_anIndexThatItsLevelDoesNotHave() public {
        Row[] memory rows = _sorted(_tasks(4), Tree.SESSION);
        for (uint256 i = 0; i < 2; ++i) {
            (bytes32 root, BadSum memory badSum) = _bumped(rows, Tree.SESSION, 1, i, 1);
            Posted memory posted = _postRoot(rows, Tree.SESSION, root, 1);
            badSum.index += 2;
            _expectRefused(_f6(posted, Tree.SESSION, badSum), IFraudErrors.WrongNeighbours.selector);
        }
    }

    /// @dev Two children whose sums together leave 128 bits are more than any parent names.
    function test_F6_childrenBeyond128Bits() public {
        Row[] memory rows = _sorted(_tasks(2), Tree.SESSION);
        (bytes32 left, bytes32 right) = (keccak256("left"), keccak256("right"));
        BadSum memory badSum = _leafPath(0);
        (badSum.level, badSum.leftHash, badSum.rightHash) = (1, left, right);
        (badSum.leftSum, badSum.rightSum) = (type(uint128).max, 1);
        Posted memory posted = _postRoot(rows, Tree.SESSION, _nodeOf(badSum), 0);
        bytes memory key = abi.encode("F6", relayerId, uint64(1), Tree.SESSION);
        _expectVerdict(_f6(posted, Tree.SESSION, badSum), _onRelayer(key, 10_000));
    }

    // ---- paths

    /// @dev The tree adds up, but not to what was debited or credited: F6 is for that, and no other proof stands on it.
    function test_noLeafStandsUnderAnotherTotalThanTheBatchs() public {
        for (uint256 i = 0; i < 2; ++i) {
            Tree tree = i == 0 ? Tree.SESSION : Tree.TAB;
            Row[] memory rows = _tasks(2);
            Posted memory posted = _postRoot(rows, tree, _rootOf(_sorted(rows, tree), tree), 5);
            _expectNotThere(
                _f7Order(posted, tree, 0, 1), posted.header.hash(), receipts.leafHash(_entry(posted, tree, 0).leaf), 0
            );
        }
    }

    /// @dev A relayer that puts a leaf in the root's place under a count of two: a path that breaks off there is none.
    function test_noLeafStandsWhereItsPathBreaksOff() public {
        Row memory row = _row(_attempt());
        bytes32 batchHash = _postCutShort(row);
        Entry memory broken = Entry(row.leaf, SumProof(0, new bytes32[](1), new uint128[](1)), row.record.receipt);
        broken.proof.sums[0] = type(uint128).max;
        for (uint256 i = 0; i < 2; ++i) {
            Tree tree = i == 0 ? Tree.SESSION : Tree.TAB;
            bytes memory call = abi.encodeCall(IFraudProofs.proveDisorder, (relayerId, 1, tree, broken, broken, SALT));
            _expectNotThere(call, batchHash, receipts.leafHash(row.leaf), 0);
        }
    }

    /// @dev As many hashes and as many sums as the tree has levels; sums up to the last of 128 bits, and no further.
    function test_theShapeOfAPath() public {
        MathHarness math = new MathHarness();
        for (uint256 i = 0; i < 6; ++i) {
            SumProof memory path = SumProof(4, new bytes32[](2 + i % 3), new uint128[](i < 3 ? 3 : 2 + i % 3));
            if (i >= 3) path.hashes = new bytes32[](3);
            (bool fits,,,) = math.verifyProof("leaf", 1, path, 5);
            vm.assertTrue(fits == (i % 3 == 1), "its shape");
        }
        for (uint128 over = 0; over < 2; ++over) {
            SumProof memory path = SumProof(0, new bytes32[](2), new uint128[](2));
            path.sums[1] = type(uint128).max - 5 + over;
            (bool fits,,,) = math.verifyProof("leaf", 5, path, 3);
            vm.assertTrue(fits == (over == 0), "128 bits");
        }
    }

    // ---- helpers

    function _resized(bytes32[] memory list, uint256 length) private pure returns (bytes32[] memory resized) {
        resized = new bytes32[](length);
        for (uint256 i = 0; i < length && i < list.length; ++i) resized[i] = list[i];
    }

    function _resized(uint128[] memory list, uint256 length) private pure returns (uint128[] memory resized) {
        resized = new uint128[](length);
        for (uint256 i = 0; i < length && i < list.length; ++i) resized[i] = list[i];
    }

    function _nodeOf(BadSum memory place) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), place.leftHash, place.leftSum, place.rightHash, place.rightSum));
    }
}
