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
        uint256[8] memory key = committees.attestationKeyOf(epoch);
        bytes memory message = abi.encodePacked(digest);
        bytes memory dst = DST;

        // e(H(digest), apk) * e(signature, -G2) = 1
        uint256 pairs;
        assembly ("memory-safe") {
            pairs := mload(0x40)
            mstore(0x40, add(pairs, 768)) // Bls12381.PAIRS_BYTES
            mcopy(add(pairs, 128), key, 256)
            calldatacopy(add(pairs, 384), attestation.offset, 128)
        }
        Bls12381.writeNegatedG2(pairs + 512);
        return Bls12381.hashToG1(message, dst, pairs) && Bls12381.pairingIsOne(pairs);
    }
}
