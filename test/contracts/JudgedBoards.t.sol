// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Verdict} from "../../contracts/fraud/Evidence.sol";
import {BoardEntry, EpochCommitment} from "../../contracts/interfaces/IBoardEvidence.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {SumProof} from "../../contracts/libraries/MerkleSum.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Judged} from "./support/Judged.sol";
import {vm} from "./support/Vm.sol";

/// @notice F12: the whole verdict on a board, and neighbours, bounds and boards that were invented.
contract JudgedBoardsTest is Judged {
    bytes4 private constant NEIGHBOURS = IFraudErrors.WrongNeighbours.selector;

    function _judge() internal view override returns (address) {
        return address(proofs.relayerJudge());
    }

    // ---- leaves

    function test_F12_verdictOnALeaf() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        entries[1].slots = 9;
        _commit(commitment, entries);
        _expectVerdict(_f12Bad(commitment, entries[1], attestation), _onBoard(commitment, MODEL_B, nodeId));
    }

    function test_F12_verdictOnAStaleLeaf() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        _expectVerdict(
            _f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY), _onBoard(commitment, MODEL_B, nodeId)
        );
    }

    /// @dev A leaf that another board held, or none: it is asked for in every proof.
    function test_F12_theLeafStandsOnTheBoard() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        BoardEntry memory invented = entries[1];
        invented.modelId = MODEL_C;
        bytes32 hash = _boardHash(invented);
        _expectNotThere(_f12Stale(commitment, invented, attestation, later, relied, SIGNER_KEY), commitment.root, hash, 1);
        _expectNotThere(_f12Bad(commitment, invented, attestation), commitment.root, hash, 1);
    }

    /// @dev The later one beside an attestation that is not the leaf's.
    function test_F12_theLeafsOwnAttestationIsShown() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        SaturationAttestation memory older = _copy(attestation);
        older.seq -= 1;
        _expectRefused(
            _f12Stale(commitment, entries[1], older, attestation, _reliedOn(attestation), SIGNER_KEY), IFraudErrors.NotTheSame.selector
        );
        _expectVerdict(
            _f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY), _onBoard(commitment, MODEL_B, nodeId)
        );
    }

    /// @dev A leaf in the root's place under a count of two: a path that breaks off there leads to no root.
    function test_F12_aPathThatBreaksOff() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        (entries[1].slots, commitment.leafCount) = (9, 2);
        _commit(commitment, _one(entries[1]));
        BoardEntry memory broken = entries[1];
        broken.proof = SumProof(0, new bytes32[](1), new uint128[](1));
        broken.proof.sums[0] = type(uint128).max;
        _expectNotThere(_f12Bad(commitment, broken, attestation), commitment.root, _boardHash(broken), 0);
    }

    // ---- omissions

    function test_F12_verdictOnAnOmission() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory omitted, bytes memory offers) = _without();
        _expectVerdict(
            _f12Omitted(commitment, MODEL_B, omitted, offers, _pair(entries[0], entries[1])), _onBoard(commitment, MODEL_B, nodeId)
        );
    }

    /// @dev A board that the relayer never committed has room for whatever the accuser wants.
    function test_F12_anOmissionFromABoardThatNeverWas() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory omitted, bytes memory offers) = _without();
        bytes32 onBoard = keccak256(abi.encode(commitment));
        commitment.pools[0].slots += 1;
        bytes32 shown = keccak256(abi.encode(commitment));
        _expectRefused(
            _f12Omitted(commitment, MODEL_B, omitted, offers, _pair(entries[0], entries[1])),
            abi.encodeWithSelector(IFraudErrors.CommitmentOfOtherEpoch.selector, onBoard, shown)
        );
    }

    /// @dev Neighbours that leave room, and stand nowhere.
    function test_F12_neighboursOfAnOmissionStandOnTheBoard() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        bytes memory offers = abi.encode(MODEL_B, 4, 1, 1);
        attestation.offersHash = keccak256(offers);
        entries[1].attestationHash = attestation.hash();
        _commit(commitment, entries);
        BoardEntry memory invented = entries[1];
        invented.nodeId = nodeId + 1;
        bytes32 hash = _boardHash(invented);
        _expectNotThere(
            _f12Omitted(commitment, MODEL_B, attestation, offers, _pair(entries[0], invented)), commitment.root, hash, 1
        );
        invented.proof.index = 0;
        _expectNotThere(_f12Omitted(commitment, MODEL_B, attestation, offers, _one(invented)), commitment.root, hash, 0);
    }

    /// @dev The first leaf with two others behind it: three show nothing, whatever they are.
    function test_F12_threeNeighboursOfAnOmission() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory omitted, bytes memory offers) = _without();
        BoardEntry[] memory three = new BoardEntry[](3);
        (three[0], three[1], three[2]) = (entries[0], entries[1], entries[2]);
        _expectRefused(_f12Omitted(commitment, bytes32(uint256(1)), omitted, offers, three), NEIGHBOURS);
    }

    /// @dev After the last leaf there is room; before it, and after one that is not the last, there may be others.
    function test_F12_theEdgesOfABoard() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        bytes32 last = bytes32(type(uint256).max);
        bytes memory offers = abi.encode(bytes32(uint256(1)), 4, 1, 1, last, 4, 1, 1);
        attestation.offersHash = keccak256(offers);
        _commit(commitment, entries);
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory before = _f12Omitted(commitment, bytes32(uint256(1)), attestation, offers, _one(entries[i]));
            bytes memory behind = _f12Omitted(commitment, last, attestation, offers, _one(entries[i]));
            if (i == 0) _expectVerdict(before, _onBoard(commitment, bytes32(uint256(1)), nodeId));
            else _expectRefused(before, NEIGHBOURS);
            if (i == 2) _expectVerdict(behind, _onBoard(commitment, last, nodeId));
            else _expectRefused(behind, NEIGHBOURS);
        }
    }

    // ---- what the relayer relied on

    /// @dev One of the six things that make an assignment this relayer's word for that attestation in that epoch is not so.
    function test_F12_whatIsReliedOnIsOfThisRelayerNodeAndEpoch() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three();
        _commit(commitment, entries);
        for (uint256 i = 0; i < 7; ++i) {
            SaturationAttestation memory later = _later(attestation);
            if (i == 0) later.relayerId = 1;
            if (i == 1) later.observedAtMs -= 1;
            Assignment memory relied = _reliedOn(later);
            if (i == 2) relied.relayerId = 1;
            if (i == 3) relied.nodeId = 1;
            if (i == 4) relied.attestationHash = attestation.hash();
            if (i == 5) relied.issuedAt += 1;
            bytes memory call = _f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY);
            if (i < 6) _expectRefused(call, IFraudErrors.NotTheSame.selector);
            else _expectVerdict(call, _onBoard(commitment, MODEL_B, nodeId));
        }
    }

    /// @dev A key that counts still speaks for W after its closing: what it is dated into after that is nobody's word.
    function test_F12_datedAfterTheKeysTime() public {
        _rotateSigner();
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _three(uint64(W / EPOCH));
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        _expectRefused(
            _f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(1), uint48(START))
        );
    }

    /// @dev A node offers what no assignment of the relayer ever named.
    function test_F12_anOmissionThatNobodyReliedOn() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory omitted, bytes memory offers) = _without();
        Assignment memory relied = _reliedOn(omitted);
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveOmittedBoardLeaf,
            (commitment, MODEL_B, omitted, offers, relied, _sign(HOT_KEY, relied.hash()), _pair(entries[0], entries[1]), SALT)
        );
        _expectRefused(call, abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), relied.hash()));
    }

    // ---- pools

    function test_F12_aPoolOfABoardThatNeverWas() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three();
        _commit(commitment, entries);
        bytes32 onBoard = keccak256(abi.encode(commitment));
        commitment.pools[0].slots = 9;
        _expectRefused(
            _f12Pool(commitment, _pair(entries[0], entries[2]), true, true),
            abi.encodeWithSelector(IFraudErrors.CommitmentOfOtherEpoch.selector, onBoard, keccak256(abi.encode(commitment)))
        );
    }

    function test_F12_verdictOnAPool() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three();
        commitment.pools[0].slots = 9;
        _commit(commitment, entries);
        _expectVerdict(_f12Pool(commitment, _pair(entries[0], entries[2]), true, true), _onBoard(commitment, MODEL_B, 0));
    }

    /// @dev The first model of a board, one between two, the last, and one that has no leaf: by a slot, or by a basis point of one.
    function test_F12_poolsAtEveryPlaceOfABoard() public {
        for (uint64 i = 0; i < 12; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three(i);
            bytes32 modelId = bytes32(uint256(MODEL_A) + i % 4);
            uint32 empty = i % 4 == 3 ? 1 : 0;
            // Odd, so that the last bit counts as well.
            for (uint256 j = 0; j < 3; ++j) entries[j].slotBps -= 1;
            commitment.pools[0].slotBps -= 1;
            commitment.pools[0].modelId = modelId;
            // As it is, a slot more, and a part of a slot more. A pool of none is never committed.
            if (empty == 1) (commitment.pools[0].slots, commitment.pools[0].slotBps) = (1, i < 8 ? 0 : 1);
            else if (i >= 8) commitment.pools[0].slotBps += 1;
            else if (i >= 4) commitment.pools[0].slots += 1;
            _commit(commitment, entries);
            BoardEntry[] memory bounds = i % 4 == 1 ? _pair(entries[0], entries[2]) : _one(entries[i % 4 == 3 ? 2 : 1]);
            bytes memory call = _f12Pool(commitment, bounds, true, i % 4 != 0);
            if (i < 4 && empty == 0) _expectRefused(call, IFraudErrors.NothingWrong.selector);
            else _expectVerdict(call, _onBoard(commitment, modelId, 0));
        }
    }

    /// @dev A leaf of the model itself is no neighbour of it, on either side.
    function test_F12_aPoolsOwnLeafIsNoNeighbour() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three();
        commitment.pools[0].slots = 9;
        _commit(commitment, entries);
        _expectRefused(_f12Pool(commitment, _pair(entries[1], entries[2]), true, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _pair(entries[0], entries[1]), true, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _one(entries[0]), true, false), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _one(entries[2]), true, true), NEIGHBOURS);
    }

    /// @dev Bounds of which one is no leaf of the board, on either side.
    function test_F12_boundsOfAPoolStandOnTheBoard() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three();
        _commit(commitment, entries);
        for (uint256 i = 0; i < 4; ++i) {
            BoardEntry[] memory bounds = i < 2 ? _pair(entries[0], entries[2]) : _pair(entries[1], entries[1]);
            bounds = abi.decode(abi.encode(bounds), (BoardEntry[]));
            bounds[i % 2].slots += 1;
            bytes32 hash = _boardHash(bounds[i % 2]);
            _expectNotThere(_f12Pool(commitment, bounds, i < 2, true), commitment.root, hash, bounds[i % 2].proof.index);
        }
    }

    /// @dev Too few bounds and too many, for what is over and for what is under.
    function test_F12_asManyBoundsAsAPoolHas() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _three();
        commitment.pools[0].slots = 9;
        _commit(commitment, entries);
        BoardEntry[] memory three = new BoardEntry[](3);
        (three[0], three[1], three[2]) = (entries[0], entries[2], entries[2]);
        _expectRefused(_f12Pool(commitment, three, true, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _pair(entries[2], entries[2]), true, false), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, new BoardEntry[](0), true, true), NEIGHBOURS);
        (three[0], three[1], three[2]) = (entries[1], entries[1], entries[1]);
        _expectRefused(_f12Pool(commitment, three, false, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _one(entries[1]), false, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, new BoardEntry[](0), false, true), NEIGHBOURS);
        // And of its own model, both.
        _expectRefused(_f12Pool(commitment, _pair(entries[0], entries[1]), false, true), NEIGHBOURS);
        _expectRefused(_f12Pool(commitment, _pair(entries[1], entries[2]), false, true), NEIGHBOURS);
    }

    // ---- helpers

    function _three() private view returns (EpochCommitment memory, BoardEntry[] memory, SaturationAttestation memory) {
        return _three(0);
    }

    /// @dev Three leaves, a model each, of the node; a pool for the second.
    function _three(uint64 i)
        private
        view
        returns (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation)
    {
        BoardEntry[] memory four;
        (commitment, four, attestation) = _board(i);
        entries = new BoardEntry[](3);
        (entries[0], entries[1], entries[2]) = (four[0], four[1], four[3]);
        commitment.leafCount = 3;
        (commitment.pools[0].slots, commitment.pools[0].slotBps) = (8, 8 * 7_000);
    }

    /// @dev A board without the node's leaf of model B, which it offered.
    function _without()
        private
        returns (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory omitted, bytes memory offers)
    {
        (commitment, entries, omitted) = _three();
        offers = abi.encode(bytes32(uint256(1)), 4, 1, 1, MODEL_B, 4, 1, 1);
        omitted.offersHash = keccak256(offers);
        entries[1].nodeId = nodeId + 1;
        _commit(commitment, entries);
    }

    function _onBoard(EpochCommitment memory commitment, bytes32 modelId, uint32 node) private view returns (Verdict memory expected) {
        expected = _onRelayer(abi.encode("F12", relayerId, commitment.epoch, modelId, node), 1_000);
        if (node != 0) expected.harmed = nodePayout;
    }

    function _one(BoardEntry memory entry) private pure returns (BoardEntry[] memory bounds) {
        bounds = new BoardEntry[](1);
        bounds[0] = entry;
    }

    function _pair(BoardEntry memory left, BoardEntry memory right) private pure returns (BoardEntry[] memory bounds) {
        bounds = new BoardEntry[](2);
        (bounds[0], bounds[1]) = (left, right);
    }
}
