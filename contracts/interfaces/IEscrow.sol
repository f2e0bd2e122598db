// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchHeader} from "../types/BatchHeader.sol";
import {SpendingAuthorization} from "../types/SpendingAuthorization.sol";
import {Credit, Debit} from "./IBatchSettlement.sol";

/// @notice A payer's signed, locked budget at one relayer.
/// @dev Amounts in the pay token's smallest unit, times in unix seconds. `closingAt` is 0 where nobody closed it (validUntil
/// closes it by itself). `reserved` is for open forces; `bucketLevel` is what an ALLOWANCE session may be charged right now.
struct Session {
    address payer;
    address sessionKey;
    uint32 relayerId;
    uint8 mode;
    uint48 validAfter;
    uint48 validUntil;
    uint48 closingAt;
    uint96 lock;
    uint96 maxTotal;
    uint96 maxPerDay;
    uint96 charged;
    uint96 provenCap;
    uint96 forced;
    uint96 reserved;
    uint96 voidedCharge;
    uint96 bucketLevel;
}

/// @notice A node's account at one relayer. Payable: what has matured and `forcedEarned`, less `voidedEarned`, less `claimed`.
struct Tab {
    uint96 earned;
    uint96 provenEarned;
    uint96 matured;
    uint96 voidedEarned;
    uint96 claimed;
    uint96 forcedEarned;
}

/// @notice What a relayer has debited and earned in all.
struct RelayerAccount {
    uint96 debited;
    uint96 debitedMatured;
    uint96 fees;
    uint96 feesMatured;
    uint96 feesVoided;
    uint96 feesClaimed;
}

/// @title Payers' balances, sessions and their locks, nodes' tabs, relayers' fees
/// @notice Every way out is a pull and cannot be paused. Money moves between books only through `settle`, which only
/// BatchSettlement can call.
interface IEscrow {
    /// @notice `from` paid into the free balance of `payer`.
    event Deposited(address indexed payer, address indexed from, uint96 amount);
    /// @notice A payer took out of its free balance.
    event Withdrawn(address indexed payer, address indexed to, uint96 amount);
    /// @notice A budget was locked; the authorization is all that the payer signed.
    event SessionOpened(
        bytes32 indexed sessionId, address indexed payer, uint32 indexed relayerId, SpendingAuthorization authorization
    );
    /// @notice The lock grew to `lock`.
    event SessionToppedUp(bytes32 indexed sessionId, uint96 amount, uint96 lock);
    /// @notice The payer's signature for that session no longer opens it; an open session is closing.
    event SessionRevoked(bytes32 indexed sessionId, address indexed payer);
    /// @notice CLOSING began by a call; at validUntil it begins without one and without this event.
    event SessionClosing(bytes32 indexed sessionId, uint48 closingAt);
    /// @notice What was left of a lock returned to the payer's free balance.
    event LockReleased(bytes32 indexed sessionId, address indexed payer, uint96 amount);
    /// @notice `charged` in all; the change is the difference to the event before, and stands in the batch.
    event SessionDebited(bytes32 indexed sessionId, uint96 charged);
    /// @notice `earned` in all; the change is the difference to the event before, and stands in the batch.
    event TabCredited(uint32 indexed relayerId, uint32 indexed nodeId, uint96 earned);
    /// @notice A batch left that much to its relayer.
    event FeeAccrued(uint32 indexed relayerId, uint96 fee);
    /// @notice Matured credits were paid to the node's payout address.
    event TabClaimed(uint32 indexed relayerId, uint32 indexed nodeId, address indexed payout, uint96 amount);
    /// @notice Matured fees were paid.
    event RelayerFeeClaimed(uint32 indexed relayerId, address indexed to, uint96 amount);
    /// @notice A charge no longer counts: the session's lock holds that much again.
    event ChargeVoided(bytes32 indexed sessionId, bytes32 indexed pot, uint96 amount);
    /// @notice Credits of a tab, or where `nodeId` is 0 fees of the relayer, no longer count.
    event CreditVoided(uint32 indexed relayerId, uint32 indexed nodeId, bytes32 indexed pot, uint96 amount);
    /// @notice No session can be opened until that time.
    event NewSessionsPaused(uint48 until);
    /// @notice The pause was ended early.
    event NewSessionsResumed();

