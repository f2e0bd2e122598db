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
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param from who paid.
    /// @param amount in the smallest unit of that party's token.
    event Bonded(Party indexed party, uint32 indexed id, address indexed from, uint96 amount);
    /// @notice Part of a bond began to unbond; all that unbonds can be withdrawn at that time.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param amount in the smallest unit of that party's token.
    /// @param withdrawableAt unix seconds.
    event UnbondRequested(Party indexed party, uint32 indexed id, uint96 amount, uint48 withdrawableAt);
    /// @notice What had unbonded was paid out.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param to who receives it.
    /// @param amount in the smallest unit of that party's token.
    event BondWithdrawn(Party indexed party, uint32 indexed id, address indexed to, uint96 amount);
    /// @notice FraudProofs took from a bond.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param to who receives it.
    /// @param amount in the smallest unit of that party's token.
    event Slashed(Party indexed party, uint32 indexed id, address indexed to, uint96 amount);
    /// @notice A party is barred until that time.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param until unix seconds.
    event Jailed(Party indexed party, uint32 indexed id, uint48 until);

    /// @notice An amount or parameter must be above zero.
    error ZeroAmount();
    /// @notice Tokens are not sent to the zero address.
    error ZeroAddress();
    /// @notice No node or relayer of that id was ever registered.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    error UnknownParty(Party party, uint32 id);
    /// @notice Only the party's cold owner may do this.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param caller who tried.
    error NotOwner(Party party, uint32 id, address caller);
    /// @notice Only FraudProofs slashes and jails; BatchSettlement takes what forces are owed from relayers' bonds.
    /// @param caller who tried.
    error NotFraudProofs(address caller);
    /// @notice More than the active bond was asked to be unbonded.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param active what is bonded and not unbonding.
    /// @param asked what was to be unbonded.
    error BondTooSmall(Party party, uint32 id, uint96 active, uint96 asked);
    /// @notice Nothing was asked to be unbonded.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    error NothingUnbonding(Party party, uint32 id);
    /// @notice The delay (14 W for nodes, 21 W for relayers) has not passed.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param withdrawableAt unix seconds.
    error StillUnbonding(Party party, uint32 id, uint48 withdrawableAt);
    /// @notice The token delivered another amount than asked for: fee-on-transfer tokens are refused.
    /// @param asked what was to come in.
    /// @param received what came in.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice All bonds of one kind together must fit 96 bits.
    /// @param amount that all together would come to.
    /// @param most the limit, itself allowed.
    error AmountTooLarge(uint256 amount, uint256 most);

    /// @notice Adds to a bond from the caller's tokens (approve first). Anyone may add to anyone's.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param amount in the smallest unit of that party's token.
    function bond(Party party, uint32 id, uint96 amount) external;

    /// @notice Starts the delay for part of the active bond. Owner only. A further request joins the first and starts the
    /// delay of the whole anew.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param amount in the smallest unit of that party's token.
    function requestUnbond(Party party, uint32 id, uint96 amount) external;

    /// @notice Pays out what has unbonded. Owner only.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param to who receives it.
    function withdraw(Party party, uint32 id, address to) external;

    /// @notice Takes up to `amount`, active bond first, and sends it to `to`. FraudProofs only, and BatchSettlement for what a
    /// resolved force is owed by a relayer.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param amount at most, in the smallest unit of that party's token.
    /// @param to who receives what is taken.
    /// @return taken never more than the whole bond.
    function slash(Party party, uint32 id, uint96 amount, address to) external returns (uint96 taken);

    /// @notice Bars a party from new sessions, slots and requests until a time. FraudProofs only; never shortens a term.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @param until unix seconds.
    function jail(Party party, uint32 id, uint48 until) external;

    /// @notice The bond as stored.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @return all zero where there is none.
    function bondOf(Party party, uint32 id) external view returns (Bond memory);

    /// @notice The part of a bond that counts.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @return the bond that counts for slots and leverage: not unbonding.
    function activeBondOf(Party party, uint32 id) external view returns (uint96);

    /// @notice Whether a jail term is running.
    /// @param party node or relayer.
    /// @param id of that party in its registry.
    /// @return true until the term has passed.
    function isJailed(Party party, uint32 id) external view returns (bool);

    /// @notice How many slots a node may attest.
    /// @param nodeId in the NodeRegistry.
    /// @return the slots a node may attest: active stake / stakePerSlot, 0 while jailed.
    function slotsOf(uint32 nodeId) external view returns (uint256);

    /// @notice All bonds of one kind.
    /// @param party node or relayer.
    /// @return everything the books hold of one party's token, kept per party.
    function totalBonded(Party party) external view returns (uint256);
}
