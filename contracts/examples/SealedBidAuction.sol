// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessList} from "../src/AccessList.sol";
import {CiphertextRegistry} from "../src/CiphertextRegistry.sol";
import {DecryptionGateway} from "../src/DecryptionGateway.sol";
import {IDecryptionConsumer} from "../src/IDecryptionConsumer.sol";

/// @title  An auction in which nobody, the seller included, sees a bid before bidding is over.
/// @notice Bids are uint256 amounts in wei, encrypted for a handle that the auction owns: only it can allow a decryption, and it
///         does so for no bid before `biddingEnd`. A bidder leaves a deposit that covers the bid. Every bid is opened by a
///         request of its own, so that a bid which does not decrypt hurts its bidder only.
/// @dev    An example: short rather than complete. A bid that ties with the best does not replace it.
contract SealedBidAuction is IDecryptionConsumer {
    struct Bid {
        address bidder;
        uint256 deposit;
        bytes32 requestId;
    }

    event BidPlaced(bytes32 indexed handle, address indexed bidder, uint256 deposit);
    event BidOpened(bytes32 indexed handle, address indexed bidder, uint256 amount);
    event Settled(address indexed winner, uint256 price);

    error InvalidTimes();
    error TooEarly();
    error TooLate();
    error NotTheGateway();
    error NoBid(bytes32 handle);
    error AlreadyRequested(bytes32 handle);
    error NothingToWithdraw();
    error AlreadySettled();
    error TransferFailed();

    /// Enough for `onDecrypted`: two writes, one of them to a fresh slot, and an event.
    uint32 public constant CALLBACK_GAS = 150_000;

    DecryptionGateway public immutable gateway;
    address public immutable seller;
    /// Last second of bidding, and last second in which a bid can be opened (Unix).
    uint64 public immutable biddingEnd;
    uint64 public immutable openingEnd;

    address public best;
    uint256 public bestAmount;
    bool public isSettled;
    mapping(bytes32 handle => Bid) public bids;
    mapping(bytes32 requestId => bytes32 handle) private handles;
    mapping(address bidder => uint256) public withdrawable;

    constructor(DecryptionGateway gateway_, uint64 biddingEnd_, uint64 openingEnd_) {
        // A request's deadline, here openingEnd, is at most so far ahead.
        uint256 latest = biddingEnd_ + gateway_.DEADLINE_SECONDS_MAX();
        if (biddingEnd_ <= block.timestamp || openingEnd_ <= biddingEnd_ || openingEnd_ > latest) revert InvalidTimes();
        gateway = gateway_;
        seller = msg.sender;
        biddingEnd = biddingEnd_;
        openingEnd = openingEnd_;
    }

    /// The handle to encrypt a bid for. The bidder is part of it, so a copied ciphertext opens for nobody else.
    function handleFor(address bidder, bytes32 salt) public view returns (bytes32) {
        return gateway.ciphertexts().handleOf(address(this), keccak256(abi.encode(bidder, salt)));
    }

    /// Places a sealed bid; the value sent is the deposit, and the most that the bid can count for.
    function bid(bytes32 salt, bytes32 digest, uint32 size, uint32 epoch, string[] calldata locations) external payable {
        if (block.timestamp > biddingEnd) revert TooLate();
        bytes32 handle =
            gateway.ciphertexts().register(keccak256(abi.encode(msg.sender, salt)), digest, size, epoch, locations);
        bids[handle] = Bid(msg.sender, msg.value, 0);
        withdrawable[msg.sender] += msg.value;
        emit BidPlaced(handle, msg.sender, msg.value);
    }

    /// Has a bid opened. Anybody may, once bidding is over.
    function open(bytes32 handle) external {
        if (block.timestamp <= biddingEnd) revert TooEarly();
        if (block.timestamp >= openingEnd) revert TooLate();
        Bid storage placed = bids[handle];
        if (placed.bidder == address(0)) revert NoBid(handle);
        if (placed.requestId != 0) revert AlreadyRequested(handle);
        gateway.accessList().allowForDecryption(handle);
        bytes32[] memory one = new bytes32[](1);
        one[0] = handle;
        placed.requestId = gateway.requestPublic(one, openingEnd, CALLBACK_GAS, handle);
        handles[placed.requestId] = handle;
    }

    /// @inheritdoc IDecryptionConsumer
    function onDecrypted(bytes32 requestId, bytes calldata result) external {
        if (msg.sender != address(gateway)) revert NotTheGateway();
        bytes32 handle = handles[requestId];
        Bid storage placed = bids[handle];
        bytes[] memory plaintexts = abi.decode(result, (bytes[]));
        uint256 amount = abi.decode(plaintexts[0], (uint256));
        emit BidOpened(handle, placed.bidder, amount);
        // A bid above its deposit is void: nobody could be held to it.
        if (amount > bestAmount && amount <= placed.deposit) (best, bestAmount) = (placed.bidder, amount);
    }

    /// The best bid pays the seller; what remains of every deposit can be withdrawn.
    function settle() external {
        if (block.timestamp <= openingEnd) revert TooEarly();
        if (isSettled) revert AlreadySettled();
        isSettled = true;
        emit Settled(best, bestAmount);
        if (best == address(0)) return;
        withdrawable[best] -= bestAmount;
        withdrawable[seller] += bestAmount;
    }

    function withdraw() external {
        if (!isSettled) revert TooEarly();
        uint256 amount = withdrawable[msg.sender];
        if (amount == 0) revert NothingToWithdraw();
        withdrawable[msg.sender] = 0;
        (bool ok,) = msg.sender.call{value: amount}("");
        if (!ok) revert TransferFailed();
    }
}