    /// @notice An amount or parameter must be above zero.
    error ZeroAmount();
    /// @notice The zero address neither holds nor receives anything.
    error ZeroAddress();
    /// @notice All books together must fit 96 bits.
    error AmountTooLarge(uint256 amount, uint256 most);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice The payer's free balance is too small: deposit first.
    error InsufficientBalance(address payer, uint96 free, uint96 asked);
    /// @notice Only BatchSettlement settles.
    error NotBatchSettlement(address caller);
    /// @notice Only FraudProofs voids.
    error NotFraudProofs(address caller);
    /// @notice The tokens that a tab was to be funded with are not there.
    error NotFunded(uint256 tracked, uint256 held);
    /// @notice Only the guardian pauses and resumes.
    error NotGuardian(address caller);
    /// @notice New sessions are paused; everything else goes on.
    error NewSessionsArePaused(uint48 until);
    /// @notice No pause is running.
    error NotPaused();
    /// @notice The guardian's next pause may start only then.
    error PauseTooSoon(uint48 notBefore);
    /// @notice An authorization opens one session, once.
    error SessionExists(bytes32 sessionId);
    /// @notice No such session was ever opened.
    error UnknownSession(bytes32 sessionId);
    /// @notice The payer has revoked this authorization.
    error SessionIsRevoked(bytes32 sessionId);
    /// @notice The session takes no more money: it is closing since then.
    error SessionIsClosing(bytes32 sessionId, uint48 closingAt);
    /// @notice The session is open: close it first.
    error SessionNotClosing(bytes32 sessionId);
    /// @notice 3 W after closing have not passed.
    error LockNotReleasable(bytes32 sessionId, uint48 releasableAt);
    /// @notice All that is left of the lock is spent or reserved.
    error NothingToRelease(bytes32 sessionId);
    /// @notice The payer did not sign this authorization in this deployment's domain.
    error AuthorizationSignatureInvalid(bytes32 sessionId, address payer);
    /// @notice validAfter <= now < validUntil does not hold.
    error AuthorizationNotValidNow(bytes32 sessionId, uint48 validAfter, uint48 validUntil, uint256 timestamp);
    /// @notice The mode is neither VOUCHER (0) nor ALLOWANCE (1).
    error AuthorizationModeUnknown(uint8 mode);
    /// @notice A VOUCHER session needs a session key.
    error SessionKeyMissing(bytes32 sessionId);
    /// @notice An ALLOWANCE session needs a maxPerDay above zero of which the double fits.
    error MaxPerDayOutOfRange(uint96 maxPerDay, uint96 most);
    /// @notice The relayer is unknown or retired.
    error RelayerNotLive(uint32 relayerId);
    /// @notice The relayer is jailed.
    error RelayerIsJailed(uint32 relayerId);
    /// @notice Only the session's payer may do this.
    error NotPayer(bytes32 sessionId, address caller);
    /// @notice Only the payer or the relayer's poster closes a session.
    error NotPayerOrPoster(bytes32 sessionId, address caller);
    /// @notice The session is unknown (`relayerId` 0) or another relayer's.
    error SessionOfOtherRelayer(bytes32 sessionId, uint32 relayerId, uint32 headerRelayerId);
    /// @notice An item of a batch changes nothing.
    error ZeroChange(uint256 id);
    /// @notice The voucher that would raise the proven cap is not signed by the session key.
    error VoucherSignatureInvalid(bytes32 sessionId, address sessionKey, address recovered);
    /// @notice An ALLOWANCE session takes no voucher.
    error VoucherNotAccepted(bytes32 sessionId, uint8 mode);
    /// @notice The total charge, forces included, would pass what the payer's signatures cover.
    error ChargeAboveProvenCap(bytes32 sessionId, uint256 charge, uint96 provenCap);
    /// @notice The total charge, forces included, would pass what is locked.
    error ChargeAboveLock(bytes32 sessionId, uint256 charge, uint96 lock);
    /// @notice The change is more than the ALLOWANCE session's bucket holds now.
    error ChargeAboveBucket(bytes32 sessionId, uint96 change, uint96 level);
    /// @notice The tab would pass what the node has signed for.
    error CreditAboveProvenEarned(uint32 relayerId, uint32 nodeId, uint256 earned, uint96 provenEarned);
    /// @notice The node has no key of that epoch.
    error UnknownNodeEpoch(uint32 nodeId, uint32 keyEpoch);
    /// @notice The receipt that would raise the tab is not signed by the node's key of that epoch.
    error ReceiptSignatureInvalid(uint32 nodeId, address key, address recovered);
    /// @notice A batch has too many items: split it.
    error TooManyItems(uint256 items, uint256 most);
    /// @notice Items must be strictly ascending by id: `next` stands after `previous`.
    error ItemsNotAscending(uint256 previous, uint256 next);
    /// @notice The debits are not those that the header names.
    error WrongDebitsHash(bytes32 debitsHash, bytes32 computed);
    /// @notice The credits are not those that the header names.
    error WrongCreditsHash(bytes32 creditsHash, bytes32 computed);
    /// @notice The sums of the items are not those that the header names.
    error WrongTotals(uint256 totalDebit, uint256 totalCredit, uint96 headerDebit, uint96 headerCredit);
    /// @notice More would be credited than is debited.
    error CreditAboveDebit(uint256 totalDebit, uint256 totalCredit);
    /// @notice The relayer's fee would exceed 1,000 bps of the credits.
    error FeeAboveLimit(uint256 fee, uint256 most);
    /// @notice Debits that have not matured would pass leverage x the relayer's active bond: bond more, or wait.
    error LeverageExceeded(uint32 relayerId, uint256 unmaturedDebits, uint256 most);
    /// @notice Nothing is payable yet to that node or relayer.
    error NothingMatured(uint32 id);
    /// @notice Only the relayer's cold owner claims its fees.
    error NotRelayerOwner(uint32 relayerId, address caller);
    /// @notice The routing seeds behind the matured fees are not revealed on the SaturationBoard.
    error SeedsNotRevealed(uint32 relayerId, uint256 revealedUntil, uint256 needed);

