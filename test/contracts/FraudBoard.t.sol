// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BoardEntry, EpochCommitment} from "../../contracts/interfaces/IBoardEvidence.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors} from "../../contracts/interfaces/IFraudProofs.sol";
import {Assignment} from "../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Boards} from "./support/Boards.sol";
import {vm} from "./support/Vm.sol";

/// @notice F12: figures on the board that attestations do not make, and attestations left out that were relied on.
contract FraudBoardTest is Boards {
    bytes private constant NEIGHBOURS = abi.encodeWithSelector(IFraudErrors.WrongNeighbours.selector);

    /// @dev A board of one model has no neighbours to show.
    function test_F12_aPoolOfTheOnlyModel() public {
        for (uint256 i = 0; i < 2; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _board(uint64(i));
            BoardEntry[] memory own = new BoardEntry[](2);
            (own[0], own[1]) = (entries[1], entries[2]);
            commitment.leafCount = 2;
            if (i == 1) commitment.pools[0].slots += 1;
            _commit(commitment, own);
            BoardEntry[] memory bounds = new BoardEntry[](1);
            bounds[0] = own[1];
            if (i == 0) _expectNothingWrong(_f12Pool(commitment, bounds, true, false));
            if (i == 0) _expectNeighbours(_f12Pool(commitment, bounds, true, true));
            if (i == 1) _prove(_f12Pool(commitment, bounds, true, false));
        }
        _assertPenalty(BOND / 10, address(0), 0);
    }

    /// @dev Whoever steals a closed key can date an assignment back into its time: it counts for 2 W more, as for F10.
    function test_F12_keysCountUntilTwoWindowsAfterTheirClosing() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(0);
        _commit(commitment, entries);
        SaturationAttestation memory later = _later(attestation);
        bytes memory call = _f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY);
        _rotateSigner();
        uint256 closedAt = block.timestamp;
        vm.warp(closedAt + 2 * W);
        _expectKeyOver(call, relayerId, 1, closedAt);
        vm.warp(closedAt + 2 * W - 1);
        _prove(call);
        _assertPenalty(BOND / 10, nodePayout, 0);
    }

    /// @dev What was observed before the epoch may stand in the board of the epoch before, where the relayer held it.
    function test_F12_whatWasObservedInAnotherEpochIsNotContested() public {
        for (uint256 i = 0; i < 3; ++i) {
            (EpochCommitment memory commitment, BoardEntry[] memory entries, SaturationAttestation memory attestation) = _board(uint64(i));
            _commit(commitment, entries);
            SaturationAttestation memory later = _later(attestation);
            uint256 began = uint256(commitment.epoch) * EPOCH * 1_000;
            uint256 ends = began + uint256(EPOCH) * 1_000;
            // A millisecond before, a millisecond after, and the last one of it.
            later.observedAtMs = uint48(i == 0 ? began - 1 : i == 1 ? ends : ends - 1);
            bytes memory call = _f12Stale(commitment, entries[1], attestation, later, _reliedOn(later), SIGNER_KEY);
            if (i < 2) _expectNotTheSame(call);
            else _prove(call);
        }
    }

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

    /// @dev The last leaf shown as the first: what lies between is less than nothing.
    function test_F12_leavesOfAPoolAreShownInTheirOrder() public {
        (EpochCommitment memory commitment, BoardEntry[] memory entries,) = _board(0);
        (entries[0].modelId, entries[3].modelId) = (MODEL_B, MODEL_B);
        _commit(commitment, entries);
        BoardEntry[] memory bounds = new BoardEntry[](2);
        (bounds[0], bounds[1]) = (entries[3], entries[0]);
        _expectNeighbours(_f12Pool(commitment, bounds, false, true));
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
}
