// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IKeyRing, KeyEpoch} from "../../contracts/interfaces/IKeyRing.sol";
import {Fault, Keys, Record, Records} from "../../contracts/libraries/Records.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {TaskReceipt} from "../../contracts/types/TaskReceipt.sol";
import {Judged} from "./support/Judged.sol";
import {vm} from "./support/Vm.sol";

/// @notice Asks the library for the test.
contract RecordsWindow {
    function faultOf(Record calldata record, bytes32 voucherHash, Keys calldata keys) external view returns (Fault) {
        return Records.faultOf(record, voucherHash, keys);
    }

    function voucherHashOf(Record calldata record) external pure returns (bytes32) {
        return Records.voucherHashOf(record);
    }

    function requireLinked(Record calldata record) external pure {
        Records.requireLinked(record);
    }

    function paysInput(TaskReceipt calldata receipt, Assignment calldata assignment) external pure returns (bool) {
        return Records.paysInput(receipt, assignment);
    }

    function isNodes(Fault fault) external pure returns (bool) {
        return Records.isNodes(fault);
    }

    function inEpoch(KeyEpoch calldata epoch, uint256 time) external pure returns (bool) {
        return Records.inEpoch(epoch, time, 1 hours);
    }

    function isSigned(address key, bytes32 structHash, bytes calldata signature, Keys calldata keys) external pure returns (bool) {
        return Records.isSigned(key, structHash, signature, keys);
    }

    function recoverCompact(bytes32 digest, bytes32 r, bytes32 vs) external pure returns (address) {
        return Signatures.recoverCompact(digest, r, vs);
    }
}