    // ---- deposits: the caller's tokens, or a signature's

    /// @notice Credits the caller with `amount` of its tokens (approve first).
    function deposit(uint96 amount) external;

    /// @notice Credits `payer` with `amount` of the caller's tokens (approve first).
    function depositFor(address payer, uint96 amount) external;

    /// @notice As deposit, with an EIP-2612 permit. A permit that somebody used first does no harm: the allowance counts.
    function depositWithPermit(uint96 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Credits `payer` through an ERC-3009 receiveWithAuthorization that it signed for this contract. Anyone may send it.
    function depositWithAuthorization(
        address payer,
        uint96 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Pays out of the caller's free balance.
    function withdraw(uint96 amount, address to) external;

    // ---- sessions

    /// @notice Opens a session and locks its budget. Anyone may send it; the payer's signature decides.
    /// @param signature of the authorization in the domain of BatchSettlement, by an EOA or through ERC-1271.
    /// @return sessionId the authorization's struct hash.
    function openSession(SpendingAuthorization calldata authorization, bytes calldata signature)
        external
        returns (bytes32 sessionId);

    /// @notice Adds to a session's lock from the payer's free balance. Payer only, while it is open.
    function topUp(bytes32 sessionId, uint96 amount) external;

    /// @notice Ends an open session, or bars one that is not open yet from ever being opened with the caller as payer.
    function revoke(bytes32 sessionId) external;

    /// @notice Starts CLOSING: no new orders; what was ordered can be settled for 3 W. Payer or the relayer's poster.
    function closeSession(bytes32 sessionId) external;

    /// @notice After CLOSING + 3 W, returns the lock's rest to the payer's free balance. Anyone may send it, more than once.
    function releaseLock(bytes32 sessionId) external returns (uint96 amount);

    // ---- settlement

    /// @notice Checks every item of a batch, moves debits to credits and the rest to the relayer's fees. BatchSettlement only,
    /// after it has checked the header; its arguments are those of postBatch, handed on as they came.
    function settle(BatchHeader calldata header, bytes calldata, Debit[] calldata debits, Credit[] calldata credits)
        external;

    // ---- forces and voids

    /// @notice Keeps part of a session's lock back for an open force, and raises its proven cap. BatchSettlement only.
    /// @param cap of the voucher behind it, already checked; ignored in ALLOWANCE mode.
    /// @return held at most what the lock still holds unspent.
    function holdForForce(bytes32 sessionId, uint96 amount, uint96 cap) external returns (uint96 held);

    /// @notice Ends a hold and pays the node's tab as far as lock, proven cap and bucket reach. BatchSettlement only.
    /// @param due 0 where nothing is owed.
    /// @return paid of `due`; claimable at once.
    function payForce(bytes32 sessionId, uint32 nodeId, uint96 held, uint96 due) external returns (uint96 paid);

    /// @notice Credits a tab with tokens that have just arrived from a bond. BatchSettlement only.
    function fundTab(uint32 relayerId, uint32 nodeId, uint96 amount) external;

    /// @notice Takes credits that no longer count into a pot. FraudProofs only.
    /// @param nodeId whose tab, or 0 for the relayer's fees.
    /// @return taken at most what that tab or relayer has not been paid.
    function voidCredit(bytes32 pot, uint32 relayerId, uint32 nodeId, uint96 amount) external returns (uint96 taken);

    /// @notice Gives a charge that no longer counts back to a session's lock. FraudProofs only.
    /// @return given at most what the pot holds and the session was charged.
    function voidDebit(bytes32 pot, bytes32 sessionId, uint96 amount) external returns (uint96 given);

    // ---- claims

    /// @notice Pays a tab's matured credits to the node's payout address. Anyone may send it.
    function claimTab(uint32 relayerId, uint32 nodeId) external returns (uint96 amount);

    /// @notice Pays a relayer's matured fees. Its owner only, and only once the seeds of that time are revealed.
    function claimRelayerFee(uint32 relayerId, address to) external returns (uint96 amount);

    // ---- guardian

    /// @notice Stops new sessions for 7 days. The next pause may start 28 days after this one's end at the earliest.
    function pauseNewSessions() external;

    /// @notice Ends a pause early.
    function resumeNewSessions() external;

    // ---- views

    /// @notice What a payer can withdraw or lock.
    function freeBalanceOf(address payer) external view returns (uint96);
    /// @return the session; `payer` is zero where it was never opened.
    function sessionOf(bytes32 sessionId) external view returns (Session memory);
    /// @return since when the session is closing, or 0 while it is open or unknown.
    function closingSince(bytes32 sessionId) external view returns (uint48);
    /// @notice Whether that payer has revoked that session's authorization.
    function isRevoked(address payer, bytes32 sessionId) external view returns (bool);
    /// @notice A node's account at a relayer, matured as of now.
    function tabOf(uint32 relayerId, uint32 nodeId) external view returns (Tab memory);
    /// @notice What claimTab would pay now.
    function claimableTab(uint32 relayerId, uint32 nodeId) external view returns (uint96);
    /// @notice A relayer's totals, matured as of now.
    function relayerAccountOf(uint32 relayerId) external view returns (RelayerAccount memory);
    /// @notice What claimRelayerFee would pay now, seeds aside.
    function claimableRelayerFee(uint32 relayerId) external view returns (uint96);
    /// @return what the relayer may still debit now: leverage x active bond less its unmatured debits.
    function debitCapacityOf(uint32 relayerId) external view returns (uint256);
    /// @return what was voided under that name and is not given back yet.
    function potOf(bytes32 pot) external view returns (uint96);
    /// @return the sum of all books, never above the token balance.
    function trackedBalance() external view returns (uint256);
    /// @notice The end of the last pause; new sessions are paused before it.
    function newSessionsPausedUntil() external view returns (uint48);
}
