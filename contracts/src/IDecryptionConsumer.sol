// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a contract implements to be called with its result.
interface IDecryptionConsumer {
    /// Called once by the gateway with at least the gas that the request named. A failure does not undo the fulfilment.
    /// @param result abi.encode(bytes[]): one plaintext for each handle, in the request's order
    function onDecrypted(bytes32 requestId, bytes calldata result) external;
}
