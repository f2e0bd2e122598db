// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Bond, IBondVault, Party} from "./interfaces/IBondVault.sol";
import {IKeyRing} from "./interfaces/IKeyRing.sol";
import {TidelaneDomain} from "./libraries/TidelaneDomain.sol";

/// @title Node stakes and relayer bonds
contract BondVault is IBondVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint48 private constant NODE_UNBONDING_WINDOWS = 14;
    uint48 private constant RELAYER_UNBONDING_WINDOWS = 21;

    IERC20 public immutable stakeToken;
    IERC20 public immutable payToken;
    IKeyRing public immutable nodeRegistry;
    IKeyRing public immutable relayerRegistry;
    /// @notice Slashes and jails; zero in a deployment without fraud proofs.
    address public immutable fraudProofs;
    /// @notice Takes from a relayer's bond what a resolved force is owed: BatchSettlement, as the registries name it.
    address public immutable batchSettlement;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;
    /// @notice Stake behind each slot that a node may attest.
    uint96 public immutable stakePerSlot;

    mapping(Party party => mapping(uint32 id => Bond)) private bonds;
    mapping(Party party => uint256) public override totalBonded;

    constructor(
        IERC20 stakeToken_,
        IERC20 payToken_,
        IKeyRing nodeRegistry_,
        IKeyRing relayerRegistry_,
        address fraudProofs_,
        uint48 windowSeconds_,
        uint96 stakePerSlot_
    ) {
        if (windowSeconds_ == 0 || stakePerSlot_ == 0) revert ZeroAmount();
        stakeToken = stakeToken_;
        payToken = payToken_;
        nodeRegistry = nodeRegistry_;
        relayerRegistry = relayerRegistry_;
        fraudProofs = fraudProofs_;
        batchSettlement = TidelaneDomain(address(relayerRegistry_)).verifyingContract();
        windowSeconds = windowSeconds_;
        stakePerSlot = stakePerSlot_;
    }

    modifier onlyOwner(Party party, uint32 id) {
        if (msg.sender != _registryOf(party).ownerOf(id)) revert NotOwner(party, id, msg.sender);
        _;
    }

    modifier onlyFraudProofs() {
        if (msg.sender != fraudProofs) revert NotFraudProofs(msg.sender);
        _;
    }

    /// @inheritdoc IBondVault
    function bond(Party party, uint32 id, uint96 amount) external override nonReentrant {
        if (amount == 0) revert ZeroAmount();
        if (_registryOf(party).ownerOf(id) == address(0)) revert UnknownParty(party, id);
        uint256 total = totalBonded[party] + amount;
        // The sum of all bonds stays in 96 bits, so no single one can leave them.
        if (total > type(uint96).max) revert AmountTooLarge(total, type(uint96).max);
        totalBonded[party] = total;
        bonds[party][id].active += amount;
        emit Bonded(party, id, msg.sender, amount);
        _pull(_tokenOf(party), amount);
    }

    /// @inheritdoc IBondVault
    function requestUnbond(Party party, uint32 id, uint96 amount) external override onlyOwner(party, id) {
        if (amount == 0) revert ZeroAmount();
        Bond storage entry = bonds[party][id];
        if (amount > entry.active) revert BondTooSmall(party, id, entry.active, amount);
        uint48 windows = party == Party.NODE ? NODE_UNBONDING_WINDOWS : RELAYER_UNBONDING_WINDOWS;
        entry.active -= amount;
        entry.unbonding += amount;
        entry.withdrawableAt = uint48(block.timestamp) + windows * windowSeconds;
        emit UnbondRequested(party, id, amount, entry.withdrawableAt);
    }

    /// @inheritdoc IBondVault
    function withdraw(Party party, uint32 id, address to) external override nonReentrant onlyOwner(party, id) {
        if (to == address(0)) revert ZeroAddress();
        Bond storage entry = bonds[party][id];
        uint96 amount = entry.unbonding;
        if (amount == 0) revert NothingUnbonding(party, id);
        if (block.timestamp < entry.withdrawableAt) revert StillUnbonding(party, id, entry.withdrawableAt);
        entry.unbonding = 0;
        entry.withdrawableAt = 0;
        totalBonded[party] -= amount;
        emit BondWithdrawn(party, id, to, amount);
        _tokenOf(party).safeTransfer(to, amount);
    }

    /// @inheritdoc IBondVault
    function slash(Party party, uint32 id, uint96 amount, address to)
        external
        override
        nonReentrant
        returns (uint96 taken)
    {
        bool mayTake = msg.sender == fraudProofs || (msg.sender == batchSettlement && party == Party.RELAYER);
        if (!mayTake) revert NotFraudProofs(msg.sender);
        Bond storage entry = bonds[party][id];
        uint96 fromActive = amount < entry.active ? amount : entry.active;
        uint96 rest = amount - fromActive;
        uint96 fromUnbonding = rest < entry.unbonding ? rest : entry.unbonding;
        entry.active -= fromActive;
        entry.unbonding -= fromUnbonding;
        if (entry.unbonding == 0) entry.withdrawableAt = 0;
        taken = fromActive + fromUnbonding;
        totalBonded[party] -= taken;
        emit Slashed(party, id, to, taken);
        if (taken != 0) _tokenOf(party).safeTransfer(to, taken);
    }

    /// @inheritdoc IBondVault
    function jail(Party party, uint32 id, uint48 until) external override onlyFraudProofs {
        Bond storage entry = bonds[party][id];
        if (until <= entry.jailedUntil) return;
        entry.jailedUntil = until;
        emit Jailed(party, id, until);
    }

    /// @inheritdoc IBondVault
    function bondOf(Party party, uint32 id) external view override returns (Bond memory) {
        return bonds[party][id];
    }

    /// @inheritdoc IBondVault
    function activeBondOf(Party party, uint32 id) external view override returns (uint96) {
        return bonds[party][id].active;
    }

    /// @inheritdoc IBondVault
    function isJailed(Party party, uint32 id) public view override returns (bool) {
        return block.timestamp < bonds[party][id].jailedUntil;
    }

    /// @inheritdoc IBondVault
    function slotsOf(uint32 nodeId) external view override returns (uint256) {
        return isJailed(Party.NODE, nodeId) ? 0 : bonds[Party.NODE][nodeId].active / stakePerSlot;
    }

    function _pull(IERC20 token, uint96 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(amount, received);
    }

    function _registryOf(Party party) private view returns (IKeyRing) {
        return party == Party.NODE ? nodeRegistry : relayerRegistry;
    }

    function _tokenOf(Party party) private view returns (IERC20) {
        return party == Party.NODE ? stakeToken : payToken;
    }
}
