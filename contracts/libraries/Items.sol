// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice One (id, change) of a list.
struct Item {
    bytes32 id;
    uint256 change;
}

/// @notice Some consecutive groups of a list, whole, and the hashes of all of its groups.
struct ItemsOpening {
    bytes32[] groups;
    uint32 first;
    Item[][] opened;
}

/// @title The hash of a batch's list of (id, change)
/// @notice Hashes the hashes of groups of 16, so that a proof opens one group and not the whole list.
/// @dev A group is its (bytes32 id, uint256 change) pairs, ABI-encoded; the last may be shorter. An empty list is keccak256("").
library Items {
    uint256 private constant GROUP_BYTES = 16 * 64;

    /// @param count of the items that will be put.
    /// @return list room for them.
    function room(uint256 count) internal pure returns (bytes memory list) {
        return new bytes(64 * count);
    }

    /// @dev `index` is below the count that room was made for.
    function put(bytes memory list, uint256 index, uint256 id, uint256 change) internal pure {
        assembly ("memory-safe") {
            let item := add(add(list, 0x20), shl(6, index))
            mstore(item, id)
            mstore(add(item, 0x20), change)
        }
    }

    function hash(bytes memory list) internal pure returns (bytes32 result) {
        uint256 size = list.length;
        bytes32[] memory groups = new bytes32[]((size + GROUP_BYTES - 1) / GROUP_BYTES);
        for (uint256 i = 0; i < groups.length; ++i) {
            uint256 start = i * GROUP_BYTES;
            uint256 length = size - start < GROUP_BYTES ? size - start : GROUP_BYTES;
            bytes32 group;
            assembly ("memory-safe") {
                group := keccak256(add(add(list, 0x20), start), length)
            }
            groups[i] = group;
        }
        assembly ("memory-safe") {
            result := keccak256(add(groups, 0x20), shl(5, mload(groups)))
        }
    }

    /// @notice The groups were not opened as the list's hash names them.
    error OpeningMismatch(bytes32 expected, bytes32 computed);
    /// @notice The opened groups neither hold the id nor two neighbours around it.
    error ItemNotShown(bytes32 id);

    /// @notice Reverts unless the opening is one of that list.
    function requireOpened(bytes32 listHash, ItemsOpening calldata opening) internal pure {
        bytes32 computed = keccak256(abi.encodePacked(opening.groups));
        if (computed != listHash) revert OpeningMismatch(listHash, computed);
        for (uint256 i = 0; i < opening.opened.length; ++i) {
            bytes32 group = opening.groups[opening.first + i];
            Item[] calldata items = opening.opened[i];
            bytes memory packed = room(items.length);
            for (uint256 j = 0; j < items.length; ++j) put(packed, j, uint256(items[j].id), items[j].change);
            if (keccak256(packed) != group) revert OpeningMismatch(group, keccak256(packed));
        }
    }

    /// @notice The change of an id in a list; 0 where its neighbours, or an edge of the list, show that it is not there.
    function changeOf(bytes32 id, bytes32 listHash, ItemsOpening calldata opening) internal pure returns (uint256) {
        requireOpened(listHash, opening);
        if (opening.groups.length == 0) return 0;
        bool afterLess = opening.first == 0;
        for (uint256 i = 0; i < opening.opened.length; ++i) {
            Item[] calldata items = opening.opened[i];
            for (uint256 j = 0; j < items.length; ++j) {
                if (items[j].id == id) return items[j].change;
                if (items[j].id > id) {
                    if (afterLess) return 0;
                    revert ItemNotShown(id);
                }
                afterLess = true;
            }
        }
        bool toTheEnd = opening.first + opening.opened.length == opening.groups.length;
        if (!afterLess || !toTheEnd || opening.opened.length == 0) revert ItemNotShown(id);
        return 0;
    }
}
