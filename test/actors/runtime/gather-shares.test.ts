/** Exactly k nodes are asked at first; another one only for one that fails or is slow, never more than the ledger grants;
 * what came is kept. */
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { nodeBeliefs, type NodeBeliefs } from "../../../actors/kms-node.actor.ts"
import { sharesCollectedActor, tooFew } from "../../../actors/4-shares-collected.actor.ts"
import { gatherShares, holdings } from "../../../actors/runtime/gather-shares.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import { WORK_TIMEOUT_MS } from "../../../src/domain/limits.ts"
import { NodeRefused, NodeUnavailable } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { ShareLedger } from "../../../src/ledger/share-ledger.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { Bus } from "../../../src/messaging/bus.port.ts"
import { packWork } from "../../../src/messaging/pack.ts"
import { aCommitteeRecord } from "../../journey/a-request.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { bornRequests, brought, hearOutcomes, inActorWorld, until } from "../support/actor-world.ts"
import { ShareWorld } from "../support/share-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const HEDGE_MS = 100

/** Nodes in the order of their ids, hedged after a fixed time. */
const orderly = Effect.map(nodeBeliefs, (beliefs): NodeBeliefs => ({
  ...beliefs,
  rank: ({ nodes }) => nodes.map(({ id }) => id),
  hedgeAfterMs: () => HEDGE_MS
}))

const gather = Effect.fnUntraced(function* (shares: ShareWorld, request: StoredRequest) {
  const holding = (yield* holdings([request.id]))(request.id)
  return yield* gatherShares(request, shares.committee, holding, yield* orderly)
})

const aRequest = Effect.gen(function* () {
  const [request] = yield* brought(yield* bornRequests(1, { kind: "user" }), "ciphertext-fetched")
  return request!
})

const heldFor = (request: StoredRequest) =>
  Effect.map(ShareLedger.use((ledger) => ledger.sharesOf([request.id])), (all) =>
    (all.get(request.id) ?? []).map(({ nodeId }) => nodeId)
  )

