// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CommitteeRegistry} from "./CommitteeRegistry.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title  k signatures of the nodes' identity keys stand for the committee.
/// @notice Cheaper than BLS for small committees, and needs no precompile of Prague. One accepted byte string for each set of
///         signers: exactly k signatures, ascending by signer, s in the lower half, v 27 or 28.
contract QuorumVerifier is IVerifier {
    uint256 private constant SIGNATURE_BYTES = 65;
    /// Half of secp256k1's order: a larger s is the malleated twin of a smaller one (EIP-2).
    uint256 private constant HALF_N = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    CommitteeRegistry public immutable committees;

    constructor(CommitteeRegistry committees_) {
        committees = committees_;
    }

    function scheme() external pure returns (string memory) {
        return "quorum";
    }

    /// @param attestation r (32) | s (32) | v (1) of each signer over `digest`, concatenated
    function verify(uint32 epoch, bytes32 digest, bytes calldata attestation) external view returns (bool) {
        (uint8 threshold, address[] memory identities) = committees.signersOf(epoch);
        if (threshold == 0 || attestation.length != threshold * SIGNATURE_BYTES) return false;

        // Both lists ascend, so one walk over the identities finds every signer, and none twice.
        uint256 next = 0;
        for (uint256 i = 0; i < attestation.length; i += SIGNATURE_BYTES) {
            bytes32 r = bytes32(attestation[i:i + 32]);
            bytes32 s = bytes32(attestation[i + 32:i + 64]);
            if (uint256(s) > HALF_N) return false;
            address signer = ecrecover(digest, uint8(attestation[i + 64]), r, s);
            if (signer == address(0)) return false;
            while (next < identities.length && identities[next] < signer) ++next;
            if (next == identities.length || identities[next] != signer) return false;
            ++next;
        }
        return true;
    }
}
