// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IKeyRing} from "./IKeyRing.sol";

/// @notice A model that a node serves and its base prices, in the pay token's smallest unit per million tokens.
struct ModelOffer {
    bytes32 modelId;
    uint96 priceInPerMTok;
    uint96 priceOutPerMTok;
}

/// @notice What a node's owner says about it.
/// @dev `hardwareClass`: 1 HIGH, 2 MID, 3 LOW. `agentId`: the ERC-8004 identity that the owner claims, 0 for none; a claim,
/// checked by whoever relies on it.
struct NodeProfile {
    address payout;
    uint8 hardwareClass;
    uint256 agentId;
}

/// @notice A node as stored. `retiredAt` is 0 while it lives.
struct Node {
    address owner;
    address payout;
    uint8 hardwareClass;
    uint32 keyEpoch;
    uint48 registeredAt;
    uint48 retiredAt;
    uint256 agentId;
}

/// @title Who runs a node, with which key, on what hardware, serving what at which price
interface INodeRegistry is IKeyRing {
    /// @notice A node got its id and its cold owner.
    /// @param nodeId in the NodeRegistry.
    /// @param owner the cold owner.
    event NodeRegistered(uint32 indexed nodeId, address indexed owner);
    /// @notice Payout address, hardware class or agent id were set.
    /// @param nodeId in the NodeRegistry.
    /// @param payout where the node wants its money.
    /// @param hardwareClass 1 HIGH, 2 MID, 3 LOW.
    /// @param agentId the ERC-8004 identity that the owner claims, 0 for none.
    event NodeProfileSet(uint32 indexed nodeId, address payout, uint8 hardwareClass, uint256 agentId);
    /// @notice The node serves a model at these base prices.
    /// @param nodeId in the NodeRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param priceInPerMTok for a million input tokens, in the pay token's smallest unit.
    /// @param priceOutPerMTok for a million output tokens, in the pay token's smallest unit.
    event ModelListed(uint32 indexed nodeId, bytes32 indexed modelId, uint96 priceInPerMTok, uint96 priceOutPerMTok);
    /// @notice The node no longer serves a model.
    /// @param nodeId in the NodeRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    event ModelDelisted(uint32 indexed nodeId, bytes32 indexed modelId);

    /// @notice Classes are 1 HIGH, 2 MID, 3 LOW.
    /// @param hardwareClass that was given.
    error UnknownHardwareClass(uint8 hardwareClass);
    /// @notice One call lists or delists so many at most.
    /// @param models that were named.
    /// @param most the limit, itself allowed.
    error TooManyModels(uint256 models, uint256 most);

    /// @notice Registers a node; the caller becomes its cold owner for good.
    /// @param profile what the owner says about the node.
    /// @param key the hot key that will sign attestations and receipts; unique among all open epochs of nodes.
    /// @param models at most 32.
    /// @param keySignature KeyConsent(this registry, caller, key), signed with `key`.
    /// @return nodeId counted from 1.
    function register(NodeProfile calldata profile, address key, ModelOffer[] calldata models, bytes calldata keySignature)
        external
        returns (uint32 nodeId);

    /// @notice Replaces the profile, lists or reprices models, and delists others.
    /// @dev Owner only; also after retirement, so that the payout address can always be corrected.
    /// @param nodeId in the NodeRegistry.
    /// @param profile what the owner says about the node.
    /// @param listed models to serve or reprice, at most 32.
    /// @param delisted models to serve no longer, at most 32.
    function update(uint32 nodeId, NodeProfile calldata profile, ModelOffer[] calldata listed, bytes32[] calldata delisted)
        external;

    /// @notice The node as stored; all zero where the id is unknown.
    /// @param nodeId in the NodeRegistry.
    /// @return the node.
    function nodeOf(uint32 nodeId) external view returns (Node memory);

    /// @notice Where a node is paid.
    /// @param nodeId in the NodeRegistry.
    /// @return where the node's credits are paid, or zero where the id is unknown.
    function payoutOf(uint32 nodeId) external view returns (address);

    /// @notice A node's base prices of a model.
    /// @param nodeId in the NodeRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    /// @return listed whether the node serves the model.
    /// @return priceInPerMTok base price of input.
    /// @return priceOutPerMTok base price of output.
    function priceOf(uint32 nodeId, bytes32 modelId)
        external
        view
        returns (bool listed, uint96 priceInPerMTok, uint96 priceOutPerMTok);
}
