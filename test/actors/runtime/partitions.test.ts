/** Who may write to a partition: one process at a time by the ledger's epoch, and nobody who cannot be sure of its lease any
 * more. */
import { Clock, Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { coordinator, type Coordinator } from "../../../actors/coordinator.actor.ts"
import { followPartitions } from "../../../actors/runtime/follow-partitions.ts"
import { ownPartitions, partitionLease } from "../../../actors/runtime/partitions.ts"
import { outcomeSubject } from "../../../src/domain/journey.ts"
import { LEASE_MS, PARTITIONS } from "../../../src/domain/limits.ts"
import type { StepOutcome } from "../../../src/domain/outcome.ts"
import { Leases } from "../../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { Bus } from "../../../src/messaging/bus.port.ts"
import { packOutcomes } from "../../../src/messaging/pack.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { type Below, bornRequests, facts, inActorWorld, leaveNothingToSweep, reload, until, withOver } from "../support/actor-world.ts"
import { movedClock } from "../support/moved-clock.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
beforeEach(() => leaveNothingToSweep(world))
afterAll(() => world.close())

const ask = (text: string, values: ReadonlyArray<unknown> = []) => Effect.promise(() => world.query(text, values))
const expireAll = ask("UPDATE lease SET until = now() - interval '1 millisecond'")
const holders = Effect.map(Leases.use((leases) => leases.holders), (all) => [...new Set(all.map(({ owner }) => owner))].toSorted())
const everything = Array.from({ length: PARTITIONS }, (_, partition) => partition)

/** Claims once and then hears nothing from the database any more, without an error: a half-open connection, or a process that
 * is paused. */
const cutOffAfterFirstClaim = () => {
  let claims = 0
  return withOver(Leases, (real) => ({ claim: (...all) => (claims++ === 0 ? real.claim(...all) : Effect.never) }))
}

/** A process of its own scope, so that it can be ended alone. */
const started = Effect.fnUntraced(function* <A, E>(program: Effect.Effect<A, E, Below | Scope.Scope>) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const value = yield* Scope.provide(program, scope)
  return { value, end: Scope.close(scope, Exit.void) }
})

const deciding = (worker: string) => Effect.flatMap(ownPartitions(worker), (partitions) => coordinator(worker, partitions))

const tellChecked = ({ tell }: Coordinator, { id, version }: StoredRequest) =>
  tell([{ requestId: id, version, event: facts["acl-checked"]() }])

