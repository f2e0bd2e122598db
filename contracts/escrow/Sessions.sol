// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {IEscrow, Session, SessionDebit} from "../interfaces/IEscrow.sol";
import {SpendingAuthorization} from "../types/SpendingAuthorization.sol";
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
        uint96 kept = book.charged + book.forced + book.reserved;
        amount = book.lock - kept;
        if (amount == 0) revert NothingToRelease(sessionId);
        book.lock = kept;
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

    /// @dev One entry of a batch. Neither closing nor expiry is asked: what was ordered before them is settled after them, as
    /// far as the lock reaches.
    function _debit(uint32 relayerId, SessionDebit calldata debit) internal {
        Book storage book = books[debit.sessionId];
        if (book.relayerId != relayerId) revert SessionOfOtherRelayer(debit.sessionId, book.relayerId, relayerId);
        if (debit.change == 0) revert ZeroChange(debit.sessionId);
        uint96 charged = book.charged;
        uint96 provenCap = book.provenCap;
        if (debit.cap > provenCap) provenCap = _raisedCap(book, debit);

        uint256 newCharged = uint256(charged) + debit.change;
        uint256 spent = newCharged + book.forced;
        if (spent > provenCap) revert ChargeAboveProvenCap(debit.sessionId, spent, provenCap);
        if (spent > book.lock) revert ChargeAboveLock(debit.sessionId, spent, book.lock);
        if (book.mode == ALLOWANCE) _drawBucket(book, debit);

        // Below the lock, hence within 96 bits.
        book.charged = uint96(newCharged);
        book.provenCap = provenCap;
        emit SessionDebited(debit.sessionId, debit.change, uint96(newCharged));
    }

    /// @return the voucher's cap, at most maxTotal.
    function _raisedCap(Book storage book, SessionDebit calldata debit) private view returns (uint96) {
        // In ALLOWANCE mode the proven cap is maxTotal from the start and no voucher raises it.
        if (book.mode != VOUCHER) revert VoucherNotAccepted(debit.sessionId, book.mode);
        address sessionKey = book.sessionKey;
        if (debit.signer != sessionKey) revert VoucherSignatureInvalid(debit.sessionId, sessionKey, debit.signer);
        uint96 maxTotal = book.maxTotal;
        return debit.cap < maxTotal ? debit.cap : maxTotal;
    }

    function _drawBucket(Book storage book, SessionDebit calldata debit) private {
        uint96 level = _bucketLevel(book.bucketLevel, book.maxPerDay, book.bucketAt);
        if (debit.change > level) revert ChargeAboveBucket(debit.sessionId, debit.change, level);
        book.bucketLevel = level - debit.change;
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
