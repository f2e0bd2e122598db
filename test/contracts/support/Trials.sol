// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Attempts} from "./Attempts.sol";
import {vm} from "./Vm.sol";

/// @notice Proofs, announced and sent as a challenger must, and what they are seen to move.
abstract contract Trials is Attempts {
    address internal challenger = address(0xCAFE);
    bytes32 internal constant SALT = keccak256("salt");
    uint96 internal constant BOND = 10_000e6;
    uint96 internal constant STAKE = 1_000e6;

    uint256 private blockNumber = 100;

    function setUp() public virtual override {
        super.setUp();
        _bond(Party.NODE, nodeId, STAKE);
    }

    function _announce(bytes memory call) internal {
        bytes32 commitment = keccak256(abi.encode(challenger, keccak256(call)));
        vm.roll(blockNumber);
        proofs.announce(commitment);
        blockNumber += 2;
        vm.roll(blockNumber);
    }

    function _prove(bytes memory call) internal {
        _announce(call);
        vm.prank(challenger);
        (bool ok, bytes memory answer) = address(proofs).call(call);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    /// @notice The proof is refused for that reason, and nothing has moved.
    function _expectNotProven(bytes memory call, bytes memory reason) internal {
        _announce(call);
        uint96 bond = vault.bondOf(Party.RELAYER, relayerId).active;
        uint96 staked = vault.bondOf(Party.NODE, nodeId).active;
        vm.prank(challenger);
        (bool ok, bytes memory answer) = address(proofs).call(call);
        vm.assertFalse(ok, "an honest party was punished");
        vm.assertEq(keccak256(answer), keccak256(reason), string(bytes.concat("another reason: ", _hex(answer))));
        vm.assertEq(vault.bondOf(Party.RELAYER, relayerId).active, bond, "bond");
        vm.assertEq(vault.bondOf(Party.NODE, nodeId).active, staked, "stake");
    }

    function _expectNothingWrong(bytes memory call) internal {
        _expectNotProven(call, abi.encodeWithSignature("NothingWrong()"));
    }

    function _expectNotTheSame(bytes memory call) internal {
        _expectNotProven(call, abi.encodeWithSignature("NotTheSame()"));
    }

    /// @notice A penalty of the relayer's: 30 % challenger, 20 % harmed, the rest burned, all from its bond.
    function _assertPenalty(uint256 taken, address harmed, uint256 besides) internal view {
        _assertSplit(taken, harmed, besides, true);
        vm.assertEq(BOND - vault.bondOf(Party.RELAYER, relayerId).active, taken + besides, "from the bond");
    }

    function _assertStakePenalty(uint256 taken, address harmed) internal view {
        _assertSplit(taken, harmed, 0, false);
        vm.assertEq(STAKE - vault.bondOf(Party.NODE, nodeId).active, taken, "from the stake");
    }

    /// @dev `besides` is what the harmed got before the penalty.
    function _assertSplit(uint256 taken, address harmed, uint256 besides, bool inPayToken) private view {
        uint256 toHarmed = harmed == address(0) ? 0 : taken / 5;
        (uint256 forChallenger, uint256 forHarmed, uint256 burned, uint256 held) = inPayToken
            ? (proofs.owedTo(pay, challenger), proofs.owedTo(pay, harmed), proofs.toBurn(pay), pay.balanceOf(fraudProofs))
            : (
                proofs.owedTo(stake, challenger),
                proofs.owedTo(stake, harmed),
                proofs.toBurn(stake),
                stake.balanceOf(fraudProofs)
            );
        vm.assertEq(forChallenger, taken * 3 / 10, "30 % are the challenger's");
        vm.assertEq(forHarmed, toHarmed + besides, "20 % and the refund are the harmed party's");
        vm.assertEq(burned, taken - taken * 3 / 10 - toHarmed, "the rest is burned");
        vm.assertEq(forChallenger + forHarmed + burned, held, "refunds + challenger + harmed + burned = taken");
    }

    function _hex(bytes memory data) private pure returns (bytes memory text) {
        bytes16 digits = "0123456789abcdef";
        text = new bytes(2 * data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            text[2 * i] = digits[uint8(data[i]) >> 4];
            text[2 * i + 1] = digits[uint8(data[i]) & 15];
        }
    }
}