/// @notice Which fault a record has, by name: forces are refused with it, and it decides whose money an invalid leaf costs.
contract JudgedRecordsTest is Judged {
    RecordsWindow private window;

    function setUp() public override {
        super.setUp();
        window = new RecordsWindow();
    }

    function _judge() internal pure override returns (address) {
        return address(0);
    }

    // ---- what one part says of another

    function test_whatTheReceiptSaysOfItsAssignment() public {
        for (uint256 i = 0; i < 8; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.taskId = keccak256("another");
            if (i == 1) record.receipt.body.sessionId = keccak256("another");
            if (i == 2) record.receipt.body.subtask += 1;
            if (i == 3) record.receipt.body.attempt += 1;
            if (i == 4) record.receipt.body.role += 1;
            if (i == 5) record.receipt.nodeId += 1;
            if (i == 6) record.receipt.relayerId += 1;
            if (i == 7) record.receipt.keyEpoch += 1;
            _expectFault(record, Fault.RECEIPT_FIELDS);
        }
    }

    function test_whatTheAssignmentSaysOfTheOrder() public {
        for (uint256 i = 0; i < 4; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.authorization.relayerId += 1;
            if (i == 1) (record.assignment.subtask, record.receipt.body.subtask) = (1, 1);
            if (i == 2) (record.assignment.subtask, record.receipt.body.subtask) = (2, 2);
            if (i == 3) record.assignment.voucherHash = keccak256("another");
            _expectFault(record, Fault.ASSIGNMENT_FIELDS);
        }
    }

    function test_vouchers() public {
        Record memory record = _attempt();
        record.voucher.sessionId = keccak256("another");
        _expectFaultWith(record, record.assignment.voucherHash, Fault.VOUCHER_FIELDS);
        record = _attempt();
        record.voucher.taskId = keccak256("another");
        _expectFaultWith(record, record.assignment.voucherHash, Fault.VOUCHER_FIELDS);
        record = _attempt();
        record.assignment.voucherHash = 0;
        _expectFaultWith(record, 0, Fault.VOUCHER_FIELDS);
        // The other mode has none.
        record = _attemptOf(nodeId, _addSession(ALLOWANCE, 70));
        _expectFault(record, Fault.NONE);
        record.assignment.voucherHash = keccak256("one");
        _expectFaultWith(record, record.assignment.voucherHash, Fault.VOUCHER_FIELDS);
    }

    /// @dev Each is named by its hash, and by nothing else.
    function test_partsThatAreNotLinked() public {
        for (uint256 i = 0; i < 3; ++i) {
            Record memory record = _attempt();
            window.requireLinked(record);
            bytes32 expected;
            if (i == 0) (expected, record.assignment.deadline) = (record.assignment.hash(), record.assignment.deadline + 1);
            if (i == 1) (expected, record.order.deadline) = (record.order.hash(), record.order.deadline + 1);
            if (i == 2) (expected, record.authorization.salt) = (record.authorization.hash(), record.authorization.salt + 1);
            bytes32 shown = i == 0 ? record.assignment.hash() : i == 1 ? record.order.hash() : record.authorization.hash();
            vm.expectRevert(abi.encodeWithSelector(Records.RecordNotLinked.selector, expected, shown));
            window.requireLinked(record);
        }
    }

    // ---- what the payer signed

    function test_termsBeyondWhatWasSigned() public {
        Fault[6] memory faults = [Fault.PRICE, Fault.PRICE, Fault.FEE_BPS, Fault.SHARE_CAP, Fault.TASK_CAP, Fault.TIER];
        for (uint256 i = 0; i < 6; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.assignment.priceInPerMTok = record.authorization.maxPriceInPerMTok + 1;
            if (i == 1) record.assignment.priceOutPerMTok = record.authorization.maxPriceOutPerMTok + 1;
            if (i == 2) record.assignment.feeBps = record.authorization.maxFeeBps + 1;
            if (i == 3) record.assignment.shareCap = record.order.maxFee + 1;
            if (i == 4) record.order.maxFee = record.authorization.maxPerTask + 1;
            if (i == 5) record.order.tier = 3;
            _seal(record);
            _expectFault(record, faults[i]);
        }
    }

    /// @dev Every limit reached to the unit: prices, fee, share, task, tier, tokens, total, status.
    function test_termsUpToWhatWasSigned() public {
        Record memory record = _attempt();
        (record.assignment.priceInPerMTok, record.assignment.priceOutPerMTok, record.assignment.feeBps) = (1e6, 1e6, 500);
        (record.order.tier, record.order.maxOutTokens) = (2, 450_000);
        (record.receipt.body.inputTokens, record.receipt.body.outputTokens) = (500_000, 450_000);
        (record.receipt.body.fee, record.receipt.nodeCumulative, record.receipt.body.status) = (950_000, 950_000, 3);
        _seal(record);
        _expectFault(record, Fault.NONE);
    }

    // ---- what the node states

    function test_whatTheNodeStates() public {
        Fault[5] memory faults = [Fault.STATUS, Fault.STATUS, Fault.TOKENS, Fault.FEE, Fault.CUMULATIVE];
        for (uint256 i = 0; i < 5; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.receipt.body.status = 0;
            if (i == 1) record.receipt.body.status = 4;
            if (i == 2) record.order.maxOutTokens = record.receipt.body.outputTokens - 1;
            if (i == 3) record.receipt.body.fee -= 1;
            if (i == 4) record.receipt.nodeCumulative = FEE - 1;
            _seal(record);
            _expectFault(record, faults[i]);
        }
    }

    /// @dev Not even one token of it, where one costs a unit.
    function test_anAbortedAttemptIsPaidNoInput() public {
        Record memory record = _attempt();
        record.assignment.priceInPerMTok = 1e6;
        _expectFault(_withoutInput(record, ABORTED, 1e6, 1_000_000), Fault.NONE);
        record.receipt.body.fee += 1;
        _seal(record);
        _expectFault(record, Fault.FEE);
    }

    function test_whoseFaultItIs() public view {
        for (uint8 i = 0; i <= uint8(type(Fault).max); ++i) {
            Fault fault = Fault(i);
            bool isNodes = fault == Fault.STATUS || fault == Fault.TOKENS || fault == Fault.FEE || fault == Fault.CUMULATIVE;
            vm.assertTrue(window.isNodes(fault) == isNodes, "whose");
        }
    }

    function test_whetherInputWasPaid() public {
        Record memory record = _attempt();
        for (uint256 i = 0; i < 8; ++i) {
            record.receipt.body.status = i & 1 == 0 ? CANCELLED : ABORTED;
            record.assignment.priceInPerMTok = i & 2 == 0 ? 1 : 0;
            record.receipt.body.inputTokens = i & 4 == 0 ? 1 : 0;
            vm.assertTrue(window.paysInput(record.receipt, record.assignment) == (i == 0), "all three");
        }
    }

    // ---- keys

    function test_keysAndSignatures() public {
        Fault[6] memory faults = [
            Fault.NODE_EPOCH, Fault.NODE_EPOCH, Fault.NODE_SIGNATURE, Fault.RELAYER_EPOCH, Fault.RELAYER_SIGNATURE, Fault.VOUCHER_SIGNATURE
        ];
        for (uint256 i = 0; i < 6; ++i) {
            Record memory record = _attempt();
            if (i == 0) record.assignment.keyEpoch = 2;
            if (i == 1) record.assignment.issuedAt = uint48(START - W - 1);
            if (i == 3) record.assignment.relayerEpoch = 2;
            _seal(record);
            if (i == 2) record.receiptSignature = _sign(0xBAD, record.receipt.hash());
            if (i == 4) record.assignmentSignature = _sign(0xBAD, record.assignment.hash());
            if (i == 5) record.voucherSignature = _sign(0xBAD, record.voucher.hash());
            _expectFault(record, faults[i]);
        }
    }

    /// @dev Whose key was closed, the other's being open still.
    function test_eachPartysKeyIsOfItsOwnEpoch() public {
        Record memory record = _attempt();
        record.assignment.issuedAt = uint48(START + W);
        _seal(record);
        _expectFault(record, Fault.NONE);
        _rotateSigner();
        _expectFault(record, Fault.RELAYER_EPOCH);
        _rotateNodeKey();
        _expectFault(record, Fault.NODE_EPOCH);
    }

    /// @dev From W before its opening to W after its closing, a second more on neither side; never where there is no key.
    function test_theTimeOfAKey() public view {
        KeyEpoch memory epoch = KeyEpoch(address(1), 20_000, 30_000);
        vm.assertFalse(window.inEpoch(epoch, 20_000 - W - 1), "too early");
        vm.assertTrue(window.inEpoch(epoch, 20_000 - W), "W before");
        vm.assertTrue(window.inEpoch(epoch, 30_000 + W - 1), "W after");
        vm.assertFalse(window.inEpoch(epoch, 30_000 + W), "too late");
        epoch.closedAt = 0;
        vm.assertTrue(window.inEpoch(epoch, 30_000 + W), "open");
        epoch.closedAt = type(uint48).max;
        vm.assertTrue(window.inEpoch(epoch, 30_000 + W), "closed at the end of time");
        epoch.key = address(0);
        vm.assertFalse(window.inEpoch(epoch, 30_000), "nobody's");
    }

    function test_nobodySignsWithAMalformedSignature() public view {
        bytes32 structHash = keccak256("struct");
        vm.assertTrue(window.isSigned(vm.addr(HOT_KEY), structHash, _sign(HOT_KEY, structHash), _keys()), "signed");
        vm.assertFalse(window.isSigned(vm.addr(SIGNER_KEY), structHash, _sign(HOT_KEY, structHash), _keys()), "by another");
        vm.assertFalse(window.isSigned(address(0), structHash, "", _keys()), "nobody");
        vm.assertFalse(window.isSigned(address(0), structHash, new bytes(65), _keys()), "nobody");
    }

    /// @dev Some key has signed every digest with r = 1 and whichever s: half the group order is the last that is read.
    function test_theGreatestS() public view {
        uint256 half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
        bytes32 digest = keccak256("digest");
        address signer = ecrecover(digest, 28, bytes32(uint256(1)), bytes32(half));
        vm.assertTrue(signer != address(0), "a key");
        vm.assertEq(window.recoverCompact(digest, bytes32(uint256(1)), bytes32(half | 1 << 255)), signer, "low");
        vm.assertEq(window.recoverCompact(digest, bytes32(uint256(1)), bytes32(half + 1 | 1 << 255)), address(0), "high");
    }

    // ---- helpers

    function _expectFault(Record memory record, Fault expected) private view {
        _expectFaultWith(record, window.voucherHashOf(record), expected);
    }

    function _expectFaultWith(Record memory record, bytes32 voucherHash, Fault expected) private view {
        vm.assertEq(uint256(window.faultOf(record, voucherHash, _keys())), uint256(expected), "the fault");
    }

    function _keys() private view returns (Keys memory) {
        return Keys(IKeyRing(address(nodes)), IKeyRing(address(relayers)), settlement.domainSeparator(), W);
    }
}
