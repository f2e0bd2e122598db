// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {SaturationAttestation} from "../types/SaturationAttestation.sol";

/// @notice The last attestation of a node to a relayer that was proven onto the board.
/// @dev Saturations in basis points, times in unix milliseconds; `seq` 0 where there is none.
struct Saturation {
    uint64 seq;
    uint16 slots;
    uint16 prepSlots;
    uint16 computeBps;
    uint16 memoryBps;
    uint16 queueBps;
    uint16 networkBps;
    uint48 observedAtMs;
    uint48 validUntilMs;
    bytes32 attestationHash;
}

/// @notice A relayer's figure for one model in one epoch: the slot-weighted mean of the greatest dimension.
/// @dev slotBps = sum of slots x greatest saturation; saturation = slotBps / slots.
struct PoolFigure {
    bytes32 modelId;
    uint64 slots;
    uint128 slotBps;
}

/// @title Attested saturation, on chain
/// @notice A root per relayer and epoch, seed commitments and reveals, single attestations that anyone can prove.
interface ISaturationBoard {
    /// @notice A relayer's root over the attestations of an epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param root Merkle-sum root over the epoch's board leaves.
    /// @param leafCount number of board leaves.
    /// @param dataHash names the data behind the root.
    event EpochCommitted(uint32 indexed relayerId, uint64 indexed epoch, bytes32 root, uint32 leafCount, bytes32 dataHash);
    /// @notice A relayer's figure for one model in that epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param slots attested for the model.
    /// @param slotBps sum of slots x greatest saturation, in basis points.
    event PoolCommitted(
        uint32 indexed relayerId, uint64 indexed epoch, bytes32 indexed modelId, uint64 slots, uint128 slotBps
    );
    /// @notice The prices of the model at this relayer are base x multiplier / 1e6 from now on.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param multiplier millionths.
    event TideMoved(uint32 indexed relayerId, uint64 indexed epoch, bytes32 indexed modelId, uint32 multiplier);
    /// @notice A relayer's routing seeds from that epoch on hash down to the anchor.
    /// @param relayerId in the RelayerRegistry.
    /// @param firstEpoch the first epoch of the chain.
    /// @param anchor the hash of the first epoch's seed.
    event SeedChainCommitted(uint32 indexed relayerId, uint64 indexed firstEpoch, bytes32 anchor);
    /// @notice The seed of that epoch, which proves all before it.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param seed of that epoch.
    event SeedRevealed(uint32 indexed relayerId, uint64 indexed epoch, bytes32 seed);
    /// @notice A relayer goes on with its next chain; the seeds of these epochs were not revealed, and its fees wait.
    /// @param relayerId in the RelayerRegistry.
    /// @param firstEpoch the first that was forfeited.
    /// @param lastEpoch the last that was forfeited.
    /// @param withheldUntil until when the relayer's fees wait for it, unix seconds.
    event SeedsForfeited(uint32 indexed relayerId, uint64 firstEpoch, uint64 lastEpoch, uint48 withheldUntil);
    /// @notice An attestation was proven onto the board: all of its members stand here, some of them packed.
    /// @param nodeId in the NodeRegistry.
    /// @param relayerId in the RelayerRegistry.
    /// @param attestationHash its struct hash.
    /// @param keyEpoch of the node's key.
    /// @param figures from the lowest bit: seq (64), slots, prepSlots, computeBps, memoryBps, queueBps, networkBps (16 each),
    /// observedAtMs, validUntilMs (48 each).
    /// @param prevHash of the attestation before it.
    /// @param queuedTokens as attested.
    /// @param kvFreeTokens as attested.
    /// @param offersHash as attested.
    event AttestationRecorded(
        uint32 indexed nodeId,
        uint32 indexed relayerId,
        bytes32 indexed attestationHash,
        uint32 keyEpoch,
        uint256 figures,
        bytes32 prevHash,
        uint32 queuedTokens,
        uint32 kvFreeTokens,
        bytes32 offersHash
    );

