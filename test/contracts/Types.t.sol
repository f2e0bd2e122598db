// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Ack, ACK_TYPEHASH} from "../../contracts/types/Ack.sol";
import {Assignment, ASSIGNMENT_TYPEHASH} from "../../contracts/types/Assignment.sol";
import {BatchHeader, BATCH_HEADER_TYPEHASH} from "../../contracts/types/BatchHeader.sol";
import {KeyConsent, KEY_CONSENT_TYPEHASH} from "../../contracts/types/KeyConsent.sol";
import {ReceiptBody, RECEIPT_BODY_TYPEHASH} from "../../contracts/types/ReceiptBody.sol";
import {Refusal, REFUSAL_TYPEHASH} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation, SATURATION_ATTESTATION_TYPEHASH} from "../../contracts/types/SaturationAttestation.sol";
import {SpendingAuthorization, SPENDING_AUTHORIZATION_TYPEHASH} from "../../contracts/types/SpendingAuthorization.sol";
import {TaskOrder, TASK_ORDER_TYPEHASH} from "../../contracts/types/TaskOrder.sol";
import {TaskReceipt, TASK_RECEIPT_TYPEHASH} from "../../contracts/types/TaskReceipt.sol";
import {Voucher, VOUCHER_TYPEHASH} from "../../contracts/types/Voucher.sol";
import {vm} from "./support/Vm.sol";

/// @notice Every type hash against the one that Hardhat derives from the struct itself, so that a string cannot drift from it.
contract TypesTest {
    function test_typeHashesFitTheStructs() public pure {
        _same("Ack", ACK_TYPEHASH);
        _same("Assignment", ASSIGNMENT_TYPEHASH);
        _same("BatchHeader", BATCH_HEADER_TYPEHASH);
        _same("KeyConsent", KEY_CONSENT_TYPEHASH);
        _same("ReceiptBody", RECEIPT_BODY_TYPEHASH);
        _same("Refusal", REFUSAL_TYPEHASH);
        _same("SaturationAttestation", SATURATION_ATTESTATION_TYPEHASH);
        _same("SpendingAuthorization", SPENDING_AUTHORIZATION_TYPEHASH);
        _same("TaskOrder", TASK_ORDER_TYPEHASH);
        _same("TaskReceipt", TASK_RECEIPT_TYPEHASH);
        _same("Voucher", VOUCHER_TYPEHASH);
    }

    function testFuzz_nestedBodyEntersAsItsHash(TaskReceipt memory receipt) public pure {
        bytes32 expected = keccak256(
            abi.encode(
                TASK_RECEIPT_TYPEHASH,
                keccak256(abi.encode(RECEIPT_BODY_TYPEHASH, receipt.body)),
                receipt.nodeId,
                receipt.relayerId,
                receipt.keyEpoch,
                receipt.nodeSeq,
                receipt.nodeCumulative
            )
        );
        vm.assertEq(receipt.hash(), expected, "hashStruct");
        vm.assertEq(receipt.hashWithBody(receipt.body.hash()), expected, "hashStruct over the body's hash");
    }

    function _same(string memory name, bytes32 typeHash) private pure {
        vm.assertEq(typeHash, vm.eip712HashType(name), name);
    }
}
