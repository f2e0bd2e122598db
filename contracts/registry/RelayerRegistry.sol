// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {KeyEpoch} from "../interfaces/IKeyRing.sol";
import {IRelayerRegistry, Relayer} from "../interfaces/IRelayerRegistry.sol";
import {Fees} from "../libraries/Fees.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";
import {KeyRing} from "./KeyRing.sol";

/// @title Who relays, where, for what fee, with which posting and signing keys
contract RelayerRegistry is IRelayerRegistry, KeyRing {
    uint256 private constant ENDPOINT_BYTES_MAX = 256;

    struct Profile {
        address poster;
        uint16 feeBps;
        uint48 registeredAt;
        bytes32 endpointHash;
    }

    mapping(uint32 relayerId => Profile) private profiles;

    /// @param batchSettlement the verifying contract of the deployment's domain.
    constructor(address batchSettlement) TidelaneDomain(batchSettlement) {}

    /// @inheritdoc IRelayerRegistry
    function register(
        address poster,
        address signer,
        uint16 feeBps,
        string calldata endpoint,
        bytes calldata keySignature
    ) external override returns (uint32 relayerId) {
        relayerId = _enrol(signer, keySignature);
        emit RelayerRegistered(relayerId, msg.sender);
        profiles[relayerId].registeredAt = uint48(block.timestamp);
        _setProfile(relayerId, poster, feeBps, endpoint);
    }

    /// @inheritdoc IRelayerRegistry
    function update(uint32 relayerId, address poster, uint16 feeBps, string calldata endpoint)
        external
        override
        onlyOwner(relayerId)
    {
        _setProfile(relayerId, poster, feeBps, endpoint);
    }

    /// @inheritdoc IRelayerRegistry
    function relayerOf(uint32 relayerId) external view override returns (Relayer memory) {
        Holder storage holder = holders[relayerId];
        Profile storage profile = profiles[relayerId];
        return Relayer({
            owner: holder.owner,
            poster: profile.poster,
            feeBps: profile.feeBps,
            keyEpoch: holder.epoch,
            registeredAt: profile.registeredAt,
            retiredAt: holder.retiredAt,
            endpointHash: profile.endpointHash
        });
    }

    /// @inheritdoc IRelayerRegistry
    function posterOf(uint32 relayerId) external view override returns (address) {
        return profiles[relayerId].poster;
    }

    /// @inheritdoc IRelayerRegistry
    function posterAndKeyOf(uint32 relayerId, uint32 epoch)
        external
        view
        override
        returns (address poster, address key, uint48 closedAt)
    {
        KeyEpoch storage entry = keys[relayerId][epoch];
        return (profiles[relayerId].poster, entry.key, entry.closedAt);
    }

    function _setProfile(uint32 relayerId, address poster, uint16 feeBps, string calldata endpoint) private {
        if (poster == address(0)) revert ZeroAddress();
        if (feeBps > Fees.FEE_BPS_MAX) revert FeeTooHigh(feeBps, Fees.FEE_BPS_MAX);
        uint256 length = bytes(endpoint).length;
        if (length > ENDPOINT_BYTES_MAX) revert EndpointTooLong(length, ENDPOINT_BYTES_MAX);
        Profile storage profile = profiles[relayerId];
        profile.poster = poster;
        profile.feeBps = feeBps;
        profile.endpointHash = keccak256(bytes(endpoint));
        emit RelayerProfileSet(relayerId, poster, feeBps, endpoint);
    }
}