    /// @notice Only the relayer's poster commits for it; zero where the relayer is unknown.
    /// @param relayerId in the RelayerRegistry.
    /// @param caller who tried.
    /// @param poster who may; zero where the relayer is unknown.
    error NotPoster(uint32 relayerId, address caller, address poster);
    /// @notice Only an epoch that has ended, after the last one committed, can be committed.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param lastCommitted the relayer's newest epoch.
    /// @param current the epoch that runs now.
    error EpochNotCommittable(uint32 relayerId, uint64 epoch, uint64 lastCommitted, uint64 current);
    /// @notice Root and leaf count must be there.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    error EmptyRoot(uint32 relayerId, uint64 epoch);
    /// @notice One commitment carries so many figures at most.
    /// @param pools that were given.
    /// @param most the limit, itself allowed.
    error TooManyPools(uint256 pools, uint256 most);
    /// @notice Slots are above zero and slotBps at most 10,000 x slots.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param slots that were claimed.
    /// @param slotBps that was claimed.
    error PoolFigureOutOfRange(bytes32 modelId, uint64 slots, uint128 slotBps);
    /// @notice One figure per model and epoch.
    /// @param modelId keccak256 of the model's canonical name.
    /// @param epoch of the board: unix seconds / epoch length.
    error PoolRepeated(bytes32 modelId, uint64 epoch);
    /// @notice A seed chain begins with a later epoch than the current one, after the epochs of the chain before it.
    /// @param relayerId in the RelayerRegistry.
    /// @param firstEpoch the first epoch of the chain.
    /// @param earliest the first that would do.
    error SeedChainTooEarly(uint32 relayerId, uint64 firstEpoch, uint64 earliest);
    /// @notice The relayer has committed no seeds.
    /// @param relayerId in the RelayerRegistry.
    error NoSeedChain(uint32 relayerId);
    /// @notice Only an epoch that has ended and was not yet covered by a reveal can be revealed.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param lastRevealed the newest that is covered.
    /// @param current the epoch that runs now.
    error SeedNotRevealable(uint32 relayerId, uint64 epoch, uint64 lastRevealed, uint64 current);
    /// @notice One reveal covers so many epochs at most: reveal an earlier seed first.
    /// @param steps epochs that it would cover.
    /// @param most the limit, itself allowed.
    error TooManySeedSteps(uint64 steps, uint64 most);
    /// @notice Seeds are forfeited to a following chain only, once its first epoch has begun; 0 where there is none.
    /// @param relayerId in the RelayerRegistry.
    /// @param nextFirstEpoch of the following chain, 0 for none.
    /// @param current the epoch that runs now.
    error NextSeedChainNotBegun(uint32 relayerId, uint64 nextFirstEpoch, uint64 current);
    /// @notice The seed does not hash to the one revealed before it.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param reached what the seed hashes down to.
    /// @param expected the seed revealed before it, or the anchor.
    error WrongSeed(uint32 relayerId, uint64 epoch, bytes32 reached, bytes32 expected);
    /// @notice The node has no key of that epoch.
    /// @param nodeId in the NodeRegistry.
    /// @param keyEpoch of the node's key.
    error UnknownNodeEpoch(uint32 nodeId, uint32 keyEpoch);
    /// @notice The attestation is not signed by the node's key of that epoch.
    /// @param nodeId in the NodeRegistry.
    /// @param key of that epoch.
    /// @param recovered who signed in fact; zero for a malformed signature.
    error AttestationSignatureInvalid(uint32 nodeId, address key, address recovered);
    /// @notice opened - W <= observed < closed + W does not hold.
    /// @param observedAtMs unix milliseconds, as signed.
    /// @param openedAt when that key epoch was opened, unix seconds.
    /// @param closedAt when that key epoch was closed, unix seconds; 0 while open.
    error AttestationOutsideKeyEpoch(uint48 observedAtMs, uint48 openedAt, uint48 closedAt);
    /// @notice Observed more than a minute ahead of the chain.
    /// @param observedAtMs unix milliseconds, as signed.
    /// @param timestampMs of this block, unix milliseconds.
    error AttestationFromFuture(uint48 observedAtMs, uint256 timestampMs);
    /// @notice A later attestation is on the board already.
    /// @param nodeId in the NodeRegistry.
    /// @param relayerId in the RelayerRegistry.
    /// @param seq as signed.
    /// @param last seq of the one on the board.
    error SeqNotRising(uint32 nodeId, uint32 relayerId, uint64 seq, uint64 last);
    /// @notice Epochs must have a length.
    error ZeroEpoch();
    /// @notice The Escrow of the deployment names another board.
    /// @param named the address that is named instead.
    error Miswired(address named);
    /// @notice Saturations are at most 10,000 basis points.
    /// @param greatestBps of the four dimensions.
    error SaturationOutOfRange(uint16 greatestBps);

    /// @notice Commits the root over a relayer's attestations of an epoch that has ended. Its poster only; epochs strictly rise.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param root Merkle-sum root over the epoch's board leaves.
    /// @param leafCount number of board leaves (modelId, nodeId, attestation).
    /// @param dataHash names the data behind the root, served by the relayer.
    /// @param pools at most 64 figures; later contestable by FraudProofs.
    function commitEpoch(
        uint32 relayerId,
        uint64 epoch,
        bytes32 root,
        uint32 leafCount,
        bytes32 dataHash,
        PoolFigure[] calldata pools
    ) external;

