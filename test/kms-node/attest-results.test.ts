/** A node lends its word only to results that it has recomputed itself, for requests that its own chain allows. */
import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { fromHex } from "../../src/domain/hex.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { attestationDigest } from "../../src/domain/response.ts"
import type { ResultToAttest } from "../../src/journey/4-shares-collected/share-node.port.ts"
import type { BroughtBatch } from "../../src/kms-node/attest-results.ts"
import { readResult } from "../../src/kms-node/read-result.ts"
import { verifyAttestationShare } from "../../src/threshold/attest.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"
import { verificationKeyOf } from "../../src/threshold/shared-key.ts"
import { type ChainDouble, chainDouble } from "../support/chain-double.ts"
import { dealCommittee, type DealtCommittee } from "../support/kms-committee.ts"
import { type Encrypted, requestsOn, rootOf } from "../support/kms-requests.ts"
import { type LoneNode, loneNode } from "../support/lone-node.ts"

let dealt: DealtCommittee
let chain: ChainDouble
let [one, two]: [LoneNode, LoneNode] = [undefined!, undefined!]
let requests: ReturnType<typeof requestsOn>

beforeAll(async () => {
  dealt = await dealCommittee()
  chain = chainDouble(dealt.committee)
  one = await loneNode(dealt, chain.view, 1)
  two = await loneNode(dealt, chain.view, 2)
  requests = requestsOn(dealt.engine, chain)
})
afterAll(async () => {
  await Promise.all([one.stop(), two.stop()])
  await dealt.remove()
})

interface Made {
  readonly values: ReadonlyArray<Encrypted>
  readonly brought: ResultToAttest
}

const publicResult = async (count = 1): Promise<Made> => {
  const values = await Promise.all(Array.from({ length: count }, () => requests.publish("public")))
  const request = await chain.requestPublic(values.map(({ handle }) => handle))
  return { values, brought: requests.resultOf(request, [await one.share(request), await two.share(request)], values) }
}
const userResult = async (count = 1): Promise<Made> => {
  const values = await Promise.all(Array.from({ length: count }, () => requests.publish(chain.requester)))
  const request = await chain.requestUser({ handles: values.map(({ handle }) => handle), transportKey: requests.transportKey() })
  return { values, brought: requests.resultOf(request, [await one.share(request), await two.share(request)], values) }
}
const batchOf = (...results: ReadonlyArray<ResultToAttest>): BroughtBatch => ({
  epoch: 1,
  expiry: rootOf(results).expiry,
  results
})

/** Refused for this reason, and nothing was signed or written down. */
const expectRefused = async (batch: BroughtBatch, reason: string) => {
  const [operations, written] = [one.operations(), one.entries.length]
  const refusal = await one.refusedAttest(batch)
  expect(refusal).toMatchObject({ _tag: "KmsNodeRefusal", reason })
  expect(one.operations()).toBe(operations)
  expect(one.entries.length).toBe(written)
  return refusal
}

test("the part is right under the node's attestation key, over the root that the node built itself", async () => {
  const results = [(await publicResult(2)).brought, (await userResult()).brought]
  const { root, part, nodeId } = await one.attest(batchOf(...results))
  const attested = rootOf(results)
  expect({ root, nodeId }).toEqual({ root: attested.root, nodeId: 1 })
  const digest = fromHex(attestationDigest(results[0]!.request, attested))
  expect(verifyAttestationShare(dealt.engine, verificationKeyOf(requests.keys.attestation, 1), digest, part)).toBe(true)
})

test("what was attested is written down by root and request", async () => {
  const { brought } = await publicResult()
  const { root } = await one.attest(batchOf(brought))
  expect(one.entries.at(-1)).toMatchObject({ type: "attest", root, epoch: 1, requestIds: [brought.requestId] })
})

