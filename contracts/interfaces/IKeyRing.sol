// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice One key and the time in which it speaks for its holder.
/// @dev Unix seconds; `closedAt` is 0 while the epoch is open.
struct KeyEpoch {
    address key;
    uint48 openedAt;
    uint48 closedAt;
}

/// @title Ids, owners and keys by epoch, the same for nodes and relayers
/// @notice Ids count from 1, epochs from 1. An epoch is never deleted, so old signatures stay verifiable.
interface IKeyRing {
    /// @notice A key speaks for the id from now on.
    event KeyOpened(uint32 indexed id, uint32 indexed epoch, address indexed key);
    /// @notice The epoch's key speaks for no later time.
    event KeyClosed(uint32 indexed id, uint32 indexed epoch);
    /// @notice The id has ended for good.
    event Retired(uint32 indexed id, uint48 retiredAt);

    /// @notice No node or relayer of that id was ever registered.
    error UnknownId(uint32 id);
    /// @notice Only the cold owner may do this.
    error NotOwner(uint32 id, address caller);
    /// @notice The id was retired at that time, for good.
    error AlreadyRetired(uint32 id, uint48 retiredAt);
    /// @notice The key already stands in an open epoch of `holder`, which may be the id itself.
    error KeyInUse(address key, uint32 holder);
    /// @notice The consent is not signed by the key (KeyConsent in the domain of BatchSettlement).
    error KeyConsentInvalid(address key, address recovered);
    /// @notice Keys, posters and payout addresses are never zero.
    error ZeroAddress();

    /// @notice Closes the current key epoch and opens the next one.
    /// @dev Owner only. What was signed under the closed epoch stays valid.
    /// @param keySignature KeyConsent(this registry, owner, key), signed with `key`: 65 bytes r || s || v.
    /// @return epoch the new epoch.
    function rotateKey(uint32 id, address key, bytes calldata keySignature) external returns (uint32 epoch);

    /// @notice Ends the id for good: no new work, no new key. Claims, settlement of signed work and unbonding go on.
    /// @dev Owner only. It closes the current key epoch: what is signed for a time later than W after it no longer counts, so
    /// drain first.
    function retire(uint32 id) external;

    /// @return the cold owner, or zero where the id is unknown.
    function ownerOf(uint32 id) external view returns (address);

    /// @return the key of an epoch; all zero where it never existed.
    function keyOf(uint32 id, uint32 epoch) external view returns (KeyEpoch memory);

    /// @return the address alone, zero where the epoch never existed; for the settlement path.
    function keyAddressOf(uint32 id, uint32 epoch) external view returns (address);

    /// @return epoch the newest epoch (0 where the id is unknown).
    /// @return current its key; closed once the id is retired.
    function currentKeyOf(uint32 id) external view returns (uint32 epoch, KeyEpoch memory current);

    /// @return the id in whose open epoch the key stands, or 0.
    function holderOf(address key) external view returns (uint32);

    /// @return whether the id is registered and not retired.
    function isLive(uint32 id) external view returns (bool);

    /// @return the number of ids given out; ids are 1 to count.
    function count() external view returns (uint32);
}
