// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BoardEntry, EpochCommitment} from "../../../contracts/interfaces/IBoardEvidence.sol";
import {IFraudErrors} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {NearMisses} from "../support/NearMisses.sol";
import {vm} from "../support/Vm.sol";

/// @notice F12: boards that say what was attested, attestations that were never sent or fall on an epoch's edge, honest pools.
contract NearMissBoardTest is NearMisses {
    EpochCommitment private commitment;
    BoardEntry[] private entries;
    SaturationAttestation private attestation;

    // ---- leaves

    function test_near_F12_fewerSlotsThanAttested() public {
        for (uint32 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(i);
            // What the stake or the offer allows is less; more is invented.
            (rows[1].slots, rows[1].slotBps) = i == 0 ? (uint32(3), uint96(3 * 7_000)) : (uint32(9), uint96(9 * 7_000));
            _commit(made, rows);
            bytes memory call = _f12Bad(made, rows[1], attested);
            if (i == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    function test_near_F12_saturationBeyondTheWholeIsCut() public {
        for (uint16 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(i);
            attested.networkBps = 20_000;
            rows[1].attestationHash = attested.hash();
            rows[1].slotBps = uint96(8) * (i == 0 ? 10_000 : 10_001);
            _commit(made, rows);
            bytes memory call = _f12Bad(made, rows[1], attested);
            if (i == 0) _expectNothingWrong(call);
            else _guilty(call);
        }
    }

    function test_near_F12_anotherAttestationThanTheLeafs() public {
        for (uint32 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(i);
            attested.slots = 7;
            if (i == 1) rows[1].attestationHash = attested.hash();
            _commit(made, rows);
            bytes memory call = _f12Bad(made, rows[1], attested);
            if (i == 0) _expectNotTheSame(call);
            else _guilty(call);
        }
    }

    // ---- later attestations

    /// @dev Signed by the node and kept back: no word of the relayer names it.
    function test_near_F12_laterButNeverSent() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        _expectNotSigned(_stale(later, relied, HOT_KEY), SIGNER_KEY, relied.hash());
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    function test_near_F12_reliedOnInTheNextEpochsFirstSecond() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        relied.issuedAt = uint48((uint256(commitment.epoch) + 1) * EPOCH);
        _expectNotTheSame(_stale(later, relied, SIGNER_KEY));
        relied.issuedAt -= 1;
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    function test_near_F12_reliedOnInTheLastSecondBefore() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        relied.issuedAt = uint48(uint256(commitment.epoch) * EPOCH - 1);
        _expectNotTheSame(_stale(later, relied, SIGNER_KEY));
        relied.issuedAt += 1;
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    /// @dev The node's clock is ahead: it observes in the next epoch what the relayer holds in this one.
    function test_near_F12_nodesClockAheadOfTheEpochsEdge() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        later.observedAtMs = uint48((uint256(commitment.epoch) + 1) * EPOCH * 1_000);
        _expectNotTheSame(_stale(later, _reliedOn(later), SIGNER_KEY));
        later.observedAtMs -= 1;
        _guilty(_stale(later, _reliedOn(later), SIGNER_KEY));
    }

    function test_near_F12_observedBeforeTheEpochsFirstMillisecond() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        later.observedAtMs = uint48(uint256(commitment.epoch) * EPOCH * 1_000 - 1);
        _expectNotTheSame(_stale(later, _reliedOn(later), SIGNER_KEY));
        later.observedAtMs += 1;
        _guilty(_stale(later, _reliedOn(later), SIGNER_KEY));
    }

    function test_near_F12_anOlderOneReliedOnEarlyInTheEpoch() public {
        _openBoard();
        SaturationAttestation memory older = _copy(attestation);
        older.seq -= 1;
        _expectNothingWrong(_stale(older, _reliedOn(older), SIGNER_KEY));
        _expectNothingWrong(_stale(attestation, _reliedOn(attestation), SIGNER_KEY));
        older.seq += 2;
        _guilty(_stale(older, _reliedOn(older), SIGNER_KEY));
    }

    function test_near_F12_anotherNodesLeaf() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        later.nodeId = 2;
        _expectNotTheSame(_stale(later, _reliedOn(later), SIGNER_KEY));
        later.nodeId = nodeId;
        _guilty(_stale(later, _reliedOn(later), SIGNER_KEY));
    }

    function test_near_F12_closedKeyStolenTwoWindowsLater() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        _rotateSigner();
        uint256 closedAt = block.timestamp;
        vm.warp(closedAt + 2 * W);
        _expectKeyOver(_stale(later, relied, SIGNER_KEY), relayerId, 1, closedAt);
        vm.warp(closedAt + 2 * W - 1);
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    /// @dev Dated into a time for which the key never spoke.
    function test_near_F12_datedBeforeTheKeysTime() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        relied.relayerEpoch = 2;
        _expectKeyOver(_stale(later, relied, SIGNER_KEY), relayerId, 2, 0);
        relied.relayerEpoch = 1;
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    // ---- omissions

    function test_near_F12_itStandsWhereItIsMissed() public {
        for (uint32 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(i);
            bytes memory offers = abi.encode(MODEL_B, 4, 1, 1);
            attested.offersHash = keccak256(offers);
            // The second time another node stands in its place.
            if (i == 1) rows[1].nodeId = 0;
            _commit(made, rows);
            BoardEntry[] memory others = new BoardEntry[](2);
            (others[0], others[1]) = i == 0 ? (rows[0], rows[1]) : (rows[1], rows[2]);
            bytes memory call = _f12Omitted(made, MODEL_B, attested, offers, others);
            if (i == 0) _expectNeighbours(call);
            else _guilty(call);
        }
    }

    function test_near_F12_itDoesNotOfferThatModel() public {
        (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(0);
        bytes memory offers = abi.encode(MODEL_A, 4, 1, 1, bytes32(uint256(0xD)), 4, 1, 1);
        attested.offersHash = keccak256(offers);
        _commit(made, rows);
        BoardEntry[] memory others = new BoardEntry[](1);
        others[0] = rows[3];
        _expectNothingWrong(_f12Omitted(made, bytes32(uint256(0xE)), attested, offers, others));
        _guilty(_f12Omitted(made, bytes32(uint256(0xD)), attested, offers, others));
    }

    // ---- pools

    function test_near_F12_thePoolOfItsLeaves() public {
        for (uint32 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows,) = _board(i);
            made.pools[0].slots += i;
            _commit(made, rows);
            BoardEntry[] memory bounds = new BoardEntry[](2);
            (bounds[0], bounds[1]) = (rows[0], rows[3]);
            if (i == 0) _expectNothingWrong(_f12Pool(made, bounds, true, true));
            else _guilty(_f12Pool(made, bounds, true, true));
        }
    }

    function test_near_F12_onlyAPartOfThePoolsLeavesIsShown() public {
        for (uint32 i = 0; i < 2; ++i) {
            (EpochCommitment memory made, BoardEntry[] memory rows,) = _board(i);
            if (i == 1) (made.pools[0].slots, made.pools[0].slotBps) = (7, 7 * 7_000);
            _commit(made, rows);
            BoardEntry[] memory bounds = new BoardEntry[](2);
            (bounds[0], bounds[1]) = (rows[1], rows[1]);
            if (i == 0) _expectNothingWrong(_f12Pool(made, bounds, false, true));
            else _guilty(_f12Pool(made, bounds, false, true));
        }
    }

    function test_near_F12_theBoardOfAnotherEpoch() public {
        _openBoard();
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        EpochCommitment memory other = commitment;
        other.epoch -= 1;
        _expectNotProven(
            _f12Stale(other, entries[1], attestation, later, relied, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.CommitmentOfOtherEpoch.selector, bytes32(0), keccak256(abi.encode(other)))
        );
        _guilty(_stale(later, relied, SIGNER_KEY));
    }

    // ---- helpers

    /// @dev The honest board of the first epoch, committed.
    function _openBoard() private {
        (EpochCommitment memory made, BoardEntry[] memory rows, SaturationAttestation memory attested) = _board(0);
        _commit(made, rows);
        attestation = attested;
        commitment.relayerId = made.relayerId;
        commitment.epoch = made.epoch;
        commitment.root = made.root;
        commitment.leafCount = made.leafCount;
        commitment.pools.push(made.pools[0]);
        for (uint256 i = 0; i < rows.length; ++i) entries.push(rows[i]);
    }

    function _stale(SaturationAttestation memory later, Assignment memory relied, uint256 key) private view returns (bytes memory) {
        return _f12Stale(commitment, entries[1], attestation, later, relied, key);
    }
}
