/** The client against a real chain, with a committee whose nodes the test plays. */
import { DerivedPublicKey, EncryptedVetKey, IbeCiphertext, TransportSecretKey } from "@dfinity/vetkeys"
import { createHash, randomBytes } from "node:crypto"
import { WebSocketProvider } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  connect,
  decodePublicResult,
  type Encrypted,
  type Fulfilled,
  type PortcullisClient,
  TransportSecret,
  type Waited
} from "../../src/client/portcullis-client.ts"
import { fromHex, toHex, type Hex } from "../../src/domain/hex.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"
import { identityBytes } from "../../src/threshold/identity.ts"
import { startCommitteeWorld, type CommitteeWorld } from "./committee-world.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const OWNER = 1
const STRANGER = 2
const LOCATION = "store://main/somewhere"
const quick = { timeoutMs: 20_000, pollMs: 20 }

let world: CommitteeWorld
let owner: PortcullisClient
let stranger: PortcullisClient
let ownerAddress: Hex
let strangerAddress: Hex
beforeAll(async () => {
  world = await startCommitteeWorld()
  owner = await world.clientOf(OWNER)
  stranger = await world.clientOf(STRANGER)
  ownerAddress = world.chain.address(OWNER).toLowerCase() as Hex
  strangerAddress = world.chain.address(STRANGER).toLowerCase() as Hex
}, 60_000)
afterAll(() => world.stop())

const registered = async (value: Uint8Array = text("a value")): Promise<Encrypted> => {
  const encrypted = await owner.encrypt(value)
  await owner.register(encrypted, [LOCATION])
  return encrypted
}
const fulfilled = (waited: Waited): Fulfilled => {
  if (waited.type !== "fulfilled") throw new Error(`ended as ${JSON.stringify(waited)}`)
  return waited
}

describe("encrypting and registering", () => {
  test("the handle is the one the registry computes, the digest that of the bytes, and nothing was sent", async () => {
    const before = await world.chain.provider.getBlockNumber()
    const encrypted = await owner.encrypt(text("x"))
    expect(await world.chain.provider.getBlockNumber()).toBe(before)
    expect(encrypted.owner).toBe(ownerAddress)
    expect(encrypted.epoch).toBe(1)
    expect(encrypted.digest).toBe(toHex(createHash("sha256").update(encrypted.ciphertext).digest()))
    await owner.register(encrypted, [LOCATION])
    const { requestId } = await owner.requestUser([encrypted.handle])
    expect(requestId).toMatch(/^0x[0-9a-f]{64}$/)
  })

  test("the same value twice gives two handles and two ciphertexts", async () => {
    const [one, two] = [await owner.encrypt(text("x")), await owner.encrypt(text("x"))]
    expect(one.handle).not.toBe(two.handle)
    expect(one.digest).not.toBe(two.digest)
  })

  test("a reader can encrypt for an owner it names, who registers it", async () => {
    const reader = await connect({ provider: world.chain.provider, gateway: world.addresses.decryptionGateway })
    const encrypted = await reader.encrypt(text("from a server"), { owner: ownerAddress })
    await expect(stranger.register(encrypted, [LOCATION])).rejects.toMatchObject({ _tag: "InputRejected", argument: "encrypted" })
    await owner.register(encrypted, [LOCATION])
    await expect(reader.encrypt(text("x"))).rejects.toMatchObject({ _tag: "SignerNeeded" })
    await expect(reader.allowForDecryption(encrypted.handle)).rejects.toMatchObject({ _tag: "SignerNeeded" })
  })

  test("registering the very same again is harmless; another ciphertext under the same salt is refused", async () => {
    const encrypted = await owner.encrypt(text("x"))
    const first = await owner.register(encrypted, [LOCATION])
    expect(await owner.register(encrypted, [LOCATION])).toEqual(first)
    const other = await owner.encrypt(text("y"), { salt: encrypted.salt })
    expect(other.handle).toBe(encrypted.handle)
    await expect(owner.register(other, [LOCATION])).rejects.toMatchObject({ _tag: "ContractRefused", error: "AlreadyRegistered" })
  })

  test.each([
    ["no location", []],
    ["five locations", Array.from({ length: 5 }, (_, index) => `store://main/${index}`)],
    ["a location that is none", ["http://example.org/x"]],
    ["a location with a blank", ["store://main/a b"]],
    ["a location that is too long", [`store://main/${"x".repeat(256)}`]]
  ])("%s is refused before anything is sent", async (_what, locations) => {
    const encrypted = await owner.encrypt(text("x"))
    await expect(owner.register(encrypted, locations)).rejects.toMatchObject({ _tag: "InputRejected", argument: "locations" })
  })

  test("what cannot be encrypted is refused", async () => {
    await expect(owner.encrypt(new Uint8Array(16 * 1024 * 1024))).rejects.toMatchObject({
      _tag: "InputRejected",
      argument: "value"
    })
    await expect(owner.encrypt(text("x"), { salt: "0x12" })).rejects.toMatchObject({ _tag: "InputRejected", argument: "salt" })
    await expect(owner.encrypt(text("x"), { owner: "nobody" })).rejects.toMatchObject({
      _tag: "InputRejected",
      argument: "owner"
    })
    await expect(owner.encrypt(text("x"), { epoch: 7 })).rejects.toMatchObject({ _tag: "CommitteeUnusable", epoch: 7 })
  })
})

