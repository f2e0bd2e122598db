// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BoardEntry, EpochCommitment} from "../../contracts/interfaces/IBoardEvidence.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors, IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {PoolFigure} from "../../contracts/interfaces/ISaturationBoard.sol";
import {MerkleSum} from "../../contracts/libraries/MerkleSum.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice F12: figures on the board that attestations do not make, and attestations left out that were relied on.
contract FraudBoardTest is Trials {
    bytes private constant NEIGHBOURS = abi.encodeWithSelector(IFraudErrors.WrongNeighbours.selector);
    bytes32 private constant MODEL_A = bytes32(uint256(0xA));
    bytes32 private constant MODEL_B = bytes32(uint256(0xB));
    bytes32 private constant MODEL_C = bytes32(uint256(0xC));
    uint64 private constant EPOCH_NUMBER = uint64(START / 5 minutes);

    // ---- F12: the board

    function test_F12_aLeafThatIsNotItsAttestation() public {
        for (uint256 i = 0; i < 5; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(uint64(i));
            if (i == 0) entries[1].slots = 9;
            if (i == 1) entries[1].slotBps += 1;
            if (i == 2) entries[1].slotBps -= 1;
            if (i == 3) attestation.relayerId = 2;
            if (i == 4) attestation.nodeId = 2;
            entries[1].attestationHash = attestation.hash();
            _commit(commitment, entries);
            uint96 bond = vault.activeBondOf(Party.RELAYER, relayerId);
            _prove(_f12Bad(commitment, entries[1], attestation));
            vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), bond - bond / 10, "a tenth");
        }
    }

    function test_F12_honestLeavesAreNotSlashable() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(0);
        // Fewer slots than attested: the offer for this model, or what the stake allows.
        entries[1].slots = 3;
        entries[1].slotBps = 3 * 7_000;
        _commit(commitment, entries);
        _expectNothingWrong(_f12Bad(commitment, entries[1], attestation));
        attestation.slots = 9;
        _expectNotTheSame(_f12Bad(commitment, entries[1], attestation));
        commitment.leafCount += 1;
        _expectNotProven(
            _f12Bad(commitment, entries[1], attestation),
            abi.encodeWithSelector(
                IFraudErrors.CommitmentOfOtherEpoch.selector,
                board.epochHashOf(relayerId, commitment.epoch),
                keccak256(abi.encode(commitment))
            )
        );
        commitment.leafCount -= 1;
        attestation.slots = 8;
        entries[1].nodeId = 5;
        _expectNotProven(
            _f12Bad(commitment, entries[1], attestation),
            abi.encodeWithSelector(
                IFraudErrors.LeafNotThere.selector, commitment.root, _boardHash(entries[1]), uint32(1)
            )
        );
    }

    /// @dev The greatest of the four dimensions counts, and never as more than all of it.
    function test_F12_anyDimensionMayBeTheGreatest() public {
        for (uint256 i = 0; i < 4; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(uint64(i));
            if (i == 0) attestation.computeBps = 8_000;
            if (i == 1) attestation.queueBps = 8_000;
            if (i == 2) attestation.networkBps = 8_000;
            if (i == 3) attestation.networkBps = 20_000;
            entries[1].slotBps = uint96(8) * (i == 3 ? 10_000 : 8_000);
            entries[1].attestationHash = attestation.hash();
            _commit(commitment, entries);
            _expectNothingWrong(_f12Bad(commitment, entries[1], attestation));
        }
    }

    function test_F12_aLaterAttestationThatWasReliedOn() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(0);
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        _prove(_f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY));
        _assertPenalty(BOND / 10, nodePayout, 0);
    }

    /// @dev A node cannot frame a relayer with what it never sent: the relayer's own signature must name it, in that epoch.
    function test_F12_laterAttestations_nearMisses() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(0);
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        Assignment memory relied = _reliedOn(later);
        // Signed by the node, not by the relayer.
        _expectNotProven(
            _f12Stale(commitment, entries[1], attestation, later, relied, HOT_KEY),
            abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(SIGNER_KEY), relied.hash())
        );
        // At the epoch's edges, one second outside.
        relied.issuedAt = uint48(uint256(commitment.epoch) * EPOCH - 1);
        _expectNotTheSame(_f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY));
        relied.issuedAt = uint48((uint256(commitment.epoch) + 1) * EPOCH);
        _expectNotTheSame(_f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY));
        relied = _reliedOn(later);
        // Relied on another one; of another node; for another relayer.
        relied.attestationHash = attestation.hash();
        _expectNotTheSame(_f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY));
        relied = _reliedOn(later);
        relied.nodeId = 2;
        _expectNotTheSame(_f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY));
        _expectNotTheSame(_f12Stale(commitment, entries[2], attestation, later, _reliedOn(later), SIGNER_KEY));
        later.relayerId = 2;
        _expectNotTheSame(_f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY));
        later.relayerId = relayerId;
        // The same, or an older one that an assignment early in the epoch still relied on.
        _expectNothingWrong(_f12Stale(commitment, entries[1], attestation, attestation, _reliedOn(attestation), SIGNER_KEY));
        later.seq = attestation.seq - 1;
        _expectNothingWrong(_f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY));
        // Under a key that spoke no more.
        later.seq = attestation.seq + 1;
        relied = _reliedOn(later);
        relied.relayerEpoch = 2;
        _expectNotProven(
            _f12Stale(commitment, entries[1], attestation, later, relied, SIGNER_KEY),
            abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, relayerId, uint32(2), uint48(0))
        );
    }

    function test_F12_anAttestationThatWasLeftOut() public {
        // Between the leaves of its model, before all, after all.
        bytes32[3] memory models = [MODEL_B, bytes32(uint256(1)), bytes32(type(uint256).max)];
        for (uint256 i = 0; i < 3; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(uint64(i));
            bytes memory offers = abi.encode(MODEL_A, 4, 1, 1, models[i], 4, 1, 1);
            attestation.offersHash = keccak256(offers);
            // Node 1 stands nowhere under that model.
            entries[1].nodeId = 7;
            entries[2].nodeId = i == 0 ? 3 : 7;
            if (i == 0) entries[1].nodeId = 0;
            _commit(commitment, entries);
            BoardEntry[] memory others = new BoardEntry[](i == 0 ? 2 : 1);
            others[0] = i == 0 ? entries[1] : i == 1 ? entries[0] : entries[3];
            if (i == 0) others[1] = entries[2];
            uint96 bond = vault.activeBondOf(Party.RELAYER, relayerId);
            _prove(_f12Omitted(commitment, models[i], attestation, offers, others));
            vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), bond - bond / 10, "a tenth");
        }
    }

    function test_F12_omissions_nearMisses() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(0);
        bytes memory offers = abi.encode(MODEL_A, 4, 1, 1, MODEL_B, 4, 1, 1);
        attestation.offersHash = keccak256(offers);
        entries[1].attestationHash = attestation.hash();
        _commit(commitment, entries);
        BoardEntry[] memory pair = new BoardEntry[](2);
        BoardEntry[] memory single = new BoardEntry[](1);
        // It stands there: no pair of neighbours, and no edge, leaves it room.
        for (uint256 i = 0; i < 4; ++i) {
            single[0] = entries[i];
            _expectNotProven(_f12Omitted(commitment, MODEL_B, attestation, offers, single), NEIGHBOURS);
            if (i == 3) continue;
            (pair[0], pair[1]) = (entries[i], entries[i + 1]);
            _expectNotProven(_f12Omitted(commitment, MODEL_B, attestation, offers, pair), NEIGHBOURS);
        }
        (pair[0], pair[1]) = (entries[0], entries[2]);
        _expectNotProven(_f12Omitted(commitment, MODEL_B, attestation, offers, pair), NEIGHBOURS);
        _expectNotProven(_f12Omitted(commitment, MODEL_B, attestation, offers, new BoardEntry[](0)), NEIGHBOURS);
        // It does not offer the model.
        single[0] = entries[3];
        _expectNothingWrong(_f12Omitted(commitment, bytes32(uint256(0xD)), attestation, offers, single));
        // Other offers than it signed.
        _expectNotTheSame(_f12Omitted(commitment, MODEL_C, attestation, abi.encode(MODEL_C, 4, 1, 1), single));
    }

    /// @dev The pool of model B: nodes 1 and 2, 8 + 4 slots at 70 % and 50 %.
    function test_F12_aPoolThatItsLeavesDoNotMake() public {
        for (uint256 i = 0; i < 4; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _board(uint64(i));
            if (i == 0) commitment.pools[0].slots += 1;
            if (i == 1) commitment.pools[0].slotBps += 1;
            if (i == 2) commitment.pools[0].slots -= 1;
            if (i == 3) commitment.pools[0].slotBps -= 1;
            _commit(commitment, entries);
            BoardEntry[] memory bounds = new BoardEntry[](2);
            bool isOver = i < 2;
            (bounds[0], bounds[1]) = isOver ? (entries[0], entries[3]) : (entries[1], entries[2]);
            uint96 bond = vault.activeBondOf(Party.RELAYER, relayerId);
            _prove(_f12Pool(commitment, bounds, isOver, true));
            vm.assertEq(vault.activeBondOf(Party.RELAYER, relayerId), bond - bond / 10, "a tenth");
        }
    }

    function test_F12_pools_nearMisses() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _board(0);
        _commit(commitment, entries);
        BoardEntry[] memory bounds = new BoardEntry[](2);
        (bounds[0], bounds[1]) = (entries[0], entries[3]);
        _expectNothingWrong(_f12Pool(commitment, bounds, true, true));
        _expectNotProven(_f12Pool(commitment, bounds, true, false), NEIGHBOURS);
        _expectNotProven(_f12Pool(commitment, bounds, false, true), NEIGHBOURS);
        bounds[1] = entries[2];
        _expectNotProven(_f12Pool(commitment, bounds, true, true), NEIGHBOURS);
        (bounds[0], bounds[1]) = (entries[1], entries[2]);
        _expectNothingWrong(_f12Pool(commitment, bounds, false, true));
        _expectNotProven(_f12Pool(commitment, bounds, true, true), NEIGHBOURS);
        (bounds[0], bounds[1]) = (entries[1], entries[1]);
        _expectNothingWrong(_f12Pool(commitment, bounds, false, true));
        (bounds[0], bounds[1]) = (entries[2], entries[1]);
        _expectNothingWrong(_f12Pool(commitment, bounds, false, true));
        // Without a neighbour the tree's edge is the bound, which is never less.
        bounds = new BoardEntry[](1);
        bounds[0] = entries[3];
        _expectNothingWrong(_f12Pool(commitment, bounds, true, false));
        bounds[0] = entries[0];
        _expectNothingWrong(_f12Pool(commitment, bounds, true, true));
        _expectNotProven(_f12Pool(commitment, new BoardEntry[](0), true, false), NEIGHBOURS);
    }

    // ---- the board

    /// @dev Four leaves: model A of node 1; model B of nodes 1 and 2; model C of node 1. Epoch: the one of START plus i.
    function _board(uint64 i)
        private
        view
        returns (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation)
    {
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = 100;
        attestation.slots = 8;
        attestation.memoryBps = 7_000;
        attestation.queueBps = 6_000;
        bytes32 hash = attestation.hash();
        entries = new BoardEntry[](4);
        entries[0] = _boardEntry(MODEL_A, nodeId, hash, 8, 7_000);
        entries[1] = _boardEntry(MODEL_B, nodeId, hash, 8, 7_000);
        entries[2] = _boardEntry(MODEL_B, 2, keccak256("other"), 4, 5_000);
        entries[3] = _boardEntry(MODEL_C, nodeId, hash, 8, 7_000);
        commitment.relayerId = relayerId;
        commitment.epoch = EPOCH_NUMBER + i;
        commitment.leafCount = 4;
        commitment.pools = new PoolFigure[](1);
        commitment.pools[0] = PoolFigure(MODEL_B, 12, 8 * 7_000 + 4 * 5_000);
    }

    function _boardEntry(bytes32 modelId, uint32 id, bytes32 hash, uint32 slots, uint96 bps)
        private
        pure
        returns (BoardEntry memory entry)
    {
        entry.modelId = modelId;
        entry.nodeId = id;
        entry.attestationHash = hash;
        entry.slots = slots;
        entry.slotBps = slots * bps;
    }

    function _boardHash(BoardEntry memory entry) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), entry.modelId, entry.nodeId, entry.attestationHash));
    }

    /// @dev Fills in root and paths, and puts the commitment on the board once its epoch is over.
    function _commit(EpochCommitment memory commitment, BoardEntry[] memory entries) private {
        bytes32[] memory hashes = new bytes32[](entries.length);
        uint128[] memory sums = new uint128[](entries.length);
        for (uint256 i = 0; i < entries.length; ++i) {
            hashes[i] = _boardHash(entries[i]);
            sums[i] = uint128(entries[i].slots) << 96 | entries[i].slotBps;
        }
        (commitment.root,) = MerkleSum.root(hashes, sums);
        for (uint256 i = 0; i < entries.length; ++i) entries[i].proof = _pathOf(hashes, sums, uint32(i));
        vm.warp((uint256(commitment.epoch) + 1) * EPOCH);
        vm.prank(poster);
        board.commitEpoch(
            relayerId, commitment.epoch, commitment.root, commitment.leafCount, keccak256("data"), commitment.pools
        );
    }

    function _later(SaturationAttestation memory attestation) private pure returns (SaturationAttestation memory later) {
        later = abi.decode(abi.encode(attestation), (SaturationAttestation));
        later.seq += 1;
    }

    function _reliedOn(SaturationAttestation memory attestation) private view returns (Assignment memory assignment) {
        assignment.relayerId = relayerId;
        assignment.relayerEpoch = 1;
        assignment.nodeId = attestation.nodeId;
        assignment.attestationHash = attestation.hash();
        // The last second of the epoch, where this one has just ended.
        assignment.issuedAt = uint48(block.timestamp - 1);
    }

    function _f12Bad(EpochCommitment memory commitment, BoardEntry memory entry, SaturationAttestation memory attestation)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IFraudProofs.proveBadBoardLeaf, (commitment, entry, attestation, SALT));
    }

    function _f12Stale(
        EpochCommitment memory commitment,
        BoardEntry memory entry,
        SaturationAttestation memory attestation,
        SaturationAttestation memory later,
        Assignment memory relied,
        uint256 key
    ) private view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveStaleBoardLeaf,
            (commitment, entry, attestation, later, relied, _sign(key, relied.hash()), SALT)
        );
    }

    function _f12Omitted(
        EpochCommitment memory commitment,
        bytes32 modelId,
        SaturationAttestation memory omitted,
        bytes memory offers,
        BoardEntry[] memory others
    ) private view returns (bytes memory) {
        Assignment memory relied = _reliedOn(omitted);
        return abi.encodeCall(
            IFraudProofs.proveOmittedBoardLeaf,
            (commitment, modelId, omitted, offers, relied, _sign(SIGNER_KEY, relied.hash()), others, SALT)
        );
    }

    function _f12Pool(EpochCommitment memory commitment, BoardEntry[] memory bounds, bool isOver, bool hasLeft)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IFraudProofs.proveWrongPool, (commitment, 0, bounds, isOver, hasLeft, SALT));
    }
}
