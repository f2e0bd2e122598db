// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow, Session} from "../../contracts/interfaces/IEscrow.sol";
import {WalletMock} from "../../contracts/mocks/Payers.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Opening, topping up, revoking, closing and releasing; the guardian's pause.
contract SessionsTest is World {
    uint96 private constant LOCK = 100e6;

    function test_openLocksTheBudget() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        bytes memory signature = _sign(PAYER_KEY, authorization.hash());
        vm.expectEmit(address(escrow));
        emit IEscrow.SessionOpened(authorization.hash(), payer, relayerId, authorization);
        vm.prank(stranger);
        bytes32 sessionId = escrow.openSession(authorization, signature);
        vm.assertEq(sessionId, authorization.hash(), "the id is the authorization's hash");
        Session memory session = escrow.sessionOf(sessionId);
        vm.assertEq(session.payer, payer, "payer");
        vm.assertEq(session.sessionKey, vm.addr(SESSION_KEY), "session key");
        vm.assertEq(session.relayerId, relayerId, "relayer");
        vm.assertEq(session.lock, LOCK, "lock");
        vm.assertEq(session.maxTotal, LOCK, "max total");
        vm.assertEq(session.provenCap, 0, "nothing proven yet");
        vm.assertEq(session.validUntil, START + 365 days, "valid until");
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 - LOCK, "free");
        vm.assertEq(escrow.closingSince(sessionId), 0, "open");
    }

    function test_allowanceOpensWithAFullBucketAndItsWholeCap() public {
        Session memory session = escrow.sessionOf(_openSession(ALLOWANCE, LOCK));
        vm.assertEq(session.provenCap, LOCK, "proven cap");
        vm.assertEq(session.bucketLevel, LOCK / 2, "twice a day's allowance");
        vm.assertEq(session.maxPerDay, LOCK / 4, "max per day");
    }

    function test_openIsOnce() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        bytes32 sessionId = _open(authorization);
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.SessionExists.selector, sessionId));
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.SessionExists.selector, sessionId));
    }

    function test_openBounds() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.mode = 2;
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.AuthorizationModeUnknown.selector, uint8(2)));
        authorization = _authorization(VOUCHER, LOCK);
        authorization.sessionKey = address(0);
        _expectNotOpened(
            authorization,
            abi.encodeWithSelector(IEscrow.SessionKeyMissing.selector, authorization.hash())
        );
        authorization = _authorization(ALLOWANCE, LOCK);
        authorization.maxPerDay = 0;
        uint96 most = type(uint96).max / 2;
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.MaxPerDayOutOfRange.selector, uint96(0), most));
        authorization.maxPerDay = most + 1;
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.MaxPerDayOutOfRange.selector, most + 1, most));
        authorization = _authorization(VOUCHER, 1_000e6 + 1);
        _expectNotOpened(
            authorization,
            abi.encodeWithSelector(IEscrow.InsufficientBalance.selector, payer, uint96(1_000e6), uint96(1_000e6 + 1))
        );
        authorization = _authorization(VOUCHER, LOCK);
        authorization.relayerId = 99;
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.RelayerNotLive.selector, uint32(99)));
        authorization = _authorization(VOUCHER, LOCK);
        authorization.payer = address(0);
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
    }

    function test_openInItsTimeOnly() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.validAfter = uint48(START + 1);
        _expectNotValidNow(authorization, START);
        authorization.validAfter = uint48(START);
        authorization.validUntil = uint48(START);
        _expectNotValidNow(authorization, START);
        authorization.validUntil = uint48(START + 1);
        _open(authorization);
    }

    function test_retiredAndJailedRelayersGetNoNewSession() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        vm.prank(fraudProofs);
        vault.jail(Party.RELAYER, relayerId, uint48(START + 10));
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.RelayerIsJailed.selector, relayerId));
        vm.warp(START + 10);
        vm.prank(relayerOwner);
        relayers.retire(relayerId);
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.RelayerNotLive.selector, relayerId));
    }

    function test_topUpIsThePayersWhileOpen() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotPayer.selector, sessionId, stranger));
        vm.prank(stranger);
        escrow.topUp(sessionId, 1);
        vm.startPrank(payer);
        vm.expectEmit(address(escrow));
        emit IEscrow.SessionToppedUp(sessionId, 5, LOCK + 5);
        escrow.topUp(sessionId, 5);
        vm.assertEq(escrow.sessionOf(sessionId).lock, LOCK + 5, "lock");
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 - LOCK - 5, "free");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        escrow.topUp(sessionId, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.UnknownSession.selector, bytes32("no")));
        escrow.topUp("no", 1);
        escrow.closeSession(sessionId);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.SessionIsClosing.selector, sessionId, uint48(START)));
        escrow.topUp(sessionId, 1);
        vm.stopPrank();
    }

    function test_closeByPayerOrPosterOnly() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotPayerOrPoster.selector, sessionId, stranger));
        vm.prank(stranger);
        escrow.closeSession(sessionId);
        vm.expectEmit(address(escrow));
        emit IEscrow.SessionClosing(sessionId, uint48(START));
        vm.prank(poster);
        escrow.closeSession(sessionId);
        vm.assertEq(escrow.closingSince(sessionId), START, "closing since");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.SessionIsClosing.selector, sessionId, uint48(START)));
        vm.prank(payer);
        escrow.closeSession(sessionId);
    }

    function test_lockReturnsThreeWindowsAfterClosing() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.SessionNotClosing.selector, sessionId));
        escrow.releaseLock(sessionId);
        _settle(sessionId, 10e6, 10e6);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W - 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.LockNotReleasable.selector, sessionId, uint48(START + 3 * W)));
        escrow.releaseLock(sessionId);
        vm.warp(START + 3 * W);
        vm.expectEmit(address(escrow));
        emit IEscrow.LockReleased(sessionId, payer, LOCK - 10e6);
        vm.prank(stranger);
        escrow.releaseLock(sessionId);
        vm.assertEq(escrow.freeBalanceOf(payer), 1_000e6 - 10e6, "all but what was charged");
        vm.assertEq(escrow.sessionOf(sessionId).lock, 10e6, "what was charged stays");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingToRelease.selector, sessionId));
        escrow.releaseLock(sessionId);
    }

    function test_expiryClosesWithoutACall() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        uint48 until = escrow.sessionOf(sessionId).validUntil;
        vm.warp(until - 1);
        vm.assertEq(escrow.closingSince(sessionId), 0, "open to the last second");
        vm.warp(until);
        vm.assertEq(escrow.closingSince(sessionId), until, "closing since validUntil");
        vm.warp(until + 3 * W);
        vm.assertEq(escrow.releaseLock(sessionId), LOCK, "released");
    }

    function test_revokeBeforeOpening() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        vm.prank(stranger);
        escrow.revoke(authorization.hash());
        vm.assertFalse(escrow.isRevoked(payer, authorization.hash()), "a stranger's word binds the stranger only");
        vm.expectEmit(address(escrow));
        emit IEscrow.SessionRevoked(authorization.hash(), payer);
        vm.prank(payer);
        escrow.revoke(authorization.hash());
        _expectNotOpened(
            authorization,
            abi.encodeWithSelector(IEscrow.SessionIsRevoked.selector, authorization.hash())
        );
    }

    function test_revokeAfterOpeningCloses() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        vm.prank(stranger);
        escrow.revoke(sessionId);
        vm.assertEq(escrow.closingSince(sessionId), 0, "a stranger closes nothing");
        vm.startPrank(payer);
        escrow.revoke(sessionId);
        vm.assertEq(escrow.closingSince(sessionId), START, "closing");
        vm.warp(START + 5);
        escrow.revoke(sessionId);
        vm.assertEq(escrow.closingSince(sessionId), START, "revoking again does not prolong it");
        vm.stopPrank();
    }

    function test_contractWalletsSignThroughTheirOwnRule() public {
        WalletMock wallet = new WalletMock();
        _fund(address(wallet), LOCK);
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.payer = address(wallet);
        bytes32 digest = _digest(authorization.hash());
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.AuthorizationSignatureInvalid.selector, authorization.hash(), address(wallet)
            )
        );
        escrow.openSession(authorization, "anything");
        wallet.accept(digest, true);
        bytes32 sessionId = escrow.openSession(authorization, "anything");
        // What a wallet thinks later changes nothing: the session is open, and only closing it ends it.
        wallet.accept(digest, false);
        _settle(sessionId, 1e6, 1e6);
        vm.assertEq(escrow.sessionOf(sessionId).charged, 1e6, "charged");
        wallet.execute(address(escrow), abi.encodeCall(IEscrow.revoke, (sessionId)));
        vm.assertEq(escrow.closingSince(sessionId), START, "closing");
    }

    // ---- the guardian

    function test_pauseStopsNewSessionsAndNothingElse() public {
        bytes32 sessionId = _openSession(VOUCHER, LOCK);
        _settle(sessionId, 10e6, 10e6);
        vm.warp(START + 6 * W);
        vm.prank(guardian);
        escrow.pauseNewSessions();
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.salt = 2;
        uint48 until = uint48(START + 6 * W + 7 days);
        _expectNotOpened(authorization, abi.encodeWithSelector(IEscrow.NewSessionsArePaused.selector, until));

        _settle(sessionId, 1e6, 1e6);
        escrow.claimTab(relayerId, nodeId);
        vm.startPrank(payer);
        escrow.topUp(sessionId, 1);
        escrow.withdraw(1, payer);
        escrow.closeSession(sessionId);
        vm.warp(block.timestamp + 3 * W);
        escrow.releaseLock(sessionId);
        vm.stopPrank();
        vm.warp(until);
        authorization.validUntil = until + 1;
        _open(authorization);
    }

    function test_pauseCannotBeStrungTogether() public {
        vm.startPrank(guardian);
        escrow.pauseNewSessions();
        uint48 notBefore = uint48(START + 7 days + 28 days);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.PauseTooSoon.selector, notBefore));
        escrow.pauseNewSessions();
        vm.warp(START + 1 days);
        escrow.resumeNewSessions();
        vm.assertEq(escrow.newSessionsPausedUntil(), START + 1 days, "resumed");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotPaused.selector));
        escrow.resumeNewSessions();
        vm.warp(notBefore - 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.PauseTooSoon.selector, notBefore));
        escrow.pauseNewSessions();
        vm.warp(notBefore);
        escrow.pauseNewSessions();
        vm.stopPrank();
    }

    function test_onlyTheGuardianPauses() public {
        bytes memory reason = abi.encodeWithSelector(IEscrow.NotGuardian.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        escrow.pauseNewSessions();
        vm.expectRevert(reason);
        escrow.resumeNewSessions();
        vm.stopPrank();
    }

    function _expectNotOpened(SpendingAuthorization memory authorization, bytes memory reason) private {
        bytes memory signature = _sign(PAYER_KEY, authorization.hash());
        vm.expectRevert(reason);
        escrow.openSession(authorization, signature);
    }

    function _expectNotValidNow(SpendingAuthorization memory authorization, uint256 timestamp) private {
        _expectNotOpened(
            authorization,
            abi.encodeWithSelector(
                IEscrow.AuthorizationNotValidNow.selector,
                authorization.hash(),
                authorization.validAfter,
                authorization.validUntil,
                timestamp
            )
        );
    }
}
