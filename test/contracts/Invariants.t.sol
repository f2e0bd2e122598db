// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Bond, Party} from "../../contracts/interfaces/IBondVault.sol";
import {KeyEpoch} from "../../contracts/interfaces/IKeyRing.sol";
import {RelayerAccount, Session, Tab} from "../../contracts/interfaces/IEscrow.sol";
import {Actors} from "./support/Actors.sol";
import {Exits} from "./support/Exits.sol";
import {vm} from "./support/Vm.sol";

/// @notice What holds after every act, whoever acts in whichever order. Numbers are those of the protocol's invariants.
contract InvariantsTest is Exits {
    struct Act {
        bytes4 selector;
        bytes32 name;
        /// How many of its calls really act, in the run with fixed draws; the others find nothing to act on.
        uint256 percentLeast;
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(this), _selectors());
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    /// @dev One campaign for all of them: each act is followed by every check.
    function invariant_everythingHolds() public {
        vm.warp(time);
        _I1_booksAreTheTrackedBalance();
        _I2_I4_I6_I7_dualCap();
        _I5_I8_debitsAreCreditsAndFees();
        _I9_bucket();
        _I18_maturity();
        _I20_keysAreUniqueAmongOpenEpochs();
        _I24_locksAreWithinDeposits();
        _I25_leverage();
        _I16_I17_whatIsTakenIsOwedOrBurned();
        _I22_roundingNeverFavoursTheTaker();
        _noActBreachedItsBound();
    }

    function _I1_booksAreTheTrackedBalance() private view {
        (uint256 booked, uint256 tracked, uint256 held) = books();
        vm.assertEq(booked, tracked, "all books together = tracked balance");
        vm.assertLe(tracked, held, "tracked balance <= token balance");
    }

    function _I2_I4_I6_I7_dualCap() private view {
        for (uint256 i = 0; i < sessionIds.length; ++i) {
            bytes32 id = sessionIds[i];
            Session memory session = escrow.sessionOf(id);
            Signed memory mine = signed[id];
            uint256 spent = uint256(session.charged) + session.forced - session.voidedCharge;
            vm.assertLe(spent, session.provenCap, "charged + forced - voided <= proven cap");
            vm.assertLe(spent, session.lock, "charged + forced - voided <= lock");
            vm.assertLe(session.voidedCharge, session.charged, "voided <= charged");
            vm.assertEq(session.forced, forcedOf[id], "forced is what resolved forces made it");
            vm.assertEq(session.reserved, heldOf[id], "reserved is what open forces hold");
            vm.assertLe(session.provenCap, session.maxTotal, "proven cap <= maxTotal");
            vm.assertLe(session.charged, mine.cap, "charged <= what the payer signed");
            vm.assertEq(session.charged, mine.lastCharged, "charged is what batches made it");
        }
        for (uint256 i = 0; i < NODES; ++i) {
            Tab memory tab = escrow.tabOf(relayerId, nodeIds[i]);
            vm.assertLe(tab.earned, tab.provenEarned, "earned <= proven");
            vm.assertEq(tab.provenEarned, greatestCumulative[nodeIds[i]], "proven = greatest signed");
            vm.assertEq(tab.earned, creditedBefore(nodeIds[i], type(uint256).max), "earned is what batches made it");
            vm.assertEq(tab.forcedEarned, forcedFor[nodeIds[i]], "forced is what resolved forces made it");
            uint256 gone = uint256(tab.voidedEarned) + tab.claimed;
            vm.assertLe(gone, uint256(tab.earned) + tab.forcedEarned, "voided + claimed <= earned");
        }
    }

    function _I5_I8_debitsAreCreditsAndFees() private view {
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        uint256 earned;
        for (uint256 i = 0; i < NODES; ++i) earned += escrow.tabOf(relayerId, nodeIds[i]).earned;
        uint256 charged;
        for (uint256 i = 0; i < sessionIds.length; ++i) charged += escrow.sessionOf(sessionIds[i]).charged;
        vm.assertEq(charged, earned + account.fees, "debits = credits + fees");
        vm.assertEq(account.debited, charged, "the relayer's debits");
        vm.assertLe(account.fees * 10, earned, "fees <= 1,000 bps of credits");
        vm.assertLe(account.feesClaimed, account.feesMatured, "claimed <= matured");
    }

    function _I9_bucket() private view {
        for (uint256 i = 0; i < sessionIds.length; ++i) {
            bytes32 id = sessionIds[i];
            Session memory session = escrow.sessionOf(id);
            if (session.mode != 1) continue;
            Signed memory mine = signed[id];
            uint256 bound = 2 * uint256(session.maxPerDay) + uint256(session.maxPerDay) * (block.timestamp - mine.openedAt) / 1 days;
            vm.assertLe(mine.drawn + forcedOf[id], bound, "drawn <= capacity + refill");
            vm.assertLe(session.bucketLevel, 2 * uint256(session.maxPerDay), "level <= capacity");
        }
    }

    function _I18_maturity() private view {
        for (uint256 i = 0; i < NODES; ++i) {
            uint32 id = nodeIds[i];
            uint256 matured = escrow.tabOf(relayerId, id).matured;
            vm.assertLe(matured, creditedBefore(id, block.timestamp - 3 * W), "nothing younger than 3 W");
            vm.assertGe(matured, creditedBefore(id, block.timestamp - 6 * W), "everything older than 6 W");
        }
    }

    function _I20_keysAreUniqueAmongOpenEpochs() private view {
        for (uint32 id = 1; id <= nodes.count(); ++id) {
            (, KeyEpoch memory current) = nodes.currentKeyOf(id);
            vm.assertEq(nodes.holderOf(current.key), current.closedAt == 0 ? id : 0, "an open key points to its one holder");
        }
    }

    function _I24_locksAreWithinDeposits() private view {
        uint256 locks;
        for (uint256 i = 0; i < sessionIds.length; ++i) locks += escrow.sessionOf(sessionIds[i]).lock;
        vm.assertLe(locks, deposited, "locks <= deposits");
    }

    function _I25_leverage() private view {
        RelayerAccount memory account = escrow.relayerAccountOf(relayerId);
        Bond memory bond = vault.bondOf(Party.RELAYER, relayerId);
        uint256 whole = uint256(bond.active) + bond.unbonding + slashedFromRelayer;
        vm.assertLe(uint256(account.debited) - account.debitedMatured, 5 * whole, "unmatured <= leverage x bond");
    }

    /// @dev The handlers know of each slash; here, that FraudProofs owes and burns exactly what it holds.
    function _I16_I17_whatIsTakenIsOwedOrBurned() private view {
        uint256 payOwed = proofs.owedTo(pay, CHALLENGER) + proofs.owedTo(pay, nodePayout);
        vm.assertEq(payOwed + proofs.toBurn(pay), pay.balanceOf(fraudProofs), "of relayers");
        uint256 stakeOwed = proofs.owedTo(stake, CHALLENGER) + proofs.owedTo(stake, relayerOwner);
        vm.assertEq(stakeOwed + proofs.toBurn(stake), stake.balanceOf(fraudProofs), "of nodes");
        vm.assertEq(vault.totalBonded(Party.RELAYER), pay.balanceOf(address(vault)), "bonds and tokens");
        vm.assertEq(vault.totalBonded(Party.NODE), stake.balanceOf(address(vault)), "stakes and tokens");
    }

    /// @dev What challengers and harmed parties are owed is at most their share of what was taken, to the unit.
    function _I22_roundingNeverFavoursTheTaker() private view {
        uint256 payTaken = pay.balanceOf(fraudProofs);
        vm.assertLe(proofs.owedTo(pay, CHALLENGER) * 10, payTaken * 3, "challengers of relayers: 30 %, rounded down");
        uint256 stakeTaken = stake.balanceOf(fraudProofs);
        vm.assertLe(proofs.owedTo(stake, CHALLENGER) * 10, stakeTaken * 3, "challengers of nodes: 30 %, rounded down");
        vm.assertLe(proofs.owedTo(stake, relayerOwner) * 10, stakeTaken * 2, "the harmed: 20 %, rounded down");
    }

    /// @dev I3, I10, I11, I15, I21, I23: checked around each act.
    function _noActBreachedItsBound() private view {
        vm.assertEq(bytes(breach).length, 0, breach);
    }

    /// @dev The acts must really happen, or the invariants say nothing: one long run with fixed draws, the same every time.
    function test_everyActHappensOftenEnough() public {
        Act[] memory acts = _acts();
        for (uint256 i = 0; i < 1_500; ++i) {
            Act memory act = acts[uint256(keccak256(abi.encode("act", i))) % acts.length];
            bytes memory draws = abi.encode(keccak256(abi.encode("a", i)), keccak256(abi.encode("b", i)));
            (bool ok,) = address(this).call(bytes.concat(act.selector, draws));
            vm.assertTrue(ok, "an act reverted");
        }
        for (uint256 i = 0; i < acts.length; ++i) {
            uint256 percent = 100 * done[acts[i].name] / tried[acts[i].name];
            vm.assertGe(percent, acts[i].percentLeast, string(abi.encodePacked(acts[i].name)));
        }
        // I14: the ways out stand open while new sessions are paused; an act that reverts has failed the run already.
        bytes32[6] memory exits = [bytes32("withdraw"), "claimTab", "claimRelayerFee", "releaseLock", "openForce", "resolveForce"];
        for (uint256 i = 0; i < exits.length; ++i) {
            vm.assertGe(doneWhilePaused[exits[i]], 1, string(abi.encodePacked("while paused: ", exits[i])));
        }
        invariant_everythingHolds();
    }

    function _selectors() private pure returns (bytes4[] memory list) {
        Act[] memory acts = _acts();
        list = new bytes4[](acts.length);
        for (uint256 i = 0; i < acts.length; ++i) list[i] = acts[i].selector;
    }

    function _acts() private pure returns (Act[] memory acts) {
        acts = new Act[](31);
        acts[0] = Act(Actors.deposit.selector, "deposit", 100);
        acts[1] = Act(Actors.withdraw.selector, "withdraw", 90);
        acts[2] = Act(Actors.openSession.selector, "openSession", 3);
        acts[3] = Act(Actors.topUp.selector, "topUp", 5);
        acts[4] = Act(Actors.closeSession.selector, "closeSession", 3);
        acts[5] = Act(Actors.releaseLock.selector, "releaseLock", 3);
        acts[6] = Act(Actors.postBatch.selector, "postBatch", 20);
        acts[7] = Act(Actors.claimTab.selector, "claimTab", 20);
        acts[8] = Act(Actors.claimRelayerFee.selector, "claimRelayerFee", 5);
        acts[9] = Act(Actors.unbond.selector, "unbond", 5);
        acts[10] = Act(Actors.withdrawBond.selector, "withdrawBond", 1);
        acts[11] = Act(Actors.bondMore.selector, "bondMore", 100);
        acts[12] = Act(Actors.slash.selector, "slash", 100);
        acts[13] = Act(Actors.pass.selector, "pass", 100);
        acts[14] = Act(Actors.pause.selector, "pause", 1);
        acts[15] = Act(Actors.replay.selector, "replay", 90);
        acts[16] = Act(Actors.forge.selector, "forge", 100);
        // More than once: settlement and time are what all of this is about.
        acts[17] = acts[6];
        acts[18] = acts[13];
        acts[19] = Act(Actors.rotateKey.selector, "rotateKey", 100);
        acts[20] = Act(Actors.attest.selector, "attest", 100);
        acts[21] = Act(Exits.openForce.selector, "openForce", 100);
        acts[22] = Act(Exits.resolveForce.selector, "resolveForce", 40);
        acts[23] = Act(Exits.voidCredit.selector, "voidCredit", 100);
        acts[24] = Act(Exits.voidDebit.selector, "voidDebit", 10);
        acts[25] = Act(Exits.proveRelayer.selector, "proveRelayer", 15);
        acts[26] = Act(Exits.proveNode.selector, "proveNode", 100);
        acts[27] = Act(Exits.replayExit.selector, "replayExit", 90);
        acts[28] = Act(Exits.meddle.selector, "meddle", 100);
        acts[29] = acts[6];
        acts[30] = Act(Actors.transplant.selector, "transplant", 100);
    }
}
