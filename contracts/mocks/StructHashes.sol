// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SpendingAuthorization, SPENDING_AUTHORIZATION_TYPEHASH} from "../types/SpendingAuthorization.sol";
import {Voucher, VOUCHER_TYPEHASH} from "../types/Voucher.sol";
import {TaskOrder, TASK_ORDER_TYPEHASH} from "../types/TaskOrder.sol";
import {Assignment, ASSIGNMENT_TYPEHASH} from "../types/Assignment.sol";
import {ReceiptBody, RECEIPT_BODY_TYPEHASH} from "../types/ReceiptBody.sol";
import {TaskReceipt, TASK_RECEIPT_TYPEHASH} from "../types/TaskReceipt.sol";
import {SaturationAttestation, SATURATION_ATTESTATION_TYPEHASH} from "../types/SaturationAttestation.sol";
import {Refusal, REFUSAL_TYPEHASH} from "../types/Refusal.sol";
import {Ack, ACK_TYPEHASH} from "../types/Ack.sol";
import {KeyConsent, KEY_CONSENT_TYPEHASH} from "../types/KeyConsent.sol";
import {BatchHeader, BATCH_HEADER_TYPEHASH} from "../types/BatchHeader.sol";

/// @title A window on the signed structs
/// @notice Puts every struct of contracts/types into one ABI, from which protocol/generated is made,
/// and lets TypeScript compare its hashes with Solidity's. Deployed in tests only.
contract StructHashes {
    function spendingAuthorization(SpendingAuthorization calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (SPENDING_AUTHORIZATION_TYPEHASH, value.hash());
    }

    function voucher(Voucher calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (VOUCHER_TYPEHASH, value.hash());
    }

    function taskOrder(TaskOrder calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (TASK_ORDER_TYPEHASH, value.hash());
    }

    function assignment(Assignment calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (ASSIGNMENT_TYPEHASH, value.hash());
    }

    function receiptBody(ReceiptBody calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (RECEIPT_BODY_TYPEHASH, value.hash());
    }

    function taskReceipt(TaskReceipt calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (TASK_RECEIPT_TYPEHASH, value.hash());
    }

    function saturationAttestation(SaturationAttestation calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (SATURATION_ATTESTATION_TYPEHASH, value.hash());
    }

    function refusal(Refusal calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (REFUSAL_TYPEHASH, value.hash());
    }

    function ack(Ack calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (ACK_TYPEHASH, value.hash());
    }

    function batchHeader(BatchHeader calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (BATCH_HEADER_TYPEHASH, value.hash());
    }

    function keyConsent(KeyConsent calldata value) external pure returns (bytes32 typeHash, bytes32 structHash) {
        return (KEY_CONSENT_TYPEHASH, value.hash());
    }
}
