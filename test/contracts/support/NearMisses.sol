// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {TaskReceipt} from "../../../contracts/types/TaskReceipt.sol";
import {Boards} from "./Boards.sol";
import {Trees} from "./Trees.sol";
import {vm} from "./Vm.sol";

/// @notice What an honest party does and a hasty accuser takes for an offence.
/// @dev Each test is named test_near_F<n>_<what happened>. It shows the evidence and the exact reason why it proves nothing; then it
/// changes the one thing that matters, and the proof holds: `_guilty`. test/nearMisses.test.ts counts them.
abstract contract NearMisses is Boards, Trees {
    /// @dev What an attempt of `_attempt` earns without its input: 500,000 tokens out at 0.3.
    uint96 internal constant OUTPUT_FEE = 150_000;

    /// @notice The sibling: nearly the same evidence holds, and costs its offender something.
    function _guilty(bytes memory call) internal {
        uint256 had = _bonded();
        _prove(call);
        vm.assertTrue(_bonded() < had, "the guilty sibling goes free");
    }

    function _bonded() private view returns (uint256) {
        return uint256(vault.bondOf(Party.RELAYER, relayerId).active) + vault.bondOf(Party.NODE, nodeId).active;
    }

    /// @notice An attempt that charged no input: aborted, or a hedge at no input price, or a recovery without tokens.
    function _withoutInput(Record memory record, uint8 status, uint96 priceIn, uint32 inputTokens) internal view returns (Record memory) {
        record.receipt.body.status = status;
        record.assignment.priceInPerMTok = priceIn;
        record.receipt.body.inputTokens = inputTokens;
        record.receipt.body.fee = OUTPUT_FEE;
        _seal(record);
        return record;
    }

    function _copy(Record memory one) internal pure returns (Record memory) {
        return abi.decode(abi.encode(one), (Record));
    }

    function _copy(Assignment memory one) internal pure returns (Assignment memory) {
        return abi.decode(abi.encode(one), (Assignment));
    }

    function _copy(SaturationAttestation memory one) internal pure returns (SaturationAttestation memory) {
        return abi.decode(abi.encode(one), (SaturationAttestation));
    }

    function _copy(TaskReceipt memory one) internal pure returns (TaskReceipt memory) {
        return abi.decode(abi.encode(one), (TaskReceipt));
    }

    function _copy(BatchHeader memory one) internal pure returns (BatchHeader memory) {
        return abi.decode(abi.encode(one), (BatchHeader));
    }

    /// @notice As another deployment's domain would have it signed.
    function _signElsewhere(uint256 key, bytes32 structHash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", keccak256("another deployment"), structHash)));
        return abi.encodePacked(r, s, v);
    }
}
