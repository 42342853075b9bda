// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessList} from "./AccessList.sol";
import {CiphertextRegistry} from "./CiphertextRegistry.sol";
import {CommitteeRegistry} from "./CommitteeRegistry.sol";
import {IDecryptionConsumer} from "./IDecryptionConsumer.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title  Requests in, verified results out.
/// @notice A request's id follows from its contents, so a reorganisation that moves it does not change it (docs/protocol.md, section 4).
///         A result is accepted from anybody who brings the committee's attestation. Whether a request is *allowed* is decided off
///         chain, by the gateway and by each node, with `inspect`: asking for something forbidden costs the asker gas and yields nothing.
contract DecryptionGateway {
    struct Attestation {
        /// Merkle root over the responses' leaves.
        bytes32 root;
        /// How many responses stand under it.
        uint32 count;
        uint32 epoch;
        /// Last second (Unix) in which it may be used.
        uint64 expiry;
    }

    struct Response {
        bytes32 requestId;
        /// abi.encode(bytes[]).
        bytes result;
    }

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
    event DecryptionFulfilled(bytes32 indexed requestId, bytes result);
    /// A response that changed nothing, and why (SKIPPED_*). Speaks only of the transaction that it stands in.
    event FulfilmentSkipped(bytes32 indexed requestId, uint8 reason);
    /// The requester's callback failed. The request is fulfilled all the same.
    event CallbackFailed(bytes32 indexed requestId);

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
    error AttestationExpired(uint64 expiry);
    /// Not the number of responses that was attested, or none, or more than RESPONSES_MAX.
    error ResponseCountMismatch(uint256 attested, uint256 given);
    /// The responses are not those under the attested root.
    error RootMismatch(bytes32 attested, bytes32 computed);
    /// The epoch's verifier says no.
    error InvalidAttestation(uint32 epoch);
    /// The transaction cannot give a callback the gas that its request named.
    error NotEnoughGasForCallback(bytes32 requestId, uint256 callbackGas);

    uint8 public constant KIND_PUBLIC = 1;
    uint8 public constant KIND_USER = 2;

    uint8 public constant STATUS_UNKNOWN = 0;
    uint8 public constant STATUS_REQUESTED = 1;
    uint8 public constant STATUS_FULFILLED = 2;

    uint8 public constant SKIPPED_ALREADY_FULFILLED = 1;
    uint8 public constant SKIPPED_UNKNOWN = 2;
    uint8 public constant SKIPPED_EXPIRED = 3;
    uint8 public constant SKIPPED_OTHER_EPOCH = 4;

    uint8 public constant DENIAL_NONE = 0;
    uint8 public constant DENIAL_HANDLE_UNKNOWN = 1;
    uint8 public constant DENIAL_OTHER_EPOCH = 2;
    uint8 public constant DENIAL_EPOCH_NOT_ACTIVE = 3;
    uint8 public constant DENIAL_NOT_PUBLIC = 4;
    uint8 public constant DENIAL_ACCOUNT_NOT_ALLOWED = 5;
    uint8 public constant DENIAL_NOT_DELEGATED = 6;
    uint8 public constant DENIAL_KIND_UNKNOWN = 7;

    uint256 public constant HANDLES_MAX = 32;
    uint256 public constant RESPONSES_MAX = 32;
    uint256 public constant DEADLINE_SECONDS_MAX = 7 days;
    uint32 public constant CALLBACK_GAS_MAX = 500_000;
    uint256 private constant TRANSPORT_KEY_BYTES = 48;

    bytes32 public constant REQUEST_DOMAIN = keccak256("portcullis/native/v1/request");
    bytes32 public constant RESPONSE_TYPEHASH = keccak256("Response(bytes32 requestId,bytes32 resultHash)");
    bytes32 public constant ATTESTATION_TYPEHASH =
        keccak256("Attestation(bytes32 root,uint32 count,uint32 epoch,uint64 expiry)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    CommitteeRegistry public immutable committees;
    CiphertextRegistry public immutable ciphertexts;
    AccessList public immutable accessList;
    uint256 private immutable deployedChainId;
    bytes32 private immutable deployedDomainSeparator;

    /// One slot for each request, never zero again once it is set, so that a fulfilment pays 5,000 gas and not 22,100:
    ///   requested   requester (160) | epoch (32) | deadline (36) | callbackGas (20) | 1 (8)
    ///   fulfilled   resultHash without its last byte (248) | 2 (8)
    mapping(bytes32 requestId => uint256) private slots;

    constructor(CommitteeRegistry committees_, CiphertextRegistry ciphertexts_, AccessList accessList_) {
        committees = committees_;
        ciphertexts = ciphertexts_;
        accessList = accessList_;
        deployedChainId = block.chainid;
        deployedDomainSeparator = computeDomainSeparator();
    }

    // Requests ---------------------------------------------------------------------------------------------------------------------

    /// Asks for the plaintexts of up to 32 handles to be made public. With `callbackGas` > 0 the caller is called with the result.
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
        if (slots[requestId] != 0) revert AlreadyRequested(requestId);
        // The bounds above keep the deadline under 2^36 until the year 4147 and the gas under 2^20.
        slots[requestId] = (uint256(uint160(r.requester)) << 96) | (uint256(r.epoch) << 64) | (uint256(r.deadline) << 28)
            | (uint256(r.callbackGas) << 8) | STATUS_REQUESTED;
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

    // Results ----------------------------------------------------------------------------------------------------------------------

    /// Fulfils one request with a response under an attested root.
    function fulfil(
        Attestation calldata attested,
        bytes calldata attestation,
        Response calldata response,
        bytes32[] calldata proof
    ) external {
        requireUsable(attested);
        bytes32 resultHash = keccak256(response.result);
        bytes32 node = leafOf(response.requestId, resultHash);
        for (uint256 i = 0; i < proof.length; ++i) node = parentOf(node, proof[i]);
        if (node != attested.root) revert RootMismatch(attested.root, node);
        settle(attested, attestation, response, resultHash, false);
    }

    /// Fulfils every response under an attested root. An entry that cannot be fulfilled (any more) is skipped, so that one late entry
    /// does not cost the others their result (docs/adr/0005).
    function fulfilBatch(Attestation calldata attested, bytes calldata attestation, Response[] calldata responses)
        external
    {
        requireUsable(attested);
        uint256 count = responses.length;
        if (count == 0 || count > RESPONSES_MAX || count != attested.count) {
            revert ResponseCountMismatch(attested.count, count);
        }
        bytes32[] memory hashes = new bytes32[](count);
        bytes32[] memory nodes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = keccak256(responses[i].result);
            nodes[i] = leafOf(responses[i].requestId, hashes[i]);
        }
        bytes32 root = rootOf(nodes);
        if (root != attested.root) revert RootMismatch(attested.root, root);
        bool verified = false;
        for (uint256 i = 0; i < count; ++i) {
            verified = settle(attested, attestation, responses[i], hashes[i], verified);
        }
    }

    /// Fulfils or skips one response. The attestation is verified once, before the first entry that it is needed for: a late duplicate,
    /// where nothing is left to do, does not pay for a pairing.
    function settle(
        Attestation calldata attested,
        bytes calldata attestation,
        Response calldata response,
        bytes32 resultHash,
        bool verified
    ) private returns (bool) {
        bytes32 requestId = response.requestId;
        uint256 slot = slots[requestId];
        uint8 reason = reasonToSkip(slot, attested.epoch);
        if (reason != 0) {
            emit FulfilmentSkipped(requestId, reason);
            return verified;
        }
        if (!verified) requireAttested(attested, attestation);

        slots[requestId] = (uint256(resultHash) & ~uint256(0xff)) | STATUS_FULFILLED;
        emit DecryptionFulfilled(requestId, response.result);
        uint256 callbackGas = (slot >> 8) & 0xfffff;
        // The state is written: whatever the callback calls finds this request fulfilled.
        if (callbackGas != 0) callBack(address(uint160(slot >> 96)), callbackGas, response);
        return true;
    }

    function reasonToSkip(uint256 slot, uint32 epoch) private view returns (uint8) {
        uint8 status = uint8(slot);
        if (status == STATUS_FULFILLED) return SKIPPED_ALREADY_FULFILLED;
        if (status == STATUS_UNKNOWN) return SKIPPED_UNKNOWN;
        if (block.timestamp > ((slot >> 28) & 0xfffffffff)) return SKIPPED_EXPIRED;
        if (uint32(slot >> 64) != epoch) return SKIPPED_OTHER_EPOCH;
        return 0;
    }

    function callBack(address requester, uint256 callbackGas, Response calldata response) private {
        bytes memory input = abi.encodeCall(IDecryptionConsumer.onDecrypted, (response.requestId, response.result));
        // EIP-150 gives a call at most 63/64 of what is left, silently. Less than promised would let whoever submits starve a callback,
        // so the whole transaction reverts. 3,000: a cold account (2,600), with room for what happens before the call.
        if (gasleft() < callbackGas + callbackGas / 63 + 3_000) {
            revert NotEnoughGasForCallback(response.requestId, callbackGas);
        }
        bool ok;
        assembly ("memory-safe") {
            // No output is copied: a callback cannot make us pay for the memory of what it returns.
            ok := call(callbackGas, requester, 0, add(input, 0x20), mload(input), 0, 0)
        }
        if (!ok) emit CallbackFailed(response.requestId);
    }

    function requireUsable(Attestation calldata attested) private view {
        if (block.timestamp > attested.expiry) revert AttestationExpired(attested.expiry);
    }

    function requireAttested(Attestation calldata attested, bytes calldata attestation) private view {
        address verifier = committees.verifierOf(attested.epoch);
        if (verifier == address(0)) revert EpochNotActive(attested.epoch);
        if (!IVerifier(verifier).verify(attested.epoch, digestOf(attested), attestation)) {
            revert InvalidAttestation(attested.epoch);
        }
    }

    function leafOf(bytes32 requestId, bytes32 resultHash) private pure returns (bytes32) {
        return keccak256(abi.encode(RESPONSE_TYPEHASH, requestId, resultHash));
    }

    function parentOf(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    /// Consumes `nodes`. An odd last node moves up unchanged.
    function rootOf(bytes32[] memory nodes) private pure returns (bytes32) {
        uint256 width = nodes.length;
        while (width > 1) {
            uint256 pairs = width / 2;
            for (uint256 i = 0; i < pairs; ++i) nodes[i] = parentOf(nodes[2 * i], nodes[2 * i + 1]);
            if (width % 2 == 1) nodes[pairs++] = nodes[width - 1];
            width = pairs;
        }
        return nodes[0];
    }

    // Views ------------------------------------------------------------------------------------------------------------------------

    /// STATUS_*.
    function statusOf(bytes32 requestId) external view returns (uint8) {
        return uint8(slots[requestId]);
    }

    /// keccak256 of the result without its last byte; zero unless fulfilled.
    function resultHashOf(bytes32 requestId) external view returns (bytes31) {
        uint256 slot = slots[requestId];
        return uint8(slot) == STATUS_FULFILLED ? bytes31(bytes32(slot)) : bytes31(0);
    }

    /// The id that these contents have on this chain and gateway, requested or not.
    function requestIdOf(Request calldata r) external view returns (bytes32) {
        return idOf(r);
    }

    /// EIP-712 digest that a committee attests.
    function digestOf(Attestation calldata attested) public view returns (bytes32) {
        bytes32 structHash = keccak256(
            abi.encode(ATTESTATION_TYPEHASH, attested.root, attested.count, attested.epoch, attested.expiry)
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), structHash));
    }

    function domainSeparator() public view returns (bytes32) {
        return block.chainid == deployedChainId ? deployedDomainSeparator : computeDomainSeparator();
    }

    function computeDomainSeparator() private view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Portcullis"), keccak256("1"), block.chainid, address(this))
        );
    }

    /// All that decides whether a request may be answered, in one call and from one block: the id recomputed from its contents, its
    /// status, the registered ciphertexts and the access list.
    function inspect(Request calldata r) external view returns (Inspection memory found) {
        found.requestId = idOf(r);
        found.status = uint8(slots[found.requestId]);
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
}
