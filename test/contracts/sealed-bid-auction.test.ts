import { Contract, ContractFactory, parseEther, sha256 } from "ethers"
import { afterAll, beforeAll, expect, test } from "vitest"
import * as auctionArtifact from "../../src/adapters/ethereum/generated/SealedBidAuction.ts"
import { fromHex, lower, type Hex } from "../../src/domain/hex.ts"
import { refusalOf } from "./reverts.ts"
import { randomHex, resultOf, startWorld, word, type World } from "./world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld("bls")
})
afterAll(() => world.chain.stop())

test("a sealed-bid auction opens its bids only after bidding, and pays by the best that is covered", async () => {
  const { chain, deployment } = world
  const biddingEnd = (await world.now()) + 1_000
  const factory = new ContractFactory(auctionArtifact.abi, auctionArtifact.bytecode, chain.account(0))
  const deployed = await factory.deploy(deployment.addresses.decryptionGateway, biddingEnd, biddingEnd + 1_000)
  const auction = (await deployed.waitForDeployment()) as Contract
  const as = (index: number) => auction.connect(chain.account(index)) as Contract

  // The third bid is above its deposit, the fourth opens to something that is no amount.
  const bids = [
    { bidder: 1, amount: parseEther("1"), deposit: parseEther("2") },
    { bidder: 2, amount: parseEther("1.5"), deposit: parseEther("1.5") },
    { bidder: 3, amount: parseEther("9"), deposit: parseEther("1") },
    { bidder: 4, amount: undefined, deposit: parseEther("1") }
  ]
  const handles: Array<Hex> = []
  for (const { bidder, deposit } of bids) {
    const salt = randomHex(32)
    const place = as(bidder).getFunction("bid")
    await chain.mined(place(salt, sha256(salt), 300, 1, ["store://main/bid"], { value: deposit }))
    handles.push(lower(await auction.getFunction("handleFor")(chain.address(bidder), salt)))
  }
  const open = auction.getFunction("open")
  expect((await refusalOf(auction, open.staticCall(handles[0]))).name).toBe("TooEarly")
  expect(await world.list.getFunction("isAllowedForDecryption")(handles[0])).toBe(false)

  await chain.rpc("evm_setNextBlockTimestamp", biddingEnd + 1)
  const responses = []
  for (const [index, handle] of handles.entries()) {
    const receipt = await chain.mined(open(handle))
    const requested = receipt.logs.find((log) => lower(log.address) === deployment.addresses.decryptionGateway)!
    const { amount } = bids[index]!
    const plaintext = amount === undefined ? Uint8Array.of(1, 2, 3) : fromHex(word(amount))
    responses.push({ requestId: lower(requested.topics[1]!), result: resultOf(plaintext) })
  }
  expect((await refusalOf(auction, open.staticCall(handles[0]))).name).toBe("AlreadyRequested")

  const of = await world.attested(responses)
  const receipt = await chain.mined(world.gateway.getFunction("fulfilBatch")(of.root, of.attestation, responses))
  const names = receipt.logs.map((log) => (world.gateway.interface.parseLog(log) ?? auction.interface.parseLog(log))!.name)
  expect(names.toSorted()).toEqual([...Array(3).fill("BidOpened"), "CallbackFailed", ...Array(4).fill("DecryptionFulfilled")])
  expect(await auction.getFunction("best")()).toBe(chain.address(2))
  expect(await auction.getFunction("bestAmount")()).toBe(parseEther("1.5"))

  expect((await refusalOf(auction, auction.getFunction("settle").staticCall())).name).toBe("TooEarly")
  await chain.rpc("evm_setNextBlockTimestamp", biddingEnd + 1_001)
  await chain.mined(auction.getFunction("settle")())
  expect((await refusalOf(auction, as(2).getFunction("withdraw").staticCall())).name).toBe("NothingToWithdraw")
  for (const account of [0, 1, 3, 4]) await chain.mined(as(account).getFunction("withdraw")())
  expect(await chain.provider.getBalance(await auction.getAddress())).toBe(0n)
})

test("only the gateway may open a bid", async () => {
  const end = (await world.now()) + 1_000
  const factory = new ContractFactory(auctionArtifact.abi, auctionArtifact.bytecode, world.chain.account(0))
  const deployed = await factory.deploy(world.deployment.addresses.decryptionGateway, end, end + 1)
  const auction = (await deployed.waitForDeployment()) as Contract
  const refused = await refusalOf(auction, auction.getFunction("onDecrypted").staticCall(randomHex(32), "0x"))
  expect(refused.name).toBe("NotTheGateway")
})
