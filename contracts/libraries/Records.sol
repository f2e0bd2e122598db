// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IKeyRing, KeyEpoch} from "../interfaces/IKeyRing.sol";
import {Assignment} from "../types/Assignment.sol";
import {ReceiptBody, TaskReceipt} from "../types/TaskReceipt.sol";
import {SpendingAuthorization} from "../types/SpendingAuthorization.sol";
import {TaskOrder} from "../types/TaskOrder.sol";
import {Voucher} from "../types/Voucher.sol";
import {Fees} from "./Fees.sol";
import {Signatures} from "./Signatures.sol";

/// @notice Everything that was signed about one attempt.
/// @dev In ALLOWANCE mode the voucher is all zero and its signature empty.
struct Record {
    TaskReceipt receipt;
    bytes receiptSignature;
    Assignment assignment;
    bytes assignmentSignature;
    TaskOrder order;
    Voucher voucher;
    bytes voucherSignature;
    SpendingAuthorization authorization;
}

/// @notice What does not hold in a record, NONE where everything does.
enum Fault {
    NONE,
    RECEIPT_FIELDS,
    ASSIGNMENT_FIELDS,
    VOUCHER_FIELDS,
    PRICE,
    FEE_BPS,
    SHARE_CAP,
    TASK_CAP,
    TIER,
    STATUS,
    TOKENS,
    FEE,
    CUMULATIVE,
    NODE_EPOCH,
    NODE_SIGNATURE,
    RELAYER_EPOCH,
    RELAYER_SIGNATURE,
    VOUCHER_SIGNATURE,
    LEAF_SUMS
}

/// @notice What signatures are checked against.
struct Keys {
    IKeyRing nodes;
    IKeyRing relayers;
    bytes32 domainSeparator;
    uint48 windowSeconds;
}

