/** A node gives out shares for what its own chain allows, the same ones each time, and derives nothing for anything else. */
import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { keccak } from "../../src/domain/abi-words.ts"
import { fromHex, toHex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf, ZERO_ADDRESS } from "../../src/domain/request.ts"
import { verifyShare } from "../../src/threshold/share.ts"
import { verificationKeyOf } from "../../src/threshold/shared-key.ts"
import { readTransportKey, verifyEncryptedShare } from "../../src/threshold/transport.ts"
import { type ChainDouble, chainDouble } from "../support/chain-double.ts"
import { dealCommittee, type DealtCommittee } from "../support/kms-committee.ts"
import { requestsOn } from "../support/kms-requests.ts"
import { CALLER, type LoneNode, loneNode } from "../support/lone-node.ts"

let dealt: DealtCommittee
let chain: ChainDouble
let node: LoneNode
let requests: ReturnType<typeof requestsOn>

beforeAll(async () => {
  dealt = await dealCommittee()
  chain = chainDouble(dealt.committee)
  node = await loneNode(dealt, chain.view)
  requests = requestsOn(dealt.engine, chain)
})
afterAll(async () => {
  await node.stop()
  await dealt.remove()
})

const publicRequest = async (count = 1) => {
  const values = await Promise.all(Array.from({ length: count }, () => requests.publish("public")))
  return chain.requestPublic(values.map(({ handle }) => handle))
}
const userRequest = async (transportKey = requests.transportKey()) => {
  const { handle } = await requests.publish(chain.requester)
  return chain.requestUser({ handles: [handle], transportKey })
}

/** Refused for this reason, and neither was a secret used nor anything written down. */
const expectRefused = async (request: DecryptionRequest, reason: string) => {
  const [operations, written] = [node.operations(), node.entries.length]
  expect(await node.refusedShare(request)).toMatchObject({ _tag: "KmsNodeRefusal", reason })
  expect(node.operations()).toBe(operations)
  expect(node.entries.length).toBe(written)
}

test("public shares are right under the node's verification key", async () => {
  const request = await publicRequest(3)
  const { shares } = await node.share(request)
  const key = verificationKeyOf(requests.keys.decryption, 1)
  expect(
    shares.map((share, index) => verifyShare(dealt.engine, key, requests.hashedFor(request.handles[index]!), share))
  ).toEqual([true, true, true])
})

test("user shares are right while they are encrypted", async () => {
  const request = await userRequest()
  const { shares } = await node.share(request)
  const statement = {
    hashed: requests.hashedFor(request.handles[0]!),
    transportKey: readTransportKey(dealt.engine, fromHex(request.transportKey))
  }
  expect(verifyEncryptedShare(dealt.engine, verificationKeyOf(requests.keys.decryption, 1), statement, shares[0]!)).toBe(true)
})

test("a node that has forgotten everything answers a request with the same bytes", async () => {
  const request = await userRequest()
  const reborn = await loneNode(dealt, chain.view)
  expect(await reborn.share(request)).toEqual(await node.share(request))
  await reborn.stop()
})

test("two requests about one handle get different transport randomness", async () => {
  const transportKey = requests.transportKey()
  const { handle } = await requests.publish(chain.requester)
  const [first, second] = [
    await chain.requestUser({ handles: [handle], transportKey }),
    await chain.requestUser({ handles: [handle], transportKey })
  ]
  const [left, right] = [await node.share(first), await node.share(second)]
  expect(left.shares[0]!.subarray(0, 48)).not.toEqual(right.shares[0]!.subarray(0, 48))
})

test("what was given out is written down before it leaves, by hash, with who asked", async () => {
  const request = await publicRequest(2)
  const answer = await node.share(request)
  expect(node.entries.at(-1)).toEqual({
    type: "share",
    atMs: expect.any(Number),
    caller: CALLER,
    requestId: requestIdOf(request),
    epoch: 1,
    kind: "public",
    handles: 2,
    sharesHash: keccak(...answer.shares)
  })
})

