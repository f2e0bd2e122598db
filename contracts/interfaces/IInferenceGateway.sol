// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Assignment} from "../types/Assignment.sol";
import {IInferenceRequests, Request} from "./IInferenceRequests.sol";

/// @notice What a node's TaskReceipt says of its own; the rest of it follows from the request and the assignment.
/// @dev Fields as there.
struct ReceiptPart {
    bytes32 prevReceiptHash;
    bytes32 outputCommit;
    uint32 inputTokens;
    uint32 outputTokens;
    uint48 startedAt;
    uint48 finishedAt;
    uint64 nodeSeq;
    uint96 nodeCumulative;
}

/// @notice The signed record of the one attempt that answered a request, and the answer.
/// @dev `output` holds the answer, at most 4 KB, or `uri` says where a longer one lies. `salt` opens the commit of an open
/// request; ignored where the request names its relayer. `receiptSignature` signs the whole TaskReceipt.
struct Fulfilment {
    Request request;
    Assignment assignment;
    bytes assignmentSignature;
    ReceiptPart receipt;
    bytes receiptSignature;
    bytes output;
    string uri;
    bytes32 salt;
}

/// @notice A relayer's word that it holds an answer to an open request.
/// @dev `digest` is the commitment's first 20 bytes. `exclusiveUntil` is 0 where another commit was live, or once the penalty
/// was forfeited; all is 0 once it was given back. Times in unix seconds.
struct Commit {
    bytes20 digest;
    uint48 madeAt;
    uint48 exclusiveUntil;
}

/// @notice What a fulfilment came to: `fee` for the node, `charge` from the requester.
struct Outcome {
    bytes32 assignmentHash;
    bytes32 receiptHash;
    bytes32 outputCommit;
    uint96 fee;
    uint96 charge;
}

/// @notice What a node earned by requests, apart from its tabs.
struct NodeAccount {
    uint96 earned;
    uint96 matured;
    uint96 claimed;
}

/// @notice What a relayer earned by requests, and what stands behind its commits.
struct CommitterAccount {
    uint96 fees;
    uint96 feesMatured;
    uint96 feesClaimed;
    uint96 commitBond;
}

/// @notice Which value of a fulfilment is not what it must be. A wrong one in the receipt shows as a wrong signature.
enum Field {
    TASK,
    SUBTASK,
    SUBTASKS,
    VOUCHER,
    RELAYER,
    OUTPUT_COMMIT,
    COMMIT_DIGEST
}

/// @title Requests from contracts: answered by the same nodes, proven by the same receipts, paid directly
/// @notice A request is its own session: its id is the hash of a SpendingAuthorization that the gateway stands for, its task the
/// hash of the one order under it. A fulfilment shows the whole record, so nothing about it is left to contest.
interface IInferenceGateway is IInferenceRequests {
    /// @notice A relayer holds an answer to an open request; exclusive where `exclusiveUntil` is not 0.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param commitment as the relayer gave it.
    /// @param exclusiveUntil unix seconds; 0 where it is not exclusive.
    event Committed(bytes32 indexed requestId, uint32 indexed relayerId, bytes32 commitment, uint48 exclusiveUntil);
    /// @notice The answer is here.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param outcome hashes and amounts.
    /// @param output the answer's bytes, UTF-8; empty where it lies at `uri`.
    /// @param uri where the answer lies; empty where it is in `output`.
    event Fulfilled(
        bytes32 indexed requestId,
        uint32 indexed relayerId,
        uint32 indexed nodeId,
        Outcome outcome,
        bytes output,
        string uri
    );
    /// @notice The requester's callback reverted, ran out of its gas, or has no code; the commitment is kept for a pull.
    /// @param requestId the hash of all that the request is.
    /// @param requester the contract or account that asked.
    /// @param outputCommit the node-signed commitment to the answer.
    event CallbackFailed(bytes32 indexed requestId, address indexed requester, bytes32 outputCommit);
    /// @notice An exclusive commit was not followed by its answer in time.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param toCaller 30 %.
    /// @param toRequester 20 %.
    /// @param burned the rest.
    event Forfeited(bytes32 indexed requestId, uint32 indexed relayerId, uint96 toCaller, uint96 toRequester, uint96 burned);
    /// @notice What stands behind a relayer's commits grew.
    /// @param relayerId in the RelayerRegistry.
    /// @param from who paid.
    /// @param amount in the pay token's smallest unit.
    event CommitBonded(uint32 indexed relayerId, address indexed from, uint96 amount);
    /// @notice A relayer took back what stood behind no commit.
    /// @param relayerId in the RelayerRegistry.
    /// @param to who receives it.
    /// @param amount in the pay token's smallest unit.
    event CommitBondWithdrawn(uint32 indexed relayerId, address indexed to, uint96 amount);
    /// @notice A node's matured earnings were paid out.
    /// @param nodeId in the NodeRegistry.
    /// @param payout where the node wants its money.
    /// @param amount in the pay token's smallest unit.
    event NodeClaimed(uint32 indexed nodeId, address indexed payout, uint96 amount);
    /// @notice A relayer's matured fees were paid out.
    /// @param relayerId in the RelayerRegistry.
    /// @param to who receives it.
    /// @param amount in the pay token's smallest unit.
    event RelayerFeeClaimed(uint32 indexed relayerId, address indexed to, uint96 amount);

