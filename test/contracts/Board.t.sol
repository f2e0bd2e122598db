// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ISaturationBoard, PoolFigure, Saturation} from "../../contracts/interfaces/ISaturationBoard.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Epoch roots, pools, seeds and single attestations.
contract BoardTest is World {
    bytes32 private constant ROOT = keccak256("root");
    bytes32 private constant DATA = keccak256("data");
    bytes32 private constant MODEL = keccak256("org/model@q4");
    bytes32 private constant SEED = keccak256("the last seed of the chain");
    uint64 private constant NOW_EPOCH = uint64(START / EPOCH);

    PoolFigure[] private none;

    // ---- epochs

    function test_commitsAnEpochThatHasEnded() public {
        vm.expectEmit(address(board));
        emit ISaturationBoard.EpochCommitted(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA);
        vm.prank(poster);
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, none);
        vm.assertEq(board.epochRootOf(relayerId, NOW_EPOCH - 1), ROOT, "root");
        vm.assertEq(board.lastEpochOf(relayerId), NOW_EPOCH - 1, "last epoch");
        vm.assertEq(board.epochAt(START), NOW_EPOCH, "epoch of a time");
    }

    function test_epochsRiseAndHaveEnded() public {
        vm.startPrank(poster);
        _expectNotCommittable(NOW_EPOCH, 0);
        board.commitEpoch(relayerId, NOW_EPOCH - 2, ROOT, 20, DATA, none);
        _expectNotCommittable(NOW_EPOCH - 2, NOW_EPOCH - 2);
        _expectNotCommittable(NOW_EPOCH - 3, NOW_EPOCH - 2);
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, none);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISaturationBoard.EpochNotCommittable.selector, relayerId, NOW_EPOCH - 1, NOW_EPOCH - 1, NOW_EPOCH
            )
        );
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, none);
        vm.stopPrank();
    }

    function test_onlyThePosterCommits() public {
        bytes memory reason = abi.encodeWithSelector(ISaturationBoard.NotPoster.selector, relayerId, stranger, poster);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, none);
        vm.expectRevert(reason);
        board.commitSeedChain(relayerId, NOW_EPOCH + 1, ROOT);
        vm.stopPrank();
    }

    function test_emptyRootsAreRefused() public {
        bytes memory reason = abi.encodeWithSelector(ISaturationBoard.EmptyRoot.selector, relayerId, NOW_EPOCH - 1);
        vm.startPrank(poster);
        vm.expectRevert(reason);
        board.commitEpoch(relayerId, NOW_EPOCH - 1, 0, 20, DATA, none);
        vm.expectRevert(reason);
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 0, DATA, none);
        vm.stopPrank();
    }

    function test_pools() public {
        PoolFigure[] memory figures = new PoolFigure[](1);
        figures[0] = PoolFigure(MODEL, 3, 3 * 10_000 - 1);
        vm.startPrank(poster);
        board.commitEpoch(relayerId, NOW_EPOCH - 2, ROOT, 20, DATA, figures);
        (uint64 epoch, uint64 slots, uint256 bps) = board.poolSaturation(relayerId, MODEL);
        vm.assertEq(epoch, NOW_EPOCH - 2, "epoch");
        vm.assertEq(slots, 3, "slots");
        vm.assertEq(bps, 9_999, "rounded down");
        figures[0].slotBps = 3 * 10_000 + 1;
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.PoolFigureOutOfRange.selector, MODEL, uint64(3), uint128(30_001))
        );
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, figures);
        figures[0] = PoolFigure(MODEL, 0, 0);
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.PoolFigureOutOfRange.selector, MODEL, uint64(0), uint128(0))
        );
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, figures);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.TooManyPools.selector, uint256(65), uint256(64)));
        board.commitEpoch(relayerId, NOW_EPOCH - 1, ROOT, 20, DATA, new PoolFigure[](65));
        vm.stopPrank();
        (, slots, bps) = board.poolSaturation(relayerId, keccak256("unknown"));
        vm.assertEq(bps, 0, "an unknown model has no figure");
    }

    // ---- seeds: the chain's epochs are NOW_EPOCH + 1 onward; the seed of the k-th is SEED hashed LENGTH - k times

    uint64 private constant LENGTH = 100;

    function test_aLaterRevealProvesTheEarlierOnes() public {
        _commitChain();
        vm.assertEq(board.revealedUntil(relayerId), 0, "nothing yet");
        vm.warp(uint256(NOW_EPOCH + 41) * EPOCH);
        vm.expectEmit(address(board));
        emit ISaturationBoard.SeedRevealed(relayerId, NOW_EPOCH + 40, _seed(40));
        vm.prank(stranger);
        board.revealSeed(relayerId, NOW_EPOCH + 40, _seed(40));
        vm.assertEq(board.revealedUntil(relayerId), uint256(NOW_EPOCH + 41) * EPOCH, "to the end of that epoch");
        (uint64 first, uint64 last, bytes32 reached,,) = board.seedChainOf(relayerId);
        vm.assertEq(first, NOW_EPOCH + 1, "first");
        vm.assertEq(last, NOW_EPOCH + 40, "last");
        vm.assertEq(reached, _seed(40), "reached");
    }

    function test_seedsOfTheirEpochOnly() public {
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.NoSeedChain.selector, relayerId));
        board.revealSeed(relayerId, NOW_EPOCH + 1, _seed(1));
        _commitChain();
        vm.warp(uint256(NOW_EPOCH + 3) * EPOCH);
        bytes32 anchor = _seed(0);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISaturationBoard.WrongSeed.selector, relayerId, NOW_EPOCH + 2, keccak256(abi.encode(anchor)), anchor
            )
        );
        board.revealSeed(relayerId, NOW_EPOCH + 2, _seed(1));
        vm.expectRevert(
            abi.encodeWithSelector(
                ISaturationBoard.SeedNotRevealable.selector, relayerId, NOW_EPOCH + 3, NOW_EPOCH, NOW_EPOCH + 3
            )
        );
        board.revealSeed(relayerId, NOW_EPOCH + 3, _seed(3));
        board.revealSeed(relayerId, NOW_EPOCH + 2, _seed(2));
        vm.expectRevert(
            abi.encodeWithSelector(
                ISaturationBoard.SeedNotRevealable.selector, relayerId, NOW_EPOCH + 2, NOW_EPOCH + 2, NOW_EPOCH + 3
            )
        );
        board.revealSeed(relayerId, NOW_EPOCH + 2, _seed(2));
    }

    function test_aRevealIsBoundedInWork() public {
        _commitChain();
        vm.warp(uint256(NOW_EPOCH + 5_000) * EPOCH);
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.TooManySeedSteps.selector, uint64(4_097), uint64(4_096))
        );
        board.revealSeed(relayerId, NOW_EPOCH + 4_097, SEED);
    }

    function test_chainsBeginInTheFuture() public {
        vm.startPrank(poster);
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.SeedChainTooEarly.selector, relayerId, NOW_EPOCH, NOW_EPOCH + 1)
        );
        board.commitSeedChain(relayerId, NOW_EPOCH, ROOT);
        vm.stopPrank();
    }

    /// @dev A following chain takes over only where every seed before it is revealed: no epoch is left out.
    function test_aFollowingChainTakesOverAtItsFirstEpoch() public {
        _commitChain();
        uint64 second = NOW_EPOCH + 11;
        bytes32 lastOfSecond = keccak256("second chain");
        vm.prank(poster);
        board.commitSeedChain(relayerId, second, keccak256(abi.encode(lastOfSecond)));
        vm.warp(uint256(NOW_EPOCH + 20) * EPOCH);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISaturationBoard.SeedNotRevealable.selector, relayerId, second, NOW_EPOCH, NOW_EPOCH + 20
            )
        );
        board.revealSeed(relayerId, second, lastOfSecond);
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.SeedChainTooEarly.selector, relayerId, NOW_EPOCH + 30, second)
        );
        vm.prank(poster);
        board.commitSeedChain(relayerId, NOW_EPOCH + 30, ROOT);
        board.revealSeed(relayerId, second - 1, _seed(10));
        board.revealSeed(relayerId, second, lastOfSecond);
        vm.assertEq(board.revealedUntil(relayerId), uint256(second + 1) * EPOCH, "revealed");
    }

    function test_aFollowingChainCanBeMovedUntilItBegins() public {
        _commitChain();
        vm.startPrank(poster);
        board.commitSeedChain(relayerId, NOW_EPOCH + 11, ROOT);
        board.commitSeedChain(relayerId, NOW_EPOCH + 12, DATA);
        vm.stopPrank();
        (,,, uint64 next, bytes32 anchor) = board.seedChainOf(relayerId);
        vm.assertEq(next, NOW_EPOCH + 12, "next");
        vm.assertEq(anchor, DATA, "anchor");
    }

    // ---- forfeited seeds: the first chain ends, or is lost, before the second one begins at SECOND

    uint64 private constant SECOND = NOW_EPOCH + 31;
    bytes32 private constant SECOND_SEED = keccak256("the second chain's first seed");

    function test_aRelayerThatWasAwayGoesOnWithItsNextChain() public {
        _commitSecond(NOW_EPOCH + 11);
        uint256 now_ = uint256(SECOND + 2) * EPOCH;
        uint48 until = uint48(now_ + 14 * W + 20 * EPOCH);
        vm.expectEmit(address(board));
        emit ISaturationBoard.SeedsForfeited(relayerId, NOW_EPOCH + 11, SECOND - 1, until);
        vm.prank(poster);
        board.forfeitSeeds(relayerId);
        board.revealSeed(relayerId, SECOND, SECOND_SEED);
        vm.assertEq(board.revealedUntil(relayerId), uint256(NOW_EPOCH + 11) * EPOCH, "withheld to the first forfeited epoch");
        vm.warp(until - 1);
        vm.assertEq(board.revealedUntil(relayerId), uint256(NOW_EPOCH + 11) * EPOCH, "still withheld");
        vm.warp(until);
        vm.assertEq(board.revealedUntil(relayerId), uint256(SECOND + 1) * EPOCH, "over");
    }

    function test_forfeitingAgainWaitsForTheEarlierTime() public {
        _commitSecond(NOW_EPOCH + 11);
        vm.startPrank(poster);
        board.forfeitSeeds(relayerId);
        board.commitSeedChain(relayerId, SECOND + 10, ROOT);
        vm.warp(uint256(SECOND + 10) * EPOCH);
        board.forfeitSeeds(relayerId);
        vm.stopPrank();
        vm.assertEq(board.revealedUntil(relayerId), uint256(NOW_EPOCH + 11) * EPOCH, "the first gap counts");
        vm.warp(uint256(SECOND + 10) * EPOCH + 14 * W + 10 * EPOCH - 1);
        vm.assertEq(board.revealedUntil(relayerId), uint256(NOW_EPOCH + 11) * EPOCH, "as long as the second one asks");
        vm.warp(uint256(SECOND + 10) * EPOCH + 14 * W + 10 * EPOCH);
        vm.assertEq(board.revealedUntil(relayerId), 0, "nothing of the third chain is revealed");
    }

    /// @dev Whose journal is lost never knew the chain that follows either: it passes that one too.
    function test_aForeignNextChainCanBePassedWithoutAGap() public {
        _commitSecond(SECOND);
        vm.startPrank(poster);
        board.forfeitSeeds(relayerId);
        (uint64 first, uint64 last,, uint64 next,) = board.seedChainOf(relayerId);
        vm.assertEq(first, SECOND, "took over");
        vm.assertEq(last, SECOND - 1, "nothing revealed of it");
        vm.assertEq(next, 0, "and another one may follow");
        board.commitSeedChain(relayerId, SECOND + 5, ROOT);
        vm.stopPrank();
    }

    function test_seedsAreForfeitedToABegunChainByThePosterOnly() public {
        bytes memory reason = abi.encodeWithSelector(ISaturationBoard.NotPoster.selector, relayerId, stranger, poster);
        vm.expectRevert(reason);
        vm.prank(stranger);
        board.forfeitSeeds(relayerId);
        vm.startPrank(poster);
        _expectNotBegun(0);
        board.commitSeedChain(relayerId, NOW_EPOCH + 1, _seed(0));
        _expectNotBegun(0);
        board.commitSeedChain(relayerId, NOW_EPOCH + 5, ROOT);
        _expectNotBegun(NOW_EPOCH + 5);
        vm.stopPrank();
    }

    /// @dev Whatever is forfeited and revealed when: fees never see a time revealed inside a gap while it is withheld.
    function testFuzz_noTimeInsideAGapCountsWhileFeesAreWithheld(uint16 revealed, uint16 gap, uint32 later) public {
        uint64 upTo = NOW_EPOCH + 1 + revealed % 90;
        uint64 second = upTo + 2 + gap % 500;
        _commitChain();
        vm.prank(poster);
        board.commitSeedChain(relayerId, second, keccak256(abi.encode(SECOND_SEED)));
        vm.warp(uint256(second + 1) * EPOCH);
        board.revealSeed(relayerId, upTo, _seed(upTo - NOW_EPOCH));
        vm.prank(poster);
        board.forfeitSeeds(relayerId);
        board.revealSeed(relayerId, second, SECOND_SEED);
        uint256 until = uint256(second + 1) * EPOCH + 14 * W + uint256(second - upTo - 1) * EPOCH;
        vm.warp(uint256(second + 1) * EPOCH + later);
        uint256 expected = block.timestamp < until ? upTo + 1 : second + 1;
        vm.assertEq(board.revealedUntil(relayerId), expected * EPOCH, "revealed until");
    }

    /// @dev Both chains committed, the first revealed up to before `firstUnrevealed`; two epochs into the second.
    function _commitSecond(uint64 firstUnrevealed) private {
        _commitChain();
        vm.prank(poster);
        board.commitSeedChain(relayerId, SECOND, keccak256(abi.encode(SECOND_SEED)));
        vm.warp(uint256(SECOND + 2) * EPOCH);
        board.revealSeed(relayerId, firstUnrevealed - 1, _seed(firstUnrevealed - 1 - NOW_EPOCH));
    }

    function _expectNotBegun(uint64 next) private {
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.NextSeedChainNotBegun.selector, relayerId, next, NOW_EPOCH)
        );
        board.forfeitSeeds(relayerId);
    }

    // ---- attestations

    function test_anyoneProvesAnAttestation() public {
        SaturationAttestation memory attestation = _attestation(1);
        bytes memory signature = _sign(HOT_KEY, attestation.hash());
        vm.expectEmit(address(board));
        emit ISaturationBoard.AttestationRecorded(
            nodeId,
            relayerId,
            attestation.hash(),
            1,
            uint256(bytes32(abi.encodePacked(
                attestation.validUntilMs, attestation.observedAtMs, attestation.networkBps, attestation.queueBps,
                attestation.memoryBps, attestation.computeBps, attestation.prepSlots, attestation.slots, attestation.seq
            ))),
            attestation.prevHash,
            attestation.queuedTokens,
            attestation.kvFreeTokens,
            attestation.offersHash
        );
        vm.prank(stranger);
        board.recordAttestation(attestation, signature);
        Saturation memory saturation = board.saturationOf(nodeId, relayerId);
        vm.assertEq(saturation.seq, attestation.seq, "seq");
        vm.assertEq(saturation.slots, 8, "slots");
        vm.assertEq(saturation.prepSlots, 2, "prep slots");
        vm.assertEq(saturation.computeBps, 7_000, "compute");
        vm.assertEq(saturation.memoryBps, 6_000, "memory");
        vm.assertEq(saturation.queueBps, 5_000, "queue");
        vm.assertEq(saturation.networkBps, 4_000, "network");
        vm.assertEq(saturation.attestationHash, attestation.hash(), "hash");
    }

    function test_seqStrictlyRises() public {
        _record(_attestation(5));
        bytes memory reason =
            abi.encodeWithSelector(ISaturationBoard.SeqNotRising.selector, nodeId, relayerId, _attestation(5).seq, _attestation(5).seq);
        _expectNotRecorded(_attestation(5), HOT_KEY, reason);
        reason = abi.encodeWithSelector(ISaturationBoard.SeqNotRising.selector, nodeId, relayerId, _attestation(4).seq, _attestation(5).seq);
        _expectNotRecorded(_attestation(4), HOT_KEY, reason);
        _record(_attestation(6));
    }

    function test_attestationByAnotherKey() public {
        _expectNotRecorded(
            _attestation(1), SIGNER_KEY,
            abi.encodeWithSelector(
                ISaturationBoard.AttestationSignatureInvalid.selector, nodeId, vm.addr(HOT_KEY), vm.addr(SIGNER_KEY)
            )
        );
        SaturationAttestation memory attestation = _attestation(1);
        attestation.keyEpoch = 2;
        _expectNotRecorded(
            attestation, HOT_KEY,
            abi.encodeWithSelector(ISaturationBoard.UnknownNodeEpoch.selector, nodeId, uint32(2))
        );
    }

    function test_attestationsInTheirKeyEpochOnly() public {
        SaturationAttestation memory attestation = _attestation(1);
        attestation.observedAtMs = uint48((START - W - 1) * 1_000);
        _expectNotRecorded(
            attestation, HOT_KEY,
            abi.encodeWithSelector(
                ISaturationBoard.AttestationOutsideKeyEpoch.selector, attestation.observedAtMs, uint48(START), uint48(0)
            )
        );
        vm.prank(nodeOwner);
        nodes.retire(nodeId);
        vm.warp(START + 2 * W);
        attestation.observedAtMs = uint48((START + W) * 1_000);
        _expectNotRecorded(
            attestation, HOT_KEY,
            abi.encodeWithSelector(
                ISaturationBoard.AttestationOutsideKeyEpoch.selector, attestation.observedAtMs, uint48(START), uint48(START)
            )
        );
        attestation.observedAtMs -= 1;
        _record(attestation);
    }

    function test_attestationsFromTheFutureAreRefused() public {
        SaturationAttestation memory attestation = _attestation(1);
        attestation.observedAtMs = uint48(START * 1_000 + 60_001);
        _expectNotRecorded(
            attestation, HOT_KEY,
            abi.encodeWithSelector(ISaturationBoard.AttestationFromFuture.selector, attestation.observedAtMs, START * 1_000)
        );
        attestation.observedAtMs -= 1;
        _record(attestation);
    }

    function testFuzz_everyDimensionIsBounded(uint8 dimension, uint16 bps) public {
        bps = uint16(10_001 + uint256(bps) % (65_535 - 10_001));
        SaturationAttestation memory attestation = _attestation(1);
        dimension %= 4;
        if (dimension == 0) attestation.computeBps = bps;
        if (dimension == 1) attestation.memoryBps = bps;
        if (dimension == 2) attestation.queueBps = bps;
        if (dimension == 3) attestation.networkBps = bps;
        _expectNotRecorded(
            attestation, HOT_KEY,
            abi.encodeWithSelector(ISaturationBoard.SaturationOutOfRange.selector, bps)
        );
    }

    function _attestation(uint64 counter) private view returns (SaturationAttestation memory attestation) {
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = (uint64(START * 1_000) << 20) + counter;
        attestation.slots = 8;
        attestation.prepSlots = 2;
        attestation.computeBps = 7_000;
        attestation.memoryBps = 6_000;
        attestation.queueBps = 5_000;
        attestation.networkBps = 4_000;
        attestation.observedAtMs = uint48(START * 1_000);
        attestation.validUntilMs = uint48(START * 1_000 + 5_000);
    }

    function _record(SaturationAttestation memory attestation) private {
        board.recordAttestation(attestation, _sign(HOT_KEY, attestation.hash()));
        vm.assertEq(board.saturationOf(nodeId, relayerId).seq, attestation.seq, "recorded");
    }

    function _expectNotRecorded(SaturationAttestation memory attestation, uint256 key, bytes memory reason) private {
        bytes memory signature = _sign(key, attestation.hash());
        vm.expectRevert(reason);
        board.recordAttestation(attestation, signature);
    }

    function _expectNotCommittable(uint64 epoch, uint64 last) private {
        vm.expectRevert(
            abi.encodeWithSelector(ISaturationBoard.EpochNotCommittable.selector, relayerId, epoch, last, NOW_EPOCH)
        );
        board.commitEpoch(relayerId, epoch, ROOT, 20, DATA, none);
    }

    function _commitChain() private {
        vm.prank(poster);
        board.commitSeedChain(relayerId, NOW_EPOCH + 1, _seed(0));
    }

    function _seed(uint64 ofEpoch) private pure returns (bytes32 seed) {
        seed = SEED;
        for (uint64 i = ofEpoch; i < LENGTH; ++i) seed = keccak256(abi.encode(seed));
    }
}
