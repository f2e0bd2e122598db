// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Verdict} from "../../../contracts/fraud/Evidence.sol";
import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {IFraudErrors} from "../../../contracts/interfaces/IFraudProofs.sol";
import {NearMisses} from "./NearMisses.sol";
import {vm} from "./Vm.sol";

/// @notice What a judge itself answers: its whole verdict, or the exact reason why there is none.
/// @dev Node 3 at relayer 2, both in their epoch 1: a judge that mistakes one number for another is found out.
abstract contract Judged is NearMisses {
    function _registerOthers() internal override {
        _registerNode(address(0xD0D0), 0xD1);
        _registerNode(address(0xD0D0), 0xD2);
        _registerRelayer(address(0xD0D1), 0xD3);
    }

    /// @notice The judge that FraudProofs would ask.
    function _judge() internal view virtual returns (address);

    function _expectVerdict(bytes memory call, Verdict memory expected) internal view {
        (bool ok, bytes memory answer) = _judge().staticcall(call);
        vm.assertTrue(ok, "an offender goes free");
        vm.assertEq(keccak256(answer), keccak256(abi.encode(expected)), "another verdict");
    }

    function _expectRefused(bytes memory call, bytes memory reason) internal view {
        (bool ok, bytes memory answer) = _judge().staticcall(call);
        vm.assertFalse(ok, "an honest party would be punished");
        vm.assertEq(keccak256(answer), keccak256(reason), "another reason");
    }

    function _expectRefused(bytes memory call, bytes4 reason) internal view {
        _expectRefused(call, abi.encodeWithSelector(reason));
    }

    function _expectNotThere(bytes memory call, bytes32 batchHash, bytes32 leafHash, uint256 index) internal view {
        _expectRefused(call, abi.encodeWithSelector(IFraudErrors.LeafNotThere.selector, batchHash, leafHash, uint32(index)));
    }

    /// @notice What every verdict on the relayer begins with.
    function _onRelayer(bytes memory key, uint16 bps) internal view returns (Verdict memory verdict) {
        verdict.key = keccak256(key);
        verdict.party = Party.RELAYER;
        verdict.offender = relayerId;
        verdict.relayerId = relayerId;
        verdict.penaltyBps = bps;
    }

    function _onNode(bytes memory key, uint16 bps) internal view returns (Verdict memory verdict) {
        verdict.key = keccak256(key);
        verdict.party = Party.NODE;
        verdict.offender = nodeId;
        verdict.harmed = relayerOwner;
        verdict.penaltyBps = bps;
    }
}
