// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IInferenceConsumer} from "../interfaces/IInferenceConsumer.sol";
import {IInferenceRequests} from "../interfaces/IInferenceRequests.sol";

/// @title What a callback may do to whoever calls it
/// @notice Deployed in tests only. It asks for itself and misbehaves when answered.
contract HostileConsumer is IInferenceConsumer {
    enum Manner {
        BEHAVE,
        REVERT,
        REVERT_WITH_A_MEGABYTE,
        RETURN_A_MEGABYTE,
        BURN_GAS,
        INVALID,
        REENTER,
        SELF_DESTRUCT,
        COUNT_GAS
    }

    Manner public manner;
    bytes public door;
    bool public isDoorShut;
    bytes public reason;
    uint256 public gasGot;
    uint256 public calls;

    function prepare(Manner manner_, bytes calldata door_) external {
        (manner, door) = (manner_, door_);
    }

    function ask(
        IInferenceRequests gateway,
        bytes32 modelId,
        bytes calldata prompt,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable returns (bytes32) {
        gateway.payToken().approve(address(gateway), maxFee);
        return gateway.request{value: msg.value}(modelId, prompt, maxOutTokens, maxFee, callbackGas, deadline, relayerId);
    }

    function onInference(bytes32, bytes calldata, bytes32, string calldata) external override {
        uint256 got = gasleft();
        if (manner == Manner.REVERT) revert("no");
        if (manner == Manner.REVERT_WITH_A_MEGABYTE) {
            assembly {
                revert(0, 0x60000)
            }
        }
        if (manner == Manner.RETURN_A_MEGABYTE) {
            assembly {
                return(0, 0x60000)
            }
        }
        if (manner == Manner.BURN_GAS) while (true) ++got;
        if (manner == Manner.INVALID) {
            assembly {
                invalid()
            }
        }
        if (manner == Manner.REENTER) {
            bool opened;
            (opened, reason) = msg.sender.call(door);
            isDoorShut = !opened;
        }
        if (manner == Manner.SELF_DESTRUCT) selfdestruct(payable(msg.sender));
        if (manner == Manner.COUNT_GAS) gasGot = got;
        ++calls;
    }

    receive() external payable {}
}
