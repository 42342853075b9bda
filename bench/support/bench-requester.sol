// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IRegistry {
    function register(bytes32 salt, bytes32 digest, uint32 size, uint32 epoch, string[] calldata locations)
        external
        returns (bytes32 handle);
}

interface IAccessList {
    function allowForDecryption(bytes32 handle) external;
}

interface IGateway {
    function requestPublic(bytes32[] calldata handles, uint64 deadline, uint32 callbackGas, bytes32 salt)
        external
        returns (bytes32 requestId);
}

/// Registers handles and raises requests in bulk, so that the one who measures is not what is measured. One handle for each request.
contract BenchRequester {
    function register(
        IRegistry registry,
        IAccessList list,
        bytes32[] calldata salts,
        bytes32[] calldata digests,
        uint32 size,
        uint32 epoch,
        string[] calldata locations
    ) external {
        string[] memory one = new string[](1);
        for (uint256 i = 0; i < salts.length; ++i) {
            one[0] = locations[i];
            list.allowForDecryption(registry.register(salts[i], digests[i], size, epoch, one));
        }
    }

    function raise(IGateway gateway, bytes32[] calldata handles, uint64 deadline, bytes32 salt) external {
        bytes32[] memory one = new bytes32[](1);
        for (uint256 i = 0; i < handles.length; ++i) {
            one[0] = handles[i];
            gateway.requestPublic(one, deadline, 0, salt);
        }
    }
}
