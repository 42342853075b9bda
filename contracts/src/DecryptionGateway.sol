// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessList} from "./AccessList.sol";
import {CiphertextRegistry} from "./CiphertextRegistry.sol";
import {CommitteeRegistry} from "./CommitteeRegistry.sol";
import {DecryptionRequests} from "./DecryptionRequests.sol";
import {IDecryptionConsumer} from "./IDecryptionConsumer.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title  Requests in, verified results out.
/// @notice A result is accepted from anybody who brings the attestation of the request's committee, once. The other half,
///         requests and what is known about them, is DecryptionRequests.
contract DecryptionGateway is DecryptionRequests {
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

    /// The log's data is the result itself, byte for byte: abi.encode(bytes[]) with one item for each handle.
    event DecryptionFulfilled(bytes32 indexed requestId, bytes[] result);
    /// A response that changed nothing, and why (SKIPPED_*). Speaks only of the transaction that it stands in.
    event FulfilmentSkipped(bytes32 indexed requestId, uint8 reason);
    /// The requester's callback failed. The request is fulfilled all the same.
    event CallbackFailed(bytes32 indexed requestId);

    error AttestationExpired(uint64 expiry);
    /// Not the number of responses that was attested, or none, or more than RESPONSES_MAX.
    error ResponseCountMismatch(uint256 attested, uint256 given);
    /// The responses are not those under the attested root.
    error RootMismatch(bytes32 attested, bytes32 computed);
    /// The epoch's verifier says no.
    error InvalidAttestation(uint32 epoch);
    /// The transaction cannot give a callback the gas that its request named.
    error NotEnoughGasForCallback(bytes32 requestId, uint256 callbackGas);
    /// The transaction could not give every callback of the batch its gas if those before it used all of theirs.
    error NotEnoughGasForCallbacks(uint256 callbackGas);

    uint8 public constant SKIPPED_ALREADY_FULFILLED = 1;
    uint8 public constant SKIPPED_UNKNOWN = 2;
    uint8 public constant SKIPPED_EXPIRED = 3;
    uint8 public constant SKIPPED_OTHER_EPOCH = 4;

    bytes32 public constant RESPONSE_TYPEHASH = keccak256("Response(bytes32 requestId,bytes32 resultHash)");
    bytes32 public constant ATTESTATION_TYPEHASH =
        keccak256("Attestation(bytes32 root,uint32 count,uint32 epoch,uint64 expiry)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    uint256 public constant RESPONSES_MAX = 32;

    /// What a call itself costs: a cold account (2,600), the account that it delegates to (EIP-7702, 2,600), and room for what
    /// happens between looking at the gas and calling.
    uint256 private constant CALL_GAS = 6_000;

    uint256 private immutable deployedChainId;
    bytes32 private immutable deployedDomainSeparator;

    constructor(CommitteeRegistry committees_, CiphertextRegistry ciphertexts_, AccessList accessList_)
        DecryptionRequests(committees_, ciphertexts_, accessList_)
    {
        deployedChainId = block.chainid;
        deployedDomainSeparator = computeDomainSeparator();
    }

    // Both functions write, then prove, then call. Nothing outside runs before the proof except the verifier, in a static call,
    // and a transaction without the proof leaves no trace.

    /// Fulfils one request with a response under an attested root.
    function fulfil(
        Attestation calldata attested,
        bytes calldata attestation,
        Response calldata response,
        bytes32[] calldata proof
    ) external {
        uint256 base;
        uint256 head;
        assembly ("memory-safe") {
            base := response
            head := calldatasize() // reads as zero: one response, at no distance from the base
        }
        (bytes32[] memory leaves, uint256[] memory before, uint256 done) = settle(base, head, 1, openIn(attested.epoch));
        bytes32 root = leaves[0];
        for (uint256 i = 0; i < proof.length; ++i) root = parentOf(root, proof[i]);
        requireProven(attested, attestation, root, done != 0);
        if (done & CALLBACK_GAS_FIELD != 0) callBack(before[0], response);
    }

    /// Fulfils every response under an attested root. An entry that cannot be fulfilled (any more) is skipped, so that one late
    /// entry does not cost the others their result (docs/adr/0005).
    function fulfilBatch(Attestation calldata attested, bytes calldata attestation, Response[] calldata responses)
        external
    {
        uint256 count = responses.length;
        if (count == 0 || count > RESPONSES_MAX || count != attested.count) {
            revert ResponseCountMismatch(attested.count, count);
        }
        uint256 base;
        assembly ("memory-safe") {
            base := responses.offset
        }
        (bytes32[] memory leaves, uint256[] memory before, uint256 done) = settle(base, base, count, openIn(attested.epoch));
        requireProven(attested, attestation, rootOf(leaves), done != 0);
        if (done & CALLBACK_GAS_FIELD == 0) return;
        requireGasForAll(before);
        for (uint256 i = 0; i < count; ++i) {
            if (before[i] & CALLBACK_GAS_FIELD != 0) callBack(before[i], responses[i]);
        }
    }

    /// Fulfils or skips `count` responses. Their offsets from `base` stand one after the other in calldata from `heads` on, as
    /// the ABI writes the elements of an array. Returns their leaves; the slot that each of the fulfilled had before, zero for
    /// the skipped; and all of these slots in one, so that it is zero when nothing was fulfilled.
    ///
    /// By hand, because it is most of what a batch pays for. An offset or length that leads beyond calldata reads zeros: as good
    /// as a response of zeros, which the root vouches for or not. A request that is named twice is skipped the second time.
    function settle(uint256 base, uint256 heads, uint256 count, uint256 open_)
        private
        returns (bytes32[] memory leaves, uint256[] memory before, uint256 done)
    {
        leaves = new bytes32[](count);
        before = new uint256[](count);
        bytes32 typeHash = RESPONSE_TYPEHASH;
        bytes32 fulfilledId = DecryptionFulfilled.selector;
        bytes32 skippedId = FulfilmentSkipped.selector;
        assembly ("memory-safe") {
            // Scratch, not allocated: the preimage of a leaf (typeHash | requestId | resultHash), then the result.
            let preimage := mload(0x40)
            mstore(preimage, typeHash)
            let toLeaf := leaves
            let toBefore := before
            for { } count { count := sub(count, 1) } {
                let response := add(base, calldataload(heads))
                heads := add(heads, 0x20)
                toLeaf := add(toLeaf, 0x20)
                toBefore := add(toBefore, 0x20)

                let requestId := calldataload(response)
                let result := add(response, calldataload(add(response, 0x20)))
                let length := calldataload(result)
                calldatacopy(add(preimage, 0x60), add(result, 0x20), length)
                let resultHash := keccak256(add(preimage, 0x60), length)
                mstore(add(preimage, 0x20), requestId)
                mstore(add(preimage, 0x40), resultHash)
                mstore(toLeaf, keccak256(preimage, 0x60))

                let slot := sload(requestId)
                let unlike := xor(and(slot, OPEN_MASK), open_)
                if or(unlike, gt(timestamp(), and(shr(DEADLINE_SHIFT, slot), DEADLINE_MASK))) {
                    let reason := SKIPPED_EXPIRED
                    if unlike { reason := SKIPPED_OTHER_EPOCH }
                    if eq(and(slot, 0xff), STATUS_FULFILLED) { reason := SKIPPED_ALREADY_FULFILLED }
                    if iszero(slot) { reason := SKIPPED_UNKNOWN }
                    mstore(0, reason)
                    log2(0, 0x20, skippedId, requestId) // emit FulfilmentSkipped(requestId, reason)
                    continue
                }
                done := or(done, slot)
                mstore(toBefore, slot)
                sstore(requestId, or(and(resultHash, not(0xff)), STATUS_FULFILLED))
                log2(add(preimage, 0x60), length, fulfilledId, requestId) // emit DecryptionFulfilled(requestId, result)
            }
        }
    }

    /// The epoch and status that a slot must have to be fulfilled for `epoch`; to compare under OPEN_MASK.
    function openIn(uint32 epoch) private pure returns (uint256) {
        return (uint256(epoch) << EPOCH_SHIFT) | STATUS_REQUESTED;
    }

    /// Before the first callback, because an estimate of the transaction's gas rests on what callbacks use while it is estimated.
    /// One that is frugal then and uses all of its gas later would leave too little for the next, and so undo everybody's result.
    function requireGasForAll(uint256[] memory before) private view {
        uint256 needed = 0;
        for (uint256 i = 0; i < before.length; ++i) {
            uint256 callbackGas = (before[i] >> CALLBACK_GAS_SHIFT) & CALLBACK_GAS_MASK;
            if (callbackGas != 0) needed += callbackGas + callbackGas / 63 + CALL_GAS;
        }
        if (gasleft() < needed) revert NotEnoughGasForCallbacks(needed);
    }

    /// Every request of this transaction is written by now: whatever the callback calls finds them fulfilled.
    function callBack(uint256 slot, Response calldata response) private {
        uint256 callbackGas = (slot >> CALLBACK_GAS_SHIFT) & CALLBACK_GAS_MASK;
        address requester = address(uint160(slot >> REQUESTER_SHIFT));
        bytes memory input = abi.encodeCall(IDecryptionConsumer.onDecrypted, (response.requestId, response.result));
        // EIP-150 gives a call at most 63/64 of what is left, silently. Less than promised would let whoever submits starve a
        // callback, so the whole transaction reverts.
        if (gasleft() < callbackGas + callbackGas / 63 + CALL_GAS) {
            revert NotEnoughGasForCallback(response.requestId, callbackGas);
        }
        bool ok;
        assembly ("memory-safe") {
            // No output is copied: a callback cannot make us pay for the memory of what it returns.
            ok := call(callbackGas, requester, 0, add(input, 0x20), mload(input), 0, 0)
        }
        if (!ok) emit CallbackFailed(response.requestId);
    }

    /// The root is the attested one, in time, and the committee said so. The last is not asked when nothing was written: a late
    /// duplicate does not pay for a pairing.
    function requireProven(Attestation calldata attested, bytes calldata attestation, bytes32 root, bool isWritten)
        private
        view
    {
        if (block.timestamp > attested.expiry) revert AttestationExpired(attested.expiry);
        if (root != attested.root) revert RootMismatch(attested.root, root);
        if (!isWritten) return;
        address verifier = committees.verifierOf(attested.epoch);
        if (verifier == address(0)) revert EpochNotActive(attested.epoch);
        if (!IVerifier(verifier).verify(attested.epoch, digestOf(attested), attestation)) {
            revert InvalidAttestation(attested.epoch);
        }
    }

    /// keccak256(smaller || larger)
    function parentOf(bytes32 a, bytes32 b) private pure returns (bytes32 parent) {
        assembly ("memory-safe") {
            let place := shl(5, lt(b, a))
            mstore(place, a)
            mstore(xor(place, 0x20), b)
            parent := keccak256(0, 0x40)
        }
    }

    /// Consumes `nodes`, which are not none. An odd last node moves up unchanged.
    function rootOf(bytes32[] memory nodes) private pure returns (bytes32 root) {
        assembly ("memory-safe") {
            let first := add(nodes, 0x20)
            for { let width := mload(nodes) } gt(width, 1) { width := shr(1, add(width, 1)) } {
                let from := first
                let to := first
                for { let pairs := shr(1, width) } pairs { pairs := sub(pairs, 1) } {
                    let a := mload(from)
                    let b := mload(add(from, 0x20))
                    let place := shl(5, lt(b, a))
                    mstore(place, a)
                    mstore(xor(place, 0x20), b)
                    mstore(to, keccak256(0, 0x40))
                    to := add(to, 0x20)
                    from := add(from, 0x40)
                }
                if and(width, 1) { mstore(to, mload(from)) }
            }
            root := mload(first)
        }
    }

    /// EIP-712 digest that a committee attests.
    function digestOf(Attestation calldata attested) public view returns (bytes32 digest) {
        bytes32 typeHash = ATTESTATION_TYPEHASH;
        bytes32 separator = domainSeparator();
        assembly ("memory-safe") {
            // hashStruct: the type's hash, then the fields as calldata has them, a word each
            let scratch := mload(0x40)
            mstore(scratch, typeHash)
            calldatacopy(add(scratch, 0x20), attested, 0x80)
            let structHash := keccak256(scratch, 0xa0)
            mstore(scratch, hex"1901")
            mstore(add(scratch, 0x02), separator)
            mstore(add(scratch, 0x22), structHash)
            digest := keccak256(scratch, 0x42)
        }
    }

    function domainSeparator() public view returns (bytes32) {
        return block.chainid == deployedChainId ? deployedDomainSeparator : computeDomainSeparator();
    }

    function computeDomainSeparator() private view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Portcullis"), keccak256("1"), block.chainid, address(this))
        );
    }
}
