// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IInferenceConsumer} from "../interfaces/IInferenceConsumer.sol";
import {IInferenceRequests, Request, RequestState} from "../interfaces/IInferenceRequests.sol";

/// @title A gateway without a network, for the unit tests of dApps
/// @notice Takes the same requests for the same money, and answers with what the test says: `answer`, `answerByUri`. Its ids are
/// not those of a real gateway. Never deploy it where money is real: anyone may answer anything.
contract GatewayMock is IInferenceRequests {
    /// @notice What every answer costs, at most its maxFee.
    uint96 public price;
    /// @notice The assignment that every answer is said to come from; pullAnswer wants it.
    bytes32 public constant ASSIGNMENT_HASH = keccak256("GatewayMock");

    IERC20 public immutable override payToken;
    mapping(bytes32 requestId => RequestState) public override stateOf;
    mapping(bytes32 requestId => bytes32) public override outputCommitOf;
    mapping(address account => uint96) public override balanceOf;
    mapping(address account => uint256) public override gasBalanceOf;
    mapping(bytes32 requestId => Request) private requests;
    uint64 private lastSerial;

    /// @notice As the gateway's.
    event CallbackFailed(bytes32 indexed requestId, address indexed requester, bytes32 outputCommit);

    constructor(IERC20 payToken_) {
        payToken = payToken_;
    }

    function setPrice(uint96 price_) external {
        price = price_;
    }

    /// @notice Delivers; with the requester's callback, on exactly its gas.
    /// @return called false where the callback failed: the answer then waits for a pull.
    function answer(bytes32 requestId, bytes calldata output) external returns (bool called) {
        bytes32 salt = keccak256(abi.encodePacked(requestId, ASSIGNMENT_HASH));
        return _deliver(requestId, output, keccak256(abi.encodePacked(salt, output)), "");
    }

    function answerByUri(bytes32 requestId, bytes32 outputCommit, string calldata uri) external returns (bool called) {
        return _deliver(requestId, "", outputCommit, uri);
    }

    /// @inheritdoc IInferenceRequests
    function request(
        bytes32 modelId,
        bytes calldata prompt,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable override returns (bytes32 requestId) {
        Request memory made = _made(modelId, keccak256(prompt), maxOutTokens, maxFee, callbackGas, deadline, relayerId);
        requestId = _take(made);
        emit Requested(requestId, msg.sender, relayerId, made, prompt, "");
    }

    /// @inheritdoc IInferenceRequests
    function requestByUri(
        bytes32 modelId,
        string calldata uri,
        bytes32 promptHash,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable override returns (bytes32 requestId) {
        Request memory made = _made(modelId, promptHash, maxOutTokens, maxFee, callbackGas, deadline, relayerId);
        requestId = _take(made);
        emit Requested(requestId, msg.sender, relayerId, made, "", uri);
    }

    /// @inheritdoc IInferenceRequests
    function refund(Request calldata request_) external override {
        bytes32 requestId = requestIdOf(request_);
        if (stateOf[requestId] != RequestState.PENDING) revert NotPending(requestId, stateOf[requestId]);
        if (block.timestamp <= request_.deadline) revert DeadlineNotPassed(requestId, request_.deadline);
        stateOf[requestId] = RequestState.REFUNDED;
        balanceOf[request_.requester] += request_.maxFee;
        gasBalanceOf[request_.requester] += request_.gasPayment;
        emit Refunded(requestId, request_.requester, request_.maxFee, request_.gasPayment);
    }

    /// @inheritdoc IInferenceRequests
    function withdraw(address account, address to) external override returns (uint96 amount) {
        if (msg.sender != account && to != account) revert NotAccount(account, msg.sender, to);
        amount = balanceOf[account];
        if (amount == 0) revert NothingToPay();
        balanceOf[account] = 0;
        emit Withdrawn(account, to, amount);
        if (!payToken.transfer(to, amount)) revert WrongAmountReceived(amount, 0);
    }

    /// @inheritdoc IInferenceRequests
    function withdrawGas(address account, address payable to) external override returns (uint256 amount) {
        if (msg.sender != account && to != account) revert NotAccount(account, msg.sender, to);
        amount = gasBalanceOf[account];
        if (amount == 0) revert NothingToPay();
        gasBalanceOf[account] = 0;
        emit GasWithdrawn(account, to, amount);
        (bool taken,) = to.call{value: amount}("");
        if (!taken) revert GasNotTaken(to);
    }

    /// @inheritdoc IInferenceRequests
    function quote(uint32, uint32, bytes32, uint32, uint32, uint32 callbackGas)
        external
        view
        override
        returns (uint96 maxFee, uint256 gasPayment)
    {
        return (price, callbackGas * block.basefee);
    }

    /// @inheritdoc IInferenceRequests
    function requestIdOf(Request calldata request_) public pure override returns (bytes32) {
        return keccak256(abi.encode(request_));
    }

    function _made(
        bytes32 modelId,
        bytes32 promptHash,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) private returns (Request memory) {
        return Request({
            requester: msg.sender,
            relayerId: relayerId,
            modelId: modelId,
            promptHash: promptHash,
            maxOutTokens: maxOutTokens,
            maxFee: maxFee,
            callbackGas: callbackGas,
            gasPayment: uint96(msg.value),
            requestedAt: uint48(block.timestamp),
            deadline: deadline,
            serial: ++lastSerial
        });
    }

    function _take(Request memory made) private returns (bytes32 requestId) {
        requestId = keccak256(abi.encode(made));
        stateOf[requestId] = RequestState.PENDING;
        requests[requestId] = made;
        if (!payToken.transferFrom(msg.sender, address(this), made.maxFee)) revert WrongAmountReceived(made.maxFee, 0);
    }

    function _deliver(bytes32 requestId, bytes memory output, bytes32 outputCommit, string memory uri)
        private
        returns (bool called)
    {
        if (stateOf[requestId] != RequestState.PENDING) revert NotPending(requestId, stateOf[requestId]);
        Request memory made = requests[requestId];
        stateOf[requestId] = RequestState.FULFILLED;
        balanceOf[made.requester] += made.maxFee - (price < made.maxFee ? price : made.maxFee);
        outputCommitOf[requestId] = outputCommit;
        if (made.callbackGas == 0) return false;
        bytes memory data = abi.encodeCall(IInferenceConsumer.onInference, (requestId, output, outputCommit, uri));
        (address to, uint256 callbackGas) = (made.requester, made.callbackGas);
        assembly ("memory-safe") {
            called := call(callbackGas, to, 0, add(data, 0x20), mload(data), 0, 0)
        }
        if (!called) emit CallbackFailed(requestId, to, outputCommit);
        else if (bytes(uri).length == 0) outputCommitOf[requestId] = 0;
    }
}
