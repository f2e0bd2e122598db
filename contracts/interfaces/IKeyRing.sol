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
    /// @param id of the node or relayer, counted from 1.
    /// @param epoch of the key, counted from 1.
    /// @param key that speaks for the id.
    event KeyOpened(uint32 indexed id, uint32 indexed epoch, address indexed key);
    /// @notice The epoch's key speaks for no later time.
    /// @param id of the node or relayer, counted from 1.
    /// @param epoch of the key, counted from 1.
    event KeyClosed(uint32 indexed id, uint32 indexed epoch);
    /// @notice The id has ended for good.
    /// @param id of the node or relayer, counted from 1.
    /// @param retiredAt unix seconds.
    event Retired(uint32 indexed id, uint48 retiredAt);

    /// @notice No node or relayer of that id was ever registered.
    /// @param id of the node or relayer, counted from 1.
    error UnknownId(uint32 id);
    /// @notice Only the cold owner may do this.
    /// @param id of the node or relayer, counted from 1.
    /// @param caller who tried.
    error NotOwner(uint32 id, address caller);
    /// @notice The id was retired at that time, for good.
    /// @param id of the node or relayer, counted from 1.
    /// @param retiredAt unix seconds.
    error AlreadyRetired(uint32 id, uint48 retiredAt);
    /// @notice The key already stands in an open epoch of `holder`, which may be the id itself.
    /// @param key that was to be opened.
    /// @param holder in whose open epoch it stands.
    error KeyInUse(address key, uint32 holder);
    /// @notice The consent is not signed by the key (KeyConsent in the domain of BatchSettlement).
    /// @param key that was to consent.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error KeyConsentInvalid(address key, address recovered);
    /// @notice Keys, posters and payout addresses are never zero.
    error ZeroAddress();

    /// @notice Closes the current key epoch and opens the next one.
    /// @dev Owner only. What was signed under the closed epoch stays valid.
    /// @param id of the node or relayer, counted from 1.
    /// @param key the new hot or signing key.
    /// @param keySignature KeyConsent(this registry, owner, key), signed with `key`: 65 bytes r || s || v.
    /// @return epoch the new epoch.
    function rotateKey(uint32 id, address key, bytes calldata keySignature) external returns (uint32 epoch);

    /// @notice Ends the id for good: no new work, no new key. Claims, settlement of signed work and unbonding go on.
    /// @dev Owner only. It closes the current key epoch: what is signed for a time later than W after it no longer counts, so
    /// drain first.
    /// @param id of the node or relayer, counted from 1.
    function retire(uint32 id) external;

    /// @notice Who owns an id.
    /// @param id of the node or relayer, counted from 1.
    /// @return the cold owner, or zero where the id is unknown.
    function ownerOf(uint32 id) external view returns (address);

    /// @notice A key and its time.
    /// @param id of the node or relayer, counted from 1.
    /// @param epoch of the key, counted from 1.
    /// @return the key of an epoch; all zero where it never existed.
    function keyOf(uint32 id, uint32 epoch) external view returns (KeyEpoch memory);

    /// @notice The key of an epoch.
    /// @param id of the node or relayer, counted from 1.
    /// @param epoch of the key, counted from 1.
    /// @return the address alone, zero where the epoch never existed; for the settlement path.
    function keyAddressOf(uint32 id, uint32 epoch) external view returns (address);

    /// @notice The newest key.
    /// @param id of the node or relayer, counted from 1.
    /// @return epoch the newest epoch (0 where the id is unknown).
    /// @return current its key; closed once the id is retired.
    function currentKeyOf(uint32 id) external view returns (uint32 epoch, KeyEpoch memory current);

    /// @notice Whose key it is.
    /// @param key an address that signs.
    /// @return the id in whose open epoch the key stands, or 0.
    function holderOf(address key) external view returns (uint32);

    /// @notice Whether an id is in use.
    /// @param id of the node or relayer, counted from 1.
    /// @return whether the id is registered and not retired.
    function isLive(uint32 id) external view returns (bool);

    /// @notice How many ids there are.
    /// @return the number of ids given out; ids are 1 to count.
    function count() external view returns (uint32);
}