    /// @notice Only the relayer's poster commits for it; zero where the relayer is unknown.
    /// @param relayerId in the RelayerRegistry.
    /// @param caller who tried.
    /// @param poster who may; zero where the relayer is unknown.
    error NotPoster(uint32 relayerId, address caller, address poster);
    /// @notice Only the relayer's cold owner may do this.
    /// @param relayerId in the RelayerRegistry.
    /// @param caller who tried.
    error NotRelayerOwner(uint32 relayerId, address caller);
    /// @notice A request that names its relayer takes no commits.
    /// @param requestId the hash of all that the request is.
    error NotOpen(bytes32 requestId);
    /// @notice One commit for each relayer and request.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    error CommittedAlready(bytes32 requestId, uint32 relayerId);
    /// @notice A commitment is not zero.
    error EmptyCommitment();
    /// @notice The relayer's active bond is below the minimum penalty.
    /// @param relayerId in the RelayerRegistry.
    /// @param bonded its active bond.
    /// @param least what it must be at least.
    error RelayerNotBonded(uint32 relayerId, uint96 bonded, uint96 least);
    /// @notice The relayer is serving a jail term.
    /// @param relayerId in the RelayerRegistry.
    error RelayerJailed(uint32 relayerId);
    /// @notice An exclusive commit holds the minimum penalty back: bondCommits first.
    /// @param relayerId in the RelayerRegistry.
    /// @param bonded what stands there now.
    /// @param needed what an exclusive commit holds back.
    error CommitBondTooSmall(uint32 relayerId, uint96 bonded, uint96 needed);
    /// @notice No relayer of that id was ever registered.
    /// @param relayerId in the RelayerRegistry.
    error UnknownRelayer(uint32 relayerId);

    /// @notice The relayer has not committed to the request.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    error NotCommitted(bytes32 requestId, uint32 relayerId);
    /// @notice A commit counts from a later time than its own block's, hence from a later block.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param madeAt unix seconds.
    error CommitTooFresh(bytes32 requestId, uint32 relayerId, uint48 madeAt);
    /// @notice Another relayer's commit is exclusive until that time.
    /// @param requestId the hash of all that the request is.
    /// @param holder the relayer whose commit is exclusive.
    /// @param until unix seconds.
    error ExclusiveToOther(bytes32 requestId, uint32 holder, uint48 until);
    /// @notice The commit is still exclusive, was never, or its penalty has been dealt with.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param exclusiveUntil unix seconds; 0 where it is not exclusive.
    error NotLapsed(bytes32 requestId, uint32 relayerId, uint48 exclusiveUntil);

    /// @notice A late answer is no answer.
    /// @param requestId the hash of all that the request is.
    /// @param deadline unix seconds.
    /// @param timestamp of this block, unix seconds.
    error DeadlinePassed(bytes32 requestId, uint48 deadline, uint256 timestamp);
    /// @notice A field of the record is not what the request or the record itself makes it.
    /// @param field which one.
    /// @param found what the record holds.
    /// @param expected what it must be.
    error FieldMismatch(Field field, uint256 found, uint256 expected);
    /// @notice A relayer adds so many basis points at most.
    /// @param feeBps that was asked for.
    /// @param most the limit, itself allowed.
    error FeeTooHigh(uint16 feeBps, uint16 most);
    /// @notice The assignment's share exceeds what the requester paid.
    /// @param shareCap as in the assignment.
    /// @param maxFee the most that the answer may cost, in the pay token's smallest unit.
    error ShareAboveMaxFee(uint96 shareCap, uint96 maxFee);
    /// @notice More output than was asked for.
    /// @param outputTokens of the receipt.
    /// @param most the limit, itself allowed.
    error TooManyOutputTokens(uint32 outputTokens, uint32 most);
    /// @notice Signed more than W before the request was made.
    /// @param signedAt unix seconds, as signed.
    /// @param requestedAt unix seconds.
    error SignedBeforeRequest(uint48 signedAt, uint48 requestedAt);
    /// @notice opened - W <= signedAt < closed + W does not hold for the key of that epoch; all zero where there is none.
    /// @param key of that epoch.
    /// @param signedAt unix seconds, as signed.
    /// @param openedAt when that key epoch was opened, unix seconds.
    /// @param closedAt when that key epoch was closed, unix seconds; 0 while open.
    error OutsideKeyEpoch(address key, uint48 signedAt, uint48 openedAt, uint48 closedAt);
    /// @notice The assignment is not signed by the relayer's key of that epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param key of that epoch.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error AssignmentSignatureInvalid(uint32 relayerId, address key, address recovered);
    /// @notice The receipt that this request and this assignment call for is not signed by the node's key of that epoch.
    /// @param nodeId in the NodeRegistry.
    /// @param key of the node in that epoch.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error ReceiptSignatureInvalid(uint32 nodeId, address key, address recovered);
    /// @notice An answer of so many bytes at most travels in the transaction, and then without a URI.
    /// @param length in bytes.
    /// @param most the limit, itself allowed.
    error OutputTooLong(uint256 length, uint256 most);
    /// @notice Send more gas: the callback must get exactly what was paid for.
    /// @param available gas left.
    /// @param needed gas that the callback and its surroundings take.
    error GasTooLow(uint256 available, uint256 needed);

