// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {BondVault} from "../../contracts/BondVault.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {SaturationBoard} from "../../contracts/SaturationBoard.sol";
import {EscrowWiring} from "../../contracts/escrow/EscrowBase.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {ForceState} from "../../contracts/interfaces/IForces.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {NodeRegistry} from "../../contracts/registry/NodeRegistry.sol";
import {RelayerRegistry} from "../../contracts/registry/RelayerRegistry.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {Attempts} from "./support/Attempts.sol";
import {vm} from "./support/Vm.sol";

/// @notice A deployment without fraud proofs, board and guardian: forces and batches need none of them.
contract WithoutProofsTest is Attempts {
    function setUp() public override {
        super.setUp();
        address foretold = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 4);
        nodes = new NodeRegistry(foretold);
        relayers = new RelayerRegistry(foretold);
        vault = new BondVault(stake, pay, nodes, relayers, address(0), W, SLOT_STAKE);
        escrow = new Escrow(
            EscrowWiring({
                payToken: pay,
                nodeRegistry: nodes,
                relayerRegistry: relayers,
                bondVault: vault,
                batchSettlement: foretold,
                saturationBoard: SaturationBoard(address(0)),
                fraudProofs: address(0),
                inferenceGateway: address(0),
                transferProofs: address(0),
                guardian: address(0),
                windowSeconds: W,
                leverage: LEVERAGE
            })
        );
        settlement = new BatchSettlement(escrow);
        nodeId = _registerNode(nodeOwner, HOT_KEY);
        relayerId = _registerRelayer(relayerOwner, SIGNER_KEY);
        _bond(Party.RELAYER, relayerId, 10_000e6);
        _fund(payer, 1_000e6);
        sessionId = _open(authorization);
    }

    function test_anAnswerEndsAForce() public {
        Record memory record = _attempt();
        Posted memory posted = _postRows(_rows(record));
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 0);
        settlement.answerForce(ack.receiptHash, 1, posted.byTab[0].leaf, _tabProof(posted, 0));
        vm.assertEq(uint256(settlement.forceOf(ack.receiptHash).state), uint256(ForceState.ANSWERED), "answered");
    }

    /// @dev No batch is ever condemned here, whichever is named.
    function test_anUnansweredForceIsPaid() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.warp(START + W);
        settlement.openForce(record, ack, acked, 1);
        vm.warp(START + 2 * W + 1);
        (uint96 fromLock, uint96 fromBond) = settlement.resolveForce(ack.receiptHash);
        vm.assertEq(fromLock, record.receipt.body.fee, "by the lock");
        vm.assertEq(fromBond, 0, "nothing by the bond");
        vm.assertEq(escrow.claimTab(relayerId, nodeId), record.receipt.body.fee, "claimed");
    }
}
