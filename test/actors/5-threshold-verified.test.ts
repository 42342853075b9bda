/** Shares become results, and results one attested batch: liars are named and replaced, and nobody's trouble becomes a
 * neighbour's. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { thresholdVerifiedActor } from "../../actors/5-threshold-verified.actor.ts"
import { nodeBeliefs, type NodeBeliefs } from "../../actors/kms-node.actor.ts"
import { workSubject } from "../../src/domain/journey.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { resultHashOf } from "../../src/domain/response.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { packWork } from "../../src/messaging/pack.ts"
import { type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { bornRequests, brought, hearOutcomes, inActorWorld, until, withOver } from "./support/actor-world.ts"
import { ShareWorld } from "./support/share-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close(), 60_000)

/** Nodes in the order of their ids; those that were caught lying are last. */
const orderly = Effect.map(nodeBeliefs, (beliefs): NodeBeliefs => {
  const liars = new Set<number>()
  return {
    ...beliefs,
    rank: ({ nodes }) => nodes.map(({ id }) => id).toSorted((a, b) => Number(liars.has(a)) - Number(liars.has(b)) || a - b),
    lied: (committee, node) => {
      liars.add(node)
      beliefs.lied(committee, node)
    }
  }
})

/** Requests whose shares are held, from the nodes 1..k. */
const collected = Effect.fnUntraced(function* (shares: ShareWorld, count: number, liars: ReadonlyArray<number> = []) {
  const requests = yield* Effect.flatMap(bornRequests(count, { kind: "user" }), (all) => brought(all, "shares-collected"))
  const nodes = shares.committee.nodes.slice(0, shares.committee.threshold).map(({ id }) => id)
  yield* ShareLedger.use((ledger) =>
    ledger.keep(requests.flatMap(({ id }) => nodes.map((node) => shares.answer(node, id, !liars.includes(node)))))
  )
  return requests
})

/** One piece of work for all of them, and what is said about each. */
const verifying = (shares: ShareWorld, requests: ReadonlyArray<StoredRequest>) =>
  Effect.gen(function* () {
    const outcomes = yield* hearOutcomes
    yield* thresholdVerifiedActor({ concurrency: 1, beliefs: yield* orderly, registry: shares.registry })
    const bus = yield* Bus
    for (const { body, messageId } of packWork(requests.map(({ id, version }) => ({ requestId: id, version })))) {
      yield* bus.publish(workSubject("shares-collected"), body, messageId)
    }
    yield* until("all are answered", Effect.sync(() => requests.every(({ id }) => outcomes.of(id).length > 0)))
    return requests.map(({ id }) => outcomes.of(id)[0]!)
  }).pipe(Effect.scoped, Effect.provide(shares.layer))

const rootOf = (outcome: StepOutcome | undefined) => (outcome?.type === "threshold-verified" ? outcome.root : outcome?.type)

const evidenceAbout = (id: RequestId) =>
  Effect.map(
    Effect.promise(() =>
      world.query("SELECT node_id FROM evidence WHERE request_id = $1 ORDER BY node_id", [Buffer.from(id.slice(2), "hex")])
    ),
    (rows) => rows.map((row) => row["node_id"])
  )

