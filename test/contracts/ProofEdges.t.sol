// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {Refusal} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice Near misses that mutation testing found missing: evidence in which exactly one part is about somebody or something else.
contract ProofEdgesTest is Trials {
    function test_F3_attestationAssignmentAndRefusalAreAboutTheSame() public {
        for (uint256 part = 0; part < 7; ++part) {
            SaturationAttestation memory attestation;
            attestation.nodeId = nodeId;
            attestation.relayerId = relayerId;
            attestation.keyEpoch = 1;
            attestation.seq = 7;
            attestation.slots = 4;
            Assignment memory assignment;
            assignment.nodeId = part == 0 ? nodeId + 1 : nodeId;
            assignment.relayerId = part == 1 ? relayerId + 1 : relayerId;
            assignment.relayerEpoch = 1;
            assignment.attestationHash = part == 2 ? bytes32(uint256(1)) : attestation.hash();
            Refusal memory refusal;
            refusal.nodeId = part == 3 ? nodeId + 1 : nodeId;
            refusal.relayerId = part == 4 ? relayerId + 1 : relayerId;
            refusal.keyEpoch = 1;
            refusal.assignmentHash = part == 5 ? bytes32(uint256(1)) : assignment.hash();
            refusal.attestationSeq = part == 6 ? 8 : 7;
            _expectNotTheSame(
                abi.encodeCall(
                    IFraudProofs.proveFalseRefusal,
                    (
                        attestation,
                        _sign(HOT_KEY, attestation.hash()),
                        assignment,
                        _sign(SIGNER_KEY, assignment.hash()),
                        refusal,
                        _sign(HOT_KEY, refusal.hash()),
                        SALT
                    )
                )
            );
        }
    }

    /// @dev Node 2 in its epoch 1: whose key is asked for shows in whose tab pays.
    function test_F4_theTabThatPaysIsTheSigners() public {
        uint32 second = _addNode(0xB2);
        Record memory record = _attemptOf(second, authorization);
        record.receipt.body.fee += 1;
        record.receipt.nodeCumulative += 1;
        _seal(record);
        Posted memory posted = _postRows(_rows(record));
        _prove(
            abi.encodeCall(
                IFraudProofs.proveInvalidLeaf,
                (relayerId, 1, posted.bySession[0].leaf, _sessionProof(posted, 0), record, SALT)
            )
        );
        vm.assertEq(escrow.tabOf(relayerId, second).voidedEarned, record.receipt.body.fee, "all that its leaf credited");
    }

    /// @dev The third task of a batch: what stands left of it is none of its charges.
    function test_F5_aTaskIsSummedFromItsOwnStart() public {
        Posted memory posted = _postRows(_tasks(3));
        for (uint256 i = 0; i < 3; ++i) {
            _expectNothingWrong(
                abi.encodeCall(
                    IFraudProofs.proveTaskAboveMaxFee,
                    (
                        relayerId,
                        1,
                        posted.bySession[i].record.order,
                        _entry(posted, Tree.SESSION, i),
                        _entry(posted, Tree.SESSION, i),
                        SALT
                    )
                )
            );
        }
    }
}