    /// @notice Nothing has matured that is not claimed.
    /// @param id of the node or relayer.
    error NothingMatured(uint32 id);
    /// @notice The relayer's routing seeds must be revealed up to `needed` (unix seconds) first.
    /// @param relayerId in the RelayerRegistry.
    /// @param revealedUntil how far they are revealed, unix seconds.
    /// @param needed how far they must be revealed, unix seconds.
    error SeedsNotRevealed(uint32 relayerId, uint256 revealedUntil, uint256 needed);
    /// @notice The contracts of the deployment name different ones.
    /// @param sibling the contract that was asked.
    /// @param named the address that is named instead.
    error Miswired(address sibling, address named);

    /// @notice Claims an open request before showing the answer, so that nobody can copy it from the mempool.
    /// @dev The relayer's poster only; once per relayer and request. Where no other commit is live it is exclusive for two
    /// minutes and holds the minimum penalty back from the relayer's commit bond: given back by an answer in time, else forfeited.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @param commitment keccak256(abi.encode(receiptHash, relayerId, salt)).
    function commit(bytes32 requestId, uint32 relayerId, bytes32 commitment) external;

    /// @notice Delivers an answer, pays for it, and calls the requester back. Anyone who holds the record may send it; the gas
    /// payment goes to the relayer's poster.
    /// @param fulfilment the signed record and the answer.
    function fulfil(Fulfilment calldata fulfilment) external;

    /// @notice Shares out the penalty of a lapsed commit: 30 % to the caller, 20 % to the requester, the rest to nobody.
    /// @param request_ as the Requested event names it.
    /// @param relayerId in the RelayerRegistry.
    function forfeit(Request calldata request_, uint32 relayerId) external;

    /// @notice Puts pay tokens of the caller (approve first) behind a relayer's commits. Anyone may.
    /// @param relayerId in the RelayerRegistry.
    /// @param amount in the pay token's smallest unit.
    function bondCommits(uint32 relayerId, uint96 amount) external;

    /// @notice Takes back what is behind no live commit. The relayer's owner only.
    /// @param relayerId in the RelayerRegistry.
    /// @param amount in the pay token's smallest unit.
    /// @param to who receives it.
    function withdrawCommitBond(uint32 relayerId, uint96 amount, address to) external;

    /// @notice Pays a node's matured earnings to its payout address. Anyone may call.
    /// @param nodeId in the NodeRegistry.
    /// @return amount what was paid.
    function claimNode(uint32 nodeId) external returns (uint96 amount);

    /// @notice Pays a relayer's matured fees. Its owner only, once the routing seeds behind them are revealed.
    /// @param relayerId in the RelayerRegistry.
    /// @param to who receives it.
    /// @return amount what was paid.
    function claimRelayerFee(uint32 relayerId, address to) external returns (uint96 amount);

    /// @notice What a node can claim now.
    /// @param nodeId in the NodeRegistry.
    /// @return what claimNode pays now.
    function claimableNode(uint32 nodeId) external view returns (uint96);

    /// @notice What a relayer can claim now.
    /// @param relayerId in the RelayerRegistry.
    /// @return what claimRelayerFee pays now.
    function claimableRelayerFee(uint32 relayerId) external view returns (uint96);

    /// @notice A node's account here.
    /// @param nodeId in the NodeRegistry.
    /// @return all zero where it never earned.
    function nodeAccountOf(uint32 nodeId) external view returns (NodeAccount memory);

    /// @notice A relayer's account here.
    /// @param relayerId in the RelayerRegistry.
    /// @return all zero where nothing was ever settled.
    function relayerAccountOf(uint32 relayerId) external view returns (CommitterAccount memory);

    /// @notice A relayer's commit to a request; all zero where there is none.
    /// @param requestId the hash of all that the request is.
    /// @param relayerId in the RelayerRegistry.
    /// @return the commit.
    function commitOf(bytes32 requestId, uint32 relayerId) external view returns (Commit memory);

    /// @notice The penalty of a lapsed commit.
    /// @return what an exclusive commit holds back.
    function minimumPenalty() external view returns (uint96);
}
