// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {INodeRegistry, ModelOffer, Node, NodeProfile} from "../interfaces/INodeRegistry.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";
import {KeyRing} from "./KeyRing.sol";

/// @title Who runs a node, with which key, on what hardware, serving what at which price
contract NodeRegistry is INodeRegistry, KeyRing {
    uint256 private constant MODELS_MAX = 32;
    uint8 private constant HARDWARE_CLASS_MAX = 3;

    /// @dev One slot.
    struct Profile {
        address payout;
        uint8 hardwareClass;
        uint48 registeredAt;
    }

    /// @dev One slot: base prices and whether the model is listed, since a price may be zero.
    struct Model {
        uint96 priceInPerMTok;
        uint96 priceOutPerMTok;
        bool listed;
    }

    mapping(uint32 nodeId => Profile) private profiles;
    mapping(uint32 nodeId => uint256) private agentIds;
    mapping(uint32 nodeId => mapping(bytes32 modelId => Model)) private models;

    /// @param batchSettlement the verifying contract of the deployment's domain.
    constructor(address batchSettlement) TidelaneDomain(batchSettlement) {}

    /// @inheritdoc INodeRegistry
    function register(
        NodeProfile calldata profile,
        address key,
        ModelOffer[] calldata offers,
        bytes calldata keySignature
    ) external override returns (uint32 nodeId) {
        nodeId = _enrol(key, keySignature);
        emit NodeRegistered(nodeId, msg.sender);
        profiles[nodeId].registeredAt = uint48(block.timestamp);
        _setProfile(nodeId, profile);
        _list(nodeId, offers);
    }

    /// @inheritdoc INodeRegistry
    function update(
        uint32 nodeId,
        NodeProfile calldata profile,
        ModelOffer[] calldata listed,
        bytes32[] calldata delisted
    ) external override onlyOwner(nodeId) {
        _setProfile(nodeId, profile);
        _list(nodeId, listed);
        _delist(nodeId, delisted);
    }

    /// @inheritdoc INodeRegistry
    function nodeOf(uint32 nodeId) external view override returns (Node memory) {
        Holder storage holder = holders[nodeId];
        Profile storage profile = profiles[nodeId];
        return Node({
            owner: holder.owner,
            payout: profile.payout,
            hardwareClass: profile.hardwareClass,
            keyEpoch: holder.epoch,
            registeredAt: profile.registeredAt,
            retiredAt: holder.retiredAt,
            agentId: agentIds[nodeId]
        });
    }

    /// @inheritdoc INodeRegistry
    function payoutOf(uint32 nodeId) external view override returns (address) {
        return profiles[nodeId].payout;
    }

    /// @inheritdoc INodeRegistry
    function priceOf(uint32 nodeId, bytes32 modelId)
        external
        view
        override
        returns (bool listed, uint96 priceInPerMTok, uint96 priceOutPerMTok)
    {
        Model storage model = models[nodeId][modelId];
        return (model.listed, model.priceInPerMTok, model.priceOutPerMTok);
    }

    function _setProfile(uint32 nodeId, NodeProfile calldata profile) private {
        if (profile.payout == address(0)) revert ZeroAddress();
        uint8 class = profile.hardwareClass;
        if (class == 0 || class > HARDWARE_CLASS_MAX) revert UnknownHardwareClass(class);
        profiles[nodeId].payout = profile.payout;
        profiles[nodeId].hardwareClass = class;
        if (agentIds[nodeId] != profile.agentId) agentIds[nodeId] = profile.agentId;
        emit NodeProfileSet(nodeId, profile.payout, class, profile.agentId);
    }

    function _list(uint32 nodeId, ModelOffer[] calldata offers) private {
        if (offers.length > MODELS_MAX) revert TooManyModels(offers.length, MODELS_MAX);
        for (uint256 i = 0; i < offers.length; ++i) {
            ModelOffer calldata offer = offers[i];
            models[nodeId][offer.modelId] = Model(offer.priceInPerMTok, offer.priceOutPerMTok, true);
            emit ModelListed(nodeId, offer.modelId, offer.priceInPerMTok, offer.priceOutPerMTok);
        }
    }

    function _delist(uint32 nodeId, bytes32[] calldata modelIds) private {
        if (modelIds.length > MODELS_MAX) revert TooManyModels(modelIds.length, MODELS_MAX);
        for (uint256 i = 0; i < modelIds.length; ++i) {
            delete models[nodeId][modelIds[i]];
            emit ModelDelisted(nodeId, modelIds[i]);
        }
    }
}
