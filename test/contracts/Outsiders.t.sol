// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit, IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IForces} from "../../contracts/interfaces/IForces.sol";
import {IKeyRing} from "../../contracts/interfaces/IKeyRing.sol";
import {ISaturationBoard} from "../../contracts/interfaces/ISaturationBoard.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {SaturationAttestation} from "../../contracts/types/SaturationAttestation.sol";
import {Trials} from "./support/Trials.sol";
import {vm} from "./support/Vm.sol";

/// @notice A batch of honest items is signed; before it arrives, others send whatever they can, in any order. It is posted all the same.
contract OutsidersTest is Trials {
    uint96 private constant CHANGE = 1_000_000;
    uint256 private constant DEEDS = 16;

    /// @dev Of the payer, the node and the relayer's owner too: each may do what is his, and none may break what was signed.
    function testFuzz_nothingOthersSendMakesABatchFail(uint256[12] memory draws) public {
        _settle(sessionId, CHANGE, CHANGE);
        // An open force stands beside the batch, whoever opens it.
        (Ack memory ack, bytes memory acked, Record memory record) = _ackedAttempt();
        vm.warp(START + W);
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _honest();
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        for (uint256 i = 0; i < draws.length; ++i) {
            _do(draws[i] % DEEDS, draws[i] >> 8, header, signature);
            if (draws[i] % 7 == 0) _try(stranger, address(settlement), abi.encodeCall(IForces.openForce, (record, ack, acked, 0)));
        }
        vm.warp(header.postBy - draws[0] % (W / 2));
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
        vm.assertEq(escrow.sessionOf(sessionId).charged, 2 * CHANGE, "charged");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).earned, 2 * CHANGE, "earned");
    }

    function _honest() private view returns (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) {
        debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHANGE, 4 * CHANGE);
        credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, CHANGE, 2 * CHANGE);
        header = _header(debits, credits);
    }

    function _ackedAttempt() private returns (Ack memory ack, bytes memory acked, Record memory record) {
        record = _attempt();
        (ack, acked) = _ack(record);
    }

    function _do(uint256 deed, uint256 draw, BatchHeader memory header, bytes memory signature) private {
        address books = address(escrow);
        if (deed == 0) _fund(payer, uint96(1 + draw % 1e9));
        if (deed == 1) pay.mint(books, 1 + draw % 1e9);
        if (deed == 2) _bond(Party.RELAYER, relayerId, uint96(1 + draw % 1e9));
        if (deed == 3) _try(stranger, books, abi.encodeCall(IEscrow.revoke, (sessionId)));
        if (deed == 4) _try(payer, books, abi.encodeCall(IEscrow.revoke, (sessionId)));
        if (deed == 5) _try(draw % 2 == 0 ? payer : stranger, books, abi.encodeCall(IEscrow.closeSession, (sessionId)));
        if (deed == 6) _try(stranger, books, abi.encodeCall(IEscrow.releaseLock, (sessionId)));
        if (deed == 7) _try(payer, books, abi.encodeCall(IEscrow.withdraw, (escrow.freeBalanceOf(payer), payer)));
        if (deed == 8) _try(stranger, books, abi.encodeCall(IEscrow.claimTab, (relayerId, nodeId)));
        if (deed == 9) _rotate(draw);
        if (deed == 10) _try(draw % 2 == 0 ? nodeOwner : relayerOwner, draw % 2 == 0 ? address(nodes) : address(relayers), abi.encodeCall(IKeyRing.retire, (1)));
        if (deed == 11) _try(guardian, books, abi.encodeCall(IEscrow.pauseNewSessions, ()));
        if (deed == 12) _attest(draw);
        if (deed == 13) _openOther(draw);
        if (deed == 14) _postCopy(header, signature, draw);
        if (deed == 15) _challenge(uint32(draw % 10));
    }

    function _challenge(uint32 index) private {
        pay.mint(stranger, CHALLENGE_BOND);
        _try(stranger, address(pay), abi.encodeCall(pay.approve, (fraudProofs, type(uint256).max)));
        _try(stranger, fraudProofs, abi.encodeCall(proofs.challengeData, (relayerId, 1, index)));
    }

    function _rotate(uint256 draw) private {
        bool node = draw % 2 == 0;
        (address owner, address registry) = node ? (nodeOwner, address(nodes)) : (relayerOwner, address(relayers));
        uint256 key = 0xE000 + draw % 1_000;
        _try(owner, registry, abi.encodeCall(IKeyRing.rotateKey, (1, vm.addr(key), _consent(registry, owner, key))));
    }

    function _attest(uint256 draw) private {
        SaturationAttestation memory attestation;
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = uint64(draw);
        bytes memory signature = _sign(HOT_KEY, attestation.hash());
        _try(stranger, address(board), abi.encodeCall(ISaturationBoard.recordAttestation, (attestation, signature)));
    }

    function _openOther(uint256 draw) private {
        SpendingAuthorization memory other = authorization;
        other.salt = draw;
        other.lock = 1;
        other.validAfter = 0;
        _fund(payer, 1);
        bytes memory signature = _sign(PAYER_KEY, other.hash());
        _try(stranger, address(escrow), abi.encodeCall(IEscrow.openSession, (other, signature)));
    }

    /// @dev The very batch from the mempool, by somebody else, whole or without its items.
    function _postCopy(BatchHeader memory header, bytes memory signature, uint256 draw) private {
        (, Debit[] memory debits, Credit[] memory credits) = _honest();
        if (draw % 2 == 0) debits = new Debit[](0);
        _try(stranger, address(settlement), abi.encodeCall(IBatchSettlement.postBatch, (header, signature, debits, credits)));
    }

    /// @dev Whether it may is not the question here.
    function _try(address who, address target, bytes memory call) private {
        vm.prank(who);
        (bool ok,) = target.call(call);
        ok;
    }
}
