// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry} from "../../contracts/fraud/Evidence.sol";
import {Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {Refusal} from "../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";

/// @notice Near misses that mutation testing found missing: evidence in which exactly one part is about somebody or something else.
contract ProofEdgesTest is Trees {
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

    /// @dev From a leaf of the session to one of another: what lies between is not all the session's.
    function test_F5_bothEndsAreTheSessionsOwn() public {
        (Posted memory posted, Debit[] memory debits) = _moved(_threeSessions(), 2, 1, 0);
        bytes32 id = debits[1].sessionId;
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 3, 4), false));
        _expectNeighbours(_f5(posted, debits, Tree.SESSION, id, false, _around(posted, Tree.SESSION, 2, 5), false));
    }

    /// @dev Between the two that stand around it in the other tree there is the honest leaf itself.
    function test_F11_neighboursHaveNothingBetweenThem() public {
        Posted memory posted = _postRows(_tasks(3));
        Entry[] memory around = new Entry[](2);
        (around[0], around[1]) = (_entry(posted, Tree.TAB, 0), _entry(posted, Tree.TAB, 2));
        Entry memory own = _entry(posted, Tree.SESSION, _placeOf(posted.bySession, posted.byTab[1]));
        _expectNotNeighbours(Tree.SESSION, own, around);
        (around[0], around[1]) = (_entry(posted, Tree.SESSION, 0), _entry(posted, Tree.SESSION, 2));
        own = _entry(posted, Tree.TAB, _placeOf(posted.byTab, posted.bySession[1]));
        _expectNotNeighbours(Tree.TAB, own, around);
        // More than two say nothing, whatever they are.
        Entry[] memory three = new Entry[](3);
        three[0] = _entry(posted, Tree.SESSION, 1);
        (three[1], three[2]) = (around[0], around[1]);
        _expectNotNeighbours(Tree.TAB, own, three);
    }

    /// @dev A hedge charges no input, so a later attempt of its subtask may.
    function test_F13_aForcedHedgeLeavesTheInputToBePaid() public {
        Record memory hedge = _attempt();
        uint96 priceIn = hedge.assignment.priceInPerMTok;
        hedge.assignment.priceInPerMTok = 0;
        hedge.receipt.body.fee = 150_000;
        _seal(hedge);
        (Ack memory ack, bytes memory acked) = _ack(hedge);
        vm.warp(START + W);
        settlement.openForce(hedge, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        settlement.resolveForce(ack.receiptHash);
        Record memory later = _again(hedge, nodeId, 0, 1);
        later.assignment.priceInPerMTok = priceIn;
        later.receipt.body.fee = FEE;
        later.receipt.nodeCumulative += FEE;
        _seal(later);
        Posted memory posted = _postRows(_rows(later));
        _expectNothingWrong(
            abi.encodeCall(
                IFraudProofs.provePaidAfterForce,
                (ack.receiptHash, 1, _entry(posted, Tree.SESSION, 0), later.assignment, SALT)
            )
        );
    }

    /// @dev To the unit what the order pays for: nothing is paid twice.
    function test_F13_aForceAndALeafThatFillTheOrderExactly() public {
        Record memory record = _attempt();
        record.order.maxFee = CHARGE + FEE;
        record.assignment.shareCap = CHARGE + FEE;
        _seal(record);
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 2 * W + 1);
        settlement.resolveForce(ack.receiptHash);
        Record memory later = _again(record, nodeId, 1, 0);
        Posted memory posted = _postRows(_rows(later));
        _expectNothingWrong(
            abi.encodeCall(
                IFraudProofs.provePaidAfterForce,
                (ack.receiptHash, 1, _entry(posted, Tree.SESSION, 0), later.assignment, SALT)
            )
        );
    }

    /// @dev Node 2 in its epoch 1: the key that is asked for is the offender's.
    function test_F1_theStakeThatPaysIsTheSigners() public {
        uint32 second = _addNode(0xB9);
        _bond(Party.NODE, second, STAKE);
        uint96 staked = vault.activeBondOf(Party.NODE, second);
        SaturationAttestation memory one;
        one.nodeId = second;
        one.relayerId = relayerId;
        one.keyEpoch = 1;
        one.seq = 7;
        SaturationAttestation memory other = abi.decode(abi.encode(one), (SaturationAttestation));
        other.slots = 1;
        _prove(
            abi.encodeCall(
                IFraudProofs.proveSaturationEquivocation,
                (one, _sign(0xB9, one.hash()), other, _sign(0xB9, other.hash()), SALT)
            )
        );
        vm.assertEq(vault.activeBondOf(Party.NODE, second), staked - staked / 10, "a tenth");
    }

    function test_F9_anIndexBeyondTheBatchIsNamedBesideItsCount() public {
        _postRows(_tasks(2));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.IndexOutOfRange.selector, uint32(7), uint32(2)));
        proofs.challengeData(relayerId, 1, 7);
    }

    function _placeOf(Row[] memory rows, Row memory wanted) private pure returns (uint256 place) {
        while (rows[place].leaf.receiptHash != wanted.leaf.receiptHash) ++place;
    }

    function _expectNotNeighbours(Tree tree, Entry memory own, Entry[] memory others) private {
        _expectNotProven(
            abi.encodeCall(IFraudProofs.proveAsymmetry, (relayerId, 1, tree, own, others, SALT)),
            abi.encodeWithSignature("WrongNeighbours()")
        );
    }
}
