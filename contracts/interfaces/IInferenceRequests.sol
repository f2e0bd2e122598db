// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice What became of a request. FULFILLED and REFUNDED are for good.
enum RequestState {
    NONE,
    PENDING,
    FULFILLED,
    REFUNDED
}

/// @notice Everything that a request is; its hash is its id, so none of it is stored.
/// @dev Times in unix seconds. `relayerId` 0: open to any bonded relayer. `gasPayment` in wei, for the delivery's gas.
/// `serial` counts the gateway's requests, so that equal ones differ.
struct Request {
    address requester;
    uint32 relayerId;
    bytes32 modelId;
    bytes32 promptHash;
    uint32 maxOutTokens;
    uint96 maxFee;
    uint32 callbackGas;
    uint96 gasPayment;
    uint48 requestedAt;
    uint48 deadline;
    uint64 serial;
}

/// @title What a dApp needs of the gateway: ask, look, take back
/// @notice The answer comes as a call to IInferenceConsumer, or is pulled by its commitment. Prompts and answers are public.
interface IInferenceRequests {
    /// @notice A request was paid for. Prompt or URI stand here and nowhere else on chain.
    event Requested(
        bytes32 indexed requestId, address indexed requester, uint32 indexed relayerId, Request request, bytes prompt, string uri
    );
    /// @notice The time is over; fee and gas payment belong to the requester again.
    event Refunded(bytes32 indexed requestId, address indexed requester, uint96 maxFee, uint96 gasPayment);
    /// @notice Tokens were paid out of a balance.
    event Withdrawn(address indexed account, address indexed to, uint96 amount);
    /// @notice Native coin was paid out of a balance.
    event GasWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice No request of that id was made here, or the request shown is not the one of that id.
    error UnknownRequest(bytes32 requestId);
    /// @notice A request ends once.
    error NotPending(bytes32 requestId, RequestState state);
    /// @notice now < deadline <= now + most does not hold.
    error DeadlineOutOfRange(uint48 deadline, uint256 timestamp, uint256 most);
    /// @notice A refund waits until the deadline has passed.
    error DeadlineNotPassed(bytes32 requestId, uint48 deadline);
    /// @notice A callback gets so much gas at most.
    error CallbackGasTooHigh(uint32 callbackGas, uint32 most);
    /// @notice The native coin sent does not pay delivery and callback at the current base fee, or exceeds 96 bits.
    error GasPaymentOutOfRange(uint256 sent, uint256 least, uint256 most);
    /// @notice A prompt in the transaction has 1 to `most` bytes; a longer one goes by URI.
    error PromptLengthOutOfRange(uint256 length, uint256 most);
    /// @notice A URI has 1 to `most` bytes.
    error UriLengthOutOfRange(uint256 length, uint256 most);
    /// @notice The guardian has paused new sessions and new requests until that time.
    error NewRequestsPaused(uint48 until);
    /// @notice A request names a live relayer, or none.
    error RelayerNotLive(uint32 relayerId);
    /// @notice The node does not list the model.
    error ModelNotListed(uint32 nodeId, bytes32 modelId);
    /// @notice Amounts, fees and token counts that must not be zero.
    error ZeroAmount();
    /// @notice Nothing is sent to the zero address.
    error ZeroAddress();
    /// @notice An amount must fit 96 bits.
    error AmountTooLarge(uint256 amount, uint256 most);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice There is nothing to pay out.
    error NothingToPay();
    /// @notice Anyone may send an account its own balance; only the account itself may send it elsewhere.
    error NotAccount(address account, address caller, address to);
    /// @notice The account did not take the native coin.
    error GasNotTaken(address to);

    /// @notice Asks. Takes `maxFee` pay tokens from the caller (approve first) and the sent native coin for the delivery's gas.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param prompt UTF-8, at most 16 KB; becomes one user message.
    /// @param maxFee the most that the answer may cost, the relayer's part included; what is left comes back as a balance.
    /// @param callbackGas exact gas of onInference, at most 500,000; 0 for no callback.
    /// @param deadline unix seconds, at most 30 days ahead; from then on anyone can refund.
    /// @param relayerId who is to answer; 0 for any bonded relayer, whose answer nobody vouches for.
    function request(
        bytes32 modelId,
        bytes calldata prompt,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable returns (bytes32 requestId);

    /// @notice The same with a prompt that lies elsewhere.
    /// @param uri at most 512 bytes; relayers fetch only from places that they trust.
    /// @param promptHash keccak256 of the prompt's bytes.
    function requestByUri(
        bytes32 modelId,
        string calldata uri,
        bytes32 promptHash,
        uint32 maxOutTokens,
        uint96 maxFee,
        uint32 callbackGas,
        uint48 deadline,
        uint32 relayerId
    ) external payable returns (bytes32 requestId);

    /// @notice Ends a pending request whose deadline has passed. Anyone, also while paused.
    function refund(Request calldata request_) external;

    /// @notice Pays out a token balance: to the account itself by anyone, elsewhere by the account only.
    function withdraw(address account, address to) external returns (uint96 amount);

    /// @notice The same for native coin.
    function withdrawGas(address account, address payable to) external returns (uint256 amount);

    /// @notice What an answer of that size would cost now, tide included.
    /// @param nodeId whose base prices count.
    /// @return maxFee covers exactly that many tokens at the relayer's fee.
    /// @return gasPayment the least native coin for delivery and callback at the current base fee; send more where that may rise.
    function quote(
        uint32 relayerId,
        uint32 nodeId,
        bytes32 modelId,
        uint32 inputTokens,
        uint32 outputTokens,
        uint32 callbackGas
    ) external view returns (uint96 maxFee, uint256 gasPayment);

    /// @return NONE where there is no such request.
    function stateOf(bytes32 requestId) external view returns (RequestState);

    /// @return the node-signed commitment to an answer that its requester was not handed: where it wanted no callback, where
    /// the callback failed, where the answer lies at a URI. Zero otherwise.
    /// keccak256(keccak256(requestId || assignmentHash) || output).
    function outputCommitOf(bytes32 requestId) external view returns (bytes32);

    /// @return tokens that withdraw pays: what requests did not use, and shares of forfeits.
    function balanceOf(address account) external view returns (uint96);

    /// @return the id of a request: the hash of all that it is.
    function requestIdOf(Request calldata request_) external view returns (bytes32);

    /// @return wei that withdrawGas pays.
    function gasBalanceOf(address account) external view returns (uint256);

    /// @notice The token that requests are paid in.
    function payToken() external view returns (IERC20);
}
