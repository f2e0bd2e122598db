// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IKeyRing} from "./IKeyRing.sol";

/// @notice A relayer as stored. `retiredAt` is 0 while it lives.
struct Relayer {
    address owner;
    address poster;
    uint16 feeBps;
    uint32 keyEpoch;
    uint48 registeredAt;
    uint48 retiredAt;
    bytes32 endpointHash;
}

/// @title Who relays, where, for what fee, with which posting and signing keys
interface IRelayerRegistry is IKeyRing {
    /// @notice A relayer got its id and its cold owner.
    /// @param relayerId in the RelayerRegistry.
    /// @param owner the cold owner.
    event RelayerRegistered(uint32 indexed relayerId, address indexed owner);
    /// @notice Poster, fee or endpoint were set.
    /// @param relayerId in the RelayerRegistry.
    /// @param poster who sends its batches and board epochs.
    /// @param feeBps what the relayer adds to a node's fee, in basis points.
    /// @param endpoint URL, at most 256 bytes.
    event RelayerProfileSet(uint32 indexed relayerId, address indexed poster, uint16 feeBps, string endpoint);

    /// @notice A relayer adds so many basis points at most.
    /// @param feeBps that was asked for.
    /// @param most the limit, itself allowed.
    error FeeTooHigh(uint16 feeBps, uint16 most);
    /// @notice An endpoint has so many bytes at most.
    /// @param length in bytes.
    /// @param most the limit, itself allowed.
    error EndpointTooLong(uint256 length, uint256 most);

    /// @notice Registers a relayer; the caller becomes its cold owner for good and receives its fees.
    /// @param poster sends batches and board epochs; holds gas only.
    /// @param signer signs assignments, acks and headers; unique among all open epochs of relayers.
    /// @param feeBps at most 1,000: what the relayer adds to a node's fee.
    /// @param endpoint where nodes and payers find it, at most 256 bytes; its hash is stored, its text emitted.
    /// @param keySignature KeyConsent(this registry, caller, signer), signed with `signer`.
    /// @return relayerId counted from 1.
    function register(address poster, address signer, uint16 feeBps, string calldata endpoint, bytes calldata keySignature)
        external
        returns (uint32 relayerId);

    /// @notice Replaces poster, fee and endpoint. Owner only; also after retirement, so that the last batch can be posted.
    /// @param relayerId in the RelayerRegistry.
    /// @param poster who sends its batches and board epochs.
    /// @param feeBps what the relayer adds to a node's fee, in basis points.
    /// @param endpoint URL, at most 256 bytes.
    function update(uint32 relayerId, address poster, uint16 feeBps, string calldata endpoint) external;

    /// @notice The relayer as stored; all zero where the id is unknown.
    /// @param relayerId in the RelayerRegistry.
    /// @return the relayer.
    function relayerOf(uint32 relayerId) external view returns (Relayer memory);

    /// @notice Who posts for a relayer.
    /// @param relayerId in the RelayerRegistry.
    /// @return the poster, or zero where the id is unknown.
    function posterOf(uint32 relayerId) external view returns (address);

    /// @notice Poster and signing key in one call, for the settlement path.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the key, counted from 1.
    /// @return poster zero where the id is unknown.
    /// @return key zero where the epoch never existed.
    /// @return closedAt unix seconds, 0 while open.
    function posterAndKeyOf(uint32 relayerId, uint32 epoch)
        external
        view
        returns (address poster, address key, uint48 closedAt);
}
