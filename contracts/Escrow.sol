// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IEscrow, SessionDebit, TabCredit} from "./interfaces/IEscrow.sol";
import {EscrowBase, EscrowWiring} from "./escrow/EscrowBase.sol";
import {Sessions} from "./escrow/Sessions.sol";
import {Tabs} from "./escrow/Tabs.sol";

/// @title Payers' balances, sessions and their locks, nodes' tabs, relayers' fees
/// @notice `multicall` joins calls of one sender, such as depositWithPermit and openSession.
contract Escrow is Sessions, Tabs, Multicall {
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
    function settle(uint32 relayerId, SessionDebit[] calldata debits, TabCredit[] calldata credits)
        external
        override
        returns (uint256 totalDebit, uint256 totalCredit)
    {
        if (msg.sender != batchSettlement) revert NotBatchSettlement(msg.sender);
        for (uint256 i = 0; i < debits.length; ++i) {
            _debit(relayerId, debits[i]);
            totalDebit += debits[i].change;
        }
        for (uint256 i = 0; i < credits.length; ++i) {
            _credit(relayerId, credits[i]);
            totalCredit += credits[i].change;
        }
        _account(relayerId, totalDebit, totalCredit);
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
