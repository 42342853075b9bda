/** Whatever was lost on the way is noticed in the ledger and sent out again; what nobody can help any more is ended, and
 * nothing else is. */
import { Clock, Effect } from "effect"
import assert from "node:assert/strict"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { coordinator } from "../../actors/coordinator.actor.ts"
import { dispatch } from "../../actors/runtime/dispatch.ts"
import { ownPartitions } from "../../actors/runtime/partitions.ts"
import { makePauses, Pauses } from "../../actors/runtime/pauses.ts"
import { sweeper } from "../../actors/sweeper.actor.ts"
import { MACHINE_VERSION } from "../../machines/decide.ts"
import { workSubject } from "../../src/domain/journey.ts"
import { CLAIMS_MAX } from "../../src/domain/limits.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { Change } from "../../src/ledger/stored-request.ts"
import { Bus, BusUnavailable } from "../../src/messaging/bus.port.ts"
import { type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { movedClock } from "./support/moved-clock.ts"
import { bornRequests, brought, facts, leaveNothingToSweep, hearWork, inActorWorld, reload, until, withOver } from "./support/actor-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
beforeEach(() => leaveNothingToSweep(world))
afterAll(() => world.close())

const bytea = (id: RequestId): Buffer => Buffer.from(id.slice(2), "hex")
const ask = (text: string, values: ReadonlyArray<unknown> = []) => Effect.promise(() => world.query(text, values))

const settleAll = ask("DELETE FROM outbox")
const makeOverdue = (id: RequestId, claims = 0) =>
  ask("UPDATE wake SET due = now() - interval '1 second', claims = $2 WHERE request_id = $1", [bytea(id), claims])
const passDeadline = (id: RequestId) =>
  ask("UPDATE wake SET deadline = extract(epoch FROM now())::bigint - 5, due = now() WHERE request_id = $1", [bytea(id)])
const ageOutbox = ask("UPDATE outbox SET written_at = now() - interval '3 seconds'")
const outboxOf = Effect.fnUntraced(function* (id: RequestId) {
  const rows = yield* ask("SELECT reached FROM outbox WHERE request_id = $1 ORDER BY outbox_id", [bytea(id)])
  return rows.map((row) => row["reached"])
})
const signalsLeft = Effect.map(ask("SELECT count(*)::int AS n FROM signal"), ([row]) => row?.["n"] as number)
const stateOf = (id: RequestId) => Effect.map(reload([{ id }]), ([request]) => request!.state)

/** A whole coordinator with its sweeper, owning everything. */
const sweeping = Effect.gen(function* () {
  const decides = yield* coordinator("sweeping", yield* ownPartitions("sweeping"))
  yield* sweeper(decides)
  return decides
})

const noBus = new BusUnavailable({ doing: "publish", cause: "cut off" })

describe("the sweeper", () => {
  test("sends work again whose message or worker was lost, and counts it", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [lost, current] = yield* bornRequests(2)
        yield* settleAll
        yield* makeOverdue(lost!.id)
        const work = yield* hearWork("detected")
        yield* sweeping
        yield* until("the lost work is there", Effect.sync(() => work.items().length > 0))
        expect(work.items()).toEqual([{ requestId: lost!.id, version: 1 }])
        expect(telemetry.counted("work_resent")).toBe(1)
        expect(yield* stateOf(current!.id)).toBe("detected")
      })
    ))

  test("leaves postponed work alone until its time has come", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [waiting, overdue] = yield* bornRequests(2)
        yield* settleAll
        const work = yield* hearWork("detected")
        const decides = yield* coordinator("sweeping", yield* ownPartitions("sweeping"))
        yield* makeOverdue(waiting!.id, 7)
        yield* decides.tell([
          { requestId: waiting!.id, version: 1, event: { type: "postponed", reason: "not final yet", retryAfterMs: 60_000 } }
        ])
        yield* makeOverdue(overdue!.id)
        yield* sweeper(decides)
        yield* until("the other one was swept", Effect.sync(() => work.items().length > 0))
        expect(work.items().map(({ requestId }) => requestId)).toEqual([overdue!.id])
        const [row] = yield* ask("SELECT claims, reason FROM wake WHERE request_id = $1", [bytea(waiting!.id)])
        expect(row).toEqual({ claims: 0, reason: "not final yet" })
        yield* makeOverdue(waiting!.id)
        yield* until("its time has come", Effect.sync(() => work.items().some(({ requestId }) => requestId === waiting!.id)))
      })
    ))

  test("neither claims nor gives out what is paused, ends it all the same past its deadline, and gives it out once it is resumed", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const pauses = makePauses()
        pauses.set(["step:acl-checked"])
        const [paused, late, other] = [...(yield* bornRequests(2)), ...(yield* brought(yield* bornRequests(1), "acl-checked"))]
        yield* settleAll
        yield* makeOverdue(paused!.id, CLAIMS_MAX)
        yield* ask("UPDATE wake SET due = now() - interval '1 hour' WHERE request_id = $1", [bytea(paused!.id)])
        yield* makeOverdue(other!.id)
        yield* passDeadline(late!.id)
        const work = yield* hearWork("detected", "acl-checked")
        yield* sweeping.pipe(Effect.provideService(Pauses, pauses.view))
        yield* until("the other step's work is given out", Effect.sync(() => work.items().length === 1))
        expect(work.items().map(({ requestId }) => requestId)).toEqual([other!.id])
        yield* until("the late one has ended", Effect.map(stateOf(late!.id), (state) => state === "expired"))
        const [row] = yield* ask("SELECT claims FROM wake WHERE request_id = $1", [bytea(paused!.id)])
        expect(row?.["claims"]).toBe(CLAIMS_MAX)
        expect(yield* stateOf(paused!.id)).toBe("detected")
        // Nobody is paged for what somebody wants.
        yield* until("it is said how long it waits", Effect.sync(() => telemetry.gauged("paused_overdue_seconds").some((seconds) => seconds >= 3_600)))
        expect(Math.max(...telemetry.gauged("oldest_overdue_seconds"))).toBeLessThan(60)
        yield* makeOverdue(paused!.id)
        pauses.set([])
        yield* until("it is given out", Effect.sync(() => work.items().some(({ requestId }) => requestId === paused!.id)))
      })
    ))

  test("ends a request past its deadline as expired, with what it waited for last", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const { id: requestId } = request!
        yield* RequestLedger.use((ledger) => ledger.postpone([{ requestId, version: 1, afterMs: 60_000, reason: "no ciphertext" }]))
        yield* passDeadline(request!.id)
        yield* sweeping
        yield* until("it has ended", Effect.map(stateOf(request!.id), (state) => state === "expired"))
        const history = yield* RequestLedger.use((ledger) => ledger.history(request!.id))
        expect(history.at(-1)?.event).toEqual({ type: "expired", detail: "in detected; it was waiting because: no ciphertext" })
      })
    ))

  test("is not late by a clock that is ahead: the database says what time it is", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* settleAll
        yield* makeOverdue(request!.id)
        const ahead = movedClock()
        ahead.forward(48 * 3_600_000)
        yield* sweeping.pipe(Effect.provideService(Clock.Clock, ahead.clock))
        yield* until("it was given out again", Effect.sync(() => telemetry.counted("work_resent") > 0))
        expect(yield* stateOf(request!.id)).toBe("detected")
      })
    ))

  test("asks the chain about a verified result past its deadline, as often as it takes, without a word in its history", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* brought(yield* bornRequests(1), "threshold-verified")
        yield* passDeadline(request!.id)
        const work = yield* hearWork("threshold-verified")
        yield* sweeping
        yield* until("the chain is asked", Effect.sync(() => work.items().length === 1))
        yield* makeOverdue(request!.id, 1) // it could not be asked
        yield* until("it is asked again", Effect.sync(() => work.items().length === 2))
        const again = { requestId: request!.id, version: request!.version }
        expect(work.items()).toEqual([again, again])
        expect(yield* RequestLedger.use((ledger) => ledger.history(request!.id))).toHaveLength(request!.version)
      })
    ))

  test("does not care about the deadline of a result that is on chain", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* brought(yield* bornRequests(1), "submitted")
        yield* passDeadline(request!.id)
        const work = yield* hearWork("submitted")
        yield* sweeping
        yield* until("it is watched on", Effect.sync(() => work.items().length > 0))
        expect(yield* stateOf(request!.id)).toBe("submitted")
      })
    ))

  test("halts work that was given out too often without any answer, and not before", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [poisoned, unlucky] = yield* bornRequests(2)
        yield* makeOverdue(poisoned!.id, CLAIMS_MAX)
        yield* makeOverdue(unlucky!.id, CLAIMS_MAX - 1)
        yield* sweeping
        yield* until("it has ended", Effect.map(stateOf(poisoned!.id), (state) => state === "halted"))
        expect(yield* stateOf(unlucky!.id)).toBe("detected")
        const history = yield* RequestLedger.use((ledger) => ledger.history(poisoned!.id))
        expect(history.at(-1)?.event).toMatchObject({ type: "halted", reason: "poisoned" })
      })
    ))

  test("leaves requests of a newer build alone, never takes one for poisoned, and says that they wait", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [newer] = yield* bornRequests(1, { machineVersion: MACHINE_VERSION + 1 })
        const [ours] = yield* bornRequests(1)
        yield* makeOverdue(newer!.id, CLAIMS_MAX)
        yield* makeOverdue(ours!.id, CLAIMS_MAX)
        yield* sweeping
        yield* until("what is ours has ended", Effect.map(stateOf(ours!.id), (state) => state === "halted"))
        expect(yield* stateOf(newer!.id)).toBe("detected")
        const [wake] = yield* ask("SELECT claims FROM wake WHERE request_id = $1", [bytea(newer!.id)])
        expect(wake?.["claims"]).toBe(CLAIMS_MAX)
        yield* until("it is said", Effect.sync(() => telemetry.warnings.length > 0))
        expect(telemetry.warnings).toEqual([
          { what: "requests wait for a newer build than this", data: { requests: 1, machineVersion: MACHINE_VERSION } }
        ])
      })
    ))

  test("never takes a result for poisoned that waits for the chain, however long that takes", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [verified] = yield* brought(yield* bornRequests(1), "threshold-verified")
        const [submitted] = yield* brought(yield* bornRequests(1), "submitted")
        const work = yield* hearWork("threshold-verified", "submitted")
        yield* makeOverdue(verified!.id, CLAIMS_MAX * 2)
        yield* makeOverdue(submitted!.id, CLAIMS_MAX * 2)
        yield* sweeping
        yield* until("both are given out again", Effect.sync(() => work.items().length === 2))
        expect(yield* stateOf(verified!.id)).toBe("threshold-verified")
        expect(yield* stateOf(submitted!.id)).toBe("submitted")
      })
    ))

  test("counts nothing against a request while the bus cannot give work out, and goes on when it can", () =>
    inActorWorld(world, () => {
      let isDown = true
      let tries = 0
      const whenUp = <A>(up: Effect.Effect<A, BusUnavailable>) => Effect.suspend(() => (isDown ? (tries++, Effect.fail(noBus)) : up))
      return Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* settleAll
        yield* makeOverdue(request!.id, CLAIMS_MAX)
        const work = yield* hearWork("detected")
        yield* sweeping.pipe(
          withOver(Bus, (real) => ({ publish: (...message) => whenUp(real.publish(...message)), ping: whenUp(real.ping) }))
        )
        yield* until("two sweeps have passed", Effect.sync(() => tries >= 2))
        expect(yield* stateOf(request!.id)).toBe("detected")
        const [row] = yield* ask("SELECT claims FROM wake WHERE request_id = $1", [bytea(request!.id)])
        expect(row?.["claims"]).toBe(CLAIMS_MAX)
        yield* makeOverdue(request!.id)
        isDown = false
        yield* until("the work is given out", Effect.sync(() => work.items().length > 0))
      })
    }))

  test("pays messages that have been owed for two seconds, and leaves younger ones to their dispatcher", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [old] = yield* bornRequests(1)
        yield* ageOutbox
        const [young] = yield* bornRequests(1)
        const work = yield* hearWork("detected")
        yield* sweeping
        yield* until("the old one is paid", Effect.map(outboxOf(old!.id), ({ length }) => length === 0))
        expect(work.items()).toEqual([{ requestId: old!.id, version: 1 }])
        expect(yield* outboxOf(young!.id)).toEqual(["detected"])
      })
    ))

  test("tells a signal once, and lets it go when the decision is saved", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* RequestLedger.use((ledger) => ledger.signal(request!.id, { type: "cancelled", by: "an operator", why: "a test" }))
        yield* sweeping
        yield* until("it is cancelled", Effect.map(stateOf(request!.id), (state) => state === "cancelled"))
        expect(yield* signalsLeft).toBe(0)
        expect(yield* RequestLedger.use((ledger) => ledger.history(request!.id))).toHaveLength(2)
      })
    ))

  test("drops a signal that concerns nobody any more", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const block = { blockNumber: request!.anchor.blockNumber, blockHash: random32() }
        yield* RequestLedger.use((ledger) => ledger.signal(request!.id, { type: "orphaned", block }))
        yield* sweeping
        yield* until("it is dropped", Effect.map(signalsLeft, (left) => left === 0))
        expect(yield* RequestLedger.use((ledger) => ledger.history(request!.id))).toHaveLength(1)
      })
    ))
})

