// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BatchSettlement} from "../BatchSettlement.sol";
import {BondVault} from "../BondVault.sol";
import {Escrow} from "../Escrow.sol";
import {Bond, Party} from "../interfaces/IBondVault.sol";
import {IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {Verdict} from "./Evidence.sol";

/// @title What a verdict costs, and who gets it
///
///     refund    tab at fault, relayer's fees ──▶ the session's lock      while the batch is immature
///     shortfall, extra   relayer's bond ──▶ the harmed
///     penalty   the offender's bond ──▶ 30 % challenger, 20 % harmed, the rest burned
///
/// @notice Half of every penalty is burned at least, so slashing oneself never pays. Payments are pulled.
abstract contract Penalties is IFraudProofs, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant BPS = 10_000;
    uint256 private constant CHALLENGER_BPS = 3_000;
    uint256 private constant HARMED_BPS = 2_000;
    uint256 private constant DOUBLINGS_MAX = 7;
    /// @dev A jail term lasts as long as the party's bond takes to leave.
    uint48 private constant NODE_JAIL_WINDOWS = 14;
    uint48 private constant RELAYER_JAIL_WINDOWS = 21;
    address private constant NOBODY = address(0xdEaD);

    /// @dev Offences of a node within a day.
    struct Repeats {
        uint48 lastAt;
        uint8 count;
    }

    BatchSettlement public immutable batchSettlement;
    Escrow public immutable escrow;
    BondVault public immutable bondVault;
    IERC20 public immutable payToken;
    IERC20 public immutable stakeToken;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;

    mapping(IERC20 token => mapping(address account => uint256)) public override owedTo;
    mapping(IERC20 token => uint256) public override toBurn;
    mapping(uint32 relayerId => mapping(uint64 batchId => mapping(bytes32 leafHash => bool))) public override isVoided;
    mapping(uint32 nodeId => Repeats) private repeats;
    /// @dev How much of each debit and credit of a batch is voided already, whichever proof did it: none is voided beyond itself.
    mapping(bytes32 entry => uint256) internal voidedOf;
    /// @dev Of each punished offence how much of its excess was shown so far, and 1: zero is one that was never punished.
    mapping(bytes32 key => uint256) private shownOf;

    constructor(BatchSettlement batchSettlement_) {
        batchSettlement = batchSettlement_;
        escrow = batchSettlement_.escrow();
        bondVault = BondVault(address(escrow.bondVault()));
        if (escrow.fraudProofs() != address(this)) revert Miswired(escrow.fraudProofs());
        if (bondVault.fraudProofs() != address(this)) revert Miswired(bondVault.fraudProofs());
        payToken = bondVault.payToken();
        stakeToken = bondVault.stakeToken();
        windowSeconds = batchSettlement_.windowSeconds();
    }

    /// @inheritdoc IFraudProofs
    function claim(IERC20 token, address to) external override nonReentrant returns (uint256 amount) {
        amount = owedTo[token][msg.sender];
        if (amount == 0) revert NothingOwed(token, msg.sender);
        owedTo[token][msg.sender] = 0;
        emit Claimed(token, msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IFraudProofs
    function burn(IERC20 token) external override nonReentrant returns (uint256 amount) {
        amount = toBurn[token];
        if (amount == 0) revert NothingOwed(token, NOBODY);
        toBurn[token] = 0;
        emit Burned(token, amount);
        token.safeTransfer(NOBODY, amount);
    }

    /// @inheritdoc IFraudProofs
    function isPunished(bytes32 key) public view override returns (bool) {
        return shownOf[key] != 0;
    }

    function _punish(Verdict memory verdict, address challenger) internal {
        uint256 shown = shownOf[verdict.key];
        uint256 penalty = shown == 0 ? _penaltyOf(verdict) : _beyond(verdict, shown - 1);
        shownOf[verdict.key] = uint256(verdict.excess) + 1;
        uint96 refunded = _refund(verdict);
        uint96 taken = bondVault.slash(verdict.party, verdict.offender, _toUint96(penalty), address(this));
        _split(verdict.party == Party.NODE ? stakeToken : payToken, taken, challenger, verdict.harmed);
        if (verdict.jail) _jail(verdict.party, verdict.offender);
        emit Proven(msg.sig, verdict.party, verdict.offender, challenger, verdict.key, refunded, taken);
    }

    /// @dev Whoever is first to show a part of an excess keeps nobody from the rest. Refund and extra are multiples of the excess.
    /// @return penalty none: the offence is one.
    function _beyond(Verdict memory verdict, uint256 shown) private pure returns (uint256 penalty) {
        uint256 excess = verdict.excess;
        if (excess <= shown) revert PunishedBefore(verdict.key);
        verdict.fromTab = uint96(verdict.fromTab * (excess - shown) / excess);
        verdict.refund = uint96(verdict.refund * (excess - shown) / excess);
        verdict.extra = uint96(verdict.extra * (excess - shown) / excess);
        return 0;
    }

    /// @dev Of the bond as it stands before anything is taken from it.
    function _penaltyOf(Verdict memory verdict) private returns (uint256 penalty) {
        Bond memory bond = bondVault.bondOf(verdict.party, verdict.offender);
        uint256 bps = verdict.penaltyBps;
        if (verdict.doubles) bps <<= _repeated(verdict.offender);
        penalty = (uint256(bond.active) + bond.unbonding) * (bps < BPS ? bps : BPS) / BPS;
        if (penalty < verdict.penaltyLeast) penalty = verdict.penaltyLeast;
    }

    /// @return count of the same offence within a day of one another before this one.
    function _repeated(uint32 nodeId) private returns (uint256 count) {
        Repeats storage entry = repeats[nodeId];
        if (block.timestamp < uint256(entry.lastAt) + 1 days) count = entry.count;
        if (count < DOUBLINGS_MAX) entry.count = uint8(count + 1);
        entry.lastAt = uint48(block.timestamp);
    }

    /// @dev A leaf is voided once, whatever is proven about it.
    /// @return refunded to the lock and to the harmed.
    function _refund(Verdict memory verdict) private returns (uint96 refunded) {
        uint96 refund = verdict.refund;
        if (verdict.voidedLeaf != 0) {
            if (isVoided[verdict.relayerId][verdict.batchId][verdict.voidedLeaf]) refund = 0;
            else _void(verdict.relayerId, verdict.batchId, verdict.voidedLeaf);
        }
        uint96 given = _giveBack(verdict, refund);
        uint96 due = _toUint96(uint256(refund - given) + verdict.extra);
        uint96 fromBond;
        if (due != 0 && verdict.harmed != address(0)) {
            fromBond = bondVault.slash(Party.RELAYER, verdict.relayerId, due, address(this));
            owedTo[payToken][verdict.harmed] += fromBond;
        }
        return given + fromBond;
    }

    function _void(uint32 relayerId, uint64 batchId, bytes32 leafHash) private {
        isVoided[relayerId][batchId][leafHash] = true;
        emit LeafVoided(relayerId, batchId, leafHash);
    }

    /// @dev What a tab at fault was credited goes even where no session gets it.
    function _giveBack(Verdict memory verdict, uint96 refund) private returns (uint96 given) {
        uint96 fromTab;
        if (verdict.fromTab != 0 && (refund != 0 || verdict.sessionId == 0)) {
            fromTab = escrow.voidCredit(verdict.key, verdict.relayerId, verdict.nodeId, verdict.fromTab);
            voidedOf[_entryOf(verdict.relayerId, verdict.batchId, false, bytes32(uint256(verdict.nodeId)))] += fromTab;
        }
        if (refund == 0) return 0;
        if (refund > fromTab) escrow.voidCredit(verdict.key, verdict.relayerId, 0, refund - fromTab);
        given = escrow.voidDebit(verdict.key, verdict.sessionId, refund);
        voidedOf[_entryOf(verdict.relayerId, verdict.batchId, true, verdict.sessionId)] += given;
    }

    function _entryOf(uint32 relayerId, uint64 batchId, bool isDebit, bytes32 id) internal pure returns (bytes32) {
        return keccak256(abi.encode(relayerId, batchId, isDebit, id));
    }

    function _split(IERC20 token, uint256 taken, address challenger, address harmed) private {
        uint256 toChallenger = taken * CHALLENGER_BPS / BPS;
        uint256 toHarmed = harmed == address(0) ? 0 : taken * HARMED_BPS / BPS;
        owedTo[token][challenger] += toChallenger;
        if (toHarmed != 0) owedTo[token][harmed] += toHarmed;
        toBurn[token] += taken - toChallenger - toHarmed;
    }

    function _jail(Party party, uint32 id) private {
        uint48 windows = party == Party.NODE ? NODE_JAIL_WINDOWS : RELAYER_JAIL_WINDOWS;
        bondVault.jail(party, id, uint48(block.timestamp) + windows * windowSeconds);
    }

    function _toUint96(uint256 amount) internal pure returns (uint96) {
        return amount < type(uint96).max ? uint96(amount) : type(uint96).max;
    }
}