describe("the step that verifies", () => {
  test("has results attested together, under one root, and keeps them in the ledger before it says so", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* collected(shares, 5)
        const outcomes = yield* verifying(shares, requests)
        const root = rootOf(outcomes[0])
        expect(outcomes.map(rootOf)).toEqual(requests.map(() => root))
        expect(shares.asked).toEqual([])
        expect(shares.attested.map(({ node }) => node)).toEqual([1, 2])
        const batch = yield* ResultLedger.use((ledger) => ledger.batch(root as RequestId))
        const resultOf = new Map(batch?.responses.map(({ requestId, result }) => [requestId, result]))
        requests.forEach(({ id }, index) => {
          expect(outcomes[index]).toMatchObject({ resultHash: resultHashOf(resultOf.get(id)!), nodes: [1, 2], liars: [] })
        })
      })
    )
  })

  test("names a liar, keeps the proof once, and combines again with another node's share", () => {
    const shares = new ShareWorld(2, 4)
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [request, neighbour] = yield* collected(shares, 2, [1])
        const outcomes = yield* verifying(shares, [request!, neighbour!])
        expect(outcomes).toMatchObject([
          { type: "threshold-verified", nodes: [2, 3], liars: [1] },
          { type: "threshold-verified", nodes: [2, 3], liars: [1] }
        ])
        expect(shares.askedOf(request!.id)).toEqual([3])
        expect(yield* evidenceAbout(request!.id)).toEqual([1])
        expect(telemetry.counted("wrong_shares")).toBe(2)
        expect(telemetry.errors.map(({ what }) => what)).toEqual(["a KMS node gave a wrong share", "a KMS node gave a wrong share"])

        // Sent again, it neither asks the liar nor proves it twice.
        yield* verifying(shares, [request!])
        expect(shares.askedOf(request!.id)).toEqual([3])
        expect(yield* evidenceAbout(request!.id)).toEqual([1])
      })
    )
  })

  test("goes through as many liars as there are, and postpones when too few honest nodes are left", () => {
    const shares = new ShareWorld(2, 4)
    shares.shares[2] = "lies"
    shares.shares[3] = "lies"
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* collected(shares, 1, [1, 2])
        expect(yield* verifying(shares, [request!])).toMatchObject([{ type: "postponed" }])
        expect(yield* evidenceAbout(request!.id)).toEqual([1, 2, 3])
      })
    )
  })

  test("keeps the proof, and asks the liar no more, also when its answer could not be kept", () => {
    const shares = new ShareWorld(2, 3)
    shares.shares[1] = "lies"
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* Effect.flatMap(bornRequests(1, { kind: "user" }), (all) => brought(all, "shares-collected"))
        const outcomes = yield* verifying(shares, requests).pipe(withOver(ShareLedger, () => ({ keep: () => Effect.void })))
        expect(outcomes).toMatchObject([{ type: "threshold-verified", nodes: [2, 3], liars: [1] }])
        expect(yield* evidenceAbout(requests[0]!.id)).toEqual([1])
      })
    )
  })

  test("gives up for now when shares do not combine and nobody can be blamed", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* collected(shares, 1)
        shares.says.set(request!.id, { type: "too-few", liars: [] })
        expect(yield* verifying(shares, [request!])).toMatchObject([{ type: "postponed" }])
        expect(shares.tasks).toHaveLength(1)
      })
    )
  })

  test("refuses what can never have a result: a malformed ciphertext, an unusable transport key", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [malformed, unusable, sound] = yield* collected(shares, 3)
        shares.says.set(malformed!.id, { type: "ciphertext-malformed", handle: random32(), reason: "tag", liars: [] })
        shares.says.set(unusable!.id, { type: "transport-key-invalid" })
        expect(yield* verifying(shares, [malformed!, unusable!, sound!])).toMatchObject([
          { type: "refused", reason: "ciphertext-malformed" },
          { type: "refused", reason: "transport-key-invalid" },
          { type: "threshold-verified" }
        ])
      })
    )
  })

  test("halts the request that the combiner dies of, and spares its neighbours", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* collected(shares, 5)
        shares.says.set(requests[3]!.id, "dies")
        const outcomes = yield* verifying(shares, requests)
        expect(outcomes.map(({ type }) => type)).toEqual([
          ...["threshold-verified", "threshold-verified", "threshold-verified"],
          ...["halted", "threshold-verified"]
        ])
        expect(outcomes[3]).toMatchObject({ reason: "defect" })
      })
    )
  })

  test("splits a batch that nodes disagree with, until the one they disagree with stands alone", () => {
    const shares = new ShareWorld(2, 2)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* collected(shares, 8)
        const bad = requests[5]!.id
        shares.attests[2] = { disagreesWith: [bad] }
        const outcomes = yield* verifying(shares, requests)
        outcomes.forEach((outcome, index) => expect(outcome.type).toBe(index === 5 ? "postponed" : "threshold-verified"))
        expect(outcomes.slice(0, 4).map(rootOf)).toEqual(Array(4).fill(rootOf(outcomes[0])))
        expect(rootOf(outcomes[6])).toBe(rootOf(outcomes[7]))
        expect(shares.attested.some(({ ids }) => ids.length === 1 && ids[0] === bad)).toBe(true)
      })
    )
  })

  test("ends a request whose permission was taken back after its shares were given, once so many nodes say no that k cannot say yes", () => {
    const shares = new ShareWorld(2, 3)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* collected(shares, 3)
        const revoked = { disagreesWith: [requests[1]!.id], because: "not-allowed" }
        shares.attests[1] = revoked
        expect((yield* verifying(shares, requests)).map(({ type }) => type), "one no of three").toEqual(Array(3).fill("threshold-verified"))
        const again = yield* collected(shares, 2)
        for (const node of [1, 2]) shares.attests[node] = { ...revoked, disagreesWith: [again[1]!.id] }
        expect(yield* verifying(shares, again)).toMatchObject([{ type: "threshold-verified" }, { type: "refused", reason: "not-allowed" }])
      })
    )
  })

  test("does not split a batch because nodes are away", () => {
    const shares = new ShareWorld(2, 2)
    shares.attests[2] = "is away"
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* collected(shares, 4)
        expect((yield* verifying(shares, requests)).map(({ type }) => type)).toEqual(Array(4).fill("postponed"))
        expect(shares.attested.every(({ ids }) => ids.length === 4)).toBe(true)
      })
    )
  })

  test("asks the chain about one that nobody attests: it may be fulfilled, or too late", () => {
    const shares = new ShareWorld(2, 2)
    shares.attests[1] = "refuses"
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [done, open] = yield* collected(shares, 2)
        shares.chain.fulfilledByOthers(done!.id)
        expect(yield* verifying(shares, [done!, open!])).toMatchObject([{ type: "submitted" }, { type: "postponed" }])
        shares.chain.timestamp = open!.facts.deadline + 1
        expect(yield* verifying(shares, [open!])).toMatchObject([{ type: "expired" }])
      })
    )
  })

  test("leaves a request in the batch in which it stands, and says what stands there", () => {
    const shares = new ShareWorld(2, 4)
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [first, second] = yield* collected(shares, 2)
        const [before] = yield* verifying(shares, [first!])
        // The answer was lost. Meanwhile another share came, so that the same request combines to other bytes.
        yield* ShareLedger.use((ledger) => ledger.reject(first!.id, 1, { proof: "of something" }))
        const [again, other] = yield* verifying(shares, [first!, second!])
        expect(rootOf(again)).toBe(rootOf(before))
        expect(rootOf(other)).not.toBe(rootOf(before))
        expect(again).toMatchObject({ resultHash: before!.type === "threshold-verified" ? before.resultHash : "" })
      })
    )
  })
})
