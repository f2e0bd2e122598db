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

/// @title A token that becomes as odd as it is told, in the middle of its life too, as an upgradeable one may
/// @notice Deployed in tests only. It has neither permit nor ERC-3009.
contract OddToken {
    enum Oddity {
        NONE,
        KEEPS_A_PART,
        RETURNS_NOTHING,
        RETURNS_FALSE,
        REVERTS_ON_ZERO,
        PAUSED,
        RETURNS_MUCH
    }

    error Blocked(address account);
    error Paused();
    error ZeroTransfer();
    error Insufficient(address account, uint256 balance, uint256 needed);

    uint256 private constant WHOLE_BPS = 10_000;
    uint8 public immutable decimals;
    Oddity public oddity;
    /// @notice What one unit of the books stands for: a rebase changes everybody's balance at once.
    uint256 public scaleBps = WHOLE_BPS;
    mapping(address account => bool) public isBlocked;
    mapping(address account => uint256) private books;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function become(Oddity oddity_) external {
        oddity = oddity_;
    }

    function rebase(uint256 scaleBps_) external {
        scaleBps = scaleBps_;
    }

    function setBlocked(address account, bool blocked) external {
        isBlocked[account] = blocked;
    }

    function mint(address to, uint256 amount) external {
        books[to] += amount * WHOLE_BPS / scaleBps;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return _answer();
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return _answer();
    }

    function balanceOf(address account) public view returns (uint256) {
        return books[account] * scaleBps / WHOLE_BPS;
    }

    function _move(address from, address to, uint256 amount) private {
        if (oddity == Oddity.PAUSED) revert Paused();
        if (oddity == Oddity.REVERTS_ON_ZERO && amount == 0) revert ZeroTransfer();
        if (isBlocked[from]) revert Blocked(from);
        if (isBlocked[to]) revert Blocked(to);
        // A token that says no moves nothing.
        if (oddity == Oddity.RETURNS_FALSE) return;
        if (amount > balanceOf(from)) revert Insufficient(from, balanceOf(from), amount);
        uint256 booked = amount * WHOLE_BPS / scaleBps;
        books[from] -= booked;
        books[to] += oddity == Oddity.KEEPS_A_PART ? booked - booked / 100 : booked;
    }

    function _answer() private view returns (bool) {
        if (oddity == Oddity.RETURNS_NOTHING) {
            assembly {
                return(0, 0)
            }
        }
        if (oddity == Oddity.RETURNS_MUCH) {
            assembly {
                mstore(0, 1)
                return(0, 0x60000)
            }
        }
        return oddity != Oddity.RETURNS_FALSE;
    }
}

/// @title A token that answers every call that it does not know, and does nothing
/// @notice Deployed in tests only.
contract AgreeableToken is ERC20("Says yes to everything", "YES") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    fallback() external {}
}
