import { randomBytes } from "node:crypto"
import type { Contract, TransactionReceipt } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { committeeForChain } from "../../src/adapters/ethereum/deploy.ts"
import { fromHex, type Hex } from "../../src/domain/hex.ts"
import { responseLeaf, resultHashOf } from "../../src/domain/response.ts"
import { refusalOf } from "./reverts.ts"
import { merkle, randomHex, resultOf, startWorld, testCommittee, type Attested, type TestResponse, type World } from "./world.ts"

const SKIPPED = { alreadyFulfilled: 1n, unknown: 2n, expired: 3n, otherEpoch: 4n }
const FULFILLED = 2n

/** Of `fulfil`, for one response under an attestation. */
const args = (of: Attested, response: TestResponse, index = 0) => [of.root, of.attestation, response, of.proofs[index]]

describe.each(["bls", "quorum"] as const)("DecryptionGateway: results under a %s attestation", (scheme) => {
  let world: World
  beforeAll(async () => {
    world = await startWorld(scheme)
  })
  afterAll(() => world.chain.stop())

  const statusOf = (id: Hex): Promise<bigint> => world.gateway.getFunction("statusOf")(id)
  const answered = async (count: number): Promise<ReadonlyArray<TestResponse>> => {
    const ids = await Promise.all(Array.from({ length: count }, () => world.requested()))
    return ids.map((requestId) => ({ requestId, result: resultOf(randomBytes(32)) }))
  }
  /** [event, request id, skip reason or undefined] of every log of the gateway. */
  const events = (receipt: TransactionReceipt) =>
    receipt.logs.map((log) => {
      const { name, args } = world.gateway.interface.parseLog(log)!
      return name === "FulfilmentSkipped" ? [name, args.requestId, args.reason] : [name, args.requestId]
    })
  const fulfil = (...given: ReadonlyArray<unknown>) => world.chain.mined(world.gateway.getFunction("fulfil")(...given))
  const fulfilBatch = (...given: ReadonlyArray<unknown>) => world.chain.mined(world.gateway.getFunction("fulfilBatch")(...given))
  const refusal = (name: "fulfil" | "fulfilBatch", ...given: ReadonlyArray<unknown>) =>
    refusalOf(world.gateway, world.gateway.getFunction(name).staticCall(...given))

  test("agrees with the text on the digest that is attested", async () => {
    const [response] = await answered(1)
    const of = await world.attested([response!])
    expect(await world.gateway.getFunction("digestOf")(of.root)).toBe(of.digest)
  })

  test("fulfils one request, keeps its result's hash and emits the result", async () => {
    const [response] = (await answered(1)) as [TestResponse]
    const receipt = await fulfil(...args(await world.attested([response]), response))
    expect(events(receipt)).toEqual([["DecryptionFulfilled", response.requestId]])
    // The log's data is the result itself.
    expect(receipt.logs[0]!.data).toBe(response.result)
    expect(await statusOf(response.requestId)).toBe(FULFILLED)
    const kept = await world.gateway.getFunction("resultHashOf")(response.requestId)
    expect(kept).toBe(resultHashOf(fromHex(response.result)).slice(0, 64))
  })

  test("takes results of every shape", async () => {
    const several = resultOf(randomBytes(1), randomBytes(192), randomBytes(31))
    const shapes = [resultOf(), resultOf(new Uint8Array()), several, resultOf(randomBytes(4_096))]
    const responses: Array<TestResponse> = []
    for (const result of shapes) responses.push({ requestId: await world.requested(), result })
    const of = await world.attested(responses)
    const receipt = await fulfilBatch(of.root, of.attestation, responses)
    expect(receipt.logs.map((log) => log.data)).toEqual(shapes)
  })

  test("takes a result from anybody who has the attestation", async () => {
    const [response] = (await answered(1)) as [TestResponse]
    const stranger = world.gateway.connect(world.chain.account(7)) as Contract
    const of = await world.attested([response])
    await world.chain.mined(stranger.getFunction("fulfil")(...args(of, response)))
    expect(await statusOf(response.requestId)).toBe(FULFILLED)
  })

  test("skips a duplicate and changes nothing", async () => {
    const [response] = (await answered(1)) as [TestResponse]
    const of = await world.attested([response])
    await fulfil(...args(of, response))
    const kept = await world.gateway.getFunction("resultHashOf")(response.requestId)
    const skipped = [["FulfilmentSkipped", response.requestId, SKIPPED.alreadyFulfilled]]
    expect(events(await fulfil(...args(of, response)))).toEqual(skipped)

    const other = { ...response, result: resultOf(randomBytes(32)) }
    const second = await world.attested([other])
    expect(events(await fulfil(...args(second, other)))).toEqual(skipped)
    expect(await world.gateway.getFunction("resultHashOf")(response.requestId)).toBe(kept)
  })

  test("does not charge a late duplicate for the verification", async () => {
    const [response] = (await answered(1)) as [TestResponse]
    const of = await world.attested([response])
    const [first, second] = [await fulfil(...args(of, response)), await fulfil(...args(of, response))]
    expect(second.gasUsed).toBeLessThan(40_000n)
    expect(first.gasUsed).toBeGreaterThan(second.gasUsed)
  })

  test("fulfils a batch of 32 at once", async () => {
    const responses = await answered(32)
    const of = await world.attested(responses)
    const receipt = await fulfilBatch(of.root, of.attestation, responses)
    expect(events(receipt)).toEqual(responses.map(({ requestId }) => ["DecryptionFulfilled", requestId]))
    expect(receipt.logs.map((log) => log.data)).toEqual(responses.map(({ result }) => result))
    for (const { requestId } of responses) expect(await statusOf(requestId)).toBe(FULFILLED)
  })

  test("recomputes the root that is computed off chain, for 1 to 32 leaves", async () => {
    // Unknown requests are skipped after the root has been compared: nothing else is needed to see that it fits.
    for (let count = 1; count <= 32; count++) {
      const responses = Array.from({ length: count }, () => ({ requestId: randomHex(32), result: randomHex(40) }))
      const of = await world.attested(responses)
      expect(await refusal("fulfilBatch", of.root, of.attestation, responses)).toEqual({ name: "none", args: [] })
      for (const [index, response] of responses.entries()) {
        if (index % 5 !== count % 5) continue // every position for some count; all of them would take minutes
        expect(await refusal("fulfil", ...args(of, response, index))).toEqual({ name: "none", args: [] })
      }
    }
  })

  test("fulfils single entries of a batch by their proofs, and the batch takes the rest", async () => {
    const responses = await answered(5)
    const of = await world.attested(responses)
    for (const index of [4, 1]) {
      const receipt = await fulfil(...args(of, responses[index]!, index))
      expect(events(receipt)).toEqual([["DecryptionFulfilled", responses[index]!.requestId]])
    }
    const receipt = await fulfilBatch(of.root, of.attestation, responses)
    expect(events(receipt)).toEqual(
      responses.map(({ requestId }, index) =>
        index === 4 || index === 1
          ? ["FulfilmentSkipped", requestId, SKIPPED.alreadyFulfilled]
          : ["DecryptionFulfilled", requestId]
      )
    )
  })

  test("skips what is unknown, expired, or named twice, and fulfils the others", async () => {
    const soon = (await world.now()) + 60
    const expiring = { requestId: await world.requested({ deadline: soon }), result: resultOf(randomBytes(32)) }
    const [good] = (await answered(1)) as [TestResponse]
    const unknown = { requestId: randomHex(32), result: resultOf(randomBytes(32)) }
    await world.chain.rpc("evm_increaseTime", 61)
    await world.chain.rpc("evm_mine")
    const responses = [unknown, expiring, good, good]
    const of = await world.attested(responses)
    const receipt = await fulfilBatch(of.root, of.attestation, responses)
    expect(events(receipt)).toEqual([
      ["FulfilmentSkipped", unknown.requestId, SKIPPED.unknown],
      ["FulfilmentSkipped", expiring.requestId, SKIPPED.expired],
      ["DecryptionFulfilled", good.requestId],
      ["FulfilmentSkipped", good.requestId, SKIPPED.alreadyFulfilled]
    ])
    expect(await statusOf(unknown.requestId)).toBe(0n)
    expect(await statusOf(expiring.requestId)).toBe(1n)
  })

  test("takes a result in the last second of its request", async () => {
    const deadline = (await world.now()) + 100
    const response = { requestId: await world.requested({ deadline }), result: resultOf(randomBytes(32)) }
    const of = await world.attested([response], { expiry: deadline })
    await world.chain.rpc("evm_setNextBlockTimestamp", deadline)
    expect(events(await fulfil(...args(of, response)))).toEqual([["DecryptionFulfilled", response.requestId]])
  })

  test("skips a request of another epoch, whose committee did not attest it", async () => {
    const { blsVerifier, quorumVerifier } = world.deployment.addresses
    const verifier = scheme === "bls" ? blsVerifier : quorumVerifier
    const second = committeeForChain(testCommittee(scheme).committee, verifier)
    await world.chain.mined(world.committees.getFunction("register")(second))
    const epoch = Number(await world.committees.getFunction("latestEpoch")())
    const response = { requestId: await world.requested({ epoch }), result: resultOf(randomBytes(32)) }
    const byTheFirst = await world.attested([response])
    const skipped = ["FulfilmentSkipped", response.requestId, SKIPPED.otherEpoch]
    expect(events(await fulfil(...args(byTheFirst, response)))).toEqual([skipped])
    // Signed by the first committee in the name of the second.
    const of = await world.attested([response], { epoch })
    expect(await refusal("fulfil", ...args(of, response))).toEqual({ name: "InvalidAttestation", args: [BigInt(epoch)] })
    expect(await statusOf(response.requestId)).toBe(1n)
  })

  test("refuses a result that was changed on the way", async () => {
    const responses = await answered(2)
    const of = await world.attested(responses)
    const tampered = { ...responses[0]!, result: resultOf(randomBytes(32)) }
    expect((await refusal("fulfil", ...args(of, tampered))).name).toBe("RootMismatch")
    expect((await refusal("fulfilBatch", of.root, of.attestation, [tampered, responses[1]])).name).toBe("RootMismatch")
    // Results swapped between two requests, and their order.
    const [a, b] = responses as [TestResponse, TestResponse]
    const swapped = [{ ...a, result: b.result }, { ...b, result: a.result }]
    expect((await refusal("fulfilBatch", of.root, of.attestation, swapped)).name).toBe("RootMismatch")
  })

  test("refuses a wrong proof", async () => {
    const responses = await answered(3)
    const of = await world.attested(responses)
    const [first] = responses as [TestResponse]
    for (const proof of [[], of.proofs[1], of.proofs[0]!.toReversed(), [...of.proofs[0]!, randomHex(32)]]) {
      expect((await refusal("fulfil", of.root, of.attestation, first, proof)).name).toBe("RootMismatch")
    }
  })

  test("does not take an inner node of the tree for a response", async () => {
    const responses = await answered(4)
    const leaves = responses.map(({ requestId, result }) => responseLeaf(requestId, resultHashOf(fromHex(result))))
    const of = await world.attested(responses)
    const inner = merkle(leaves.slice(0, 2)).root
    const posing = { requestId: leaves[0]!, result: leaves[1]! }
    expect((await refusal("fulfil", of.root, of.attestation, posing, [merkle(leaves.slice(2)).root])).name).toBe("RootMismatch")
    expect((await refusal("fulfil", of.root, of.attestation, { requestId: inner, result: "0x" }, [])).name).toBe("RootMismatch")
  })

  test("refuses an attestation that is not the committee's, in whole and in part", async () => {
    const responses = await answered(2)
    const of = await world.attested(responses)
    const another = await world.attested(responses, { expiry: of.root.expiry + 1 })
    const refused = { name: "InvalidAttestation", args: [1n] }
    for (const attestation of [another.attestation, "0x", `0x${"00".repeat((of.attestation.length - 2) / 2)}`]) {
      expect(await refusal("fulfilBatch", of.root, attestation, responses)).toEqual(refused)
      expect(await refusal("fulfil", of.root, attestation, responses[0], of.proofs[0])).toEqual(refused)
    }
    // Every attested field counts.
    for (const change of [{ expiry: of.root.expiry + 1 }, { count: 3 }]) {
      const root = { ...of.root, ...change }
      expect(await refusal("fulfil", root, of.attestation, responses[0], of.proofs[0])).toEqual(refused)
    }
    for (const { requestId } of responses) expect(await statusOf(requestId)).toBe(1n)
  })

  test("leaves no trace of a batch whose attestation is bad", async () => {
    const responses = await answered(2)
    const of = await world.attested(responses)
    const another = await world.attested(responses, { expiry: of.root.expiry + 1 })
    const sent = world.gateway.getFunction("fulfilBatch")(of.root, another.attestation, responses, { gasLimit: 1_000_000 })
    const receipt = await world.chain.mined(sent)
    expect([receipt.status, receipt.logs.length]).toEqual([0, 0])
    for (const { requestId } of responses) expect(await statusOf(requestId)).toBe(1n)
  })

  test("refuses an attestation after its expiry", async () => {
    const [response] = (await answered(1)) as [TestResponse]
    const of = await world.attested([response], { expiry: (await world.now()) - 1 })
    const refused = { name: "AttestationExpired", args: [BigInt(of.root.expiry)] }
    expect(await refusal("fulfil", ...args(of, response))).toEqual(refused)
    expect(await refusal("fulfilBatch", of.root, of.attestation, [response])).toEqual(refused)
  })

  test("refuses fewer, more, none, or more than 32 responses", async () => {
    const responses = await answered(2)
    const of = await world.attested(responses)
    const many = Array.from({ length: 33 }, () => ({ requestId: randomHex(32), result: "0x01" as Hex }))
    const ofMany = await world.attested(many)
    for (const [root, given] of [
      [of.root, responses.slice(0, 1)],
      [of.root, [...responses, responses[0]]],
      [{ ...of.root, count: 0 }, []],
      [ofMany.root, many]
    ] as const) {
      expect((await refusal("fulfilBatch", root, of.attestation, given)).name).toBe("ResponseCountMismatch")
    }
  })

  test("believes nothing more of a committee that was retired", async () => {
    const snapshot = await world.chain.rpc("evm_snapshot")
    const [response] = (await answered(1)) as [TestResponse]
    const of = await world.attested([response])
    await world.chain.mined(world.committees.getFunction("retire")(1))
    expect(await refusal("fulfil", ...args(of, response))).toEqual({ name: "EpochNotActive", args: [1n] })
    await world.chain.rpc("evm_revert", snapshot)
    world.chain.account(0).reset()
  })
})

test("a chain without the precompiles fulfils nothing under a BLS attestation", async () => {
  const world = await startWorld("bls", { hardfork: "cancun" })
  try {
    const response = { requestId: await world.requested(), result: resultOf(randomBytes(32)) }
    const of = await world.attested([response])
    const refused = await refusalOf(
      world.gateway,
      world.gateway.getFunction("fulfil").staticCall(of.root, of.attestation, response, [])
    )
    expect(refused).toEqual({ name: "InvalidAttestation", args: [1n] })
  } finally {
    await world.chain.stop()
  }
})
