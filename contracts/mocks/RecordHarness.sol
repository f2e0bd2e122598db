// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IKeyRing, KeyEpoch} from "../interfaces/IKeyRing.sol";
import {Fault, Keys, Record, Records} from "../libraries/Records.sol";
import {Signatures} from "../libraries/Signatures.sol";

/// @title A window on the check of records and signatures
/// @notice Lets TypeScript compare what a relayer accepts with what a fraud proof contests. It is the key ring of both sides
/// itself: one node's key and one relayer's, each open since `openedAt`. Deployed in tests only.
contract RecordHarness {
    address public immutable nodeKey;
    address public immutable relayerKey;
    bytes32 public immutable domainSeparator;

    constructor(address nodeKey_, address relayerKey_, bytes32 domainSeparator_) {
        nodeKey = nodeKey_;
        relayerKey = relayerKey_;
        domainSeparator = domainSeparator_;
    }

    function faultOf(Record calldata record, bytes32 voucherHash) external view returns (Fault) {
        IKeyRing own = IKeyRing(address(this));
        return Records.faultOf(record, voucherHash, Keys(own, own, domainSeparator, 1 days));
    }

    /// @notice Whether that key signed that struct, as forces and proofs ask.
    function isSigned(address key, bytes32 structHash, bytes calldata signature) external view returns (bool) {
        IKeyRing own = IKeyRing(address(this));
        return Records.isSigned(key, structHash, signature, Keys(own, own, domainSeparator, 1 days));
    }

    /// @notice Who signed that struct, as batches ask.
    function signerOf(bytes32 structHash, bytes32 r, bytes32 vs) external view returns (address) {
        return Signatures.recoverCompact(MessageHashUtils.toTypedDataHash(domainSeparator, structHash), r, vs);
    }

    /// @dev Node 1 and relayer 2, epoch 1 each.
    function keyOf(uint32 id, uint32 epoch) external view returns (KeyEpoch memory) {
        if (epoch != 1 || id == 0 || id > 2) return KeyEpoch(address(0), 0, 0);
        return KeyEpoch(id == 1 ? nodeKey : relayerKey, 0, 0);
    }
}
