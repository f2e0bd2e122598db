// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {InferenceGateway} from "../../../contracts/InferenceGateway.sol";
import {Fulfilment, ReceiptPart} from "../../../contracts/interfaces/IInferenceGateway.sol";
import {Request, RequestState} from "../../../contracts/interfaces/IInferenceRequests.sol";
import {Requests} from "../../../contracts/libraries/Requests.sol";
import {Assignment} from "../../../contracts/types/Assignment.sol";
import {TaskReceipt} from "../../../contracts/types/TaskReceipt.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice A deployment with a gateway, somebody who asks, and a relayer and a node that answer as they should.
abstract contract GatewayWorld is World {
    using Requests for Request;

    bytes32 internal constant MODEL = keccak256("org/model@q4");
    bytes internal constant PROMPT = "Will it rain?";
    bytes internal constant OUTPUT = "It will.";
    uint96 internal constant MAX_FEE = 5_000_000;
    uint96 internal constant PENALTY = 2_000_001;
    uint32 internal constant IN_TOKENS = 2_000_000;
    uint32 internal constant OUT_TOKENS = 1_000_000;
    /// @dev 2 x 100,000 + 1 x 300,000, the node's listed prices.
    uint96 internal constant FEE = 500_000;
    /// @dev With the relayer's 300 basis points.
    uint96 internal constant CHARGE = 515_000;
    uint96 internal constant GAS_PAYMENT = 0.001 ether;
    bytes32 internal constant SALT = keccak256("salt");

    InferenceGateway internal gateway;

    function setUp() public virtual override {
        super.setUp();
        gateway = new InferenceGateway(settlement, board, PENALTY);
        pay.mint(address(this), 100 * PENALTY);
        pay.approve(address(gateway), type(uint256).max);
        gateway.bondCommits(relayerId, 100 * PENALTY);
        vm.deal(payer, 1 ether);
        _equip(payer, 1_000e6);
    }

    function _equip(address account, uint256 amount) internal {
        pay.mint(account, amount);
        vm.prank(account);
        pay.approve(address(gateway), type(uint256).max);
    }

    /// @notice What the gateway will make of the next request.
    function _next(address requester, uint32 toRelayer, uint32 callbackGas) internal view returns (Request memory made) {
        made = Request({
            requester: requester,
            relayerId: toRelayer,
            modelId: MODEL,
            promptHash: keccak256(PROMPT),
            maxOutTokens: OUT_TOKENS,
            maxFee: MAX_FEE,
            callbackGas: callbackGas,
            gasPayment: GAS_PAYMENT,
            requestedAt: uint48(block.timestamp),
            deadline: uint48(block.timestamp) + 1 hours,
            serial: 0
        });
        _number(made);
    }

    /// @notice As many as have asked the very same before.
    function _number(Request memory made) internal view {
        while (gateway.stateOf(gateway.requestIdOf(made)) != RequestState.NONE) ++made.serial;
    }

    function _ask(address requester, uint32 toRelayer, uint32 callbackGas) internal returns (Request memory made, bytes32 id) {
        made = _next(requester, toRelayer, callbackGas);
        vm.prank(requester);
        id = gateway.request{value: GAS_PAYMENT}(
            MODEL, PROMPT, OUT_TOKENS, MAX_FEE, callbackGas, made.deadline, toRelayer
        );
    }

    /// @notice An answer as an honest relayer and node sign it.
    function _answer(Request memory made) internal view returns (Fulfilment memory answer) {
        bytes32 id = gateway.requestIdOf(made);
        Assignment memory assignment;
        assignment.taskId = made.order(id).hash();
        assignment.subtasks = 1;
        assignment.relayerId = relayerId;
        assignment.relayerEpoch = 1;
        assignment.nodeId = nodeId;
        assignment.keyEpoch = 1;
        assignment.role = 1;
        assignment.priceInPerMTok = 100_000;
        assignment.priceOutPerMTok = 300_000;
        assignment.feeBps = 300;
        assignment.shareCap = made.maxFee;
        assignment.inputCommit = keccak256("input");
        assignment.issuedAt = uint48(block.timestamp);
        assignment.deadline = made.deadline;
        answer.request = made;
        answer.assignment = assignment;
        answer.output = OUTPUT;
        answer.salt = SALT;
        _refresh(answer);
    }

    /// @notice Says what the node has to say of the assignment and the output, and signs both.
    function _refresh(Fulfilment memory answer) internal view {
        bytes32 id = gateway.requestIdOf(answer.request);
        answer.receipt = ReceiptPart({
            prevReceiptHash: keccak256("the one before"),
            outputCommit: Requests.outputCommit(id, answer.assignment.hash(), answer.output),
            inputTokens: IN_TOKENS,
            outputTokens: OUT_TOKENS,
            startedAt: answer.assignment.issuedAt,
            finishedAt: answer.assignment.issuedAt + 1,
            nodeSeq: uint64(block.timestamp * 1_000) << 20,
            nodeCumulative: 9_000_000
        });
        _resign(answer);
    }

    function _resign(Fulfilment memory answer) internal view {
        answer.assignmentSignature = _sign(SIGNER_KEY, answer.assignment.hash());
        answer.receiptSignature = _sign(HOT_KEY, _receipt(answer).hash());
    }

    /// @notice The whole receipt, as an honest node signs it.
    function _receipt(Fulfilment memory answer) internal view returns (TaskReceipt memory receipt) {
        Assignment memory assignment = answer.assignment;
        ReceiptPart memory part = answer.receipt;
        receipt.body.assignmentHash = assignment.hash();
        receipt.body.sessionId = gateway.requestIdOf(answer.request);
        receipt.body.taskId = assignment.taskId;
        receipt.body.subtask = assignment.subtask;
        receipt.body.attempt = assignment.attempt;
        receipt.body.role = assignment.role;
        receipt.body.prevReceiptHash = part.prevReceiptHash;
        receipt.body.outputCommit = part.outputCommit;
        receipt.body.inputTokens = part.inputTokens;
        receipt.body.outputTokens = part.outputTokens;
        receipt.body.fee = _fee(answer);
        receipt.body.startedAt = part.startedAt;
        receipt.body.finishedAt = part.finishedAt;
        receipt.body.status = 1;
        receipt.nodeId = assignment.nodeId;
        receipt.relayerId = assignment.relayerId;
        receipt.keyEpoch = assignment.keyEpoch;
        receipt.nodeSeq = part.nodeSeq;
        receipt.nodeCumulative = part.nodeCumulative;
    }

    /// @dev The formula once more, written from the protocol's text.
    function _fee(Fulfilment memory answer) internal pure returns (uint96) {
        uint256 priced = (
            uint256(answer.receipt.inputTokens) * answer.assignment.priceInPerMTok
                + uint256(answer.receipt.outputTokens) * answer.assignment.priceOutPerMTok
        ) / 1e6;
        uint256 most = (uint256(answer.assignment.shareCap) * 10_000 + 9_999) / (10_000 + answer.assignment.feeBps);
        return uint96(priced < most ? priced : most);
    }

    function _commit(bytes32 id, Fulfilment memory answer) internal {
        bytes32 commitment = keccak256(abi.encode(_receipt(answer).hash(), answer.assignment.relayerId, answer.salt));
        vm.prank(poster);
        gateway.commit(id, answer.assignment.relayerId, commitment);
    }

    function _expectRefused(Fulfilment memory answer, bytes memory reason) internal {
        vm.expectRevert(reason);
        gateway.fulfil(answer);
    }

    /// @notice All that the gateway owes to anybody known here, pending requests apart.
    function _owed(address[] memory accounts) internal view returns (uint256 owed) {
        for (uint256 i = 0; i < accounts.length; ++i) owed += gateway.balanceOf(accounts[i]);
        owed += gateway.nodeAccountOf(nodeId).earned - gateway.nodeAccountOf(nodeId).claimed;
        owed += gateway.relayerAccountOf(relayerId).fees - gateway.relayerAccountOf(relayerId).feesClaimed;
        owed += gateway.relayerAccountOf(relayerId).commitBond;
    }
}
