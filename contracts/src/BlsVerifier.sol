// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bls12381} from "./Bls12381.sol";
import {CommitteeRegistry} from "./CommitteeRegistry.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title  One threshold BLS signature in G1 stands for the committee, whatever its size.
/// @notice Needs the precompiles of EIP-2537 (Prague); on a chain without them every answer is false.
contract BlsVerifier is IVerifier {
    /// docs/protocol.md, section 6.
    bytes private constant DST = "PORTCULLIS_ATTEST_V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";

    CommitteeRegistry public immutable committees;

    constructor(CommitteeRegistry committees_) {
        committees = committees_;
    }

    function scheme() external pure returns (string memory) {
        return "bls";
    }

    /// @param attestation the signature, a G1 point of 128 bytes
    function verify(uint32 epoch, bytes32 digest, bytes calldata attestation) external view returns (bool) {
        if (attestation.length != Bls12381.G1_BYTES) return false;
        // e(H(digest), apk) * e(signature, -G2) = 1
        bytes memory message;
        uint256 pairs;
        assembly ("memory-safe") {
            message := mload(0x40)
            mstore(message, 0x20)
            mstore(add(message, 0x20), digest)
            pairs := add(message, 0x40)
            mstore(0x40, add(pairs, 768)) // Bls12381.PAIRS_BYTES
            calldatacopy(add(pairs, 384), attestation.offset, 128)
        }
        Bls12381.writeNegatedG2(pairs + 512);
        return readKey(epoch, pairs + 128) && Bls12381.hashToG1(message, DST, pairs) && Bls12381.pairingIsOne(pairs);
    }

    /// Has the registry write the epoch's key to the 256 bytes at `out`. False for an unknown epoch.
    function readKey(uint32 epoch, uint256 out) private view returns (bool ok) {
        address registry = address(committees);
        uint256 selector = uint32(CommitteeRegistry.attestationKeyOf.selector);
        assembly ("memory-safe") {
            mstore(0, selector)
            mstore(0x20, epoch)
            ok := and(eq(returndatasize(), 256), staticcall(gas(), registry, 0x1c, 0x24, out, 256))
        }
    }
}
