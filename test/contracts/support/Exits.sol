// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Bond, Party} from "../../../contracts/interfaces/IBondVault.sol";
import {RelayerAccount, Session, Tab} from "../../../contracts/interfaces/IEscrow.sol";
import {Force} from "../../../contracts/interfaces/IForces.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {Ack} from "../../../contracts/types/Ack.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {Actors} from "./Actors.sol";
import {vm} from "./Vm.sol";

/// @notice Nodes that force, payers and relayers that are proven wrong, and what FraudProofs takes and gives back.
abstract contract Exits is Actors {
    address internal constant CHALLENGER = address(0xCAFE);

    bytes32[] internal openForces;
    mapping(bytes32 sessionId => uint256) internal heldOf;
    mapping(bytes32 sessionId => uint256) internal forcedOf;
    mapping(uint32 nodeId => uint256) internal forcedFor;
    bytes internal lastForce;
    bytes internal lastProof;
    uint256 private made;
    uint256 private blockNumber = 1_000;

    // ---- forces

    function openForce(uint256 which, uint256 draw) external action("openForce") byOthers {
        bytes32 id = sessionIds[which % sessionIds.length];
        Record memory record = _record(id, nodeIds[draw % NODES], HOT_KEY + 0x1000 * (draw % NODES), draw);
        Ack memory ack = Ack(record.receipt.hash(), relayerId, 1, uint48(time - W));
        lastForce = abi.encodeCall(settlement.openForce, (record, ack, _sign(SIGNER_KEY, ack.hash()), 0));
        (bool ok, bytes memory reason) = address(settlement).call(lastForce);
        if (!ok) _bubble(reason);
        if (record.voucher.cumulativeCap > signed[id].cap) signed[id].cap = record.voucher.cumulativeCap;
        openForces.push(ack.receiptHash);
        heldOf[id] += settlement.forceOf(ack.receiptHash).held;
        _did();
    }

    function resolveForce(uint256 which, uint256) external action("resolveForce") byOthers {
        for (uint256 i = 0; i < openForces.length; ++i) {
            uint256 place = (which % openForces.length + i) % openForces.length;
            Force memory force = settlement.forceOf(openForces[place]);
            if (time <= uint256(force.openedAt) + W) continue;
            _resolve(openForces[place], force);
            openForces[place] = openForces[openForces.length - 1];
            openForces.pop();
            return _did();
        }
    }

    /// @dev The payer pays what its signature covers, the bond the rest as far as it reaches, and the node gets both.
    function _resolve(bytes32 receiptHash, Force memory force) private {
        Bond memory bond = vault.bondOf(Party.RELAYER, relayerId);
        uint96 had = escrow.tabOf(relayerId, force.nodeId).forcedEarned;
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(receiptHash);
        uint256 whole = uint256(bond.active) + bond.unbonding;
        uint256 rest = force.fee - fromLock;
        if (fromBond != (rest < whole ? rest : whole)) _breached("the bond paid another amount than was missing");
        if (escrow.tabOf(relayerId, force.nodeId).forcedEarned - had != fromLock + fromBond) {
            _breached("the node got another amount than was paid");
        }
        heldOf[force.sessionId] -= force.held;
        forcedOf[force.sessionId] += fromLock;
        forcedFor[force.nodeId] += uint256(fromLock) + fromBond;
        slashedFromRelayer += fromBond;
    }

    // ---- fraud

    /// @dev Credits that no longer count: those of a tab or the fees, at most what was not paid out.
    function voidCredit(uint256 which, uint256 draw) external action("voidCredit") byOthers {
        uint32 node = draw % 4 == 0 ? 0 : nodeIds[which % NODES];
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        Tab memory tab = escrow.tabOf(relayerId, nodeIds[which % NODES]);
        uint256 left = node == 0
            ? uint256(account.fees) - account.feesVoided - account.feesClaimed
            : uint256(tab.earned) + tab.forcedEarned - tab.voidedEarned - tab.claimed;
        uint96 amount = uint96((draw >> 2) % (left / 4 + 2));
        vm.prank(fraudProofs);
        uint96 taken = escrow.voidCredit(POT, relayerId, node, amount);
        if (taken != (amount < left ? amount : left)) _breached("I3: another amount was voided than there was");
        _did();
    }

    function voidDebit(uint256 which, uint256 draw) external action("voidDebit") byOthers {
        bytes32 id = sessionIds[which % sessionIds.length];
        uint96 pot = escrow.potOf(POT);
        vm.prank(fraudProofs);
        uint96 given = escrow.voidDebit(POT, id, uint96(draw % (uint256(pot) + 2)));
        if (given > pot) _breached("I5: more was given back than was taken");
        if (given != 0) _did();
    }

    /// @dev One attempt given to two nodes: a tenth of the relayer's bond. One in four, or no bond would be left to settle on.
    function proveRelayer(uint256 draw, uint256) external action("proveRelayer") byOthers {
        if (draw % 4 != 0) return;
        Assignment memory one;
        one.relayerId = relayerId;
        one.relayerEpoch = 1;
        one.taskId = keccak256(abi.encode(++made));
        one.nodeId = nodeIds[draw % NODES];
        Assignment memory other = abi.decode(abi.encode(one), (Assignment));
        other.nodeId = nodeIds[(draw % NODES + 1) % NODES];
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveDoubleAssignment,
            (one, _sign(SIGNER_KEY, one.hash()), other, _sign(SIGNER_KEY, other.hash()), bytes32(draw))
        );
        slashedFromRelayer += _proveWith(call, Party.RELAYER, relayerId);
        _did();
    }

    /// @dev Two attestations of one seq: a tenth of the node's stake. The first node keeps its key.
    function proveNode(uint256 draw, uint256) external action("proveNode") byOthers {
        SaturationAttestation memory one;
        one.nodeId = nodeId;
        one.relayerId = relayerId;
        one.keyEpoch = 1;
        one.seq = uint64(1_000_000 + ++made);
        SaturationAttestation memory other = abi.decode(abi.encode(one), (SaturationAttestation));
        other.slots = 1;
        bytes memory call = abi.encodeCall(
            IFraudProofs.proveSaturationEquivocation,
            (one, _sign(HOT_KEY, one.hash()), other, _sign(HOT_KEY, other.hash()), bytes32(draw))
        );
        _proveWith(call, Party.NODE, nodeId);
        _did();
    }

    function _proveWith(bytes memory call, Party party, uint32 id) private returns (uint256 taken) {
        Bond memory before = vault.bondOf(party, id);
        proofs.announce(keccak256(abi.encode(CHALLENGER, keccak256(call))));
        blockNumber += 2;
        vm.roll(blockNumber);
        (bool ok, bytes memory reason) = _as(CHALLENGER, fraudProofs, call);
        if (!ok) _bubble(reason);
        Bond memory afterwards = vault.bondOf(party, id);
        taken = uint256(before.active) + before.unbonding - afterwards.active - afterwards.unbonding;
        if (taken != (uint256(before.active) + before.unbonding) / 10) _breached("I16: another penalty than a tenth");
        lastProof = call;
    }

    // ---- those who may not

    /// @dev I10, I16: neither a force nor a proof counts twice.
    function replayExit(uint256 which, uint256) external action("replayExit") byOthers {
        bytes memory call = which % 2 == 0 ? lastForce : lastProof;
        if (call.length == 0) return;
        (bool ok,) = _as(CHALLENGER, which % 2 == 0 ? address(settlement) : fraudProofs, call);
        if (ok) _breached("I10, I16: a force or a proof counted twice");
        _did();
    }

    /// @dev I23: no stranger, owner, poster or guardian reaches the books.
    function meddle(uint256 which, uint256 draw) external action("meddle") byOthers {
        address who = which % 3 == 0 ? guardian : which % 3 == 1 ? poster : relayerOwner;
        bytes32 id = sessionIds[which % sessionIds.length];
        bytes memory call = draw % 5 == 0
            ? abi.encodeCall(escrow.voidCredit, (POT, relayerId, nodeId, 1))
            : draw % 5 == 1
                ? abi.encodeCall(escrow.voidDebit, (POT, id, 1))
                : draw % 5 == 2
                    ? abi.encodeCall(escrow.payForce, (id, nodeId, 0, 1))
                    : draw % 5 == 3
                        ? abi.encodeCall(escrow.fundTab, (relayerId, nodeId, 0))
                        : abi.encodeCall(escrow.holdForForce, (id, 1, 1));
        (bool ok,) = _as(who, address(escrow), call);
        if (ok) _breached("I23: a role moved a balance");
        _did();
    }

    // ---- records

    /// @dev A whole attempt of up to a dollar in that session, right in every part.
    function _record(bytes32 id, uint32 node, uint256 key, uint256 draw) private returns (Record memory record) {
        record.authorization = authorizations[id];
        record.order.sessionId = id;
        record.order.nonce = ++made;
        record.order.maxOutTokens = 1_000_000;
        record.order.maxFee = record.authorization.maxPerTask;
        bytes32 taskId = record.order.hash();
        if (record.authorization.mode == VOUCHER) {
            Session memory session = escrow.sessionOf(id);
            record.voucher.sessionId = id;
            record.voucher.taskId = taskId;
            record.voucher.cumulativeCap = session.charged + session.forced + uint96(draw % 2e6);
            record.voucherSignature = _sign(SESSION_KEY, record.voucher.hash());
            record.assignment.voucherHash = record.voucher.hash();
        }
        Assignment memory assignment = record.assignment;
        assignment.taskId = taskId;
        assignment.subtasks = 1;
        assignment.relayerId = relayerId;
        assignment.relayerEpoch = 1;
        assignment.nodeId = node;
        assignment.keyEpoch = 1;
        assignment.priceOutPerMTok = 1e6;
        assignment.shareCap = record.order.maxFee;
        // Inside every node's first epoch, whenever that was closed.
        assignment.issuedAt = uint48(START);
        record.assignmentSignature = _sign(SIGNER_KEY, assignment.hash());
        uint96 fee = uint96(1 + draw % 1e6);
        record.receipt.body.assignmentHash = assignment.hash();
        record.receipt.body.sessionId = id;
        record.receipt.body.taskId = taskId;
        record.receipt.body.outputTokens = uint32(fee);
        record.receipt.body.fee = fee;
        record.receipt.body.status = 1;
        record.receipt.nodeId = node;
        record.receipt.relayerId = relayerId;
        record.receipt.keyEpoch = 1;
        record.receipt.nodeCumulative = fee;
        record.receiptSignature = _sign(key, record.receipt.hash());
    }
}
