// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bls12381} from "../src/Bls12381.sol";

/// @title The library's functions, to be held against published vectors.
contract Bls12381Harness {
    function hashToG1(bytes calldata message, bytes calldata dst) external view returns (bool ok, bytes memory point) {
        bytes memory copiedMessage = message;
        bytes memory copiedDst = dst;
        point = new bytes(Bls12381.G1_BYTES);
        uint256 out;
        assembly ("memory-safe") {
            out := add(point, 0x20)
            // Memory beyond the free pointer is not promised to be clean: the library must not rely on it.
            for { let at_ := mload(0x40) } lt(at_, add(mload(0x40), 0x800)) { at_ := add(at_, 0x20) } { mstore(at_, not(0)) }
        }
        ok = Bls12381.hashToG1(copiedMessage, copiedDst, out);
    }

    function pairingIsOne(bytes calldata pairs) external view returns (bool) {
        bytes memory copied = pairs;
        uint256 start;
        assembly ("memory-safe") {
            start := add(copied, 0x20)
        }
        return pairs.length == Bls12381.PAIRS_BYTES && Bls12381.pairingIsOne(start);
    }

    function compressG2(bytes calldata point) external pure returns (bytes memory) {
        return Bls12381.compressG2(point);
    }
}