describe("nothing is derived", () => {
  test("when a handle may not become public", async () => {
    const { handle } = await requests.publish("nobody")
    await expectRefused(await chain.requestPublic([handle]), "not-public")
  })

  test("when only one of many handles may not", async () => {
    const [allowed, forbidden] = [await requests.publish("public"), await requests.publish("nobody")]
    await expectRefused(await chain.requestPublic([allowed.handle, forbidden.handle]), "not-public")
  })

  test("when the account has no permission", async () => {
    const { handle } = await requests.publish("public")
    await expectRefused(await chain.requestUser({ handles: [handle], transportKey: requests.transportKey() }), "not-allowed")
  })

  test("when the requester may not act for the account", async () => {
    const { handle } = await requests.publish(chain.owner)
    await expectRefused(
      await chain.requestUser({ handles: [handle], account: chain.owner, transportKey: requests.transportKey() }),
      "not-delegated"
    )
  })

  test("when nobody made the request", async () => {
    await expectRefused({ ...(await publicRequest()), salt: toHex(randomBytes(32)) }, "unknown-request")
  })

  test("when somebody else is said to have made it", async () => {
    await expectRefused({ ...(await publicRequest()), requester: toHex(randomBytes(20)) }, "unknown-request")
  })

  test("when it belongs to another gateway or chain", async () => {
    const request = await publicRequest()
    const asked = chain.inspections()
    await expectRefused({ ...request, gateway: toHex(randomBytes(20)) }, "unknown-request")
    await expectRefused({ ...request, chainId: 1n }, "unknown-request")
    expect(chain.inspections()).toBe(asked)
  })

  test("when it has been fulfilled", async () => {
    const request = await publicRequest()
    await chain.fulfil(request)
    await expectRefused(request, "already-fulfilled")
  })

  test("when its deadline has passed", async () => {
    const request = await publicRequest()
    await chain.pass(4_000)
    await expectRefused(request, "expired")
  })

  test("when the chain cannot be seen, and it says when to come back", async () => {
    const request = await publicRequest()
    chain.breakDown(true)
    await expectRefused(request, "chain-unavailable")
    expect((await node.refusedShare(request)).retryAfterMs).toBeGreaterThan(0)
    chain.breakDown(false)
    expect((await node.share(request)).shares.length).toBe(1)
  })

  test("when the request's block is not final enough for this operator, until it is", async () => {
    const careful = await loneNode(dealt, chain.settledView, 2)
    const request = await publicRequest()
    expect(await careful.refusedShare(request)).toMatchObject({ reason: "chain-behind", fate: "retry" })
    expect(careful.operations()).toBe(0)
    await chain.mine(2)
    expect((await careful.share(request)).nodeId).toBe(2)
    await careful.stop()
  })

  test.each([
    ["the identity", `0xc0${"00".repeat(47)}` as const],
    ["no point at all", `0x8f${"ff".repeat(47)}` as const],
    ["a point outside the subgroup", `0x80${"00".repeat(46)}04` as const]
  ])("when the transport key is %s", async (_, transportKey) => {
    await expectRefused(await userRequest(transportKey), "transport-key-invalid")
  })

  test.each<readonly [string, Partial<DecryptionRequest>]>([
    ["no handles", { handles: [] }],
    ["33 handles", { handles: Array.from({ length: 33 }, () => toHex(randomBytes(32))) }],
    ["a handle of 31 bytes", { handles: [toHex(randomBytes(31))] }],
    ["a handle twice", { handles: [`0x${"11".repeat(32)}`, `0x${"11".repeat(32)}`] }],
    ["epoch 0", { epoch: 0 }],
    ["an epoch beyond 32 bits", { epoch: 2 ** 32 }],
    ["a deadline that is no number", { deadline: Number.NaN }],
    ["a salt of 16 bytes", { salt: toHex(randomBytes(16)) }],
    ["a requester of 32 bytes", { requester: toHex(randomBytes(32)) }],
    ["a gateway without bytes", { gateway: "0x" }],
    ["an account in a public request", { account: toHex(randomBytes(20)) }],
    ["a transport key in a public request", { transportKey: toHex(randomBytes(48)) }],
    ["a user request without a transport key", { kind: "user", account: toHex(randomBytes(20)) }],
    ["a user request without an account", { kind: "user", account: ZERO_ADDRESS, transportKey: toHex(randomBytes(48)) }]
  ])("for %s, and the chain is not even asked", async (_, part) => {
    const request = await publicRequest()
    const asked = chain.inspections()
    await expectRefused({ ...request, ...part }, "malformed")
    expect(chain.inspections()).toBe(asked)
  })
})

test("a share of another committee's epoch is of no use", async () => {
  const stranger = await dealCommittee()
  const lost = await loneNode(stranger, chain.view)
  const request = await publicRequest()
  expect(await lost.refusedShare(request)).toMatchObject({ reason: "epoch-unknown" })
  await lost.stop()
  await stranger.remove()
})

test("a chain that shows other keys than were dealt is not believed", async () => {
  const stranger = await dealCommittee()
  const { decryptionKey, nodes } = stranger.committee
  const ours = dealt.committee
  const forged = {
    ...ours,
    decryptionKey,
    nodes: ours.nodes.map((own, index) => ({ ...own, decryptionKey: nodes[index]!.decryptionKey }))
  }
  const lying = chainDouble(forged)
  const swapped = await loneNode(dealt, lying.view)
  const registered = await lying.register(toHex(randomBytes(32)), toHex(randomBytes(32)), 300)
  await lying.allowPublic(registered)
  const request = await lying.requestPublic([registered])
  expect(await swapped.refusedShare(request)).toMatchObject({
    reason: "epoch-unknown",
    detail: "the epoch's decryption key is not the one that was dealt"
  })
  expect(swapped.entries).toEqual([])
  await swapped.stop()
  await stranger.remove()
})

test("a retired epoch gets nothing more", async () => {
  const other = chainDouble(dealt.committee)
  const retired = await loneNode(dealt, other.view)
  const value = await requestsOn(dealt.engine, other).publish("public")
  const request = await other.requestPublic([value.handle])
  await other.retireEpoch()
  expect(await retired.refusedShare(request)).toMatchObject({ reason: "epoch-retired" })
  await retired.stop()
})
