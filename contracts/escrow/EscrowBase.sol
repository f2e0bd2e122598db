// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBondVault} from "../interfaces/IBondVault.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "../interfaces/IRelayerRegistry.sol";
import {ISaturationBoard} from "../interfaces/ISaturationBoard.sol";
import {TidelaneDomain} from "../libraries/TidelaneDomain.sol";

/// @notice What an Escrow is told once, at its deployment. Addresses of contracts that a deployment does without are zero.
struct EscrowWiring {
    IERC20 payToken;
    INodeRegistry nodeRegistry;
    IRelayerRegistry relayerRegistry;
    IBondVault bondVault;
    address batchSettlement;
    ISaturationBoard saturationBoard;
    address fraudProofs;
    address inferenceGateway;
    address transferProofs;
    address guardian;
    uint48 windowSeconds;
    uint8 leverage;
}

/// @title The immutable surroundings of the Escrow
abstract contract EscrowBase is IEscrow, TidelaneDomain, ReentrancyGuardTransient {
    uint8 private constant LEVERAGE_MAX = 5;

    IERC20 public immutable payToken;
    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    IBondVault public immutable bondVault;
    address public immutable batchSettlement;
    /// @notice Asked before fees are paid; zero in a deployment whose fees wait for no seeds.
    ISaturationBoard public immutable saturationBoard;
    /// @notice May void entries of immature batches; zero in a deployment without fraud proofs.
    address public immutable fraudProofs;
    /// @notice May credit nodes for contract requests; zero in a deployment without the gateway.
    address public immutable inferenceGateway;
    /// @notice May credit payers out of what lies here beyond the books; zero in a deployment that credits no such tokens.
    address public immutable override transferProofs;
    /// @notice May pause new sessions and nothing else; zero where nobody may.
    address public immutable guardian;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;
    /// @notice A relayer's unmatured debits stay within leverage x its active bond.
    uint8 public immutable leverage;

    /// @dev What was voided and waits to be given back; a part of the tracked balance.
    mapping(bytes32 pot => uint96) public override potOf;

    error LeverageOutOfRange(uint8 leverage, uint8 most);

    constructor(EscrowWiring memory wiring) TidelaneDomain(wiring.batchSettlement) {
        if (wiring.windowSeconds == 0) revert ZeroAmount();
        if (wiring.leverage == 0 || wiring.leverage > LEVERAGE_MAX) {
            revert LeverageOutOfRange(wiring.leverage, LEVERAGE_MAX);
        }
        payToken = wiring.payToken;
        nodeRegistry = wiring.nodeRegistry;
        relayerRegistry = wiring.relayerRegistry;
        bondVault = wiring.bondVault;
        batchSettlement = wiring.batchSettlement;
        saturationBoard = wiring.saturationBoard;
        fraudProofs = wiring.fraudProofs;
        inferenceGateway = wiring.inferenceGateway;
        transferProofs = wiring.transferProofs;
        guardian = wiring.guardian;
        windowSeconds = wiring.windowSeconds;
        leverage = wiring.leverage;
    }

    modifier onlyBatchSettlement() {
        _checkBatchSettlement();
        _;
    }

    modifier onlyFraudProofs() {
        _checkFraudProofs();
        _;
    }

    /// @dev Apart from the modifiers, whose code stands in each function again: the Escrow is near the limit of its size.
    function _checkBatchSettlement() private view {
        if (msg.sender != batchSettlement) revert NotBatchSettlement(msg.sender);
    }

    function _checkFraudProofs() private view {
        if (msg.sender != fraudProofs) revert NotFraudProofs(msg.sender);
    }

    function _least(uint256 one, uint256 other) internal pure returns (uint96) {
        return uint96(one < other ? one : other);
    }
}
