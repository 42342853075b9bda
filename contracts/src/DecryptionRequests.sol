// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessList} from "./AccessList.sol";
import {CiphertextRegistry} from "./CiphertextRegistry.sol";
import {CommitteeRegistry} from "./CommitteeRegistry.sol";

/// @title  The gateway's half that takes requests and answers questions about them.
/// @notice A request's id follows from its contents, so a reorganisation that moves it does not change it (docs/protocol.md,
///         section 4). Whether a request is *allowed* is decided off chain, by the gateway and by each node, with `inspect`:
///         asking for something forbidden costs the asker gas and yields nothing.
abstract contract DecryptionRequests {
    /// What a request's id is made of, beside chain and gateway; fields in the order of the id.
    struct Request {
        uint8 kind;
        address requester;
        address account;
        uint32 epoch;
        uint64 deadline;
        uint32 callbackGas;
        bytes32[] handles;
        bytes transportKey;
        bytes32 salt;
    }

    /// What a node has to know before it answers a request.
    struct Inspection {
        bytes32 requestId;
        /// STATUS_*.
        uint8 status;
        uint64 blockTimestamp;
        bool allowed;
        /// DENIAL_*, 0 exactly when allowed.
        uint8 denial;
        /// Registered sha256 of each ciphertext; zero for an unknown handle.
        bytes32[] digests;
        /// Registered size of each ciphertext in bytes.
        uint32[] sizes;
    }

    event DecryptionRequested(
        bytes32 indexed requestId,
        address indexed requester,
        uint8 kind,
        address account,
        uint32 epoch,
        uint64 deadline,
        uint32 callbackGas,
        bytes32 salt,
        bytes32[] handles,
        bytes transportKey
    );

    error AlreadyRequested(bytes32 requestId);
    error HandleCountOutOfRange(uint256 count);
    error DuplicateHandle(bytes32 handle);
    error UnknownHandle(bytes32 handle);
    /// The handles of one request belong to one epoch.
    error MixedEpochs(bytes32 handle);
    /// Unknown or retired.
    error EpochNotActive(uint32 epoch);
    error DeadlineOutOfRange(uint64 deadline);
    error CallbackGasOutOfRange(uint32 callbackGas);
    error InvalidAccount(address account);
    error InvalidTransportKey(bytes transportKey);

    uint8 public constant KIND_PUBLIC = 1;
    uint8 public constant KIND_USER = 2;

    uint8 public constant STATUS_UNKNOWN = 0;
    uint8 public constant STATUS_REQUESTED = 1;
    uint8 public constant STATUS_FULFILLED = 2;

    uint8 public constant DENIAL_NONE = 0;
    uint8 public constant DENIAL_HANDLE_UNKNOWN = 1;
    uint8 public constant DENIAL_OTHER_EPOCH = 2;
    uint8 public constant DENIAL_EPOCH_NOT_ACTIVE = 3;
    uint8 public constant DENIAL_NOT_PUBLIC = 4;
    uint8 public constant DENIAL_ACCOUNT_NOT_ALLOWED = 5;
    uint8 public constant DENIAL_NOT_DELEGATED = 6;
    uint8 public constant DENIAL_KIND_UNKNOWN = 7;

    uint256 public constant HANDLES_MAX = 32;
    uint256 public constant DEADLINE_SECONDS_MAX = 7 days;
    uint32 public constant CALLBACK_GAS_MAX = 500_000;
    uint256 private constant TRANSPORT_KEY_BYTES = 48;

    bytes32 public constant REQUEST_DOMAIN = keccak256("portcullis/native/v1/request");

    CommitteeRegistry public immutable committees;
    CiphertextRegistry public immutable ciphertexts;
    AccessList public immutable accessList;

    // One slot for each request, at the request's id itself: an id is a hash, and this contract keeps nothing else in storage. A
    // slot is never zero again once it is set, so that a fulfilment pays 5,000 gas for it and not 22,100.
    //   requested   requester (160) | deadline (36) | callbackGas (20) | epoch (32) | 1 (8)
    //   fulfilled   resultHash without its last byte (248) | 2 (8)
    uint256 internal constant REQUESTER_SHIFT = 96;
    uint256 internal constant DEADLINE_SHIFT = 60;
    uint256 internal constant CALLBACK_GAS_SHIFT = 40;
    uint256 internal constant EPOCH_SHIFT = 8;
    uint256 internal constant DEADLINE_MASK = 0xfffffffff;
    uint256 internal constant CALLBACK_GAS_MASK = 0xfffff;
    /// Epoch and status.
    uint256 internal constant OPEN_MASK = 0xffffffffff;
    /// CALLBACK_GAS_MASK << CALLBACK_GAS_SHIFT
    uint256 internal constant CALLBACK_GAS_FIELD = 0xfffff0000000000;

    constructor(CommitteeRegistry committees_, CiphertextRegistry ciphertexts_, AccessList accessList_) {
        committees = committees_;
        ciphertexts = ciphertexts_;
        accessList = accessList_;
    }

    /// Asks for the plaintexts of up to 32 handles to be made public. With `callbackGas` > 0 the caller is called with the
    /// result.
    function requestPublic(bytes32[] calldata handles, uint64 deadline, uint32 callbackGas, bytes32 salt)
        external
        returns (bytes32 requestId)
    {
        if (callbackGas > CALLBACK_GAS_MAX) revert CallbackGasOutOfRange(callbackGas);
        uint32 epoch = checkedEpoch(handles, deadline);
        return open(Request(KIND_PUBLIC, msg.sender, address(0), epoch, deadline, callbackGas, handles, "", salt));
    }

    /// Asks for the handles' keys, encrypted to `transportKey`, in the name of `account`: the caller or whoever delegated to it.
    function requestUser(
        bytes32[] calldata handles,
        address account,
        bytes calldata transportKey,
        uint64 deadline,
        bytes32 salt
    ) external returns (bytes32 requestId) {
        if (account == address(0)) revert InvalidAccount(account);
        // Compressed, and not the identity; that it is a point is checked by those who use it.
        if (transportKey.length != TRANSPORT_KEY_BYTES || uint8(transportKey[0]) & 0xc0 != 0x80) {
            revert InvalidTransportKey(transportKey);
        }
        uint32 epoch = checkedEpoch(handles, deadline);
        return open(Request(KIND_USER, msg.sender, account, epoch, deadline, 0, handles, transportKey, salt));
    }

    function checkedEpoch(bytes32[] calldata handles, uint64 deadline) private view returns (uint32 epoch) {
        uint256 count = handles.length;
        if (count == 0 || count > HANDLES_MAX) revert HandleCountOutOfRange(count);
        if (deadline <= block.timestamp || deadline > block.timestamp + DEADLINE_SECONDS_MAX) {
            revert DeadlineOutOfRange(deadline);
        }
        for (uint256 i = 0; i < count; ++i) {
            bytes32 handle = handles[i];
            for (uint256 j = 0; j < i; ++j) {
                if (handles[j] == handle) revert DuplicateHandle(handle);
            }
            uint32 registered = ciphertexts.epochOf(handle);
            if (registered == 0) revert UnknownHandle(handle);
            if (i == 0) epoch = registered;
            else if (registered != epoch) revert MixedEpochs(handle);
        }
        if (!committees.isActive(epoch)) revert EpochNotActive(epoch);
    }

    function open(Request memory r) private returns (bytes32 requestId) {
        requestId = idOf(r);
        if (slotOf(requestId) != 0) revert AlreadyRequested(requestId);
        // The bounds above keep the deadline under 2^36 until the year 4147, and the gas under 2^20.
        uint256 slot = (uint256(uint160(r.requester)) << REQUESTER_SHIFT) | (uint256(r.deadline) << DEADLINE_SHIFT)
            | (uint256(r.callbackGas) << CALLBACK_GAS_SHIFT) | (uint256(r.epoch) << EPOCH_SHIFT) | STATUS_REQUESTED;
        assembly ("memory-safe") {
            sstore(requestId, slot)
        }
        emit DecryptionRequested(
            requestId, r.requester, r.kind, r.account, r.epoch, r.deadline, r.callbackGas, r.salt, r.handles, r.transportKey
        );
    }

    function idOf(Request memory r) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                REQUEST_DOMAIN,
                block.chainid,
                address(this),
                r.kind,
                r.requester,
                r.account,
                r.epoch,
                r.deadline,
                r.callbackGas,
                keccak256(abi.encodePacked(r.handles)),
                keccak256(r.transportKey),
                r.salt
            )
        );
    }

    /// STATUS_*.
    function statusOf(bytes32 requestId) external view returns (uint8) {
        return uint8(slotOf(requestId));
    }

    /// keccak256 of the result without its last byte; zero unless fulfilled.
    function resultHashOf(bytes32 requestId) external view returns (bytes31) {
        uint256 slot = slotOf(requestId);
        return uint8(slot) == STATUS_FULFILLED ? bytes31(bytes32(slot)) : bytes31(0);
    }

    /// The id that these contents have on this chain and gateway, requested or not.
    function requestIdOf(Request calldata r) external view returns (bytes32) {
        return idOf(r);
    }

    /// All that decides whether a request may be answered, in one call and from one block: the id recomputed from its contents,
    /// its status, the registered ciphertexts and the access list.
    function inspect(Request calldata r) external view returns (Inspection memory found) {
        found.requestId = idOf(r);
        found.status = uint8(slotOf(found.requestId));
        found.blockTimestamp = uint64(block.timestamp);
        found.digests = new bytes32[](r.handles.length);
        found.sizes = new uint32[](r.handles.length);

        uint8 denial = denialOf(r);
        for (uint256 i = 0; i < r.handles.length; ++i) {
            uint32 epoch;
            (, found.digests[i], found.sizes[i], epoch) = ciphertexts.recordOf(r.handles[i]);
            if (denial == DENIAL_NONE) denial = denialOf(r, r.handles[i], epoch);
        }
        found.denial = denial;
        found.allowed = denial == DENIAL_NONE;
    }

    function denialOf(Request calldata r) private view returns (uint8) {
        if (r.kind != KIND_PUBLIC && r.kind != KIND_USER) return DENIAL_KIND_UNKNOWN;
        if (!committees.isActive(r.epoch)) return DENIAL_EPOCH_NOT_ACTIVE;
        if (r.kind == KIND_USER && !accessList.mayAct(r.requester, r.account)) return DENIAL_NOT_DELEGATED;
        return DENIAL_NONE;
    }

    function denialOf(Request calldata r, bytes32 handle, uint32 epoch) private view returns (uint8) {
        if (epoch == 0) return DENIAL_HANDLE_UNKNOWN;
        if (epoch != r.epoch) return DENIAL_OTHER_EPOCH;
        if (r.kind == KIND_PUBLIC) {
            return accessList.isAllowedForDecryption(handle) ? DENIAL_NONE : DENIAL_NOT_PUBLIC;
        }
        return accessList.isAllowed(handle, r.account) ? DENIAL_NONE : DENIAL_ACCOUNT_NOT_ALLOWED;
    }

    function slotOf(bytes32 requestId) private view returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := sload(requestId)
        }
    }
}
