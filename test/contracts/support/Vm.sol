// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice What a contract has emitted, as it stands in the chain's log.
struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

/// @notice The cheat codes that the tests use; Hardhat answers them at the address below.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function deal(address account, uint256 wei_) external;
    function eip712HashType(string calldata typeNameOrDefinition) external pure returns (bytes32);
    function etch(address account, bytes calldata code) external;
    function expectEmit(address emitter) external;
    function expectRevert(bytes calldata revertData) external;
    function fee(uint256 basefee) external;
    function getRecordedLogs() external returns (Log[] memory);
    function getNonce(address account) external view returns (uint64);
    function prank(address sender) external;
    function recordLogs() external;
    function roll(uint256 blockNumber) external;
    function setBlockhash(uint256 blockNumber, bytes32 blockHash) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;

    function assertEq(uint256 left, uint256 right, string calldata what) external pure;
    function assertEq(address left, address right, string calldata what) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata what) external pure;
    function assertLe(uint256 left, uint256 right, string calldata what) external pure;
    function assertGe(uint256 left, uint256 right, string calldata what) external pure;
    function assertTrue(bool condition, string calldata what) external pure;
    function assertFalse(bool condition, string calldata what) external pure;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// @notice How many of these are of that event.
function countOf(Log[] memory logs, bytes32 topic) pure returns (uint256 count) {
    for (uint256 i = 0; i < logs.length; ++i) {
        if (logs[i].topics[0] == topic) ++count;
    }
}
