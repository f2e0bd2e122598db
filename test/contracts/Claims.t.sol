// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IEscrow, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {Maturity, Trail} from "../../contracts/libraries/Maturity.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice When credits and fees mature, and who is paid what.
contract ClaimsTest is World {
    using Maturity for Trail;

    uint96 private constant LOCK = 900e6;
    /// @dev A time at which a period of tabs (3 W) and one of fees (7 W) both begin.
    uint256 private constant BOTH = 21 * uint256(W) * (START / (21 * uint256(W)) + 1);
    bytes32 private constant SEED = keccak256("seed");

    bytes32 private sessionId;
    Trail private trail;
    uint32 private lastPeriod;

    function setUp() public override {
        super.setUp();
        vm.warp(BOTH);
        sessionId = _openSession(VOUCHER, LOCK);
    }

    function test_creditsMatureAfterOneWholePeriod() public {
        vm.warp(BOTH + W);
        _settle(sessionId, 11e6, 10e6);
        vm.warp(BOTH + 6 * W - 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingMatured.selector, nodeId));
        escrow.claimTab(relayerId, nodeId);
        vm.warp(BOTH + 6 * W);
        vm.expectEmit(address(escrow));
        emit IEscrow.TabClaimed(relayerId, nodeId, nodePayout, 10e6);
        vm.prank(stranger);
        escrow.claimTab(relayerId, nodeId);
        vm.assertEq(pay.balanceOf(nodePayout), 10e6, "paid to the payout address");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingMatured.selector, nodeId));
        escrow.claimTab(relayerId, nodeId);
    }

    /// @dev Posting all the time delays nothing: what was earned a whole period ago is there.
    function test_frequentPostingDelaysNoClaim() public {
        uint96 earned;
        uint96[] memory earnedBefore = new uint96[](60);
        for (uint256 i = 0; i < 60; ++i) {
            vm.warp(BOTH + i * W / 2);
            earnedBefore[i] = earned;
            _settle(sessionId, 1e6, 1e6);
            earned += 1e6;
            // Half windows: six to a period. All that was earned before the start of the last full period is claimable.
            uint256 period = i / 6;
            uint96 expected = period == 0 ? 0 : earnedBefore[(period - 1) * 6];
            vm.assertEq(escrow.claimableTab(relayerId, nodeId), expected, "claimable");
        }
    }

    function test_payoutFollowsTheOwner() public {
        _settle(sessionId, 11e6, 10e6);
        vm.prank(nodeOwner);
        nodes.update(nodeId, _profileWith(stranger), _none(), new bytes32[](0));
        vm.warp(BOTH + 6 * W);
        escrow.claimTab(relayerId, nodeId);
        vm.assertEq(pay.balanceOf(stranger), 10e6, "paid");
        vm.assertEq(pay.balanceOf(nodePayout), 0, "not to the old address");
    }

    function test_feesMatureAfterSevenWindowsAndTheirSeeds() public {
        _commitSeeds();
        _settle(sessionId, 11e6, 10e6);
        vm.warp(BOTH + 14 * W - 1);
        vm.startPrank(relayerOwner);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingMatured.selector, relayerId));
        escrow.claimRelayerFee(relayerId, relayerOwner);
        vm.warp(BOTH + 14 * W);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.SeedsNotRevealed.selector, relayerId, uint256(0), BOTH + 7 * W));
        escrow.claimRelayerFee(relayerId, relayerOwner);
        _revealSeedsUntil(BOTH + 7 * W);
        vm.expectEmit(address(escrow));
        emit IEscrow.RelayerFeeClaimed(relayerId, stranger, 1e6);
        escrow.claimRelayerFee(relayerId, stranger);
        vm.assertEq(pay.balanceOf(stranger), 1e6, "paid");
        vm.stopPrank();
    }

    /// @dev The seeds behind the last batch are enough, however long ago it was.
    function test_seedsAreAskedUpToTheLastFeeOnly() public {
        _commitSeeds();
        _settle(sessionId, 11e6, 10e6);
        vm.warp(BOTH + 365 days);
        _revealSeedsUntil(BOTH + 7 * W);
        vm.prank(relayerOwner);
        escrow.claimRelayerFee(relayerId, relayerOwner);
        vm.assertEq(pay.balanceOf(relayerOwner), 1e6, "paid");
    }

    function test_feesAreTheOwnersOnly() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotRelayerOwner.selector, relayerId, poster));
        vm.prank(poster);
        escrow.claimRelayerFee(relayerId, poster);
    }

    function test_everybodyIsPaidAndTheBooksAreEmpty() public {
        _commitSeeds();
        _settle(sessionId, 11e6, 10e6);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(BOTH + 14 * W);
        _revealSeedsUntil(BOTH + 7 * W);
        escrow.releaseLock(sessionId);
        escrow.claimTab(relayerId, nodeId);
        vm.prank(relayerOwner);
        escrow.claimRelayerFee(relayerId, relayerOwner);
        vm.prank(payer);
        escrow.withdraw(1_000e6 - 11e6, payer);
        vm.assertEq(escrow.trackedBalance(), 0, "books");
        vm.assertEq(pay.balanceOf(address(escrow)), 0, "tokens");
    }

    /// @dev Two checkpoints answer as a full history would.
    function testFuzz_maturityAgainstAFullHistory(uint32[16] memory waits, uint96[16] memory amounts) public {
        uint32 period = 1_000;
        uint96 total;
        uint96[] memory atStartOf = new uint96[](200);
        for (uint256 i = 0; i < waits.length; ++i) {
            uint32 next = period + waits[i] % 4;
            for (uint32 p = period + 1; p <= next; ++p) atStartOf[p - 1_000] = total;
            period = next;
            uint96 expected = period > 1_000 ? atStartOf[period - 1 - 1_000] : 0;
            vm.assertEq(trail.matured(lastPeriod, period, total), expected, "matured");
            if (lastPeriod != period) {
                trail.roll(lastPeriod, total);
                lastPeriod = period;
            }
            total += amounts[i] % 1e20;
            vm.assertEq(trail.matured(lastPeriod, period, total), expected, "a change matures nothing at once");
        }
    }

    function _commitSeeds() private {
        uint64 firstEpoch = uint64(BOTH / EPOCH) + 1;
        bytes32 anchor = _hashTimes(SEED, 4_000);
        vm.prank(poster);
        board.commitSeedChain(relayerId, firstEpoch, anchor);
    }

    /// @dev The seed of epoch e is SEED hashed 3,999 - (e - firstEpoch) times.
    function _revealSeedsUntil(uint256 time) private {
        uint64 firstEpoch = uint64(BOTH / EPOCH) + 1;
        uint64 epoch = uint64(time / EPOCH) - 1;
        board.revealSeed(relayerId, epoch, _hashTimes(SEED, 3_999 - (epoch - firstEpoch)));
        vm.assertEq(board.revealedUntil(relayerId), time, "revealed until");
    }

    function _hashTimes(bytes32 seed, uint256 times) private pure returns (bytes32) {
        for (uint256 i = 0; i < times; ++i) seed = keccak256(abi.encode(seed));
        return seed;
    }
}