describe("public decryption", () => {
  test("several handles come back in order, and the committee's attestation is proved", async () => {
    const values = [text("one"), text(""), new Uint8Array(randomBytes(1_000))]
    const encrypted: Array<Encrypted> = []
    for (const value of values) encrypted.push(await registered(value))
    for (const { handle } of encrypted) await owner.allowForDecryption(handle)
    const { requestId } = await stranger.requestPublic(encrypted.map(({ handle }) => handle))
    const waiting = stranger.waitForResult(requestId, quick)
    const txHash = await world.answer(
      requestId,
      encrypted.map(({ ciphertext }) => ciphertext)
    )
    const result = fulfilled(await waiting)
    expect(result.txHash).toBe(txHash)
    expect(decodePublicResult(result)).toEqual(values)
    expect(decodePublicResult(result.result)).toEqual(values)
    await stranger.verifyResult(result)
    await stranger.verifyResult(result, { committee: world.committee })
  })

  test("results that came in one batch are proved as well, each of them", async () => {
    const encrypted = [await registered(text("a")), await registered(text("b")), await registered(text("c"))]
    const responses: Array<{ requestId: Hex; result: Uint8Array }> = []
    for (const { handle, ciphertext } of encrypted) {
      await owner.allowForDecryption(handle)
      const { requestId } = await owner.requestPublic([handle])
      responses.push({ requestId, result: await world.resultOf(requestId, [ciphertext]) })
    }
    await world.fulfil(responses)
    for (const { requestId, result } of responses) {
      const found = fulfilled(await owner.waitForResult(requestId, quick))
      expect(found.result).toEqual(result)
      await owner.verifyResult(found)
      await expect(owner.verifyResult({ ...found, result: encodeResult([text("z")]) })).rejects.toMatchObject({
        reason: "the attestation is not for this result"
      })
    }
  })

  test("an attestation of another committee is not believed", async () => {
    const { handle, ciphertext } = await registered()
    await owner.allowForDecryption(handle)
    const { requestId } = await owner.requestPublic([handle])
    await world.answer(requestId, [ciphertext])
    const result = fulfilled(await owner.waitForResult(requestId, quick))
    const other = { ...world.committee, attestationKey: world.committee.decryptionKey }
    await expect(owner.verifyResult(result, { committee: other })).rejects.toMatchObject({
      _tag: "ResultRejected",
      reason: "the attestation is not the committee's"
    })
    const unrelated = (await owner.allowForDecryption(handle)).txHash
    await expect(owner.verifyResult({ ...result, txHash: unrelated })).rejects.toMatchObject({
      reason: "its transaction carries no attestation that can be read"
    })
  })

  test("the same request with the same salt and deadline is recognised, and refused", async () => {
    const { handle } = await registered()
    const { timestamp } = (await world.chain.provider.getBlock("latest"))!
    const same = { salt: toHex(randomBytes(32)), deadline: timestamp + 3_600 }
    await owner.requestPublic([handle], same)
    await expect(owner.requestPublic([handle], same)).rejects.toMatchObject({
      _tag: "ContractRefused",
      error: "AlreadyRequested"
    })
    await owner.requestPublic([handle], { ...same, deadline: same.deadline + 1 })
    await expect(owner.requestPublic([handle], { ...same, deadlineSeconds: 5 })).rejects.toMatchObject({ argument: "deadline" })
  })

  test("what the contract would refuse is refused before it is paid for, by the contract's own name for it", async () => {
    const { handle } = await registered()
    await expect(owner.requestPublic([`0x${"77".repeat(32)}`])).rejects.toMatchObject({
      _tag: "ContractRefused",
      error: "UnknownHandle"
    })
    await expect(owner.requestPublic([handle, handle])).rejects.toMatchObject({ error: "DuplicateHandle" })
    await expect(owner.requestPublic([])).rejects.toMatchObject({ _tag: "InputRejected", argument: "handles" })
    await expect(owner.requestPublic([handle], { deadlineSeconds: 8 * 24 * 3_600 })).rejects.toMatchObject({
      error: "DeadlineOutOfRange"
    })
    await expect(owner.requestPublic([handle], { deadlineSeconds: 0 })).rejects.toMatchObject({ argument: "deadlineSeconds" })
    await expect(owner.requestPublic([handle], { callbackGas: 1_000_000 })).rejects.toMatchObject({
      error: "CallbackGasOutOfRange",
      advice: expect.stringContaining("500,000") as string
    })
  })
})

