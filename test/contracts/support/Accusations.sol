// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BadSum, ChangeClaim, Entry} from "../../../contracts/fraud/Evidence.sol";
import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {IFraudErrors, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../../contracts/interfaces/ITaskReceipts.sol";
import {Item, Items, ItemsOpening} from "../../../contracts/libraries/Items.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {Ack} from "../../../contracts/types/Ack.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {Refusal} from "../../../contracts/types/Refusal.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {TaskOrder} from "../../../contracts/types/TaskOrder.sol";
import {TaskReceipt} from "../../../contracts/types/TaskReceipt.sol";
import {Trials} from "./Trials.sol";
import {vm} from "./Vm.sol";

/// @notice The calls of all proofs but the board's, made from evidence, and the evidence of F1 and F3.
abstract contract Accusations is Trials {
    uint64 internal constant SEQ = uint64(START * 1_000) << 20;

    // ---- what nodes sign: F1, F2, F3

    function _f1(SaturationAttestation memory one, uint256 key, SaturationAttestation memory other, uint256 otherKey)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveSaturationEquivocation,
            (one, _sign(key, one.hash()), other, _sign(otherKey, other.hash()), SALT)
        );
    }

    function _f2(TaskReceipt memory one, uint256 key, TaskReceipt memory other, uint256 otherKey)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveReceiptEquivocation,
            (one, _sign(key, one.hash()), other, _sign(otherKey, other.hash()), SALT)
        );
    }

    function _f3(SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal)
        internal
        view
        returns (bytes memory)
    {
        return _f3Signed(attestation, assignment, refusal, HOT_KEY);
    }

    function _f3Signed(SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal, uint256 refusalKey)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveFalseRefusal,
            (
                attestation,
                _sign(HOT_KEY, attestation.hash()),
                assignment,
                _sign(SIGNER_KEY, assignment.hash()),
                refusal,
                _sign(refusalKey, refusal.hash()),
                SALT
            )
        );
    }

    function _attested() internal view returns (SaturationAttestation memory attestation) {
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = SEQ;
        attestation.slots = 8;
        attestation.observedAtMs = uint48(START * 1_000);
        attestation.validUntilMs = uint48(START * 1_000 + 5_000);
    }

    /// @dev Eight slots attested, refused as full with three accepted.
    function _refused()
        internal
        view
        returns (SaturationAttestation memory attestation, Assignment memory assignment, Refusal memory refusal)
    {
        attestation = _attested();
        assignment.relayerId = relayerId;
        assignment.relayerEpoch = 1;
        assignment.nodeId = nodeId;
        assignment.attestationHash = attestation.hash();
        assignment.issuedAt = uint48(START);
        refusal = Refusal(assignment.hash(), nodeId, relayerId, 1, SEQ, 3, 1, uint48(START * 1_000 + 100));
    }

    // ---- leaves: F4, F13

    function _f4(Posted memory posted, uint256 index) internal view returns (bytes memory) {
        Row memory row = posted.bySession[index];
        return abi.encodeCall(
            IFraudProofs.proveInvalidLeaf,
            (relayerId, posted.header.batchId, row.leaf, _sessionProof(posted, index), row.record, SALT)
        );
    }

    function _f13(Record memory forced, Posted memory posted, uint256 index) internal view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.provePaidAfterForce,
            (
                forced.receipt.hash(),
                posted.header.batchId,
                _entry(posted, Tree.SESSION, index),
                posted.bySession[index].record.assignment,
                SALT
            )
        );
    }

    /// @dev Opened W from now, resolved as soon as it can be; then one second passes.
    function _force(Record memory record) internal {
        bytes32 receiptHash = _openForce(record);
        uint256 openedAt = settlement.forceOf(receiptHash).openedAt;
        vm.warp(openedAt + W + 1);
        settlement.resolveForce(receiptHash);
        vm.warp(openedAt + W + 2);
    }

    function _openForce(Record memory record) internal returns (bytes32 receiptHash) {
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(ack.ackedAt + W);
        return settlement.openForce(record, ack, acked, 0);
    }

    // ---- trees: F5, F6, F7, F11

    function _f5(
        Posted memory posted,
        Debit[] memory debits,
        Tree tree,
        bytes32 id,
        bool isOver,
        Entry[] memory bounds,
        bool hasLeft
    ) internal pure returns (bytes memory) {
        ChangeClaim memory claim = ChangeClaim(tree, id, isOver, hasLeft, bounds);
        return abi.encodeCall(IFraudProofs.proveWrongChange, (posted.header, _opening(debits), claim, SALT));
    }

    function _f5Credits(
        Posted memory posted,
        Credit[] memory credits,
        uint32 id,
        bool isOver,
        Entry[] memory bounds,
        bool hasLeft
    ) internal pure returns (bytes memory) {
        Item[] memory items = new Item[](credits.length);
        for (uint256 i = 0; i < credits.length; ++i) items[i] = Item(bytes32(uint256(credits[i].nodeId)), credits[i].change);
        ChangeClaim memory claim = ChangeClaim(Tree.TAB, bytes32(uint256(id)), isOver, hasLeft, bounds);
        return abi.encodeCall(IFraudProofs.proveWrongChange, (posted.header, _whole(items), claim, SALT));
    }

    function _f5Task(Posted memory posted, uint256 first, uint256 last) internal view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveTaskAboveMaxFee,
            (
                relayerId,
                posted.header.batchId,
                posted.bySession[0].record.order,
                _entry(posted, Tree.SESSION, first),
                _entry(posted, Tree.SESSION, last),
                SALT
            )
        );
    }

    function _f6(Posted memory posted, Tree tree, BadSum memory badSum) internal view returns (bytes memory) {
        return abi.encodeCall(IFraudProofs.proveBadSum, (relayerId, posted.header.batchId, tree, badSum, SALT));
    }

    function _f7Two(Posted memory first, uint256 i, uint64 firstId, Posted memory second, uint256 j, uint64 secondId)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveTaskInTwoBatches,
            (relayerId, firstId, _entry(first, Tree.SESSION, i), secondId, _entry(second, Tree.SESSION, j), SALT)
        );
    }

    function _f7Input(Posted memory posted, uint256 one, uint256 other) internal view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveSecondInput,
            (
                relayerId,
                posted.header.batchId,
                _entry(posted, Tree.SESSION, one),
                posted.bySession[one].record.assignment,
                _entry(posted, Tree.SESSION, other),
                posted.bySession[other].record.assignment,
                SALT
            )
        );
    }

    function _f7Order(Posted memory posted, Tree tree, uint256 left, uint256 right) internal view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveDisorder,
            (relayerId, posted.header.batchId, tree, _entry(posted, tree, left), _entry(posted, tree, right), SALT)
        );
    }

    function _f11(Posted memory posted, Tree tree, uint256 index, Entry[] memory others) internal view returns (bytes memory) {
        return abi.encodeCall(
            IFraudProofs.proveAsymmetry,
            (relayerId, posted.header.batchId, tree, _entry(posted, tree, index), others, SALT)
        );
    }

    function _around(Posted memory posted, Tree tree, uint256 left, uint256 right) internal pure returns (Entry[] memory bounds) {
        bounds = new Entry[](2);
        (bounds[0], bounds[1]) = (_entry(posted, tree, left), _entry(posted, tree, right));
    }

    function _only(Posted memory posted, Tree tree, uint256 index) internal pure returns (Entry[] memory bounds) {
        bounds = new Entry[](1);
        bounds[0] = _entry(posted, tree, index);
    }

    function _opening(Debit[] memory debits) internal pure returns (ItemsOpening memory) {
        Item[] memory items = new Item[](debits.length);
        for (uint256 i = 0; i < debits.length; ++i) items[i] = Item(debits[i].sessionId, debits[i].change);
        return _whole(items);
    }

    function _whole(Item[] memory items) internal pure returns (ItemsOpening memory opening) {
        bytes memory packed = Items.room(items.length);
        for (uint256 i = 0; i < items.length; ++i) Items.put(packed, i, uint256(items[i].id), items[i].change);
        opening.groups = new bytes32[](1);
        opening.groups[0] = keccak256(packed);
        opening.opened = new Item[][](1);
        opening.opened[0] = items;
    }

    // ---- what relayers sign: F8, F10

    function _f8(BatchHeader memory one, uint256 key, BatchHeader memory other, uint256 otherKey)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveHeaderEquivocation,
            (one, _sign(key, one.hash()), other, _sign(otherKey, other.hash()), SALT)
        );
    }

    function _headers() internal view returns (BatchHeader memory one, BatchHeader memory other) {
        one = _header(new Debit[](0), new Credit[](0));
        other = _header(new Debit[](0), new Credit[](0));
        other.sessionRoot = keccak256("another");
    }

    function _f10(Assignment memory one, uint256 key, Assignment memory other, uint256 otherKey)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            IFraudProofs.proveDoubleAssignment,
            (one, _sign(key, one.hash()), other, _sign(otherKey, other.hash()), SALT)
        );
    }

    /// @dev One attempt, given to two nodes.
    function _assignments() internal returns (Assignment memory one, Assignment memory other) {
        one = _attempt().assignment;
        other = abi.decode(abi.encode(one), (Assignment));
        other.nodeId = _addNode(0xB7);
    }

    function _f10Shares(TaskOrder memory order, Assignment[] memory shares, uint256 key) internal view returns (bytes memory) {
        bytes[] memory signatures = new bytes[](shares.length);
        for (uint256 i = 0; i < shares.length; ++i) signatures[i] = _sign(key, shares[i].hash());
        return abi.encodeCall(IFraudProofs.proveSharesAboveMaxFee, (order, shares, signatures, SALT));
    }

    function _shares(uint256 count, uint96 each) internal returns (TaskOrder memory order, Assignment[] memory shares) {
        order = _attempt().order;
        shares = new Assignment[](count);
        for (uint256 i = 0; i < count; ++i) {
            shares[i].relayerId = relayerId;
            shares[i].relayerEpoch = 1;
            shares[i].subtask = uint16(i);
            shares[i].shareCap = each;
        }
    }

    function _retask(TaskOrder memory order, Assignment[] memory shares) internal pure {
        for (uint256 i = 0; i < shares.length; ++i) shares[i].taskId = order.hash();
    }

    // ---- rotations, and what is refused

    function _rotateNodeKey() internal {
        bytes memory consent = _consent(address(nodes), nodeOwner, 0xB5);
        vm.prank(nodeOwner);
        nodes.rotateKey(nodeId, vm.addr(0xB5), consent);
    }

    function _rotateSigner() internal {
        bytes memory consent = _consent(address(relayers), relayerOwner, 0xC5);
        vm.prank(relayerOwner);
        relayers.rotateKey(relayerId, vm.addr(0xC5), consent);
    }

    function _expectNeighbours(bytes memory call) internal {
        _expectNotProven(call, abi.encodeWithSelector(IFraudErrors.WrongNeighbours.selector));
    }

    function _expectNotSigned(bytes memory call, uint256 key, bytes32 structHash) internal {
        _expectNotProven(call, abi.encodeWithSelector(IFraudErrors.NotSigned.selector, vm.addr(key), structHash));
    }

    function _expectKeyOver(bytes memory call, uint32 id, uint32 epoch, uint256 closedAt) internal {
        _expectNotProven(call, abi.encodeWithSelector(IFraudErrors.KeyEpochOver.selector, id, epoch, uint48(closedAt)));
    }

    function _expectNoConflict(bytes memory call, bytes32 structHash) internal {
        _expectNotProven(call, abi.encodeWithSelector(IFraudErrors.NoConflict.selector, structHash));
    }
}
