// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

/// @notice Whose bond: a node's is in the stake token, a relayer's in the pay token.
enum Party {
    NODE,
    RELAYER
}

/// @notice A bond as stored. Both amounts are slashable; only `active` counts for slots and leverage.
/// @dev Times in unix seconds. `withdrawableAt` is 0 where nothing is unbonding.
struct Bond {
    uint96 active;
    uint96 unbonding;
    uint48 withdrawableAt;
    uint48 jailedUntil;
}

/// @title Node stakes and relayer bonds
/// @notice A stake is slashable until the moment it is withdrawn. Nobody but FraudProofs can slash, nobody but it and
/// BatchSettlement can take, and nobody can pause.
interface IBondVault {
    /// @notice A bond grew.
    event Bonded(Party indexed party, uint32 indexed id, address indexed from, uint96 amount);
    /// @notice Part of a bond began to unbond; all that unbonds can be withdrawn at that time.
    event UnbondRequested(Party indexed party, uint32 indexed id, uint96 amount, uint48 withdrawableAt);
    /// @notice What had unbonded was paid out.
    event BondWithdrawn(Party indexed party, uint32 indexed id, address indexed to, uint96 amount);
    /// @notice FraudProofs took from a bond.
    event Slashed(Party indexed party, uint32 indexed id, address indexed to, uint96 amount);
    /// @notice A party is barred until that time.
    event Jailed(Party indexed party, uint32 indexed id, uint48 until);

    /// @notice An amount or parameter must be above zero.
    error ZeroAmount();
    /// @notice Tokens are not sent to the zero address.
    error ZeroAddress();
    /// @notice No node or relayer of that id was ever registered.
    error UnknownParty(Party party, uint32 id);
    /// @notice Only the party's cold owner may do this.
    error NotOwner(Party party, uint32 id, address caller);
    /// @notice Only FraudProofs slashes and jails; BatchSettlement takes what forces are owed from relayers' bonds.
    error NotFraudProofs(address caller);
    /// @notice More than the active bond was asked to be unbonded.
    error BondTooSmall(Party party, uint32 id, uint96 active, uint96 asked);
    /// @notice Nothing was asked to be unbonded.
    error NothingUnbonding(Party party, uint32 id);
    /// @notice The delay (14 W for nodes, 21 W for relayers) has not passed.
    error StillUnbonding(Party party, uint32 id, uint48 withdrawableAt);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice All bonds of one kind together must fit 96 bits.
    error AmountTooLarge(uint256 amount, uint256 most);

    /// @notice Adds to a bond from the caller's tokens (approve first). Anyone may add to anyone's.
    function bond(Party party, uint32 id, uint96 amount) external;

    /// @notice Starts the delay for part of the active bond. Owner only. A further request joins the first and starts the
    /// delay of the whole anew.
    function requestUnbond(Party party, uint32 id, uint96 amount) external;

    /// @notice Pays out what has unbonded. Owner only.
    function withdraw(Party party, uint32 id, address to) external;

    /// @notice Takes up to `amount`, active bond first, and sends it to `to`. FraudProofs only, and BatchSettlement for what a
    /// resolved force is owed by a relayer.
    /// @return taken never more than the whole bond.
    function slash(Party party, uint32 id, uint96 amount, address to) external returns (uint96 taken);

    /// @notice Bars a party from new sessions, slots and requests until a time. FraudProofs only; never shortens a term.
    function jail(Party party, uint32 id, uint48 until) external;

    /// @notice The bond as stored.
    function bondOf(Party party, uint32 id) external view returns (Bond memory);

    /// @return the bond that counts for slots and leverage: not unbonding.
    function activeBondOf(Party party, uint32 id) external view returns (uint96);

    /// @notice Whether a jail term is running.
    function isJailed(Party party, uint32 id) external view returns (bool);

    /// @return the slots a node may attest: active stake / stakePerSlot, 0 while jailed.
    function slotsOf(uint32 nodeId) external view returns (uint256);

    /// @return everything the books hold of one party's token, kept per party.
    function totalBonded(Party party) external view returns (uint256);
}