describe("a public result is not attested", () => {
  let made: Made
  beforeEach(async () => {
    made = await publicResult(2)
  })
  const withOpening = (index: number, change: Partial<ResultToAttest["openings"][number]>): ResultToAttest => ({
    ...made.brought,
    openings: made.brought.openings.map((opening, at) => (at === index ? { ...opening, ...change } : opening))
  })
  const plaintexts = () => [...readResult(made.brought.result)!]

  test("when one bit of a plaintext is different", async () => {
    const items = plaintexts()
    items[1] = Uint8Array.from(items[1]!)
    items[1][0]! ^= 1
    const refusal = await expectRefused(batchOf({ ...made.brought, result: encodeResult(items) }), "result-wrong")
    expect(refusal.detail).toContain(made.brought.requestId)
  })

  test("when the plaintexts stand in another order", () =>
    expectRefused(batchOf({ ...made.brought, result: encodeResult(plaintexts().toReversed()) }), "result-wrong"))

  test("when a plaintext is missing, or one too many", async () => {
    await expectRefused(batchOf({ ...made.brought, result: encodeResult(plaintexts().slice(1)) }), "result-wrong")
    await expectRefused(batchOf({ ...made.brought, result: encodeResult([...plaintexts(), new Uint8Array()]) }), "result-wrong")
  })

  test("when the result is the same list in another encoding", () =>
    expectRefused(batchOf({ ...made.brought, result: Buffer.concat([made.brought.result, new Uint8Array(32)]) }), "result-wrong"))

  test("when the ciphertext is not the registered one", async () => {
    const tampered = Uint8Array.from(made.values[0]!.ciphertext)
    tampered[tampered.length - 1]! ^= 1
    await expectRefused(batchOf(withOpening(0, { ciphertext: tampered })), "ciphertext-mismatch")
  })

  test("when it is the ciphertext of another handle", () =>
    expectRefused(batchOf(withOpening(0, made.brought.openings[1]!)), "ciphertext-mismatch"))

  test("when the seed does not open it", async () => {
    await expectRefused(batchOf(withOpening(1, { sigma: new Uint8Array(randomBytes(32)) })), "result-wrong")
    await expectRefused(batchOf(withOpening(1, { sigma: new Uint8Array() })), "result-wrong")
    await expectRefused(batchOf(withOpening(1, { sigma: made.brought.openings[0]!.sigma })), "result-wrong")
  })

  test("when there are fewer or more openings than handles", async () => {
    await expectRefused(batchOf({ ...made.brought, openings: made.brought.openings.slice(1) }), "malformed")
    await expectRefused(batchOf({ ...made.brought, openings: [...made.brought.openings, ...made.brought.openings] }), "malformed")
  })

  test("when a ciphertext is larger than a public one may be", async () => {
    const salt = `0x${randomBytes(32).toString("hex")}` as const
    const handle = chain.handleFor(salt)
    const ciphertext = requests.encryptTo(handle, new Uint8Array(5_000))
    await chain.register(salt, requests.digestOf(ciphertext), ciphertext.length)
    await chain.allowPublic(handle)
    const request = await chain.requestPublic([handle])
    const brought = requests.resultOf(
      request,
      [await one.share(request), await two.share(request)],
      [{ handle, ciphertext, plaintext: new Uint8Array(5_000) }]
    )
    await expectRefused(batchOf(brought), "ciphertext-mismatch")
  })

  test("when a ciphertext says that it is of another epoch than its request", async () => {
    const salt = `0x${randomBytes(32).toString("hex")}` as const
    const handle = chain.handleFor(salt)
    const ciphertext = requests.encryptTo(handle, new Uint8Array(3), 2)
    await chain.register(salt, requests.digestOf(ciphertext), ciphertext.length)
    await chain.allowPublic(handle)
    const request = await chain.requestPublic([handle])
    const answers = [await one.share(request), await two.share(request)]
    const brought = requests.resultOf(request, answers, [{ handle, ciphertext, plaintext: new Uint8Array(3) }])
    await expectRefused(batchOf(brought), "ciphertext-mismatch")
  })

  test("when a ciphertext of another identity was registered for its handle", async () => {
    // The owner registers, for its own handle, a ciphertext that was encrypted for somebody else's: its digest is right, its
    // identity is not.
    const salt = `0x${randomBytes(32).toString("hex")}` as const
    const { ciphertext } = made.values[0]!
    const handle = await chain.register(salt, requests.digestOf(ciphertext), ciphertext.length)
    await chain.allowPublic(handle)
    const request = await chain.requestPublic([handle])
    const openings = [made.brought.openings[0]!]
    await expectRefused(
      batchOf({ requestId: requestIdOf(request), request, result: encodeResult([made.values[0]!.plaintext]), openings }),
      "result-wrong"
    )
  })
})

