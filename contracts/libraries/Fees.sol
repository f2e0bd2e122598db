// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @title What an attempt costs
/// @notice Every rounding is down, so none favours the taker.
library Fees {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant TOKENS_PER_PRICE = 1_000_000;
    /// @notice The most that a relayer may add to a node's fee.
    uint16 internal constant FEE_BPS_MAX = 1_000;

    /// @return nodeFee min(floor((in x priceIn + out x priceOut) / 1e6), the greatest fee whose charge <= shareCap).
    /// @return charge the fee and the relayer's part of feeBps on it; never above shareCap.
    function fee(
        uint32 inputTokens,
        uint32 outputTokens,
        uint96 priceInPerMTok,
        uint96 priceOutPerMTok,
        uint16 feeBps,
        uint96 shareCap
    ) internal pure returns (uint256 nodeFee, uint256 charge) {
        uint256 pricedDown =
            (uint256(inputTokens) * priceInPerMTok + uint256(outputTokens) * priceOutPerMTok) / TOKENS_PER_PRICE;
        uint256 most = feeWithinDown(shareCap, feeBps);
        nodeFee = pricedDown < most ? pricedDown : most;
        charge = chargeDown(nodeFee, feeBps);
    }

    /// @return fee + floor(fee x feeBps / 1e4).
    function chargeDown(uint256 nodeFee, uint16 feeBps) internal pure returns (uint256) {
        return nodeFee + nodeFee * feeBps / BPS;
    }

    /// @notice The greatest fee whose charge stays within the cap.
    /// @dev chargeDown(f) <= cap iff f x (1e4 + bps) < (cap + 1) x 1e4.
    function feeWithinDown(uint96 cap, uint16 feeBps) internal pure returns (uint256) {
        return (uint256(cap) * BPS + BPS - 1) / (BPS + feeBps);
    }
}
