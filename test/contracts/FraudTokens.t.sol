// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {Tree} from "../../contracts/interfaces/ITaskReceipts.sol";
import {FeeToken, HookToken} from "../../contracts/mocks/OddTokens.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {Item, ItemsOpening} from "../../contracts/libraries/Items.sol";
import {Record} from "../../contracts/libraries/Records.sol";
import {Ack} from "../../contracts/types/Ack.sol";
import {Trials} from "./support/Trials.sol";
import {World} from "./support/World.sol";
import {vm} from "./support/Vm.sol";

/// @notice A token that calls back in every transfer finds every door of FraudProofs and of the forces shut.
contract FraudReentryTest is Trials {
    bytes private constant SHUT = abi.encodeWithSignature("ReentrancyGuardReentrantCall()");

    function _makeTokens() internal override {
        pay = TideToken(address(new HookToken()));
        stake = new TideToken("Test stake", "TIDE");
    }

    function test_noDoorOfFraudProofsOpensFromInside() public {
        Posted memory posted = _condemned();
        bytes[] memory doors = new bytes[](7);
        doors[0] = abi.encodeCall(proofs.claim, (pay, stranger));
        doors[1] = abi.encodeCall(proofs.burn, (pay));
        doors[2] = abi.encodeCall(proofs.challengeData, (relayerId, 1, 0));
        doors[3] = abi.encodeCall(proofs.condemn, (relayerId, 1, 0));
        doors[4] = abi.encodeCall(proofs.voidEntries, (posted.header, true, ItemsOpening(new bytes32[](0), 0, new Item[][](0))));
        doors[5] = abi.encodeCall(proofs.proveDisorder, (relayerId, 1, Tree.SESSION, _entry(posted, Tree.SESSION, 0), _entry(posted, Tree.SESSION, 0), SALT));
        doors[6] = abi.encodeCall(proofs.proveInvalidLeaf, (relayerId, 1, posted.bySession[0].leaf, _sessionProof(posted, 0), posted.bySession[0].record, SALT));
        for (uint256 i = 0; i < doors.length; ++i) {
            // A bond is demanded in the pay token: its transfer calls back.
            HookToken(address(pay)).setHook(fraudProofs, doors[i]);
            uint256 held = pay.balanceOf(fraudProofs);
            vm.prank(challenger);
            proofs.challengeData(relayerId, 2, uint32(i));
            vm.assertEq(keccak256(HookToken(address(pay)).answer()), keccak256(SHUT), "shut");
            vm.assertEq(pay.balanceOf(fraudProofs), held + CHALLENGE_BOND, "one bond");
        }
        HookToken(address(pay)).setHook(fraudProofs, doors[0]);
        uint256 owed = proofs.owedTo(pay, challenger);
        uint256 before = pay.balanceOf(challenger);
        vm.prank(challenger);
        proofs.claim(pay, challenger);
        vm.assertEq(keccak256(HookToken(address(pay)).answer()), keccak256(SHUT), "shut");
        vm.assertEq(pay.balanceOf(challenger), before + owed, "paid once");
    }

    /// @dev The bond's tokens arrive in the Escrow: what they call meanwhile finds the force resolved, and both doors shut.
    function test_noForceOpensFromInside() public {
        Record memory record = _attempt();
        (Ack memory ack, bytes memory acked) = _ack(record);
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        settlement.openForce(record, ack, acked, 0);
        vm.warp(START + 4 * W + 1);
        HookToken(address(pay)).setHook(address(settlement), abi.encodeCall(settlement.resolveForce, (ack.receiptHash)));
        settlement.resolveForce(ack.receiptHash);
        vm.assertEq(keccak256(HookToken(address(pay)).answer()), keccak256(SHUT), "shut");
        vm.assertEq(escrow.tabOf(relayerId, nodeId).forcedEarned, FEE, "paid once");
        vm.assertEq(escrow.trackedBalance(), pay.balanceOf(address(escrow)), "books and tokens");
    }

    /// @dev While one force's tokens move, nobody opens or answers another.
    function test_noOtherForceOpensOrIsAnsweredFromInside() public {
        Record[] memory records = new Record[](4);
        for (uint256 i = 0; i < 4; ++i) records[i] = _attempt();
        Posted memory posted = _postRows(_rows(records[3]));
        vm.prank(payer);
        escrow.closeSession(sessionId);
        vm.warp(START + 3 * W);
        escrow.releaseLock(sessionId);
        bytes32[4] memory hashes;
        for (uint256 i = 0; i < 4; ++i) {
            if (i != 2) hashes[i] = settlement.openForce(records[i], _ackOf(records[i]), _acked(records[i]), 0);
        }
        bytes[2] memory doors = [
            abi.encodeCall(settlement.openForce, (records[2], _ackOf(records[2]), _acked(records[2]), 0)),
            abi.encodeCall(settlement.answerForce, (hashes[3], 1, posted.byTab[0].leaf, _tabProof(posted, 0)))
        ];
        for (uint256 i = 0; i < 2; ++i) {
            vm.warp(START + 4 * W + 1);
            HookToken(address(pay)).setHook(address(settlement), doors[i]);
            settlement.resolveForce(hashes[i]);
            vm.assertEq(keccak256(HookToken(address(pay)).answer()), keccak256(SHUT), "shut");
        }
        vm.warp(START + 4 * W);
        for (uint256 i = 0; i < 2; ++i) {
            (bool ok,) = address(settlement).call(doors[i]);
            vm.assertTrue(ok, "from outside it opens");
        }
    }

    function _ackOf(Record memory record) private view returns (Ack memory) {
        return Ack(record.receipt.hash(), relayerId, 1, uint48(START));
    }

    function _acked(Record memory record) private view returns (bytes memory) {
        return _sign(SIGNER_KEY, _ackOf(record).hash());
    }

    function _condemned() private returns (Posted memory posted) {
        pay.mint(challenger, 100 * CHALLENGE_BOND);
        vm.prank(challenger);
        pay.approve(fraudProofs, type(uint256).max);
        posted = _postRows(_tasks(1));
        vm.prank(challenger);
        proofs.challengeData(relayerId, 1, 0);
        vm.warp(START + W + 1);
        proofs.condemn(relayerId, 1, 0);
        _bond(Party.RELAYER, relayerId, BOND);
        _postRows(_tasks(7));
    }
}

/// @notice A token that keeps a part of every transfer cannot pay a challenge.
contract FraudFeeTokenTest is World {
    function _makeTokens() internal override {
        pay = TideToken(address(new FeeToken()));
        stake = new TideToken("Test stake", "TIDE");
    }

    function setUp() public override {
        vm.warp(START);
        _deploy();
        relayerId = _registerRelayer(relayerOwner, SIGNER_KEY);
    }

    function test_aBondThatDoesNotArriveWholeIsRefused() public {
        Debit[] memory debits = new Debit[](0);
        Credit[] memory credits = new Credit[](0);
        _post(_header(debits, credits), debits, credits);
        pay.mint(address(this), CHALLENGE_BOND);
        pay.approve(fraudProofs, CHALLENGE_BOND);
        vm.expectRevert(
            abi.encodeWithSelector(
                IFraudProofs.WrongAmountReceived.selector, uint256(CHALLENGE_BOND), uint256(CHALLENGE_BOND) * 99 / 100
            )
        );
        proofs.challengeData(relayerId, 1, 0);
    }
}
