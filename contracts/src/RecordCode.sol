// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title  Records that never change, kept as contract code.
/// @notice A byte of code costs 200 gas once and a whole record is read for one account access (2,600 gas); a storage slot costs
///         22,100 gas to fill and 2,100 to read. The first byte is STOP, so calling a record does nothing.
/// @dev    Never holds anything mutable: code has no setter.
library RecordCode {
    /// The record would exceed the code size limit of EIP-170.
    error RecordTooLarge(uint256 bytesLength);
    /// CREATE failed.
    error RecordNotWritten();

    uint256 internal constant CODE_BYTES_MAX = 24_576;

    /// Stores `record` as the code of a new contract.
    function write(bytes memory record) internal returns (address pointer) {
        if (record.length + 1 > CODE_BYTES_MAX) revert RecordTooLarge(record.length);
        // Eleven bytes of init code return everything behind them: STOP, then the record.
        bytes memory initCode = bytes.concat(hex"600b5981380380925939f300", record);
        assembly ("memory-safe") {
            pointer := create(0, add(initCode, 0x20), mload(initCode))
        }
        if (pointer == address(0)) revert RecordNotWritten();
    }

    /// `length` bytes of the record from `offset`.
    function read(address pointer, uint256 offset, uint256 length) internal view returns (bytes memory part) {
        part = new bytes(length);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(part, 0x20), add(offset, 1), length)
        }
    }

    /// Everything from `offset` to the end.
    function readFrom(address pointer, uint256 offset) internal view returns (bytes memory) {
        return read(pointer, offset, pointer.code.length - 1 - offset);
    }
}
