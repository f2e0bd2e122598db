// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {EscrowBase} from "../escrow/EscrowBase.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";
import {ITransferProofs} from "../interfaces/ITransferProofs.sol";

/// @title Transfers to the Escrow itself, credited to who signed them
/// @notice A used authorization cannot be told from a cancelled one by asking the token, but by its events: AuthorizationUsed and,
/// directly after it, the Transfer. Each (signer, nonce) is used at most once, so it is credited at most once: here, or by the
/// Escrow's depositWithAuthorization, which then names it in an event of its own in the same receipt.
/// @dev The Escrow lets this contract have only what lies beyond its books, so a fault here could cost other transfers of this
/// kind, and no balance, session or tab.
contract TransferProofs is ITransferProofs {
    using RLP for *;
    using Memory for *;

    /// @dev Headers have about 650 bytes; some chains put signatures into theirs.
    uint256 private constant HEADER_BYTES_MAX = 4_096;
    /// @dev A path has two nibbles for each byte of the index.
    uint256 private constant PROOF_NODES_MAX = 16;
    /// @dev About what EIP-7825 leaves room for in one transaction's calldata.
    uint256 private constant PROOF_BYTES_MAX = 262_144;
    /// @dev Everything below is a receipt's kind, everything from here on begins a list (EIP-2718).
    uint256 private constant LIST_PREFIX_LEAST = 0xc0;
    uint256 private constant STANDARD_KINDS = 4;
    /// @dev Deposits from the layer below on the OP stack: fields after the logs.
    uint256 private constant OP_DEPOSIT_KIND = 0x7e;
    uint256 private constant STATUS_FIELD = 0;
    uint256 private constant LOGS_FIELD = 3;

    bytes32 private constant AUTHORIZATION_USED = IERC3009.AuthorizationUsed.selector;
    bytes32 private constant TRANSFER = IERC20.Transfer.selector;
    bytes32 private constant AUTHORIZATION_DEPOSITED = IEscrow.AuthorizationDeposited.selector;

    IEscrow public immutable override escrow;
    IERC20 public immutable override payToken;
    mapping(address payer => mapping(bytes32 nonce => bool)) public override isCredited;

    /// @param escrow_ which names this contract's address.
    constructor(EscrowBase escrow_) {
        if (escrow_.transferProofs() != address(this)) revert Miswired(escrow_.transferProofs());
        escrow = escrow_;
        payToken = escrow_.payToken();
    }

    /// @inheritdoc ITransferProofs
    function depositWithTransferAuthorization(
        address payer,
        uint96 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external override {
        uint256 before = _surplus();
        IERC3009(address(payToken)).transferWithAuthorization(
            payer, address(escrow), amount, validAfter, validBefore, nonce, v, r, s
        );
        uint256 received = _surplus() - before;
        if (received != amount) revert WrongAmountReceived(amount, received);
        _credit(payer, nonce, amount);
    }

    /// @inheritdoc ITransferProofs
    function creditTransfer(bytes calldata header, bytes[] calldata proof, uint256 transactionIndex, uint256 logPosition)
        external
        override
        returns (address payer, uint96 amount)
    {
        _limit(header, proof);
        bytes memory receipt = TrieProof.traverse(_receiptsRoot(header), RLP.encode(transactionIndex), proof);
        Memory.Slice[] memory logs = _logsOf(receipt);
        bytes32 nonce;
        (payer, nonce) = _usedAt(logs, logPosition);
        amount = _broughtAt(logs, logPosition + 1, payer);
        _refuseDeposited(logs, logPosition + 2, payer, nonce);
        _credit(payer, nonce, amount);
    }

    function _credit(address payer, bytes32 nonce, uint96 amount) private {
        if (isCredited[payer][nonce]) revert AlreadyCredited(payer, nonce);
        isCredited[payer][nonce] = true;
        emit TransferCredited(payer, nonce, amount);
        escrow.creditArrived(payer, amount);
    }

    /// @dev What lies at the Escrow and in no book. What else goes in or out meanwhile changes both by the same.
    function _surplus() private view returns (uint256) {
        return payToken.balanceOf(address(escrow)) - escrow.trackedBalance();
    }

    function _limit(bytes calldata header, bytes[] calldata proof) private pure {
        if (header.length > HEADER_BYTES_MAX) revert ProofTooLarge(header.length, HEADER_BYTES_MAX);
        if (proof.length > PROOF_NODES_MAX) revert ProofTooLarge(proof.length, PROOF_NODES_MAX);
        uint256 size = 0;
        for (uint256 i = 0; i < proof.length; ++i) {
            size += proof[i].length;
        }
        if (size > PROOF_BYTES_MAX) revert ProofTooLarge(size, PROOF_BYTES_MAX);
    }

    function _receiptsRoot(bytes memory header) private view returns (bytes32) {
        Memory.Slice[] memory fields = BlockHeader.parseHeader(header);
        uint256 number = BlockHeader.getNumber(fields);
        bytes32 remembered = Blockhash.blockHash(number);
        if (keccak256(header) != remembered) revert HeaderNotOfThisChain(number, keccak256(header), remembered);
        return BlockHeader.getReceiptsRoot(fields);
    }

    /// @return of a transaction that did not fail.
    function _logsOf(bytes memory receipt) private pure returns (Memory.Slice[] memory) {
        uint256 kind = uint8(receipt[0]);
        bool isList = kind >= LIST_PREFIX_LEAST;
        if (!isList && kind != OP_DEPOSIT_KIND && (kind == 0 || kind > STANDARD_KINDS)) revert ReceiptKindUnknown(kind);
        Memory.Slice[] memory fields = receipt.asSlice().slice(isList ? 0 : 1).readList();
        uint256 status = fields[STATUS_FIELD].readUint256();
        if (status != 1) revert TransactionFailed(status);
        return fields[LOGS_FIELD].readList();
    }

    function _usedAt(Memory.Slice[] memory logs, uint256 position) private view returns (address payer, bytes32 nonce) {
        Memory.Slice[] memory log = _logAt(logs, position);
        Memory.Slice[] memory topics = log[1].readList();
        if (!_is(log[0], topics, address(payToken), AUTHORIZATION_USED)) revert NotAuthorizationUsed(position);
        return (_addressIn(topics[1]), topics[2].readBytes32());
    }

    function _broughtAt(Memory.Slice[] memory logs, uint256 position, address payer) private view returns (uint96) {
        Memory.Slice[] memory log = _logAt(logs, position);
        Memory.Slice[] memory topics = log[1].readList();
        bool isTransfer = _is(log[0], topics, address(payToken), TRANSFER);
        if (!isTransfer || _addressIn(topics[1]) != payer || _addressIn(topics[2]) != address(escrow)) {
            revert NotTransferToEscrow(position, payer);
        }
        uint256 amount = log[2].readUint256();
        if (amount > type(uint96).max) revert AmountTooLarge(amount, type(uint96).max);
        return uint96(amount);
    }

    /// @dev The Escrow names what it credited after the token's own logs, in the same call. A receipt has one way to write that event,
    /// so logs are compared whole: were each of them read, whoever submits an authorization could cheaply put more of them behind it
    /// than the gas of one transaction can read.
    function _refuseDeposited(Memory.Slice[] memory logs, uint256 from, address payer, bytes32 nonce) private view {
        bytes[] memory topics = new bytes[](3);
        topics[0] = AUTHORIZATION_DEPOSITED.encode();
        topics[1] = bytes32(uint256(uint160(payer))).encode();
        topics[2] = nonce.encode();
        bytes[] memory log = new bytes[](3);
        log[0] = address(escrow).encode();
        log[1] = topics.encode();
        log[2] = hex"80";
        Memory.Slice deposited = log.encode().asSlice();
        for (uint256 i = from; i < logs.length; ++i) {
            if (logs[i].equal(deposited)) revert DepositedByEscrow(payer, nonce);
        }
    }

    function _logAt(Memory.Slice[] memory logs, uint256 position) private pure returns (Memory.Slice[] memory) {
        if (position >= logs.length) revert NoSuchLog(position, logs.length);
        return logs[position].readList();
    }

    /// @dev Both events have two indexed arguments.
    function _is(Memory.Slice emitter, Memory.Slice[] memory topics, address expected, bytes32 name)
        private
        pure
        returns (bool)
    {
        return topics.length == 3 && emitter.readAddress() == expected && topics[0].readBytes32() == name;
    }

    function _addressIn(Memory.Slice topic) private pure returns (address) {
        return address(uint160(uint256(topic.readBytes32())));
    }
}
