// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bls12381} from "./Bls12381.sol";
import {RecordCode} from "./RecordCode.sol";

/// @title  The committees that hold the keys, one epoch after the other.
/// @notice An epoch's record never changes. It can only be retired: from then on nothing new is requested from it and nothing
///         that it attests is believed. To rotate, register the next epoch and retire the old one when nobody needs it any more.
contract CommitteeRegistry {
    struct Node {
        /// secp256k1 identity; signs answers and, with the quorum verifier, attestations.
        address identity;
        /// x_i*G2, compressed, 96 bytes.
        bytes decryptionVerificationKey;
        /// a_i*G2, compressed, 96 bytes.
        bytes attestationVerificationKey;
        /// Where it serves, e.g. "kms-1.example.org:7443".
        string endpoint;
    }

    struct Committee {
        /// keccak256 of the suite's name (docs/protocol.md).
        bytes32 suite;
        /// How many of the nodes it takes.
        uint8 threshold;
        /// An IVerifier.
        address verifier;
        /// x*G2, compressed, 96 bytes.
        bytes decryptionKey;
        /// a*G2, uncompressed as EIP-2537 writes it, 256 bytes.
        bytes attestationKey;
        /// The same point compressed, 96 bytes; checked against it.
        bytes attestationKeyCompressed;
        /// Node i stands at index i - 1.
        Node[] nodes;
    }

    event CommitteeRegistered(
        uint32 indexed epoch, bytes32 indexed suite, address indexed verifier, uint8 threshold, uint8 nodes
    );
    event CommitteeRetired(uint32 indexed epoch);
    event OwnershipTransferStarted(address indexed owner, address indexed pendingOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed owner);

    error NotOwner(address caller);
    error NotPendingOwner(address caller);
    error InvalidOwner(address owner);
    error UnknownEpoch(uint32 epoch);
    error AlreadyRetired(uint32 epoch);
    error InvalidSuite();
    error InvalidVerifier(address verifier);
    error NodeCountOutOfRange(uint256 nodes);
    error ThresholdOutOfRange(uint256 threshold, uint256 nodes);
    /// Zero, or the identity of another node too.
    error InvalidIdentity(address identity);
    error EndpointLengthOutOfRange(uint256 node, uint256 bytesLength);
    /// Not a compressed G2 point by its length and flags.
    error InvalidKey(bytes key);
    /// The two forms of the attestation key are not the same point.
    error AttestationKeyMismatch();

    uint256 public constant NODES_MAX = 32;
    uint256 public constant ENDPOINT_BYTES_MAX = 128;
    uint256 private constant COMPRESSED_G2_BYTES = 96;

    /// Record: verifier (20) | threshold (1) | nodes (1) | attestation key (256) | identities, ascending (20 each) |
    /// abi.encode(Committee). What a fulfilment reads stands at fixed places in front.
    uint256 private constant VERIFIER_BYTES = 20;
    uint256 private constant SIZES_OFFSET = 20;
    uint256 private constant KEY_OFFSET = 22;
    uint256 private constant IDENTITIES_OFFSET = 278;

    struct Entry {
        address pointer;
        bool retired;
    }

    address public owner;
    address public pendingOwner;
    /// The newest epoch, retired or not; 0 before the first.
    uint32 public latestEpoch;
    /// The newest epoch that is not retired: what to encrypt for. 0 when there is none.
    uint32 public currentEpoch;
    mapping(uint32 epoch => Entry) private entries;

    constructor(address owner_) {
        if (owner_ == address(0)) revert InvalidOwner(owner_);
        owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// First of two steps, so that ownership cannot be lost to an address nobody holds.
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        delete pendingOwner;
    }

    /// Registers the next epoch's committee and makes it the current one.
    function register(Committee calldata committee_) external onlyOwner returns (uint32 epoch) {
        uint256 count = committee_.nodes.length;
        if (committee_.suite == 0) revert InvalidSuite();
        if (committee_.verifier.code.length == 0) revert InvalidVerifier(committee_.verifier);
        if (count == 0 || count > NODES_MAX) revert NodeCountOutOfRange(count);
        if (committee_.threshold == 0 || committee_.threshold > count) {
            revert ThresholdOutOfRange(committee_.threshold, count);
        }
        requireKey(committee_.decryptionKey);
        requireKey(committee_.attestationKeyCompressed);
        if (keccak256(Bls12381.compressG2(committee_.attestationKey)) != keccak256(committee_.attestationKeyCompressed)) {
            revert AttestationKeyMismatch();
        }
        for (uint256 i = 0; i < count; ++i) {
            Node calldata node = committee_.nodes[i];
            requireKey(node.decryptionVerificationKey);
            requireKey(node.attestationVerificationKey);
            uint256 length = bytes(node.endpoint).length;
            if (length == 0 || length > ENDPOINT_BYTES_MAX) revert EndpointLengthOutOfRange(i + 1, length);
        }

        epoch = latestEpoch + 1;
        latestEpoch = epoch;
        currentEpoch = epoch;
        bytes memory head = abi.encodePacked(
            committee_.verifier, committee_.threshold, uint8(count), committee_.attestationKey, sortedIdentities(committee_.nodes)
        );
        entries[epoch].pointer = RecordCode.write(bytes.concat(head, abi.encode(committee_)));
        emit CommitteeRegistered(epoch, committee_.suite, committee_.verifier, committee_.threshold, uint8(count));
    }

    /// Final: a key that is no longer trusted cannot become trusted again.
    function retire(uint32 epoch) external onlyOwner {
        Entry storage entry = entries[epoch];
        if (entry.pointer == address(0)) revert UnknownEpoch(epoch);
        if (entry.retired) revert AlreadyRetired(epoch);
        entry.retired = true;
        emit CommitteeRetired(epoch);
        uint32 newest = currentEpoch;
        while (newest != 0 && entries[newest].retired) --newest;
        currentEpoch = newest;
    }

    /// The whole record. Reverts for an epoch that was never registered.
    function committee(uint32 epoch) external view returns (Committee memory record, bool retired) {
        Entry memory entry = entries[epoch];
        if (entry.pointer == address(0)) revert UnknownEpoch(epoch);
        uint256 count = uint8(RecordCode.read(entry.pointer, SIZES_OFFSET + 1, 1)[0]);
        record = abi.decode(RecordCode.readFrom(entry.pointer, IDENTITIES_OFFSET + 20 * count), (Committee));
        return (record, entry.retired);
    }

    /// Registered and not retired.
    function isActive(uint32 epoch) external view returns (bool) {
        Entry memory entry = entries[epoch];
        return entry.pointer != address(0) && !entry.retired;
    }

    /// Who checks this epoch's attestations. Zero for an unknown or retired epoch, which nobody can attest for.
    function verifierOf(uint32 epoch) external view returns (address verifier) {
        Entry memory entry = entries[epoch];
        if (entry.retired) return address(0);
        address pointer = entry.pointer; // no code at zero: nothing is copied, and the answer is zero
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(pointer, 0x0c, 1, VERIFIER_BYTES)
            verifier := mload(0)
        }
    }

    /// The uncompressed attestation key as eight bare words. Reverts for an unknown epoch: eight zeros would be the point at
    /// infinity, for which a forged signature is easy to find.
    function attestationKeyOf(uint32 epoch) external view returns (uint256[8] memory) {
        address pointer = entries[epoch].pointer;
        if (pointer == address(0)) revert UnknownEpoch(epoch);
        assembly ("memory-safe") {
            let key := mload(0x40)
            extcodecopy(pointer, key, add(KEY_OFFSET, 1), 256)
            return(key, 256)
        }
    }

    /// The threshold and the identities in ascending order. (0, []) for an unknown epoch.
    function signersOf(uint32 epoch) external view returns (uint8 threshold, address[] memory identities) {
        address pointer = entries[epoch].pointer;
        if (pointer == address(0)) return (0, identities);
        bytes memory sizes = RecordCode.read(pointer, SIZES_OFFSET, 2);
        uint256 count = uint8(sizes[1]);
        bytes memory packed = RecordCode.read(pointer, IDENTITIES_OFFSET, 20 * count);
        identities = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            assembly ("memory-safe") {
                mstore(add(add(identities, 0x20), shl(5, i)), shr(96, mload(add(add(packed, 0x20), mul(20, i)))))
            }
        }
        return (uint8(sizes[0]), identities);
    }

    /// Compressed, not the identity; whether it lies in the subgroup is for those who have the curve (and, for the attestation
    /// key, for the precompile at every use).
    function requireKey(bytes calldata key) private pure {
        if (key.length != COMPRESSED_G2_BYTES || uint8(key[0]) & 0xc0 != 0x80) revert InvalidKey(key);
    }

    /// By insertion: at most 32. Distinct and non-zero, or it reverts.
    function sortedIdentities(Node[] calldata nodes) private pure returns (bytes memory packed) {
        address[] memory sorted = new address[](nodes.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            address identity = nodes[i].identity;
            if (identity == address(0)) revert InvalidIdentity(identity);
            uint256 place = i;
            while (place > 0 && sorted[place - 1] >= identity) {
                if (sorted[place - 1] == identity) revert InvalidIdentity(identity);
                sorted[place] = sorted[place - 1];
                --place;
            }
            sorted[place] = identity;
        }
        for (uint256 i = 0; i < sorted.length; ++i) packed = bytes.concat(packed, bytes20(sorted[i]));
    }
}
