// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {BadSum} from "../../contracts/fraud/Evidence.sol";
import {MerkleSum, SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";

/// @notice F6: sums that are not those of what lies below them, and padding that hides something.
contract FraudSumsTest is Trees {
    // ---- F6

    /// @dev An inner node that the next one up names with one unit more than its children make.
    function test_F6_anInnerSumThatDoesNotAddUp() public {
        Row[] memory rows = _sorted(_tasks(4), Tree.SESSION);
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        bytes32 left = MerkleSum.nodeHash(h[0], s[0], h[1], s[1]);
        bytes32 right = MerkleSum.nodeHash(h[2], s[2], h[3], s[3]);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 1;
        Credit[] memory credits = _creditsOf(rows);
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = 4;
        header.sessionRoot = MerkleSum.nodeHash(left, s[0] + s[1] + 1, right, s[2] + s[3]);
        header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
        _post(header, debits, credits);
        BadSum memory badSum = _inner(h, s, right, 1);
        _expectNothingWrong(_f6(Tree.SESSION, _otherInner(h, s, left, 1)));
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev The tree adds up, but not to what was debited.
    function test_F6_aRootThatIsNotTheTotal() public {
        Row[] memory rows = _sorted(_tasks(2), Tree.SESSION);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 9;
        _postChanges(rows, _sorted(rows, Tree.TAB), debits, _creditsOf(rows));
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        BadSum memory badSum;
        badSum.level = 1;
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[0], s[0], h[1], s[1]);
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    /// @dev A leaf whose parent names it with another charge; and the same tree's other leaf, which is right.
    function test_F6_aLeafUnderAnotherSum() public {
        Row[] memory rows = _sorted(_tasks(2), Tree.SESSION);
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
        Debit[] memory debits = _debitsOf(rows);
        debits[0].change += 5;
        Credit[] memory credits = _creditsOf(rows);
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = 2;
        header.sessionRoot = MerkleSum.nodeHash(h[0], s[0], h[1], s[1] + 5);
        header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
        _post(header, debits, credits);
        BadSum memory badSum = _leafPath(1);
        badSum.leaf = rows[0].leaf;
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[0], h[1], s[1] + 5);
        _expectNothingWrong(_f6(Tree.SESSION, badSum));
        badSum.leaf = rows[1].leaf;
        badSum.index = 1;
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[1] + 5, h[0], s[0]);
        _prove(_f6(Tree.SESSION, badSum));
        _assertPenalty(BOND, address(0), 0);
    }

    function test_F6_paddingThatIsNotEmpty() public {
        for (uint256 i = 0; i < 2; ++i) {
            Row[] memory rows = _sorted(_tasks(3), Tree.SESSION);
            (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, Tree.SESSION);
            // A hash without a sum, or a sum without a hash.
            bytes32 hidden = i == 0 ? keccak256("hidden") : bytes32(0);
            uint128 hiddenSum = uint128(i);
            bytes32 left = MerkleSum.nodeHash(h[0], s[0], h[1], s[1]);
            bytes32 right = MerkleSum.nodeHash(h[2], s[2], hidden, hiddenSum);
            Debit[] memory debits = _debitsOf(rows);
            debits[0].change += uint96(hiddenSum);
            Credit[] memory credits = _creditsOf(rows);
            BatchHeader memory header = _header(debits, credits);
            header.leafCount = 3;
            header.sessionRoot = MerkleSum.nodeHash(left, s[0] + s[1], right, s[2] + hiddenSum);
            header.tabRoot = _rootOf(_sorted(rows, Tree.TAB), Tree.TAB);
            _post(header, debits, credits);
            BadSum memory badSum = _leafPath(2);
            badSum.index = 3;
            badSum.leftHash = hidden;
            (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (hiddenSum, h[2], s[2]);
            (badSum.ownSums[1], badSum.siblingHashes[1], badSum.siblingSums[1]) = (s[2] + hiddenSum, left, s[0] + s[1]);
            uint256 burned = proofs.toBurn(pay);
            bytes memory call = abi.encodeCall(
                IFraudProofs.proveBadSum, (relayerId, uint64(i + 1), Tree.SESSION, badSum, SALT)
            );
            _prove(call);
            vm.assertGe(proofs.toBurn(pay), burned + 1, "burned");
            if (i == 0) _bond(_relayer(), relayerId, BOND);
        }
    }

    /// @dev Every place of every level of honest trees of all shapes.
    function test_F6_honestTreesAreNotSlashable() public {
        for (uint256 count = 1; count <= 6; ++count) {
            Posted memory posted = _postRows(_tasks(count));
            _expectHonestTree(posted, Tree.SESSION, posted.bySession);
            _expectHonestTree(posted, Tree.TAB, posted.byTab);
        }
    }

    function test_F6_pathsThatLeadNowhere() public {
        Posted memory posted = _postRows(_tasks(4));
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(posted.bySession, Tree.SESSION);
        BadSum memory badSum = _climbOf(_pathOf(h, s, 1), s[1]);
        (badSum.index, badSum.leaf) = (1, posted.bySession[1].leaf);
        badSum.ownSums[0] += 1;
        _expectNotProven(
            _f6(Tree.SESSION, badSum),
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, posted.header.hash(), h[1], uint32(1))
        );
        badSum.ownSums[0] -= 1;
        badSum.level = 1;
        _expectNeighbours(_f6(Tree.SESSION, badSum));
        badSum.level = 0;
        badSum.index = 5;
        _expectNeighbours(_f6(Tree.SESSION, badSum));
        badSum.index = 1;
        badSum.siblingSums = new uint128[](1);
        _expectNeighbours(_f6(Tree.SESSION, badSum));
    }

    function _expectHonestTree(Posted memory posted, Tree tree, Row[] memory rows) private {
        (bytes32[] memory h, uint128[] memory s) = _sidesOf(rows, tree);
        uint256 depth = MerkleSum.depthOf(uint32(rows.length));
        uint256 width = 1 << depth;
        (bytes32[] memory level, uint128[] memory sums) = (new bytes32[](width), new uint128[](width));
        for (uint256 i = 0; i < rows.length; ++i) (level[i], sums[i]) = (h[i], s[i]);
        for (uint256 i = 0; i < width; ++i) {
            SumProof memory path = _pathOf(h, s, uint32(i));
            BadSum memory badSum = _climbOf(path, sums[i]);
            badSum.index = uint32(i);
            if (i < rows.length) badSum.leaf = rows[i].leaf;
            _expectNothingWrong(
                abi.encodeCall(IFraudProofs.proveBadSum, (relayerId, posted.header.batchId, tree, badSum, SALT))
            );
        }
    }

    // ---- helpers

    function _relayer() private pure returns (Party) {
        return Party.RELAYER;
    }

    function _f6(Tree tree, BadSum memory badSum) private view returns (bytes memory) {
        return abi.encodeCall(IFraudProofs.proveBadSum, (relayerId, 1, tree, badSum, SALT));
    }

    function _inner(bytes32[] memory h, uint128[] memory s, bytes32 right, uint128 more)
        private
        pure
        returns (BadSum memory badSum)
    {
        badSum = _leafPath(1);
        badSum.level = 1;
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[0], s[0], h[1], s[1]);
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[0] + s[1] + more, right, s[2] + s[3]);
    }

    function _otherInner(bytes32[] memory h, uint128[] memory s, bytes32 left, uint128 more)
        private
        pure
        returns (BadSum memory badSum)
    {
        badSum = _leafPath(1);
        (badSum.level, badSum.index) = (1, 1);
        (badSum.leftHash, badSum.leftSum, badSum.rightHash, badSum.rightSum) = (h[2], s[2], h[3], s[3]);
        (badSum.ownSums[0], badSum.siblingHashes[0], badSum.siblingSums[0]) = (s[2] + s[3], left, s[0] + s[1] + more);
    }
}
