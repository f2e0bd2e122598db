// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IKeyRing, KeyEpoch} from "../interfaces/IKeyRing.sol";
import {KeyConsent} from "../types/KeyConsent.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";

/// @title Ids, owners and keys by epoch, the same for nodes and relayers
abstract contract KeyRing is IKeyRing, TidelaneDomain {
    /// @dev One slot; `epoch` counts from 1.
    struct Holder {
        address owner;
        uint32 epoch;
        uint48 retiredAt;
    }

    uint32 public override count;
    mapping(uint32 id => Holder) internal holders;
    mapping(uint32 id => mapping(uint32 epoch => KeyEpoch)) internal keys;
    mapping(address key => uint32 id) public override holderOf;

    modifier onlyOwner(uint32 id) {
        address owner = holders[id].owner;
        if (owner == address(0)) revert UnknownId(id);
        if (msg.sender != owner) revert NotOwner(id, msg.sender);
        _;
    }

    /// @inheritdoc IKeyRing
    function rotateKey(uint32 id, address key, bytes calldata keySignature)
        external
        override
        onlyOwner(id)
        returns (uint32 epoch)
    {
        _refuseRetired(id);
        // Before the old epoch closes: a rotation to the same key is none.
        _refuseUsed(key);
        _closeKey(id);
        return _openKey(id, key, keySignature);
    }

    /// @inheritdoc IKeyRing
    function retire(uint32 id) external override onlyOwner(id) {
        _refuseRetired(id);
        holders[id].retiredAt = uint48(block.timestamp);
        _closeKey(id);
        emit Retired(id, uint48(block.timestamp));
    }

    /// @inheritdoc IKeyRing
    function ownerOf(uint32 id) external view override returns (address) {
        return holders[id].owner;
    }

    /// @inheritdoc IKeyRing
    function keyOf(uint32 id, uint32 epoch) external view override returns (KeyEpoch memory) {
        return keys[id][epoch];
    }

    /// @inheritdoc IKeyRing
    function keyAddressOf(uint32 id, uint32 epoch) external view override returns (address) {
        return keys[id][epoch].key;
    }

    /// @inheritdoc IKeyRing
    function currentKeyOf(uint32 id) external view override returns (uint32 epoch, KeyEpoch memory current) {
        epoch = holders[id].epoch;
        current = keys[id][epoch];
    }

    /// @inheritdoc IKeyRing
    function isLive(uint32 id) external view override returns (bool) {
        Holder storage holder = holders[id];
        return holder.owner != address(0) && holder.retiredAt == 0;
    }

    /// @dev Gives out the next id to the caller, with its first key.
    function _enrol(address key, bytes calldata keySignature) internal returns (uint32 id) {
        _refuseUsed(key);
        id = ++count;
        holders[id].owner = msg.sender;
        _openKey(id, key, keySignature);
    }

    function _openKey(uint32 id, address key, bytes calldata keySignature) private returns (uint32 epoch) {
        if (key == address(0)) revert ZeroAddress();
        _checkConsent(key, keySignature);
        epoch = ++holders[id].epoch;
        keys[id][epoch] = KeyEpoch({key: key, openedAt: uint48(block.timestamp), closedAt: 0});
        holderOf[key] = id;
        emit KeyOpened(id, epoch, key);
    }

    function _closeKey(uint32 id) private {
        uint32 epoch = holders[id].epoch;
        KeyEpoch storage current = keys[id][epoch];
        current.closedAt = uint48(block.timestamp);
        delete holderOf[current.key];
        emit KeyClosed(id, epoch);
    }

    /// @dev Without it, anyone could register a key that he saw in the mempool and keep its holder out.
    function _checkConsent(address key, bytes calldata keySignature) private view {
        KeyConsent memory consent = KeyConsent({registry: address(this), owner: msg.sender, key: key});
        address recovered = Signatures.recover(_digest(consent.hash()), keySignature);
        if (recovered != key) revert KeyConsentInvalid(key, recovered);
    }

    function _refuseUsed(address key) private view {
        uint32 holder = holderOf[key];
        if (holder != 0) revert KeyInUse(key, holder);
    }

    function _refuseRetired(uint32 id) private view {
        uint48 retiredAt = holders[id].retiredAt;
        if (retiredAt != 0) revert AlreadyRetired(id, retiredAt);
    }
}
