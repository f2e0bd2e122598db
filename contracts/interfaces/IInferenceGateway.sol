// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Assignment} from "../types/Assignment.sol";
import {TaskReceipt} from "../types/TaskReceipt.sol";
import {IInferenceRequests, Request} from "./IInferenceRequests.sol";

/// @notice The signed record of the one attempt that answered a request, and the answer.
/// @dev `output` holds the answer, at most 4 KB, or `uri` says where a longer one lies. `salt` opens the commit of an open
/// request; ignored where the request names its relayer.
struct Fulfilment {
    Request request;
    Assignment assignment;
    bytes assignmentSignature;
    TaskReceipt receipt;
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

/// @notice Which value of a fulfilment is not what it must be.
enum Field {
    TASK,
    SUBTASK,
    SUBTASKS,
    VOUCHER,
    RELAYER,
    RECEIPT_ASSIGNMENT,
    RECEIPT_SESSION,
    RECEIPT_TASK,
    RECEIPT_SUBTASK,
    RECEIPT_ATTEMPT,
    RECEIPT_ROLE,
    RECEIPT_NODE,
    RECEIPT_RELAYER,
    RECEIPT_KEY_EPOCH,
    RECEIPT_STATUS,
    RECEIPT_FEE,
    OUTPUT_COMMIT,
    COMMIT_DIGEST
}

/// @title Requests from contracts: answered by the same nodes, proven by the same receipts, paid directly
/// @notice A request is its own session: its id is the hash of a SpendingAuthorization that the gateway stands for, its task the
/// hash of the one order under it. A fulfilment shows the whole record, so nothing about it is left to contest.
interface IInferenceGateway is IInferenceRequests {
    /// @notice A relayer holds an answer to an open request; exclusive where `exclusiveUntil` is not 0.
    event Committed(bytes32 indexed requestId, uint32 indexed relayerId, bytes32 commitment, uint48 exclusiveUntil);
    /// @notice The answer is here.
    event Fulfilled(
        bytes32 indexed requestId,
        uint32 indexed relayerId,
        uint32 indexed nodeId,
        Outcome outcome,
        bytes output,
        string uri
    );
    /// @notice The requester's callback reverted, ran out of its gas, or has no code; the commitment is kept for a pull.
    event CallbackFailed(bytes32 indexed requestId, address indexed requester, bytes32 outputCommit);
    /// @notice An exclusive commit was not followed by its answer in time.
    event Forfeited(bytes32 indexed requestId, uint32 indexed relayerId, uint96 toCaller, uint96 toRequester, uint96 burned);
    /// @notice What stands behind a relayer's commits grew.
    event CommitBonded(uint32 indexed relayerId, address indexed from, uint96 amount);
    /// @notice A relayer took back what stood behind no commit.
    event CommitBondWithdrawn(uint32 indexed relayerId, address indexed to, uint96 amount);
    /// @notice A node's matured earnings were paid out.
    event NodeClaimed(uint32 indexed nodeId, address indexed payout, uint96 amount);
    /// @notice A relayer's matured fees were paid out.
    event RelayerFeeClaimed(uint32 indexed relayerId, address indexed to, uint96 amount);

    /// @notice Only the relayer's poster commits for it; zero where the relayer is unknown.
    error NotPoster(uint32 relayerId, address caller, address poster);
    /// @notice Only the relayer's cold owner may do this.
    error NotRelayerOwner(uint32 relayerId, address caller);
    /// @notice A request that names its relayer takes no commits.
    error NotOpen(bytes32 requestId);
    /// @notice One commit for each relayer and request.
    error CommittedAlready(bytes32 requestId, uint32 relayerId);
    /// @notice A commitment is not zero.
    error EmptyCommitment();
    /// @notice The relayer's active bond is below the minimum penalty.
    error RelayerNotBonded(uint32 relayerId, uint96 bonded, uint96 least);
    /// @notice The relayer is serving a jail term.
    error RelayerJailed(uint32 relayerId);
    /// @notice An exclusive commit holds the minimum penalty back: bondCommits first.
    error CommitBondTooSmall(uint32 relayerId, uint96 bonded, uint96 needed);
    /// @notice No relayer of that id was ever registered.
    error UnknownRelayer(uint32 relayerId);

    /// @notice The relayer has not committed to the request.
    error NotCommitted(bytes32 requestId, uint32 relayerId);
    /// @notice A commit counts from a later time than its own block's, hence from a later block.
    error CommitTooFresh(bytes32 requestId, uint32 relayerId, uint48 madeAt);
    /// @notice Another relayer's commit is exclusive until that time.
    error ExclusiveToOther(bytes32 requestId, uint32 holder, uint48 until);
    /// @notice The commit is still exclusive, was never, or its penalty has been dealt with.
    error NotLapsed(bytes32 requestId, uint32 relayerId, uint48 exclusiveUntil);

