// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CiphertextRegistry} from "./CiphertextRegistry.sol";

/// @title  Who may have a handle decrypted.
/// @notice Only a handle's owner changes its list; the owner itself is always on it. An account may let a delegate ask in its
///         name. Every change is an event, so that whoever caches an answer learns when to forget it.
contract AccessList {
    event Allowed(bytes32 indexed handle, address indexed account);
    event Revoked(bytes32 indexed handle, address indexed account);
    /// Anybody may now ask for this handle's plaintext to be made public.
    event AllowedForDecryption(bytes32 indexed handle);
    event RevokedForDecryption(bytes32 indexed handle);
    /// `delegate` may ask in the name of `account` through the second `expiry` (Unix).
    event Delegated(address indexed account, address indexed delegate, uint64 expiry);
    event DelegationRevoked(address indexed account, address indexed delegate);

    /// The caller does not own the handle, or nobody has registered it.
    error NotOwner(bytes32 handle, address caller);
    error InvalidAccount(address account);
    error ExpiryInThePast(uint64 expiry);

    CiphertextRegistry public immutable ciphertexts;

    mapping(bytes32 handle => mapping(address account => bool)) private accounts;
    mapping(bytes32 handle => bool) private publicHandles;
    mapping(address account => mapping(address delegate => uint64 expiry)) private delegations;

    constructor(CiphertextRegistry ciphertexts_) {
        ciphertexts = ciphertexts_;
    }

    modifier onlyOwnerOf(bytes32 handle) {
        if (ciphertexts.ownerOf(handle) != msg.sender) revert NotOwner(handle, msg.sender);
        _;
    }

    function allow(bytes32 handle, address account) external onlyOwnerOf(handle) {
        if (account == address(0)) revert InvalidAccount(account);
        accounts[handle][account] = true;
        emit Allowed(handle, account);
    }

    /// Has no effect on the owner, who is always allowed.
    function revoke(bytes32 handle, address account) external onlyOwnerOf(handle) {
        accounts[handle][account] = false;
        emit Revoked(handle, account);
    }

    function allowForDecryption(bytes32 handle) external onlyOwnerOf(handle) {
        publicHandles[handle] = true;
        emit AllowedForDecryption(handle);
    }

    /// Stops future decryptions. What has been made public stays public.
    function revokeForDecryption(bytes32 handle) external onlyOwnerOf(handle) {
        publicHandles[handle] = false;
        emit RevokedForDecryption(handle);
    }

    /// Lets `delegate_` ask in the caller's name through the second `expiry`.
    function delegate(address delegate_, uint64 expiry) external {
        if (delegate_ == address(0) || delegate_ == msg.sender) revert InvalidAccount(delegate_);
        if (expiry < block.timestamp) revert ExpiryInThePast(expiry);
        delegations[msg.sender][delegate_] = expiry;
        emit Delegated(msg.sender, delegate_, expiry);
    }

    function revokeDelegation(address delegate_) external {
        delete delegations[msg.sender][delegate_];
        emit DelegationRevoked(msg.sender, delegate_);
    }

    function isAllowed(bytes32 handle, address account) external view returns (bool) {
        if (account == address(0)) return false;
        return accounts[handle][account] || ciphertexts.ownerOf(handle) == account;
    }

    function isAllowedForDecryption(bytes32 handle) external view returns (bool) {
        return publicHandles[handle];
    }

    /// Whether `delegate_` is `account` or may ask in its name now.
    function mayAct(address delegate_, address account) external view returns (bool) {
        if (account == address(0)) return false;
        if (delegate_ == account) return true;
        uint64 expiry = delegations[account][delegate_];
        return expiry != 0 && block.timestamp <= expiry;
    }

    /// Zero when there is no delegation.
    function delegationExpiry(address account, address delegate_) external view returns (uint64) {
        return delegations[account][delegate_];
    }
}
