// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {BatchSettlement} from "../../../contracts/BatchSettlement.sol";
import {BondVault} from "../../../contracts/BondVault.sol";
import {Escrow} from "../../../contracts/Escrow.sol";
import {FraudProofs} from "../../../contracts/FraudProofs.sol";
import {SaturationBoard} from "../../../contracts/SaturationBoard.sol";
import {TaskReceipts} from "../../../contracts/TaskReceipts.sol";
import {EscrowWiring} from "../../../contracts/escrow/EscrowBase.sol";
import {LeafJudge} from "../../../contracts/fraud/LeafJudge.sol";
import {NodeJudge} from "../../../contracts/fraud/NodeJudge.sol";
import {RelayerJudge} from "../../../contracts/fraud/RelayerJudge.sol";
import {TreeJudge} from "../../../contracts/fraud/TreeJudge.sol";
import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {Party} from "../../../contracts/interfaces/IBondVault.sol";
import {ModelOffer, NodeProfile} from "../../../contracts/interfaces/INodeRegistry.sol";
import {Items} from "../../../contracts/libraries/Items.sol";
import {NodeRegistry} from "../../../contracts/registry/NodeRegistry.sol";
import {RelayerRegistry} from "../../../contracts/registry/RelayerRegistry.sol";
import {TideToken} from "../../../contracts/token/TideToken.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {KeyConsent} from "../../../contracts/types/KeyConsent.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {ReceiptBody, TaskReceipt} from "../../../contracts/types/TaskReceipt.sol";
import {Voucher} from "../../../contracts/types/Voucher.sol";
import {vm} from "./Vm.sol";