    /// @notice A late answer is no answer.
    error DeadlinePassed(bytes32 requestId, uint48 deadline, uint256 timestamp);
    /// @notice A field of the record is not what the request or the record itself makes it.
    error FieldMismatch(Field field, uint256 found, uint256 expected);
    /// @notice A relayer adds so many basis points at most.
    error FeeTooHigh(uint16 feeBps, uint16 most);
    /// @notice The assignment's share exceeds what the requester paid.
    error ShareAboveMaxFee(uint96 shareCap, uint96 maxFee);
    /// @notice More output than was asked for.
    error TooManyOutputTokens(uint32 outputTokens, uint32 most);
    /// @notice Signed more than W before the request was made.
    error SignedBeforeRequest(uint48 signedAt, uint48 requestedAt);
    /// @notice opened - W <= signedAt < closed + W does not hold for the key of that epoch; all zero where there is none.
    error OutsideKeyEpoch(address key, uint48 signedAt, uint48 openedAt, uint48 closedAt);
    /// @notice The assignment is not signed by the relayer's key of that epoch.
    error AssignmentSignatureInvalid(uint32 relayerId, address key, address recovered);
    /// @notice The receipt is not signed by the node's key of that epoch.
    error ReceiptSignatureInvalid(uint32 nodeId, address key, address recovered);
    /// @notice An answer of so many bytes at most travels in the transaction, and then without a URI.
    error OutputTooLong(uint256 length, uint256 most);
    /// @notice Send more gas: the callback must get exactly what was paid for.
    error GasTooLow(uint256 available, uint256 needed);

    /// @notice Nothing has matured that is not claimed.
    error NothingMatured(uint32 id);
    /// @notice The relayer's routing seeds must be revealed up to `needed` (unix seconds) first.
    error SeedsNotRevealed(uint32 relayerId, uint256 revealedUntil, uint256 needed);
    /// @notice The contracts of the deployment name different ones.
    error Miswired(address sibling, address named);

    /// @notice Claims an open request before showing the answer, so that nobody can copy it from the mempool.
    /// @dev The relayer's poster only; once per relayer and request. Where no other commit is live it is exclusive for two
    /// minutes and holds the minimum penalty back from the relayer's commit bond: given back by an answer in time, else forfeited.
    /// @param commitment keccak256(abi.encode(receiptHash, relayerId, salt)).
    function commit(bytes32 requestId, uint32 relayerId, bytes32 commitment) external;

    /// @notice Delivers an answer, pays for it, and calls the requester back. Anyone who holds the record may send it; the gas
    /// payment goes to the relayer's poster.
    function fulfil(Fulfilment calldata fulfilment) external;

    /// @notice Shares out the penalty of a lapsed commit: 30 % to the caller, 20 % to the requester, the rest to nobody.
    function forfeit(Request calldata request_, uint32 relayerId) external;

    /// @notice Puts pay tokens of the caller (approve first) behind a relayer's commits. Anyone may.
    function bondCommits(uint32 relayerId, uint96 amount) external;

    /// @notice Takes back what is behind no live commit. The relayer's owner only.
    function withdrawCommitBond(uint32 relayerId, uint96 amount, address to) external;

    /// @notice Pays a node's matured earnings to its payout address. Anyone may call.
    function claimNode(uint32 nodeId) external returns (uint96 amount);

    /// @notice Pays a relayer's matured fees. Its owner only, once the routing seeds behind them are revealed.
    function claimRelayerFee(uint32 relayerId, address to) external returns (uint96 amount);

    /// @return what claimNode pays now.
    function claimableNode(uint32 nodeId) external view returns (uint96);

    /// @return what claimRelayerFee pays now.
    function claimableRelayerFee(uint32 relayerId) external view returns (uint96);

    /// @notice A node's account here.
    function nodeAccountOf(uint32 nodeId) external view returns (NodeAccount memory);

    /// @notice A relayer's account here.
    function relayerAccountOf(uint32 relayerId) external view returns (CommitterAccount memory);

    /// @notice A relayer's commit to a request; all zero where there is none.
    function commitOf(bytes32 requestId, uint32 relayerId) external view returns (Commit memory);

    /// @return what an exclusive commit holds back.
    function minimumPenalty() external view returns (uint96);
}
