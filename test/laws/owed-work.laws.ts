/** What every RequestLedger promises about messages that are owed: they wait, take turns, and are not overdue. Nothing here knows how it is stored. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChange, anEnd, born, inOneHour } from "../support/ledger-world.ts"
import { aPartition, given, oneOf } from "./request-ledger.laws.ts"

export const owedWorkLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  law("stay until they are settled, and young ones are left to their dispatcher", Effect.gen(function*() {
    const { request, ledger, partition } = yield* given()
    const owed = oneOf(yield* ledger.owed([partition], 0, 10))
    assert.deepEqual({ requestId: owed.requestId, version: owed.version, reached: owed.reached }, {
      requestId: request.id,
      version: 1,
      reached: "detected"
    })
    assert.deepEqual(yield* ledger.owed([partition], 60_000, 10), [])
    yield* ledger.settle([owed.id])
    yield* ledger.settle([owed.id])
    assert.deepEqual(yield* ledger.owed([partition], 0, 10), [])
  }))

  law("are none for work that is given out at once, which the wake-up remembers", Effect.gen(function*() {
    const { lease, request, ledger, partition } = yield* given()
    yield* ledger.settle((yield* ledger.owed([partition], 0, 10)).map(({ id }) => id))
    const [saved] = yield* ledger.save([{ ...aChange(request, lease), wakeAfterMs: -1, isGivenOutAtOnce: true }], "worker-1")
    assert(saved?.type === "saved" && saved.outboxId === null)
    assert.deepEqual(yield* ledger.owed([partition], 0, 10), [])
    assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 10_000, [1])).version, 2)
  }))

  law("are read one of each requester in turn, beginning with whoever comes after the last", Effect.gen(function*() {
    const partition = aPartition()
    const ledger = yield* RequestLedger
    const [a, b, c] = ["0x01", "0x02", "0x03"].map((byte): Hex => `${byte as Hex}${"00".repeat(19)}`)
    yield* born(5, { partition, requester: a! })
    yield* born(1, { partition, requester: b! })
    yield* born(2, { partition, requester: c! })
    const inTurn = (after: Hex, limit: number, olderThanMs = 0) =>
      Effect.map(
        ledger.owedInTurn({ partitions: [partition], reached: "detected", after, olderThanMs, limit }),
        (rows) => rows.map(({ requester }) => requester)
      )
    assert.deepEqual((yield* inTurn("0x", 100)).toSorted(), [a, a, a, a, a, b, c, c])
    assert.deepEqual(yield* inTurn(b!, 1), [c])
    assert.deepEqual(yield* inTurn("0x", 100, 60_000), [])
    const turns = yield* ledger.owedInTurn({ partitions: [partition], reached: "detected", after: "0x", olderThanMs: 0, limit: 6 })
    assert.deepEqual(turns.slice(0, 3).map(({ requester }) => requester), [a, b, c])
    yield* ledger.settle(turns.map(({ id }) => id))
    const left = (yield* ledger.backlog([partition])).map(({ reached, count }) => ({ reached, count }))
    assert.deepEqual(left, [{ reached: "detected", count: 8 - turns.length }])
    const load = yield* ledger.workload(5)
    assert.equal(load.underWay, 5)
    assert(load.owed >= 8 - turns.length && load.oldestOwedMs >= 0)
  }))

  law("of requests that have been decided about since are not read in turn", Effect.gen(function*() {
    const { lease, request, ledger, partition } = yield* given()
    yield* ledger.save([anEnd(request, lease)], "worker-1")
    assert.equal((yield* ledger.owed([partition], 0, 10)).length, 1)
    assert.deepEqual(yield* ledger.owedInTurn({ partitions: [partition], reached: "detected", after: "0x", olderThanMs: 0, limit: 9 }), [])
  }))

  law("for seconds put their request off, and time for the answer begins when they are settled", Effect.gen(function*() {
    const { request, ledger, partition } = yield* given()
    const owed = oneOf(yield* ledger.owed([partition], 0, 10))
    yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: -1_000, reason: "long ago" }])
    yield* ledger.putOffOwed([partition], 60_000)
    const isLate = Effect.map(ledger.owed([partition], 2_100, 10), ({ length }) => length > 0)
    yield* world().eventually("the message is late", isLate)
    yield* ledger.putOffOwed([partition], 60_000)
    assert.deepEqual(yield* ledger.claimOverdue([partition], 10, 10_000, [1]), [])
    yield* ledger.settle([owed.id])
    yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: -1_000, reason: "long ago" }])
    assert.equal(oneOf(yield* ledger.claimOverdue([partition], 10, 10_000, [1])).claims, 1)
  }))

  law("do not put off what is past its deadline", Effect.gen(function*() {
    const { request, ledger, partition } = yield* given(inOneHour() - 3_600 - 60)
    yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: -1_000, reason: "long ago" }])
    yield* world().eventually("the message is late", Effect.map(ledger.owed([partition], 2_100, 10), ({ length }) => length > 0))
    yield* ledger.putOffOwed([partition], 60_000)
    assert.equal((yield* ledger.claimOverdue([partition], 10, 10_000, [1])).length, 1)
  }))
}