    /// @notice Commits a chain of routing seeds: keccak256(seed of an epoch) = seed of the epoch before; `anchor` is the hash of
    /// the first epoch's seed. The relayer's poster only, before the first epoch starts. A following chain takes over at its
    /// first epoch, once the seeds before it are revealed.
    /// @param relayerId in the RelayerRegistry.
    /// @param firstEpoch the first epoch of the chain.
    /// @param anchor the hash of the first epoch's seed.
    function commitSeedChain(uint32 relayerId, uint64 firstEpoch, bytes32 anchor) external;

    /// @notice Reveals the seed of an epoch that has ended; it proves all earlier ones. Anyone may send it.
    /// @dev At most 4,096 epochs a call.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @param seed of that epoch.
    function revealSeed(uint32 relayerId, uint64 epoch, bytes32 seed) external;

    /// @notice Goes on with the following chain, which has begun, without revealing what is left of the one before. The relayer's
    /// poster only: for one that was away until its chain had ended, or lost its seeds.
    /// @dev Until 14 W and the forfeited time have passed, seeds count as revealed up to the first forfeited epoch: fees wait. Who
    /// hides seeds again and again is never paid.
    /// @param relayerId in the RelayerRegistry.
    function forfeitSeeds(uint32 relayerId) external;

    /// @notice Proves one attestation onto the board. Anyone may send it; its seq must be above the last recorded one.
    /// @param attestation as the node signed it.
    /// @param signature the node's: 65 bytes.
    function recordAttestation(SaturationAttestation calldata attestation, bytes calldata signature) external;

    /// @notice What a node last proved of its saturation.
    /// @param nodeId in the NodeRegistry.
    /// @param relayerId in the RelayerRegistry.
    /// @return the last recorded attestation of a node to a relayer.
    function saturationOf(uint32 nodeId, uint32 relayerId) external view returns (Saturation memory);

    /// @notice A model's pooled saturation at a relayer.
    /// @param relayerId in the RelayerRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    /// @return epoch the newest epoch in which the relayer gave a figure for the model, 0 for none.
    /// @return slots attested for the model.
    /// @return saturationBps slot-weighted mean of the greatest dimension.
    function poolSaturation(uint32 relayerId, bytes32 modelId)
        external
        view
        returns (uint64 epoch, uint64 slots, uint256 saturationBps);

    /// @notice What the tide does to base prices: within [0.5, 2], moved by at most 12.5 % an epoch toward 70 % saturation, back
    /// toward 1 while the relayer commits no figure for the model.
    /// @param relayerId in the RelayerRegistry.
    /// @param modelId keccak256 of the model's canonical name.
    /// @return millionths; 1,000,000 where there was never a figure.
    function tideMultiplier(uint32 relayerId, bytes32 modelId) external view returns (uint32);

    /// @notice The root of an epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @return the root of an epoch, zero where none was committed.
    function epochRootOf(uint32 relayerId, uint64 epoch) external view returns (bytes32);

    /// @notice The hash of what was committed for an epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @param epoch of the board: unix seconds / epoch length.
    /// @return keccak256(abi.encode(EpochCommitment)), by which root, leaf count and figures can be shown later; zero where
    /// nothing was committed.
    function epochHashOf(uint32 relayerId, uint64 epoch) external view returns (bytes32);

    /// @notice The relayer's newest epoch.
    /// @param relayerId in the RelayerRegistry.
    /// @return the epoch last committed, 0 for none.
    function lastEpochOf(uint32 relayerId) external view returns (uint64);

    /// @notice Where a relayer's seeds stand.
    /// @param relayerId in the RelayerRegistry.
    /// @return firstEpoch of the chain in use, 0 for none.
    /// @return lastRevealed firstEpoch - 1 before the first reveal.
    /// @return reached the seed last revealed, or the anchor.
    /// @return nextFirstEpoch of the chain that follows, 0 for none.
    /// @return nextAnchor its anchor.
    function seedChainOf(uint32 relayerId)
        external
        view
        returns (uint64 firstEpoch, uint64 lastRevealed, bytes32 reached, uint64 nextFirstEpoch, bytes32 nextAnchor);

    /// @notice How far a relayer's seeds are revealed.
    /// @param relayerId in the RelayerRegistry.
    /// @return unix seconds up to which the relayer's routing seeds are revealed; 0 where it revealed none. While fees are
    /// withheld for forfeited seeds: the start of the first epoch that was forfeited.
    function revealedUntil(uint32 relayerId) external view returns (uint256);

    /// @notice The epoch of a time.
    /// @param timestamp unix seconds.
    /// @return the epoch of a time: unix seconds / epoch length.
    function epochAt(uint256 timestamp) external view returns (uint64);
}