describe("a user result is not attested", () => {
  let made: Made
  beforeEach(async () => {
    made = await userResult(2)
  })
  const keys = () => readResult(made.brought.result)!

  test("when an encrypted key is another's", async () => {
    const other = readResult((await userResult()).brought.result)!
    const refusal = await expectRefused(
      batchOf({ ...made.brought, result: encodeResult([keys()[0]!, other[0]!]) }),
      "result-wrong"
    )
    expect(refusal.detail).toContain(made.values[1]!.handle)
  })

  test("when two keys have changed places", () =>
    expectRefused(batchOf({ ...made.brought, result: encodeResult(keys().toReversed()) }), "result-wrong"))

  test("when it is one node's share and not the whole", async () => {
    const { shares } = await one.share(made.brought.request)
    await expectRefused(batchOf({ ...made.brought, result: encodeResult(shares) }), "result-wrong")
  })

  test("when the bytes are no points, or not 192 of them", async () => {
    await expectRefused(batchOf({ ...made.brought, result: encodeResult([keys()[0]!, new Uint8Array(192)]) }), "result-wrong")
    await expectRefused(batchOf({ ...made.brought, result: encodeResult([keys()[0]!, keys()[1]!.subarray(1)]) }), "result-wrong")
    await expectRefused(batchOf({ ...made.brought, result: encodeResult([keys()[0]!]) }), "result-wrong")
    await expectRefused(batchOf({ ...made.brought, result: randomBytes(100) }), "result-wrong")
  })

  test("when it brings openings, which only public results have", () =>
    expectRefused(
      batchOf({ ...made.brought, openings: [{ ciphertext: new Uint8Array(1), sigma: new Uint8Array(32) }] }),
      "malformed"
    ))
})

describe("a batch is not attested", () => {
  test("when one of its results is wrong, whatever the others are", async () => {
    const [good, bad] = [await publicResult(), await userResult()]
    const wrong = { ...bad.brought, result: encodeResult([new Uint8Array(192)]) }
    const refusal = await expectRefused(batchOf(good.brought, wrong), "result-wrong")
    expect(refusal.detail).toContain(bad.brought.requestId)
  })

  test("when one of its requests has been fulfilled, has expired, or was never made", async () => {
    const [first, second] = [await publicResult(), await publicResult()]
    const unknown = { ...second.brought, request: { ...second.brought.request, salt: `0x${"ab".repeat(32)}` as const } }
    await expectRefused(batchOf(first.brought, unknown), "unknown-request")
    await chain.fulfil(second.brought.request)
    await expectRefused(batchOf(first.brought, second.brought), "already-fulfilled")
    await chain.pass(4_000)
    await expectRefused(batchOf(first.brought), "expired")
  })

  test("when one of its requests is not settled enough for this node's operator", async () => {
    const { brought } = await userResult()
    const careful = await loneNode(dealt, chain.settledView, 3)
    expect(await careful.refusedAttest(batchOf(brought))).toMatchObject({ reason: "chain-behind" })
    await careful.stop()
  })

  test("when it is empty, has 33 results, or one of them twice", async () => {
    const { brought } = await publicResult()
    await expectRefused({ epoch: 1, expiry: 1, results: [] }, "malformed")
    await expectRefused({ ...batchOf(brought), results: Array.from({ length: 33 }, () => brought) }, "malformed")
    await expectRefused(batchOf(brought, brought), "malformed")
  })

  test("when it is of another epoch than its requests", async () => {
    const { brought } = await publicResult()
    await expectRefused({ ...batchOf(brought), epoch: 2 }, "malformed")
  })

  test("when it would outlive every deadline in it", async () => {
    const { brought } = await publicResult()
    await expectRefused({ ...batchOf(brought), expiry: brought.request.deadline + 1 }, "malformed")
    await expectRefused({ ...batchOf(brought), expiry: 0 }, "malformed")
    expect((await one.attest({ ...batchOf(brought), expiry: brought.request.deadline - 1 })).nodeId).toBe(1)
  })
})
