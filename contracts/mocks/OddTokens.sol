// SPDX-License-Identifier: MIT
pragma solidity ^0.8.27;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that keeps one percent of every transfer
/// @notice Deployed in tests only.
contract FeeToken is ERC20("Fee on transfer", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : amount / 100;
        if (fee != 0) super._update(from, address(0), fee);
        super._update(from, to, amount - fee);
    }
}

/// @title A token that calls whoever it was told to in every transfer
/// @notice Deployed in tests only.
contract HookToken is ERC20("With hooks", "HOOK") {
    address public target;
    bytes public data;
    bool public entered;
    bytes public answer;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setHook(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
        entered = false;
        answer = "";
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target == address(0) || entered) return;
        entered = true;
        bool ok;
        (ok, answer) = target.call(data);
        // A door that opened is told apart by an empty answer.
        if (ok) answer = "";
    }
}