describe("owning partitions", () => {
  test("a second process owns nothing while the first one lives, and everything once it has gone", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const first = yield* started(ownPartitions("first"))
        expect(first.value.owned()).toEqual(everything)
        const second = yield* started(ownPartitions("second"))
        expect(second.value.owned()).toEqual([])
        expect(second.value.epochOf(0)).toBeUndefined()
        yield* first.end
        expect(yield* holders).toEqual([])
        yield* until("the second has taken over", Effect.sync(() => second.value.owned().length === PARTITIONS))
        expect(second.value.epochOf(0)).not.toBe(first.value.epochOf(0))
      })
    ))

  test("a holder that hears nothing more stops trusting its leases a second before the database would give them away", () =>
    inActorWorld(world, () => {
      const moved = movedClock()
      return Effect.gen(function* () {
        const beforeMs = performance.now()
        const { value: owned } = yield* started(ownPartitions("frozen").pipe(cutOffAfterFirstClaim()))
        moved.forward(LEASE_MS - 1_100 - Math.ceil(performance.now() - beforeMs))
        expect(owned.owned()).toEqual(everything)
        moved.forward(110 + Math.ceil(performance.now() - beforeMs))
        expect(owned.owned()).toEqual([])
        expect(everything.map(owned.epochOf)).toEqual(everything.map(() => undefined))
        const remaining = yield* Leases.use((leases) => leases.holders)
        for (const { owner, remainingMs } of remaining) {
          expect(owner).toBe("frozen")
          expect(remainingMs).toBeGreaterThan(0)
        }
        expect(remaining).toHaveLength(PARTITIONS)
      }).pipe(Effect.provideService(Clock.Clock, moved.clock))
    }))

  test("a holder that slept through its lease writes nothing, and its successor does", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request, other] = yield* bornRequests(2)
        const zombie = yield* started(deciding("zombie").pipe(cutOffAfterFirstClaim()))
        yield* expireAll
        const successor = yield* started(deciding("successor"))
        expect(zombie.value.partitions.owned()).toEqual(everything) // it does not know better
        expect(successor.value.partitions.owned()).toEqual(everything)
        yield* tellChecked(zombie.value, request!)
        expect((yield* reload([request!]))[0]!.version).toBe(1)
        yield* tellChecked(successor.value, request!)
        yield* Effect.all([tellChecked(zombie.value, other!), tellChecked(successor.value, other!)], { concurrency: 2 })
        for (const { id } of [request!, other!]) {
          const history = yield* RequestLedger.use((ledger) => ledger.history(id))
          expect(history.map(({ worker }) => worker)).toEqual(["listener", "successor"])
        }
      })
    ))

  test("a few failed renewals lose nothing, and are said", () =>
    inActorWorld(world, (telemetry) => {
      let claims = 0
      const away = new LedgerUnavailable({ doing: "claim leases", cause: "cut off" })
      return Effect.gen(function* () {
        const { value: owned } = yield* started(
          ownPartitions("patient").pipe(
            withOver(Leases, (real) => ({
              claim: (...all) => Effect.suspend(() => (claims++ === 1 ? Effect.fail(away) : real.claim(...all)))
            }))
          )
        )
        const epoch = owned.epochOf(0)
        yield* until("it has failed and renewed again", Effect.sync(() => claims >= 3), 20_000)
        yield* until("it is told", Effect.sync(() => telemetry.warnings.length === 1))
        expect(owned.owned()).toEqual(everything)
        expect(owned.epochOf(0)).toBe(epoch)
      })
    }))

  test("resigning does not wait for a database that does not answer", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const { end } = yield* started(ownPartitions("hasty").pipe(withOver(Leases, () => ({ resign: () => Effect.never }))))
        const beforeMs = performance.now()
        yield* end
        expect(performance.now() - beforeMs).toBeLessThan(5_000)
        yield* expireAll
      })
    ))
})

describe("following partitions", () => {
  test("hears the outcomes of a partition as long as it is ours, and no longer", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1, { partition: 2 })
        const own = new Set([2])
        const heardBy: Array<"here" | "elsewhere"> = []
        const tell: Coordinator["tell"] = () => Effect.sync(() => void heardBy.push("here"))
        yield* followPartitions({ partitions: { owned: () => [...own], epochOf: () => 1n }, tell })
        const bus = yield* Bus
        const [message] = packOutcomes([
          { requestId: request!.id, version: 1, reached: "detected", outcome: facts["acl-checked"]() as StepOutcome }
        ])
        const say = Effect.gen(function* () {
          const before = heardBy.length
          yield* bus.publish(outcomeSubject(2), message!.body, message!.messageId)
          yield* until("somebody hears it", Effect.sync(() => heardBy.length > before))
        })
        yield* say
        expect(heardBy).toEqual(["here"])

        own.clear()
        yield* bus.consume(outcomeSubject(2), { concurrency: 1 }, () =>
          Effect.sync(() => (heardBy.push("elsewhere"), { type: "ack" } as const))
        )
        const lastSix = Effect.sync(() => heardBy.slice(-6).every((who) => who === "elsewhere") && heardBy.length > 6)
        yield* until("only its new owner hears it", Effect.andThen(say, lastSix))

        own.add(2)
        yield* until("it is heard here again", Effect.andThen(say, Effect.sync(() => heardBy.at(-1) === "here")))
      })
    ))

  test("names leases by partition, so that every process means the same", () => {
    expect(partitionLease(3)).toBe("partition/3")
  })
})
