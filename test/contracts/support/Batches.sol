// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {Credit, Debit} from "../../../contracts/interfaces/IBatchSettlement.sol";
import {BatchHeader} from "../../../contracts/types/BatchHeader.sol";
import {SpendingAuthorization} from "../../../contracts/types/SpendingAuthorization.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice A world with one open VOUCHER session, and batches over it.
abstract contract Batches is World {
    uint96 internal constant LOCK = 100e6;
    uint96 internal constant CHARGE = 10_300_000;
    uint96 internal constant FEE = 10_000_000;

    bytes32 internal sessionId;

    function setUp() public virtual override {
        super.setUp();
        sessionId = _openSession(VOUCHER, LOCK);
    }

    function _batch() internal view returns (BatchHeader memory header, Debit[] memory debits, Credit[] memory credits) {
        debits = new Debit[](1);
        uint96 charged = escrow.sessionOf(sessionId).charged;
        debits[0] = _debit(sessionId, CHARGE, charged + CHARGE);
        credits = new Credit[](1);
        credits[0] = _credit(nodeId, HOT_KEY, FEE, escrow.tabOf(relayerId, nodeId).earned + FEE);
        header = _header(debits, credits);
    }

    /// @dev As many tabs as sessions; item i changes by 1,000 + i on both sides.
    function _many(uint256 count) internal returns (Debit[] memory debits, Credit[] memory credits) {
        bytes32[] memory ids = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            SpendingAuthorization memory authorization = _authorization(VOUCHER, 1e6);
            authorization.salt = 1_000 + i;
            ids[i] = _open(authorization);
            // Insertion sort: ascending, as a batch must be.
            for (uint256 j = i; j > 0 && ids[j - 1] > ids[j]; --j) (ids[j - 1], ids[j]) = (ids[j], ids[j - 1]);
        }
        debits = new Debit[](count);
        credits = new Credit[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint96 change = uint96(1_000 + i);
            debits[i] = _debit(ids[i], change, change);
            credits[i] = _credit(_registerNode(nodeOwner, 0xB100 + i), 0xB100 + i, change, change);
        }
    }

    function _expectRefused(BatchHeader memory header, Debit[] memory debits, Credit[] memory credits, bytes memory reason)
        internal
    {
        bytes memory signature = _sign(SIGNER_KEY, header.hash());
        vm.expectRevert(reason);
        vm.prank(poster);
        settlement.postBatch(header, signature, debits, credits);
    }

    function _expectDebitRefused(Debit[] memory debits, bytes memory reason) internal {
        Credit[] memory credits = new Credit[](0);
        _expectRefused(_header(debits, credits), debits, credits, reason);
    }
}
