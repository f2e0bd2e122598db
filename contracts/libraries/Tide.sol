// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title The tide: what the fleet's saturation does to prices
/// @notice A multiplier in millionths, within [0.5, 2]. It rises while the pool is above 70 % and falls while it is below, by at
/// most an eighth an epoch, and goes back towards 1 by an eighth of its distance in each epoch without a figure:
///
///     saturation   0 %        35 %        70 %        85 %       100 %
///     step       -12.5 %     -6.25 %        0        +6.25 %    +12.5 %
///
/// Steps are rounded down, so none passes an eighth; the way back to 1 up, so that it arrives, and never past it.
library Tide {
    uint32 internal constant ONE = 1_000_000;
    uint32 internal constant LEAST = 500_000;
    uint32 internal constant MOST = 2_000_000;
    uint256 internal constant TARGET_BPS = 7_000;
    uint256 internal constant BPS = 10_000;
    /// @notice The greatest step is one part in so many.
    uint256 internal constant STEP_PARTS = 8;
    /// @notice After so many epochs every distance has shrunk to nothing.
    uint256 internal constant DECAY_EPOCHS_MAX = 128;

    /// @notice The multiplier after an epoch of that saturation.
    /// @param saturationBps at most 10,000; more counts as that.
    function step(uint32 multiplier, uint256 saturationBps) internal pure returns (uint32) {
        if (saturationBps > BPS) saturationBps = BPS;
        uint256 next;
        if (saturationBps >= TARGET_BPS) {
            uint256 room = BPS - TARGET_BPS;
            next = multiplier + multiplier * (saturationBps - TARGET_BPS) / (room * STEP_PARTS);
        } else {
            next = multiplier - multiplier * (TARGET_BPS - saturationBps) / (TARGET_BPS * STEP_PARTS);
        }
        if (next < LEAST) return LEAST;
        return next > MOST ? MOST : uint32(next);
    }

    /// @notice The multiplier after so many epochs without a figure.
    function decayed(uint32 multiplier, uint256 epochs) internal pure returns (uint32) {
        if (epochs >= DECAY_EPOCHS_MAX) return ONE;
        for (; epochs != 0 && multiplier != ONE; --epochs) {
            // At least one millionth, so that it arrives.
            if (multiplier > ONE) multiplier -= uint32((multiplier - ONE + STEP_PARTS - 1) / STEP_PARTS);
            else multiplier += uint32((ONE - multiplier + STEP_PARTS - 1) / STEP_PARTS);
        }
        return multiplier;
    }

    /// @return base x multiplier, down; within 96 bits: the price of an order without a wish.
    function pricedDown(uint96 base, uint32 multiplier) internal pure returns (uint96) {
        return _within96(uint256(base) * multiplier / ONE);
    }

    /// @notice The price of an order of that tier, rounded once.
    /// @param tier as in TaskOrder: 0 default, 1 priority, 2 flex; another one counts as default, for no valid order has it.
    function pricedDown(uint96 base, uint32 multiplier, uint8 tier) internal pure returns (uint96) {
        return _within96(uint256(base) * multiplier * tierBps(tier) / (ONE * BPS));
    }

    /// @notice What a tier multiplies the price by: who wants to be first pays half as much again, who can wait half.
    function tierBps(uint8 tier) internal pure returns (uint256) {
        if (tier == 1) return 15_000;
        return tier == 2 ? 5_000 : BPS;
    }

    function _within96(uint256 priced) private pure returns (uint96) {
        return priced > type(uint96).max ? type(uint96).max : uint96(priced);
    }
}
