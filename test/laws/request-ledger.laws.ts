/** What every RequestLedger promises. Nothing here knows how it is stored, but for what `behind` looks at. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { SignalEvent } from "../../src/domain/outcome.ts"
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChange, anEnd, born, inOneHour, ownPartition, random32 } from "../support/ledger-world.ts"

let lastPartition = 1_000
/** Partitions are cheap: each law takes its own, so that it sees only its own requests. */
export const aPartition = (): number => (lastPartition += 1)

export const oneOf = <A>(items: ReadonlyArray<A>): A => {
  assert.equal(items.length, 1)
  return items[0]!
}

/** One newborn request and the lease of its partition. */
export const given = Effect.fnUntraced(function*(deadline = inOneHour()) {
  const partition = aPartition()
  const lease = yield* ownPartition(partition, "coordinator-1")
  const request = oneOf(yield* born(1, { partition, deadline }))
  return { partition, lease, request, ledger: yield* RequestLedger }
})

export const requestLedgerLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  /** What happens next has a later time than what happened before. */
  const aMoment = Effect.fnUntraced(function*() {
    const before = yield* world().nowMs
    yield* world().eventually("the clock moves on", Effect.map(world().nowMs, (nowMs) => nowMs > before + 1))
  })

  describe("saving a decision", () => {
    law("moves the request, keeps the transition, and owes the next message", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      const change = aChange(request, lease)
      const saved = oneOf(yield* ledger.save([change], "worker-1"))
      assert(saved.type === "saved")
      const now = oneOf(yield* ledger.load([request.id]))
      assert.deepEqual(
        { state: now.state, version: now.version, snapshot: now.snapshot, tail: now.chainTail },
        { state: "acl-checked", version: 2, snapshot: change.snapshot, tail: saved.chainTail }
      )
      assert.deepEqual(now.facts, request.facts)
      const owed = yield* ledger.owed([partition], 0, 10)
      assert.deepEqual(
        owed.filter((row) => row.id === saved.outboxId),
        [{ id: saved.outboxId, requestId: request.id, version: 2, reached: "acl-checked", deadline: request.facts.deadline }]
      )
      const history = yield* ledger.history(request.id)
      assert.deepEqual(
        history.map(({ seq, from, to, worker }) => ({ seq, from, to, worker })),
        [
          { seq: 1, from: null, to: "detected", worker: "listener" },
          { seq: 2, from: "detected", to: "acl-checked", worker: "worker-1" }
        ]
      )
      assert.deepEqual(history[1]?.event, change.event)
    }))

    law("writes nothing on a version that has passed", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.save([aChange(request, lease)], "worker-1")
      const owedBefore = yield* ledger.owed([partition], 0, 10)
      assert.deepEqual(yield* ledger.save([anEnd(request, lease)], "worker-2"), [{ requestId: request.id, type: "stale" }])
      assert.equal(oneOf(yield* ledger.load([request.id])).state, "acl-checked")
      assert.equal((yield* ledger.history(request.id)).length, 2)
      assert.deepEqual(yield* ledger.owed([partition], 0, 10), owedBefore)
    }))

    law("writes nothing under an epoch that has passed, however late the zombie comes", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      const leases = yield* Leases
      yield* leases.resign([lease], "coordinator-1")
      const newer = yield* ownPartition(partition, "coordinator-2")
      assert(newer.epoch > lease.epoch)
      assert.deepEqual(yield* ledger.save([aChange(request, lease)], "zombie"), [{ requestId: request.id, type: "stale" }])
      assert.equal(oneOf(yield* ledger.load([request.id])).version, 1)
      assert.equal(oneOf(yield* ledger.save([aChange(request, newer)], "worker")).type, "saved")
    }))

    law("writes nothing for a partition that nobody ever owned, or for an unknown request", Effect.gen(function*() {
      const { lease, request, ledger } = yield* given()
      const changes = [
        aChange({ ...request, partition: 29_999 }, lease),
        aChange({ ...request, id: random32() }, lease)
      ]
      const saved = yield* ledger.save(changes, "worker-1")
      assert.deepEqual(
        saved.map(({ type }) => type),
        ["stale", "stale"]
      )
    }))

    law("judges each change of a call by itself, and answers in their order", Effect.gen(function*() {
      const partition = aPartition()
      const lease = yield* ownPartition(partition, "coordinator-1")
      const requests = yield* born(40, { partition })
      const ledger = yield* RequestLedger
      const changes = requests.toReversed().map((request, index) => aChange(request, lease, index % 3 === 0 ? { version: 9 } : {}))
      const saved = yield* ledger.save(changes, "worker-1")
      assert.deepEqual(
        saved.map(({ requestId, type }) => ({ requestId, type })),
        changes.map(({ requestId }, index) => ({ requestId, type: index % 3 === 0 ? "stale" : "saved" }))
      )
    }))

    law("lets exactly one of many deciders win each version, and loses none of the winner's rows", Effect.gen(function*() {
      const partition = aPartition()
      const lease = yield* ownPartition(partition, "coordinator-1")
      const requests = yield* born(20, { partition })
      const ledger = yield* RequestLedger
      const deciders = Array.from({ length: 12 }, (_, index) =>
        Effect.forEach(requests, (request) => ledger.save([aChange(request, lease)], `worker-${index}`), { concurrency: "unbounded" }))
      const answers = (yield* Effect.all(deciders, { concurrency: "unbounded" })).flat(2)
      for (const request of requests) {
        const won = answers.filter((answer) => answer.requestId === request.id && answer.type === "saved")
        assert.equal(won.length, 1)
        assert.equal((yield* ledger.history(request.id)).length, 2)
      }
    }))

    law("moves the anchor when the decision says so, and only then", Effect.gen(function*() {
      const { lease, request, ledger } = yield* given()
      const anchor = { blockNumber: 77, blockHash: random32(), logIndex: 3 }
      yield* ledger.save([aChange(request, lease, { anchor, event: { type: "moved", anchor } })], "worker-1")
      const moved = oneOf(yield* ledger.load([request.id]))
      assert.deepEqual(moved.anchor, anchor)
      yield* ledger.save([aChange(moved, lease, { to: "ciphertext-fetched" })], "worker-1")
      assert.deepEqual(oneOf(yield* ledger.load([request.id])).anchor, anchor)
    }))

    law("takes text that no database likes", Effect.gen(function*() {
      const { lease, request, ledger } = yield* given()
      const detail = `nul \u0000, lone \ud800, quote ' " \\ {}, emoji \u{1f511}`
      yield* ledger.save([anEnd(request, lease, { event: { type: "refused", reason: "not-allowed", detail } })], "worker \\ \" '")
      const [, refused] = yield* ledger.history(request.id)
      assert.deepEqual(refused?.event, { type: "refused", reason: "not-allowed", detail })
      const tail = oneOf(yield* ledger.load([request.id])).chainTail
      assert.deepEqual(verifyHistory(request.id, yield* ledger.history(request.id), tail), { type: "intact" })
    }))
  })

  describe("an end", () => {
    law("has no wake-up and owes no message", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: 0, reason: "now" }])
      const saved = oneOf(yield* ledger.save([anEnd(request, lease)], "worker-1"))
      assert(saved.type === "saved" && saved.outboxId === null)
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 1_000, [1]), [])
    }))

    law("can be left again by a decision, and then has a wake-up again", Effect.gen(function*() {
      yield* aMoment()
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.save([anEnd(request, lease, { to: "orphaned" })], "worker-1")
      const ended = oneOf(yield* ledger.load([request.id]))
      yield* ledger.save([aChange(ended, lease, { to: "detected", dispatch: "detected", wakeAfterMs: 0 })], "worker-1")
      assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 1_000, [1])).state, "detected")
      const listed = (yield* ledger.list({ limit: 50 })).find((summary) => summary.id === request.id)
      assert.equal(listed?.endedAtMs, null)
    }))
  })

  describe("waking up", () => {
    law("comes when it is due, counts claims, and moves on in the same step", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 60_000, [1]), [])
      yield* ledger.save([aChange(request, lease, { wakeAfterMs: 0 })], "worker-1")
      const { deadline } = request.facts
      const expected = { requestId: request.id, partition, version: 2, state: "acl-checked", deadline, isPastDeadline: false, lastReason: null }
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 0, [1]), [{ ...expected, claims: 1 }])
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 60_000, [1]), [{ ...expected, claims: 2 }])
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 60_000, [1]), [])
    }))

    law("forgets claims with the state in which they were counted", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: 0, reason: "now" }])
      assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 60_000, [1])).claims, 1)
      yield* ledger.save([aChange(request, lease, { wakeAfterMs: 0 })], "worker-1")
      assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 60_000, [1])).claims, 1)
    }))

    law("is left alone, and counted as unreadable, under a machine version that the claimer does not know", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.save([aChange(request, lease, { wakeAfterMs: 0, machineVersion: 7 })], "worker-1")
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 0, [1, 2]), [])
      assert.equal(yield* ledger.unreadable([partition], [1, 2]), 1)
      assert.equal(yield* ledger.unreadable([partition], [1, 7]), 0)
      assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 60_000, [1, 7])).claims, 1)
      assert.equal(yield* ledger.unreadable([partition], [1]), 0)
    }))

    law("is given to one of many claimers only", Effect.gen(function*() {
      const partition = aPartition()
      const requests = yield* born(50, { partition })
      const ledger = yield* RequestLedger
      yield* ledger.postpone(requests.map(({ id }) => ({ requestId: id, version: 1, afterMs: 0, reason: "now" })))
      const claimed = (yield* Effect.all(
        Array.from({ length: 20 }, () => ledger.claimOverdue([partition], 10, 60_000, [1])),
        { concurrency: "unbounded" }
      )).flat()
      assert.equal(claimed.length, 50)
      assert.equal(new Set(claimed.map((row) => row.requestId)).size, 50)
    }))

    law("passes over what is paused without counting a claim, but not once its deadline lies behind", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      const [working] = yield* born(1, { partition })
      const late = (yield* born(1, { partition, deadline: request.facts.deadline - 7_200 }))[0]!
      const due = [request, working!, late].map(({ id }) => ({ requestId: id, version: 1, afterMs: 0, reason: "now" }))
      yield* ledger.postpone(due)
      yield* ledger.save([aChange(working!, lease, { wakeAfterMs: 0 })], "worker-1")
      const claimed = yield* ledger.claimOverdue([partition], 10, 60_000, [1], ["detected", "submitted"])
      assert.deepEqual(new Set(claimed.map(({ requestId }) => requestId)), new Set([working!.id, late.id]))
      assert.deepEqual(claimed.filter(({ isPastDeadline }) => isPastDeadline).map(({ requestId }) => requestId), [late.id])
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 60_000, [1], ["detected"]), [])
      const resumed = oneOf(yield* ledger.claimOverdue([partition], 10, 60_000, [1], ["acl-checked"]))
      assert.deepEqual([resumed.requestId, resumed.claims], [request.id, 1])
    }))

    law("is postponed only while the request stands where the postponer believes", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.save([aChange(request, lease, { wakeAfterMs: 0 })], "worker-1")
      yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: 600_000, reason: "old news" }])
      assert.equal((yield* ledger.claimOverdue([partition], 10, 0, [1])).length, 1)
      yield* ledger.postpone([{ requestId: request.id, version: 2, afterMs: 600_000, reason: "the node is away" }])
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 0, [1]), [])
      yield* ledger.postpone([{ requestId: request.id, version: 2, afterMs: 0, reason: "still away" }])
      const claimed = oneOf(yield* ledger.claimOverdue([partition], 10, 0, [1]))
      assert.deepEqual({ claims: claimed.claims, lastReason: claimed.lastReason }, { claims: 1, lastReason: "still away" })
    }))

    law("comes a second after a deadline that lies ahead, however long the pause", Effect.gen(function*() {
      const deadline = Math.floor((yield* world().nowMs) / 1_000) + 1
      const { lease, request, ledger, partition } = yield* given(deadline)
      yield* ledger.save([aChange(request, lease, { wakeAfterMs: 600_000 })], "worker-1")
      const claim = Effect.map(ledger.claimOverdue([partition], 10, 600_000, [1]), ([claimed]) => claimed)
      const row = yield* world().eventually("the wake-up", claim)
      assert.equal(row.requestId, request.id)
      assert((yield* world().nowMs) / 1_000 >= deadline + 0.9)
      yield* ledger.postpone([{ requestId: request.id, version: 2, afterMs: 600_000, reason: "the deadline lies behind" }])
      assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 0, [1]), [])
    }))

    law("says how long the most overdue one has waited", Effect.gen(function*() {
      const { request, ledger, partition } = yield* given()
      yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: -90_000, reason: "long ago" }])
      assert((yield* ledger.oldestOverdue([])).seconds >= 90)
      yield* ledger.claimOverdue([partition], 10, 60_000, [1])
      assert((yield* ledger.oldestOverdue([])).seconds < 90)
    }))

    law("tell what is overdue from what operators have paused, and count from the last time that a step was resumed", Effect.gen(function*() {
      const { request, ledger, partition } = yield* given()
      yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: -190_000, reason: "long ago" }])
      const paused = yield* ledger.oldestOverdue(["detected"])
      assert(paused.pausedSeconds >= 190 && paused.seconds < 190)
      const others = yield* ledger.oldestOverdue(["acl-checked"])
      assert(others.seconds >= 190 && others.pausedSeconds < 190)
      const cluster = yield* Cluster
      yield* cluster.pause("step:finalized", "ann", "a test")
      yield* cluster.resume("step:finalized", "ann", "done")
      assert((yield* ledger.oldestOverdue([])).seconds < 90)
      assert((yield* ledger.oldestOverdue(["detected"])).pausedSeconds >= 190)
      yield* ledger.claimOverdue([partition], 10, 60_000, [1])
    }))
  })

  describe("signals", () => {
    const cancelled: SignalEvent = { type: "cancelled", by: "operator", why: "a test" }

    law("wait until a decision answers them", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      yield* ledger.signal(request.id, cancelled)
      const signal = oneOf(yield* ledger.signals([partition], 10))
      assert.deepEqual({ requestId: signal.requestId, event: signal.event }, { requestId: request.id, event: cancelled })
      yield* ledger.save([anEnd(request, lease, { version: 9, answeredSignals: [signal.id] })], "too late")
      assert.equal((yield* ledger.signals([partition], 10)).length, 1)
      yield* ledger.save([anEnd(request, lease, { to: "cancelled", event: cancelled, answeredSignals: [signal.id] })], "worker-1")
      assert.deepEqual(yield* ledger.signals([partition], 10), [])
    }))

    law("are said once, however often they are repeated", Effect.gen(function*() {
      const { request, ledger, partition } = yield* given()
      yield* Effect.all(Array.from({ length: 8 }, () => ledger.signal(request.id, cancelled)), {
        concurrency: "unbounded"
      })
      const first = oneOf(yield* ledger.signals([partition], 10))
      yield* ledger.signal(request.id, cancelled)
      assert.deepEqual(yield* ledger.signals([partition], 10), [first])
    }))

    law("of newer content are not answered by a decision about the older", Effect.gen(function*() {
      const { lease, request, ledger, partition } = yield* given()
      const moved = (blockNumber: number): SignalEvent => ({
        type: "moved",
        anchor: { blockNumber, blockHash: random32(), logIndex: 1 }
      })
      yield* ledger.signal(request.id, moved(1))
      const older = oneOf(yield* ledger.signals([partition], 10))
      const newest = moved(2)
      yield* ledger.signal(request.id, newest)
      yield* ledger.save([aChange(request, lease, { answeredSignals: [older.id] })], "worker-1")
      assert.deepEqual(oneOf(yield* ledger.signals([partition], 10)).event, newest)
    }))

    law("to nobody are nothing, and those that concern nobody can be dropped", Effect.gen(function*() {
      const { request, ledger, partition } = yield* given()
      yield* ledger.signal(random32(), cancelled)
      yield* ledger.signal(request.id, cancelled)
      yield* ledger.dropSignals([oneOf(yield* ledger.signals([partition], 10)).id])
      assert.deepEqual(yield* ledger.signals([partition], 10), [])
    }))
  })

  describe("looking", () => {
    law("leaves unknown requests out", Effect.gen(function*() {
      const { request, ledger } = yield* given()
      assert.deepEqual(yield* ledger.load([random32(), request.id, request.id]), [request])
      assert.deepEqual(yield* ledger.load([]), [])
      assert.deepEqual(yield* ledger.history(random32()), [])
    }))

    law("lists the newest first, by state if asked, with the last event", Effect.gen(function*() {
      yield* aMoment()
      const { lease, request, ledger } = yield* given()
      const end = anEnd(request, lease, { to: "halted", event: { type: "halted", reason: "poisoned", detail: "a test" } })
      yield* ledger.save([end], "worker-1")
      yield* aMoment()
      const newer = (yield* given()).request
      const [first, second] = yield* ledger.list({ limit: 2 })
      assert.deepEqual([first?.id, second?.id], [newer.id, request.id])
      const halted = oneOf(yield* ledger.list({ state: "halted", limit: 1 }))
      assert.deepEqual(
        { id: halted.id, state: halted.state, version: halted.version, handles: halted.handles, lastEvent: halted.lastEvent },
        { id: request.id, state: "halted", version: 2, handles: 2, lastEvent: end.event }
      )
      assert(halted.endedAtMs !== null && halted.endedAtMs >= halted.detectedAtMs)
      assert((yield* ledger.list({ state: "detected", limit: 100 })).some((summary) => summary.id === newer.id))
    }))

    law("counts by state, also after ends were left again, whoever counts at the same time", Effect.gen(function*() {
      const partition = aPartition()
      const lease = yield* ownPartition(partition, "coordinator-1")
      const ledger = yield* RequestLedger
      const before = yield* ledger.countByState
      const requests = yield* born(10, { partition })
      yield* ledger.save(requests.slice(0, 7).map((request) => anEnd(request, lease, { to: "expired" })), "worker-1")
      const ended = yield* ledger.load(requests.slice(0, 2).map((request) => request.id))
      yield* ledger.save(ended.map((request) => aChange(request, lease, { to: "detected" })), "worker-1")
      const counts = yield* Effect.all(Array.from({ length: 6 }, () => ledger.countByState), { concurrency: "unbounded" })
      for (const after of counts) {
        assert.equal((after.expired ?? 0) - (before.expired ?? 0), 5)
        assert.equal((after.detected ?? 0) - (before.detected ?? 0), 5)
      }
    }))
  })

  describe("the history", () => {
    law("is a chain that anybody can check", Effect.gen(function*() {
      const { lease, request, ledger } = yield* given()
      yield* ledger.save([aChange(request, lease)], "worker-1")
      yield* ledger.save([anEnd(oneOf(yield* ledger.load([request.id])), lease)], "worker-2")
      const tail = oneOf(yield* ledger.load([request.id])).chainTail
      assert.deepEqual(verifyHistory(request.id, yield* ledger.history(request.id), tail), { type: "intact" })
    }))

    test("cannot be changed in the database, and shows it when a superuser does so all the same", async () => {
      const { request } = await world().run(Effect.gen(function*() {
        const all = yield* given()
        yield* all.ledger.save([aChange(all.request, all.lease)], "worker-1")
        return all
      }))
      const { behind } = world()
      await assert.rejects(behind.alterTransition(request.id, 2), { code: "23001" })
      await assert.rejects(behind.deleteTransition(request.id, 2), { code: "23001" })
      await assert.rejects(behind.deleteAllTransitions(), { code: "23001" })
      await behind.tamperWithTransition(request.id, 2)
      await world().run(Effect.gen(function*() {
        const ledger = yield* RequestLedger
        const { chainTail } = oneOf(yield* ledger.load([request.id]))
        assert.deepEqual(verifyHistory(request.id, yield* ledger.history(request.id), chainTail), { type: "tampered", brokenAt: 2 })
      }))
    })
  })
}
