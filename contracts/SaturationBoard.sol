// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "./BatchSettlement.sol";
import {EpochCommitment} from "./interfaces/IBoardEvidence.sol";
import {KeyEpoch} from "./interfaces/IKeyRing.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IRelayerRegistry} from "./interfaces/IRelayerRegistry.sol";
import {ISaturationBoard, PoolFigure, Saturation} from "./interfaces/ISaturationBoard.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Tide} from "./libraries/Tide.sol";
import {TidelaneDomain} from "./libraries/TidelaneDomain.sol";
import {SaturationAttestation, SATURATION_ATTESTATION_TYPEHASH} from "./types/SaturationAttestation.sol";

/// @title Attested saturation, on chain
contract SaturationBoard is ISaturationBoard, TidelaneDomain {
    uint256 private constant POOLS_MAX = 64;
    uint64 private constant SEED_STEPS_MAX = 4_096;
    /// @dev Fees wait so many W, and the forfeited time once more, where seeds were forfeited.
    uint48 private constant WITHHELD_WINDOWS = 14;
    uint16 private constant BPS = 10_000;
    /// @dev The type hash and the sixteen members of an attestation.
    uint256 private constant ENCODED_BYTES = 17 * 32;
    /// @dev A node's clock may run ahead of the chain's by this much.
    uint48 private constant AHEAD_MS_MAX = 60_000;

    INodeRegistry public immutable nodeRegistry;
    IRelayerRegistry public immutable relayerRegistry;
    /// @notice W, in seconds.
    uint48 public immutable windowSeconds;
    /// @notice Length of a saturation epoch, in seconds.
    uint48 public immutable epochSeconds;

    /// @dev One slot. The multiplier is that after `epoch`; 0 before the first figure.
    struct Pool {
        uint48 epoch;
        uint32 multiplier;
        uint64 slots;
        uint112 slotBps;
    }

    struct SeedChain {
        bytes32 reached;
        bytes32 nextAnchor;
        uint64 firstEpoch;
        uint64 lastRevealed;
        uint64 nextFirstEpoch;
        uint64 forfeitedFrom;
        uint48 withheldUntil;
    }

    mapping(uint32 relayerId => uint64) public override lastEpochOf;
    mapping(uint32 relayerId => mapping(uint64 epoch => bytes32)) public override epochRootOf;
    mapping(uint32 relayerId => mapping(uint64 epoch => bytes32)) public override epochHashOf;
    mapping(uint32 relayerId => mapping(bytes32 modelId => Pool)) private pools;
    mapping(uint32 relayerId => SeedChain) private chains;
    mapping(uint32 nodeId => mapping(uint32 relayerId => Saturation)) private recorded;

    /// @param batchSettlement deployed before this contract; its Escrow names the address that this contract gets, or none.
    constructor(BatchSettlement batchSettlement, uint48 epochSeconds_) TidelaneDomain(address(batchSettlement)) {
        if (epochSeconds_ == 0) revert ZeroEpoch();
        address named = address(batchSettlement.escrow().saturationBoard());
        if (named != address(this) && named != address(0)) revert Miswired(named);
        nodeRegistry = batchSettlement.nodeRegistry();
        relayerRegistry = batchSettlement.relayerRegistry();
        windowSeconds = batchSettlement.windowSeconds();
        epochSeconds = epochSeconds_;
    }

    modifier onlyPoster(uint32 relayerId) {
        address poster = relayerRegistry.posterOf(relayerId);
        if (msg.sender != poster) revert NotPoster(relayerId, msg.sender, poster);
        _;
    }

    /// @inheritdoc ISaturationBoard
    function commitEpoch(
        uint32 relayerId,
        uint64 epoch,
        bytes32 root,
        uint32 leafCount,
        bytes32 dataHash,
        PoolFigure[] calldata figures
    ) external override onlyPoster(relayerId) {
        uint64 current = epochAt(block.timestamp);
        uint64 last = lastEpochOf[relayerId];
        if (epoch <= last || epoch >= current) revert EpochNotCommittable(relayerId, epoch, last, current);
        if (root == 0 || leafCount == 0) revert EmptyRoot(relayerId, epoch);
        lastEpochOf[relayerId] = epoch;
        epochRootOf[relayerId][epoch] = root;
        epochHashOf[relayerId][epoch] =
            keccak256(abi.encode(EpochCommitment(relayerId, epoch, root, leafCount, figures)));
        emit EpochCommitted(relayerId, epoch, root, leafCount, dataHash);
        _storePools(relayerId, epoch, figures);
    }

    /// @inheritdoc ISaturationBoard
    function commitSeedChain(uint32 relayerId, uint64 firstEpoch, bytes32 anchor) external override onlyPoster(relayerId) {
        SeedChain storage chain = chains[relayerId];
        uint64 earliest = epochAt(block.timestamp) + 1;
        if (firstEpoch < earliest) revert SeedChainTooEarly(relayerId, firstEpoch, earliest);
        if (chain.firstEpoch == 0) {
            chain.firstEpoch = firstEpoch;
            chain.lastRevealed = firstEpoch - 1;
            chain.reached = anchor;
        } else {
            // Not to be moved once it has begun: its seeds may be in use.
            uint64 next = chain.nextFirstEpoch;
            if (next != 0 && next < earliest) revert SeedChainTooEarly(relayerId, firstEpoch, next);
            chain.nextFirstEpoch = firstEpoch;
            chain.nextAnchor = anchor;
        }
        emit SeedChainCommitted(relayerId, firstEpoch, anchor);
    }

    /// @inheritdoc ISaturationBoard
    function revealSeed(uint32 relayerId, uint64 epoch, bytes32 seed) external override {
        SeedChain storage chain = chains[relayerId];
        if (chain.firstEpoch == 0) revert NoSeedChain(relayerId);
        _switchChain(chain);
        uint64 last = chain.lastRevealed;
        uint64 current = epochAt(block.timestamp);
        bool beyondChain = chain.nextFirstEpoch != 0 && epoch >= chain.nextFirstEpoch;
        if (epoch <= last || epoch >= current || beyondChain) revert SeedNotRevealable(relayerId, epoch, last, current);
        bytes32 reached = _hashTimes(seed, epoch - last);
        if (reached != chain.reached) revert WrongSeed(relayerId, epoch, reached, chain.reached);
        chain.reached = seed;
        chain.lastRevealed = epoch;
        emit SeedRevealed(relayerId, epoch, seed);
    }

    /// @inheritdoc ISaturationBoard
    function forfeitSeeds(uint32 relayerId) external override onlyPoster(relayerId) {
        SeedChain storage chain = chains[relayerId];
        uint64 next = chain.nextFirstEpoch;
        uint64 current = epochAt(block.timestamp);
        if (next == 0 || next > current) revert NextSeedChainNotBegun(relayerId, next, current);
        uint64 from = chain.lastRevealed + 1;
        if (from < next) {
            // Forfeited again while fees are withheld, they wait for the earlier time.
            if (block.timestamp >= chain.withheldUntil) chain.forfeitedFrom = from;
            chain.withheldUntil =
                uint48(block.timestamp) + WITHHELD_WINDOWS * windowSeconds + uint48(next - from) * epochSeconds;
            chain.lastRevealed = next - 1;
            emit SeedsForfeited(relayerId, from, next - 1, chain.withheldUntil);
        }
        _switchChain(chain);
    }

    /// @inheritdoc ISaturationBoard
    function recordAttestation(SaturationAttestation calldata attestation, bytes calldata signature) external override {
        bytes32 attestationHash = _hash(attestation);
        _checkAttestation(attestation, attestationHash, signature);
        Saturation storage entry = recorded[attestation.nodeId][attestation.relayerId];
        uint64 last = entry.seq;
        if (attestation.seq <= last) {
            revert SeqNotRising(attestation.nodeId, attestation.relayerId, attestation.seq, last);
        }
        uint256 figures = _figures(attestation);
        assembly ("memory-safe") {
            sstore(entry.slot, figures)
        }
        entry.attestationHash = attestationHash;
        emit AttestationRecorded(
            attestation.nodeId,
            attestation.relayerId,
            attestationHash,
            attestation.keyEpoch,
            figures,
            attestation.prevHash,
            attestation.queuedTokens,
            attestation.kvFreeTokens,
            attestation.offersHash
        );
    }

    /// @inheritdoc ISaturationBoard
    function saturationOf(uint32 nodeId, uint32 relayerId) external view override returns (Saturation memory) {
        return recorded[nodeId][relayerId];
    }

    /// @inheritdoc ISaturationBoard
    function poolSaturation(uint32 relayerId, bytes32 modelId)
        external
        view
        override
        returns (uint64 epoch, uint64 slots, uint256 saturationBps)
    {
        Pool storage pool = pools[relayerId][modelId];
        slots = pool.slots;
        return (pool.epoch, slots, slots == 0 ? 0 : pool.slotBps / slots);
    }

    /// @inheritdoc ISaturationBoard
    function tideMultiplier(uint32 relayerId, bytes32 modelId) external view override returns (uint32) {
        Pool storage pool = pools[relayerId][modelId];
        // An epoch's figures come in the one after it, so only what is two behind is late.
        uint64 due = epochAt(block.timestamp);
        due = due == 0 ? 0 : due - 1;
        return _multiplierBefore(pool, due > pool.epoch ? due : pool.epoch + 1);
    }

    /// @inheritdoc ISaturationBoard
    function seedChainOf(uint32 relayerId)
        external
        view
        override
        returns (uint64 firstEpoch, uint64 lastRevealed, bytes32 reached, uint64 nextFirstEpoch, bytes32 nextAnchor)
    {
        SeedChain storage chain = chains[relayerId];
        return (chain.firstEpoch, chain.lastRevealed, chain.reached, chain.nextFirstEpoch, chain.nextAnchor);
    }

    /// @inheritdoc ISaturationBoard
    function revealedUntil(uint32 relayerId) external view override returns (uint256) {
        SeedChain storage chain = chains[relayerId];
        if (block.timestamp < chain.withheldUntil) return uint256(chain.forfeitedFrom) * epochSeconds;
        if (chain.firstEpoch == 0 || chain.lastRevealed < chain.firstEpoch) return 0;
        return (uint256(chain.lastRevealed) + 1) * epochSeconds;
    }

    /// @inheritdoc ISaturationBoard
    function epochAt(uint256 timestamp) public view override returns (uint64) {
        return uint64(timestamp / epochSeconds);
    }

    function _storePools(uint32 relayerId, uint64 epoch, PoolFigure[] calldata figures) private {
        if (figures.length > POOLS_MAX) revert TooManyPools(figures.length, POOLS_MAX);
        for (uint256 i = 0; i < figures.length; ++i) {
            PoolFigure calldata figure = figures[i];
            if (figure.slots == 0 || figure.slotBps > uint256(figure.slots) * BPS) {
                revert PoolFigureOutOfRange(figure.modelId, figure.slots, figure.slotBps);
            }
            Pool storage pool = pools[relayerId][figure.modelId];
            // Several figures of a model in one epoch would be several steps.
            if (pool.epoch == epoch) revert PoolRepeated(figure.modelId, epoch);
            uint32 multiplier = Tide.step(_multiplierBefore(pool, epoch), figure.slotBps / figure.slots);
            // 64 bits of slots x 10,000 stay below 112 bits, seconds below 48.
            pools[relayerId][figure.modelId] = Pool(uint48(epoch), multiplier, figure.slots, uint112(figure.slotBps));
            emit PoolCommitted(relayerId, epoch, figure.modelId, figure.slots, figure.slotBps);
            emit TideMoved(relayerId, epoch, figure.modelId, multiplier);
        }
    }

    /// @dev As the pool's last figure left it, on its way back to 1 for every epoch between that and this one.
    function _multiplierBefore(Pool storage pool, uint64 epoch) private view returns (uint32) {
        uint32 multiplier = pool.multiplier;
        return multiplier == 0 ? Tide.ONE : Tide.decayed(multiplier, epoch - pool.epoch - 1);
    }

    /// @dev The following chain takes over once every epoch before its first is revealed.
    function _switchChain(SeedChain storage chain) private {
        uint64 next = chain.nextFirstEpoch;
        if (next == 0 || chain.lastRevealed + 1 != next) return;
        chain.firstEpoch = next;
        chain.reached = chain.nextAnchor;
        chain.nextFirstEpoch = 0;
        chain.nextAnchor = 0;
    }

    function _hashTimes(bytes32 seed, uint64 steps) private pure returns (bytes32) {
        if (steps > SEED_STEPS_MAX) revert TooManySeedSteps(steps, SEED_STEPS_MAX);
        for (uint64 i = 0; i < steps; ++i) seed = keccak256(abi.encode(seed));
        return seed;
    }

    function _checkAttestation(
        SaturationAttestation calldata attestation,
        bytes32 attestationHash,
        bytes calldata signature
    ) private view {
        KeyEpoch memory entry = nodeRegistry.keyOf(attestation.nodeId, attestation.keyEpoch);
        if (entry.key == address(0)) revert UnknownNodeEpoch(attestation.nodeId, attestation.keyEpoch);
        address recovered = Signatures.recover(_digest(attestationHash), signature);
        if (recovered != entry.key) revert AttestationSignatureInvalid(attestation.nodeId, entry.key, recovered);
        uint48 observedAtMs = attestation.observedAtMs;
        uint256 nowMs = block.timestamp * 1_000;
        if (observedAtMs > nowMs + AHEAD_MS_MAX) revert AttestationFromFuture(observedAtMs, nowMs);
        uint256 observedAt = observedAtMs / 1_000;
        bool inEpoch = observedAt + windowSeconds >= entry.openedAt
            && (entry.closedAt == 0 || observedAt < uint256(entry.closedAt) + windowSeconds);
        if (!inEpoch) revert AttestationOutsideKeyEpoch(observedAtMs, entry.openedAt, entry.closedAt);
        uint16 greatest = _greatest(attestation);
        if (greatest > BPS) revert SaturationOutOfRange(greatest);
    }

    /// @dev The struct's words as they came, behind its type hash: encodeData of EIP-712, at the price of one copy. Each member
    /// is read elsewhere, and reading one reverts where it has bits beyond its type.
    function _hash(SaturationAttestation calldata attestation) private pure returns (bytes32 hash) {
        bytes32 typeHash = SATURATION_ATTESTATION_TYPEHASH;
        assembly ("memory-safe") {
            let encoded := mload(0x40)
            mstore(encoded, typeHash)
            calldatacopy(add(encoded, 0x20), attestation, sub(ENCODED_BYTES, 0x20))
            hash := keccak256(encoded, ENCODED_BYTES)
        }
    }

    /// @return the first slot of Saturation, laid out as the struct is: written at once it costs 2,600 gas less.
    function _figures(SaturationAttestation calldata attestation) private pure returns (uint256) {
        return attestation.seq | uint256(attestation.slots) << 64 | uint256(attestation.prepSlots) << 80
            | uint256(attestation.computeBps) << 96 | uint256(attestation.memoryBps) << 112
            | uint256(attestation.queueBps) << 128 | uint256(attestation.networkBps) << 144
            | uint256(attestation.observedAtMs) << 160 | uint256(attestation.validUntilMs) << 208;
    }

    function _greatest(SaturationAttestation calldata attestation) private pure returns (uint16 greatest) {
        greatest = attestation.computeBps;
        if (attestation.memoryBps > greatest) greatest = attestation.memoryBps;
        if (attestation.queueBps > greatest) greatest = attestation.queueBps;
        if (attestation.networkBps > greatest) greatest = attestation.networkBps;
    }
}
