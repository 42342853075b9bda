/** What every LaneLedger promises: a nonce is taken once, with its signed bytes, by the owner of the lane, or not at all. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import {
  type Attempt,
  FAILURE_PAUSE_FIRST_MS,
  type LaneId,
  laneLeaseName,
  LaneLedger,
  NO_BATCH,
  PULLED_MS
} from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChainId, random32, randomAddress } from "../support/ledger-world.ts"

const anAttempt = (root: Hex, nonce: number, attemptNo = 1): Attempt => ({
  nonce,
  attemptNo,
  root,
  txHash: random32(),
  rawTx: "0x02f86b",
  gasLimit: 250_000n,
  maxFeePerGas: 2n ** 70n,
  maxPriorityFeePerGas: 1_000_000_000n,
  isCancellation: false,
  signedAtMs: 1_795_000_000_123
})

const aSlot = (root: Hex, nonce: number) => ({ nonce, root, snapshot: { value: "signed" }, attempt: anAttempt(root, nonce) })

export const laneLedgerLaws = (world: () => LedgerRig): void => {
  const passed = (ms: number) => world().passLaneTime(ms)
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  const aLane = Effect.fnUntraced(function*(chainId: bigint) {
    const lane: LaneId = { chainId, address: randomAddress() }
    const leases = yield* Leases
    const [lease] = yield* leases.claim([laneLeaseName(lane)], "sender-1", 60_000)
    assert(lease !== undefined)
    return { lane, lease }
  })

  /** Batches that a lane has pulled. */
  const given = Effect.fnUntraced(function*(batches = 1) {
    const { lane, lease } = yield* aLane(aChainId())
    const lanes = yield* LaneLedger
    const leases = yield* Leases
    const roots = Array.from({ length: batches }, random32)
    for (const root of roots) yield* lanes.enqueue(lane.chainId, root, [random32()])
    yield* lanes.pull(lane, lease, batches)
    const root = roots[0]!
    return { lane, lanes, leases, lease, name: lease.name, roots, root }
  })

  const rootsOf = (batches: ReadonlyArray<{ readonly root: Hex }>) => batches.map(({ root }) => root)
  const final = { version: 1, snapshot: { value: "lost" }, isFinal: true } as const
  law("queues a batch once for its chain, in order, with the requests of everybody who asked", Effect.gen(function*() {
    const lanes = yield* LaneLedger
    const chainId = aChainId()
    const [one, other, third] = [random32(), random32(), random32()]
    const [first, second] = [random32(), random32()]
    yield* lanes.enqueue(chainId, first, [one, other])
    yield* lanes.enqueue(chainId, second, [random32()])
    yield* lanes.enqueue(chainId, first, [other, third])
    assert.deepEqual(rootsOf(yield* lanes.waiting(chainId, 10)), [first, second])
    assert.deepEqual(yield* lanes.requestsOf(first), [one, other, third])
    assert.deepEqual(yield* lanes.requestsOf(random32()), [])
    assert.equal((yield* lanes.waiting(chainId, 1)).length, 1)
    assert.deepEqual(yield* lanes.waiting(aChainId(), 10), [])
  }))

  law("gives each waiting batch to one lane, the oldest first, and to the same lane again", Effect.gen(function*() {
    const chainId = aChainId()
    const lanes = yield* LaneLedger
    const [a, b] = [yield* aLane(chainId), yield* aLane(chainId)]
    const roots = Array.from({ length: 5 }, random32)
    for (const root of roots) yield* lanes.enqueue(chainId, root, [random32()])
    assert.deepEqual(rootsOf(yield* lanes.pull(a.lane, a.lease, 2)), roots.slice(0, 2))
    assert.deepEqual(rootsOf(yield* lanes.pull(b.lane, b.lease, 2)), roots.slice(2, 4))
    assert.deepEqual(rootsOf(yield* lanes.pull(a.lane, a.lease, 3)), [...roots.slice(0, 2), roots[4]])
    assert.deepEqual(yield* lanes.pull({ ...a.lane, chainId: aChainId() }, a.lease, 3), [])
  }))

  law("gives what was put off again and again after what was never looked at", Effect.gen(function*() {
    const { lane, lanes, lease, root: first } = yield* given()
    yield* lanes.putBack(lane, lease, first, "requester-over-budget", 60_000)
    const second = random32()
    yield* lanes.enqueue(lane.chainId, second, [random32()])
    yield* passed(120_000)
    assert.deepEqual(rootsOf(yield* lanes.pull(lane, lease, 1)), [second])
    yield* lanes.putBack(lane, lease, second, "requester-over-budget", 60_000)
    yield* passed(120_000)
    assert.deepEqual(rootsOf(yield* lanes.pull(lane, lease, 1)), [first])
  }))

  law("gives no batch to two lanes that pull at once", Effect.gen(function*() {
    const chainId = aChainId()
    const lanes = yield* LaneLedger
    const senders = yield* Effect.forEach([1, 2, 3, 4], () => aLane(chainId))
    const roots = Array.from({ length: 20 }, random32)
    for (const root of roots) yield* lanes.enqueue(chainId, root, [random32()])
    const pulled = yield* Effect.all(senders.map(({ lane, lease }) => lanes.pull(lane, lease, 5)), { concurrency: "unbounded" })
    const all = pulled.flatMap(rootsOf)
    assert.equal(new Set(all).size, all.length)
  }))

  law("gives what a lane reserved and did not take to others, once its time is over", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const other = yield* aLane(lane.chainId)
    assert.deepEqual(yield* lanes.pull(other.lane, other.lease, 1), [])
    yield* passed(PULLED_MS + 1)
    assert.deepEqual(rootsOf(yield* lanes.pull(other.lane, other.lease, 1)), [root])
    assert.equal(yield* lanes.take(lane, lease, aSlot(root, 0)), false)
    assert.equal(yield* lanes.take(other.lane, other.lease, aSlot(root, 0)), true)
  }))

  law("puts a batch back for everybody, and gives it to nobody before its time", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const other = yield* aLane(lane.chainId)
    yield* lanes.putBack(lane, lease, root, "out-of-funds", 0)
    assert.deepEqual(yield* lanes.pull(other.lane, other.lease, 1), yield* lanes.waiting(lane.chainId, 1))
    yield* lanes.putBack(other.lane, other.lease, root, "over-budget", 60_000)
    assert.deepEqual(yield* lanes.pull(lane, lease, 1), [])
    assert.deepEqual((yield* lanes.waiting(lane.chainId, 1)).map(({ reason }) => reason), ["over-budget"])
    const { oldestMs, ...counted } = yield* lanes.backlog(lane.chainId)
    assert.deepEqual(counted, { waiting: 1, putOff: 1 })
    assert(oldestMs >= 0)
    yield* lanes.enqueue(lane.chainId, root, [random32()])
    assert.deepEqual(yield* lanes.pull(lane, lease, 1), [])
    yield* passed(60_001)
    assert.equal((yield* lanes.pull(lane, lease, 1)).length, 1)
    assert.deepEqual(yield* lanes.backlog(aChainId()), { waiting: 0, putOff: 0, oldestMs: 0 })
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
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
    yield* lanes.enqueue(lane.chainId, root, [random32()])
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
    assert.deepEqual(yield* lanes.pull(lane, lease, 10), [])
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
    yield* lanes.putBack(lane, lease, root, "late", 60_000)
    yield* lanes.report(lane, lease, { state: "late", balance: 1n, chainNonce: 1 })
    assert.deepEqual(yield* lanes.pull(lane, lease, 10), [])
    assert.equal(yield* lanes.fill(lane, lease, aSlot(NO_BATCH, 0)), false)
    assert.equal((yield* lanes.waiting(lane.chainId, 10)).length, 1)
    assert.deepEqual((yield* lanes.lanes(1_000)).filter(({ address }) => address === lane.address), [])
    assert.equal(yield* lanes.take(lane, newer, aSlot(root, 0)), true)
    const late = { nonce: 0, version: 1, snapshot: {}, isFinal: true }
    assert.equal(yield* lanes.save(lane, lease, { ...late, giveBack: { reason: "late", isFailure: true } }), false)
    assert.equal(yield* lanes.release(lane, lease, 0, "late"), false)
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
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

  law("gives a batch back with the decision that ends its slot, and counts failures, which wait ever longer", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    yield* lanes.take(lane, lease, aSlot(root, 0))
    assert.equal(yield* lanes.save(lane, lease, { nonce: 0, ...final, giveBack: { reason: "lost", isFailure: false } }), true)
    assert.deepEqual((yield* lanes.pull(lane, lease, 1)).map(({ root, failures, reason }) => ({ root, failures, reason })), [
      { root, failures: 0, reason: "lost" }
    ])
    for (const nonce of [1, 2, 3]) {
      assert.equal(yield* lanes.take(lane, lease, aSlot(root, nonce)), true)
      yield* lanes.save(lane, lease, { nonce, ...final, giveBack: { reason: "reverted", isFailure: true } })
      const pauseMs = FAILURE_PAUSE_FIRST_MS * 2 ** (nonce - 1)
      yield* passed(pauseMs - 1_000)
      assert.deepEqual(yield* lanes.pull(lane, lease, 1), [])
      yield* passed(1_000)
      assert.deepEqual((yield* lanes.pull(lane, lease, 1)).map(({ failures }) => failures), [nonce])
    }
  }))

  law("queues a batch again when its nonce is final and somebody still wants it", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const other = yield* aLane(lane.chainId)
    yield* lanes.take(lane, lease, aSlot(root, 0))
    yield* lanes.save(lane, lease, { nonce: 0, ...final })
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
    yield* lanes.enqueue(lane.chainId, root, [random32()])
    assert.deepEqual(rootsOf(yield* lanes.pull(other.lane, other.lease, 1)), [root])
  }))

  law("says whether a transaction may still bring a batch: while it is queued, and until its nonce is final", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    assert.equal(yield* lanes.isOnItsWay(random32()), false)
    assert.equal(yield* lanes.isOnItsWay(root), true)
    yield* lanes.take(lane, lease, aSlot(root, 0))
    assert.equal(yield* lanes.isOnItsWay(root), true)
    yield* lanes.save(lane, lease, { nonce: 0, ...final })
    assert.equal(yield* lanes.isOnItsWay(root), false)
    yield* lanes.enqueue(lane.chainId, root, [])
    assert.equal(yield* lanes.isOnItsWay(root), true)
  }))

  law("lets another lane carry the batch of a slot that is stuck, which stays open and gives nothing back later", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const other = yield* aLane(lane.chainId)
    yield* lanes.take(lane, lease, aSlot(root, 0))
    assert.equal(yield* lanes.release(lane, lease, 0, "no-key"), true)
    assert.equal(yield* lanes.release(lane, lease, 0, "no-key"), false)
    assert.deepEqual(rootsOf(yield* lanes.pull(other.lane, other.lease, 1)), [root])
    assert.equal(yield* lanes.take(other.lane, other.lease, aSlot(root, 0)), true)
    assert.equal((yield* lanes.open(lane)).slots.length, 1)
    yield* lanes.save(lane, lease, { nonce: 0, ...final, giveBack: { reason: "lost", isFailure: true } })
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
    assert.deepEqual((yield* lanes.open(lane)).slots, [])
    assert.equal(yield* lanes.release(lane, lease, 0, "late"), false)
  }))

  law("knows the nonces that never had a slot, and fills each once, without a batch", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [])
    assert.equal(yield* lanes.fill(lane, lease, aSlot(NO_BATCH, 0)), false)
    yield* lanes.take(lane, lease, aSlot(roots[0]!, 1))
    yield* lanes.take(lane, lease, aSlot(roots[1]!, 4))
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [0, 2, 3])
    assert.deepEqual(yield* lanes.holes(lane, 1, 1), [2])
    const filler = { ...aSlot(NO_BATCH, 2), attempt: { ...anAttempt(NO_BATCH, 2), isCancellation: true } }
    assert.equal(yield* lanes.fill(lane, lease, filler), true)
    assert.equal(yield* lanes.fill(lane, lease, filler), false)
    assert.equal(yield* lanes.fill(lane, lease, aSlot(NO_BATCH, 5)), false)
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [0, 3])
    const { nextNonce, slots } = yield* lanes.open(lane)
    assert.deepEqual([nextNonce, slots.map(({ nonce }) => nonce)], [5, [1, 2, 4]])
    assert.deepEqual(slots[1], { nonce: 2, root: NO_BATCH, version: 1, snapshot: filler.snapshot, attempts: [filler.attempt] })
  }))

  law("adds up what was mined within the window, by lane and by requester, each nonce once", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    const [rich, poor] = [randomAddress(), randomAddress()]
    for (const [nonce, root] of roots.entries()) yield* lanes.take(lane, lease, aSlot(root, nonce))
    const spend = (nonce: number, version: number, wei: bigint) =>
      lanes.save(lane, lease, {
        ...{ nonce, version, snapshot: {}, isFinal: false },
        spent: [{ requester: rich, wei }, { requester: poor, wei: 5n }]
      })
    assert.equal(yield* spend(0, 1, 2n ** 70n), true)
    assert.equal(yield* spend(0, 1, 7n), false)
    assert.equal(yield* spend(0, 2, 2n ** 71n), true)
    assert.equal(yield* spend(1, 1, 1n), true)
    assert.deepEqual(yield* lanes.spending(lane, 60_000, 10n), { lane: 2n ** 71n + 11n, overBudget: new Set([rich]) })
    assert.deepEqual(yield* lanes.spending({ ...lane, address: randomAddress() }, 60_000, 9n), {
      lane: 0n,
      overBudget: new Set([rich, poor])
    })
    yield* passed(3_600_000)
    assert.deepEqual(yield* lanes.spending(lane, 3_600_000, 0n), { lane: 0n, overBudget: new Set() })
    assert.equal(yield* spend(1, 2, 3n), true)
    assert.deepEqual(yield* lanes.spending(lane, 7_200_000, 2n ** 80n), { lane: 2n ** 71n + 13n, overBudget: new Set() })
  }))

  law("shows every lane: owner, state, balance, nonces, what was spent; and which have slots to watch", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    assert.deepEqual(yield* lanes.busy(lane.chainId), [])
    yield* lanes.report(lane, lease, { state: "out-of-funds", balance: 2n ** 70n, chainNonce: 3 })
    yield* lanes.report(lane, lease, { state: "working", balance: 2n ** 71n, chainNonce: null })
    yield* lanes.take(lane, lease, aSlot(root, 3))
    assert.deepEqual(yield* lanes.busy(lane.chainId), [lane])
    const spent = [{ requester: randomAddress(), wei: 12n }]
    yield* lanes.save(lane, lease, { nonce: 3, version: 1, snapshot: { value: "mined" }, isFinal: false, spent })
    const [seen, ...others] = (yield* lanes.lanes(60_000)).filter(({ address }) => address === lane.address)
    assert(seen !== undefined && seen.report !== null && others.length === 0)
    const { report: { atMs, ...report }, slots, ...rest } = seen
    assert.deepEqual(rest, { ...lane, owner: "sender-1", nextNonce: 4, spent: 12n })
    assert.deepEqual(report, { state: "working", balance: 2n ** 71n, chainNonce: null })
    assert(atMs > 1_600_000_000_000)
    assert.deepEqual(slots, [{ nonce: 3, state: "mined", attempts: 1, sinceMs: 1_795_000_000_123 }])
  }))

  law("puts parts in the place of a batch that is split, with its failures, and its parts where somebody asks for it again", Effect.gen(function*() {
    const { lane, lanes, lease, root } = yield* given()
    const other = random32()
    yield* passed(1_000)
    yield* lanes.enqueue(lane.chainId, other, [random32()])
    yield* lanes.take(lane, lease, aSlot(root, 0))
    yield* lanes.save(lane, lease, { nonce: 0, ...final, giveBack: { reason: "reverted", isFailure: true } })
    yield* passed(FAILURE_PAUSE_FIRST_MS)
    const parts = [true, true, false].map((isWanted) => ({ name: random32(), requestId: random32(), isWanted }))
    const [first, second, third] = parts
    assert(first !== undefined && second !== undefined && third !== undefined)
    assert.equal(yield* lanes.split(lane, lease, root, parts, "too dear"), false) // not pulled
    yield* lanes.pull(lane, lease, 10)
    assert.equal(yield* lanes.split(lane, { ...lease, epoch: lease.epoch + 1n }, root, parts, "too dear"), false)
    assert.equal(yield* lanes.split(lane, lease, root, parts, "too dear"), true)
    assert.equal(yield* lanes.split(lane, lease, root, parts, "too dear"), false)
    assert.equal(yield* lanes.isOnItsWay(root), true, "its parts are queued")
    const asPart = ({ name, requestId }: (typeof parts)[number]) => ({ root: name, requestIds: [requestId], failures: 1, rejections: 0, reason: "too dear" })
    const waiting = (yield* lanes.waiting(lane.chainId, 10)).filter((batch) => batch.root !== other)
    assert.deepEqual(waiting.toSorted((a, b) => (a.root < b.root ? -1 : 1)), [first, second].map(asPart).toSorted((a, b) => (a.root < b.root ? -1 : 1)))
    assert.notDeepEqual(rootsOf(yield* lanes.pull(lane, lease, 1)), [other])
    yield* lanes.pull(lane, lease, 10)
    yield* lanes.enqueue(lane.chainId, root, [first.requestId, third.requestId])
    const queued = rootsOf(yield* lanes.waiting(lane.chainId, 10))
    assert.deepEqual(queued.toSorted(), [other, ...parts.map(({ name }) => name)].toSorted())
    yield* lanes.putBack(lane, lease, first.name, "rejected", 0, true)
    yield* lanes.putBack(lane, lease, second.name, "over-budget", 0)
    const rejections = new Map((yield* lanes.waiting(lane.chainId, 10)).map((batch) => [batch.root, batch.rejections]))
    assert.deepEqual([rejections.get(first.name), rejections.get(second.name)], [1, 0])
  }))

  law("takes a batch off the queue that needs no transaction, and never one that has a nonce", Effect.gen(function*() {
    const { lane, lanes, lease, roots } = yield* given(2)
    const [first, second] = roots
    assert(first !== undefined && second !== undefined)
    yield* lanes.take(lane, lease, aSlot(first, 0))
    yield* lanes.discard(lane, lease, first)
    yield* lanes.discard(lane, lease, second)
    assert.equal((yield* lanes.requestsOf(first)).length, 1)
    assert.deepEqual(yield* lanes.waiting(lane.chainId, 10), [])
  }))
}
