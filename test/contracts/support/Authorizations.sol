// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EscrowWiring} from "../../../contracts/escrow/EscrowBase.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice What payers sign for the token (ERC-3009), and an Escrow of another token beside the world's.
abstract contract Authorizations is World {
    bytes32 internal constant TRANSFER_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 internal constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 internal constant CANCEL_TYPEHASH = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");

    /// @notice An authorization that ends a second after the world's beginning.
    function _authorize(bytes32 typehash, uint256 key, address to, uint96 amount, bytes32 nonce)
        internal
        view
        returns (uint8, bytes32, bytes32)
    {
        return _signForToken(key, keccak256(abi.encode(typehash, vm.addr(key), to, amount, 0, START + 1, nonce)));
    }

    function _cancel(uint256 key, bytes32 nonce) internal view returns (uint8, bytes32, bytes32) {
        return _signForToken(key, keccak256(abi.encode(CANCEL_TYPEHASH, vm.addr(key), nonce)));
    }

    function _signForToken(uint256 key, bytes32 structHash) internal view returns (uint8, bytes32, bytes32) {
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", pay.DOMAIN_SEPARATOR(), structHash)));
    }

    function _wiring(IERC20 token, address transferProofs) internal view returns (EscrowWiring memory) {
        return EscrowWiring({
            payToken: token,
            nodeRegistry: nodes,
            relayerRegistry: relayers,
            bondVault: vault,
            batchSettlement: address(settlement),
            saturationBoard: board,
            fraudProofs: address(0),
            inferenceGateway: address(0),
            transferProofs: transferProofs,
            guardian: guardian,
            windowSeconds: W,
            leverage: LEVERAGE
        });
    }
}