describe("gathering shares", () => {
  test("asks exactly k nodes when they answer, and keeps their answers", () => {
    const shares = new ShareWorld(3, 5)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        const gathered = yield* gather(shares, request)
        expect(gathered.isReached).toBe(true)
        expect(shares.askedOf(request.id)).toEqual([1, 2, 3])
        expect(yield* heldFor(request)).toEqual([1, 2, 3])
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("asks nobody whose answer is held already, and nobody at all when k are", () => {
    const shares = new ShareWorld(2, 4)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        yield* ShareLedger.use((ledger) => ledger.keep([shares.answer(3, request.id)]))
        yield* gather(shares, request)
        expect(shares.askedOf(request.id)).toEqual([1])
        yield* gather(shares, request)
        expect(shares.askedOf(request.id)).toEqual([1])
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("asks the next node at once for one that fails", () => {
    const shares = new ShareWorld(2, 4)
    shares.shares[1] = "is away"
    shares.shares[3] = { refuses: "not-allowed" }
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        const gathered = yield* gather(shares, request)
        expect(gathered.isReached).toBe(true)
        expect(shares.askedOf(request.id)).toEqual([1, 2, 3, 4])
        expect(gathered.failures.map(({ nodeId }) => nodeId)).toEqual([1, 3])
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("asks one more node each time those asked are slower than usual, and not before", () => {
    const shares = new ShareWorld(2, 5)
    shares.shares[1] = "is silent"
    shares.shares[3] = "is silent"
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const request = yield* aRequest
        const gathering = yield* Effect.forkChild(gather(shares, request))
        yield* until("the first two are asked", Effect.sync(() => shares.askedOf(request.id).length === 2))
        yield* TestClock.adjust(HEDGE_MS - 1)
        expect(shares.askedOf(request.id)).toEqual([1, 2])
        yield* TestClock.adjust(1)
        yield* until("one more is asked", Effect.sync(() => shares.askedOf(request.id).length === 3))
        yield* TestClock.adjust(HEDGE_MS - 1)
        expect(shares.askedOf(request.id)).toEqual([1, 2, 3])
        yield* TestClock.adjust(1)
        expect((yield* Fiber.join(gathering)).answers.map(({ nodeId }) => nodeId)).toEqual([2, 4])
        expect(telemetry.counted("hedged_asks")).toBe(2)
      }).pipe(Effect.provide(Layer.merge(shares.layer, TestClock.layer())))
    )
  })

  test("ends a round before the work is given out anew, though nodes that are slow and then silent always leave one to be asked again", () => {
    const shares = new ShareWorld(2, 3)
    for (const node of [2, 3]) shares.shares[node] = "times out"
    const slowMs = 3_950 // just below the time limit of a call: the next ask always begins before the one before it has failed
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        const beliefs = { ...(yield* orderly), hedgeAfterMs: () => slowMs }
        const holding = (yield* holdings([request.id]))(request.id)
        const gathering = yield* Effect.forkChild(gatherShares(request, shares.committee, holding, beliefs))
        yield* until("the first two are asked", Effect.sync(() => shares.askedOf(request.id).length === 2))
        const lookEveryMs = 50
        yield* until("the round is over", Effect.map(TestClock.adjust(lookEveryMs), () => gathering.pollUnsafe() !== undefined))
        expect(yield* Fiber.join(gathering)).toMatchObject({ isReached: false, answers: [{ nodeId: 1 }] })
        expect(yield* Clock.currentTimeMillis).toBeLessThanOrEqual(WORK_TIMEOUT_MS + 20 * lookEveryMs)
        expect(yield* heldFor(request)).toEqual([1])
      }).pipe(Effect.provide(Layer.merge(shares.layer, TestClock.layer())))
    )
  })

  test("asks nobody beyond the budget that the ledger grants, whoever spent it", () => {
    const shares = new ShareWorld(2, 4)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        // An earlier life has asked as many nodes as may ever be asked, but other ones.
        yield* ShareLedger.use((ledger) => ledger.intend([{ requestId: request.id, nodes: [5, 6, 7, 3], budget: 4 }]))
        const gathered = yield* gather(shares, request)
        expect(shares.askedOf(request.id)).toEqual([3])
        expect(gathered.isReached).toBe(false)
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("has the intent in the ledger before anybody is asked", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        shares.shares[1] = "is silent"
        shares.shares[2] = "is silent"
        const gathering = yield* Effect.forkChild(gather(shares, request))
        yield* until("they are asked", Effect.sync(() => shares.askedOf(request.id).length >= 2))
        yield* Fiber.interrupt(gathering) // dies here
        // As many as were intended before the crash may be asked again, and with a budget of two nobody else.
        const granted = yield* ShareLedger.use((ledger) => ledger.intend([{ requestId: request.id, nodes: [1, 2, 3], budget: 2 }]))
        expect(granted.get(request.id)).toEqual([1, 2])
      }).pipe(Effect.provide(Layer.merge(shares.layer, TestClock.layer())))
    )
  })

  test("keeps what it has when too few answer, and asks only the others next time", () => {
    const shares = new ShareWorld(3, 4)
    shares.shares[2] = "is away"
    shares.shares[3] = { refuses: "unknown-request" }
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        expect((yield* gather(shares, request)).isReached).toBe(false)
        expect(yield* heldFor(request)).toEqual([1, 4])
        delete shares.shares[2]
        shares.asked.length = 0
        expect((yield* gather(shares, request)).isReached).toBe(true)
        expect(shares.askedOf(request.id)).toEqual([2])
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("never asks a node again that lied about this request", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        yield* ShareLedger.use((ledger) => ledger.reject(request.id, 1, { proof: "of something" }))
        expect((yield* gather(shares, request)).isReached).toBe(true)
        expect(shares.askedOf(request.id)).toEqual([2, 3])
      }).pipe(Effect.provide(shares.layer))
    )
  })

  test("asks another node when handling an answer dies, and pages somebody about it", () => {
    const shares = new ShareWorld(2, 3)
    shares.shares[1] = "dies"
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const request = yield* aRequest
        const gathered = yield* gather(shares, request)
        expect(gathered.isReached).toBe(true)
        expect(gathered.failures).toMatchObject([{ _tag: "AnswerInvalid", nodeId: 1 }])
        expect(telemetry.errors).toMatchObject([{ what: "asking a KMS node died", data: { node: 1 } }])
        expect(JSON.stringify(telemetry.errors)).not.toContain("secret")
      }).pipe(Effect.provide(shares.layer))
    )
  })
})