describe("user decryption", () => {
  test("the owner opens its own values, given the ciphertexts in any order", async () => {
    const [one, two] = [await registered(text("one")), await registered(text("two"))]
    const { requestId, transport } = await owner.requestUser([one.handle, two.handle])
    await world.answer(requestId)
    const result = fulfilled(await owner.waitForResult(requestId, quick))
    expect(await owner.openUserResult(result, transport, [two.ciphertext, one.ciphertext])).toEqual([text("one"), text("two")])
    await owner.verifyResult(result)
  })

  test("another client, that only knows the id and has kept the secret, opens it as well", async () => {
    const { handle, ciphertext } = await registered(text("later"))
    const { requestId, transport } = await owner.requestUser([handle])
    const kept = transport.reveal()
    await world.answer(requestId)
    const reader = await connect({ provider: world.chain.provider, gateway: world.addresses.decryptionGateway })
    const result = fulfilled(await reader.waitForResult(requestId, quick))
    expect(await reader.openUserResult(result, TransportSecret.fromBytes(kept), [ciphertext])).toEqual([text("later")])
  })

  test("@dfinity/vetkeys makes the transport key and opens what the client gets", async () => {
    const { handle, ciphertext } = await registered(text("for vetKeys"))
    const theirs = TransportSecretKey.random()
    const transport = TransportSecret.fromBytes(theirs.serialize())
    expect(transport.publicKey).toBe(toHex(theirs.publicKeyBytes()))
    const { requestId } = await owner.requestUser([handle], { transport })
    await world.answer(requestId)
    const [item] = fulfilled(await owner.waitForResult(requestId, quick)).items
    const identity = identityBytes({
      chainId: owner.chainId,
      registry: fromHex(owner.addresses.registry),
      handle: fromHex(handle)
    })
    const publicKey = DerivedPublicKey.deserialize(fromHex((await owner.committee()).decryptionKey))
    const key = EncryptedVetKey.deserialize(item!).decryptAndVerify(theirs, publicKey, identity)
    expect(IbeCiphertext.deserialize(ciphertext.slice(12, 180)).decrypt(key)).toHaveLength(32)
  })

  test("nothing is opened with another secret, other ciphertexts, or keys that are not the committee's", async () => {
    const [one, two] = [await registered(text("one")), await registered(text("two"))]
    const { requestId, transport } = await owner.requestUser([one.handle, two.handle])
    await world.answer(requestId)
    const result = fulfilled(await owner.waitForResult(requestId, quick))
    const ciphertexts = [one.ciphertext, two.ciphertext]
    const open = (change: Partial<Fulfilled>, secret = transport, given: ReadonlyArray<Uint8Array> = ciphertexts) =>
      owner.openUserResult({ ...result, ...change }, secret, given)
    const rejects = (opening: Promise<unknown>, reason: string) =>
      expect(opening).rejects.toMatchObject({ _tag: "ResultRejected", reason })

    await rejects(open({}, TransportSecret.generate()), "asked for with another transport key")
    await rejects(open({}, transport, [one.ciphertext]), "no ciphertext with the registered digest was given")
    await rejects(
      open({}, transport, [one.ciphertext, two.ciphertext.with(200, 0)]),
      "no ciphertext with the registered digest was given"
    )
    await rejects(open({ items: [result.items[1]!, result.items[0]!] }), "the key inside is not the committee's for this handle")
    await rejects(
      open({ items: [result.items[0]!, result.items[1]!.with(60, 1)] }),
      "the key inside is not the committee's for this handle"
    )
    await rejects(
      open({ items: [result.items[0]!, new Uint8Array(191)] }),
      "the key inside is not the committee's for this handle"
    )
    await rejects(open({ items: [result.items[0]!] }), "another number of items than handles")
    await rejects(open({ requestId: toHex(randomBytes(32)) }), "the request is not on this chain")
    expect(await open({})).toEqual([text("one"), text("two")])
  })

  test("a ciphertext that was registered but made wrong is named, with its handle", async () => {
    const encrypted = await owner.encrypt(text("x"))
    const ciphertext = encrypted.ciphertext.with(190, encrypted.ciphertext[190]! ^ 1)
    const bad = { ...encrypted, ciphertext, digest: toHex(createHash("sha256").update(ciphertext).digest()) }
    await owner.register(bad, [LOCATION])
    const { requestId, transport } = await owner.requestUser([bad.handle])
    await world.answer(requestId)
    const result = fulfilled(await owner.waitForResult(requestId, quick))
    await expect(owner.openUserResult(result, transport, [ciphertext])).rejects.toMatchObject({
      reason: "the ciphertext is not one for this handle",
      handle: bad.handle
    })
  })

  test("a delegate asks in the owner's name, with a secret of its own", async () => {
    const { handle, ciphertext } = await registered(text("delegated"))
    const { timestamp } = (await world.chain.provider.getBlock("latest"))!
    await owner.delegate(strangerAddress, timestamp + 3_600)
    const { requestId, transport } = await stranger.requestUser([handle], { account: ownerAddress })
    await world.answer(requestId)
    const result = fulfilled(await stranger.waitForResult(requestId, quick))
    expect(await stranger.openUserResult(result, transport, [ciphertext])).toEqual([text("delegated")])
    await owner.revokeDelegation(strangerAddress)
  })
})

