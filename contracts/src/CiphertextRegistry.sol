// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RecordCode} from "./RecordCode.sol";

/// @title  What a handle stands for: whose ciphertext, its digest and size, the epoch it was encrypted for, where it lies.
/// @notice A registration is immutable. The owner is part of the handle's preimage, so nobody can register it before the owner
///         does.
contract CiphertextRegistry {
    /// A handle now names a ciphertext. `digest` is sha256 of the ciphertext, `size` its length in bytes.
    event CiphertextRegistered(
        bytes32 indexed handle, address indexed owner, bytes32 digest, uint32 size, uint32 epoch, string[] locations
    );

    /// The owner has already registered this salt.
    error AlreadyRegistered(bytes32 handle);
    error UnknownHandle(bytes32 handle);
    /// Digest, size and epoch are never zero.
    error EmptyField();
    error LocationCountOutOfRange(uint256 count);
    /// A location is empty or longer than LOCATION_BYTES_MAX.
    error LocationLengthOutOfRange(uint256 index, uint256 bytesLength);

    /// docs/protocol.md, section 3.
    bytes32 public constant HANDLE_DOMAIN = keccak256("portcullis/native/v1/handle");
    uint256 public constant LOCATIONS_MAX = 4;
    uint256 public constant LOCATION_BYTES_MAX = 256;

    /// The slot serves the gateway's hot question (which epoch?); the rest is code: owner (20) | digest (32) |
    /// abi.encode(locations).
    struct Entry {
        address pointer;
        uint32 epoch;
        uint32 size;
    }

    uint256 private constant DIGEST_OFFSET = 20;
    uint256 private constant LOCATIONS_OFFSET = 52;

    mapping(bytes32 handle => Entry) private entries;

    /// Registers the caller's ciphertext under the handle that its `salt` gives.
    function register(bytes32 salt, bytes32 digest, uint32 size, uint32 epoch, string[] calldata locations)
        external
        returns (bytes32 handle)
    {
        if (digest == 0 || size == 0 || epoch == 0) revert EmptyField();
        uint256 count = locations.length;
        if (count == 0 || count > LOCATIONS_MAX) revert LocationCountOutOfRange(count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 length = bytes(locations[i]).length;
            if (length == 0 || length > LOCATION_BYTES_MAX) revert LocationLengthOutOfRange(i, length);
        }

        handle = handleOf(msg.sender, salt);
        if (entries[handle].epoch != 0) revert AlreadyRegistered(handle);
        address pointer = RecordCode.write(abi.encodePacked(msg.sender, digest, abi.encode(locations)));
        entries[handle] = Entry(pointer, epoch, size);
        emit CiphertextRegistered(handle, msg.sender, digest, size, epoch, locations);
    }

    /// The handle that `owner` gets for `salt`, registered or not.
    function handleOf(address owner, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(HANDLE_DOMAIN, block.chainid, address(this), owner, salt));
    }

    /// Zero for an unknown handle.
    function epochOf(bytes32 handle) external view returns (uint32) {
        return entries[handle].epoch;
    }

    /// The zero address for an unknown handle.
    function ownerOf(bytes32 handle) external view returns (address owner) {
        address pointer = entries[handle].pointer;
        if (pointer == address(0)) return address(0);
        return address(bytes20(RecordCode.read(pointer, 0, DIGEST_OFFSET)));
    }

    /// All zero for an unknown handle.
    function recordOf(bytes32 handle) external view returns (address owner, bytes32 digest, uint32 size, uint32 epoch) {
        Entry memory entry = entries[handle];
        if (entry.epoch == 0) return (address(0), 0, 0, 0);
        bytes memory head = RecordCode.read(entry.pointer, 0, LOCATIONS_OFFSET);
        assembly ("memory-safe") {
            owner := shr(96, mload(add(head, 0x20)))
            digest := mload(add(head, 0x34)) // 0x20 + DIGEST_OFFSET
        }
        return (owner, digest, entry.size, entry.epoch);
    }

    function locationsOf(bytes32 handle) external view returns (string[] memory) {
        address pointer = entries[handle].pointer;
        if (pointer == address(0)) revert UnknownHandle(handle);
        return abi.decode(RecordCode.readFrom(pointer, LOCATIONS_OFFSET), (string[]));
    }
}
