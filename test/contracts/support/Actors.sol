// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit, IBatchSettlement} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Bond, Party} from "../../../contracts/interfaces/IBondVault.sol";
import {Session} from "../../../contracts/interfaces/IEscrow.sol";
import {IKeyRing} from "../../../contracts/interfaces/IKeyRing.sol";
import {ISaturationBoard} from "../../../contracts/interfaces/ISaturationBoard.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {Voucher} from "../../../contracts/types/Voucher.sol";
import {Ledger} from "./Ledger.sol";
import {vm} from "./Vm.sol";

/// @notice Three payers, three nodes, one relayer and the guardian, doing what they may in random order; one who may not.
/// @dev No act may revert. Draws are whole words, so that one loop can drive every act.
abstract contract Actors is Ledger {
    function setUp() public virtual override {
        super.setUp();
        // Room enough that acts are seldom idle.
        for (uint256 i = 0; i < PAYERS; ++i) this.deposit(i, 500e6);
        this.openSession(0, 2 * 200e6);
        this.openSession(1, 2 * 200e6 + 1);
    }

    // ---- payers

    function deposit(uint256 who, uint256 draw) external action("deposit") {
        uint96 amount = uint96(1 + draw % 1_000e6);
        if ((draw >> 128) % 4 == 1) _arrive(payers[who % PAYERS], amount);
        else _fund(payers[who % PAYERS], amount);
        deposited += amount;
        _did();
    }

    /// @dev Tokens come without a call. Whatever a TransferProofs may say that is wrong in everything: it credits with them and
    /// with nothing that a book holds.
    function _arrive(address account, uint96 amount) private {
        pay.mint(address(escrow), amount);
        vm.startPrank(TRANSFER_PROOFS);
        try escrow.creditArrived(account, amount + 1) {
            _breached("I1: credited with what a book holds");
        } catch {}
        escrow.creditArrived(account, amount);
        vm.stopPrank();
    }

    function withdraw(uint256 who, uint256 draw) external action("withdraw") {
        address account = payers[who % PAYERS];
        uint96 free = escrow.freeBalanceOf(account);
        if (free == 0) return;
        uint96 amount = uint96(1 + draw % free);
        vm.prank(account);
        escrow.withdraw(amount, account);
        _did();
    }

    function openSession(uint256 who, uint256 draw) external action("openSession") {
        who %= PAYERS;
        bool allowance = draw % 2 == 1;
        uint96 free = escrow.freeBalanceOf(payers[who]);
        if (sessionIds.length == SESSIONS_MAX || free < 100) return;
        if (time < escrow.newSessionsPausedUntil() || vault.isJailed(Party.RELAYER, relayerId)) return;
        payer = payers[who];
        SpendingAuthorization memory authorization =
            _authorization(allowance ? ALLOWANCE : VOUCHER, uint96(100 + (draw >> 1) % (free - 99)));
        authorization.salt = 1_000 + sessionIds.length;
        authorization.maxTotal = authorization.lock * 2;
        bytes32 id = authorization.hash();
        escrow.openSession(authorization, _sign(PAYER_KEY + 0x1000 * who, id));
        sessionIds.push(id);
        authorizations[id] = authorization;
        signed[id].openedAt = uint48(time);
        if (allowance) signed[id].cap = authorization.maxTotal;
        _did();
    }

    function topUp(uint256 which, uint256 draw) external action("topUp") {
        bytes32 id = sessionIds[which % sessionIds.length];
        address account = escrow.sessionOf(id).payer;
        uint96 free = escrow.freeBalanceOf(account);
        if (free == 0 || escrow.closingSince(id) != 0) return;
        vm.prank(account);
        escrow.topUp(id, uint96(1 + draw % free));
        _did();
    }

    function closeSession(uint256 which, uint256 draw) external action("closeSession") byOthers {
        // One in four, or nothing would be left to settle.
        bytes32 id = sessionIds[which % sessionIds.length];
        if (draw % 4 != 0 || escrow.closingSince(id) != 0) return;
        vm.prank(draw % 8 == 0 ? poster : escrow.sessionOf(id).payer);
        escrow.closeSession(id);
        _did();
    }

    function releaseLock(uint256 which, uint256) external action("releaseLock") byOthers {
        bytes32 id = sessionIds[which % sessionIds.length];
        uint48 since = escrow.closingSince(id);
        Session memory session = escrow.sessionOf(id);
        uint256 kept = uint256(session.charged) + session.forced + session.reserved - session.voidedCharge;
        if (since == 0 || time < since + 3 * W || session.lock <= kept) return;
        escrow.releaseLock(id);
        _did();
    }

    // ---- the relayer and its nodes

    function postBatch(uint256 seed, uint256 feeBps) external action("postBatch") byOthers {
        Debit[] memory debits = _debits(seed);
        uint256 total;
        for (uint256 i = 0; i < debits.length; ++i) total += debits[i].change;
        uint256 credit = total * 10_000 / (10_000 + feeBps % 1_001);
        // The credit's rounding must not lift the fee above a tenth of it.
        if (total > credit + credit / 10) credit = total;
        if (credit == 0) return;
        Credit[] memory credits = _credits(seed, uint96(credit));
        BatchHeader memory header = _header(debits, credits);
        lastAccepted = abi.encodeCall(
            IBatchSettlement.postBatch, (header, _sign(SIGNER_KEY, header.hash()), debits, credits)
        );
        vm.prank(poster);
        (bool ok, bytes memory reason) = address(settlement).call(lastAccepted);
        if (!ok) _bubble(reason);
        _note(debits, credits);
        _did();
    }

    function claimTab(uint256 which, uint256) external action("claimTab") byOthers {
        uint32 id = nodeIds[which % NODES];
        if (escrow.claimableTab(relayerId, id) == 0) return;
        escrow.claimTab(relayerId, id);
        // I18: never anything younger than three windows.
        uint256 most = creditedBefore(id, time - 3 * W) + escrow.tabOf(relayerId, id).forcedEarned;
        if (escrow.tabOf(relayerId, id).claimed > most) _breached("I18: an immature claim");
        _did();
    }

    function claimRelayerFee(uint256, uint256) external action("claimRelayerFee") byOthers {
        if (escrow.claimableRelayerFee(relayerId) == 0) return;
        vm.prank(relayerOwner);
        escrow.claimRelayerFee(relayerId, relayerOwner);
        _did();
    }

    /// @dev To a fresh key, or back to an earlier one that stands free; a key that another node holds is refused.
    function rotateKey(uint256 which, uint256 draw) external action("rotateKey") byOthers {
        uint256 index = 1 + which % (NODES - 1);
        uint256 key = 0xD000 + draw % 8;
        bytes memory consent = _consent(address(nodes), nodeOwner, key);
        uint32 holder = nodes.holderOf(vm.addr(key));
        (bool ok,) = _as(nodeOwner, address(nodes), abi.encodeCall(IKeyRing.rotateKey, (nodeIds[index], vm.addr(key), consent)));
        if (ok != (holder == 0)) _breached("I20: a key in two open epochs, or a free key refused");
        _did();
    }

    /// @dev With a seq from a small range, so that many do not rise.
    function attest(uint256 draw, uint256) external action("attest") byOthers {
        SaturationAttestation memory attestation;
        attestation.nodeId = nodeId;
        attestation.relayerId = relayerId;
        attestation.keyEpoch = 1;
        attestation.seq = uint64(1 + draw % 64);
        attestation.observedAtMs = uint48(time * 1_000);
        uint64 last = board.saturationOf(nodeId, relayerId).seq;
        bytes memory signature = _sign(HOT_KEY, attestation.hash());
        (bool ok,) = address(board).call(abi.encodeCall(ISaturationBoard.recordAttestation, (attestation, signature)));
        if (ok != (attestation.seq > last)) _breached("I21: a recorded seq that does not rise, or one that does refused");
        _did();
    }

    // ---- bonds

    function unbond(uint256 draw, uint256) external action("unbond") byOthers {
        Bond memory bond = vault.bondOf(Party.RELAYER, relayerId);
        uint96 active = bond.active;
        // A further request starts the delay anew: rarely, or nothing would ever be withdrawn.
        if (active < 2 || (bond.unbonding != 0 && draw % 16 != 0)) return;
        vm.prank(relayerOwner);
        vault.requestUnbond(Party.RELAYER, relayerId, uint96(1 + draw % (active / 2)));
        _did();
    }

    function withdrawBond(uint256, uint256) external action("withdrawBond") byOthers {
        Bond memory bond = vault.bondOf(Party.RELAYER, relayerId);
        if (bond.unbonding == 0 || time < bond.withdrawableAt) return;
        vm.prank(relayerOwner);
        vault.withdraw(Party.RELAYER, relayerId, relayerOwner);
        _did();
    }

    function bondMore(uint256 draw, uint256) external action("bondMore") byOthers {
        _bond(Party.RELAYER, relayerId, uint96(1 + draw % 1_000e6));
        _did();
    }

    function slash(uint256 which, uint256 draw) external action("slash") byOthers {
        bool relayer = which % 2 == 0;
        Party party = relayer ? Party.RELAYER : Party.NODE;
        uint32 id = relayer ? relayerId : nodeIds[which % NODES];
        Bond memory bond = vault.bondOf(party, id);
        uint256 whole = uint256(bond.active) + bond.unbonding;
        uint96 amount = uint96(draw % (whole / 8 + 2));
        vm.prank(fraudProofs);
        uint96 taken = vault.slash(party, id, amount, address(0xF00D));
        if (taken != (amount < whole ? amount : whole)) _breached("I15: a stake escaped, or more than it was taken");
        if (relayer) slashedFromRelayer += taken;
        _did();
    }

    // ---- time and the guardian

    function pass(uint256 howLong, uint256) external action("pass") {
        time += 1 + howLong % (2 * W);
        _did();
    }

    function pause(uint256, uint256) external action("pause") byOthers {
        (bool ok,) = _as(guardian, address(escrow), abi.encodeWithSignature("pauseNewSessions()"));
        if (ok) _did();
    }

    // ---- those who may not

    /// @dev I10: what was accepted once is refused for ever.
    function replay(uint256, uint256) external action("replay") byOthers {
        if (lastAccepted.length == 0) return;
        (bool ok,) = _as(poster, address(settlement), lastAccepted);
        if (ok) _breached("I10: a batch was posted twice");
        _did();
    }

    /// @dev I6, I7: the relayer itself, without the payer's or the node's word.
    function forge(uint256 seed, uint256 draw) external action("forge") byOthers {
        bytes32 id = sessionIds[seed % sessionIds.length];
        Session memory session = escrow.sessionOf(id);
        uint96 change = uint96(1 + draw % 100e6);
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, change, 0);
        uint96 cap = session.provenCap + change;
        _putVoucher(debits[0], 0xBAD, cap);
        Credit[] memory credits = new Credit[](1);
        uint32 node = nodeIds[seed % NODES];
        uint96 proven = escrow.tabOf(relayerId, node).provenEarned;
        credits[0] = _credit(node, 0xBAD, change, proven + change);
        if (seed % 3 == 0) credits[0].nodeCumulative = 0;
        if (seed % 3 == 1) (debits[0].cumulativeCap, debits[0].change) = (0, cap);
        if (_posted(debits, credits)) _breached("I6, I7: a batch moved money without a signature that covers it");
        _did();
    }

    /// @dev I11: the payer's and the node's own word, but for another chain or contract.
    function transplant(uint256 seed, uint256 draw) external action("transplant") byOthers {
        bytes32 id = sessionIds[seed % sessionIds.length];
        uint96 cap = escrow.sessionOf(id).provenCap + 1;
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(id, 1, cap);
        (debits[0].r, debits[0].vs) = _elsewhere(SESSION_KEY, Voucher(id, cap, debits[0].taskId).hash(), draw);
        if (_posted(debits, new Credit[](0))) _breached("I11: a voucher for another deployment counted");
        uint256 index = seed % NODES;
        debits[0] = _debit(id, 1, 0);
        Credit[] memory credits = new Credit[](1);
        uint96 proven = escrow.tabOf(relayerId, nodeIds[index]).provenEarned;
        credits[0] = _credit(nodeIds[index], HOT_KEY, 1, proven + 1);
        (credits[0].r, credits[0].vs) = _elsewhere(HOT_KEY + 0x1000 * index, _receiptHash(credits[0]), draw);
        if (_posted(debits, credits)) _breached("I11: a receipt for another deployment counted");
        _did();
    }

    function _posted(Debit[] memory debits, Credit[] memory credits) private returns (bool ok) {
        BatchHeader memory header = _header(debits, credits);
        bytes memory call = abi.encodeCall(
            IBatchSettlement.postBatch, (header, _sign(SIGNER_KEY, header.hash()), debits, credits)
        );
        (ok,) = _as(poster, address(settlement), call);
    }

    /// @dev A right signature over the same struct, on the next chain or for the Escrow itself.
    function _elsewhere(uint256 key, bytes32 structHash, uint256 draw) private view returns (bytes32 r, bytes32 vs) {
        (uint256 chainId, address verifying) =
            draw % 2 == 0 ? (block.chainid + 1, address(settlement)) : (block.chainid, address(escrow));
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Tidelane"),
                keccak256("1"),
                chainId,
                verifying
            )
        );
        uint8 v;
        bytes32 s;
        (v, r, s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", separator, structHash)));
        vs = bytes32(uint256(s) | uint256(v - 27) << 255);
    }
}
