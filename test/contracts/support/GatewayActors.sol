// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Commit, Fulfilment, IInferenceGateway} from "../../../contracts/interfaces/IInferenceGateway.sol";
import {IInferenceRequests, Request, RequestState} from "../../../contracts/interfaces/IInferenceRequests.sol";
import {HostileConsumer} from "../../../contracts/mocks/HostileConsumers.sol";
import {GatewayWorld} from "./GatewayWorld.sol";
import {vm} from "./Vm.sol";

/// @notice Contracts that ask and misbehave, a relayer that answers, commits or lets lapse, and everybody who takes money out, in
/// random order. What each act must come to is kept beside it in plain sums.
abstract contract GatewayActors is GatewayWorld {
    uint256 internal constant CONSUMERS = 3;
    uint256 internal constant REQUESTS_MAX = 24;
    address internal constant NOBODY = 0x000000000000000000000000000000000000dEaD;

    struct Earned {
        uint48 when;
        uint96 amount;
    }

    uint256 internal time = START;
    string internal breach;
    mapping(bytes32 act => uint256) internal done;
    mapping(bytes32 act => uint256) internal tried;
    bytes32 private current;
    HostileConsumer[] internal consumers;
    Request[] internal asked;
    mapping(bytes32 id => RequestState) internal expected;
    Earned[] internal earnings;
    uint256 internal earnedInAll;
    uint256 internal relayerFees;
    uint256 internal heldBack;
    bytes private lastAccepted;

    modifier act(bytes32 name) {
        vm.warp(time);
        current = name;
        tried[name] += 1;
        _;
    }

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = 0; i < CONSUMERS; ++i) {
            consumers.push(new HostileConsumer());
            pay.mint(address(consumers[i]), 1_000_000e6);
        }
        vm.deal(address(this), 1_000 ether);
    }

    function ask(uint256 who, uint256 draw) external act("ask") {
        if (asked.length >= REQUESTS_MAX) _forgetOldest();
        HostileConsumer consumer = consumers[who % CONSUMERS];
        bool isOpen = draw % 2 == 0;
        Request memory made = _next(address(consumer), isOpen ? 0 : relayerId, draw % 3 == 0 ? 0 : 100_000);
        made.deadline = uint48(time + 1 + (draw >> 8) % (3 * W));
        made.serial = 0;
        _number(made);
        bytes32 id = consumer.ask{value: GAS_PAYMENT}(
            gateway, MODEL, PROMPT, OUT_TOKENS, MAX_FEE, made.callbackGas, made.deadline, made.relayerId
        );
        asked.push(made);
        expected[id] = RequestState.PENDING;
        _did();
    }

    /// @dev Good answers and junk, exclusive or not.
    function commit(uint256 which, uint256 draw) external act("commit") {
        (Request memory made, bytes32 id, bool found) = _pick(which);
        if (!found || made.relayerId != 0 || expected[id] != RequestState.PENDING) return;
        if (gateway.commitOf(id, relayerId).madeAt != 0) return;
        bytes32 commitment = draw % 4 == 0 ? keccak256("junk") : _commitmentOf(made);
        vm.prank(poster);
        gateway.commit(id, relayerId, commitment);
        heldBack += PENALTY;
        _did();
    }

    /// @dev Whatever the consumer's callback does, the sums are the same (I13); what may not be answered is not.
    function fulfil(uint256 which, uint256 draw) external act("fulfil") {
        (Request memory made, bytes32 id, bool found) = _pick(which);
        if (!found) return;
        HostileConsumer consumer = HostileConsumer(payable(made.requester));
        consumer.prepare(HostileConsumer.Manner(draw % 7), abi.encodeCall(IInferenceRequests.refund, (made)));
        Fulfilment memory answer = _answerTo(made);
        bool isDue = expected[id] == RequestState.PENDING && time <= made.deadline;
        Commit memory own = gateway.commitOf(id, relayerId);
        bool isMine = made.relayerId != 0
            || (own.madeAt != 0 && own.madeAt < time && own.digest == bytes20(_commitmentOf(made)));
        bytes memory call = abi.encodeCall(IInferenceGateway.fulfil, (answer));
        uint256 callsBefore = consumer.calls();
        (bool ok,) = address(gateway).call(call);
        if (ok != (isDue && isMine)) _breached("I12: an answer that was not due, or a due one refused");
        if (!ok) return;
        if (draw % 7 == 6 && consumer.calls() != callsBefore && !consumer.isDoorShut()) _breached("I19: re-entered");
        if (made.relayerId == 0 && time < own.exclusiveUntil) heldBack -= PENALTY;
        expected[id] = RequestState.FULFILLED;
        earnings.push(Earned(uint48(time), FEE));
        earnedInAll += FEE;
        relayerFees += CHARGE - FEE;
        lastAccepted = call;
        _did();
    }

    function refund(uint256 which, uint256) external act("refund") {
        (Request memory made, bytes32 id, bool found) = _pick(which);
        if (!found) return;
        bool isDue = expected[id] == RequestState.PENDING && time > made.deadline;
        (bool ok,) = address(gateway).call(abi.encodeCall(IInferenceRequests.refund, (made)));
        if (ok != isDue) _breached("I12, I14: a refund that was not due, or a due one refused");
        if (!ok) return;
        expected[id] = RequestState.REFUNDED;
        _did();
    }

    function forfeit(uint256 which, uint256) external act("forfeit") {
        (Request memory made, bytes32 id, bool found) = _pick(which);
        if (!found) return;
        uint48 until = gateway.commitOf(id, relayerId).exclusiveUntil;
        bool isDue = until != 0 && time >= until;
        vm.prank(stranger);
        (bool ok,) = address(gateway).call(abi.encodeCall(IInferenceGateway.forfeit, (made, relayerId)));
        if (ok != isDue) _breached("a forfeit that was not due, or a due one refused");
        if (!ok) return;
        heldBack -= PENALTY;
        _did();
    }

    function claimNode(uint256, uint256) external act("claimNode") {
        if (gateway.claimableNode(nodeId) == 0) return;
        gateway.claimNode(nodeId);
        if (gateway.nodeAccountOf(nodeId).claimed > earnedBefore(time - 3 * W)) _breached("I18: an immature claim");
        _did();
    }

    function withdraw(uint256 who, uint256) external act("withdraw") {
        address account = address(consumers[who % CONSUMERS]);
        if (gateway.balanceOf(account) == 0) return;
        uint256 had = pay.balanceOf(account);
        uint256 owed = gateway.balanceOf(account);
        gateway.withdraw(account, account);
        if (pay.balanceOf(account) - had != owed) _breached("a withdrawal that paid another amount");
        _did();
    }

    function withdrawGas(uint256, uint256) external act("withdrawGas") {
        if (gateway.gasBalanceOf(poster) == 0) return;
        gateway.withdrawGas(poster, payable(poster));
        _did();
    }

    /// @dev I10.
    function replay(uint256, uint256) external act("replay") {
        if (lastAccepted.length == 0) return;
        (bool ok,) = address(gateway).call(lastAccepted);
        if (ok) _breached("I10: an answer was paid twice");
        _did();
    }

    /// @dev I7: the right relayer, no node's word.
    function forge(uint256 which, uint256 draw) external act("forge") {
        (Request memory made,, bool found) = _pick(which);
        if (!found) return;
        Fulfilment memory answer = _answerTo(made);
        if (draw % 2 == 0) answer.receiptSignature = _sign(SIGNER_KEY, _receipt(answer).hash());
        else answer.assignmentSignature = _sign(HOT_KEY, answer.assignment.hash());
        (bool ok,) = address(gateway).call(abi.encodeCall(IInferenceGateway.fulfil, (answer)));
        if (ok) _breached("I7: paid without the node's or the relayer's word");
        _did();
    }

    function pass(uint256 howLong, uint256) external act("pass") {
        time += 1 + (howLong % 4 == 0 ? (howLong >> 8) % (2 * W) : (howLong >> 8) % 100);
        _did();
    }

    function earnedBefore(uint256 when) public view returns (uint256 sum) {
        for (uint256 i = 0; i < earnings.length; ++i) if (earnings[i].when <= when) sum += earnings[i].amount;
    }

    /// @dev The same bytes each time it is built, so that a commitment made earlier can be opened later.
    function _answerTo(Request memory made) private returns (Fulfilment memory answer) {
        vm.warp(made.requestedAt);
        answer = _answer(made);
        vm.warp(time);
    }

    function _commitmentOf(Request memory made) private returns (bytes32) {
        return keccak256(abi.encode(_receipt(_answerTo(made)).hash(), relayerId, SALT));
    }

    /// @dev Requests that have ended and are of no more use make room, or the list would only grow.
    function _forgetOldest() private {
        for (uint256 i = 0; i < asked.length; ++i) {
            bytes32 id = gateway.requestIdOf(asked[i]);
            if (expected[id] == RequestState.PENDING || gateway.commitOf(id, relayerId).exclusiveUntil != 0) continue;
            asked[i] = asked[asked.length - 1];
            asked.pop();
            return;
        }
    }

    function _pick(uint256 which) private view returns (Request memory made, bytes32 id, bool found) {
        if (asked.length == 0) return (made, id, false);
        made = asked[which % asked.length];
        return (made, gateway.requestIdOf(made), true);
    }

    function _did() private {
        done[current] += 1;
    }

    function _breached(string memory what) private {
        if (bytes(breach).length == 0) breach = what;
    }
}
