// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Credit, Debit} from "./interfaces/IBatchSettlement.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {EscrowBase, EscrowWiring} from "./escrow/EscrowBase.sol";
import {Sessions} from "./escrow/Sessions.sol";
import {Tabs} from "./escrow/Tabs.sol";
import {BatchHeader} from "./types/BatchHeader.sol";

/// @title Payers' balances, sessions and their locks, nodes' tabs, relayers' fees
/// @notice `multicall` joins calls of one sender, such as depositWithPermit and openSession.
contract Escrow is Sessions, Tabs, Multicall {
    /// @dev A batch of that many stays well below the gas that EIP-7825 leaves to one transaction.
    uint256 private constant ITEMS_MAX = 500;
    uint48 private constant PAUSE_SECONDS = 7 days;
    uint48 private constant BETWEEN_PAUSES_SECONDS = 28 days;

    uint48 private pausedUntil;
    uint48 private nextPauseNotBefore;

    constructor(EscrowWiring memory wiring) EscrowBase(wiring) {}

    modifier onlyGuardian() {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        _;
    }

    /// @inheritdoc IEscrow
    function settle(BatchHeader calldata header, bytes calldata, Debit[] calldata debits, Credit[] calldata credits)
        external
        override
        onlyBatchSettlement
    {
        if (debits.length + credits.length > ITEMS_MAX) revert TooManyItems(debits.length + credits.length, ITEMS_MAX);
        uint256 totalDebit = _debitAll(header, debits);
        uint256 totalCredit = _creditAll(header, credits);
        if (totalDebit != header.totalDebit || totalCredit != header.totalCredit) {
            revert WrongTotals(totalDebit, totalCredit, header.totalDebit, header.totalCredit);
        }
        _account(header.relayerId, totalDebit, totalCredit);
    }

    /// @inheritdoc IEscrow
    function payForce(bytes32 sessionId, uint32 nodeId, uint96 held, uint96 due)
        external
        override
        onlyBatchSettlement
        returns (uint96 paid)
    {
        uint32 relayerId;
        (relayerId, paid) = _payForce(sessionId, held, due);
        if (paid != 0) _creditForce(relayerId, nodeId, paid);
    }

    /// @inheritdoc IEscrow
    function pauseNewSessions() external override onlyGuardian {
        if (block.timestamp < nextPauseNotBefore) revert PauseTooSoon(nextPauseNotBefore);
        pausedUntil = uint48(block.timestamp) + PAUSE_SECONDS;
        nextPauseNotBefore = pausedUntil + BETWEEN_PAUSES_SECONDS;
        emit NewSessionsPaused(pausedUntil);
    }

    /// @inheritdoc IEscrow
    function resumeNewSessions() external override onlyGuardian {
        if (block.timestamp >= pausedUntil) revert NotPaused();
        pausedUntil = uint48(block.timestamp);
        emit NewSessionsResumed();
    }

    /// @inheritdoc IEscrow
    function newSessionsPausedUntil() public view override(IEscrow, Sessions) returns (uint48) {
        return pausedUntil;
    }
}
