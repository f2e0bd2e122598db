// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IEscrow} from "./IEscrow.sol";

/// @title Transfers to the Escrow itself, credited to who signed them
/// @notice An ERC-3009 transfer authorization (what x402's `exact` scheme signs) may be submitted to the token by anyone, without
/// a call to the Escrow. Whoever did: its signer is credited, by submitting it here, or by proving the token's own events.
/// @dev For tokens that emit AuthorizationUsed directly before the Transfer that it brings about, as EIP-3009 does it.
interface ITransferProofs {
    /// @notice What an authorization brought to the Escrow is in the free balance of its signer.
    /// @param payer who signed it, and was credited.
    /// @param nonce of the authorization.
    /// @param amount in the pay token's smallest unit.
    event TransferCredited(address indexed payer, bytes32 indexed nonce, uint96 amount);

    /// @notice The Escrow names another contract; this one could credit nobody.
    /// @param named what the Escrow names.
    error Miswired(address named);
    /// @notice The token delivered another amount than was signed.
    /// @param asked what was to come in.
    /// @param received what came in.
    error WrongAmountReceived(uint256 asked, uint256 received);
    /// @notice That authorization is credited already.
    /// @param payer who signed it.
    /// @param nonce as signed.
    error AlreadyCredited(address payer, bytes32 nonce);
    /// @notice The Escrow itself submitted that authorization and credited it then.
    /// @param payer who signed it.
    /// @param nonce as signed.
    error DepositedByEscrow(address payer, bytes32 nonce);
    /// @notice The chain remembers another hash of that block, or none: then it is too old, or too new.
    /// @param number of the block, as its header says.
    /// @param given hash of the header that was shown.
    /// @param remembered by the chain; 0 for none.
    error HeaderNotOfThisChain(uint256 number, bytes32 given, bytes32 remembered);
    /// @notice Larger than any honest one.
    /// @param size in bytes, or nodes of the proof.
    /// @param most the limit, itself allowed.
    error ProofTooLarge(uint256 size, uint256 most);
    /// @notice The receipt is of a kind whose fields are not known here.
    /// @param kind its first byte (EIP-2718).
    error ReceiptKindUnknown(uint256 kind);
    /// @notice The transaction failed: it moved nothing.
    /// @param status as its receipt says.
    error TransactionFailed(uint256 status);
    /// @notice The receipt has no log there.
    /// @param position asked for, in the receipt's own list.
    /// @param count of its logs.
    error NoSuchLog(uint256 position, uint256 count);
    /// @notice The log there is not the pay token's AuthorizationUsed.
    /// @param position in the receipt's own list.
    error NotAuthorizationUsed(uint256 position);
    /// @notice The log there is not the pay token's Transfer from the signer to the Escrow.
    /// @param position in the receipt's own list.
    /// @param payer who signed the authorization in the log before.
    error NotTransferToEscrow(uint256 position, address payer);
    /// @notice More than all books together could hold.
    /// @param amount that the token's event names.
    /// @param most the limit, itself allowed.
    error AmountTooLarge(uint256 amount, uint256 most);

    /// @notice Submits an ERC-3009 transferWithAuthorization from `payer` to the Escrow, and credits `payer`. Anyone may send it.
    /// @dev Reverts in the token where somebody else submitted it first: then creditTransfer credits it.
    /// @param payer who signed, and is credited.
    /// @param amount in the pay token's smallest unit.
    /// @param validAfter unix seconds, as signed.
    /// @param validBefore unix seconds, as signed.
    /// @param nonce as signed.
    /// @param v of the signature.
    /// @param r of the signature.
    /// @param s of the signature.
    function depositWithTransferAuthorization(
        address payer,
        uint96 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Credits what an authorization brought to the Escrow in an earlier block, as far back as the chain remembers:
    /// 8,191 blocks with EIP-2935, else 256. Anyone may send it; no signature is needed, the events are the token's own.
    /// @param header of the block, RLP.
    /// @param proof of the receipt in the block's receipts trie, its nodes from the root on, RLP.
    /// @param transactionIndex in the block.
    /// @param logPosition of the token's AuthorizationUsed in the receipt's own list of logs, not in the block's; its Transfer
    /// stands after it.
    /// @return payer who was credited.
    /// @return amount in the pay token's smallest unit.
    function creditTransfer(bytes calldata header, bytes[] calldata proof, uint256 transactionIndex, uint256 logPosition)
        external
        returns (address payer, uint96 amount);

    /// @notice Whether that authorization was credited through this contract.
    /// @param payer who signed it.
    /// @param nonce as signed.
    /// @return true for good.
    function isCredited(address payer, bytes32 nonce) external view returns (bool);

    /// @notice Where the tokens lie.
    /// @return the Escrow of this deployment.
    function escrow() external view returns (IEscrow);

    /// @notice Whose events count.
    /// @return the Escrow's pay token.
    function payToken() external view returns (IERC20);
}
