// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {Log, vm} from "./Vm.sol";

/// @notice Blocks of one transaction each, whose receipt holds what was logged; the chain is told their hashes.
library Blocks {
    using RLP for *;

    uint256 internal constant LEGACY = 0;

    /// @notice What creditTransfer is shown of such a block.
    struct Shown {
        bytes header;
        bytes[] proof;
    }

    /// @notice The block before this one, with the logs since recordLogs in a transaction that succeeded.
    function mine(Log[] memory logs) internal returns (Shown memory) {
        return mine(receipt(2, 1, logs), block.number - 1);
    }

    function mine(bytes memory receipt_, uint256 number) internal returns (Shown memory shown) {
        shown = forge(receipt_, number);
        vm.setBlockhash(number, keccak256(shown.header));
    }

    /// @notice The same without telling the chain.
    function forge(bytes memory receipt_, uint256 number) internal pure returns (Shown memory shown) {
        bytes[] memory leaf = new bytes[](2);
        // All of the path of index 0, which is 0x80, even in length.
        leaf[0] = bytes(hex"2080").encode();
        leaf[1] = receipt_.encode();
        shown.proof = new bytes[](1);
        shown.proof[0] = leaf.encode();
        shown.header = header(keccak256(shown.proof[0]), number);
    }

    /// @param kind EIP-2718; LEGACY for none.
    function receipt(uint256 kind, uint256 status, Log[] memory logs) internal pure returns (bytes memory) {
        bytes[] memory list = new bytes[](logs.length);
        for (uint256 i = 0; i < logs.length; ++i) {
            list[i] = _log(logs[i]);
        }
        bytes[] memory fields = new bytes[](4);
        fields[0] = status.encode();
        fields[1] = uint256(21_000).encode();
        fields[2] = new bytes(256).encode();
        fields[3] = list.encode();
        return kind == LEGACY ? fields.encode() : bytes.concat(bytes1(uint8(kind)), fields.encode());
    }

    function header(bytes32 receiptsRoot, uint256 number) internal pure returns (bytes memory) {
        bytes[] memory fields = new bytes[](15);
        for (uint256 i = 0; i < fields.length; ++i) {
            fields[i] = i == 5 ? receiptsRoot.encode() : i == 8 ? number.encode() : i.encode();
        }
        return fields.encode();
    }

    function _log(Log memory log) private pure returns (bytes memory) {
        bytes[] memory topics = new bytes[](log.topics.length);
        for (uint256 i = 0; i < topics.length; ++i) {
            topics[i] = log.topics[i].encode();
        }
        bytes[] memory fields = new bytes[](3);
        fields[0] = log.emitter.encode();
        fields[1] = topics.encode();
        fields[2] = log.data.encode();
        return fields.encode();
    }
}
