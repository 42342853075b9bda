// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title  How a committee's word is recognised.
/// @notice Each committee epoch names one verifier. A verifier answers false to everything that it cannot prove, and never
///         reverts on a malformed attestation.
interface IVerifier {
    /// "bls" or "quorum": which bytes the committee has to bring.
    function scheme() external view returns (string memory);

    /// @param epoch       whose attestation this is said to be
    /// @param digest      EIP-712 digest that was attested
    /// @param attestation scheme-specific bytes (docs/protocol.md, section 6)
    function verify(uint32 epoch, bytes32 digest, bytes calldata attestation) external view returns (bool);
}
