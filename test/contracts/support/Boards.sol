// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BoardEntry, EpochCommitment} from "../../../contracts/interfaces/IBoardEvidence.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {PoolFigure} from "../../../contracts/interfaces/ISaturationBoard.sol";
import {MerkleSum} from "../../../contracts/libraries/MerkleSum.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {Accusations} from "./Accusations.sol";
import {vm} from "./Vm.sol";

/// @notice An epoch on the saturation board, and the calls of F12.
abstract contract Boards is Accusations {
    bytes32 internal constant MODEL_A = bytes32(uint256(0xA));
    bytes32 internal constant MODEL_B = bytes32(uint256(0xB));
    bytes32 internal constant MODEL_C = bytes32(uint256(0xC));
    uint64 internal constant EPOCH_NUMBER = uint64(START / 5 minutes);

    // ---- the board

    /// @dev Four leaves: model A of node 1; model B of nodes 1 and 2; model C of node 1. Epoch: the one of START plus i.
    function _board(uint64 i)
        internal
        view
        returns (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation)
    {
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = 100;
        attestation.observedAtMs = uint48((uint256(EPOCH_NUMBER) + i) * EPOCH * 1_000);
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
        internal
        pure
        returns (BoardEntry memory entry)
    {
        entry.modelId = modelId;
        entry.nodeId = id;
        entry.attestationHash = hash;
        entry.slots = slots;
        entry.slotBps = slots * bps;
    }

    function _boardHash(BoardEntry memory entry) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), entry.modelId, entry.nodeId, entry.attestationHash));
    }

    /// @dev Fills in root and paths, and puts the commitment on the board once its epoch is over.
    function _commit(EpochCommitment memory commitment, BoardEntry[] memory entries) internal {
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

    function _later(SaturationAttestation memory attestation) internal pure returns (SaturationAttestation memory later) {
        later = abi.decode(abi.encode(attestation), (SaturationAttestation));
        later.seq += 1;
    }

    function _reliedOn(SaturationAttestation memory attestation) internal view returns (Assignment memory assignment) {
        assignment.relayerId = relayerId;
        assignment.relayerEpoch = 1;
        assignment.nodeId = attestation.nodeId;
        assignment.attestationHash = attestation.hash();
        // The last second of the epoch, where this one has just ended.
        assignment.issuedAt = uint48(block.timestamp - 1);
    }

    function _f12Bad(EpochCommitment memory commitment, BoardEntry memory entry, SaturationAttestation memory attestation)
        internal
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
    ) internal view returns (bytes memory) {
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
    ) internal view returns (bytes memory) {
        Assignment memory relied = _reliedOn(omitted);
        return abi.encodeCall(
            IFraudProofs.proveOmittedBoardLeaf,
            (commitment, modelId, omitted, offers, relied, _sign(SIGNER_KEY, relied.hash()), others, SALT)
        );
    }

    function _f12Pool(EpochCommitment memory commitment, BoardEntry[] memory bounds, bool isOver, bool hasLeft)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IFraudProofs.proveWrongPool, (commitment, 0, bounds, isOver, hasLeft, SALT));
    }
}
