/** Who may write to a partition: one process at a time by the ledger's epoch, and nobody who cannot be sure of its lease any
 * more. */
import { Clock, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { coordinator, type Coordinator } from "../../../actors/coordinator.actor.ts"
import { followPartitions } from "../../../actors/runtime/follow-partitions.ts"
import { coordinatorMember, type OwnedPartitions, ownPartitions, partitionLease } from "../../../actors/runtime/partitions.ts"
import { fiberLeaseKeeper } from "../../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { outcomeSubject } from "../../../src/domain/journey.ts"
import { LEASE_MS, PARTITIONS } from "../../../src/domain/limits.ts"
import type { StepOutcome } from "../../../src/domain/outcome.ts"
import { Leases } from "../../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { Bus, BusUnavailable } from "../../../src/messaging/bus.port.ts"
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

/** Claims, and then hears nothing from the database any more, without an error: a half-open connection, or a process that is paused. */
const cutOffOnceItOwns = () => {
  let isCutOff = false
  const unlessCutOff = <A, E>(ask: Effect.Effect<A, E>) => Effect.suspend(() => (isCutOff ? Effect.never : ask))
  return {
    cut: () => (isCutOff = true),
    over: withOver(Leases, (real) => ({
      claim: (...all) => unlessCutOff(real.claim(...all)),
      renew: (...all) => unlessCutOff(real.renew(...all)),
      holders: unlessCutOff(real.holders)
    }))
  }
}

/** A process of its own scope, so that it can be ended alone. */
const started = Effect.fnUntraced(function* <A, E>(
  program: Effect.Effect<A, E, Below | Scope.Scope>,
  over: <B, F, R>(of: Effect.Effect<B, F, R>) => Effect.Effect<B, F, R | Leases> = (of) => of
) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.build(fiberLeaseKeeper({ onFailure: (tag) => void failures.push(tag) })).pipe(over, Scope.provide(scope))
  const value = yield* program.pipe(Effect.provide(context), over, Scope.provide(scope))
  return { value, end: Scope.close(scope, Exit.void) }
})

/** Of keepers, by the errors' kinds. */
const failures: Array<string> = []

const deciding = (worker: string) => Effect.flatMap(ownPartitions(worker), (partitions) => coordinator(worker, partitions))

const tellChecked = ({ tell }: Coordinator, { id, version }: StoredRequest) =>
  tell([{ requestId: id, version, event: facts["acl-checked"]() }])

const partitionsOf = (owner: string) =>
  Effect.map(Leases.use((leases) => leases.holders), (all) =>
    all.filter((lease) => lease.owner === owner && lease.name.startsWith("partition/")).map(({ name }) => Number(name.split("/")[1]))
  )
const ownedBy = ({ value }: { readonly value: OwnedPartitions }) => value.owned().toSorted((a, b) => a - b)
const fair = (...processes: ReadonlyArray<{ readonly value: OwnedPartitions }>) =>
  Effect.sync(() => {
    const sizes = processes.map((process) => process.value.owned().length)
    return sizes.reduce((sum, size) => sum + size, 0) === PARTITIONS && Math.max(...sizes) - Math.min(...sizes) <= 1
  })

