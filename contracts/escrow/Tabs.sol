// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Credit} from "../interfaces/IBatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {IEscrow, RelayerAccount, Tab} from "../interfaces/IEscrow.sol";
import {Fees} from "../libraries/Fees.sol";
import {Items} from "../libraries/Items.sol";
import {Maturity, Trail} from "../libraries/Maturity.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {TASK_RECEIPT_TYPEHASH} from "../types/TaskReceipt.sol";
import {Deposits} from "./Deposits.sol";

/// @title Nodes' tabs and relayers' fees: what was earned, what has matured, what was paid
abstract contract Tabs is Deposits {
    using Maturity for Trail;

    uint48 private constant CREDIT_PERIOD_WINDOWS = 3;
    uint48 private constant FEE_PERIOD_WINDOWS = 7;

    struct TabBook {
        // written by every batch
        uint96 earned;
        uint96 provenEarned;
        uint32 lastPeriod;
        // written by the first batch of a period
        Trail trail;
        uint96 claimed;
        uint96 voidedEarned;
        // written by resolved forces
        uint96 forcedEarned;
    }

    struct RelayerBook {
        uint96 debited;
        uint96 fees;
        uint32 lastDebitPeriod;
        uint32 lastFeePeriod;
        Trail debitTrail;
        Trail feeTrail;
        uint96 feesClaimed;
        uint96 feesVoided;
    }

    mapping(uint32 relayerId => mapping(uint32 nodeId => TabBook)) private tabs;
    mapping(uint32 relayerId => RelayerBook) private relayers;

    /// @inheritdoc IEscrow
    function claimTab(uint32 relayerId, uint32 nodeId) external override nonReentrant returns (uint96 amount) {
        amount = claimableTab(relayerId, nodeId);
        if (amount == 0) revert NothingMatured(nodeId);
        tabs[relayerId][nodeId].claimed += amount;
        address payout = nodeRegistry.payoutOf(nodeId);
        emit TabClaimed(relayerId, nodeId, payout, amount);
        _payOut(payout, amount);
    }

    /// @inheritdoc IEscrow
    function claimRelayerFee(uint32 relayerId, address to) external override nonReentrant returns (uint96 amount) {
        if (msg.sender != relayerRegistry.ownerOf(relayerId)) revert NotRelayerOwner(relayerId, msg.sender);
        amount = claimableRelayerFee(relayerId);
        if (amount == 0) revert NothingMatured(relayerId);
        _checkSeedsRevealed(relayerId);
        relayers[relayerId].feesClaimed += amount;
        emit RelayerFeeClaimed(relayerId, to, amount);
        _payOut(to, amount);
    }

    /// @inheritdoc IEscrow
    function tabOf(uint32 relayerId, uint32 nodeId) external view override returns (Tab memory) {
        TabBook storage tab = tabs[relayerId][nodeId];
        return Tab({
            earned: tab.earned,
            provenEarned: tab.provenEarned,
            matured: tab.trail.matured(tab.lastPeriod, _creditPeriod(), tab.earned),
            voidedEarned: tab.voidedEarned,
            claimed: tab.claimed,
            forcedEarned: tab.forcedEarned
        });
    }

    /// @inheritdoc IEscrow
    function relayerAccountOf(uint32 relayerId) external view override returns (RelayerAccount memory) {
        RelayerBook storage relayer = relayers[relayerId];
        return RelayerAccount({
            debited: relayer.debited,
            debitedMatured: relayer.debitTrail.matured(relayer.lastDebitPeriod, _creditPeriod(), relayer.debited),
            fees: relayer.fees,
            feesMatured: relayer.feeTrail.matured(relayer.lastFeePeriod, _feePeriod(), relayer.fees),
            feesVoided: relayer.feesVoided,
            feesClaimed: relayer.feesClaimed
        });
    }

    /// @inheritdoc IEscrow
    function claimableTab(uint32 relayerId, uint32 nodeId) public view override returns (uint96) {
        TabBook storage tab = tabs[relayerId][nodeId];
        uint96 matured = tab.trail.matured(tab.lastPeriod, _creditPeriod(), tab.earned);
        return _restOf(uint256(matured) + tab.forcedEarned, tab.voidedEarned, tab.claimed);
    }

    /// @inheritdoc IEscrow
    function claimableRelayerFee(uint32 relayerId) public view override returns (uint96) {
        RelayerBook storage relayer = relayers[relayerId];
        uint96 matured = relayer.feeTrail.matured(relayer.lastFeePeriod, _feePeriod(), relayer.fees);
        return _restOf(matured, relayer.feesVoided, relayer.feesClaimed);
    }

    /// @inheritdoc IEscrow
    function debitCapacityOf(uint32 relayerId) external view override returns (uint256) {
        uint256 most = uint256(leverage) * bondVault.activeBondOf(Party.RELAYER, relayerId);
        uint256 unmatured = _unmaturedDebits(relayers[relayerId]);
        return most > unmatured ? most - unmatured : 0;
    }

    /// @inheritdoc IEscrow
    function voidCredit(bytes32 pot, uint32 relayerId, uint32 nodeId, uint96 amount)
        external
        override
        onlyFraudProofs
        returns (uint96 taken)
    {
        if (nodeId == 0) {
            RelayerBook storage relayer = relayers[relayerId];
            taken = _least(amount, _restOf(relayer.fees, relayer.feesVoided, relayer.feesClaimed));
            relayer.feesVoided += taken;
        } else {
            TabBook storage tab = tabs[relayerId][nodeId];
            taken = _least(amount, _restOf(uint256(tab.earned) + tab.forcedEarned, tab.voidedEarned, tab.claimed));
            tab.voidedEarned += taken;
        }
        potOf[pot] += taken;
        emit CreditVoided(relayerId, nodeId, pot, taken);
    }

    /// @inheritdoc IEscrow
    function fundTab(uint32 relayerId, uint32 nodeId, uint96 amount) external override onlyBatchSettlement {
        _trackArrived(amount);
        tabs[relayerId][nodeId].forcedEarned += amount;
    }

    function _creditForce(uint32 relayerId, uint32 nodeId, uint96 amount) internal {
        tabs[relayerId][nodeId].forcedEarned += amount;
    }

    /// @return total of the changes of all credits, strictly ascending by node.
    function _creditAll(BatchHeader calldata header, Credit[] calldata credits) internal returns (uint256 total) {
        bytes memory list = Items.room(credits.length);
        bytes32 separator = _domainSeparator();
        uint32 period = _creditPeriod();
        uint256 previous;
        for (uint256 i = 0; i < credits.length; ++i) {
            Credit calldata credit = credits[i];
            uint256 id = credit.nodeId;
            uint256 change = credit.change;
            if (id <= previous) revert ItemsNotAscending(previous, id);
            previous = id;
            // At most 500 amounts of 96 bits.
            unchecked {
                total += change;
            }
            Items.put(list, i, id, change);
            _credit(header.relayerId, credit, period, separator);
        }
        bytes32 computed = Items.hash(list);
        if (computed != header.creditsHash) revert WrongCreditsHash(header.creditsHash, computed);
    }

    function _credit(uint32 relayerId, Credit calldata credit, uint32 period, bytes32 separator) private {
        uint32 nodeId = credit.nodeId;
        uint96 change = credit.change;
        if (change == 0) revert ZeroChange(nodeId);
        TabBook storage tab = tabs[relayerId][nodeId];
        // Read together, so that the slot is loaded once.
        uint96 earned = tab.earned;
        uint96 proven = tab.provenEarned;
        uint32 lastPeriod = tab.lastPeriod;
        uint256 newEarned = uint256(earned) + change;
        if (credit.nodeCumulative > proven) proven = _provenBy(relayerId, credit, separator);
        if (newEarned > proven) revert CreditAboveProvenEarned(relayerId, nodeId, newEarned, proven);
        if (lastPeriod != period) tab.trail.roll(lastPeriod, earned);
        // At most `proven`, hence within 96 bits.
        tab.earned = uint96(newEarned);
        tab.provenEarned = proven;
        tab.lastPeriod = period;
        emit TabCredited(relayerId, nodeId, uint96(newEarned));
    }

    /// @dev A receipt counts under the key epoch that it names even after a rotation: it can only raise what the node itself
    /// claims, and debits bound what it is paid.
    function _provenBy(uint32 relayerId, Credit calldata credit, bytes32 separator) private view returns (uint96) {
        uint32 nodeId = credit.nodeId;
        uint96 cumulative = credit.nodeCumulative;
        address key = nodeRegistry.keyAddressOf(nodeId, credit.keyEpoch);
        if (key == address(0)) revert UnknownNodeEpoch(nodeId, credit.keyEpoch);
        bytes32 structHash = keccak256(
            abi.encode(
                TASK_RECEIPT_TYPEHASH, credit.bodyHash, nodeId, relayerId, credit.keyEpoch, credit.nodeSeq, cumulative
            )
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(separator, structHash);
        address recovered = Signatures.recoverCompact(digest, credit.r, credit.vs);
        if (recovered != key) revert ReceiptSignatureInvalid(nodeId, key, recovered);
        return cumulative;
    }

    /// @dev The batch's totals: leverage, the bound on fees, and the relayer's running totals.
    function _account(uint32 relayerId, uint256 totalDebit, uint256 totalCredit) internal {
        if (totalCredit > totalDebit) revert CreditAboveDebit(totalDebit, totalCredit);
        uint256 fee = totalDebit - totalCredit;
        uint256 feeMost = totalCredit * Fees.FEE_BPS_MAX / Fees.BPS;
        if (fee > feeMost) revert FeeAboveLimit(fee, feeMost);

        RelayerBook storage relayer = relayers[relayerId];
        uint256 unmatured = _unmaturedDebits(relayer) + totalDebit;
        uint256 most = uint256(leverage) * bondVault.activeBondOf(Party.RELAYER, relayerId);
        if (unmatured > most) revert LeverageExceeded(relayerId, unmatured, most);

        _roll(relayer);
        // Running totals over a life: 2^96 units, 10^22 dollars of six decimals.
        relayer.debited = _toUint96(relayer.debited + totalDebit);
        relayer.fees = _toUint96(relayer.fees + fee);
        emit FeeAccrued(relayerId, uint96(fee));
    }

    function _roll(RelayerBook storage relayer) private {
        uint32 period = _creditPeriod();
        if (relayer.lastDebitPeriod != period) {
            relayer.debitTrail.roll(relayer.lastDebitPeriod, relayer.debited);
            relayer.lastDebitPeriod = period;
        }
        period = _feePeriod();
        if (relayer.lastFeePeriod != period) {
            relayer.feeTrail.roll(relayer.lastFeePeriod, relayer.fees);
            relayer.lastFeePeriod = period;
        }
    }

    /// @dev Matured fees were posted before the last full period; seeds up to there, or to the end of the period of the last
    /// fee if that was earlier, cover every decision behind them.
    function _checkSeedsRevealed(uint32 relayerId) private view {
        if (address(saturationBoard) == address(0)) return;
        uint256 lastOfFees = uint256(relayers[relayerId].lastFeePeriod) + 1;
        uint256 lastOfMatured = uint256(_feePeriod()) - 1;
        uint256 period = lastOfFees < lastOfMatured ? lastOfFees : lastOfMatured;
        uint256 needed = period * FEE_PERIOD_WINDOWS * windowSeconds;
        uint256 revealed = saturationBoard.revealedUntil(relayerId);
        if (revealed < needed) revert SeedsNotRevealed(relayerId, revealed, needed);
    }

    function _unmaturedDebits(RelayerBook storage relayer) private view returns (uint256) {
        return relayer.debited - relayer.debitTrail.matured(relayer.lastDebitPeriod, _creditPeriod(), relayer.debited);
    }

    /// @dev Voided amounts are taken off what has matured first, so that a void never meets an empty tab.
    function _restOf(uint256 matured, uint96 voided, uint96 claimed) private pure returns (uint96) {
        uint256 gone = uint256(voided) + claimed;
        return matured > gone ? uint96(matured - gone) : 0;
    }

    function _toUint96(uint256 amount) private pure returns (uint96) {
        if (amount > type(uint96).max) revert AmountTooLarge(amount, type(uint96).max);
        return uint96(amount);
    }

    function _creditPeriod() private view returns (uint32) {
        return uint32(block.timestamp / (CREDIT_PERIOD_WINDOWS * windowSeconds));
    }

    function _feePeriod() private view returns (uint32) {
        return uint32(block.timestamp / (FEE_PERIOD_WINDOWS * windowSeconds));
    }
}
