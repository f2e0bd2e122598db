// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {RelayerAccount, Session, Tab} from "../../../contracts/interfaces/IEscrow.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice What the actors of the invariants were given, signed and did; and the batches that they post.
/// @dev What an act must not change is compared around it; a breach is kept in `breach`. `done` counts what really happened.
abstract contract Ledger is World {
    uint256 internal constant PAYERS = 3;
    uint256 internal constant NODES = 3;
    uint256 internal constant SESSIONS_MAX = 12;
    bytes32 internal constant POT = "pot";

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
    mapping(bytes32 action => uint256) internal doneWhilePaused;
    address[] internal payers;
    uint32[] internal nodeIds;
    bytes32[] internal sessionIds;
    mapping(bytes32 sessionId => Signed) internal signed;
    mapping(bytes32 sessionId => SpendingAuthorization) internal authorizations;
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

    // ---- views for the invariants

    /// @return sum of what was credited to a node until that time.
    function creditedBefore(uint32 id, uint256 until) public view returns (uint256 sum) {
        for (uint256 i = 0; i < credited[id].length; ++i) {
            if (credited[id][i].at <= until) sum += credited[id][i].amount;
        }
    }

    /// @return bookedSum free balances, what locks still hold, unclaimed credits and fees, what was voided and is not given back.
    /// @return tracked the Escrow's own count.
    /// @return held its tokens.
    function books() public view returns (uint256 bookedSum, uint256 tracked, uint256 held) {
        for (uint256 i = 0; i < PAYERS; ++i) bookedSum += escrow.freeBalanceOf(payers[i]);
        for (uint256 i = 0; i < sessionIds.length; ++i) {
            Session memory one = escrow.sessionOf(sessionIds[i]);
            bookedSum += uint256(one.lock) + one.voidedCharge - one.charged - one.forced;
        }
        for (uint256 i = 0; i < NODES; ++i) {
            Tab memory one = escrow.tabOf(relayerId, nodeIds[i]);
            bookedSum += uint256(one.earned) + one.forcedEarned - one.voidedEarned - one.claimed;
        }
        RelayerAccount memory own = escrow.relayerAccountOf(relayerId);
        bookedSum += own.fees - own.feesVoided - own.feesClaimed;
        bookedSum += escrow.potOf(POT);
        return (bookedSum, escrow.trackedBalance(), pay.balanceOf(address(escrow)));
    }

    // ---- batches

    /// @dev Up to four sessions, each by as much as cap, lock, bucket and leverage leave.
    function _debits(uint256 seed) internal returns (Debit[] memory debits) {
        bytes32[] memory ids = _ascending(seed, 4);
        debits = new Debit[](ids.length);
        uint256 room = escrow.debitCapacityOf(relayerId);
        uint256 count;
        for (uint256 i = 0; i < ids.length; ++i) {
            Session memory one = escrow.sessionOf(ids[i]);
            // A batch does not count on what was voided.
            uint256 spent = uint256(one.charged) + one.forced;
            uint256 most = one.lock > spent ? one.lock - spent : 0;
            if (spent >= one.maxTotal) continue;
            if (one.maxTotal - spent < most) most = one.maxTotal - spent;
            if (one.mode == ALLOWANCE && one.bucketLevel < most) most = one.bucketLevel;
            if (room < most) most = room;
            if (most == 0) continue;
            uint96 change = uint96(1 + uint256(keccak256(abi.encode(seed, i))) % (1 + most / 3));
            if (change > most) change = uint96(most);
            room -= change;
            debits[count++] = _debit(ids[i], change, one.mode == VOUCHER ? uint96(spent) + change + uint96(seed % 1e6) : 0);
        }
        assembly ("memory-safe") {
            mstore(debits, count)
        }
    }

    function _credits(uint256 seed, uint96 total) internal view returns (Credit[] memory credits) {
        uint256 count = total < NODES ? 1 : 1 + seed % NODES;
        credits = new Credit[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint96 change = i + 1 == count ? total - uint96((total / count) * i) : uint96(total / count);
            uint96 earned = escrow.tabOf(relayerId, nodeIds[i]).earned;
            credits[i] = _credit(nodeIds[i], HOT_KEY + 0x1000 * i, change, earned + change + uint96(seed % 1e6));
        }
    }

    /// @dev Different sessions in ascending order.
    function _ascending(uint256 seed, uint256 most) internal view returns (bytes32[] memory ids) {
        uint256 count = sessionIds.length < most ? sessionIds.length : most;
        ids = new bytes32[](count);
        uint256 first = seed % sessionIds.length;
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = sessionIds[(first + i) % sessionIds.length];
            for (uint256 j = i; j > 0 && ids[j - 1] > ids[j]; --j) (ids[j - 1], ids[j]) = (ids[j], ids[j - 1]);
        }
    }

    /// @dev What was signed, and that nothing fell.
    function _note(Debit[] memory debits, Credit[] memory credits) internal {
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

    function _freeBalances() internal view returns (uint256[] memory balances) {
        balances = new uint256[](PAYERS);
        for (uint256 i = 0; i < PAYERS; ++i) balances[i] = escrow.freeBalanceOf(payers[i]);
    }

    function _as(address who, address target, bytes memory data) internal returns (bool ok, bytes memory answer) {
        vm.prank(who);
        return target.call(data);
    }

    function _did() internal {
        done[current] += 1;
        if (time < escrow.newSessionsPausedUntil()) doneWhilePaused[current] += 1;
    }

    function _breached(string memory what) internal {
        if (bytes(breach).length == 0) breach = what;
    }

    function _bubble(bytes memory reason) internal pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }
}
