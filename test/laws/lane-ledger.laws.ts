/** What every LaneLedger promises: a nonce is taken once, with its signed bytes, by the owner of the lane, or not at all. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { type Attempt, type LaneId, LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { aChainId, type LedgerWorld, random32, randomAddress } from "../support/ledger-world.ts"

const anAttempt = (root: Hex, nonce: number, attemptNo = 1): Attempt => ({
  nonce,
  attemptNo,
  root,
  txHash: random32(),
  rawTx: "0x02f86b",
  maxFeePerGas: 2n ** 70n,
  maxPriorityFeePerGas: 1_000_000_000n,
  signedAtMs: 1_795_000_000_123
})

const aSlot = (root: Hex, nonce: number) => ({ nonce, root, snapshot: { value: "signed" }, attempt: anAttempt(root, nonce) })

export const laneLedgerLaws = (world: () => LedgerWorld): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  const given = Effect.fnUntraced(function*(batches = 1) {
    const lane: LaneId = { chainId: aChainId(), address: randomAddress() }
    const name = `lane/${lane.chainId}/${lane.address}`
    const lanes = yield* LaneLedger
    const leases = yield* Leases
    const [lease] = yield* leases.claim([name], "sender-1", 60_000)
    assert(lease !== undefined)
    const roots = Array.from({ length: batches }, random32)
    for (const root of roots) yield* lanes.enqueue(lane, root, [random32()])
    const root = roots[0]!
    return { lane, lanes, leases, lease, name, roots, root }
  })

  law("queues a batch once, in the lane that came first", Effect.gen(function*() {
    const { lane, lanes, root } = yield* given()
    const elsewhere: LaneId = { chainId: lane.chainId, address: randomAddress() }
    assert.deepEqual(yield* lanes.enqueue(elsewhere, root, [random32()]), lane)
    assert.deepEqual(yield* lanes.waiting(elsewhere, 10), [])
    const ids = [random32(), random32()]
    const next = random32()
    yield* lanes.enqueue(lane, next, ids)
    assert.deepEqual((yield* lanes.waiting(lane, 10)).map((batch) => batch.root), [root, next])
    assert.deepEqual(yield* lanes.requestsOf(next), ids)
    assert.deepEqual(yield* lanes.requestsOf(random32()), [])
    assert.equal((yield* lanes.waiting(lane, 1)).length, 1)
  }))

  law("takes a nonce together with the signed bytes, and the batch leaves the queue", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    assert.deepEqual(yield* lanes.open(lane), { nextNonce: undefined, slots: [] })
    const slot = aSlot(root, 7)
    assert.equal(yield* lanes.take(lane, lease, slot), true)
    assert.deepEqual(yield* lanes.open(lane), {
      nextNonce: 8,
      slots: [{ nonce: 7, root, version: 1, snapshot: slot.snapshot, attempts: [slot.attempt] }]
    })
    assert.deepEqual(yield* lanes.waiting(lane, 10), [])
    assert.deepEqual(yield* lanes.enqueue(lane, root, [random32()]), lane)
    assert.deepEqual(yield* lanes.waiting(lane, 10), [])
  }))

  law("gives a nonce once, and a batch one nonce", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    const [first, second] = roots
    assert(first !== undefined && second !== undefined)
    assert.equal(yield* lanes.take(lane, lease, aSlot(first, 0)), true)
    assert.equal(yield* lanes.take(lane, lease, aSlot(second, 0)), false)
    assert.equal(yield* lanes.take(lane, lease, aSlot(first, 1)), false)
    assert.equal(yield* lanes.take(lane, lease, aSlot(random32(), 1)), false)
    const { nextNonce, slots } = yield* lanes.open(lane)
    assert.deepEqual({ nextNonce, nonces: slots.map((slot) => slot.nonce) }, { nextNonce: 1, nonces: [0] })
  }))

  law("lets two senders who believe in the same lane take each nonce once", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(20)
    const taken = yield* Effect.all(
      roots.flatMap((root, nonce) => [lanes.take(lane, lease, aSlot(root, nonce)), lanes.take(lane, lease, aSlot(root, nonce))]),
      { concurrency: "unbounded" }
    )
    const { slots } = yield* lanes.open(lane)
    assert.equal(taken.filter(Boolean).length, slots.length)
    assert.equal(new Set(slots.map((slot) => slot.nonce)).size, slots.length)
    assert.equal(new Set(slots.map((slot) => slot.root)).size, slots.length)
    assert(slots.every((slot) => slot.attempts.length === 1))
  }))

  law("writes nothing for a sender whose lease is lost", Effect.gen(function*() {
    const { lane, lanes, leases, lease, name, root } = yield* given()
    yield* leases.resign([lease], "sender-1")
    const [newer] = yield* leases.claim([name], "sender-2", 60_000)
    assert(newer !== undefined)
    assert.equal(yield* lanes.take(lane, lease, aSlot(root, 0)), false)
    yield* lanes.discard(lane, lease, root)
    assert.equal((yield* lanes.waiting(lane, 10)).length, 1)
    assert.equal(yield* lanes.take(lane, newer, aSlot(root, 0)), true)
    assert.equal(yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: {}, isFinal: true }), false)
    assert.equal((yield* lanes.open(lane)).slots[0]?.version, 1)
  }))

  law("saves a decision about a slot on its version only, with a further attempt beside the first", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const slot = aSlot(root, 3)
    yield* lanes.take(lane, lease, slot)
    const bump = anAttempt(root, 3, 2)
    const change = { nonce: 3, version: 1, snapshot: { value: "bumped" }, isFinal: false, attempt: bump }
    assert.equal(yield* lanes.save(lane, lease, change), true)
    assert.equal(yield* lanes.save(lane, lease, { ...change, attempt: anAttempt(root, 3, 3) }), false)
    assert.deepEqual((yield* lanes.open(lane)).slots, [
      { nonce: 3, root, version: 2, snapshot: { value: "bumped" }, attempts: [slot.attempt, bump] }
    ])
  }))

  law("never stores two attempts under one number, and then saves nothing else either", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const slot = aSlot(root, 3)
    yield* lanes.take(lane, lease, slot)
    const again = { nonce: 3, version: 1, snapshot: { value: "bumped" }, isFinal: false, attempt: anAttempt(root, 3, 1) }
    assert.equal(yield* lanes.save(lane, lease, again), false)
    assert.deepEqual((yield* lanes.open(lane)).slots[0], { nonce: 3, root, version: 1, snapshot: slot.snapshot, attempts: [slot.attempt] })
  }))

  law("closes a slot that is final, and never gives its nonce again", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    const [first, second] = roots
    assert(first !== undefined && second !== undefined)
    yield* lanes.take(lane, lease, aSlot(first, 0))
    yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: {}, isFinal: true })
    assert.deepEqual(yield* lanes.open(lane), { nextNonce: 1, slots: [] })
    assert.equal(yield* lanes.take(lane, lease, aSlot(second, 0)), false)
    assert.equal(yield* lanes.take(lane, lease, aSlot(second, 1)), true)
  }))

  law("puts a batch back on the queue only when its slot is final", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    yield* lanes.take(lane, lease, aSlot(root, 0))
    yield* lanes.requeue(lane, lease, root)
    assert.deepEqual(yield* lanes.waiting(lane, 10), [])
    yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: {}, isFinal: true })
    yield* lanes.requeue(lane, lease, root)
    assert.deepEqual((yield* lanes.waiting(lane, 10)).map((batch) => batch.root), [root])
    assert.equal(yield* lanes.take(lane, lease, aSlot(root, 1)), true)
  }))

  law("queues a batch again, also elsewhere, when its nonce is final and somebody still wants it", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const elsewhere: LaneId = { chainId: lane.chainId, address: randomAddress() }
    yield* lanes.take(lane, lease, aSlot(root, 0))
    yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: {}, isFinal: true })
    assert.deepEqual(yield* lanes.enqueue(elsewhere, root, [random32()]), elsewhere)
    assert.equal((yield* lanes.waiting(elsewhere, 10)).length, 1)
  }))

  law("takes a batch off the queue that needs no transaction, and never one that has a nonce", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    const [first, second] = roots
    assert(first !== undefined && second !== undefined)
    yield* lanes.take(lane, lease, aSlot(first, 0))
    yield* lanes.discard(lane, lease, first)
    yield* lanes.discard(lane, lease, second)
    assert.equal((yield* lanes.requestsOf(first)).length, 1)
    assert.deepEqual(yield* lanes.waiting(lane, 10), [])
  }))

  test("has a database in which signed bytes are never altered", async () => {
    const { root } = await world().run(Effect.gen(function*() {
      const all = yield* given()
      yield* all.lanes.take(all.lane, all.lease, aSlot(all.root, 0))
      return all
    }))
    const id = Buffer.from(root.slice(2), "hex")
    await assert.rejects(world().query("UPDATE tx_attempt SET raw_tx = '\\x00' WHERE root = $1", [id]), { code: "23001" })
    await assert.rejects(world().query("DELETE FROM tx_attempt WHERE root = $1", [id]), { code: "23001" })
  })
}
