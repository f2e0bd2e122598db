// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IKeyRing, KeyEpoch} from "../../contracts/interfaces/IKeyRing.sol";
import {INodeRegistry, ModelOffer, Node, NodeProfile} from "../../contracts/interfaces/INodeRegistry.sol";
import {IRelayerRegistry, Relayer} from "../../contracts/interfaces/IRelayerRegistry.sol";
import {KeyConsent} from "../../contracts/types/KeyConsent.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Ids, owners, keys by epoch, profiles and models.
contract RegistriesTest is World {
    uint256 private constant NEXT_KEY = 0xB2;
    ModelOffer[] private none;
    bytes32[] private nothing;

    function test_nodeIsStoredAsRegistered() public view {
        Node memory node = nodes.nodeOf(nodeId);
        vm.assertEq(node.owner, nodeOwner, "owner");
        vm.assertEq(node.payout, nodePayout, "payout");
        vm.assertEq(node.hardwareClass, 1, "class");
        vm.assertEq(node.keyEpoch, 1, "epochs count from 1");
        vm.assertEq(node.registeredAt, START, "registered at");
        vm.assertEq(nodeId, 1, "ids count from 1");
        vm.assertEq(nodes.keyAddressOf(nodeId, 1), vm.addr(HOT_KEY), "key");
        vm.assertEq(nodes.holderOf(vm.addr(HOT_KEY)), nodeId, "holder");
        vm.assertTrue(nodes.isLive(nodeId), "live");
        (bool listed, uint96 priceIn, uint96 priceOut) = nodes.priceOf(nodeId, keccak256("org/model@q4"));
        vm.assertTrue(listed, "listed");
        vm.assertEq(priceIn, 100_000, "price in");
        vm.assertEq(priceOut, 300_000, "price out");
    }

    function test_unknownIdsAnswerZero() public view {
        vm.assertEq(nodes.ownerOf(99), address(0), "owner");
        vm.assertEq(nodes.payoutOf(99), address(0), "payout");
        vm.assertFalse(nodes.isLive(99), "live");
        vm.assertEq(nodes.keyAddressOf(nodeId, 2), address(0), "key of an epoch to come");
        (address posterOf, address key,) = relayers.posterAndKeyOf(99, 1);
        vm.assertEq(posterOf, address(0), "poster");
        vm.assertEq(key, address(0), "signer");
    }

    function test_rotationClosesOneEpochAndOpensTheNext() public {
        vm.warp(START + 10);
        bytes memory consent = _consent(address(nodes), nodeOwner, NEXT_KEY);
        vm.expectEmit(address(nodes));
        emit IKeyRing.KeyClosed(nodeId, 1);
        vm.expectEmit(address(nodes));
        emit IKeyRing.KeyOpened(nodeId, 2, vm.addr(NEXT_KEY));
        vm.prank(nodeOwner);
        vm.assertEq(nodes.rotateKey(nodeId, vm.addr(NEXT_KEY), consent), 2, "epoch");
        KeyEpoch memory first = nodes.keyOf(nodeId, 1);
        vm.assertEq(first.openedAt, START, "first opened");
        vm.assertEq(first.closedAt, START + 10, "first closed");
        vm.assertEq(first.key, vm.addr(HOT_KEY), "an old key stays readable");
        (uint32 epoch, KeyEpoch memory current) = nodes.currentKeyOf(nodeId);
        vm.assertEq(epoch, 2, "current epoch");
        vm.assertEq(current.openedAt, START + 10, "second opened");
        vm.assertEq(current.closedAt, 0, "second open");
        vm.assertEq(nodes.holderOf(vm.addr(HOT_KEY)), 0, "the old key is free");
    }

    function test_keyIsUniqueAmongOpenEpochs() public {
        bytes memory consent = _consent(address(nodes), stranger, HOT_KEY);
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.KeyInUse.selector, vm.addr(HOT_KEY), nodeId));
        vm.prank(stranger);
        nodes.register(NodeProfile(stranger, 1, 0), vm.addr(HOT_KEY), none, consent);
        bytes memory own = _consent(address(nodes), nodeOwner, HOT_KEY);
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.KeyInUse.selector, vm.addr(HOT_KEY), nodeId));
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(HOT_KEY), own);
        vm.prank(nodeOwner);
        nodes.retire(nodeId);
        vm.prank(stranger);
        vm.assertEq(nodes.register(NodeProfile(stranger, 1, 0), vm.addr(HOT_KEY), none, consent), 2, "free after retirement");
    }

    /// @dev A consent names the registry, the owner and the key: a copy in the mempool is worth nothing to another.
    function test_keyConsentBindsRegistryAndOwner() public {
        address key = vm.addr(NEXT_KEY);
        bytes memory toOther = _consent(address(nodes), nodeOwner, NEXT_KEY);
        _expectNoConsent(stranger, key, toOther);
        bytes memory elsewhere = _consent(address(relayers), stranger, NEXT_KEY);
        _expectNoConsent(stranger, key, elsewhere);
    }

    function test_zeroKeyIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.ZeroAddress.selector));
        vm.prank(stranger);
        nodes.register(NodeProfile(stranger, 1, 0), address(0), none, "");
    }

    function test_onlyTheOwnerChangesAnything() public {
        bytes memory consent = _consent(address(nodes), nodeOwner, NEXT_KEY);
        bytes memory notOwner = abi.encodeWithSelector(IKeyRing.NotOwner.selector, nodeId, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(notOwner);
        nodes.rotateKey(nodeId, vm.addr(NEXT_KEY), consent);
        vm.expectRevert(notOwner);
        nodes.retire(nodeId);
        vm.expectRevert(notOwner);
        nodes.update(nodeId, NodeProfile(stranger, 1, 0), none, nothing);
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.NotOwner.selector, relayerId, stranger));
        relayers.update(relayerId, stranger, 0, "");
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.UnknownId.selector, uint32(99)));
        nodes.retire(99);
        vm.stopPrank();
    }

    function test_retirementIsForGood() public {
        bytes memory consent = _consent(address(nodes), nodeOwner, NEXT_KEY);
        vm.startPrank(nodeOwner);
        nodes.retire(nodeId);
        vm.assertFalse(nodes.isLive(nodeId), "live");
        vm.assertEq(nodes.keyOf(nodeId, 1).closedAt, START, "its key epoch is closed");
        bytes memory retired = abi.encodeWithSelector(IKeyRing.AlreadyRetired.selector, nodeId, uint48(START));
        vm.expectRevert(retired);
        nodes.retire(nodeId);
        vm.expectRevert(retired);
        nodes.rotateKey(nodeId, vm.addr(NEXT_KEY), consent);
        nodes.update(nodeId, NodeProfile(stranger, 1, 0), none, nothing);
        vm.stopPrank();
        vm.assertEq(nodes.payoutOf(nodeId), stranger, "the payout address can still be corrected");
    }

    function test_updateReplacesProfileAndModels() public {
        ModelOffer[] memory listed = new ModelOffer[](1);
        listed[0] = ModelOffer(keccak256("org/other@q8"), 0, 5);
        bytes32[] memory delisted = new bytes32[](1);
        delisted[0] = keccak256("org/model@q4");
        vm.prank(nodeOwner);
        nodes.update(nodeId, NodeProfile(stranger, 3, 77), listed, delisted);
        Node memory node = nodes.nodeOf(nodeId);
        vm.assertEq(node.payout, stranger, "payout");
        vm.assertEq(node.hardwareClass, 3, "class");
        vm.assertEq(node.agentId, 77, "agent");
        (bool gone,,) = nodes.priceOf(nodeId, delisted[0]);
        vm.assertFalse(gone, "delisted");
        (bool here, uint96 priceIn, uint96 priceOut) = nodes.priceOf(nodeId, listed[0].modelId);
        vm.assertTrue(here, "a price of zero is a price");
        vm.assertEq(priceIn, 0, "price in");
        vm.assertEq(priceOut, 5, "price out");
    }

    function test_profileBounds() public {
        vm.startPrank(nodeOwner);
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.ZeroAddress.selector));
        nodes.update(nodeId, NodeProfile(address(0), 1, 0), none, nothing);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownHardwareClass.selector, uint8(0)));
        nodes.update(nodeId, NodeProfile(stranger, 0, 0), none, nothing);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownHardwareClass.selector, uint8(4)));
        nodes.update(nodeId, NodeProfile(stranger, 4, 0), none, nothing);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TooManyModels.selector, 33, 32));
        nodes.update(nodeId, NodeProfile(stranger, 1, 0), new ModelOffer[](33), nothing);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TooManyModels.selector, 33, 32));
        nodes.update(nodeId, NodeProfile(stranger, 1, 0), none, new bytes32[](33));
        vm.stopPrank();
    }

    function test_relayerProfile() public {
        vm.expectEmit(address(relayers));
        emit IRelayerRegistry.RelayerProfileSet(relayerId, stranger, 1_000, "https://new.example");
        vm.prank(relayerOwner);
        relayers.update(relayerId, stranger, 1_000, "https://new.example");
        Relayer memory relayer = relayers.relayerOf(relayerId);
        vm.assertEq(relayer.owner, relayerOwner, "owner");
        vm.assertEq(relayer.poster, stranger, "poster");
        vm.assertEq(relayer.feeBps, 1_000, "fee");
        vm.assertEq(relayer.endpointHash, keccak256("https://new.example"), "endpoint hash");
        vm.assertEq(relayers.posterOf(relayerId), stranger, "poster alone");
    }

    function test_relayerBounds() public {
        vm.startPrank(relayerOwner);
        vm.expectRevert(abi.encodeWithSelector(IRelayerRegistry.FeeTooHigh.selector, uint16(1_001), uint16(1_000)));
        relayers.update(relayerId, poster, 1_001, "");
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.ZeroAddress.selector));
        relayers.update(relayerId, address(0), 0, "");
        vm.expectRevert(abi.encodeWithSelector(IRelayerRegistry.EndpointTooLong.selector, 257, 256));
        relayers.update(relayerId, poster, 0, string(new bytes(257)));
        relayers.update(relayerId, poster, 0, string(new bytes(256)));
        vm.stopPrank();
    }

    function _expectNoConsent(address owner, address key, bytes memory signature) private {
        address recovered = _recover(KeyConsent(address(nodes), owner, key).hash(), signature);
        vm.expectRevert(abi.encodeWithSelector(IKeyRing.KeyConsentInvalid.selector, key, recovered));
        vm.prank(owner);
        nodes.register(NodeProfile(owner, 1, 0), key, none, signature);
        vm.assertEq(nodes.holderOf(key), 0, "holder");
    }
}
