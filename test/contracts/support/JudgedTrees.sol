// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Entry, Verdict} from "../../../contracts/fraud/Evidence.sol";
import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Judged} from "./Judged.sol";
import {vm} from "./Vm.sol";

/// @notice What the judge of trees answers before and after a batch's credits have matured, and leaves that were made up.
abstract contract JudgedTrees is Judged {
    /// @dev The second period of 3 W after the one of START begins 4 W after it.
    uint256 internal constant MATURE = START + 4 * W;

    function _judge() internal view virtual override returns (address) {
        return address(proofs.treeJudge());
    }

    /// @notice While credits can be voided the charge goes back; from the second in which they can be claimed it does not.
    function _expectUntilMature(bytes memory call, Verdict memory expected) internal {
        _expectVerdict(call, expected);
        vm.warp(MATURE - 1);
        _expectVerdict(call, expected);
        vm.warp(MATURE);
        (expected.refund, expected.fromTab) = (0, 0);
        _expectVerdict(call, expected);
    }

    /// @notice The verdict that voids a leaf.
    function _voiding(Posted memory posted, uint256 index, bytes memory key) internal view returns (Verdict memory verdict) {
        Row memory row = posted.bySession[index];
        verdict = _onRelayer(key, 10_000);
        verdict.batchId = posted.header.batchId;
        verdict.voidedLeaf = receipts.leafHash(row.leaf);
        verdict.sessionId = row.record.order.sessionId;
        verdict.harmed = payer;
        verdict.refund = uint96(row.leaf.charge);
    }

    /// @notice Posts both trees over those rows as they stand, whatever their receipts say: one session and one tab take the sums.
    function _postBare(Row[] memory rows) internal returns (Posted memory) {
        Debit[] memory debits = new Debit[](1);
        Credit[] memory credits = new Credit[](1);
        debits[0].sessionId = sessionId;
        uint96 fees;
        for (uint256 i = 0; i < rows.length; ++i) {
            debits[0].change += uint96(rows[i].leaf.charge);
            fees += uint96(rows[i].leaf.fee);
        }
        _cover(debits[0]);
        credits[0] = _credit(nodeId, HOT_KEY, fees, 1_000e6);
        return _postChanges(rows, rows, debits, credits);
    }

    /// @notice The same receipt under a leaf that stands nowhere.
    function _invented(Entry memory entry) internal pure returns (Entry memory invented) {
        invented = abi.decode(abi.encode(entry), (Entry));
        invented.leaf.assignmentSigHash = keccak256("invented");
    }
}
