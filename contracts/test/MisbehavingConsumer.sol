// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DecryptionGateway} from "../src/DecryptionGateway.sol";
import {IDecryptionConsumer} from "../src/IDecryptionConsumer.sol";

/// @title A consumer that does in its callback whatever a test tells it to.
contract MisbehavingConsumer is IDecryptionConsumer {
    enum Mode {
        Record,
        BurnGas,
        Revert,
        ReturnBomb,
        RevertBomb,
        Reenter,
        Invalid,
        FrugalWhenEstimated
    }

    DecryptionGateway public immutable gateway;
    Mode public mode;
    uint256 public calls;
    uint256 public gasSeen;
    bytes32 public lastRequestId;
    bytes public lastResult;
    /// What `Reenter` sends to the gateway.
    bytes public reentry;
    bool public reentrySucceeded;

    constructor(DecryptionGateway gateway_) {
        gateway = gateway_;
    }

    function set(Mode mode_, bytes calldata reentry_) external {
        mode = mode_;
        reentry = reentry_;
    }

    function ask(bytes32[] calldata handles, uint64 deadline, uint32 callbackGas, bytes32 salt) external returns (bytes32) {
        return gateway.requestPublic(handles, deadline, callbackGas, salt);
    }

    function onDecrypted(bytes32 requestId, bytes calldata result) external {
        uint256 available = gasleft();
        if (mode == Mode.BurnGas) while (true) {}
        // Estimates are made without a gas price.
        if (mode == Mode.FrugalWhenEstimated) {
            if (tx.gasprice == 0) return;
            while (true) {}
        }
        if (mode == Mode.Revert) revert("no, thank you");
        if (mode == Mode.Invalid) assembly { invalid() }
        if (mode == Mode.ReturnBomb) assembly { return(0, 200000) }
        if (mode == Mode.RevertBomb) assembly { revert(0, 200000) }
        if (mode == Mode.Reenter) (reentrySucceeded,) = address(gateway).call(reentry);
        ++calls;
        gasSeen = available;
        lastRequestId = requestId;
        lastResult = result;
    }
}
