/** A step takes a hint, looks the requests up, does its work and says what came of it; it trusts the ledger and nothing else. */
import { Clock, Data, Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { settle } from "../../../actors/runtime/outcome-of-failure.ts"
import { stepActor, type Perform } from "../../../actors/runtime/step-actor.ts"
import type { Fate } from "../../../src/domain/fate.ts"
import type { Milestone } from "../../../src/domain/journey.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import type { StepOutcome, WorkItem } from "../../../src/domain/outcome.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { DELIVERIES_MAX } from "../../../src/messaging/bus-limits.ts"
import { Bus, type Delivery, type Verdict } from "../../../src/messaging/bus.port.ts"
import { encodeEnvelope } from "../../../src/messaging/envelope.ts"
import { packWork } from "../../../src/messaging/pack.ts"
import { ParkedMessages } from "../../../src/messaging/parked-messages.port.ts"
import { type LedgerWorld, openLedgerWorld, random32 } from "../../support/ledger-world.ts"
import { bornRequests, brought, facts, hearOutcomes, inActorWorld, until, withOver } from "../support/actor-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const fact = (): StepOutcome => facts["acl-checked"]() as StepOutcome

/** A step that notes whom it was asked about. */
const noting = (answer: (request: StoredRequest) => StepOutcome | null = fact) => {
  const asked: Array<string> = []
  const perform: Perform<never> = (requests) =>
    Effect.sync(() => {
      asked.push(...requests.map(({ id }) => id))
      return requests.map(answer)
    })
  return { asked, perform }
}

const itemsOf = (requests: ReadonlyArray<StoredRequest>): ReadonlyArray<WorkItem> =>
  requests.map(({ id, version }) => ({ requestId: id, version }))

const hint = Effect.fnUntraced(function* (reached: Milestone, items: ReadonlyArray<WorkItem>, deadlineMs?: number) {
  const bus = yield* Bus
  for (const { body, messageId } of packWork(items, deadlineMs === undefined ? {} : { deadlineMs })) {
    yield* bus.publish(workSubject(reached), body, messageId)
  }
})

const later = new LedgerUnavailable({ doing: "load requests", cause: "cut off" })

class Refusal extends Data.TaggedError("Refusal")<{ readonly fate: Fate; readonly reason: string }> {}

describe("a step actor", () => {
  test("answers each request to the coordinator of its partition, and partitions do not share messages", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = [...(yield* bornRequests(2, { partition: 1 })), ...(yield* bornRequests(2, { partition: 5 }))]
        const outcomes = yield* hearOutcomes
        yield* stepActor("detected", 1, noting().perform)
        yield* hint("detected", itemsOf(requests))
        yield* until("both partitions have heard", Effect.sync(() => outcomes.messages.length === 2))
        for (const { partition, items } of outcomes.messages) {
          const mine = requests.filter((request) => request.partition === partition)
          expect(items.map(({ requestId }) => requestId).toSorted()).toEqual(mine.map(({ id }) => id).toSorted())
          for (const item of items) expect(item).toMatchObject({ version: 1, reached: "detected", outcome: { type: "acl-checked" } })
        }
      })
    ))

  test("drops hints that are stale, early, about another state, or about nobody", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [current] = yield* bornRequests(1)
        const [ahead] = yield* brought(yield* bornRequests(1), "acl-checked")
        const { asked, perform } = noting()
        yield* stepActor("detected", 1, perform)
        yield* hint("detected", [
          { requestId: ahead!.id, version: 1 },
          { requestId: ahead!.id, version: ahead!.version },
          { requestId: random32(), version: 1 }
        ])
        yield* hint("detected", [{ requestId: current!.id, version: 2 }])
        yield* hint("detected", itemsOf([current!]))
        yield* until("the current one was worked on", Effect.sync(() => asked.length > 0))
        expect(asked).toEqual([current!.id])
      })
    ))

  test("says nothing about a request that it has nothing to say about", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const requests = yield* bornRequests(2)
        const outcomes = yield* hearOutcomes
        yield* stepActor("detected", 1, noting(({ id }) => (id === requests[0]!.id ? null : fact())).perform)
        yield* hint("detected", itemsOf(requests))
        yield* until("the other one is answered", Effect.sync(() => outcomes.of(requests[1]!.id).length === 1))
        expect(outcomes.of(requests[0]!.id)).toEqual([])
        expect(telemetry.steps.map(({ outcome }) => outcome).toSorted()).toEqual(["acl-checked", "waiting"])
      })
    ))

  test("parks what it cannot read, counts it, and works on", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const bus = yield* Bus
        const parked = yield* ParkedMessages
        const { asked, perform } = noting()
        yield* stepActor("detected", 1, perform)
        const outcome = { requestId: request!.id, version: 1, reached: "detected", outcome: fact() } as const
        yield* bus.publish(workSubject("detected"), Buffer.from("{"), "1")
        yield* bus.publish(workSubject("detected"), encodeEnvelope({ v: 1, kind: "outcomes", items: [outcome] }), "2")
        yield* hint("detected", itemsOf([request!]))
        yield* until("the good one was worked on", Effect.sync(() => asked.length === 1))
        expect(yield* parked.count).toBe(2)
        expect(telemetry.counted("messages_parked")).toBe(2)
      })
    ))

  test("gives the hint back when the ledger is away, and does the work once it is there again", () =>
    inActorWorld(world, () => {
      let failures = 2
      return Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const outcomes = yield* hearOutcomes
        const { asked, perform } = noting()
        yield* stepActor("detected", 1, perform).pipe(
          withOver(RequestLedger, (real) => ({
            load: (ids) => Effect.suspend(() => (failures-- > 0 ? Effect.fail(later) : real.load(ids)))
          }))
        )
        yield* hint("detected", itemsOf([request!]))
        yield* until("it is answered", Effect.sync(() => outcomes.of(request!.id).length === 1))
        expect(asked).toHaveLength(1)
        expect(failures).toBeLessThan(0)
      })
    }))

  test("calls no hint poison because the ledger is away for long: it lets it go, and the sweeper gives the work out again", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        let handle: (delivery: Delivery) => Effect.Effect<Verdict> = () => Effect.die("nobody consumes")
        const consume: Bus["Service"]["consume"] = (_subject, _options, handler) => Effect.sync(() => void (handle = handler))
        yield* stepActor("detected", 1, noting().perform).pipe(
          withOver(Bus, () => ({ consume })),
          withOver(RequestLedger, () => ({ load: () => Effect.fail(later) }))
        )
        const subject = workSubject("detected")
        const [packed] = packWork(itemsOf([request!]))
        const verdicts = yield* Effect.forEach([1, 2, DELIVERIES_MAX], (deliveries) => handle({ subject, body: packed!.body, deliveries }))
        expect(verdicts).toEqual([{ type: "nak", delayMs: 200 }, { type: "nak", delayMs: 400 }, { type: "ack" }])
      })
    ))

  test("takes a hint that is late only where a result may already be on its way", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const pastMs = (yield* Clock.currentTimeMillis) - 1_000
        const [early, collected] = [yield* bornRequests(1), yield* brought(yield* bornRequests(1), "shares-collected")]
        const [verified, submitted] = [
          yield* brought(yield* bornRequests(1), "threshold-verified"),
          yield* brought(yield* bornRequests(1), "submitted")
        ]
        const { asked, perform } = noting(() => null)
        for (const reached of ["detected", "shares-collected", "threshold-verified", "submitted"] as const) {
          yield* stepActor(reached, 1, perform)
        }
        yield* hint("detected", itemsOf(early), pastMs)
        yield* hint("shares-collected", itemsOf(collected), pastMs)
        yield* hint("threshold-verified", itemsOf(verified), pastMs)
        yield* hint("submitted", itemsOf(submitted), pastMs)
        yield* until("both that matter were worked on", Effect.sync(() => asked.length === 2))
        expect(asked.toSorted()).toEqual([verified[0]!.id, submitted[0]!.id].toSorted())
      })
    ))

  test("halts the request whose step dies, tells where, and spares its neighbours", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* bornRequests(3)
        const outcomes = yield* hearOutcomes
        const bad = requests[1]!.id
        const step = ({ id }: StoredRequest) =>
          id === bad ? Effect.sync((): StepOutcome => { throw new RangeError("0xsecret") }) : Effect.sync(fact)
        yield* stepActor("detected", 1, (all) => Effect.forEach(all, (request) => settle(step(request))))
        yield* hint("detected", itemsOf(requests))
        yield* until("all are answered", Effect.sync(() => requests.every(({ id }) => outcomes.of(id).length === 1)))
        expect(outcomes.of(requests[0]!.id)[0]).toMatchObject({ type: "acl-checked" })
        expect(outcomes.of(requests[2]!.id)[0]).toMatchObject({ type: "acl-checked" })
        expect(outcomes.of(bad)[0]).toMatchObject({ type: "halted", reason: "defect" })
        expect(JSON.stringify(outcomes.of(bad))).not.toContain("secret")
      })
    ))

  test("postpones after a failure that may pass, and never makes a no of one", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* bornRequests(3)
        const outcomes = yield* hearOutcomes
        const fates: ReadonlyArray<Fate> = ["retry", "refuse", "halt"]
        const fateOf = new Map(requests.map(({ id }, index) => [id, fates[index]!]))
        yield* stepActor("detected", 1, (all) =>
          Effect.forEach(all, ({ id }) => settle(Effect.fail(new Refusal({ fate: fateOf.get(id)!, reason: "no answer" }))))
        )
        yield* hint("detected", itemsOf(requests))
        yield* until("all are answered", Effect.sync(() => requests.every(({ id }) => outcomes.of(id).length === 1)))
        expect(outcomes.of(requests[0]!.id)[0]).toMatchObject({ type: "postponed", reason: "Refusal: no answer" })
        expect(outcomes.of(requests[1]!.id)[0]).toMatchObject({ type: "halted", reason: "Refusal" })
        expect(outcomes.of(requests[2]!.id)[0]).toMatchObject({ type: "halted", reason: "Refusal" })
      })
    ))
})
