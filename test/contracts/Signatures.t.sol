// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit, IBatchSettlement} from "../../contracts/interfaces/IBatchSettlement.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {BatchHeader} from "../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../contracts/types/SpendingAuthorization.sol";
import {Voucher} from "../../contracts/types/Voucher.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Each signature that moves money: wrong key, chain or contract, high s, bad v, zero, any field changed.
contract SignaturesTest is World {
    uint96 private constant LOCK = 100e6;
    uint96 private constant CHARGE = 5e6;
    uint256 private constant WRONG_KEY = 0xBAD;
    uint256 private constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    bytes32 private sessionId;

    function setUp() public override {
        super.setUp();
        sessionId = _openSession(VOUCHER, LOCK);
    }

    function test_domain() public view {
        vm.assertEq(settlement.domainSeparator(), _separator("1", block.chainid, address(settlement)), "EIP-712 domain");
    }

    // ---- the header, signed by the relayer

    function test_headerByAnotherKey() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        _expectHeaderRefused(header, debits, credits, _sign(WRONG_KEY, header.hash()), vm.addr(WRONG_KEY));
    }

    function test_headerMalformed() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SIGNER_KEY, _digest(header.hash()));
        uint8[5] memory bad = [0, 1, 26, 29, 255];
        for (uint256 i = 0; i < bad.length; ++i) {
            _expectHeaderRefused(header, debits, credits, abi.encodePacked(r, s, bad[i]), address(0));
        }
        bytes32 highS = bytes32(N - uint256(s));
        _expectHeaderRefused(header, debits, credits, abi.encodePacked(r, highS, v == 27 ? uint8(28) : uint8(27)), address(0));
        _expectHeaderRefused(header, debits, credits, new bytes(65), address(0));
        _expectHeaderRefused(header, debits, credits, "", address(0));
        _expectHeaderRefused(header, debits, credits, abi.encodePacked(r, s), address(0));
        _expectHeaderRefused(header, debits, credits, abi.encodePacked(r, s, v, uint8(0)), address(0));
    }

    function test_headerOfAnotherDomain() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes32[3] memory separators = [
            _separator("1", block.chainid + 1, address(settlement)),
            _separator("1", block.chainid, address(escrow)),
            _separator("2", block.chainid, address(settlement))
        ];
        for (uint256 i = 0; i < separators.length; ++i) {
            bytes memory signature = _signIn(separators[i], SIGNER_KEY, header.hash());
            _expectHeaderRefused(header, debits, credits, signature, _recover(header.hash(), signature));
        }
    }

    /// @dev Every field of the header is signed. Those that are checked before the signature revert for their own reason.
    function testFuzz_headerFieldsAreSigned(uint8 field, bytes32 value) public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        field %= 8;
        vm.assume(value != 0);
        if (field == 0) header.sessionRoot ^= value;
        if (field == 1) header.tabRoot ^= value;
        if (field == 2) header.leafCount ^= uint32(uint256(value) | 1);
        if (field == 3) header.dataHash ^= value;
        if (field == 4) header.debitsHash ^= value;
        if (field == 5) header.creditsHash ^= value;
        if (field == 6) header.periodStart -= uint48(1 + uint256(value) % 1e6);
        if (field == 7) header.postBy -= uint48(1 + uint256(value) % (W / 2));
        _expectHeaderRefused(header, debits, credits, signature, _recover(header.hash(), signature));
    }

    // ---- the voucher, signed by the session key

    function test_voucherByAnotherKey() public {
        Debit memory debit = _debit(sessionId, CHARGE, 0);
        _putVoucher(debit, WRONG_KEY, CHARGE);
        _expectVoucherRefused(debit, vm.addr(WRONG_KEY));
        _putVoucher(debit, PAYER_KEY, CHARGE);
        _expectVoucherRefused(debit, payer);
    }

    function test_voucherMalformed() public {
        Debit memory debit = _debit(sessionId, CHARGE, CHARGE);
        (bytes32 r, bytes32 vs) = (debit.r, debit.vs);
        // s above half the order that still fits 255 bits.
        debit.vs = bytes32(N / 2 + 1);
        _expectVoucherRefused(debit, address(0));
        (debit.r, debit.vs) = (0, 0);
        _expectVoucherRefused(debit, address(0));
        (debit.r, debit.vs) = (r, vs ^ bytes32(uint256(1) << 255));
        _expectVoucherRefused(debit, _recoverCompact(_voucherHash(debit), r, debit.vs));
        (debit.r, debit.vs) = (bytes32(N), vs);
        _expectVoucherRefused(debit, address(0));
    }

    function test_voucherFieldsAreSigned() public {
        Debit memory debit = _debit(sessionId, CHARGE, CHARGE);
        debit.cumulativeCap += 1;
        _expectVoucherRefused(debit, _recoverCompact(_voucherHash(debit), debit.r, debit.vs));
        debit = _debit(sessionId, CHARGE, CHARGE);
        debit.taskId ^= bytes32(uint256(1));
        _expectVoucherRefused(debit, _recoverCompact(_voucherHash(debit), debit.r, debit.vs));
    }

    /// @dev A voucher of one session is worth nothing in another of the same key.
    function test_voucherOfAnotherSession() public {
        SpendingAuthorization memory authorization = _authorization(VOUCHER, LOCK);
        authorization.salt = 2;
        bytes32 other = _open(authorization);
        Debit memory debit = _debit(other, CHARGE, CHARGE);
        debit.sessionId = sessionId;
        _expectVoucherRefused(debit, _recoverCompact(_voucherHash(debit), debit.r, debit.vs));
    }

    function test_voucherOfAnotherDomain() public {
        Debit memory debit = _debit(sessionId, CHARGE, CHARGE);
        bytes32[2] memory separators = [
            _separator("1", block.chainid + 1, address(settlement)), _separator("1", block.chainid, address(escrow))
        ];
        for (uint256 i = 0; i < separators.length; ++i) {
            bytes32 digest = keccak256(abi.encodePacked(hex"1901", separators[i], _voucherHash(debit)));
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(SESSION_KEY, digest);
            (debit.r, debit.vs) = (r, bytes32(uint256(s) | uint256(v - 27) << 255));
            _expectVoucherRefused(debit, _recoverCompact(_voucherHash(debit), debit.r, debit.vs));
        }
    }

    // ---- the receipt, signed by the node

    function test_receiptByAnotherKey() public {
        _expectReceiptRefused(_credit(nodeId, WRONG_KEY, CHARGE, CHARGE), vm.addr(WRONG_KEY));
        uint32 other = _registerNode(stranger, 0xB5);
        _expectReceiptRefused(_credit(nodeId, 0xB5, CHARGE, CHARGE), vm.addr(0xB5));
        vm.assertEq(other, nodeId + 1, "another node's key is another key");
    }

    function test_receiptMalformed() public {
        Credit memory credit = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        bytes32 r = credit.r;
        (credit.r, credit.vs) = (0, 0);
        _expectReceiptRefused(credit, address(0));
        // s above half the order that still fits 255 bits.
        (credit.r, credit.vs) = (r, bytes32(N / 2 + 1));
        _expectReceiptRefused(credit, address(0));
        (credit.r, credit.vs) = (bytes32(N), bytes32(uint256(1)));
        _expectReceiptRefused(credit, address(0));
    }

    function test_receiptFieldsAreSigned() public {
        Credit memory credit = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        credit.nodeCumulative += 1;
        _expectTamperedReceiptRefused(credit);
        credit = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        credit.nodeSeq += 1;
        _expectTamperedReceiptRefused(credit);
        credit = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        credit.bodyHash ^= bytes32(uint256(1));
        _expectTamperedReceiptRefused(credit);
    }

    /// @dev A receipt for one relayer is worth nothing at another: the digest takes the header's relayer.
    function test_receiptForAnotherRelayer() public {
        uint32 own = relayerId;
        relayerId = 99;
        Credit memory credit = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        relayerId = own;
        _expectTamperedReceiptRefused(credit);
    }

    // ---- the authorization, signed by the payer

    function test_authorizationByAnotherKey() public {
        SpendingAuthorization memory authorization = _fresh();
        _expectNotOpened(authorization, _sign(WRONG_KEY, authorization.hash()));
        _expectNotOpened(authorization, _sign(SESSION_KEY, authorization.hash()));
    }

    function test_authorizationMalformed() public {
        SpendingAuthorization memory authorization = _fresh();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, _digest(authorization.hash()));
        _expectNotOpened(authorization, abi.encodePacked(r, N - uint256(s), v == 27 ? uint8(28) : uint8(27)));
        _expectNotOpened(authorization, abi.encodePacked(r, s, v - 27));
        _expectNotOpened(authorization, abi.encodePacked(r, s, uint8(29)));
        _expectNotOpened(authorization, new bytes(65));
        _expectNotOpened(authorization, "");
    }

    function test_authorizationOfAnotherDomain() public {
        SpendingAuthorization memory authorization = _fresh();
        bytes32 hash = authorization.hash();
        _expectNotOpened(authorization, _signIn(_separator("1", block.chainid + 1, address(settlement)), PAYER_KEY, hash));
        _expectNotOpened(authorization, _signIn(_separator("1", block.chainid, address(escrow)), PAYER_KEY, hash));
    }

    /// @dev Fields that openSession accepts in any value, one by one, after signing.
    function testFuzz_authorizationFieldsAreSigned(uint8 field, uint96 value) public {
        SpendingAuthorization memory authorization = _fresh();
        bytes memory signature = _sign(PAYER_KEY, authorization.hash());
        value = uint96(1 + value % 1e6);
        field %= 9;
        if (field == 0) authorization.lock -= value;
        if (field == 1) authorization.maxTotal += value;
        if (field == 2) authorization.maxPerTask += value;
        if (field == 3) authorization.maxPerDay += value;
        if (field == 4) authorization.maxPriceInPerMTok += value;
        if (field == 5) authorization.maxPriceOutPerMTok += value;
        if (field == 6) authorization.validUntil += uint48(value);
        if (field == 7) authorization.salt += value;
        if (field == 8) authorization.sessionKey = address(uint160(authorization.sessionKey) ^ uint160(value));
        _expectNotOpened(authorization, signature);
    }

    /// @dev After a fork of the chain, signatures count on the chain whose id they name.
    function test_forkedChainHasItsOwnDomain() public {
        (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) = _batch();
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.chainId(block.chainid + 7);
        vm.assertEq(settlement.domainSeparator(), _separator("1", block.chainid, address(settlement)), "new domain");
        _expectHeaderRefused(header, debits, credits, signature, _recover(header.hash(), signature));
    }

    // ---- helpers

    function _batch() private view returns (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) {
        debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, CHARGE, CHARGE);
        header = _header(debits, credits);
    }

    function _fresh() private view returns (SpendingAuthorization memory authorization) {
        authorization = _authorization(VOUCHER, LOCK);
        authorization.salt = 77;
    }

    function _voucherHash(Debit memory debit) private pure returns (bytes32) {
        return Voucher(debit.sessionId, debit.cumulativeCap, debit.taskId).hash();
    }

    function _expectHeaderRefused(
        BatchHeader memory header,
        Debit[] memory debits,
        Credit[] memory credits,
        bytes memory signature,
        address recovered
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(IBatchSettlement.HeaderSignatureInvalid.selector, vm.addr(SIGNER_KEY), recovered)
        );
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }

    function _expectVoucherRefused(Debit memory debit, address recovered) private {
        Debit[] memory debits = new Debit[](1);
        debits[0] = debit;
        _expectRefused(
            debits,
            new Credit[](0),
            abi.encodeWithSelector(IEscrow.VoucherSignatureInvalid.selector, debit.sessionId, vm.addr(SESSION_KEY), recovered)
        );
    }

    function _expectReceiptRefused(Credit memory credit, address recovered) private {
        Debit[] memory debits = new Debit[](1);
        debits[0] = _debit(sessionId, CHARGE, CHARGE);
        Credit[] memory credits = new Credit[](1);
        credits[0] = credit;
        _expectRefused(
            debits,
            credits,
            abi.encodeWithSelector(IEscrow.ReceiptSignatureInvalid.selector, nodeId, vm.addr(HOT_KEY), recovered)
        );
    }

    function _expectTamperedReceiptRefused(Credit memory credit) private {
        _expectReceiptRefused(credit, _recoverCompact(_receiptHash(credit), credit.r, credit.vs));
    }

    function _expectRefused(Debit[] memory debits, Credit[] memory credits, bytes memory reason) private {
        BatchHeader memory header = _header(debits, credits);
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(reason);
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }

    function _expectNotOpened(SpendingAuthorization memory authorization, bytes memory signature) private {
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.AuthorizationSignatureInvalid.selector, authorization.hash(), payer)
        );
        escrow.openSession(authorization, signature);
    }

    function _signIn(bytes32 separator, uint256 key, bytes32 structHash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", separator, structHash)));
        return abi.encodePacked(r, s, v);
    }

    function _separator(string memory version, uint256 chainId, address verifyingContract) private pure returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Tidelane"), keccak256(bytes(version)), chainId, verifyingContract)
        );
    }
}
