/** What every DetectionLedger promises: cursor, blocks, requests and signals move together or not at all. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import { CursorMoved, DetectionLedger, type SeenBlock, type SeenRequest } from "../../src/ledger/detection-ledger.port.ts"
import { type Lease, LeaseLost, Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aBlock, aChainId, anEnd, aSeenRequest, ownPartition } from "../support/ledger-world.ts"
import { aPartition } from "./request-ledger.laws.ts"

export const detectionLedgerLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  /** A chain of its own with two blocks read, and a request in the second. */
  const given = Effect.fnUntraced(function*() {
    const chainId = aChainId()
    const partition = aPartition()
    const detection = yield* DetectionLedger
    const ledger = yield* RequestLedger
    const read = (
      expected: SeenBlock | null,
      ancestor: number,
      blocks: ReadonlyArray<SeenBlock>,
      requests: ReadonlyArray<SeenRequest> = [],
      keepFrom = 0,
      lease: Lease | null = null
    ) => detection.advance({ chainId, expected: expected?.hash ?? null, ancestor, blocks, requests, keepFrom, worker: "listener", lease })
    const first = aBlock(10)
    const second = aBlock(11, first)
    const request = aSeenRequest(second, { chainId, partition })
    yield* read(null, 9, [first])
    const { born } = yield* read(first, 10, [second], [request])
    const signals = Effect.map(ledger.signals([partition], 10), (pending) => pending.map(({ requestId, event }) => ({ requestId, event })))
    return { chainId, partition, detection, ledger, read, first, second, request, born, signals }
  })

  law("bears requests with first transition, wake-up and message, and moves the cursor with them", Effect.gen(function*() {
    const { chainId, partition, detection, ledger, second, first, request, born } = yield* given()
    assert.deepEqual(yield* detection.cursor(chainId), second)
    assert.deepEqual(yield* detection.blockAt(chainId, 10), first)
    assert.equal(yield* detection.blockAt(chainId, 12), undefined)
    const [stored] = yield* ledger.load([request.id])
    assert(stored !== undefined)
    assert.deepEqual(
      { state: stored.state, version: stored.version, facts: stored.facts, anchor: stored.anchor, snapshot: stored.snapshot },
      { state: "detected", version: 1, facts: request.facts, anchor: request.anchor, snapshot: request.snapshot }
    )
    const owed = yield* ledger.owed([partition], 0, 10)
    assert.deepEqual(born, [{ requestId: request.id, outboxId: owed[0]?.id }])
    const [detected] = yield* ledger.history(request.id)
    assert.deepEqual(detected?.event, { type: "detected", anchor: request.anchor })
    yield* ledger.postpone([{ requestId: request.id, version: 1, afterMs: 0, reason: "now" }])
    assert.equal((yield* ledger.claimOverdue([partition], 10, 1_000, [1])).length, 1)
  }))

  law("knows no cursor before the first block", Effect.gen(function*() {
    const detection = yield* DetectionLedger
    assert.equal(yield* detection.cursor(aChainId()), undefined)
  }))

  law("refuses a step from a cursor that has moved, and writes nothing of it", Effect.gen(function*() {
    const { chainId, detection, ledger, read, first, second } = yield* given()
    const other = aBlock(11, first)
    const late = aSeenRequest(other, { chainId })
    const refused = yield* Effect.flip(read(first, 10, [other], [late]))
    assert(refused instanceof CursorMoved)
    assert.deepEqual(yield* detection.cursor(chainId), second)
    assert.deepEqual(yield* ledger.load([late.id]), [])
    assert((yield* Effect.flip(read(null, 9, [first]))) instanceof CursorMoved)
  }))

  law("writes nothing under an epoch of leadership that is not the current one, and says whose it was", Effect.gen(function*() {
    const { chainId, detection, ledger, read, second } = yield* given()
    const leases = yield* Leases
    const name = `listener/${chainId}`
    const [lease] = yield* leases.claim([name], "first", 60_000)
    assert(lease !== undefined)
    const third = aBlock(12, second)
    yield* read(second, 11, [third], [], 0, lease)
    assert.deepEqual(yield* detection.cursor(chainId), third)

    yield* leases.resign([lease], "first")
    const [newer] = yield* leases.claim([name], "second", 60_000)
    assert(newer !== undefined)
    const fourth = aBlock(13, third)
    const late = aSeenRequest(fourth, { chainId })
    const refused = yield* Effect.flip(read(third, 12, [fourth], [late], 0, lease))
    assert(refused instanceof LeaseLost)
    assert.deepEqual({ name: refused.name, epoch: refused.epoch }, { name, epoch: String(lease.epoch) })
    assert.deepEqual(yield* detection.cursor(chainId), third)
    assert.deepEqual(yield* ledger.load([late.id]), [])
    assert((yield* Effect.flip(read(third, 12, [fourth], [], 0, { name: `${name}/never-claimed`, epoch: 1n }))) instanceof LeaseLost)
    yield* read(third, 12, [fourth], [late], 0, newer)
    assert.deepEqual(yield* detection.cursor(chainId), fourth)
  }))

  law("lets exactly one of several listeners advance", Effect.gen(function*() {
    const { chainId, ledger, read, second, detection } = yield* given()
    const steps = Array.from({ length: 8 }, () => {
      const block = aBlock(12, second)
      return { block, request: aSeenRequest(block, { chainId }) }
    })
    const outcomes = yield* Effect.all(
      steps.map(({ block, request }) => Effect.result(read(second, 11, [block], [request]))),
      { concurrency: "unbounded" }
    )
    const won = outcomes.flatMap((outcome, index) => (outcome._tag === "Success" ? [index] : []))
    assert.equal(won.length, 1)
    const winner = steps[won[0] ?? -1]
    assert.deepEqual(yield* detection.cursor(chainId), winner?.block)
    const stored = yield* ledger.load(steps.map(({ request }) => request.id))
    assert.deepEqual(stored.map(({ id }) => id), [winner?.request.id])
  }))

  law("takes a request that it knows for no news when it stands where it stood", Effect.gen(function*() {
    const { chainId, ledger, read, second, request, signals } = yield* given()
    const again = aBlock(12, second)
    yield* read(second, 10, [second, again], [request])
    assert.deepEqual(yield* signals, [])
    assert.equal((yield* ledger.history(request.id)).length, 1)
    assert.equal((yield* ledger.load([request.id]))[0]?.facts.chainId, chainId)
  }))

  law("tells a request whose block was removed that it is orphaned", Effect.gen(function*() {
    const { chainId, detection, read, first, second, request, signals } = yield* given()
    const other = aBlock(11, first)
    const { signalled } = yield* read(second, 10, [other])
    assert.deepEqual(signalled, [request.id])
    assert.deepEqual(yield* signals, [
      { requestId: request.id, event: { type: "orphaned", block: { blockNumber: 11, blockHash: second.hash } } }
    ])
    assert.deepEqual(yield* detection.blockAt(chainId, 11), other)
  }))

  law("tells a request that stands in another block now that it moved, and not that it is gone", Effect.gen(function*() {
    const { read, first, second, request, signals } = yield* given()
    const other = aBlock(11, first)
    const anchor = { blockNumber: 11, blockHash: other.hash, logIndex: 5 }
    const { born, signalled } = yield* read(second, 10, [other], [{ ...request, anchor }])
    assert.deepEqual({ born, signalled }, { born: [], signalled: [request.id] })
    assert.deepEqual(yield* signals, [{ requestId: request.id, event: { type: "moved", anchor } }])
  }))

  law("replaces the news that a request is gone when it comes back, wherever it comes back", Effect.gen(function*() {
    const { read, first, second, request, signals } = yield* given()
    const other = aBlock(11, first)
    yield* read(second, 10, [other])
    const third = aBlock(12, other)
    const anchor = { blockNumber: 12, blockHash: third.hash, logIndex: 5 }
    yield* read(other, 11, [third], [{ ...request, anchor }])
    assert.deepEqual(yield* signals, [{ requestId: request.id, event: { type: "moved", anchor } }])
    yield* read(third, 11, [])
    assert.deepEqual(yield* signals, [
      { requestId: request.id, event: { type: "orphaned", block: { blockNumber: 12, blockHash: third.hash } } }
    ])
    yield* read(other, 10, [second], [request])
    assert.deepEqual(yield* signals, [{ requestId: request.id, event: { type: "moved", anchor: request.anchor } }])
  }))

  law("tells an orphaned request that it is back, even in its old block", Effect.gen(function*() {
    const { partition, ledger, read, first, second, request, signals } = yield* given()
    const lease = yield* ownPartition(partition, "coordinator-1")
    const other = aBlock(11, first)
    yield* read(second, 10, [other])
    const [signal] = yield* ledger.signals([partition], 10)
    const [stored] = yield* ledger.load([request.id])
    assert(stored !== undefined && signal !== undefined)
    yield* ledger.save([anEnd(stored, lease, { to: "orphaned", answeredSignals: [signal.id] })], "worker-1")
    yield* read(other, 10, [second], [request])
    assert.deepEqual(yield* signals, [{ requestId: request.id, event: { type: "moved", anchor: request.anchor } }])
  }))

  law("goes back to an ancestor without new blocks", Effect.gen(function*() {
    const { chainId, detection, read, first, second } = yield* given()
    yield* read(second, 10, [])
    assert.deepEqual(yield* detection.cursor(chainId), first)
    assert.equal(yield* detection.blockAt(chainId, 11), undefined)
  }))

  law("forgets blocks that are final, and nothing else", Effect.gen(function*() {
    const { chainId, detection, ledger, read, second, request } = yield* given()
    const third = aBlock(12, second)
    yield* read(second, 11, [third], [], 11)
    assert.equal(yield* detection.blockAt(chainId, 10), undefined)
    assert.deepEqual(yield* detection.blockAt(chainId, 11), second)
    assert.equal((yield* ledger.load([request.id])).length, 1)
  }))

  law("bears a request that was missed in a block that the cursor has passed, and leaves the cursor alone", Effect.gen(function*() {
    const { chainId, partition, detection, ledger, read, first, second } = yield* given()
    const third = aBlock(12, second)
    yield* read(second, 11, [third], [], 11)
    const missed = aSeenRequest(first, { chainId, partition }) // in a block that is not even kept any more
    const say = detection.birthMissed({ chainId, on: third, requests: [missed], worker: "rescan" })
    const { born, signalled } = yield* say
    assert.deepEqual(yield* detection.cursor(chainId), third)
    const [stored] = yield* ledger.load([missed.id])
    assert.deepEqual(
      { state: stored?.state, version: stored?.version, anchor: stored?.anchor },
      { state: "detected", version: 1, anchor: missed.anchor }
    )
    const owed = yield* ledger.owed([partition], 0, 10)
    assert.deepEqual(born, owed.filter(({ requestId }) => requestId === missed.id).map(({ id }) => ({ requestId: missed.id, outboxId: id })))
    assert.equal(born.length, 1)
    assert.deepEqual(signalled, [])
    const [detected] = yield* ledger.history(missed.id)
    assert.deepEqual(detected?.event, { type: "detected", anchor: missed.anchor })
    yield* ledger.postpone([{ requestId: missed.id, version: 1, afterMs: 0, reason: "now" }])
    assert.equal((yield* ledger.claimOverdue([partition], 10, 1_000, [1])).filter(({ requestId }) => requestId === missed.id).length, 1)
    assert.deepEqual(yield* say, { born: [], signalled: [] })
    assert.equal((yield* ledger.history(missed.id)).length, 1)
  }))

  law("bears what was missed once, however many say it at once, and while the cursor moves", Effect.gen(function*() {
    const { chainId, partition, detection, ledger, read, first, second } = yield* given()
    const missed = Array.from({ length: 4 }, () => aSeenRequest(first, { chainId, partition }))
    const third = aBlock(12, second)
    const say = detection.birthMissed({ chainId, on: second, requests: missed, worker: "rescan" })
    const [said] = yield* Effect.all([Effect.all([say, say, say], { concurrency: "unbounded" }), read(second, 11, [third])], {
      concurrency: "unbounded"
    })
    const born = said.flatMap((one) => one.born.map(({ requestId }) => requestId))
    assert.deepEqual(born.toSorted(), missed.map(({ id }) => id).toSorted())
    assert.equal((yield* ledger.owed([partition], 0, 20)).filter(({ requestId }) => born.includes(requestId)).length, missed.length)
    assert.deepEqual(yield* detection.cursor(chainId), third)
  }))

  law("takes what it knows, where it knows it, for no news when it is found again", Effect.gen(function*() {
    const { chainId, detection, second, request, signals } = yield* given()
    const again = yield* detection.birthMissed({ chainId, on: second, requests: [request], worker: "rescan" })
    assert.deepEqual(again, { born: [], signalled: [] })
    assert.deepEqual(yield* signals, [])
  }))

  law("tells a request that was given up wrongly that it is back when it is found in a passed block", Effect.gen(function*() {
    const { chainId, partition, detection, ledger, read, first, second, request, signals } = yield* given()
    const lease = yield* ownPartition(partition, "coordinator-1")
    const other = aBlock(11, first)
    yield* read(second, 10, [other])
    const found = { ...request, anchor: { blockNumber: 11, blockHash: other.hash, logIndex: 7 } }
    const say = detection.birthMissed({ chainId, on: other, requests: [found], worker: "rescan" })
    assert.deepEqual(yield* say, { born: [], signalled: [] }) // the news that it is gone is still under way
    const [signal] = yield* ledger.signals([partition], 10)
    const [stored] = yield* ledger.load([request.id])
    assert(stored !== undefined && signal !== undefined)
    yield* ledger.save([anEnd(stored, lease, { to: "orphaned", answeredSignals: [signal.id] })], "worker-1")
    assert.deepEqual((yield* say).signalled, [request.id])
    assert.deepEqual(yield* signals, [{ requestId: request.id, event: { type: "moved", anchor: found.anchor } }])
    // It is remembered where it was seen: should even this block go, it hears of it.
    yield* read(other, 10, [aBlock(11, first)])
    assert.deepEqual((yield* signals).map(({ event }) => event.type), ["orphaned"])
  }))

  law("bears what was found under a block that has become final and was forgotten while the reading went on", Effect.gen(function*() {
    const { chainId, detection, ledger, read, first, second } = yield* given()
    const third = aBlock(12, second)
    yield* read(second, 11, [third], [], 12)
    assert.equal(yield* detection.blockAt(chainId, 11), undefined)
    const missed = aSeenRequest(first, { chainId })
    const { born } = yield* detection.birthMissed({ chainId, on: second, requests: [missed], worker: "rescan" })
    assert.deepEqual(born.map(({ requestId }) => requestId), [missed.id])
    assert.equal((yield* ledger.load([missed.id])).length, 1)
    const ahead = yield* Effect.flip(detection.birthMissed({ chainId, on: aBlock(13), requests: [aSeenRequest(first, { chainId })], worker: "rescan" }))
    assert(ahead instanceof CursorMoved)
  }))

  law("bears nothing that was found under a block which is not its own any more", Effect.gen(function*() {
    const { chainId, detection, ledger, read, first, second } = yield* given()
    const missed = aSeenRequest(first, { chainId })
    yield* read(second, 10, [aBlock(11, first)])
    const stale = yield* Effect.flip(detection.birthMissed({ chainId, on: second, requests: [missed], worker: "rescan" }))
    assert(stale instanceof CursorMoved)
    const unknown = yield* Effect.flip(detection.birthMissed({ chainId, on: aBlock(11, first), requests: [missed], worker: "rescan" }))
    assert(unknown instanceof CursorMoved)
    assert.deepEqual(yield* ledger.load([missed.id]), [])
  }))
}
