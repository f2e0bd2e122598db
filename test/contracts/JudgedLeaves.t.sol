// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry, Verdict} from "../../contracts/fraud/Evidence.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {Credit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {JudgedTrees} from "./support/JudgedTrees.sol";
import {vm} from "./support/Vm.sol";

/// @notice F4, F13, F9's answers: the whole verdict on a leaf, whose tab pays for it, and records of other leaves.
contract JudgedLeavesTest is JudgedTrees {
    function _judge() internal view override returns (address) {
        return address(proofs.leafJudge());
    }

    // ---- F4: verdicts

    function test_F4_verdictOnTheRelayersFault() public {
        Record memory record = _attempt();
        record.order.tier = 3;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _expectUntilMature(_f4(posted, 0), _invalid(posted, MINIMUM_PENALTY));
    }

    /// @dev A status that is none, more tokens than ordered, another fee, a total below it: the tab of the node that signed pays.
    function test_F4_verdictOnEachFaultOfTheNodes() public {
        for (uint256 i = 0; i < 5; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.status = 0;
            if (i == 1) record.receipt.body.status = 4;
            if (i == 2) record.order.maxOutTokens = 499_999;
            if (i == 3) record.receipt.body.fee += 1;
            if (i == 4) record.receipt.nodeCumulative = FEE - 1;
            _seal(record);
            Posted memory posted = _postRows(_rows(record));
            Verdict memory expected = _invalid(posted, MINIMUM_PENALTY);
            (expected.nodeId, expected.fromTab) = (nodeId, record.receipt.body.fee);
            _expectVerdict(_f4(posted, 0), expected);
            // What the node did not sign is none of its faults.
            record.receiptSignature = _sign(SIGNER_KEY, record.receipt.hash());
            posted = _postRows(_rows(record));
            _expectVerdict(_f4(posted, 0), _invalid(posted, MINIMUM_PENALTY));
        }
    }

    /// @dev A tab gives back no more than its leaf credited, and no more than its node signed for.
    function test_F4_theTabPaysTheLessOfReceiptAndLeaf() public {
        for (uint256 i = 0; i < 3; ++i) {
            Record memory record = _attempt();
            record.receipt.body.fee = FEE + 9;
            _seal(record);
            Row memory row = _row(record);
            row.leaf.fee = FEE + 8 + uint96(i);
            Posted memory posted = _postBare(_listed(row));
            Verdict memory expected = _invalid(posted, MINIMUM_PENALTY);
            (expected.nodeId, expected.fromTab) = (nodeId, FEE + (i == 0 ? 8 : 9));
            _expectVerdict(_f4(posted, 0), expected);
        }
    }

    /// @dev Three times the leaf's fee where that is more than the minimum, and never beyond what an amount holds.
    function test_F4_threeTimesTheFeeAtLeast() public {
        uint96[4] memory fees = [MINIMUM_PENALTY / 3, MINIMUM_PENALTY / 3 + 1, type(uint96).max / 3 - 1, type(uint96).max];
        uint96[4] memory least = [MINIMUM_PENALTY, 3 * (MINIMUM_PENALTY / 3 + 1), type(uint96).max - 3, type(uint96).max];
        for (uint256 i = 0; i < 4; ++i) {
            Row memory row = _row(_attempt());
            row.leaf.fee = fees[i];
            Row[] memory rows = _listed(row);
            Credit[] memory credits = new Credit[](1);
            credits[0] = _credit(nodeId, HOT_KEY, FEE, 1_000e6);
            Posted memory posted = _postChanges(rows, rows, _debitsOf(rows), credits);
            _expectVerdict(_f4(posted, 0), _invalid(posted, least[i]));
        }
    }

    // ---- F4: what is a fault

    /// @dev Honest in all of its parts, at the other relayer: it has no place in this one's batch.
    function test_F4_aRecordOfAnotherRelayers() public {
        relayerId = 1;
        SpendingAuthorization memory own = _addSession(VOUCHER, 77);
        Record memory record = _attemptOf(nodeId, own);
        relayerId = 2;
        record.assignmentSignature = _sign(0xD3, record.assignment.hash());
        Posted memory posted = _postBare(_rows(record));
        Verdict memory expected = _invalid(posted, MINIMUM_PENALTY);
        expected.sessionId = own.hash();
        _expectVerdict(_f4(posted, 0), expected);
    }

    /// @dev Without a voucher there is no signature of one.
    function test_F4_aVouchersSignatureWithoutAVoucher() public {
        Row memory row = _row(_attemptOf(nodeId, _addSession(ALLOWANCE, 70)));
        _expectRefused(_f4(_postRows(_listed(row)), 0), IFraudErrors.NothingWrong.selector);
        row.leaf.voucherSigHash = keccak256("a signature");
        Posted memory posted = _postRows(_listed(row));
        _expectVerdict(_f4(posted, 0), _invalid(posted, MINIMUM_PENALTY));
    }

    // ---- records of other leaves

    /// @dev Each hash that the leaf holds is that of what is shown: for F4 and for an answer to F9.
    function test_F9_eachPartIsTheLeafsOwn() public {
        Posted memory posted = _postRows(_tasks(1));
        for (uint256 i = 0; i < 4; ++i) {
            Posted memory bent = abi.decode(abi.encode(posted), (Posted));
            Record memory record = bent.bySession[0].record;
            if (i == 0) record.receiptSignature[0] ^= 0x01;
            if (i == 1) record.assignmentSignature[0] ^= 0x01;
            if (i == 2) record.voucherSignature[0] ^= 0x01;
            if (i == 3) record.voucher.cumulativeCap += 1;
            bytes32 leafHash = receipts.leafHash(bent.bySession[0].leaf);
            _expectBoth(bent, abi.encodeWithSelector(IFraudErrors.RecordOfOtherLeaf.selector, leafHash));
        }
    }

    function test_F9_theLeafStandsInTheBatch() public {
        Posted memory posted = _postRows(_tasks(1));
        bytes32 batchHash = posted.header.hash();
        Posted memory bent = abi.decode(abi.encode(posted), (Posted));
        bent.bySession[0].leaf.assignmentSigHash = keccak256("invented");
        bytes32 leafHash = receipts.leafHash(bent.bySession[0].leaf);
        _expectBoth(bent, abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, batchHash, leafHash, uint32(0)));
    }

    /// @dev Its root has another total than the batch; its path breaks off at a leaf in the root's place.
    function test_F9_theLeafStandsUnderTheBatchsTotal() public {
        Row[] memory rows = _tasks(1);
        bytes32 leafHash = receipts.leafHash(rows[0].leaf);
        Posted memory posted = _postRoot(rows, Tree.SESSION, leafHash, 5);
        posted.bySession = rows;
        _expectBoth(posted, abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, posted.header.hash(), leafHash, uint32(0)));
        bytes32 batchHash = _postCutShort(rows[0]);
        SumProof memory broken = SumProof(0, new bytes32[](1), new uint128[](1));
        broken.sums[0] = type(uint128).max;
        _expectRefused(
            abi.encodeCall(IFraudProofs.proveInvalidLeaf, (relayerId, 2, rows[0].leaf, broken, rows[0].record, SALT)),
            abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, batchHash, leafHash, uint32(0))
        );
    }

    // ---- F13

    function test_F13_verdict() public {
        Record memory record = _attempt();
        _force(record);
        Posted memory posted = _postRows(_rows(record));
        Verdict memory expected = _invalid(posted, 0);
        expected.key = keccak256(abi.encode("F13", relayerId, uint64(1), receipts.leafHash(posted.bySession[0].leaf)));
        expected.extra = CHARGE;
        bytes memory call = _f13(record, posted, 0);
        _expectVerdict(call, expected);
        vm.warp(block.timestamp + 6 * W);
        expected.refund = 0;
        _expectVerdict(call, expected);
    }

    function test_F13_theLeafStandsInTheBatch() public {
        Record memory record = _attempt();
        _force(record);
        Posted memory posted = _postRows(_rows(record));
        Entry memory invented = _invented(_entry(posted, Tree.SESSION, 0));
        _expectNotThere(
            abi.encodeCall(IFraudProofs.provePaidAfterForce, (record.receipt.hash(), 1, invented, record.assignment, SALT)),
            posted.header.hash(),
            receipts.leafHash(invented.leaf),
            0
        );
    }

    /// @dev Under which assignment the leaf was paid, its own receipt names.
    function test_F13_theAssignmentIsTheLeafs() public {
        Record memory record = _attempt();
        _force(record);
        Posted memory posted = _postRows(_rows(record));
        posted.bySession[0].record.assignment.priceInPerMTok += 1;
        _expectRefused(_f13(record, posted, 0), IFraudErrors.NotTheSame.selector);
    }

    // ---- helpers

    function _invalid(Posted memory posted, uint96 least) private view returns (Verdict memory expected) {
        bytes32 leafHash = receipts.leafHash(posted.bySession[0].leaf);
        expected = _voiding(posted, 0, abi.encode("F4", relayerId, posted.header.batchId, leafHash));
        (expected.penaltyBps, expected.penaltyLeast) = (0, least);
    }

    function _listed(Row memory row) private pure returns (Row[] memory rows) {
        rows = new Row[](1);
        rows[0] = row;
    }

    function _expectBoth(Posted memory posted, bytes memory reason) private view {
        Row memory row = posted.bySession[0];
        _expectRefused(_f4(posted, 0), reason);
        SumProof memory path = _sessionProof(posted, 0);
        _expectRefused(
            abi.encodeCall(LeafJudge.requireRecord, (relayerId, posted.header.batchId, row.leaf, path, row.record)),
            reason
        );
    }
}
