// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BadSum} from "../../../contracts/fraud/Evidence.sol";
import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Tree} from "../../../contracts/interfaces/ITaskReceipts.sol";
import {MerkleSum, SumProof} from "../../../contracts/libraries/MerkleSum.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./Accusations.sol";

/// @notice Batches whose trees or lists are off by a little in one place, and the evidence of F6.
abstract contract Trees is Accusations {
    // ---- changes

    function _threeSessions() internal returns (SpendingAuthorization[] memory own) {
        own = new SpendingAuthorization[](3);
        for (uint256 i = 0; i < 3; ++i) {
            own[i] = _addSession(VOUCHER, 500 + i);
            for (uint256 j = i; j > 0 && own[j - 1].hash() > own[j].hash(); --j) (own[j - 1], own[j]) = (own[j], own[j - 1]);
        }
    }

    /// @dev Two leaves of each session; `moved` is debited from one that is another's.
    function _moved(SpendingAuthorization[] memory own, uint256 from, uint256 to, uint96 moved)
        internal
        returns (Posted memory posted, Debit[] memory debits)
    {
        Row[] memory rows = new Row[](6);
        for (uint256 i = 0; i < 6; ++i) rows[i] = _row(_attemptOf(nodeId, own[i / 2]));
        rows = _sorted(rows, Tree.SESSION);
        debits = _debitsOf(rows);
        debits[to].change += moved;
        debits[from].change -= moved;
        posted = _postChanges(rows, _sorted(rows, Tree.TAB), debits, _creditsOf(rows));
    }

    function _twoSubtasks(uint96 maxFee) internal returns (Posted memory) {
        Record memory record = _attempt();
        record.order.maxFee = maxFee;
        record.assignment.shareCap = maxFee;
        _seal(record);
        return _postRows(_rows(record, _again(record, nodeId, 1, 0)));
    }

    // ---- sums

    function _leafPath(uint256 depth) internal pure returns (BadSum memory badSum) {
        badSum.ownSums = new uint128[](depth);
        badSum.siblingHashes = new bytes32[](depth);
        badSum.siblingSums = new uint128[](depth);
    }

    function _climbOf(SumProof memory path, uint128 sum) internal pure returns (BadSum memory badSum) {
        badSum = _leafPath(path.hashes.length);
        badSum.siblingHashes = path.hashes;
        badSum.siblingSums = path.sums;
        for (uint256 i = 0; i < path.hashes.length; ++i) {
            badSum.ownSums[i] = sum;
            sum += path.sums[i];
        }
    }

    /// @dev A tree that names the place at (level, index) with `more` than what lies below it; every sum above adds up.
    function _bumped(Row[] memory rows, Tree tree, uint256 level, uint256 index, uint128 more)
        internal
        pure
        returns (bytes32 root, BadSum memory badSum)
    {
        uint256 depth = MerkleSum.depthOf(uint32(rows.length));
        badSum = _leafPath(depth - level);
        (badSum.level, badSum.index) = (uint8(level), uint32(index));
        if (level == 0 && index < rows.length) badSum.leaf = rows[index].leaf;
        bytes32[] memory h = new bytes32[](1 << depth);
        uint128[] memory s = new uint128[](1 << depth);
        {
            (bytes32[] memory hashes, uint128[] memory sums) = _sidesOf(rows, tree);
            for (uint256 i = 0; i < rows.length; ++i) (h[i], s[i]) = (hashes[i], sums[i]);
        }
        for (uint256 l = 0; l < depth; ++l) {
            if (l == level) s[index] += more;
            if (l >= level) {
                uint256 place = index >> (l - level);
                badSum.ownSums[l - level] = s[place];
                (badSum.siblingHashes[l - level], badSum.siblingSums[l - level]) = (h[place ^ 1], s[place ^ 1]);
            }
            if (l + 1 == level) {
                (badSum.leftHash, badSum.leftSum) = (h[2 * index], s[2 * index]);
                (badSum.rightHash, badSum.rightSum) = (h[2 * index + 1], s[2 * index + 1]);
            }
            for (uint256 i = 0; i < 1 << (depth - l - 1); ++i) {
                h[i] = MerkleSum.nodeHash(h[2 * i], s[2 * i], h[2 * i + 1], s[2 * i + 1]);
                s[i] = s[2 * i] + s[2 * i + 1];
            }
        }
        root = h[0];
    }

    /// @dev Posts rows under that root, with so much more debited or credited than they make.
    function _postRoot(Row[] memory rows, Tree tree, bytes32 root, uint96 more) internal returns (Posted memory posted) {
        posted.bySession = _sorted(rows, Tree.SESSION);
        posted.byTab = _sorted(rows, Tree.TAB);
        Debit[] memory debits = _debitsOf(posted.bySession);
        Credit[] memory credits = _creditsOf(posted.byTab);
        if (tree == Tree.SESSION) debits[0].change += more;
        else credits[0].change += more;
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = uint32(rows.length);
        header.sessionRoot = tree == Tree.SESSION ? root : _rootOf(posted.bySession, Tree.SESSION);
        header.tabRoot = tree == Tree.TAB ? root : _rootOf(posted.byTab, Tree.TAB);
        _post(header, debits, credits);
        posted.header = header;
    }

    /// @dev Both roots are the leaf itself, as of a tree of one, under a count of two.
    function _postCutShort(Row memory row) internal returns (bytes32) {
        Row[] memory rows = new Row[](1);
        rows[0] = row;
        (Debit[] memory debits, Credit[] memory credits) = (_debitsOf(rows), _creditsOf(rows));
        BatchHeader memory header = _header(debits, credits);
        header.leafCount = 2;
        header.sessionRoot = header.tabRoot = MerkleSum.leafHash(row.leaf);
        _post(header, debits, credits);
        return header.hash();
    }
}
