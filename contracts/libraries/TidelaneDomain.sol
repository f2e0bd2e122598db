// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title The one EIP-712 domain of a deployment
/// @notice Every signed struct names the same verifying contract, BatchSettlement, whichever contract checks it.
abstract contract TidelaneDomain {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("Tidelane");
    bytes32 private constant VERSION_HASH = keccak256("1");

    /// @notice BatchSettlement of the same deployment.
    address public immutable verifyingContract;
    uint256 private immutable deployedChainId;
    bytes32 private immutable deployedSeparator;

    constructor(address batchSettlement) {
        verifyingContract = batchSettlement;
        deployedChainId = block.chainid;
        deployedSeparator = _separatorOf(batchSettlement);
    }

    /// @dev Built anew after a fork of the chain, so that a signature counts on one side only.
    function _domainSeparator() internal view returns (bytes32) {
        return block.chainid == deployedChainId ? deployedSeparator : _separatorOf(verifyingContract);
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_domainSeparator(), structHash);
    }

    function _separatorOf(address contract_) private view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, contract_));
    }
}
