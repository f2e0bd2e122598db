// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice Two checkpoints of a running total, in one slot. The newer one's period stands beside the total itself.
struct Trail {
    uint96 lastAmount;
    uint96 prevAmount;
    uint32 prevPeriod;
}

/// @title What of a running total is old enough
/// @notice Time is cut into periods. At the first change in a period the total before it is kept as a checkpoint:
///
///     period      p          p+1         p+2
///     changes     +a         +b          now
///                 |--------- a matures: one whole period lies between its own and this one
///
/// An amount added in period p has matured when period p+2 starts: after one to two periods, however often others are added.
library Maturity {
    /// @notice Keeps the total as it was before the first change of this period.
    /// @param lastPeriod of the newer checkpoint.
    /// @param total before the change.
    function roll(Trail storage trail, uint32 lastPeriod, uint96 total) internal {
        trail.prevPeriod = lastPeriod;
        trail.prevAmount = trail.lastAmount;
        trail.lastAmount = total;
    }

    /// @notice The total as it stood at the start of the period before this one.
    /// @dev Between two checkpoints there was no change, so each one speaks for all periods since the one before it.
    function matured(Trail storage trail, uint32 lastPeriod, uint32 period, uint96 total) internal view returns (uint96) {
        if (lastPeriod + 1 < period) return total;
        if (trail.prevPeriod + 1 < period) return trail.lastAmount;
        return trail.prevAmount;
    }

    /// @notice Whether what was added at that time has not matured yet.
    function isImmature(uint256 addedAt, uint256 periodSeconds) internal view returns (bool) {
        return block.timestamp / periodSeconds < addedAt / periodSeconds + 2;
    }
}
