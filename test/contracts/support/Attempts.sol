// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Tree} from "../../../contracts/interfaces/ITaskReceipts.sol";
import {Entry} from "../../../contracts/fraud/Evidence.sol";
import {Fees} from "../../../contracts/libraries/Fees.sol";
import {Leaf, MerkleSum, SumProof} from "../../../contracts/libraries/MerkleSum.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {Ack} from "../../../contracts/types/Ack.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {World} from "./World.sol";

/// @notice Attempts with everything that is signed about them, and batches over whole trees of them.
abstract contract Attempts is World {
    uint96 internal constant LOCK = 100e6;
    /// @dev What an attempt of `_attempt` comes to: 1,000,000 tokens in at 0.1, 500,000 out at 0.3, 300 bps.
    uint96 internal constant FEE = 250_000;
    uint96 internal constant CHARGE = 257_500;
    uint8 internal constant COMPLETE = 1;
    uint8 internal constant ABORTED = 2;
    uint8 internal constant CANCELLED = 3;

    /// @notice A record and the leaf that stands for it.
    struct Row {
        Record record;
        Leaf leaf;
    }

    /// @notice A posted batch: its rows in the order of each tree.
    struct Posted {
        BatchHeader header;
        Row[] bySession;
        Row[] byTab;
    }

    SpendingAuthorization internal authorization;
    bytes32 internal sessionId;
    uint256 private nonce;
    uint64 private seq;
    mapping(uint32 nodeId => uint96) private cumulative;
    mapping(uint32 nodeId => uint256) internal hotKeyOf;
    mapping(bytes32 sessionId => uint256) internal sessionKeyOf;

    function setUp() public virtual override {
        super.setUp();
        hotKeyOf[nodeId] = HOT_KEY;
        authorization = _authorization(VOUCHER, LOCK);
        sessionId = _open(authorization);
    }

    // ---- attempts

    /// @notice The whole of a new task: one attempt, complete, all signatures right.
    function _attempt() internal returns (Record memory record) {
        return _attemptOf(nodeId, authorization);
    }

    function _attemptOf(uint32 node, SpendingAuthorization memory own) internal returns (Record memory record) {
        record.authorization = own;
        record.order.sessionId = own.hash();
        record.order.nonce = ++nonce;
        record.order.promptCommit = keccak256(abi.encode("prompt", nonce));
        record.order.modelId = keccak256("org/model@q4");
        record.order.maxOutTokens = 1_000_000;
        record.order.maxFee = 1e6;
        record.order.deadline = uint48(block.timestamp + 600);
        record.assignment.subtasks = 1;
        record.assignment.relayerId = relayerId;
        record.assignment.relayerEpoch = 1;
        record.assignment.nodeId = node;
        record.assignment.keyEpoch = 1;
        record.assignment.role = 1;
        record.assignment.priceInPerMTok = 100_000;
        record.assignment.priceOutPerMTok = 300_000;
        record.assignment.feeBps = 300;
        record.assignment.shareCap = 1e6;
        record.assignment.issuedAt = uint48(block.timestamp);
        record.assignment.deadline = uint48(block.timestamp + 600);
        record.receipt.body.role = 1;
        record.receipt.body.inputTokens = 1_000_000;
        record.receipt.body.outputTokens = 500_000;
        record.receipt.body.fee = FEE;
        record.receipt.body.startedAt = uint48(block.timestamp);
        record.receipt.body.finishedAt = uint48(block.timestamp + 1);
        record.receipt.body.status = COMPLETE;
        _renew(record);
        _seal(record);
    }

    /// @notice Another attempt of the same order.
    function _again(Record memory first, uint32 node, uint16 subtask, uint8 attempt) internal returns (Record memory record) {
        record = abi.decode(abi.encode(first), (Record));
        record.assignment.nodeId = node;
        record.assignment.subtask = subtask;
        record.assignment.subtasks = subtask + 1;
        record.assignment.attempt = attempt;
        _renew(record);
        _seal(record);
    }

    /// @dev The receipt's place in its tab.
    function _renew(Record memory record) internal {
        uint32 node = record.assignment.nodeId;
        cumulative[node] += record.receipt.body.fee;
        record.receipt.nodeCumulative = cumulative[node];
        record.receipt.nodeSeq = (uint64(block.timestamp * 1_000) << 20) + ++seq;
    }

    /// @notice Links and signs a record as it is.
    function _seal(Record memory record) internal view {
        bytes32 taskId = record.order.hash();
        bool vouched = record.authorization.mode == VOUCHER;
        if (vouched) {
            record.voucher.sessionId = record.order.sessionId;
            record.voucher.taskId = taskId;
            record.voucher.cumulativeCap = record.authorization.lock;
        }
        record.assignment.taskId = taskId;
        record.assignment.voucherHash = vouched ? record.voucher.hash() : bytes32(0);
        record.receipt.body.assignmentHash = record.assignment.hash();
        record.receipt.body.sessionId = record.order.sessionId;
        record.receipt.body.taskId = taskId;
        record.receipt.body.subtask = record.assignment.subtask;
        record.receipt.body.attempt = record.assignment.attempt;
        record.receipt.body.role = record.assignment.role;
        record.receipt.nodeId = record.assignment.nodeId;
        record.receipt.relayerId = record.assignment.relayerId;
        record.receipt.keyEpoch = record.assignment.keyEpoch;
        _signAll(record);
    }

    /// @notice Signs a record without putting right what its parts say of each other.
    function _signAll(Record memory record) internal view {
        if (record.authorization.mode == VOUCHER) {
            uint256 own = sessionKeyOf[record.order.sessionId];
            record.voucherSignature = _sign(own == 0 ? SESSION_KEY : own, record.voucher.hash());
        }
        record.assignmentSignature = _sign(SIGNER_KEY, record.assignment.hash());
        record.receiptSignature = _sign(hotKeyOf[record.assignment.nodeId], record.receipt.hash());
    }

    function _leafOf(Record memory record) internal pure returns (Leaf memory leaf) {
        uint96 fee = record.receipt.body.fee;
        leaf.receiptHash = record.receipt.hash();
        leaf.fee = fee;
        leaf.charge = uint128(Fees.chargeDown(fee, record.assignment.feeBps));
        leaf.nodeSigHash = keccak256(record.receiptSignature);
        if (record.authorization.mode == VOUCHER) {
            leaf.voucherHash = record.voucher.hash();
            leaf.voucherSigHash = keccak256(record.voucherSignature);
        }
        leaf.assignmentSigHash = keccak256(record.assignmentSignature);
    }

    function _ack(Record memory record) internal view returns (Ack memory ack, bytes memory signature) {
        ack = Ack(record.receipt.hash(), relayerId, 1, uint48(block.timestamp));
        signature = _sign(SIGNER_KEY, ack.hash());
    }

    function _row(Record memory record) internal pure returns (Row memory) {
        return Row(record, _leafOf(record));
    }

    // ---- batches

    function _rows(Record memory one) internal pure returns (Row[] memory rows) {
        rows = new Row[](1);
        rows[0] = _row(one);
    }

    function _rows(Record memory one, Record memory other) internal pure returns (Row[] memory rows) {
        rows = new Row[](2);
        (rows[0], rows[1]) = (_row(one), _row(other));
    }

    /// @notice New tasks of the session, each by the first node.
    function _tasks(uint256 count) internal returns (Row[] memory rows) {
        rows = new Row[](count);
        for (uint256 i = 0; i < count; ++i) rows[i] = _row(_attempt());
    }

    /// @notice Posts the next batch over those rows, in order, with the changes that they add up to.
    function _postRows(Row[] memory rows) internal returns (Posted memory posted) {
        return _postTrees(_sorted(rows, Tree.SESSION), _sorted(rows, Tree.TAB));
    }

    /// @notice Posts those trees as they stand.
    function _postTrees(Row[] memory bySession, Row[] memory byTab) internal returns (Posted memory posted) {
        return _postChanges(bySession, byTab, _debitsOf(bySession), _creditsOf(byTab));
    }

    function _postChanges(Row[] memory bySession, Row[] memory byTab, Debit[] memory debits, Credit[] memory credits)
        internal
        returns (Posted memory posted)
    {
        posted.bySession = bySession;
        posted.byTab = byTab;
        posted.header = _header(debits, credits);
        posted.header.leafCount = uint32(bySession.length);
        posted.header.sessionRoot = _rootOf(bySession, Tree.SESSION);
        posted.header.tabRoot = _rootOf(byTab, Tree.TAB);
        _post(posted.header, debits, credits);
    }

    /// @dev One item per session of the rows, by the sum of its charges; the session key covers it.
    function _debitsOf(Row[] memory rows) internal view returns (Debit[] memory debits) {
        debits = new Debit[](rows.length);
        uint256 count;
        for (uint256 i = 0; i < rows.length; ++i) {
            bytes32 id = rows[i].record.receipt.body.sessionId;
            // What changes nothing is no item.
            if (rows[i].leaf.charge == 0) continue;
            if (count == 0 || debits[count - 1].sessionId != id) debits[count++].sessionId = id;
            debits[count - 1].change += uint96(rows[i].leaf.charge);
        }
        _cut(debits, count);
        for (uint256 i = 0; i < count; ++i) _cover(debits[i]);
    }

    function _cover(Debit memory debit) internal view {
        if (escrow.sessionOf(debit.sessionId).mode != VOUCHER) return;
        uint256 own = sessionKeyOf[debit.sessionId];
        _putVoucher(debit, own == 0 ? SESSION_KEY : own, LOCK);
    }

    function _creditsOf(Row[] memory rows) internal view returns (Credit[] memory credits) {
        credits = new Credit[](rows.length);
        uint256 count;
        for (uint256 i = 0; i < rows.length; ++i) {
            uint32 id = rows[i].record.receipt.nodeId;
            if (rows[i].leaf.fee == 0) continue;
            if (count == 0 || credits[count - 1].nodeId != id) credits[count++].nodeId = id;
            credits[count - 1].change += uint96(rows[i].leaf.fee);
        }
        assembly ("memory-safe") {
            mstore(credits, count)
        }
        // Far above what was earned: the cap is no part of what these tests are about.
        for (uint256 i = 0; i < count; ++i) {
            credits[i] = _credit(credits[i].nodeId, hotKeyOf[credits[i].nodeId], credits[i].change, 1_000e6);
        }
    }

    function _cut(Debit[] memory debits, uint256 count) internal pure {
        assembly ("memory-safe") {
            mstore(debits, count)
        }
    }

    // ---- trees

    function _entry(Posted memory posted, Tree tree, uint256 index) internal pure returns (Entry memory) {
        Row[] memory rows = tree == Tree.SESSION ? posted.bySession : posted.byTab;
        return Entry(rows[index].leaf, _proofOf(rows, tree, uint32(index)), rows[index].record.receipt);
    }

    function _sessionProof(Posted memory posted, uint256 index) internal pure returns (SumProof memory) {
        return _proofOf(posted.bySession, Tree.SESSION, uint32(index));
    }

    function _tabProof(Posted memory posted, uint256 index) internal pure returns (SumProof memory) {
        return _proofOf(posted.byTab, Tree.TAB, uint32(index));
    }

    function _sidesOf(Row[] memory rows, Tree tree) internal pure returns (bytes32[] memory hashes, uint128[] memory sums) {
        hashes = new bytes32[](rows.length);
        sums = new uint128[](rows.length);
        for (uint256 i = 0; i < rows.length; ++i) {
            hashes[i] = MerkleSum.leafHash(rows[i].leaf);
            sums[i] = tree == Tree.SESSION ? rows[i].leaf.charge : rows[i].leaf.fee;
        }
    }

    function _rootOf(Row[] memory rows, Tree tree) internal pure returns (bytes32 root) {
        (bytes32[] memory hashes, uint128[] memory sums) = _sidesOf(rows, tree);
        (root,) = MerkleSum.root(hashes, sums);
    }

    function _proofOf(Row[] memory rows, Tree tree, uint32 index) internal pure returns (SumProof memory) {
        (bytes32[] memory hashes, uint128[] memory sums) = _sidesOf(rows, tree);
        return _pathOf(hashes, sums, index);
    }

    /// @dev Level by level over the padded tree.
    function _pathOf(bytes32[] memory hashes, uint128[] memory sums, uint32 index) internal pure returns (SumProof memory proof) {
        uint256 depth = MerkleSum.depthOf(uint32(hashes.length));
        proof = SumProof(index, new bytes32[](depth), new uint128[](depth));
        bytes32[] memory h = new bytes32[](1 << depth);
        uint128[] memory s = new uint128[](1 << depth);
        for (uint256 i = 0; i < hashes.length; ++i) (h[i], s[i]) = (hashes[i], sums[i]);
        uint256 place = index;
        for (uint256 level = 0; level < depth; ++level) {
            proof.hashes[level] = h[place ^ 1];
            proof.sums[level] = s[place ^ 1];
            place /= 2;
            for (uint256 i = 0; i < (1 << depth - level) / 2; ++i) {
                h[i] = MerkleSum.nodeHash(h[2 * i], s[2 * i], h[2 * i + 1], s[2 * i + 1]);
                s[i] = s[2 * i] + s[2 * i + 1];
            }
        }
    }

    /// @dev Insertion sort of a copy.
    function _sorted(Row[] memory rows, Tree tree) internal pure returns (Row[] memory sorted) {
        sorted = new Row[](rows.length);
        for (uint256 i = 0; i < rows.length; ++i) {
            sorted[i] = rows[i];
            for (uint256 j = i; j > 0 && _before(sorted[j].record, sorted[j - 1].record, tree); --j) {
                (sorted[j - 1], sorted[j]) = (sorted[j], sorted[j - 1]);
            }
        }
    }

    function _before(Record memory one, Record memory other, Tree tree) private pure returns (bool) {
        if (tree == Tree.TAB) {
            if (one.receipt.nodeId != other.receipt.nodeId) return one.receipt.nodeId < other.receipt.nodeId;
            return one.receipt.nodeSeq < other.receipt.nodeSeq;
        }
        bytes32 oneId = one.receipt.body.sessionId;
        if (oneId != other.receipt.body.sessionId) return oneId < other.receipt.body.sessionId;
        oneId = one.receipt.body.taskId;
        if (oneId != other.receipt.body.taskId) return oneId < other.receipt.body.taskId;
        if (one.receipt.body.subtask != other.receipt.body.subtask) {
            return one.receipt.body.subtask < other.receipt.body.subtask;
        }
        return one.receipt.body.attempt < other.receipt.body.attempt;
    }

    // ---- more of everything

    function _addNode(uint256 key) internal returns (uint32 id) {
        id = _registerNode(nodeOwner, key);
        hotKeyOf[id] = key;
    }

    /// @notice Another session of the payer.
    function _addSession(uint8 mode, uint256 salt) internal returns (SpendingAuthorization memory own) {
        own = _authorization(mode, LOCK);
        own.salt = salt;
        _open(own);
    }
}