describe("dispatch", () => {
  const owed = (requestId: RequestId, deadline: number) =>
    ({ requestId, version: 1, reached: "detected", outboxId: null, deadline, claim: 0 }) as const

  test("settles what the bus has confirmed, and only that, also when several messages about one request are owed", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const partitions = yield* ownPartitions("deciding")
        const owing = (change: Change): Change => {
          const owed = { ...change }
          Reflect.deleteProperty(owed, "isGivenOutAtOnce")
          return owed
        }
        const admitsNobody = (real: RequestLedger["Service"]) => ({
          save: (changes: ReadonlyArray<Change>, worker: string) => real.save(changes.map(owing), worker)
        })
        const decides = yield* coordinator("deciding", partitions).pipe(
          withOver(RequestLedger, (real) => ({ ...admitsNobody(real), settle: () => Effect.void })) // dies between publishing and settling
        )
        yield* decides.tell([{ requestId: request!.id, version: 1, event: facts["acl-checked"]() }])
        expect(yield* outboxOf(request!.id)).toEqual(["detected", "acl-checked"])
        yield* ageOutbox
        const rows = yield* RequestLedger.use((ledger) => ledger.owed([0], 0, 10))
        assert.equal(rows.length, 2)
        yield* dispatch(rows.map(({ id, ...work }) => ({ ...work, outboxId: id, claim: 0 }))).pipe(
          withOver(Bus, (real) => ({
            publish: (subject, ...rest) =>
              subject === workSubject("acl-checked") ? Effect.fail(noBus) : real.publish(subject, ...rest)
          }))
        )
        expect(yield* outboxOf(request!.id)).toEqual(["acl-checked"])
      })
    ))

  test("carries the latest deadline of all, and one trace for work about one request", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const work = yield* hearWork("detected")
        const ids = [random32(), random32()]
        yield* dispatch([owed(ids[0]!, 100), owed(ids[1]!, 200)])
        yield* dispatch([owed(ids[0]!, 100)])
        yield* dispatch([])
        yield* until("both are there", Effect.sync(() => work.envelopes.length === 2))
        expect(work.envelopes[0]).toMatchObject({ deadlineMs: 200_000 })
        expect(work.envelopes[0]?.traceparent).toBeUndefined()
        expect(work.envelopes[1]?.traceparent).toContain(ids[0]!.slice(2, 34))
      })
    ))

  test("gives out at most as many requests in one message as one attestation can carry", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const work = yield* hearWork("detected")
        const ids = Array.from({ length: 70 }, random32)
        yield* dispatch(ids.map((requestId) => owed(requestId, 100)))
        yield* until("all are there", Effect.sync(() => work.items().length === 70))
        expect(work.envelopes.map(({ items }) => items.length)).toEqual([32, 32, 6])
      })
    ))
})
