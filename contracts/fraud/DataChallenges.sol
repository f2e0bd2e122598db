// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Batch} from "../interfaces/IBatchSettlement.sol";
import {Party} from "../interfaces/IBondVault.sol";
import {DataChallenge, IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {Item, Items, ItemsOpening} from "../libraries/Items.sol";
import {Leaf, SumProof} from "../libraries/MerkleSum.sol";
import {Maturity} from "../libraries/Maturity.sol";
import {Record} from "../libraries/Records.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {Verdict} from "./Evidence.sol";
import {LeafJudge} from "./LeafJudge.sol";
import {Penalties} from "./Penalties.sol";

/// @title F9: data that a batch's relayer keeps back
///
///     posted ── <= W ──▶ challengeData ── W ──▶ condemn ──▶ voidEntries, openForce
///                             │  answerData: the record stands in the transaction, the bond is the relayer's
///
/// @notice A challenge comes early enough that a condemned batch can be voided before any of its credits mature. A condemnation
/// that comes later costs the bond, and undoes nothing.
abstract contract DataChallenges is Penalties {
    using SafeERC20 for IERC20;

    uint16 private constant WHOLE_BPS = 10_000;
    uint48 private constant CREDIT_PERIOD_WINDOWS = 3;

    LeafJudge public immutable leafJudge;
    /// @notice At least twice what an answer's gas costs.
    uint96 public immutable challengeBond;

    mapping(uint32 relayerId => mapping(uint64 batchId => uint48)) public override condemnedAt;
    mapping(bytes32 place => DataChallenge) private challenges;

    constructor(LeafJudge leafJudge_, uint96 challengeBond_) {
        if (challengeBond_ == 0) revert ZeroAmount();
        leafJudge = leafJudge_;
        challengeBond = challengeBond_;
    }

    /// @inheritdoc IFraudProofs
    function challengeData(uint32 relayerId, uint64 batchId, uint32 index) external override nonReentrant {
        Batch memory batch = _posted(relayerId, batchId);
        uint256 until = uint256(batch.postedAt) + windowSeconds;
        if (block.timestamp > until) revert ChallengeTooLate(until);
        if (index >= batch.leafCount) revert IndexOutOfRange(index, batch.leafCount);
        DataChallenge storage challenge = challenges[_place(relayerId, batchId, index)];
        if (challenge.challenger != address(0)) revert ChallengedBefore(relayerId, batchId, index);
        challenge.challenger = msg.sender;
        challenge.openedAt = uint48(block.timestamp);
        emit DataChallenged(relayerId, batchId, index, msg.sender, block.timestamp + windowSeconds);
        uint256 before = payToken.balanceOf(address(this));
        payToken.safeTransferFrom(msg.sender, address(this), challengeBond);
        uint256 received = payToken.balanceOf(address(this)) - before;
        if (received != challengeBond) revert WrongAmountReceived(challengeBond, received);
    }

    /// @inheritdoc IFraudProofs
    function answerData(
        uint32 relayerId,
        uint64 batchId,
        Leaf calldata leaf,
        SumProof calldata sessionProof,
        Record calldata record
    ) external override {
        DataChallenge storage challenge = _open(relayerId, batchId, sessionProof.index);
        uint256 until = uint256(challenge.openedAt) + windowSeconds;
        if (block.timestamp > until) revert AnswerTooLate(until);
        leafJudge.requireRecord(relayerId, batchId, leaf, sessionProof, record);
        challenge.isSettled = true;
        owedTo[payToken][batchSettlement.relayerRegistry().ownerOf(relayerId)] += challengeBond;
        emit DataAnswered(relayerId, batchId, sessionProof.index);
    }

    /// @inheritdoc IFraudProofs
    function condemn(uint32 relayerId, uint64 batchId, uint32 index) external override nonReentrant {
        DataChallenge storage challenge = _open(relayerId, batchId, index);
        uint256 until = uint256(challenge.openedAt) + windowSeconds;
        if (block.timestamp <= until) revert AnswerStillPossible(until);
        challenge.isSettled = true;
        owedTo[payToken][challenge.challenger] += challengeBond;
        // The others who asked in vain get their bonds back only.
        bytes32 key = _potOf(relayerId, batchId);
        if (isPunished(key)) return;
        Batch memory batch = _posted(relayerId, batchId);
        // Credits that have matured are paid, and stay: their receipts must not become forceable beside them.
        if (_isImmature(batch)) {
            condemnedAt[relayerId][batchId] = uint48(block.timestamp);
            emit BatchCondemned(relayerId, batchId);
            escrow.voidCredit(key, relayerId, 0, batch.totalDebit - batch.totalCredit);
        }
        Verdict memory verdict;
        verdict.key = key;
        verdict.party = Party.RELAYER;
        verdict.offender = relayerId;
        verdict.relayerId = relayerId;
        verdict.penaltyBps = WHOLE_BPS;
        verdict.jail = true;
        _punish(verdict, challenge.challenger);
    }

    /// @inheritdoc IFraudProofs
    function voidEntries(BatchHeader calldata header, bool isDebit, ItemsOpening calldata opening) external override nonReentrant {
        uint32 relayerId = header.relayerId;
        uint64 batchId = header.batchId;
        if (condemnedAt[relayerId][batchId] == 0) revert NotCondemned(relayerId, batchId);
        Batch memory batch = _posted(relayerId, batchId);
        bytes32 shown = header.hash();
        if (shown != batch.batchHash) revert HeaderOfOtherBatch(batch.batchHash, shown);
        if (!_isImmature(batch)) revert BatchMatured(relayerId, batchId);
        Items.requireOpened(isDebit ? header.debitsHash : header.creditsHash, opening);
        uint256 voided;
        for (uint256 i = 0; i < opening.opened.length; ++i) {
            for (uint256 j = 0; j < opening.opened[i].length; ++j) {
                voided += _voidEntry(relayerId, batchId, isDebit, opening.opened[i][j]);
            }
        }
        if (voided == 0) revert NothingVoided(_potOf(relayerId, batchId));
    }

    /// @inheritdoc IFraudProofs
    function challengeOf(uint32 relayerId, uint64 batchId, uint32 index)
        external
        view
        override
        returns (DataChallenge memory)
    {
        return challenges[_place(relayerId, batchId, index)];
    }

    /// @dev A debit is given back as far as the pot reaches, and the rest when more credits are voided.
    function _voidEntry(uint32 relayerId, uint64 batchId, bool isDebit, Item calldata item) private returns (uint96 voided) {
        bytes32 pot = _potOf(relayerId, batchId);
        bytes32 entry = _entryOf(relayerId, batchId, isDebit, item.id);
        uint256 before = voidedOf[entry];
        if (before >= item.change) return 0;
        uint96 left = uint96(item.change - before);
        if (isDebit) {
            voided = escrow.voidDebit(pot, item.id, left);
            voidedOf[entry] = before + voided;
        } else {
            voided = escrow.voidCredit(pot, relayerId, uint32(uint256(item.id)), left);
            // Once: what the tab had been paid before cannot be taken later from other batches' credits.
            voidedOf[entry] = item.change;
        }
    }

    function _isImmature(Batch memory batch) private view returns (bool) {
        return Maturity.isImmature(batch.postedAt, CREDIT_PERIOD_WINDOWS * windowSeconds);
    }

    function _posted(uint32 relayerId, uint64 batchId) private view returns (Batch memory batch) {
        batch = batchSettlement.batchOf(relayerId, batchId);
        if (batch.batchHash == 0) revert BatchUnknown(relayerId, batchId);
    }

    function _open(uint32 relayerId, uint64 batchId, uint32 index) private view returns (DataChallenge storage challenge) {
        challenge = challenges[_place(relayerId, batchId, index)];
        if (challenge.challenger == address(0) || challenge.isSettled) revert NoOpenChallenge(relayerId, batchId, index);
    }

    function _place(uint32 relayerId, uint64 batchId, uint32 index) private pure returns (bytes32) {
        return keccak256(abi.encode(relayerId, batchId, index));
    }

    function _potOf(uint32 relayerId, uint64 batchId) private pure returns (bytes32) {
        return keccak256(abi.encode("F9", relayerId, batchId));
    }
}
