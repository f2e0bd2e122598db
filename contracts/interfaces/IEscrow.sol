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
    /// @param payer who was credited.
    /// @param from who paid.
    /// @param amount in the pay token's smallest unit.
    event Deposited(address indexed payer, address indexed from, uint96 amount);
    /// @notice A deposit used up this ERC-3009 authorization: its transfer to the Escrow is credited.
    /// @param payer who signed it.
    /// @param nonce as signed.
    event AuthorizationDeposited(address indexed payer, bytes32 indexed nonce);
    /// @notice A payer took out of its free balance.
    /// @param payer whose balance it was.
    /// @param to who receives it.
    /// @param amount in the pay token's smallest unit.
    event Withdrawn(address indexed payer, address indexed to, uint96 amount);
    /// @notice A budget was locked; the authorization is all that the payer signed.
    /// @param sessionId the authorization's struct hash.
    /// @param payer whose free balance was locked.
    /// @param relayerId in the RelayerRegistry.
    /// @param authorization all that the payer signs.
    event SessionOpened(
        bytes32 indexed sessionId, address indexed payer, uint32 indexed relayerId, SpendingAuthorization authorization
    );
    /// @notice The lock grew to `lock`.
    /// @param sessionId the authorization's struct hash.
    /// @param amount in the pay token's smallest unit.
    /// @param lock what is locked now.
    event SessionToppedUp(bytes32 indexed sessionId, uint96 amount, uint96 lock);
    /// @notice The payer's signature for that session no longer opens it; an open session is closing.
    /// @param sessionId the authorization's struct hash.
    /// @param payer who revoked.
    event SessionRevoked(bytes32 indexed sessionId, address indexed payer);
    /// @notice CLOSING began by a call; at validUntil it begins without one and without this event.
    /// @param sessionId the authorization's struct hash.
    /// @param closingAt since when, unix seconds.
    event SessionClosing(bytes32 indexed sessionId, uint48 closingAt);
    /// @notice What was left of a lock returned to the payer's free balance.
    /// @param sessionId the authorization's struct hash.
    /// @param payer who was credited.
    /// @param amount in the pay token's smallest unit.
    event LockReleased(bytes32 indexed sessionId, address indexed payer, uint96 amount);
    /// @notice `charged` in all; the change is the difference to the event before, and stands in the batch.
    /// @param sessionId the authorization's struct hash.
    /// @param charged what the session has been charged in all.
    event SessionDebited(bytes32 indexed sessionId, uint96 charged);
    /// @notice `earned` in all; the change is the difference to the event before, and stands in the batch.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param earned what the tab has been credited in all.
    event TabCredited(uint32 indexed relayerId, uint32 indexed nodeId, uint96 earned);
    /// @notice A batch left that much to its relayer.
    /// @param relayerId in the RelayerRegistry.
    /// @param fee in the pay token's smallest unit.
    event FeeAccrued(uint32 indexed relayerId, uint96 fee);
    /// @notice Matured credits were paid to the node's payout address.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param payout where the node wants its money.
    /// @param amount in the pay token's smallest unit.
    event TabClaimed(uint32 indexed relayerId, uint32 indexed nodeId, address indexed payout, uint96 amount);
    /// @notice Matured fees were paid.
    /// @param relayerId in the RelayerRegistry.
    /// @param to who receives it.
    /// @param amount in the pay token's smallest unit.
    event RelayerFeeClaimed(uint32 indexed relayerId, address indexed to, uint96 amount);
    /// @notice A charge no longer counts: the session's lock holds that much again.
    /// @param sessionId the authorization's struct hash.
    /// @param pot out of which it came.
    /// @param amount in the pay token's smallest unit.
    event ChargeVoided(bytes32 indexed sessionId, bytes32 indexed pot, uint96 amount);
    /// @notice Credits of a tab, or where `nodeId` is 0 fees of the relayer, no longer count.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId whose tab, or 0 for the relayer's fees.
    /// @param pot into which they went.
    /// @param amount in the pay token's smallest unit.
    event CreditVoided(uint32 indexed relayerId, uint32 indexed nodeId, bytes32 indexed pot, uint96 amount);
    /// @notice No session can be opened until that time.
    /// @param until unix seconds.
    event NewSessionsPaused(uint48 until);
    /// @notice The pause was ended early.
    event NewSessionsResumed();

    /// @notice An amount or parameter must be above zero.
    error ZeroAmount();
    /// @notice The zero address neither holds nor receives anything.
    error ZeroAddress();
    /// @notice All books together must fit 96 bits.
    /// @param amount that all together would come to.
    /// @param most the limit, itself allowed.
    error AmountTooLarge(uint256 amount, uint256 most);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    /// @param asked what was to come in.
    /// @param received what came in.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice The payer's free balance is too small: deposit first.
    /// @param payer whose free balance it is.
    /// @param free what is there.
    /// @param asked what was to be taken.
    error InsufficientBalance(address payer, uint96 free, uint96 asked);
    /// @notice Only BatchSettlement settles.
    /// @param caller who tried.
    error NotBatchSettlement(address caller);
    /// @notice Only FraudProofs voids.
    /// @param caller who tried.
    error NotFraudProofs(address caller);
    /// @notice The tokens that a tab or a payer was to be credited with are not there.
    /// @param tracked what the books come to.
    /// @param held what the Escrow holds.
    error NotFunded(uint256 tracked, uint256 held);
    /// @notice Only TransferProofs credits what came without a call.
    /// @param caller who tried.
    error NotTransferProofs(address caller);
    /// @notice Only the guardian pauses and resumes.
    /// @param caller who tried.
    error NotGuardian(address caller);
    /// @notice New sessions are paused; everything else goes on.
    /// @param until unix seconds.
    error NewSessionsArePaused(uint48 until);
    /// @notice No pause is running.
    error NotPaused();
    /// @notice The guardian's next pause may start only then.
    /// @param notBefore unix seconds.
    error PauseTooSoon(uint48 notBefore);
    /// @notice An authorization opens one session, once.
    /// @param sessionId the authorization's struct hash.
    error SessionExists(bytes32 sessionId);
    /// @notice No such session was ever opened.
    /// @param sessionId the authorization's struct hash.
    error UnknownSession(bytes32 sessionId);
    /// @notice The payer has revoked this authorization.
    /// @param sessionId the authorization's struct hash.
    error SessionIsRevoked(bytes32 sessionId);
    /// @notice The session takes no more money: it is closing since then.
    /// @param sessionId the authorization's struct hash.
    /// @param closingAt since when, unix seconds.
    error SessionIsClosing(bytes32 sessionId, uint48 closingAt);
    /// @notice The session is open: close it first.
    /// @param sessionId the authorization's struct hash.
    error SessionNotClosing(bytes32 sessionId);
    /// @notice 3 W after closing have not passed.
    /// @param sessionId the authorization's struct hash.
    /// @param releasableAt unix seconds.
    error LockNotReleasable(bytes32 sessionId, uint48 releasableAt);
    /// @notice All that is left of the lock is spent or reserved.
    /// @param sessionId the authorization's struct hash.
    error NothingToRelease(bytes32 sessionId);
    /// @notice The payer did not sign this authorization in this deployment's domain.
    /// @param sessionId the authorization's struct hash.
    /// @param payer whose signature opens the session.
    error AuthorizationSignatureInvalid(bytes32 sessionId, address payer);
    /// @notice validAfter <= now < validUntil does not hold.
    /// @param sessionId the authorization's struct hash.
    /// @param validAfter unix seconds, as signed.
    /// @param validUntil unix seconds, as signed.
    /// @param timestamp of this block, unix seconds.
    error AuthorizationNotValidNow(bytes32 sessionId, uint48 validAfter, uint48 validUntil, uint256 timestamp);
    /// @notice The mode is neither VOUCHER (0) nor ALLOWANCE (1).
    /// @param mode as signed.
    error AuthorizationModeUnknown(uint8 mode);
    /// @notice A VOUCHER session needs a session key.
    /// @param sessionId the authorization's struct hash.
    error SessionKeyMissing(bytes32 sessionId);
    /// @notice An ALLOWANCE session needs a maxPerDay above zero of which the double fits.
    /// @param maxPerDay as signed.
    /// @param most the limit, itself allowed.
    error MaxPerDayOutOfRange(uint96 maxPerDay, uint96 most);
    /// @notice The relayer is unknown or retired.
    /// @param relayerId in the RelayerRegistry.
    error RelayerNotLive(uint32 relayerId);
    /// @notice The relayer is jailed.
    /// @param relayerId in the RelayerRegistry.
    error RelayerIsJailed(uint32 relayerId);
    /// @notice Only the session's payer may do this.
    /// @param sessionId the authorization's struct hash.
    /// @param caller who tried.
    error NotPayer(bytes32 sessionId, address caller);
    /// @notice Only the payer or the relayer's poster closes a session.
    /// @param sessionId the authorization's struct hash.
    /// @param caller who tried.
    error NotPayerOrPoster(bytes32 sessionId, address caller);
    /// @notice The session is unknown (`relayerId` 0) or another relayer's.
    /// @param sessionId the authorization's struct hash.
    /// @param relayerId whose session it is.
    /// @param headerRelayerId whose batch it is.
    error SessionOfOtherRelayer(bytes32 sessionId, uint32 relayerId, uint32 headerRelayerId);
    /// @notice An item of a batch changes nothing.
    /// @param id the item's: a session id, or a node id.
    error ZeroChange(uint256 id);
    /// @notice The voucher that would raise the proven cap is not signed by the session key.
    /// @param sessionId the authorization's struct hash.
    /// @param sessionKey as the payer named it.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error VoucherSignatureInvalid(bytes32 sessionId, address sessionKey, address recovered);
    /// @notice An ALLOWANCE session takes no voucher.
    /// @param sessionId the authorization's struct hash.
    /// @param mode as signed.
    error VoucherNotAccepted(bytes32 sessionId, uint8 mode);
    /// @notice The total charge, forces included, would pass what the payer's signatures cover.
    /// @param sessionId the authorization's struct hash.
    /// @param charge what the session would have been charged in all.
    /// @param provenCap what signatures cover.
    error ChargeAboveProvenCap(bytes32 sessionId, uint256 charge, uint96 provenCap);
    /// @notice The total charge, forces included, would pass what is locked.
    /// @param sessionId the authorization's struct hash.
    /// @param charge what the session would have been charged in all.
    /// @param lock what is locked now.
    error ChargeAboveLock(bytes32 sessionId, uint256 charge, uint96 lock);
    /// @notice The change is more than the ALLOWANCE session's bucket holds now.
    /// @param sessionId the authorization's struct hash.
    /// @param change what the batch charges.
    /// @param level what the bucket holds.
    error ChargeAboveBucket(bytes32 sessionId, uint96 change, uint96 level);
    /// @notice The tab would pass what the node has signed for.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param earned what the tab would have been credited in all.
    /// @param provenEarned what the node has signed for in all.
    error CreditAboveProvenEarned(uint32 relayerId, uint32 nodeId, uint256 earned, uint96 provenEarned);
    /// @notice The node has no key of that epoch.
    /// @param nodeId in the NodeRegistry.
    /// @param keyEpoch of the node's key.
    error UnknownNodeEpoch(uint32 nodeId, uint32 keyEpoch);
    /// @notice The receipt that would raise the tab is not signed by the node's key of that epoch.
    /// @param nodeId in the NodeRegistry.
    /// @param key of the node in that epoch.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error ReceiptSignatureInvalid(uint32 nodeId, address key, address recovered);
    /// @notice A batch has too many items: split it.
    /// @param items of the batch.
    /// @param most the limit, itself allowed.
    error TooManyItems(uint256 items, uint256 most);
    /// @notice Items must be strictly ascending by id: `next` stands after `previous`.
    /// @param previous the id before it.
    /// @param next the id that should be above it.
    error ItemsNotAscending(uint256 previous, uint256 next);
    /// @notice The debits are not those that the header names.
    /// @param debitsHash that the header names.
    /// @param computed what the items come to.
    error WrongDebitsHash(bytes32 debitsHash, bytes32 computed);
    /// @notice The credits are not those that the header names.
    /// @param creditsHash that the header names.
    /// @param computed what the items come to.
    error WrongCreditsHash(bytes32 creditsHash, bytes32 computed);
    /// @notice The sums of the items are not those that the header names.
    /// @param totalDebit sum of the batch's debits.
    /// @param totalCredit sum of the batch's credits.
    /// @param headerDebit that the header names.
    /// @param headerCredit that the header names.
    error WrongTotals(uint256 totalDebit, uint256 totalCredit, uint96 headerDebit, uint96 headerCredit);
    /// @notice More would be credited than is debited.
    /// @param totalDebit sum of the batch's debits.
    /// @param totalCredit sum of the batch's credits.
    error CreditAboveDebit(uint256 totalDebit, uint256 totalCredit);
    /// @notice The relayer's fee would exceed 1,000 bps of the credits.
    /// @param fee what the batch would leave to the relayer.
    /// @param most 1,000 bps of the credits.
    error FeeAboveLimit(uint256 fee, uint256 most);
    /// @notice Debits that have not matured would pass leverage x the relayer's active bond: bond more, or wait.
    /// @param relayerId in the RelayerRegistry.
    /// @param unmaturedDebits what they would come to.
    /// @param most leverage x active bond.
    error LeverageExceeded(uint32 relayerId, uint256 unmaturedDebits, uint256 most);
    /// @notice Nothing is payable yet to that node or relayer.
    /// @param id of the node or relayer.
    error NothingMatured(uint32 id);
    /// @notice Only the relayer's cold owner claims its fees.
    /// @param relayerId in the RelayerRegistry.
    /// @param caller who tried.
    error NotRelayerOwner(uint32 relayerId, address caller);
    /// @notice The routing seeds behind the matured fees are not revealed on the SaturationBoard.
    /// @param relayerId in the RelayerRegistry.
    /// @param revealedUntil how far they are revealed, unix seconds.
    /// @param needed how far they must be revealed, unix seconds.
    error SeedsNotRevealed(uint32 relayerId, uint256 revealedUntil, uint256 needed);

    // ---- deposits: the caller's tokens, or a signature's

    /// @notice Credits the caller with `amount` of its tokens (approve first).
    /// @param amount in the pay token's smallest unit.
    function deposit(uint96 amount) external;

    /// @notice Credits `payer` with `amount` of the caller's tokens (approve first).
    /// @param payer who is credited.
    /// @param amount in the pay token's smallest unit.
    function depositFor(address payer, uint96 amount) external;

    /// @notice As deposit, with an EIP-2612 permit. A permit that somebody used first does no harm: the allowance counts.
    /// @param amount in the pay token's smallest unit.
    /// @param deadline unix seconds, as signed.
    /// @param v of the signature.
    /// @param r of the signature.
    /// @param s of the signature.
    function depositWithPermit(uint96 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Credits `payer` through an ERC-3009 receiveWithAuthorization that it signed for this contract. Anyone may send it.
    /// @param payer who signed, and is credited.
    /// @param amount in the pay token's smallest unit.
    /// @param validAfter unix seconds, as signed.
    /// @param validBefore unix seconds, as signed.
    /// @param nonce as signed.
    /// @param v of the signature.
    /// @param r of the signature.
    /// @param s of the signature.
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

    /// @notice Credits `payer` with tokens that lie here and in no book. TransferProofs only, after it has seen that they are
    /// the payer's; what the books hold is out of its reach.
    /// @param payer who is credited.
    /// @param amount in the pay token's smallest unit.
    function creditArrived(address payer, uint96 amount) external;

    /// @notice Pays out of the caller's free balance.
    /// @param amount in the pay token's smallest unit.
    /// @param to who receives it.
    function withdraw(uint96 amount, address to) external;

    // ---- sessions

    /// @notice Opens a session and locks its budget. Anyone may send it; the payer's signature decides.
    /// @param authorization what the payer signed.
    /// @param signature of the authorization in the domain of BatchSettlement, by an EOA or through ERC-1271.
    /// @return sessionId the authorization's struct hash.
    function openSession(SpendingAuthorization calldata authorization, bytes calldata signature)
        external
        returns (bytes32 sessionId);

    /// @notice Adds to a session's lock from the payer's free balance. Payer only, while it is open.
    /// @param sessionId the authorization's struct hash.
    /// @param amount in the pay token's smallest unit.
    function topUp(bytes32 sessionId, uint96 amount) external;

    /// @notice Ends an open session, or bars one that is not open yet from ever being opened with the caller as payer.
    /// @param sessionId the authorization's struct hash.
    function revoke(bytes32 sessionId) external;

    /// @notice Starts CLOSING: no new orders; what was ordered can be settled for 3 W. Payer or the relayer's poster.
    /// @param sessionId the authorization's struct hash.
    function closeSession(bytes32 sessionId) external;

    /// @notice After CLOSING + 3 W, returns the lock's rest to the payer's free balance. Anyone may send it, more than once.
    /// @param sessionId the authorization's struct hash.
    /// @return amount what is free again.
    function releaseLock(bytes32 sessionId) external returns (uint96 amount);

    // ---- settlement

    /// @notice Checks every item of a batch, moves debits to credits and the rest to the relayer's fees. BatchSettlement only,
    /// after it has checked the header; its arguments are those of postBatch, handed on as they came.
    /// @param header the batch's, as signed.
    /// @param debits as given to postBatch.
    /// @param credits as given to postBatch.
    function settle(BatchHeader calldata header, bytes calldata, Debit[] calldata debits, Credit[] calldata credits)
        external;

    // ---- forces and voids

    /// @notice Keeps part of a session's lock back for an open force, and raises its proven cap. BatchSettlement only.
    /// @param sessionId the authorization's struct hash.
    /// @param amount that the force claims.
    /// @param cap of the voucher behind it, already checked; ignored in ALLOWANCE mode.
    /// @return held at most what the lock still holds unspent.
    function holdForForce(bytes32 sessionId, uint96 amount, uint96 cap) external returns (uint96 held);

    /// @notice Ends a hold and pays the node's tab as far as lock, proven cap and bucket reach. BatchSettlement only.
    /// @param sessionId the authorization's struct hash.
    /// @param nodeId in the NodeRegistry.
    /// @param held as holdForForce answered.
    /// @param due 0 where nothing is owed.
    /// @return paid of `due`; claimable at once.
    function payForce(bytes32 sessionId, uint32 nodeId, uint96 held, uint96 due) external returns (uint96 paid);

    /// @notice Credits a tab with tokens that have just arrived from a bond. BatchSettlement only.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @param amount in the pay token's smallest unit.
    function fundTab(uint32 relayerId, uint32 nodeId, uint96 amount) external;

    /// @notice Takes credits that no longer count into a pot. FraudProofs only.
    /// @param pot name of what a proof voids: the harmed session or the condemned batch.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId whose tab, or 0 for the relayer's fees.
    /// @param amount to be voided at most.
    /// @return taken at most what that tab or relayer has not been paid.
    function voidCredit(bytes32 pot, uint32 relayerId, uint32 nodeId, uint96 amount) external returns (uint96 taken);

    /// @notice Gives a charge that no longer counts back to a session's lock. FraudProofs only.
    /// @param pot name of what a proof voids: the harmed session or the condemned batch.
    /// @param sessionId the authorization's struct hash.
    /// @param amount to be given back at most.
    /// @return given at most what the pot holds and the session was charged.
    function voidDebit(bytes32 pot, bytes32 sessionId, uint96 amount) external returns (uint96 given);

    // ---- claims

    /// @notice Pays a tab's matured credits to the node's payout address. Anyone may send it.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @return amount what was paid.
    function claimTab(uint32 relayerId, uint32 nodeId) external returns (uint96 amount);

    /// @notice Pays a relayer's matured fees. Its owner only, and only once the seeds of that time are revealed.
    /// @param relayerId in the RelayerRegistry.
    /// @param to who receives it.
    /// @return amount what was paid.
    function claimRelayerFee(uint32 relayerId, address to) external returns (uint96 amount);

    // ---- guardian

    /// @notice Stops new sessions for 7 days. The next pause may start 28 days after this one's end at the earliest.
    function pauseNewSessions() external;

    /// @notice Ends a pause early.
    function resumeNewSessions() external;

    // ---- views

    /// @notice What a payer can withdraw or lock.
    /// @param payer whose balance is asked for.
    /// @return in the pay token's smallest unit.
    function freeBalanceOf(address payer) external view returns (uint96);
    /// @notice A session as stored, its bucket as of now.
    /// @param sessionId the authorization's struct hash.
    /// @return the session; `payer` is zero where it was never opened.
    function sessionOf(bytes32 sessionId) external view returns (Session memory);
    /// @notice Since when a session is closing.
    /// @param sessionId the authorization's struct hash.
    /// @return since when the session is closing, or 0 while it is open or unknown.
    function closingSince(bytes32 sessionId) external view returns (uint48);
    /// @notice Whether that payer has revoked that session's authorization.
    /// @param payer whose revocation is asked for.
    /// @param sessionId the authorization's struct hash.
    /// @return true for good.
    function isRevoked(address payer, bytes32 sessionId) external view returns (bool);
    /// @notice A node's account at a relayer, matured as of now.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @return all zero where nothing was ever credited.
    function tabOf(uint32 relayerId, uint32 nodeId) external view returns (Tab memory);
    /// @notice What claimTab would pay now.
    /// @param relayerId in the RelayerRegistry.
    /// @param nodeId in the NodeRegistry.
    /// @return in the pay token's smallest unit.
    function claimableTab(uint32 relayerId, uint32 nodeId) external view returns (uint96);
    /// @notice A relayer's totals, matured as of now.
    /// @param relayerId in the RelayerRegistry.
    /// @return all zero where nothing was ever settled.
    function relayerAccountOf(uint32 relayerId) external view returns (RelayerAccount memory);
    /// @notice What claimRelayerFee would pay now, seeds aside.
    /// @param relayerId in the RelayerRegistry.
    /// @return in the pay token's smallest unit.
    function claimableRelayerFee(uint32 relayerId) external view returns (uint96);
    /// @notice How much more a relayer can debit now.
    /// @param relayerId in the RelayerRegistry.
    /// @return what the relayer may still debit now: leverage x active bond less its unmatured debits.
    function debitCapacityOf(uint32 relayerId) external view returns (uint256);
    /// @notice What waits in a pot.
    /// @param pot name of what a proof voids: the harmed session or the condemned batch.
    /// @return what was voided under that name and is not given back yet.
    function potOf(bytes32 pot) external view returns (uint96);
    /// @notice All books together.
    /// @return the sum of all books, never above the token balance.
    function trackedBalance() external view returns (uint256);
    /// @notice Who may call creditArrived.
    /// @return zero where nobody may.
    function transferProofs() external view returns (address);
    /// @notice The end of the last pause; new sessions are paused before it.
    /// @return unix seconds; 0 where there never was one.
    function newSessionsPausedUntil() external view returns (uint48);
}