describe("owning partitions", () => {
  test("who is alone owns everything; one who joins gets its half, of those that were given up, and nothing else moves", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const first = yield* started(ownPartitions("first"))
        expect(ownedBy(first)).toEqual(everything)
        const epochs = everything.map(first.value.epochOf)
        const second = yield* started(ownPartitions("second"))
        yield* until("the two share", fair(first, second))
        expect([...ownedBy(first), ...ownedBy(second)].toSorted((a, b) => a - b)).toEqual(everything)
        for (const partition of ownedBy(first)) expect(first.value.epochOf(partition)).toBe(epochs[partition])
        for (const partition of ownedBy(second)) expect(second.value.epochOf(partition)).toBe(epochs[partition]! + 1n)
        expect(yield* partitionsOf("second")).toHaveLength(ownedBy(second).length)

        const kept = ownedBy(second)
        yield* first.end
        expect(yield* holders).toEqual(["second"])
        yield* until("the second has all", fair(second))
        for (const partition of kept) expect(second.value.epochOf(partition)).toBe(epochs[partition]! + 1n)
        yield* second.end
        expect(yield* holders).toEqual([])
      })
    ))

  test("takes over from one that died once its leases have run out, membership included", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        yield* Leases.use((leases) => leases.claim([coordinatorMember("dead"), ...everything.slice(0, 5).map(partitionLease)], "dead", 60_000))
        const survivor = yield* started(ownPartitions("survivor"))
        expect(ownedBy(survivor)).toHaveLength(Math.min(PARTITIONS / 2, PARTITIONS - 5))
        expect(everything.slice(0, 5).map(survivor.value.epochOf)).toEqual(Array.from({ length: 5 }))
        yield* ask("UPDATE lease SET until = now() WHERE owner = 'dead'")
        yield* until("the survivor has all", fair(survivor))
      })
    ))

  test("leaves everything to a build whose machines are newer, and takes it back when that one has gone", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const old = yield* started(ownPartitions("old", 1))
        const newer = yield* started(ownPartitions("newer", 2))
        yield* until("the newer has all", fair(newer))
        expect(ownedBy(old)).toEqual([])
        yield* newer.end
        yield* until("the old has all", fair(old))
      })
    ))

  test("finishes what is under way for a partition before it gives it back, and does not wait for ever", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const first = yield* started(ownPartitions("first"))
        const asked: Array<number> = []
        const finished = Deferred.makeUnsafe<void>()
        first.value.beforeGivingBack((partition) =>
          Effect.andThen(Effect.sync(() => asked.push(partition)), partition === PARTITIONS - 1 ? Effect.never : Deferred.await(finished))
        )
        const second = yield* started(ownPartitions("second"))
        yield* until("the first is asked to finish", Effect.sync(() => asked.length === PARTITIONS / 2))
        const leaving = asked.toSorted((a, b) => a - b)
        expect(ownedBy(first)).toEqual(everything.filter((partition) => !leaving.includes(partition)))
        expect(leaving.map(first.value.epochOf).every((epoch) => epoch !== undefined)).toBe(true) // it may still decide for them
        expect(ownedBy(second)).toEqual([])
        Deferred.doneUnsafe(finished, Effect.void)
        yield* until("those that are finished move", Effect.sync(() => ownedBy(second).length === PARTITIONS / 2 - 1))
        expect(first.value.epochOf(PARTITIONS - 1)).toBeDefined()
        yield* until("the one that does not finish moves as well", fair(first, second), 15_000)
      })
    ))

  test("does not claim again what it is giving back, however long the ledger takes to hear of it", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const told = Deferred.makeUnsafe<void>()
        const claimed: Array<string> = []
        const resigning: Array<string> = []
        let looks = 0
        const slowly = withOver(Leases, (real) => ({
          claim: (names, ...rest) => Effect.andThen(Effect.sync(() => claimed.push(...names)), real.claim(names, ...rest)),
          resign: (leases, ...rest) =>
            Effect.andThen(
              Effect.sync(() => resigning.push(...leases.map(({ name }) => name))),
              Effect.andThen(Deferred.await(told), real.resign(leases, ...rest))
            ),
          holders: Effect.tap(real.holders, () => Effect.sync(() => (looks += 1)))
        }))
        yield* started(ownPartitions("first"), slowly)
        const second = yield* started(ownPartitions("second"))
        yield* until("the first gives half of them back", Effect.sync(() => resigning.length === PARTITIONS / 2))
        claimed.length = 0
        looks = 0
        yield* until("it has looked around since", Effect.sync(() => looks > 2))
        expect(claimed.filter((name) => resigning.includes(name))).toEqual([])
        Deferred.doneUnsafe(told, Effect.void)
        yield* until("the second has its half", Effect.sync(() => ownedBy(second).length === PARTITIONS / 2))
      })
    ))

  test("a holder that hears nothing more stops trusting its leases a second before the database would give them away", () =>
    inActorWorld(world, () => {
      const moved = movedClock()
      return Effect.gen(function* () {
        const cable = cutOffOnceItOwns()
        const beforeMs = performance.now()
        const { value: owned } = yield* started(ownPartitions("frozen"), cable.over)
        cable.cut()
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
        expect(remaining).toHaveLength(PARTITIONS + 1)
      }).pipe(Effect.provideService(Clock.Clock, moved.clock))
    }))

  test("a holder that slept through its lease writes nothing, and its successor does", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request, other] = yield* bornRequests(2)
        const cable = cutOffOnceItOwns()
        const zombie = yield* started(deciding("zombie"), cable.over)
        cable.cut()
        yield* expireAll
        const successor = yield* started(deciding("successor"))
        expect(zombie.value.partitions.owned()).toEqual(everything) // it does not know better
        expect(successor.value.partitions.owned()).toEqual(everything)
        expect(yield* Effect.flip(tellChecked(zombie.value, request!))).toMatchObject({ _tag: "PartitionNotOurs" })
        expect((yield* reload([request!]))[0]!.version).toBe(1)
        yield* tellChecked(successor.value, request!)
        yield* Effect.all([Effect.ignore(tellChecked(zombie.value, other!)), tellChecked(successor.value, other!)], { concurrency: 2 })
        for (const { id } of [request!, other!]) {
          const history = yield* RequestLedger.use((ledger) => ledger.history(id))
          expect(history.map(({ worker }) => worker)).toEqual(["listener", "successor"])
        }
      })
    ))

  test("a few failed renewals and looks lose nothing, and are said", () =>
    inActorWorld(world, (telemetry) => {
      let [looks, renewals] = [0, 0]
      const away = new LedgerUnavailable({ doing: "claim leases", cause: "cut off" })
      failures.length = 0
      return Effect.gen(function* () {
        const { value: owned } = yield* started(
          ownPartitions("patient"),
          withOver(Leases, (real) => ({
            renew: (...all) => Effect.suspend(() => (renewals++ === 0 ? Effect.fail(away) : real.renew(...all))),
            holders: Effect.suspend(() => (looks++ === 1 ? Effect.fail(away) : real.holders))
          }))
        )
        const epoch = owned.epochOf(0)
        yield* until("it has failed and renewed again", Effect.sync(() => renewals >= 2 && looks >= 3), 20_000)
        expect(telemetry.warnings).toEqual([{ what: "partitions not balanced", data: { error: "LedgerUnavailable" } }])
        expect(failures).toEqual(["LedgerUnavailable"])
        expect(owned.owned()).toEqual(everything)
        expect(owned.epochOf(0)).toBe(epoch)
      })
    }))

  test("resigning does not wait for a database that does not answer", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const { end } = yield* started(ownPartitions("hasty"), withOver(Leases, () => ({ resign: () => Effect.never })))
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
        yield* followPartitions({ partitions: { owned: () => [...own], epochOf: () => 1n, beforeGivingBack: () => undefined }, tell })
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

  test("goes on hearing a partition however often the bus refuses, and says so", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        let refusals = 3
        let hears = false
        const refused = new BusUnavailable({ doing: "consume", cause: "not now" })
        yield* followPartitions({ partitions: { owned: () => [2], epochOf: () => 1n, beforeGivingBack: () => undefined }, tell: () => Effect.void }).pipe(
          withOver(Bus, () => ({
            consume: () => Effect.suspend(() => (refusals-- > 0 ? Effect.fail(refused) : Effect.sync(() => void (hears = true))))
          }))
        )
        yield* until("it hears", Effect.sync(() => hears))
        expect(telemetry.counted("actor_restarts")).toBe(3)
        expect(telemetry.warnings[0]).toEqual({ what: "an actor starts again", data: { actor: "outcomes", error: "BusUnavailable" } })
      })
    ))

  test("names leases by partition, so that every process means the same", () => {
    expect(partitionLease(3)).toBe("partition/3")
  })
})
