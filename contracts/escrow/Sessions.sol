// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Debit} from "../interfaces/IBatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {IEscrow, Session} from "../interfaces/IEscrow.sol";
import {Items} from "../libraries/Items.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {SpendingAuthorization} from "../types/SpendingAuthorization.sol";
import {VOUCHER_TYPEHASH} from "../types/Voucher.sol";
import {Deposits} from "./Deposits.sol";

/// @title Payers' signed budgets and their locks
/// @notice A lock leaves the free balance at opening. Of it, `charged` and `forced` are spent for good, `reserved` waits for
/// open forces, the rest returns after CLOSING.
abstract contract Sessions is Deposits {
    uint8 private constant VOUCHER = 0;
    uint8 private constant ALLOWANCE = 1;
    uint48 private constant CLOSING_WINDOWS = 3;
    uint96 private constant MAX_PER_DAY_MAX = type(uint96).max / 2;

    /// @dev A batch touches the first three slots in VOUCHER mode; the first two and the bucket in ALLOWANCE mode.
    struct Book {
        // written by every batch
        uint96 charged;
        uint96 provenCap;
        uint32 relayerId;
        uint8 mode;
        // read by every batch
        uint96 lock;
        uint96 forced;
        uint48 closingAt;
        // read when a voucher raises the proven cap
        address sessionKey;
        uint96 maxTotal;
        // the bucket of ALLOWANCE mode
        uint96 bucketLevel;
        uint96 maxPerDay;
        uint48 bucketAt;
        // not touched by batches
        address payer;
        uint48 validAfter;
        uint48 validUntil;
        uint96 reserved;
        uint96 voidedCharge;
    }

    mapping(bytes32 sessionId => Book) private books;
    mapping(address payer => mapping(bytes32 sessionId => bool)) public override isRevoked;

    /// @inheritdoc IEscrow
    function openSession(SpendingAuthorization calldata authorization, bytes calldata signature)
        external
        override
        returns (bytes32 sessionId)
    {
        sessionId = authorization.hash();
        _checkOpenable(sessionId, authorization);
        if (!SignatureChecker.isValidSignatureNowCalldata(authorization.payer, _digest(sessionId), signature)) {
            revert AuthorizationSignatureInvalid(sessionId, authorization.payer);
        }
        _takeFree(authorization.payer, authorization.lock);
        _store(books[sessionId], authorization);
        emit SessionOpened(sessionId, authorization.payer, authorization.relayerId, authorization);
    }

    /// @inheritdoc IEscrow
    function topUp(bytes32 sessionId, uint96 amount) external override {
        Book storage book = _known(sessionId);
        if (msg.sender != book.payer) revert NotPayer(sessionId, msg.sender);
        if (amount == 0) revert ZeroAmount();
        _refuseClosing(sessionId, book);
        _takeFree(msg.sender, amount);
        book.lock += amount;
        emit SessionToppedUp(sessionId, amount, book.lock);
    }

    /// @inheritdoc IEscrow
    function revoke(bytes32 sessionId) external override {
        isRevoked[msg.sender][sessionId] = true;
        emit SessionRevoked(sessionId, msg.sender);
        Book storage book = books[sessionId];
        // A session of another payer is none of the caller's: the mark above binds the caller's own signature only.
        if (book.payer == msg.sender && _closingSince(book) == 0) _startClosing(sessionId, book);
    }

    /// @inheritdoc IEscrow
    function closeSession(bytes32 sessionId) external override {
        Book storage book = _known(sessionId);
        if (msg.sender != book.payer && msg.sender != relayerRegistry.posterOf(book.relayerId)) {
            revert NotPayerOrPoster(sessionId, msg.sender);
        }
        _refuseClosing(sessionId, book);
        _startClosing(sessionId, book);
    }

    /// @inheritdoc IEscrow
    function releaseLock(bytes32 sessionId) external override returns (uint96 amount) {
        Book storage book = _known(sessionId);
        uint48 since = _closingSince(book);
        if (since == 0) revert SessionNotClosing(sessionId);
        uint48 releasableAt = since + CLOSING_WINDOWS * windowSeconds;
        if (block.timestamp < releasableAt) revert LockNotReleasable(sessionId, releasableAt);
        uint256 kept = _spent(book) + book.reserved;
        if (book.lock <= kept) revert NothingToRelease(sessionId);
        amount = uint96(book.lock - kept);
        book.lock = uint96(kept);
        freeBalanceOf[book.payer] += amount;
        emit LockReleased(sessionId, book.payer, amount);
    }

    /// @inheritdoc IEscrow
    function sessionOf(bytes32 sessionId) external view override returns (Session memory) {
        Book storage book = books[sessionId];
        return Session({
            payer: book.payer,
            sessionKey: book.sessionKey,
            relayerId: book.relayerId,
            mode: book.mode,
            validAfter: book.validAfter,
            validUntil: book.validUntil,
            closingAt: book.closingAt,
            lock: book.lock,
            maxTotal: book.maxTotal,
            maxPerDay: book.maxPerDay,
            charged: book.charged,
            provenCap: book.provenCap,
            forced: book.forced,
            reserved: book.reserved,
            voidedCharge: book.voidedCharge,
            bucketLevel: _bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt)
        });
    }

    /// @inheritdoc IEscrow
    function closingSince(bytes32 sessionId) external view override returns (uint48) {
        Book storage book = books[sessionId];
        return book.payer == address(0) ? 0 : _closingSince(book);
    }

    /// @inheritdoc IEscrow
    function holdForForce(bytes32 sessionId, uint96 amount, uint96 cap)
        external
        override
        onlyBatchSettlement
        returns (uint96 held)
    {
        Book storage book = _known(sessionId);
        if (book.mode == VOUCHER) {
            cap = _least(cap, book.maxTotal);
            if (cap > book.provenCap) book.provenCap = cap;
        }
        held = _least(amount, book.lock - _spent(book));
        book.reserved += held;
    }

    /// @inheritdoc IEscrow
    function voidDebit(bytes32 pot, bytes32 sessionId, uint96 amount)
        external
        override
        onlyFraudProofs
        returns (uint96 given)
    {
        Book storage book = books[sessionId];
        given = _least(_least(amount, potOf[pot]), book.charged - book.voidedCharge);
        potOf[pot] -= given;
        book.voidedCharge += given;
        emit ChargeVoided(sessionId, pot, given);
    }

    /// @return relayerId whose session it is.
    /// @return paid of `due`.
    function _payForce(bytes32 sessionId, uint96 held, uint96 due) internal returns (uint32 relayerId, uint96 paid) {
        Book storage book = books[sessionId];
        relayerId = book.relayerId;
        book.reserved -= held;
        if (due == 0) return (relayerId, 0);
        uint256 spent = _spent(book);
        paid = _least(_least(due, book.lock - spent), book.provenCap - spent);
        if (book.mode == ALLOWANCE) {
            paid = _least(paid, _bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt));
            _drawBucket(book, sessionId, paid);
        }
        book.forced += paid;
    }

    /// @dev What has left the lock for good; never above the lock nor the proven cap.
    function _spent(Book storage book) private view returns (uint256) {
        return uint256(book.charged) + book.forced - book.voidedCharge;
    }

    /// @return total of the changes of all debits, strictly ascending by session.
    function _debitAll(BatchHeader calldata header, Debit[] calldata debits) internal returns (uint256 total) {
        bytes memory list = Items.room(debits.length);
        bytes32 separator = _domainSeparator();
        uint256 previous;
        for (uint256 i = 0; i < debits.length; ++i) {
            Debit calldata debit = debits[i];
            uint256 id = uint256(debit.sessionId);
            uint256 change = debit.change;
            if (id <= previous) revert ItemsNotAscending(previous, id);
            previous = id;
            // At most 500 amounts of 96 bits.
            unchecked {
                total += change;
            }
            Items.put(list, i, id, change);
            _debit(header.relayerId, debit, separator);
        }
        bytes32 computed = Items.hash(list);
        if (computed != header.debitsHash) revert WrongDebitsHash(header.debitsHash, computed);
    }

    /// @dev Neither closing nor expiry is asked: what was ordered before them is settled after them, as far as the lock reaches.
    function _debit(uint32 relayerId, Debit calldata debit, bytes32 separator) private {
        bytes32 sessionId = debit.sessionId;
        Book storage book = books[sessionId];
        // Read together, so that each slot is loaded once.
        uint32 ofRelayer = book.relayerId;
        uint8 mode = book.mode;
        uint96 provenCap = book.provenCap;
        uint256 charged = book.charged;
        uint96 lock = book.lock;
        uint256 spent = book.forced;
        if (ofRelayer != relayerId) revert SessionOfOtherRelayer(sessionId, ofRelayer, relayerId);
        uint96 change = debit.change;
        if (change == 0) revert ZeroChange(uint256(sessionId));
        // Sums of two and three 96-bit amounts.
        unchecked {
            charged += change;
            spent += charged;
        }
        uint96 cap = debit.cumulativeCap;
        if (cap > provenCap) provenCap = _raisedCap(book, mode, debit, separator);
        if (spent > provenCap) revert ChargeAboveProvenCap(sessionId, spent, provenCap);
        if (spent > lock) revert ChargeAboveLock(sessionId, spent, lock);
        if (mode == ALLOWANCE) _drawBucket(book, sessionId, change);

        // At most the lock, hence within 96 bits.
        book.charged = uint96(charged);
        book.provenCap = provenCap;
        emit SessionDebited(sessionId, uint96(charged));
    }

    /// @return the voucher's cap, at most maxTotal.
    function _raisedCap(Book storage book, uint8 mode, Debit calldata debit, bytes32 separator)
        private
        view
        returns (uint96)
    {
        address sessionKey = book.sessionKey;
        uint96 maxTotal = book.maxTotal;
        // In ALLOWANCE mode the proven cap is maxTotal from the start and no voucher raises it.
        if (mode != VOUCHER) revert VoucherNotAccepted(debit.sessionId, mode);
        uint96 cap = debit.cumulativeCap;
        bytes32 structHash = keccak256(abi.encode(VOUCHER_TYPEHASH, debit.sessionId, cap, debit.taskId));
        bytes32 digest = MessageHashUtils.toTypedDataHash(separator, structHash);
        address recovered = Signatures.recoverCompact(digest, debit.r, debit.vs);
        // A session key is never zero, so what recovers nothing is refused here too.
        if (recovered != sessionKey) revert VoucherSignatureInvalid(debit.sessionId, sessionKey, recovered);
        return cap < maxTotal ? cap : maxTotal;
    }

    function _drawBucket(Book storage book, bytes32 sessionId, uint96 change) private {
        uint96 level = _bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt);
        if (change > level) revert ChargeAboveBucket(sessionId, change, level);
        book.bucketLevel = level - change;
        book.bucketAt = uint48(block.timestamp);
    }

    /// @dev Token bucket: refilled at maxPerDay a day, rounded down, up to twice maxPerDay.
    function _bucketLevel(uint96 level, uint96 maxPerDay, uint48 since) private view returns (uint96) {
        uint256 refilled = level + uint256(maxPerDay) * (block.timestamp - since) / 1 days;
        uint256 capacity = 2 * uint256(maxPerDay);
        return uint96(refilled < capacity ? refilled : capacity);
    }

    function _checkOpenable(bytes32 sessionId, SpendingAuthorization calldata authorization) private view {
        if (block.timestamp < newSessionsPausedUntil()) revert NewSessionsArePaused(newSessionsPausedUntil());
        if (books[sessionId].payer != address(0)) revert SessionExists(sessionId);
        if (authorization.payer == address(0)) revert ZeroAddress();
        if (isRevoked[authorization.payer][sessionId]) revert SessionIsRevoked(sessionId);
        if (block.timestamp < authorization.validAfter || block.timestamp >= authorization.validUntil) {
            revert AuthorizationNotValidNow(
                sessionId, authorization.validAfter, authorization.validUntil, block.timestamp
            );
        }
        _checkMode(sessionId, authorization);
        uint32 relayerId = authorization.relayerId;
        if (!relayerRegistry.isLive(relayerId)) revert RelayerNotLive(relayerId);
        if (bondVault.isJailed(Party.RELAYER, relayerId)) revert RelayerIsJailed(relayerId);
    }

    function _checkMode(bytes32 sessionId, SpendingAuthorization calldata authorization) private pure {
        if (authorization.mode == VOUCHER) {
            if (authorization.sessionKey == address(0)) revert SessionKeyMissing(sessionId);
        } else if (authorization.mode == ALLOWANCE) {
            uint96 maxPerDay = authorization.maxPerDay;
            if (maxPerDay == 0 || maxPerDay > MAX_PER_DAY_MAX) revert MaxPerDayOutOfRange(maxPerDay, MAX_PER_DAY_MAX);
        } else {
            revert AuthorizationModeUnknown(authorization.mode);
        }
    }

    function _store(Book storage book, SpendingAuthorization calldata authorization) private {
        book.relayerId = authorization.relayerId;
        book.mode = authorization.mode;
        book.lock = authorization.lock;
        book.sessionKey = authorization.sessionKey;
        book.maxTotal = authorization.maxTotal;
        book.payer = authorization.payer;
        book.validAfter = authorization.validAfter;
        book.validUntil = authorization.validUntil;
        if (authorization.mode == ALLOWANCE) {
            book.provenCap = authorization.maxTotal;
            book.maxPerDay = authorization.maxPerDay;
            book.bucketLevel = 2 * authorization.maxPerDay;
            book.bucketAt = uint48(block.timestamp);
        }
    }

    function _known(bytes32 sessionId) private view returns (Book storage book) {
        book = books[sessionId];
        if (book.payer == address(0)) revert UnknownSession(sessionId);
    }

    function _refuseClosing(bytes32 sessionId, Book storage book) private view {
        uint48 since = _closingSince(book);
        if (since != 0) revert SessionIsClosing(sessionId, since);
    }

    function _startClosing(bytes32 sessionId, Book storage book) private {
        book.closingAt = uint48(block.timestamp);
        emit SessionClosing(sessionId, uint48(block.timestamp));
    }

    /// @dev A session ends by itself at validUntil.
    function _closingSince(Book storage book) private view returns (uint48) {
        if (book.closingAt != 0) return book.closingAt;
        return block.timestamp >= book.validUntil ? book.validUntil : 0;
    }

    function newSessionsPausedUntil() public view virtual override returns (uint48);
}
