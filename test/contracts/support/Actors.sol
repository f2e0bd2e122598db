// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit, IBatchSettlement} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Bond, Party} from "../../../contracts/interfaces/IBondVault.sol";
import {IKeyRing} from "../../../contracts/interfaces/IKeyRing.sol";
import {ISaturationBoard} from "../../../contracts/interfaces/ISaturationBoard.sol";
import {RelayerAccount, Session, Tab} from "../../../contracts/interfaces/IEscrow.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SaturationAttestation} from "../../../contracts/types/SaturationAttestation.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice Three payers, three nodes, one relayer and the guardian, doing what they may in random order; one who may not.
/// @dev No action may revert. What an action must not change is compared around it; a breach is kept in `breach` and read by the
/// invariants. `done` counts what really happened, by action.
abstract contract Actors is World {
    uint256 internal constant PAYERS = 3;
    uint256 internal constant NODES = 3;
    uint256 internal constant SESSIONS_MAX = 12;

    struct Signed {
        uint96 cap;
        uint96 drawn;
        uint48 openedAt;
        uint96 lastCharged;
    }

    struct Credited {
        uint48 at;
        uint96 amount;
    }

    uint256 internal time = START;
    string internal breach;
    mapping(bytes32 action => uint256) internal done;
    mapping(bytes32 action => uint256) internal tried;
    address[] internal payers;
    uint32[] internal nodeIds;
    bytes32[] internal sessionIds;
    mapping(bytes32 sessionId => Signed) internal signed;
    mapping(uint32 nodeId => uint96) internal greatestCumulative;
    mapping(uint32 nodeId => Credited[]) internal credited;
    uint256 internal deposited = 1_000e6;
    uint256 internal slashedFromRelayer;
    bytes internal lastAccepted;
    bytes32 private current;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = 0; i < PAYERS; ++i) payers.push(vm.addr(PAYER_KEY + 0x1000 * i));
        nodeIds.push(nodeId);
        for (uint256 i = 1; i < NODES; ++i) nodeIds.push(_registerNode(nodeOwner, HOT_KEY + 0x1000 * i));
        for (uint256 i = 0; i < NODES; ++i) _bond(Party.NODE, nodeIds[i], 10 * SLOT_STAKE);
        // Room enough that actions are seldom idle.
        for (uint256 i = 0; i < PAYERS; ++i) this.deposit(i, 500e6);
        this.openSession(0, 2 * 200e6);
        this.openSession(1, 2 * 200e6 + 1);
    }

    function _feesWaitForSeeds() internal pure override returns (bool) {
        return false;
    }

    /// @dev Keeps time over calls, and watches that nobody's free balance falls but by its owner's word.
    modifier action(bytes32 name) {
        vm.warp(time);
        current = name;
        tried[name] += 1;
        _;
    }

    modifier byOthers() {
        uint256[] memory before = _freeBalances();
        _;
        uint256[] memory afterwards = _freeBalances();
        for (uint256 i = 0; i < PAYERS; ++i) {
            if (afterwards[i] < before[i]) _breached("I23: somebody else's act took from a payer's free balance");
        }
    }

    // ---- payers

    function deposit(uint256 who, uint256 draw) external action("deposit") {
        uint96 amount = uint96(1 + draw % 1_000e6);
        _fund(payers[who % PAYERS], amount);
        deposited += amount;
        _did();
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
        if (since == 0 || time < since + 3 * W || session.lock == session.charged) return;
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
        if (escrow.tabOf(relayerId, id).claimed > creditedBefore(id, time - 3 * W)) _breached("I18: an immature claim");
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
        uint96 taken = vault.slash(party, id, amount, fraudProofs);
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

    /// @dev I6, I7, I11: the relayer itself, without the payer's or the node's word, or with a word from elsewhere.
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
        BatchHeader memory header = _header(debits, credits);
        bytes memory call = abi.encodeCall(
            IBatchSettlement.postBatch, (header, _sign(SIGNER_KEY, header.hash()), debits, credits)
        );
        (bool ok,) = _as(poster, address(settlement), call);
        if (ok) _breached("I6, I7: a batch moved money without a signature that covers it");
        _did();
    }

    // ---- views for the invariants

    /// @return sum of what was credited to a node until that time.
    function creditedBefore(uint32 id, uint256 until) public view returns (uint256 sum) {
        for (uint256 i = 0; i < credited[id].length; ++i) {
            if (credited[id][i].at <= until) sum += credited[id][i].amount;
        }
    }

    /// @return bookedSum free balances, what locks still hold, unclaimed credits and fees.
    /// @return tracked the Escrow's own count.
    /// @return held its tokens.
    function books() public view returns (uint256 bookedSum, uint256 tracked, uint256 held) {
        for (uint256 i = 0; i < PAYERS; ++i) bookedSum += escrow.freeBalanceOf(payers[i]);
        for (uint256 i = 0; i < sessionIds.length; ++i) {
            Session memory one = escrow.sessionOf(sessionIds[i]);
            bookedSum += one.lock - one.charged - one.forced;
        }
        for (uint256 i = 0; i < NODES; ++i) {
            Tab memory one = escrow.tabOf(relayerId, nodeIds[i]);
            bookedSum += one.earned - one.claimed;
        }
        RelayerAccount memory own = escrow.relayerAccountOf(relayerId);
        bookedSum += own.fees - own.feesClaimed;
        return (bookedSum, escrow.trackedBalance(), pay.balanceOf(address(escrow)));
    }

    // ---- batches

    /// @dev Up to four sessions, each by as much as cap, lock, bucket and leverage leave.
    function _debits(uint256 seed) private returns (Debit[] memory debits) {
        bytes32[] memory ids = _ascending(seed, 4);
        debits = new Debit[](ids.length);
        uint256 room = escrow.debitCapacityOf(relayerId);
        uint256 count;
        for (uint256 i = 0; i < ids.length; ++i) {
            Session memory one = escrow.sessionOf(ids[i]);
            uint256 most = one.lock - one.charged;
            if (one.maxTotal - one.charged < most) most = one.maxTotal - one.charged;
            if (one.mode == ALLOWANCE && one.bucketLevel < most) most = one.bucketLevel;
            if (room < most) most = room;
            if (most == 0) continue;
            uint96 change = uint96(1 + uint256(keccak256(abi.encode(seed, i))) % (1 + most / 3));
            if (change > most) change = uint96(most);
            room -= change;
            debits[count++] = _debit(ids[i], change, one.mode == VOUCHER ? one.charged + change + uint96(seed % 1e6) : 0);
        }
        assembly ("memory-safe") {
            mstore(debits, count)
        }
    }

    function _credits(uint256 seed, uint96 total) private view returns (Credit[] memory credits) {
        uint256 count = total < NODES ? 1 : 1 + seed % NODES;
        credits = new Credit[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint96 change = i + 1 == count ? total - uint96((total / count) * i) : uint96(total / count);
            uint96 earned = escrow.tabOf(relayerId, nodeIds[i]).earned;
            credits[i] = _credit(nodeIds[i], HOT_KEY + 0x1000 * i, change, earned + change + uint96(seed % 1e6));
        }
    }

    /// @dev Different sessions in ascending order.
    function _ascending(uint256 seed, uint256 most) private view returns (bytes32[] memory ids) {
        uint256 count = sessionIds.length < most ? sessionIds.length : most;
        ids = new bytes32[](count);
        uint256 first = seed % sessionIds.length;
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = sessionIds[(first + i) % sessionIds.length];
            for (uint256 j = i; j > 0 && ids[j - 1] > ids[j]; --j) (ids[j - 1], ids[j]) = (ids[j], ids[j - 1]);
        }
    }

    /// @dev What was signed, and that nothing fell.
    function _note(Debit[] memory debits, Credit[] memory credits) private {
        for (uint256 i = 0; i < debits.length; ++i) {
            Signed storage mine = signed[debits[i].sessionId];
            if (debits[i].cumulativeCap > mine.cap) mine.cap = debits[i].cumulativeCap;
            mine.drawn += debits[i].change;
            uint96 charged = escrow.sessionOf(debits[i].sessionId).charged;
            if (charged <= mine.lastCharged) _breached("I3: charged did not rise");
            mine.lastCharged = charged;
        }
        for (uint256 i = 0; i < credits.length; ++i) {
            uint32 id = credits[i].nodeId;
            if (credits[i].nodeCumulative > greatestCumulative[id]) greatestCumulative[id] = credits[i].nodeCumulative;
            credited[id].push(Credited(uint48(time), credits[i].change));
        }
    }

    function _freeBalances() private view returns (uint256[] memory balances) {
        balances = new uint256[](PAYERS);
        for (uint256 i = 0; i < PAYERS; ++i) balances[i] = escrow.freeBalanceOf(payers[i]);
    }

    function _as(address who, address target, bytes memory data) private returns (bool ok, bytes memory answer) {
        vm.prank(who);
        return target.call(data);
    }

    function _did() private {
        done[current] += 1;
    }

    function _breached(string memory what) private {
        if (bytes(breach).length == 0) breach = what;
    }

    function _bubble(bytes memory reason) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }
}
