/**
 * PostgreSQL dies under a stream of saves. What was acknowledged is there; what is there is whole; the ledger recovers by itself.
 */
import { Effect, Result } from "effect"
import assert from "node:assert/strict"
import { afterAll, beforeAll, test } from "vitest"
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { eventually } from "../support/eventually.ts"
import { aChange, born, type LedgerWorld, openLedgerWorld, ownPartition } from "../support/ledger-world.ts"

let world: LedgerWorld
beforeAll(async () => {
  world = await openLedgerWorld()
})
afterAll(() => world?.close())

const REQUESTS = 60

/** Each request is advanced again and again; answers the last version that was acknowledged for each. */
const stream = (requests: ReadonlyArray<StoredRequest>, epoch: bigint, acknowledged: Map<string, number>, isOver: () => boolean) =>
  Effect.gen(function*() {
    const ledger = yield* RequestLedger
    const advance = (request: StoredRequest) =>
      Effect.gen(function*() {
        let state: StoredRequest = request
        while (!isOver()) {
          const change = aChange(state, { epoch }, { wakeAfterMs: 600_000 })
          const answer = yield* Effect.result(ledger.save([change], "stream"))
          if (Result.isFailure(answer)) {
            assert.equal(answer.failure._tag, "LedgerUnavailable")
            return
          }
          const saved = answer.success[0]
          assert(saved?.type === "saved")
          acknowledged.set(request.id, saved.version)
          state = { ...state, version: saved.version, state: change.to, chainTail: saved.chainTail }
        }
      })
    yield* Effect.forEach(requests, advance, { concurrency: "unbounded", discard: true })
  })

for (const [how, partition] of [["immediate", 1], ["kill -9", 2]] as const) {
  test(`every acknowledged save survives a stop (${how}) in the middle of the stream, and none is there by half`, async () => {
    const [requests, lease] = await world.run(Effect.all([born(REQUESTS, { partition }), ownPartition(partition, "owner")]))
    const acknowledged = new Map<string, number>()
    let isOver = false
    let hasNoticed = false
    const streaming = world.run(stream(requests, lease.epoch, acknowledged, () => isOver)).then(() => (hasNoticed = true))
    await eventually("a few hundred saves", () => [...acknowledged.values()].reduce((sum, version) => sum + version, 0) > 400)
    await Effect.runPromise(how === "immediate" ? world.server.stop("immediate") : world.server.kill)
    await eventually("the stream notices", () => hasNoticed, 20_000)
    isOver = true
    await streaming
    const down = await world.run(Effect.flatMap(RequestLedger, (ledger) => Effect.flip(ledger.ping)))
    assert.equal(down._tag, "LedgerUnavailable")
    await Effect.runPromise(world.server.start)
    await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.ping))

    const [stored, owed] = await world.run(
      Effect.gen(function*() {
        const ledger = yield* RequestLedger
        return yield* Effect.all([ledger.load(requests.map(({ id }) => id)), ledger.owed([partition], 0, 100_000)])
      })
    )
    const wakes = await world.query("SELECT request_id, version FROM wake WHERE partition = $1", [partition])
    for (const request of stored) {
      assert(request.version >= (acknowledged.get(request.id) ?? 1))
      assert(request.version <= (acknowledged.get(request.id) ?? 1) + 1)
      const history = await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.history(request.id)))
      assert.equal(history.length, request.version)
      assert.deepEqual(verifyHistory(request.id, history, request.chainTail), { type: "intact" })
      assert.equal(owed.filter((row) => row.requestId === request.id).length, request.version)
      const wake = wakes.find((row) => `0x${(row["request_id"] as Buffer).toString("hex")}` === request.id)
      assert.equal(wake?.["version"], request.version)
    }
    const again = aChange(stored[0]!, lease)
    const answer = await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.save([again], "after")))
    assert.equal(answer[0]?.type, "saved")
  })
}
