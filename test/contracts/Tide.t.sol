// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ISaturationBoard, PoolFigure} from "../../contracts/interfaces/ISaturationBoard.sol";
import {Tide} from "../../contracts/libraries/Tide.sol";
import {GatewayWorld} from "./support/GatewayWorld.sol";
import {vm} from "./support/Vm.sol";

/// @notice The multiplier's arithmetic, its history on the board, and what quotes make of it.
contract TideTest is GatewayWorld {
    uint64 private constant FIRST = uint64(START / EPOCH);

    function testFuzz_aStepIsSmallAndBounded(uint32 multiplier, uint16 saturationBps) public pure {
        multiplier = 500_000 + multiplier % 1_500_001;
        saturationBps %= 10_001;
        uint256 next = Tide.step(multiplier, saturationBps);
        vm.assertGe(next, 500_000, "at least a half");
        vm.assertLe(next, 2_000_000, "at most two");
        vm.assertLe(next * 8, uint256(multiplier) * 9, "at most an eighth up");
        vm.assertGe(next * 8, uint256(multiplier) * 7, "at most an eighth down");
        if (saturationBps >= 7_000) vm.assertGe(next, multiplier, "dearer above 70 %");
        else vm.assertLe(next, multiplier, "cheaper below");
    }

    function testFuzz_theStepIsMonotoneInSaturation(uint32 multiplier, uint16 one, uint16 other) public pure {
        multiplier = 500_000 + multiplier % 1_500_001;
        if (one > other) (one, other) = (other, one);
        vm.assertLe(Tide.step(multiplier, one), Tide.step(multiplier, other), "fuller is dearer");
    }

    function testFuzz_decayReturnsToOneAndNeverPasses(uint32 multiplier, uint8 epochs) public pure {
        multiplier = 500_000 + multiplier % 1_500_001;
        uint256 next = Tide.decayed(multiplier, epochs);
        if (multiplier >= 1_000_000) {
            vm.assertLe(next, multiplier, "down");
            vm.assertGe(next, 1_000_000, "not past 1");
        } else {
            vm.assertGe(next, multiplier, "up");
            vm.assertLe(next, 1_000_000, "not past 1");
            vm.assertLe(Tide.decayed(multiplier, 1) * 8, uint256(multiplier) * 9, "at most an eighth");
        }
        vm.assertEq(Tide.decayed(multiplier, 128), 1_000_000, "there in the end");
    }

    /// @dev So cutting the decay off at 128 epochs leaps over nothing.
    function test_decayHasArrivedBeforeItIsCutOff() public pure {
        vm.assertEq(Tide.decayed(2_000_000, 127), 1_000_000, "from above");
        vm.assertEq(Tide.decayed(500_000, 127), 1_000_000, "from below");
    }

    function test_valuesOfTheTable() public pure {
        vm.assertEq(Tide.step(1_000_000, 10_000), 1_125_000, "full");
        vm.assertEq(Tide.step(1_000_000, 8_500), 1_062_500, "half of the room above");
        vm.assertEq(Tide.step(1_000_000, 7_000), 1_000_000, "on target");
        vm.assertEq(Tide.step(1_000_000, 3_500), 937_500, "half of the way below");
        vm.assertEq(Tide.step(1_000_000, 0), 875_000, "empty");
        vm.assertEq(Tide.step(1_900_000, 10_000), 2_000_000, "the top");
        vm.assertEq(Tide.step(550_000, 0), 500_000, "the bottom");
        vm.assertEq(Tide.decayed(2_000_000, 2), 1_765_625, "two eighths of the distance, one after the other");
    }

    function test_theBoardKeepsTheMultiplier() public {
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), 1_000_000, "before any figure");
        vm.expectEmit(address(board));
        emit ISaturationBoard.TideMoved(relayerId, FIRST - 1, MODEL, 1_125_000);
        _commitFigure(FIRST - 1, 10_000);
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), 1_125_000, "after a full epoch");
        vm.assertEq(board.tideMultiplier(relayerId + 1, MODEL), 1_000_000, "another relayer's");
        vm.assertEq(board.tideMultiplier(relayerId, SALT), 1_000_000, "another model's");
        vm.warp(START + EPOCH);
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), 1_125_000, "the next figure may still come");
        vm.warp(START + 2 * EPOCH);
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), 1_109_375, "one epoch is missing");
        vm.warp(START + 200 * EPOCH);
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), 1_000_000, "forgotten");
    }

    /// @dev What a view said before a late commit is what the commit goes on from.
    function test_missedEpochsDecayBeforeTheNextStep() public {
        _commitFigure(FIRST - 1, 10_000);
        vm.warp(START + 3 * EPOCH);
        uint32 seen = board.tideMultiplier(relayerId, MODEL);
        _commitFigure(FIRST + 2, 8_500);
        vm.assertEq(board.tideMultiplier(relayerId, MODEL), Tide.step(seen, 8_500), "decayed, then stepped");
    }

    function test_oneFigurePerModelAndEpoch() public {
        PoolFigure[] memory figures = new PoolFigure[](2);
        figures[0] = PoolFigure(MODEL, 10, 100_000);
        figures[1] = figures[0];
        vm.prank(poster);
        vm.expectRevert(abi.encodeWithSelector(ISaturationBoard.PoolRepeated.selector, MODEL, FIRST - 1));
        board.commitEpoch(relayerId, FIRST - 1, SALT, 1, SALT, figures);
    }

    function test_quotesFollowTheTide() public {
        (uint96 calm,) = gateway.quote(relayerId, nodeId, MODEL, IN_TOKENS, OUT_TOKENS, 0);
        vm.assertEq(calm, CHARGE, "base prices");
        _commitFigure(FIRST - 1, 10_000);
        (uint96 flood,) = gateway.quote(relayerId, nodeId, MODEL, IN_TOKENS, OUT_TOKENS, 0);
        uint256 fee = (uint256(IN_TOKENS) * 112_500 + uint256(OUT_TOKENS) * 337_500) / 1e6;
        vm.assertEq(flood, fee + fee * 300 / 10_000, "dearer by an eighth");
    }

    function testFuzz_pricesAreRoundedDown(uint96 base, uint32 multiplier) public pure {
        multiplier = 500_000 + multiplier % 1_500_001;
        uint256 exact = uint256(base) * multiplier;
        uint256 priced = Tide.pricedDown(base, multiplier);
        if (exact / 1e6 > type(uint96).max) vm.assertEq(priced, type(uint96).max, "capped");
        else vm.assertTrue(priced * 1e6 <= exact && exact < (priced + 1) * 1e6, "floor");
    }

    function testFuzz_tiersMultiplyTheTide(uint96 base, uint32 multiplier) public pure {
        multiplier = 500_000 + multiplier % 1_500_001;
        uint256 plain = Tide.pricedDown(base, multiplier);
        vm.assertEq(Tide.pricedDown(base, multiplier, 0), plain, "default");
        vm.assertEq(Tide.pricedDown(base, multiplier, 3), plain, "no tier of an order");
        uint256 priority = Tide.pricedDown(base, multiplier, 1);
        uint256 flex = Tide.pricedDown(base, multiplier, 2);
        vm.assertTrue(flex <= plain && plain <= priority, "in their order");
        if (priority < type(uint96).max) {
            vm.assertTrue(priority >= plain * 3 / 2 && priority <= plain * 3 / 2 + 2, "half as much again, rounded once");
            vm.assertTrue(flex >= plain / 2 && flex <= plain / 2 + 1, "half");
        }
    }

    function test_tiersAtATideOfTwo() public pure {
        vm.assertEq(Tide.pricedDown(1, 2_000_000, 1), 3, "3 of 1");
        vm.assertEq(Tide.pricedDown(1, 1_999_999, 1), 2, "2.99 of 1, down");
        vm.assertEq(Tide.pricedDown(3, 500_000, 2), 0, "0.75, down");
        vm.assertEq(Tide.pricedDown(type(uint96).max, 1_000_000, 1), type(uint96).max, "within 96 bits");
    }

    function _commitFigure(uint64 epoch, uint128 bps) private {
        PoolFigure[] memory figures = new PoolFigure[](1);
        figures[0] = PoolFigure(MODEL, 10, bps * 10);
        vm.prank(poster);
        board.commitEpoch(relayerId, epoch, SALT, 1, SALT, figures);
    }
}
