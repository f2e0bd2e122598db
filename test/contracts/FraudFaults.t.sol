// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {RelayerAccount, Session, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Accusations} from "./support/Accusations.sol";
import {vm} from "./support/Vm.sol";

/// @notice F4: every fault of a record, and what only looks like one.
contract FraudFaultsTest is Accusations {
    // ---- F4: every fault

    function test_F4_everyFieldThatOnePartSaysOfAnother() public {
        for (uint256 i = 0; i < 8; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.taskId = keccak256("another");
            if (i == 1) record.receipt.body.subtask = 1;
            if (i == 2) record.receipt.body.attempt = 1;
            if (i == 3) record.receipt.body.role = 2;
            if (i == 4) record.receipt.keyEpoch = 2;
            if (i == 5) record.receipt.relayerId = 2;
            if (i == 6) record.receipt.nodeId = 2;
            if (i == 7) record.receipt.body.sessionId = _addSession(VOUCHER, 50).hash();
            _signAll(record);
            hotKeyOf[2] = HOT_KEY;
            if (i == 6) _addNode(0xBB);
            hotKeyOf[2] = 0xBB;
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everyTermThatThePayerSigned() public {
        for (uint256 i = 0; i < 9; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.assignment.priceInPerMTok = 1e6 + 1;
            if (i == 1) record.assignment.priceOutPerMTok = 1e6 + 1;
            if (i == 2) record.assignment.feeBps = 501;
            if (i == 3) record.assignment.shareCap = 1e6 + 1;
            if (i == 4) record.order.maxFee = 1e6 + 1;
            if (i == 5) record.order.tier = 3;
            if (i == 6) record.order.maxOutTokens = 499_999;
            if (i == 7) record.receipt.body.status = 4;
            if (i == 8) record.assignment.subtask = 1;
            _seal(record);
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everyPartOfTheFee() public {
        for (uint256 i = 0; i < 5; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.fee -= 1;
            if (i == 1) record.receipt.body.inputTokens += 10;
            if (i == 2) record.receipt.body.status = ABORTED;
            if (i == 3) record.receipt.nodeCumulative = FEE - 1;
            if (i == 4) record.assignment.shareCap = CHARGE - 1;
            _seal(record);
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_everySignature() public {
        for (uint256 i = 0; i < 6; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receiptSignature = _sign(0xBAD, record.receipt.hash());
            if (i == 1) record.assignmentSignature = _sign(0xBAD, record.assignment.hash());
            if (i == 2) record.voucherSignature = _sign(0xBAD, record.voucher.hash());
            if (i == 3) record.receiptSignature = "";
            if (i == 4) record.assignmentSignature = hex"00";
            if (i == 5) record.voucherSignature = _sign(PAYER_KEY, record.voucher.hash());
            _expectProven(record, MINIMUM_PENALTY);
        }
    }

    function test_F4_vouchers() public {
        // None where one is needed.
        Record memory record = _attempt();
        record.assignment.voucherHash = 0;
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        Row memory row = _row(record);
        (row.leaf.voucherHash, row.leaf.voucherSigHash) = (0, 0);
        _expectProvenRow(row, MINIMUM_PENALTY);
        // Of another order.
        record = _attempt();
        record.voucher.taskId = keccak256("another");
        record.assignment.voucherHash = record.voucher.hash();
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        _expectProven(record, MINIMUM_PENALTY);
        // Other than the one that the assignment names.
        record = _attempt();
        record.voucher.cumulativeCap -= 1;
        _signAll(record);
        _expectProven(record, MINIMUM_PENALTY);
        // One where none belongs.
        record = _attemptOf(nodeId, _addSession(ALLOWANCE, 60));
        record.voucher.cumulativeCap = 5;
        record.assignment.voucherHash = record.voucher.hash();
        record.receipt.body.assignmentHash = record.assignment.hash();
        _signAll(record);
        row = _row(record);
        row.leaf.voucherHash = record.voucher.hash();
        row.leaf.voucherSigHash = keccak256("");
        _expectProvenRow(row, MINIMUM_PENALTY);
    }

    /// @dev The receipt holds, the leaf does not stand for it.
    function test_F4_theLeafsOwnAmounts() public {
        for (uint256 i = 0; i < 4; ++i) {
            Row memory row = _row(_attempt());
            if (i == 0) row.leaf.fee += 1;
            if (i == 1) row.leaf.charge += 1;
            if (i == 2) row.leaf.charge -= 1;
            if (i == 3) row.leaf.fee -= 1;
            _expectProvenRow(row, MINIMUM_PENALTY);
        }
    }

    function test_F4_keysOutOfTheirEpochs() public {
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB5);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB5), consent);
        vm.warp(START + W);
        _expectProven(_attempt(), MINIMUM_PENALTY);
        // The new key spoke before it was opened.
        vm.warp(START + 2 * W);
        Record memory record = _attempt();
        record.assignment.keyEpoch = 2;
        record.assignment.issuedAt = uint48(START - W - 1);
        hotKeyOf[nodeId] = 0xB5;
        _seal(record);
        _expectProven(record, MINIMUM_PENALTY);
    }

    // ---- F4: near misses

    function test_F4_honestLeavesAreNotSlashable() public {
        _expectHonest(_attempt());
        // Ended by the client, by the node, without output, without charge.
        Record memory record = _attempt();
        record.receipt.body.status = CANCELLED;
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.receipt.body.status = ABORTED;
        record.receipt.body.fee = 150_000;
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.receipt.body.inputTokens = 0;
        record.receipt.body.outputTokens = 0;
        record.receipt.body.fee = 0;
        _seal(record);
        _expectHonest(record);
        // Cut at its share: the greatest fee whose charge fits.
        record = _attempt();
        record.assignment.shareCap = 103_000;
        record.receipt.body.fee = 100_000;
        _seal(record);
        _expectHonest(record);
        // A hedge without input price; a later attempt after a node's death; a further subtask, and a redundant one.
        record = _attempt();
        record.assignment.priceInPerMTok = 0;
        record.receipt.body.fee = 150_000;
        _seal(record);
        _expectHonest(record);
        _expectHonest(_again(_attempt(), nodeId, 0, 128));
        _expectHonest(_again(_attempt(), nodeId, 3, 0));
        // Tiers, and the payer's limits reached to the unit.
        record = _attempt();
        record.order.tier = 2;
        record.assignment.feeBps = 500;
        _seal(record);
        _expectHonest(record);
        // An allowance has no voucher.
        _expectHonest(_attemptOf(nodeId, _addSession(ALLOWANCE, 70)));
    }

    /// @dev Rotation in mid-batch and clocks that are apart: a closed key speaks for W more, a new one from W before.
    function test_F4_rotationInMidBatch() public {
        Record memory early = _attempt();
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB5);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB5), consent);
        consent = _consent(address(relayers), relayerOwner, 0xC5);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC5), consent);
        _expectHonest(early);
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START + W - 1);
        _seal(record);
        _expectHonest(record);
        record = _attempt();
        record.assignment.keyEpoch = 2;
        record.assignment.issuedAt = uint48(START - W);
        hotKeyOf[nodeId] = 0xB5;
        _seal(record);
        Posted memory posted = _postUnder(1, _rows(record));
        _expectNothingWrong(_f4(posted, 0));
    }

    function _expectProven(Record memory record, uint256 penalty) private {
        _expectProvenRow(_row(record), penalty);
    }

    /// @dev Posted among honest leaves, so that the path matters.
    function _expectProvenRow(Row memory row, uint256 penalty) private {
        Row[] memory rows = new Row[](3);
        (rows[0], rows[1], rows[2]) = (_row(_attempt()), row, _row(_attempt()));
        Posted memory posted = _postUnder(1, rows);
        uint256 index;
        while (posted.bySession[index].leaf.receiptHash != row.leaf.receiptHash) ++index;
        uint256 burned = proofs.toBurn(pay);
        _prove(_f4(posted, index));
        vm.assertGe(proofs.toBurn(pay) - burned, penalty / 2, "half of the penalty is burned");
        (uint256 booked, uint256 tracked) = _books();
        vm.assertEq(booked, tracked, "I1");
    }

    function _expectHonest(Record memory record) private {
        _expectNothingWrong(_f4(_postUnder(1, _rows(record)), 0));
    }

    /// @dev Posts in its own time and under its own keys, whatever was rotated before.
    function _postUnder(uint32 epoch, Row[] memory rows) private returns (Posted memory) {
        uint256 was = hotKeyOf[nodeId];
        hotKeyOf[nodeId] = epoch == 1 ? HOT_KEY : was;
        Posted memory posted = _postRows(rows);
        hotKeyOf[nodeId] = was;
        return posted;
    }

    function _books() private view returns (uint256 booked, uint256 tracked) {
        booked = escrow.freeBalanceOf(payer);
        bytes32[4] memory ids = [
            sessionId, _authorizationOf(VOUCHER, 50), _authorizationOf(ALLOWANCE, 60), _authorizationOf(ALLOWANCE, 70)
        ];
        for (uint256 i = 0; i < ids.length; ++i) {
            Session memory one = escrow.sessionOf(ids[i]);
            booked += uint256(one.lock) + one.voidedCharge - one.charged - one.forced;
        }
        for (uint32 id = 1; id <= nodes.count(); ++id) {
            Tab memory tab = escrow.tabOf(relayerId, id);
            booked += uint256(tab.earned) + tab.forcedEarned - tab.voidedEarned - tab.claimed;
        }
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        booked += uint256(account.fees) - account.feesVoided - account.feesClaimed;
        return (booked, escrow.trackedBalance());
    }

    function _authorizationOf(uint8 mode, uint256 salt) private view returns (bytes32) {
        SpendingAuthorization memory own = _authorization(mode, LOCK);
        own.salt = salt;
        return own.hash();
    }
}