describe("too few shares", () => {
  const committee = aCommitteeRecord(2, 4)
  const refusing = (...nodes: ReadonlyArray<readonly [number, string]>) =>
    tooFew(
      {
        isReached: false,
        answers: [],
        failures: nodes.map(([nodeId, reason]) => new NodeRefused({ nodeId, reason, detail: "" }))
      },
      committee
    )

  test("is a no when so many nodes say the same no that k others cannot be found", () => {
    const outcome = refusing([1, "not-allowed"], [2, "not-allowed"], [3, "not-allowed"])
    expect(outcome).toEqual({ type: "refused", reason: "not-allowed", detail: "nodes 1, 2, 3 of 4 refused: not-allowed" })
  })

  test.each([
    ["for different reasons", refusing([1, "not-allowed"], [2, "not-allowed"], [3, "epoch-retired"])],
    ["for reasons that are not about the request", refusing([1, "overloaded"], [2, "overloaded"], [3, "overloaded"])],
    ["as one node that says it three times", refusing([1, "not-allowed"], [1, "not-allowed"], [1, "not-allowed"])]
  ])("is no no when nodes refuse %s", (_how, outcome) => {
    expect(outcome.type).toBe("postponed")
  })

  test("is no no when nodes are silent, and says who was", () => {
    const failures = [1, 2, 3, 4].map((nodeId) => new NodeUnavailable({ nodeId, reason: "timeout", retryAfterMs: 0 }))
    expect(tooFew({ isReached: false, answers: [], failures }, committee)).toMatchObject({
      type: "postponed",
      reason: "0 of 2 shares; node 1: timeout; node 2: timeout; node 3: timeout; node 4: timeout"
    })
  })
})

describe("the step that collects shares", () => {
  const collecting = (shares: ShareWorld, requests: ReadonlyArray<StoredRequest>) =>
    Effect.gen(function* () {
      const outcomes = yield* hearOutcomes
      yield* sharesCollectedActor(1, yield* orderly)
      const bus = yield* Bus
      for (const { body, messageId } of packWork(requests.map(({ id, version }) => ({ requestId: id, version })))) {
        yield* bus.publish(workSubject("ciphertext-fetched"), body, messageId)
      }
      yield* until("all are answered", Effect.sync(() => requests.every(({ id }) => outcomes.of(id).length > 0)))
      return requests.map(({ id }) => outcomes.of(id)[0]!)
    }).pipe(Effect.scoped, Effect.provide(shares.layer))

  test("names the nodes whose shares are held", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        expect(yield* collecting(shares, [yield* aRequest])).toEqual([{ type: "shares-collected", nodes: [1, 2] }])
      })
    )
  })

  test("asks the chain when nodes will not help: somebody else may have fulfilled the request", () => {
    const shares = new ShareWorld(2, 2)
    shares.shares[1] = { refuses: "unknown-request" }
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        yield* Effect.sync(() => shares.chain.fulfilledByOthers(request.id))
        expect(yield* collecting(shares, [request])).toMatchObject([{ type: "submitted" }])
      })
    )
  })

  test("refuses when n - k + 1 nodes say no, though a known liar is not asked (seed 1048)", () => {
    const shares = new ShareWorld(3, 5)
    for (const node of [2, 3, 5]) shares.shares[node] = { refuses: "not-allowed" }
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const request = yield* aRequest
        yield* ShareLedger.use((ledger) => ledger.reject(request.id, 1, { proof: "of something" }))
        expect(yield* collecting(shares, [request])).toMatchObject([{ type: "refused", reason: "not-allowed" }])
        expect(shares.askedOf(request.id)).not.toContain(1)
      })
    )
  })

  test("halts a request whose committee is misconfigured, and postpones one whose nodes are away", () => {
    const shares = new ShareWorld(2, 2)
    shares.shares[1] = "is away"
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        expect(yield* collecting(shares, [yield* aRequest])).toMatchObject([{ type: "postponed", retryAfterMs: 1_000 }])
        shares.isEpochUnusable = true
        expect(yield* collecting(shares, [yield* aRequest])).toMatchObject([{ type: "halted", reason: "EpochUnusable" }])
      })
    )
  })
})
