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
/// `serial` is 0 but where the same was asked in the same second already: it counts those, so that equal ones differ.
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
    /// @param requestId the hash of all that the request is.
    /// @param requester the contract or account that asked.
    /// @param relayerId in the RelayerRegistry.
    /// @param request all that it is.
    /// @param prompt UTF-8; empty where it lies at `uri`.
    /// @param uri where the prompt lies; empty where it is in `prompt`.
    event Requested(
        bytes32 indexed requestId, address indexed requester, uint32 indexed relayerId, Request request, bytes prompt, string uri
    );
    /// @notice The time is over; fee and gas payment belong to the requester again.
    /// @param requestId the hash of all that the request is.
    /// @param requester the contract or account that asked.
    /// @param maxFee that belongs to the requester again.
    /// @param gasPayment wei that belong to the requester again.
    event Refunded(bytes32 indexed requestId, address indexed requester, uint96 maxFee, uint96 gasPayment);
    /// @notice Tokens were paid out of a balance.
    /// @param account whose balance it is.
    /// @param to who receives it.
    /// @param amount in the pay token's smallest unit.
    event Withdrawn(address indexed account, address indexed to, uint96 amount);
    /// @notice Native coin was paid out of a balance.
    /// @param account whose balance it is.
    /// @param to who receives it.
    /// @param amount wei.
    event GasWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice No request of that id was made here, or the request shown is not the one of that id.
    /// @param requestId the hash of all that the request is.
    error UnknownRequest(bytes32 requestId);
    /// @notice A request ends once.
    /// @param requestId the hash of all that the request is.
    /// @param state what became of it.
    error NotPending(bytes32 requestId, RequestState state);
    /// @notice now < deadline <= now + most does not hold.
    /// @param deadline unix seconds.
    /// @param timestamp of this block, unix seconds.
    /// @param most the limit, itself allowed.
    error DeadlineOutOfRange(uint48 deadline, uint256 timestamp, uint256 most);
    /// @notice A refund waits until the deadline has passed.
    /// @param requestId the hash of all that the request is.
    /// @param deadline unix seconds.
    error DeadlineNotPassed(bytes32 requestId, uint48 deadline);
    /// @notice A callback gets so much gas at most.
    /// @param callbackGas that was asked for.
    /// @param most the limit, itself allowed.
    error CallbackGasTooHigh(uint32 callbackGas, uint32 most);
    /// @notice The native coin sent does not pay delivery and callback at the current base fee, or exceeds 96 bits.
    /// @param sent wei that came along.
    /// @param least the least that is taken.
    /// @param most the limit, itself allowed.
    error GasPaymentOutOfRange(uint256 sent, uint256 least, uint256 most);
    /// @notice A prompt in the transaction has 1 to `most` bytes; a longer one goes by URI.
    /// @param length in bytes.
    /// @param most the limit, itself allowed.
    error PromptLengthOutOfRange(uint256 length, uint256 most);
    /// @notice A URI has 1 to `most` bytes.
    /// @param length in bytes.
    /// @param most the limit, itself allowed.
    error UriLengthOutOfRange(uint256 length, uint256 most);
    /// @notice The guardian has paused new sessions and new requests until that time.
    /// @param until unix seconds.
    error NewRequestsPaused(uint48 until);
    /// @notice A request names a live relayer, or none.
    /// @param relayerId in the RelayerRegistry.
    error RelayerNotLive(uint32 relayerId);
    /// @notice The node does not list the model.
    /// @param nodeId in the NodeRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    error ModelNotListed(uint32 nodeId, bytes32 modelId);
    /// @notice Amounts, fees and token counts that must not be zero.
    error ZeroAmount();
    /// @notice Nothing is sent to the zero address.
    error ZeroAddress();
    /// @notice An amount must fit 96 bits.
    /// @param amount that all together would come to.
    /// @param most the limit, itself allowed.
    error AmountTooLarge(uint256 amount, uint256 most);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    /// @param asked what was to come in.
    /// @param received what came in.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice There is nothing to pay out.
    error NothingToPay();
    /// @notice Anyone may send an account its own balance; only the account itself may send it elsewhere.
    /// @param account whose balance it is.
    /// @param caller who tried.
    /// @param to who receives it.
    error NotAccount(address account, address caller, address to);
    /// @notice The account did not take the native coin.
    /// @param to who receives it.
    error GasNotTaken(address to);

    /// @notice Asks. Takes `maxFee` pay tokens from the caller (approve first) and the sent native coin for the delivery's gas.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param prompt UTF-8, at most 16 KB; becomes one user message.
    /// @param maxOutTokens the most that the answer may hold.
    /// @param maxFee the most that the answer may cost, the relayer's part included; what is left comes back as a balance.
    /// @param callbackGas exact gas of onInference, at most 500,000; 0 for no callback.
    /// @param deadline unix seconds, at most 30 days ahead; from then on anyone can refund.
    /// @param relayerId who is to answer; 0 for any bonded relayer, whose answer nobody vouches for.
    /// @return requestId the hash of all that the request is.
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
    /// @param modelId keccak256 of the model's canonical name.
    /// @param uri at most 512 bytes; relayers fetch only from places that they trust.
    /// @param promptHash keccak256 of the prompt's bytes.
    /// @param maxOutTokens the most that the answer may hold.
    /// @param maxFee the most that the answer may cost, in the pay token's smallest unit.
    /// @param callbackGas exact gas of onInference, at most 500,000; 0 for no callback.
    /// @param deadline unix seconds, at most 30 days ahead.
    /// @param relayerId who is to answer; 0 for any bonded relayer.
    /// @return requestId the hash of all that the request is.
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
    /// @param request_ as the Requested event names it.
    function refund(Request calldata request_) external;

    /// @notice Pays out a token balance: to the account itself by anyone, elsewhere by the account only.
    /// @param account whose balance it is.
    /// @param to who receives it.
    /// @return amount what was paid.
    function withdraw(address account, address to) external returns (uint96 amount);

    /// @notice The same for native coin.
    /// @param account whose balance it is.
    /// @param to who receives it.
    /// @return amount what was paid.
    function withdrawGas(address account, address payable to) external returns (uint256 amount);

    /// @notice What an answer of that size would cost now, tide included.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId whose base prices count.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param inputTokens to be reckoned with.
    /// @param outputTokens to be reckoned with.
    /// @param callbackGas gas of the callback.
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

    /// @notice What became of a request.
    /// @param requestId the hash of all that the request is.
    /// @return NONE where there is no such request.
    function stateOf(bytes32 requestId) external view returns (RequestState);

    /// @notice The commitment to an answer that waits to be pulled.
    /// @param requestId the hash of all that the request is.
    /// @return the node-signed commitment to an answer that its requester was not handed: where it wanted no callback, where
    /// the callback failed, where the answer lies at a URI. Zero otherwise.
    /// keccak256(keccak256(requestId || assignmentHash) || output).
    function outputCommitOf(bytes32 requestId) external view returns (bytes32);

    /// @notice What an account can withdraw.
    /// @param account whose balance it is.
    /// @return tokens that withdraw pays: what requests did not use, and shares of forfeits.
    function balanceOf(address account) external view returns (uint96);

    /// @notice The id of a request.
    /// @param request_ as the Requested event names it.
    /// @return the id of a request: the hash of all that it is.
    function requestIdOf(Request calldata request_) external view returns (bytes32);

    /// @notice What an account can withdraw of native coin.
    /// @param account whose balance it is.
    /// @return wei that withdrawGas pays.
    function gasBalanceOf(address account) external view returns (uint256);

    /// @notice The token that requests are paid in.
    /// @return an ERC-20.
    function payToken() external view returns (IERC20);
}
