// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title  BLS12-381 on the precompiles of EIP-2537.
/// @notice Fails closed: a precompile that is missing (an empty account answers every call with success and no output), runs out
///         of gas or rejects its input makes the function answer false. Nothing here reverts.
/// @dev    Points are uncompressed as EIP-2537 writes them: 64 bytes for each field element, G1 128 bytes, G2 256 bytes.
library Bls12381 {
    uint256 internal constant G1_BYTES = 128;
    uint256 internal constant G2_BYTES = 256;
    /// The two pairs of `verify`: signature and hash in G1, generator and key in G2.
    uint256 internal constant PAIRS_BYTES = 768;

    uint256 private constant SHA256 = 0x02;
    uint256 private constant MODEXP = 0x05;
    uint256 private constant G1ADD = 0x0b;
    uint256 private constant PAIRING_CHECK = 0x0f;
    uint256 private constant MAP_FP_TO_G1 = 0x10;

    /// The field order p, in two words.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    /// (p - 1) / 2: a y above it is the "largest" of the two roots.
    uint256 private constant HALF_P_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_P_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    /// Writes hash_to_curve(message) under `dst` to the 128 bytes at `out`: suite BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380.
    /// `dst` is at most 255 bytes (section 5.3.3 is not implemented: such a `dst` is refused).
    function hashToG1(bytes memory message, bytes memory dst, uint256 out) internal view returns (bool ok) {
        if (dst.length == 0 || dst.length > 255) return false;
        assembly ("memory-safe") {
            // H(input), 32 bytes to `to`
            function sha256To(input, length, to) -> done {
                done := and(eq(returndatasize(), 0x20), staticcall(gas(), SHA256, input, length, to, 0x20))
            }
            // b_i = H((b_0 xor b_(i-1)) || I2OSP(i, 1) || dst_prime); RFC 9380, 5.3.1
            function blockTo(input, length, mixed, i, to) -> done {
                mstore(input, mixed)
                mstore8(add(input, 0x20), i)
                done := sha256To(input, length, to)
            }
            // map_to_curve(OS2IP(64 bytes at `uniform`) mod p) with its cofactor cleared; 5.2, 6.6.3 and 7. The reduction is x^1
            // mod p, as wide as EIP-2537 wants a field element.
            function mapTo(modexp, uniform, to) -> done {
                let base := add(modexp, 0x60)
                mcopy(base, uniform, 0x40)
                done := and(eq(returndatasize(), 0x40), staticcall(gas(), MODEXP, modexp, 0x100, base, 0x40))
                done := and(
                    done, and(eq(returndatasize(), 0x80), staticcall(gas(), MAP_FP_TO_G1, base, 0x40, to, 0x80))
                )
            }

            // Scratch, from the free memory pointer on (not allocated: dead when the function returns):
            //   uniform  0x000  b_1 || b_2 || b_3 || b_4                         128 bytes
            //   block    0x080  mixed (32) || i (1) || dst_prime                 at most 289 bytes, padded to 0x140
            //   modexp   0x1c0  three lengths || base (64) || exponent (32) || p (64)
            //   points   0x2c0  two G1 points                                    256 bytes
            //   first    0x3c0  Z_pad || msg || l_i_b_str || 0 || dst_prime
            let uniform := mload(0x40)
            let block_ := add(uniform, 0x080)
            let dstLength := mload(dst)
            let messageLength := mload(message)

            // dst_prime = DST || I2OSP(len(DST), 1), kept behind the block's counter
            let dstPrime := add(block_, 0x21)
            mcopy(dstPrime, add(dst, 0x20), dstLength)
            mstore8(add(dstPrime, dstLength), dstLength)
            let dstPrimeLength := add(dstLength, 1)

            // b_0 = H(Z_pad || msg || l_i_b_str || I2OSP(0, 1) || dst_prime); 128 bytes are wanted
            let first := add(uniform, 0x3c0)
            mstore(first, 0)
            mstore(add(first, 0x20), 0)
            let end := add(first, 0x40)
            mcopy(end, add(message, 0x20), messageLength)
            end := add(end, messageLength)
            mstore(end, 0x0080000000000000000000000000000000000000000000000000000000000000)
            end := add(end, 3)
            mcopy(end, dstPrime, dstPrimeLength)
            ok := sha256To(first, sub(add(end, dstPrimeLength), first), 0)
            let b0 := mload(0)

            let length := add(0x21, dstPrimeLength)
            ok := and(ok, blockTo(block_, length, b0, 1, uniform))
            ok := and(ok, blockTo(block_, length, xor(b0, mload(uniform)), 2, add(uniform, 0x20)))
            ok := and(ok, blockTo(block_, length, xor(b0, mload(add(uniform, 0x20))), 3, add(uniform, 0x40)))
            ok := and(ok, blockTo(block_, length, xor(b0, mload(add(uniform, 0x40))), 4, add(uniform, 0x60)))

            let modexp := add(uniform, 0x1c0)
            mstore(modexp, 0x40)
            mstore(add(modexp, 0x20), 0x20)
            mstore(add(modexp, 0x40), 0x40)
            mstore(add(modexp, 0xa0), 1)
            mstore(add(modexp, 0xc0), P_HIGH)
            mstore(add(modexp, 0xe0), P_LOW)
            let points := add(uniform, 0x2c0)
            ok := and(ok, mapTo(modexp, uniform, points))
            ok := and(ok, mapTo(modexp, add(uniform, 0x40), add(points, 0x80)))
            ok := and(ok, and(eq(returndatasize(), 0x80), staticcall(gas(), G1ADD, points, 0x100, out, 0x80)))
        }
    }

    /// Whether e(P1, Q1) * e(P2, Q2) = 1 for the 768 bytes P1 | Q1 | P2 | Q2 at `pairs`. The precompile checks that every point
    /// is canonical, on its curve and in the prime-order subgroup.
    function pairingIsOne(uint256 pairs) internal view returns (bool ok) {
        assembly ("memory-safe") {
            mstore(0, 0)
            ok := and(
                eq(returndatasize(), 0x20), staticcall(gas(), PAIRING_CHECK, pairs, PAIRS_BYTES, 0, 0x20)
            )
            ok := and(ok, eq(mload(0), 1))
        }
    }

    /// Writes -G2, the negated generator, to the 256 bytes at `out`.
    function writeNegatedG2(uint256 out) internal pure {
        assembly ("memory-safe") {
            mstore(out, 0x00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051)
            mstore(add(out, 0x20), 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8)
            mstore(add(out, 0x40), 0x0000000000000000000000000000000013e02b6052719f607dacd3a088274f65)
            mstore(add(out, 0x60), 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e)
            mstore(add(out, 0x80), 0x000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bc)
            mstore(add(out, 0xa0), 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa)
            mstore(add(out, 0xc0), 0x0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d)
            mstore(add(out, 0xe0), 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed)
        }
    }

    /// The 96-byte compressed form (ZCash) of an uncompressed G2 point. Empty for a wrong length, the identity, or a coordinate
    /// with more than 48 significant bytes; does not check that the point is on the curve.
    function compressG2(bytes memory point) internal pure returns (bytes memory) {
        if (point.length != G2_BYTES) return "";
        uint256[8] memory word;
        uint256 high;
        uint256 any;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 value;
            assembly ("memory-safe") {
                value := mload(add(point, add(0x20, shl(5, i))))
            }
            word[i] = value;
            any |= value;
            if (i % 2 == 0) high |= value >> 128;
        }
        if (any == 0 || high != 0) return "";

        // x.c1 || x.c0; the sign is that of y.c1, or of y.c0 when y.c1 is zero
        bytes memory compressed = abi.encodePacked(uint128(word[2]), word[3], uint128(word[0]), word[1]);
        (uint256 yHigh, uint256 yLow) = word[6] | word[7] == 0 ? (word[4], word[5]) : (word[6], word[7]);
        bool isLargest = yHigh > HALF_P_HIGH || (yHigh == HALF_P_HIGH && yLow > HALF_P_LOW);
        compressed[0] |= isLargest ? bytes1(0xa0) : bytes1(0x80);
        return compressed;
    }
}