/// @notice A whole deployment, and honest actors that sign what the protocol asks for.
/// @dev Keys are small numbers: test keys, in this process only.
abstract contract World {
    uint48 internal constant W = 1 hours;
    uint48 internal constant EPOCH = 5 minutes;
    uint96 internal constant SLOT_STAKE = 100e6;
    uint8 internal constant LEVERAGE = 5;
    uint96 internal constant CHALLENGE_BOND = 2e6;
    uint96 internal constant MINIMUM_PENALTY = 50e6;
    uint256 internal constant START = 1_800_000_000;
    /// @dev An account of the test: what it says was proven is what the test says.
    address internal constant TRANSFER_PROOFS = address(0x7F7F);

    uint256 internal constant PAYER_KEY = 0xA1;
    uint256 internal constant SESSION_KEY = 0xA2;
    uint256 internal constant HOT_KEY = 0xB1;
    uint256 internal constant SIGNER_KEY = 0xC1;
    uint8 internal constant VOUCHER = 0;
    uint8 internal constant ALLOWANCE = 1;

    address internal payer = vm.addr(PAYER_KEY);
    address internal nodeOwner = address(0xB0B0);
    address internal nodePayout = address(0xB0B1);
    address internal relayerOwner = address(0xC0C0);
    address internal poster = address(0xC0C1);
    address internal guardian = address(0x6A6A);
    address internal fraudProofs;
    address internal stranger = address(0x5757);

    TideToken internal pay;
    TideToken internal stake;
    NodeRegistry internal nodes;
    RelayerRegistry internal relayers;
    BondVault internal vault;
    Escrow internal escrow;
    BatchSettlement internal settlement;
    SaturationBoard internal board;
    TaskReceipts internal receipts;
    FraudProofs internal proofs;

    uint32 internal nodeId;
    uint32 internal relayerId;

    /// @notice Deployment, one node, one bonded relayer, one payer with a deposit.
    function setUp() public virtual {
        vm.warp(START);
        _deploy();
        _registerOthers();
        nodeId = _registerNode(nodeOwner, HOT_KEY);
        relayerId = _registerRelayer(relayerOwner, SIGNER_KEY);
        _bond(Party.RELAYER, relayerId, 10_000e6);
        _fund(payer, 1_000e6);
    }

    function _deploy() internal {
        _makeTokens();
        _deployBooks();
        proofs = new FraudProofs(
            settlement,
            new NodeJudge(settlement),
            new LeafJudge(settlement, MINIMUM_PENALTY),
            new TreeJudge(settlement),
            new RelayerJudge(settlement, board),
            CHALLENGE_BOND
        );
    }

    function _makeTokens() internal virtual {
        pay = new TideToken("Test dollar", "tUSD");
        stake = new TideToken("Test stake", "TIDE");
    }

    /// @notice Everything but judges and FraudProofs, which is to come five contracts later.
    function _deployBooks() internal {
        uint64 nonce = vm.getNonce(address(this));
        address foretoldSettlement = vm.computeCreateAddress(address(this), nonce + 4);
        address foretoldBoard = vm.computeCreateAddress(address(this), nonce + 5);
        fraudProofs = vm.computeCreateAddress(address(this), nonce + 11);
        nodes = new NodeRegistry(foretoldSettlement);
        relayers = new RelayerRegistry(foretoldSettlement);
        vault = new BondVault(stake, pay, nodes, relayers, fraudProofs, W, SLOT_STAKE);
        escrow = new Escrow(
            EscrowWiring({
                payToken: pay,
                nodeRegistry: nodes,
                relayerRegistry: relayers,
                bondVault: vault,
                batchSettlement: foretoldSettlement,
                saturationBoard: _feesWaitForSeeds() ? SaturationBoard(foretoldBoard) : SaturationBoard(address(0)),
                fraudProofs: fraudProofs,
                inferenceGateway: address(0),
                transferProofs: TRANSFER_PROOFS,
                guardian: guardian,
                windowSeconds: W,
                leverage: LEVERAGE
            })
        );
        settlement = new BatchSettlement(escrow);
        board = new SaturationBoard(settlement, EPOCH);
        receipts = new TaskReceipts(settlement);
    }

    /// @notice Whether this deployment's fees are paid only once the routing seeds are revealed.
    function _feesWaitForSeeds() internal pure virtual returns (bool) {
        return true;
    }

    // ---- actors

    /// @notice Who is there before them, where it matters that ids differ from one another and from epochs.
    function _registerOthers() internal virtual {}

    function _registerNode(address owner, uint256 key) internal returns (uint32 id) {
        ModelOffer[] memory offers = new ModelOffer[](1);
        offers[0] = ModelOffer(keccak256("org/model@q4"), 100_000, 300_000);
        bytes memory consent = _consent(address(nodes), owner, key);
        vm.prank(owner);
        return nodes.register(NodeProfile(nodePayout, 1, 0), vm.addr(key), offers, consent);
    }

    function _registerRelayer(address owner, uint256 key) internal returns (uint32 id) {
        bytes memory consent = _consent(address(relayers), owner, key);
        vm.prank(owner);
        return relayers.register(poster, vm.addr(key), 300, "https://relayer.example", consent);
    }

    function _bond(Party party, uint32 id, uint96 amount) internal {
        TideToken token = party == Party.NODE ? stake : pay;
        token.mint(address(this), amount);
        token.approve(address(vault), amount);
        vault.bond(party, id, amount);
    }

    function _fund(address account, uint96 amount) internal {
        pay.mint(address(this), amount);
        pay.approve(address(escrow), amount);
        escrow.depositFor(account, amount);
    }

    function _authorization(uint8 mode, uint96 lock) internal view returns (SpendingAuthorization memory) {
        return SpendingAuthorization({
            payer: payer,
            sessionKey: vm.addr(SESSION_KEY),
            relayerId: relayerId,
            lock: lock,
            maxTotal: lock,
            maxPerTask: 1e6,
            maxPerDay: mode == ALLOWANCE ? lock / 4 : 0,
            maxPriceInPerMTok: 1e6,
            maxPriceOutPerMTok: 1e6,
            maxFeeBps: 500,
            mode: mode,
            validAfter: uint48(block.timestamp),
            validUntil: uint48(block.timestamp + 365 days),
            salt: 1
        });
    }

    function _open(SpendingAuthorization memory authorization) internal returns (bytes32 sessionId) {
        return escrow.openSession(authorization, _sign(PAYER_KEY, authorization.hash()));
    }

    function _openSession(uint8 mode, uint96 lock) internal returns (bytes32 sessionId) {
        return _open(_authorization(mode, lock));
    }

    function _profileWith(address payout) internal pure returns (NodeProfile memory) {
        return NodeProfile(payout, 1, 0);
    }

    function _none() internal pure returns (ModelOffer[] memory) {
        return new ModelOffer[](0);
    }

    // ---- signatures

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", settlement.domainSeparator(), structHash));
    }

    function _sign(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _digest(structHash));
        return abi.encodePacked(r, s, v);
    }

    /// @notice Whom a 65-byte signature points to when it is read over that struct.
    function _recover(bytes32 structHash, bytes memory signature) internal view returns (address) {
        (bytes32 r, bytes32 s, uint8 v) = (bytes32(0), bytes32(0), uint8(signature[64]));
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        return ecrecover(_digest(structHash), v, r, s);
    }

    function _recoverCompact(bytes32 structHash, bytes32 r, bytes32 vs) internal view returns (address) {
        return ecrecover(
            _digest(structHash), uint8(uint256(vs) >> 255) + 27, r, bytes32(uint256(vs) & type(uint256).max >> 1)
        );
    }

    function _compact(uint256 key, bytes32 structHash) internal view returns (bytes32 r, bytes32 vs) {
        uint8 v;
        bytes32 s;
        (v, r, s) = vm.sign(key, _digest(structHash));
        vs = bytes32(uint256(s) | uint256(v - 27) << 255);
    }

    function _consent(address registry, address owner, uint256 key) internal view returns (bytes memory) {
        return _sign(key, KeyConsent(registry, owner, vm.addr(key)).hash());
    }

    // ---- batches

    function _debit(bytes32 sessionId, uint96 change, uint96 cap) internal view returns (Debit memory debit) {
        debit.sessionId = sessionId;
        debit.change = change;
        if (cap != 0) _putVoucher(debit, SESSION_KEY, cap);
    }

    function _putVoucher(Debit memory debit, uint256 key, uint96 cap) internal view {
        debit.cumulativeCap = cap;
        debit.taskId = keccak256(abi.encode("task", cap));
        (debit.r, debit.vs) = _compact(key, Voucher(debit.sessionId, cap, debit.taskId).hash());
    }

    function _credit(uint32 id, uint256 key, uint96 change, uint96 cumulative) internal view returns (Credit memory credit) {
        credit.nodeId = id;
        credit.change = change;
        if (cumulative == 0) return credit;
        credit.keyEpoch = 1;
        credit.nodeSeq = uint64(block.timestamp * 1_000) << 20;
        credit.nodeCumulative = cumulative;
        credit.bodyHash = keccak256(abi.encode("body", cumulative));
        (credit.r, credit.vs) = _compact(key, _receiptHash(credit));
    }

    function _receiptHash(Credit memory credit) internal view returns (bytes32) {
        TaskReceipt memory receipt;
        receipt.nodeId = credit.nodeId;
        receipt.relayerId = relayerId;
        receipt.keyEpoch = credit.keyEpoch;
        receipt.nodeSeq = credit.nodeSeq;
        receipt.nodeCumulative = credit.nodeCumulative;
        return receipt.hashWithBody(credit.bodyHash);
    }

    /// @notice The next header of the relayer over these items.
    function _header(Debit[] memory debits, Credit[] memory credits) internal view returns (BatchHeader memory header) {
        (uint64 lastId, bytes32 lastHash) = settlement.lastBatchOf(relayerId);
        header.relayerId = relayerId;
        header.relayerEpoch = 1;
        header.batchId = lastId + 1;
        header.prevBatchHash = lastHash;
        header.sessionRoot = keccak256(abi.encode("session root", lastId));
        header.tabRoot = keccak256(abi.encode("tab root", lastId));
        header.leafCount = 10;
        header.dataHash = keccak256("data");
        header.periodStart = uint48(block.timestamp) - 60;
        header.periodEnd = uint48(block.timestamp);
        header.postBy = uint48(block.timestamp) + W / 2;
        _putTotals(header, debits, credits);
    }

    function _putTotals(BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) internal pure {
        bytes memory list = Items.room(debits.length);
        for (uint256 i = 0; i < debits.length; ++i) {
            Items.put(list, i, uint256(debits[i].sessionId), debits[i].change);
            header.totalDebit += debits[i].change;
        }
        header.debitsHash = Items.hash(list);
        list = Items.room(credits.length);
        for (uint256 i = 0; i < credits.length; ++i) {
            Items.put(list, i, credits[i].nodeId, credits[i].change);
            header.totalCredit += credits[i].change;
        }
        header.creditsHash = Items.hash(list);
    }

    function _post(BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) internal returns (bytes32) {
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.prank(poster);
        return settlement.postBatch(header, signature, debits, credits);
    }

    /// @notice One session pays one node; the voucher and the receipt cover exactly that.
    function _settle(bytes32 sessionId, uint96 charge, uint96 fee) internal returns (bytes32) {
        Debit[] memory debits = new Debit[](1);
        uint96 charged = escrow.sessionOf(sessionId).charged;
        bool voucher = escrow.sessionOf(sessionId).mode == VOUCHER;
        debits[0] = _debit(sessionId, charge, voucher ? charged + charge : 0);
        Credit[] memory credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, fee, escrow.tabOf(relayerId, nodeId).earned + fee);
        return _post(_header(debits, credits), debits, credits);
    }

    /// @notice A receipt body of the node for that fee.
    function _body(uint96 fee) internal pure returns (ReceiptBody memory body) {
        body.assignmentHash = keccak256("assignment");
        body.fee = fee;
        body.status = 1;
    }
}
