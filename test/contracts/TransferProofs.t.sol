// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {TransferProofs} from "../../contracts/deposits/TransferProofs.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {ITransferProofs} from "../../contracts/interfaces/ITransferProofs.sol";
import {TideToken} from "../../contracts/token/TideToken.sol";
import {Authorizations} from "./support/Authorizations.sol";
import {Blocks} from "./support/Blocks.sol";
import {Log, vm} from "./support/Vm.sol";

/// @notice What an authorization brings to the Escrow is credited to its signer: once, whoever submitted it how, and to nobody else.
/// @dev Receipts hold what the contracts really logged; whole blocks of a real chain are shown in transferProofs.ts.
contract TransferProofsTest is Authorizations {
    uint96 private constant AMOUNT = 7e6;
    uint256 private constant OTHER_KEY = 0xA7;
    uint256 private constant NUMBER = 1_000;

    address private other = vm.addr(OTHER_KEY);
    Escrow private books;
    TransferProofs private transfers;

    function setUp() public override {
        super.setUp();
        vm.roll(NUMBER);
        books = new Escrow(_wiring(pay, vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1)));
        transfers = new TransferProofs(books);
        pay.mint(payer, 10 * AMOUNT);
        pay.mint(other, 10 * AMOUNT);
    }

    // ---- submitted here

    function test_submittedHere() public {
        (uint8 v, bytes32 r, bytes32 s) = _authorize(TRANSFER_TYPEHASH, PAYER_KEY, address(books), AMOUNT, "n");
        vm.expectEmit(address(transfers));
        emit ITransferProofs.TransferCredited(payer, "n", AMOUNT);
        vm.expectEmit(address(books));
        emit IEscrow.Deposited(payer, payer, AMOUNT);
        vm.recordLogs();
        vm.prank(stranger);
        transfers.depositWithTransferAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        Log[] memory logs = vm.getRecordedLogs();
        _expectFree(payer, AMOUNT);
        vm.assertTrue(transfers.isCredited(payer, "n"), "remembered");
        // The same events, shown afterwards, while another's tokens lie there.
        pay.mint(address(books), AMOUNT);
        _refused(logs, abi.encodeWithSelector(ITransferProofs.AlreadyCredited.selector, payer, bytes32("n")));
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, bytes32("n")));
        transfers.depositWithTransferAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector));
        transfers.depositWithTransferAuthorization(other, AMOUNT, 0, START + 1, "n", v, r, s);
    }

    function test_zeroIsRefused() public {
        (uint8 v, bytes32 r, bytes32 s) = _authorize(TRANSFER_TYPEHASH, PAYER_KEY, address(books), 0, "n");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        transfers.depositWithTransferAuthorization(payer, 0, 0, START + 1, "n", v, r, s);
    }

    // ---- submitted by somebody else

    function test_submittedByAStrangerFirst() public {
        Blocks.Shown memory shown = Blocks.mine(_stray(PAYER_KEY, AMOUNT, "n"));
        vm.expectEmit(address(transfers));
        emit ITransferProofs.TransferCredited(payer, "n", AMOUNT);
        vm.prank(stranger);
        (address credited, uint96 amount) = transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        vm.assertEq(credited, payer, "who");
        vm.assertEq(amount, AMOUNT, "how much");
        _expectFree(payer, AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.AlreadyCredited.selector, payer, bytes32("n")));
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
    }

    function test_everyKindOfReceipt() public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256 kind = i == 5 ? 0x7e : i;
            Log[] memory logs = _stray(PAYER_KEY, AMOUNT, bytes32(i));
            Blocks.Shown memory shown = Blocks.mine(Blocks.receipt(kind, 1, logs), NUMBER - 1);
            transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        }
        _expectFree(payer, 6 * AMOUNT);
    }

    /// @dev A stranger may put several into one transaction: each has its own place, and none is taken for the other.
    function test_twoInOneTransaction() public {
        vm.recordLogs();
        _submit(PAYER_KEY, address(books), AMOUNT, "one");
        _submit(OTHER_KEY, address(books), 2 * AMOUNT, "two");
        Blocks.Shown memory shown = Blocks.mine(vm.getRecordedLogs());
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.NotAuthorizationUsed.selector, uint256(1)));
        transfers.creditTransfer(shown.header, shown.proof, 0, 1);
        transfers.creditTransfer(shown.header, shown.proof, 0, 2);
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        vm.assertEq(books.freeBalanceOf(payer), AMOUNT, "the one");
        vm.assertEq(books.freeBalanceOf(other), 2 * AMOUNT, "the other");
        vm.assertEq(books.trackedBalance(), pay.balanceOf(address(books)), "tracked");
    }

    /// @dev The Escrow's own deposits leave the token's very same events behind; other strays lie there to be taken.
    function test_whatTheEscrowCreditedItselfIsNotCreditedAgain() public {
        pay.mint(address(books), 10 * AMOUNT);
        vm.recordLogs();
        _submit(OTHER_KEY, address(books), AMOUNT, "n");
        _depositByEscrow(PAYER_KEY, AMOUNT, "n");
        _submit(PAYER_KEY, address(books), AMOUNT, "m");
        Blocks.Shown memory shown = Blocks.mine(vm.getRecordedLogs());
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.DepositedByEscrow.selector, payer, bytes32("n")));
        transfers.creditTransfer(shown.header, shown.proof, 0, 2);
        // One nonce of two payers, and two nonces of one payer, in the same receipt: only the deposit's own is refused.
        (address first,) = transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        (address last,) = transfers.creditTransfer(shown.header, shown.proof, 0, 6);
        vm.assertEq(first, other, "before it");
        vm.assertEq(last, payer, "after it");
        vm.assertEq(books.freeBalanceOf(payer), 2 * AMOUNT, "each once");
    }

    /// @dev Whoever submits an authorization decides what stands behind it: a thousand logs of its own take no more gas than a
    /// transaction has, and do not hide a deposit.
    function test_manyLogsBehindIt() public {
        pay.mint(address(books), AMOUNT);
        Log[] memory logs = _crowded(_stray(PAYER_KEY, AMOUNT, "n"), 1_500);
        Blocks.Shown memory shown = Blocks.mine(logs);
        uint256 before = gasleft();
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        vm.assertLe(before - gasleft(), 8_000_000, "gas");
        _expectFree(payer, AMOUNT);
        vm.recordLogs();
        _depositByEscrow(PAYER_KEY, AMOUNT, "m");
        Log[] memory deposit = vm.getRecordedLogs();
        logs = _crowded(deposit, 100);
        (logs[2], logs[logs.length - 1]) = (logs[logs.length - 1], logs[2]);
        (logs[3], logs[logs.length - 2]) = (logs[logs.length - 2], logs[3]);
        _refused(logs, abi.encodeWithSelector(ITransferProofs.DepositedByEscrow.selector, payer, bytes32("m")));
    }

    // ---- what is no deposit

    /// @dev Bob signs, cancels, and wants what another's authorization brought.
    function test_cancelledAuthorizationIsWorthNothing() public {
        _submit(OTHER_KEY, address(books), AMOUNT, "victim");
        vm.recordLogs();
        (uint8 v, bytes32 r, bytes32 s) = _cancel(PAYER_KEY, "n");
        pay.cancelAuthorization(payer, "n", v, r, s);
        vm.prank(payer);
        pay.transfer(address(books), 1);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertTrue(pay.authorizationState(payer, "n"), "used, as the token says");
        _refused(logs, abi.encodeWithSelector(ITransferProofs.NotAuthorizationUsed.selector, uint256(0)));
        (v, r, s) = _authorize(TRANSFER_TYPEHASH, PAYER_KEY, address(books), AMOUNT, "n");
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, bytes32("n")));
        transfers.depositWithTransferAuthorization(payer, AMOUNT, 0, START + 1, "n", v, r, s);
    }

    function test_otherReceiversAndOtherTokens() public {
        pay.mint(address(books), AMOUNT);
        vm.recordLogs();
        _submit(PAYER_KEY, stranger, AMOUNT, "n");
        vm.prank(payer);
        pay.transfer(address(books), AMOUNT);
        Log[] memory logs = vm.getRecordedLogs();
        bytes memory elsewhere = abi.encodeWithSelector(ITransferProofs.NotTransferToEscrow.selector, uint256(1), payer);
        _refused(logs, elsewhere);
        // The plain transfer alone, and the authorization with that transfer behind it but not directly.
        _refusedAt(logs, 2, abi.encodeWithSelector(ITransferProofs.NotAuthorizationUsed.selector, uint256(2)));
        // Another's transfer directly behind it.
        logs = _stray(PAYER_KEY, AMOUNT, "m");
        logs[1].topics[1] = bytes32(uint256(uint160(other)));
        _refused(logs, elsewhere);
        // Another event of the token there, and the same events of another token.
        logs = _stray(PAYER_KEY, AMOUNT, "o");
        logs[1].topics[0] = IERC20.Approval.selector;
        _refused(logs, elsewhere);
        logs = _stray(PAYER_KEY, AMOUNT, "p");
        logs[1].emitter = address(stake);
        _refused(logs, elsewhere);
        logs[0].emitter = address(stake);
        _refused(logs, abi.encodeWithSelector(ITransferProofs.NotAuthorizationUsed.selector, uint256(0)));
    }

    /// @dev An event of that name with fewer indexed arguments, as other contracts have them.
    function test_odderLogs() public {
        Log[] memory logs = _stray(PAYER_KEY, AMOUNT, "n");
        bytes32[] memory fewer = new bytes32[](2);
        (fewer[0], fewer[1]) = (logs[0].topics[0], logs[0].topics[1]);
        bytes32[] memory whole = logs[0].topics;
        logs[0].topics = fewer;
        _refused(logs, abi.encodeWithSelector(ITransferProofs.NotAuthorizationUsed.selector, uint256(0)));
        logs[0].topics = whole;
        logs[1].data = abi.encode(uint256(type(uint96).max) + 1);
        _refused(
            logs,
            abi.encodeWithSelector(
                ITransferProofs.AmountTooLarge.selector, uint256(type(uint96).max) + 1, uint256(type(uint96).max)
            )
        );
        _refusedAt(logs, 2, abi.encodeWithSelector(ITransferProofs.NoSuchLog.selector, uint256(2), uint256(2)));
        Log[] memory one = new Log[](1);
        one[0] = logs[0];
        _refused(one, abi.encodeWithSelector(ITransferProofs.NoSuchLog.selector, uint256(1), uint256(1)));
        // A log of the Escrow behind it that says something else.
        Log[] memory three = new Log[](3);
        (three[0], three[1]) = (logs[0], logs[1]);
        three[1].data = abi.encode(AMOUNT);
        three[2] = Log(fewer, "", address(books));
        Blocks.Shown memory shown = Blocks.mine(three);
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        _expectFree(payer, AMOUNT);
    }

    // ---- what is no proof

    function test_failedTransactionsAndUnknownKinds() public {
        Log[] memory logs = _stray(PAYER_KEY, AMOUNT, "n");
        _refusedReceipt(Blocks.receipt(2, 0, logs), abi.encodeWithSelector(ITransferProofs.TransactionFailed.selector, uint256(0)));
        uint8[5] memory kinds = [5, 0x7d, 0x7f, 0x80, 0xbf];
        for (uint256 i = 0; i < kinds.length; ++i) {
            bytes memory receipt = Blocks.receipt(kinds[i], 1, logs);
            _refusedReceipt(receipt, abi.encodeWithSelector(ITransferProofs.ReceiptKindUnknown.selector, uint256(kinds[i])));
        }
        bytes memory zero = bytes.concat(bytes1(0), Blocks.receipt(Blocks.LEGACY, 1, logs));
        _refusedReceipt(zero, abi.encodeWithSelector(ITransferProofs.ReceiptKindUnknown.selector, uint256(0)));
    }

    /// @dev Beyond the 256 blocks that an opcode knows, the contract of EIP-2935 is asked.
    function test_asFarBackAsTheChainRemembers() public {
        Blocks.Shown memory shown = Blocks.forge(Blocks.receipt(2, 1, _stray(PAYER_KEY, AMOUNT, "n")), NUMBER - 1);
        vm.roll(NUMBER + 5_000);
        _historyAnswers(0);
        _refusedHeader(shown, NUMBER - 1, 0);
        _historyAnswers(keccak256(shown.header));
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
        _expectFree(payer, AMOUNT);
    }

    function test_forgedOldAndFutureHeaders() public {
        _historyAnswers(0);
        bytes memory receipt = Blocks.receipt(2, 1, _stray(PAYER_KEY, AMOUNT, "n"));
        Blocks.Shown memory honest = Blocks.mine(receipt, NUMBER - 1);
        Blocks.Shown memory forged = Blocks.forge(Blocks.receipt(1, 1, _stray(OTHER_KEY, AMOUNT, "m")), NUMBER - 1);
        _refusedHeader(forged, NUMBER - 1, keccak256(honest.header));
        _refusedHeader(Blocks.forge(receipt, NUMBER), NUMBER, 0);
        _refusedHeader(Blocks.forge(receipt, NUMBER + 1), NUMBER + 1, 0);
        _refusedHeader(Blocks.forge(receipt, type(uint256).max), type(uint256).max, 0);
        // Long afterwards it is known no more.
        vm.roll(NUMBER + 20_000);
        _refusedHeader(honest, NUMBER - 1, 0);
        vm.roll(NUMBER);
        // A proof under another root.
        vm.expectRevert(
            abi.encodeWithSelector(TrieProof.TrieProofTraversalError.selector, TrieProof.ProofError.INVALID_ROOT)
        );
        transfers.creditTransfer(honest.header, forged.proof, 0, 0);
        // Another transaction's place.
        vm.expectRevert(
            abi.encodeWithSelector(TrieProof.TrieProofTraversalError.selector, TrieProof.ProofError.INVALID_PATH_REMAINDER)
        );
        transfers.creditTransfer(honest.header, honest.proof, 1, 0);
        transfers.creditTransfer(honest.header, honest.proof, 0, 0);
    }

    function test_limits() public {
        Blocks.Shown memory shown = Blocks.mine(_stray(PAYER_KEY, AMOUNT, "n"));
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.ProofTooLarge.selector, uint256(4_097), uint256(4_096)));
        transfers.creditTransfer(new bytes(4_097), shown.proof, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.ProofTooLarge.selector, uint256(17), uint256(16)));
        transfers.creditTransfer(shown.header, new bytes[](17), 0, 0);
        bytes[] memory two = new bytes[](2);
        (two[0], two[1]) = (shown.proof[0], new bytes(262_145 - shown.proof[0].length));
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.ProofTooLarge.selector, uint256(262_145), uint256(262_144)));
        transfers.creditTransfer(shown.header, two, 0, 0);
        bytes[] memory fields = new bytes[](0);
        vm.expectRevert(
            abi.encodeWithSelector(
                BlockHeader.FieldNotPresentInBlockHeader.selector, BlockHeader.HeaderField.Number
            )
        );
        transfers.creditTransfer(hex"c0", fields, 0, 0);
    }

    /// @dev A payer's bytes decide nothing: whatever one bit of the header or of the proof is changed to, it is refused.
    function testFuzz_noBitCanBeChanged(uint256 place, uint8 bit, bool inHeader) public {
        Blocks.Shown memory shown = Blocks.mine(_stray(PAYER_KEY, AMOUNT, "n"));
        bytes memory bent = inHeader ? shown.header : shown.proof[0];
        bent[place % bent.length] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok,) = address(transfers).call(
            abi.encodeCall(ITransferProofs.creditTransfer, (shown.header, shown.proof, 0, 0))
        );
        vm.assertFalse(ok, "credited");
        vm.assertEq(books.freeBalanceOf(payer), 0, "free balance");
    }

    // ---- the Escrow's door

    function test_onlyTransferProofsCreditsWhatArrived() public {
        pay.mint(address(books), AMOUNT);
        address[3] memory callers = [stranger, address(settlement), address(0)];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotTransferProofs.selector, callers[i]));
            vm.prank(callers[i]);
            books.creditArrived(stranger, 1);
        }
        vm.startPrank(address(transfers));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAmount.selector));
        books.creditArrived(payer, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.ZeroAddress.selector));
        books.creditArrived(address(0), 1);
        vm.stopPrank();
    }

    /// @dev Even with a false proof in hand nobody reaches what the books hold.
    function test_booksAreOutOfReach() public {
        _depositByEscrow(OTHER_KEY, 3 * AMOUNT, "books");
        pay.mint(address(books), AMOUNT - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.NotFunded.selector, uint256(4 * AMOUNT), uint256(4 * AMOUNT - 1))
        );
        vm.prank(address(transfers));
        books.creditArrived(payer, AMOUNT);
        vm.prank(address(transfers));
        books.creditArrived(payer, AMOUNT - 1);
        vm.assertEq(books.trackedBalance(), pay.balanceOf(address(books)), "tracked");
    }

    function test_feeOnTransferIsRefused() public {
        FeeAuthorizations token = new FeeAuthorizations();
        (, TransferProofs odd) = _deployFor(token);
        vm.expectRevert(
            abi.encodeWithSelector(ITransferProofs.WrongAmountReceived.selector, uint256(AMOUNT), uint256(AMOUNT) - 1)
        );
        odd.depositWithTransferAuthorization(payer, AMOUNT, 0, 0, 0, 0, 0, 0);
    }

    /// @dev What is deposited meanwhile through another door is not taken for what the authorization brought.
    function test_reentryIsNotCredited() public {
        HookAuthorizations token = new HookAuthorizations();
        (Escrow odd, TransferProofs oddProofs) = _deployFor(token);
        token.approve(address(odd), AMOUNT);
        token.setEscrow(odd);
        vm.expectRevert(
            abi.encodeWithSelector(ITransferProofs.WrongAmountReceived.selector, uint256(AMOUNT), uint256(0))
        );
        oddProofs.depositWithTransferAuthorization(payer, AMOUNT, 0, 0, 0, 0, 0, 0);
    }

    function test_isBuiltWhereTheEscrowNamesItOnly() public {
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.Miswired.selector, address(transfers)));
        new TransferProofs(books);
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.Miswired.selector, TRANSFER_PROOFS));
        new TransferProofs(escrow);
        vm.assertEq(address(transfers.escrow()), address(books), "escrow");
        vm.assertEq(address(transfers.payToken()), address(pay), "token");
    }

    /// @notice Six acts in any order, each shown afterwards at each of its logs: nobody has more than it had, and what the
    /// authorizations of a payer brought is the payer's.
    function testFuzz_nobodysTransferBecomesAnothers(uint256 seed) public {
        uint256[2] memory lost;
        for (uint256 i = 0; i < 6; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 key = (seed >> 8) % 2 == 0 ? PAYER_KEY : OTHER_KEY;
            uint96 amount = uint96(1 + (seed >> 16) % AMOUNT);
            vm.recordLogs();
            bool isPlain = _act(seed % 5, key, amount, bytes32((seed >> 64) % 3));
            _showAll(vm.getRecordedLogs());
            if (isPlain) lost[key == PAYER_KEY ? 0 : 1] += amount;
        }
        vm.assertEq(books.freeBalanceOf(payer) + pay.balanceOf(payer) + lost[0], 10 * AMOUNT, "payer");
        vm.assertEq(books.freeBalanceOf(other) + pay.balanceOf(other) + lost[1], 10 * AMOUNT, "the other payer");
        vm.assertEq(books.trackedBalance() + lost[0] + lost[1], pay.balanceOf(address(books)), "only plain transfers are left");
    }

    /// @return isPlain whether tokens came that nobody signed for, which stay nobody's.
    function _act(uint256 act, uint256 key, uint96 amount, bytes32 nonce) private returns (bool isPlain) {
        address who = vm.addr(key);
        (uint8 v, bytes32 r, bytes32 s) = act == 1
            ? _authorize(RECEIVE_TYPEHASH, key, address(books), amount, nonce)
            : act == 2
                ? _cancel(key, nonce)
                : _authorize(TRANSFER_TYPEHASH, key, address(books), amount, nonce);
        vm.prank(act == 4 ? who : stranger);
        if (act == 0) try pay.transferWithAuthorization(who, address(books), amount, 0, START + 1, nonce, v, r, s) {} catch {}
        else if (act == 1) try books.depositWithAuthorization(who, amount, 0, START + 1, nonce, v, r, s) {} catch {}
        else if (act == 2) try pay.cancelAuthorization(who, nonce, v, r, s) {} catch {}
        else if (act == 3) try transfers.depositWithTransferAuthorization(who, amount, 0, START + 1, nonce, v, r, s) {} catch {}
        else return pay.transfer(address(books), amount);
    }

    function _showAll(Log[] memory logs) private {
        if (logs.length == 0) return;
        Blocks.Shown memory shown = Blocks.mine(logs);
        for (uint256 round = 0; round < 2; ++round) {
            for (uint256 i = 0; i < logs.length; ++i) {
                try transfers.creditTransfer(shown.header, shown.proof, 0, i) {} catch {}
            }
        }
    }

    // ---- helpers

    /// @notice The same logs, and so many without a word behind them.
    function _crowded(Log[] memory logs, uint256 count) private view returns (Log[] memory crowded) {
        crowded = new Log[](logs.length + count);
        for (uint256 i = 0; i < crowded.length; ++i) {
            crowded[i] = i < logs.length ? logs[i] : Log(new bytes32[](0), "", stranger);
        }
    }

    /// @dev PUSH32 hash, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN.
    function _historyAnswers(bytes32 hash) private {
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, abi.encodePacked(hex"7f", hash, hex"5f5260205ff3"));
    }

    /// @notice Somebody submits it to the token; nothing is credited.
    function _stray(uint256 key, uint96 amount, bytes32 nonce) private returns (Log[] memory) {
        vm.recordLogs();
        _submit(key, address(books), amount, nonce);
        return vm.getRecordedLogs();
    }

    function _submit(uint256 key, address to, uint96 amount, bytes32 nonce) private {
        (uint8 v, bytes32 r, bytes32 s) = _authorize(TRANSFER_TYPEHASH, key, to, amount, nonce);
        vm.prank(stranger);
        pay.transferWithAuthorization(vm.addr(key), to, amount, 0, START + 1, nonce, v, r, s);
    }

    function _depositByEscrow(uint256 key, uint96 amount, bytes32 nonce) private {
        (uint8 v, bytes32 r, bytes32 s) = _authorize(RECEIVE_TYPEHASH, key, address(books), amount, nonce);
        books.depositWithAuthorization(vm.addr(key), amount, 0, START + 1, nonce, v, r, s);
    }

    function _refused(Log[] memory logs, bytes memory reason) private {
        _refusedAt(logs, 0, reason);
    }

    function _refusedAt(Log[] memory logs, uint256 position, bytes memory reason) private {
        Blocks.Shown memory shown = Blocks.mine(logs);
        vm.expectRevert(reason);
        transfers.creditTransfer(shown.header, shown.proof, 0, position);
    }

    function _refusedReceipt(bytes memory receipt, bytes memory reason) private {
        Blocks.Shown memory shown = Blocks.mine(receipt, NUMBER - 1);
        vm.expectRevert(reason);
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
    }

    function _refusedHeader(Blocks.Shown memory shown, uint256 number, bytes32 remembered) private {
        bytes32 given = keccak256(shown.header);
        vm.expectRevert(abi.encodeWithSelector(ITransferProofs.HeaderNotOfThisChain.selector, number, given, remembered));
        transfers.creditTransfer(shown.header, shown.proof, 0, 0);
    }

    function _expectFree(address who, uint256 amount) private view {
        vm.assertEq(books.freeBalanceOf(who), amount, "free balance");
        vm.assertLe(books.trackedBalance(), pay.balanceOf(address(books)), "tracked");
    }

    function _deployFor(IERC20 token) private returns (Escrow odd, TransferProofs oddProofs) {
        odd = new Escrow(_wiring(token, vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1)));
        oddProofs = new TransferProofs(odd);
    }
}

/// @notice Takes any signature, and keeps one unit of every transfer.
contract FeeAuthorizations is TideToken("Keeps one", "ONE") {
    function transferWithAuthorization(
        address,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) public override {
        _mint(to, amount - 1);
    }
}

/// @notice Takes any signature, and deposits the amount for its sender by another door instead of moving it.
contract HookAuthorizations is TideToken("Deposits elsewhere", "ELSE") {
    Escrow private escrow;

    function setEscrow(Escrow escrow_) external {
        escrow = escrow_;
    }

    function transferWithAuthorization(
        address,
        address,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) public override {
        _mint(address(this), amount);
        _approve(address(this), address(escrow), amount);
        escrow.deposit(uint96(amount));
    }
}