describe("waiting", () => {
  test("a request that nobody answers times out, and says what the contracts have against it", async () => {
    const { handle } = await registered()
    const notPublic = await stranger.requestPublic([handle])
    expect(await stranger.waitForResult(notPublic.requestId, { timeoutMs: 50, pollMs: 10 })).toEqual({
      type: "timed-out",
      requestId: notPublic.requestId,
      isKnown: true,
      denial: "not-public"
    })
    const notAllowed = await stranger.requestUser([handle])
    expect(await stranger.waitForResult(notAllowed.requestId, { timeoutMs: 50, pollMs: 10 })).toMatchObject({
      denial: "account-not-allowed"
    })
    const notDelegated = await stranger.requestUser([handle], { account: ownerAddress })
    expect(await stranger.waitForResult(notDelegated.requestId, { timeoutMs: 50, pollMs: 10 })).toMatchObject({
      denial: "not-delegated"
    })
    await owner.allow(handle, strangerAddress)
    expect(await stranger.waitForResult(notAllowed.requestId, { timeoutMs: 50, pollMs: 10 })).toMatchObject({ denial: undefined })
    await owner.revoke(handle, strangerAddress)
    expect(await stranger.waitForResult(notAllowed.requestId, { timeoutMs: 50, pollMs: 10 })).toMatchObject({
      denial: "account-not-allowed"
    })
  })

  test("a request that the chain has never seen times out as unknown", async () => {
    const requestId = toHex(randomBytes(32))
    expect(await owner.waitForResult(requestId, { timeoutMs: 50, pollMs: 10 })).toEqual({
      type: "timed-out",
      requestId,
      isKnown: false,
      denial: undefined
    })
    await expect(owner.waitForResult("0x12")).rejects.toMatchObject({ _tag: "InputRejected", argument: "requestId" })
  })

  test("whoever aborts gets its own reason", async () => {
    const { handle } = await registered()
    const { requestId } = await owner.requestUser([handle])
    const controller = new AbortController()
    const waiting = owner.waitForResult(requestId, { pollMs: 60_000, signal: controller.signal })
    const why = new TypeError("the user closed the page")
    controller.abort(why)
    await expect(waiting).rejects.toBe(why)
    await expect(owner.waitForResult(requestId, { signal: controller.signal })).rejects.toBe(why)
  })

  test("over a socket the event itself wakes the wait, long before the next look", async () => {
    const socket = new WebSocketProvider(world.chain.url.replace("http", "ws"), world.chain.chainId, { staticNetwork: true })
    try {
      const reader = await connect({ provider: socket, gateway: world.addresses.decryptionGateway })
      const { handle } = await registered()
      const { requestId } = await owner.requestUser([handle])
      const waiting = reader.waitForResult(requestId, { timeoutMs: 50_000, pollMs: 50_000 })
      await world.answer(requestId)
      const from = performance.now()
      expect((await waiting).type).toBe("fulfilled")
      expect(performance.now() - from).toBeLessThan(10_000)
    } finally {
      await socket.destroy()
    }
  })

  test("with confirmations, a result is given out when that many blocks stand on it", async () => {
    const { handle } = await registered()
    const { requestId } = await owner.requestUser([handle])
    await world.answer(requestId)
    expect((await owner.waitForResult(requestId, { timeoutMs: 100, pollMs: 10, confirmations: 3 })).type).toBe("timed-out")
    await world.chain.rpc("anvil_mine", "0x2")
    expect((await owner.waitForResult(requestId, { ...quick, confirmations: 3 })).type).toBe("fulfilled")
  })

  test("a request whose deadline has passed on chain has expired: waiting ends at once", async () => {
    const { handle } = await registered()
    const { requestId } = await owner.requestPublic([handle], { deadlineSeconds: 60 })
    await world.chain.rpc("evm_increaseTime", 120)
    await world.chain.rpc("anvil_mine", "0x1")
    expect(await owner.waitForResult(requestId, quick)).toEqual({ type: "expired", requestId, denial: "not-public" })
  })
})
