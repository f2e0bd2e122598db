// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../contracts/BatchSettlement.sol";
import {BondVault} from "../../contracts/BondVault.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {FraudProofs} from "../../contracts/FraudProofs.sol";
import {InferenceGateway} from "../../contracts/InferenceGateway.sol";
import {SaturationBoard} from "../../contracts/SaturationBoard.sol";
import {EscrowWiring} from "../../contracts/escrow/EscrowBase.sol";
import {LeafJudge} from "../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../contracts/fraud/TreeJudge.sol";
import {Credit, Debit} from "../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../contracts/interfaces/IBondVault.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IFraudProofs} from "../../contracts/interfaces/IFraudProofs.sol";
import {IInferenceRequests} from "../../contracts/interfaces/IInferenceRequests.sol";
import {FeeToken} from "../../contracts/mocks/OddTokens.sol";
import {NodeRegistry} from "../../contracts/registry/NodeRegistry.sol";
import {RelayerRegistry} from "../../contracts/registry/RelayerRegistry.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Limits that honest use meets in a thousand years, and deployments that were put together wrongly.
contract EdgesTest is World {
    uint96 private constant HALF = 2 ** 95;
    uint256 private constant OTHER_HOT_KEY = 0xB7;

    NodeJudge private nodeJudge;
    LeafJudge private leafJudge;
    TreeJudge private treeJudge;
    RelayerJudge private relayerJudge;

    function test_onlyWhoDeployedTheTestTokenMakesMoreOfIt() public {
        vm.assertEq(uint256(pay.decimals()), 6, "as USDC");
        vm.expectRevert(abi.encodeWithSelector(TideToken.NotMinter.selector, stranger));
        vm.prank(stranger);
        pay.mint(stranger, 1);
    }

    /// @dev Half of 2^96 comes in, is settled, paid to the node and taken out; then another half.
    function test_aRelayersTotalOfALifeFits96Bits() public {
        _bond(Party.RELAYER, relayerId, HALF / 2);
        _settleHalf(1, nodeId, HOT_KEY);
        vm.warp(block.timestamp + 6 * W + 1);
        escrow.claimTab(relayerId, nodeId);
        uint32 other = _registerNode(nodeOwner, OTHER_HOT_KEY);
        (Debit[] memory debits, Credit[] memory credits) = _half(2, other, OTHER_HOT_KEY);
        bytes memory reason =
            abi.encodeWithSelector(IEscrow.AmountTooLarge.selector, uint256(2) ** 96, uint256(type(uint96).max));
        _postRefused(debits, credits, reason);
    }

    function test_fraudProofsRefuseAVaultThatNamesAnother() public {
        (nodeJudge, leafJudge) = (proofs.nodeJudge(), proofs.leafJudge());
        (treeJudge, relayerJudge) = (proofs.treeJudge(), proofs.relayerJudge());
        uint64 nonce = vm.getNonce(address(this));
        address foretold = vm.computeCreateAddress(address(this), nonce + 4);
        NodeRegistry ownNodes = new NodeRegistry(foretold);
        RelayerRegistry ownRelayers = new RelayerRegistry(foretold);
        BondVault ownVault = new BondVault(stake, pay, ownNodes, ownRelayers, stranger, W, SLOT_STAKE);
        Escrow ownEscrow = new Escrow(
            EscrowWiring({
                payToken: pay,
                nodeRegistry: ownNodes,
                relayerRegistry: ownRelayers,
                bondVault: ownVault,
                batchSettlement: foretold,
                saturationBoard: SaturationBoard(address(0)),
                fraudProofs: vm.computeCreateAddress(address(this), nonce + 5),
                inferenceGateway: address(0),
                transferProofs: address(0),
                guardian: guardian,
                windowSeconds: W,
                leverage: LEVERAGE
            })
        );
        BatchSettlement ownSettlement = new BatchSettlement(ownEscrow);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.Miswired.selector, stranger));
        new FraudProofs(ownSettlement, nodeJudge, leafJudge, treeJudge, relayerJudge, CHALLENGE_BOND);
    }

    function _settleHalf(uint256 salt, uint32 node, uint256 key) private {
        (Debit[] memory debits, Credit[] memory credits) = _half(salt, node, key);
        _post(_header(debits, credits), debits, credits);
    }

    function _half(uint256 salt, uint32 node, uint256 key) private returns (Debit[] memory debits, Credit[] memory credits) {
        _fund(payer, HALF);
        SpendingAuthorization memory authorization = _authorization(VOUCHER, HALF);
        authorization.salt = salt;
        debits = new Debit[](1);
        debits[0] = _debit(_open(authorization), HALF, HALF);
        credits = new Credit[](1);
        credits[0] = _credit(node, key, HALF, HALF);
    }

    function _postRefused(Debit[] memory debits, Credit[] memory credits, bytes memory reason) private {
        BatchHeader memory header = _header(debits, credits);
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.prank(poster);
        vm.expectRevert(reason);
        settlement.postBatch(header, signature, debits, credits);
    }
}

/// @notice The gateway over tokens that do not arrive whole, or that are more than its books hold.
contract GatewayTokensTest is World {
    function _makeTokens() internal override {
        pay = TideToken(address(new FeeToken()));
        stake = new TideToken("Test stake", "TIDE");
    }

    function setUp() public override {
        vm.warp(START);
        _deploy();
        relayerId = _registerRelayer(relayerOwner, SIGNER_KEY);
        pay.mint(address(this), 100);
    }

    function test_whatDoesNotArriveWholeIsRefused() public {
        InferenceGateway gateway = new InferenceGateway(settlement, board, 1);
        pay.approve(address(gateway), 100);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceRequests.WrongAmountReceived.selector, uint256(100), uint256(99))
        );
        gateway.bondCommits(relayerId, 100);
    }

    function test_whatItHoldsFits96Bits() public {
        InferenceGateway gateway = new InferenceGateway(settlement, board, 1);
        pay.mint(address(gateway), type(uint96).max);
        pay.approve(address(gateway), 100);
        vm.expectRevert(
            abi.encodeWithSelector(
                IInferenceRequests.AmountTooLarge.selector, uint256(type(uint96).max) + 99, uint256(type(uint96).max)
            )
        );
        gateway.bondCommits(relayerId, 100);
    }
}