/// @title Whether a record holds
/// @notice The checks that decide both whether a receipt may be forced and whether a settled leaf is slashable, so that no
/// receipt is refused by the one and upheld by the other.
library Records {
    uint8 internal constant VOUCHER_MODE = 0;
    uint8 internal constant ABORTED = 2;
    uint8 private constant STATUS_MAX = 3;
    uint8 private constant TIER_MAX = 2;

    /// @notice A part of the record is not the one that another part names.
    error RecordNotLinked(bytes32 expected, bytes32 shown);

    /// @notice Receipt names assignment, assignment names order, order names authorization: by hash.
    function requireLinked(Record calldata record) internal pure {
        _same(record.receipt.body.assignmentHash, record.assignment.hash());
        _same(record.assignment.taskId, record.order.hash());
        _same(record.order.sessionId, record.authorization.hash());
    }

    /// @notice The voucher's hash, zero where there is none.
    function voucherHashOf(Record calldata record) internal pure returns (bytes32) {
        return record.voucherSignature.length == 0 ? bytes32(0) : record.voucher.hash();
    }

    /// @notice Whether this attempt was paid for its input; an aborted one is not.
    function paysInput(TaskReceipt calldata receipt, Assignment calldata assignment) internal pure returns (bool) {
        return receipt.body.status != ABORTED && assignment.priceInPerMTok != 0 && receipt.body.inputTokens != 0;
    }

    /// @notice The first thing that does not hold in a linked record.
    function faultOf(Record calldata record, bytes32 voucherHash, Keys memory keys) internal view returns (Fault fault) {
        fault = _links(record, voucherHash);
        if (fault == Fault.NONE) fault = _terms(record.assignment, record.order, record.authorization);
        if (fault == Fault.NONE) fault = _money(record.receipt, record.assignment, record.order.maxOutTokens);
        if (fault == Fault.NONE) fault = _signatures(record, voucherHash, keys);
    }

    /// @notice Whether it is a fault of what the node states. It is the node's own only where the node has signed it.
    function isNodes(Fault fault) internal pure returns (bool) {
        return fault == Fault.STATUS || fault == Fault.TOKENS || fault == Fault.FEE || fault == Fault.CUMULATIVE;
    }

    /// @notice Whether a key speaks for that time: from W before its opening to W after its closing.
    function inEpoch(KeyEpoch memory epoch, uint256 time, uint48 windowSeconds) internal pure returns (bool) {
        return epoch.key != address(0) && time + windowSeconds >= epoch.openedAt
            && (epoch.closedAt == 0 || time < uint256(epoch.closedAt) + windowSeconds);
    }

    function _links(Record calldata record, bytes32 voucherHash) private pure returns (Fault) {
        TaskReceipt calldata receipt = record.receipt;
        ReceiptBody calldata body = receipt.body;
        Assignment calldata assignment = record.assignment;
        bytes32 sessionId = record.order.sessionId;
        if (
            body.taskId != assignment.taskId || body.sessionId != sessionId || body.subtask != assignment.subtask
                || body.attempt != assignment.attempt || body.role != assignment.role
                || receipt.nodeId != assignment.nodeId || receipt.relayerId != assignment.relayerId
                || receipt.keyEpoch != assignment.keyEpoch
        ) return Fault.RECEIPT_FIELDS;
        if (
            assignment.relayerId != record.authorization.relayerId || assignment.subtask >= assignment.subtasks
                || assignment.voucherHash != voucherHash
        ) return Fault.ASSIGNMENT_FIELDS;
        if (record.authorization.mode != VOUCHER_MODE) return voucherHash == 0 ? Fault.NONE : Fault.VOUCHER_FIELDS;
        bool fits = voucherHash != 0 && record.voucher.sessionId == sessionId && record.voucher.taskId == assignment.taskId;
        return fits ? Fault.NONE : Fault.VOUCHER_FIELDS;
    }

    function _terms(
        Assignment calldata assignment,
        TaskOrder calldata order,
        SpendingAuthorization calldata authorization
    ) private pure returns (Fault) {
        if (
            assignment.priceInPerMTok > authorization.maxPriceInPerMTok
                || assignment.priceOutPerMTok > authorization.maxPriceOutPerMTok
        ) return Fault.PRICE;
        if (assignment.feeBps > authorization.maxFeeBps) return Fault.FEE_BPS;
        if (assignment.shareCap > order.maxFee) return Fault.SHARE_CAP;
        if (order.maxFee > authorization.maxPerTask) return Fault.TASK_CAP;
        return order.tier > TIER_MAX ? Fault.TIER : Fault.NONE;
    }

    function _money(TaskReceipt calldata receipt, Assignment calldata assignment, uint32 maxOutTokens)
        private
        pure
        returns (Fault)
    {
        ReceiptBody calldata body = receipt.body;
        if (body.status == 0 || body.status > STATUS_MAX) return Fault.STATUS;
        if (body.outputTokens > maxOutTokens) return Fault.TOKENS;
        (uint256 fee,) = Fees.fee(
            body.status == ABORTED ? 0 : body.inputTokens,
            body.outputTokens,
            assignment.priceInPerMTok,
            assignment.priceOutPerMTok,
            assignment.feeBps,
            assignment.shareCap
        );
        if (body.fee != fee) return Fault.FEE;
        return receipt.nodeCumulative < body.fee ? Fault.CUMULATIVE : Fault.NONE;
    }

    /// @dev The receipt is signed under the assignment's key epoch, so the assignment's time decides for both.
    function _signatures(Record calldata record, bytes32 voucherHash, Keys memory keys) private view returns (Fault) {
        Assignment calldata assignment = record.assignment;
        KeyEpoch memory epoch = keys.nodes.keyOf(assignment.nodeId, assignment.keyEpoch);
        if (!inEpoch(epoch, assignment.issuedAt, keys.windowSeconds)) return Fault.NODE_EPOCH;
        if (!isSigned(epoch.key, record.receipt.hash(), record.receiptSignature, keys)) return Fault.NODE_SIGNATURE;
        epoch = keys.relayers.keyOf(assignment.relayerId, assignment.relayerEpoch);
        if (!inEpoch(epoch, assignment.issuedAt, keys.windowSeconds)) return Fault.RELAYER_EPOCH;
        if (!isSigned(epoch.key, assignment.hash(), record.assignmentSignature, keys)) return Fault.RELAYER_SIGNATURE;
        if (voucherHash == 0) return Fault.NONE;
        address sessionKey = record.authorization.sessionKey;
        return isSigned(sessionKey, voucherHash, record.voucherSignature, keys) ? Fault.NONE : Fault.VOUCHER_SIGNATURE;
    }

    /// @dev A malformed signature recovers zero, which is nobody's key.
    function isSigned(address key, bytes32 structHash, bytes calldata signature, Keys memory keys)
        internal
        pure
        returns (bool)
    {
        bytes32 digest = MessageHashUtils.toTypedDataHash(keys.domainSeparator, structHash);
        return key != address(0) && Signatures.recover(digest, signature) == key;
    }

    function _same(bytes32 expected, bytes32 shown) private pure {
        if (expected != shown) revert RecordNotLinked(expected, shown);
    }
}
