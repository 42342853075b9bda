/** What every LaneLedger promises about what it forgets: only what has been final for so long, and nothing that anybody may still ask for. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { FAILURE_PAUSE_FIRST_MS, type LaneId, laneHistoryLeaseName, laneLeaseName, LaneLedger, NO_BATCH } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChainId, anEnd, born, ownPartition, random32, randomAddress } from "../support/ledger-world.ts"
import { aPartition } from "./request-ledger.laws.ts"

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const RAW_TX = "0x02f86b"

export const laneMemoryLaws = (world: () => LedgerRig): void => {
  const passed = (ms: number) => world().passHistoryTime(ms)
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  /** A lane of a chain of its own that has pulled batches, and whoever forgets there. Attempts were signed an hour ago, unless told otherwise. */
  const given = Effect.fnUntraced(function*(batches: number, chainId = aChainId()) {
    const lanes = yield* LaneLedger
    const leases = yield* Leases
    const lane: LaneId = { chainId, address: randomAddress() }
    const [lease] = yield* leases.claim([laneLeaseName(lane)], "sender-1", HOUR_MS)
    const [keeper] = yield* leases.claim([laneHistoryLeaseName(chainId)], "sender-1", HOUR_MS)
    assert(lease !== undefined && keeper !== undefined)
    const roots = Array.from({ length: batches }, random32)
    const ids = roots.map(random32)
    for (const [index, root] of roots.entries()) yield* lanes.enqueue(chainId, root, [ids[index]!])
    yield* lanes.pull(lane, lease, batches)
    const hourAgo = (yield* world().nowMs) - HOUR_MS
    const slot = (root: Hex, nonce: number, signedAtMs = hourAgo) => ({
      ...{ nonce, root, snapshot: { value: "signed" } },
      attempt: {
        ...{ nonce, root, attemptNo: 0, txHash: random32(), rawTx: RAW_TX as Hex, gasLimit: 1n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
        ...{ isCancellation: false, signedAtMs }
      }
    })
    return {
      ...{ lane, lanes, lease, keeper, roots, ids, slot },
      take: (root: Hex, nonce: number, signedAtMs?: number) => lanes.take(lane, lease, slot(root, nonce, signedAtMs)),
      becomesFinal: (nonce: number) => lanes.save(lane, lease, { nonce, version: 1, snapshot: { value: "final" }, isFinal: true }),
      forget: (bytesMs: number, historyMs: number, limit = 10, by = keeper) => lanes.forget(by, chainId, { bytesMs, historyMs }, limit),
      bytesAt: (nonce: number) => lanes.signed(lane, nonce, 0)
    }
  })

  law("reads the bytes of what was mined only when they are asked for", Effect.gen(function*() {
    const { lane, lanes, lease, roots, slot: aSlot } = yield* given(1)
    const slot = aSlot(roots[0]!, 0)
    yield* lanes.take(lane, lease, slot)
    const mined = { value: "mined", context: { mined: { txHash: slot.attempt.txHash } } }
    yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: mined, isFinal: false })
    assert.deepEqual((yield* lanes.open(lane)).slots[0]?.attempts, [{ ...slot.attempt, rawTx: null }])
    assert.equal(yield* lanes.signed(lane, 0, slot.attempt.attemptNo), slot.attempt.rawTx)
    assert.equal(yield* lanes.signed(lane, 0, 9), undefined)
    yield* lanes.save(lane, lease, { nonce: 0, version: 2, snapshot: { value: "broadcast", context: { mined: null } }, isFinal: false })
    assert.deepEqual((yield* lanes.open(lane)).slots[0]?.attempts, [slot.attempt])
  }))

  law("forgets the bytes of what has been final for so long, later all about it, and nothing of what is not", Effect.gen(function*() {
    const { lane, lanes, lease, roots, take, becomesFinal, forget, bytesAt } = yield* given(3)
    const [first, second, open] = roots as [Hex, Hex, Hex]
    for (const [nonce, root] of roots.entries()) yield* take(root, nonce)
    assert.equal(yield* forget(0, 0), 0, "however long ago it was signed")
    yield* becomesFinal(0)
    yield* passed(2 * MINUTE_MS)
    yield* becomesFinal(1)
    assert.equal(yield* forget(3 * MINUTE_MS, 3 * MINUTE_MS), 0)
    assert.equal(yield* forget(MINUTE_MS, 3 * MINUTE_MS), 1)
    assert.equal(yield* forget(MINUTE_MS, 3 * MINUTE_MS), 0)
    assert.deepEqual([yield* bytesAt(0), yield* bytesAt(1), yield* bytesAt(2)], [undefined, RAW_TX, RAW_TX])
    assert.notDeepEqual(yield* lanes.requestsOf(first), [])
    assert.equal(yield* forget(HOUR_MS, MINUTE_MS), 3, "slot, attempt and batch")
    assert.deepEqual(yield* lanes.requestsOf(first), [])
    assert.notDeepEqual(yield* lanes.requestsOf(second), [])
    assert.notDeepEqual(yield* lanes.requestsOf(open), [])
    yield* passed(HOUR_MS)
    while ((yield* forget(0, 0)) > 0);
    assert.deepEqual((yield* lanes.open(lane)).slots.map(({ nonce, attempts }) => [nonce, attempts[0]?.rawTx]), [[2, RAW_TX]])
    assert.deepEqual((yield* lanes.open(lane)).nextNonce, 3)
    assert(yield* lanes.release(lane, lease, 2, "its batch is still there"))
  }))

  law("forgets in portions, the oldest first, for all lanes of a chain and no other", Effect.gen(function*() {
    const one = yield* given(3)
    const other = yield* given(1, one.lane.chainId)
    const elsewhere = yield* given(1)
    for (const { roots, take, becomesFinal } of [one, other, elsewhere]) {
      for (const [nonce, root] of roots.entries()) {
        yield* take(root, nonce)
        yield* becomesFinal(nonce)
        yield* passed(1_000)
      }
    }
    assert.equal(yield* other.forget(0, HOUR_MS, 2), 2)
    assert.equal(yield* other.forget(0, HOUR_MS, 10), 2)
    assert.equal(yield* other.forget(0, 0, 3), 9)
    assert.deepEqual(yield* one.lanes.requestsOf(one.roots[2]!), [])
    assert.notDeepEqual(yield* one.lanes.requestsOf(other.roots[0]!), [])
    assert.equal(yield* elsewhere.bytesAt(0), RAW_TX)
  }))

  law("forgets nothing without the lease", Effect.gen(function*() {
    const { keeper, roots, take, becomesFinal, forget, bytesAt } = yield* given(1)
    yield* take(roots[0]!, 0)
    yield* becomesFinal(0)
    yield* passed(MINUTE_MS)
    assert.equal(yield* forget(0, 0, 10, { ...keeper, epoch: keeper.epoch + 1n }), 0)
    assert.equal(yield* bytesAt(0), RAW_TX)
  }))

  law("keeps what a sender with a fast clock has signed until that clock's time", Effect.gen(function*() {
    const { roots, take, becomesFinal, forget, bytesAt } = yield* given(1)
    yield* take(roots[0]!, 0, (yield* world().nowMs) + 2 * HOUR_MS)
    yield* becomesFinal(0)
    yield* passed(MINUTE_MS)
    assert.equal(yield* forget(0, 0), 0)
    assert.equal(yield* bytesAt(0), RAW_TX)
  }))

  law("takes no forgotten nonce for one that nobody used, however low the chain's is said to be", Effect.gen(function*() {
    const { lane, lanes, lease, roots, slot, take, becomesFinal, forget } = yield* given(3)
    for (const [index, root] of roots.entries()) yield* take(root, 2 * index)
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [1, 3])
    yield* becomesFinal(2)
    yield* passed(MINUTE_MS)
    while ((yield* forget(0, 0)) > 0);
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [3])
    assert.equal(yield* lanes.fill(lane, lease, slot(NO_BATCH, 2)), false)
    assert.equal(yield* lanes.fill(lane, lease, slot(NO_BATCH, 1)), false)
    assert.equal(yield* lanes.fill(lane, lease, slot(NO_BATCH, 3)), true)
  }))

  law("carries a batch again whose nonce is forgotten, and keeps one that another nonce carries", Effect.gen(function*() {
    const { lane, lanes, lease, roots, ids, take, becomesFinal, forget } = yield* given(2)
    const [again, moved] = roots as [Hex, Hex]
    yield* take(again, 0)
    yield* take(moved, 1)
    yield* lanes.release(lane, lease, 1, "nonce-used")
    yield* lanes.pull(lane, lease, 1)
    yield* take(moved, 2)
    yield* becomesFinal(0)
    yield* becomesFinal(1)
    yield* passed(MINUTE_MS)
    while ((yield* forget(0, 0)) > 0);
    assert.deepEqual(yield* lanes.requestsOf(moved), [ids[1]])
    assert.equal(yield* lanes.isOnItsWay(moved), true)
    yield* lanes.enqueue(lane.chainId, again, [ids[0]!])
    assert.deepEqual((yield* lanes.pull(lane, lease, 10)).map(({ root }) => root), [again])
    assert.equal(yield* take(again, 3), true)
  }))

  law("forgets what was spent when nobody counts it any more", Effect.gen(function*() {
    const { lane, lanes, lease, roots, take, forget } = yield* given(1)
    yield* take(roots[0]!, 0)
    const spent = [randomAddress(), randomAddress()].map((requester) => ({ requester, wei: 5n }))
    yield* lanes.save(lane, lease, { nonce: 0, version: 1, snapshot: { value: "mined" }, isFinal: false, spent })
    yield* passed(MINUTE_MS)
    assert.equal(yield* forget(0, 2 * MINUTE_MS), 0)
    assert.equal(yield* forget(0, 30_000, 1), 1)
    assert.equal((yield* lanes.spending(lane, HOUR_MS, 0n)).lane, 5n)
    assert.equal(yield* forget(0, 30_000), 1)
    assert.equal((yield* lanes.spending(lane, HOUR_MS, 0n)).lane, 0n)
  }))

  /** A kept batch with the results of two requests, queued and pulled, and what ends the requests. */
  const kept = Effect.fnUntraced(function*() {
    const all = yield* given(0)
    const { lane, lanes, lease } = all
    const partition = aPartition()
    const coordinator = yield* ownPartition(partition, "coordinator-1")
    const requests = yield* born(2, { partition })
    const ids = requests.map(({ id }) => id)
    const root = random32()
    const responses = ids.map((requestId) => ({ requestId, result: new Uint8Array(randomBytes(100)) }))
    const attested = { root, count: 2, epoch: 2, expiry: 1_900_000_000 }
    const batch = { attested, chainId: lane.chainId, gateway: randomAddress(), attestation: new Uint8Array(randomBytes(128)), responses }
    yield* ResultLedger.use((results) => results.keep(batch))
    yield* lanes.enqueue(lane.chainId, root, ids)
    yield* lanes.pull(lane, lease, 1)
    const end = (request: StoredRequest) => RequestLedger.use((ledger) => ledger.save([anEnd(request, coordinator)], "worker-1"))
    return { ...all, requests, ids, root, end }
  })

  law("forgets a batch and its leaves with the nonce that carried it, unless one of its requests lives", Effect.gen(function*() {
    const { behind } = world()
    const { requests, root, end, take, becomesFinal, forget } = yield* kept()
    const leaves = Effect.promise(() => behind.sealedResults(root))
    yield* take(root, 0)
    yield* becomesFinal(0)
    yield* end(requests[0]!)
    yield* passed(MINUTE_MS)
    assert.equal(yield* forget(0, HOUR_MS), 1)
    assert.equal(yield* forget(0, 0), 3, "slot, attempt and what was queued")
    assert.equal((yield* leaves).length, 2)
    assert(yield* LaneLedger.use((lanes) => lanes.isOnItsWay(root)))
    const again = yield* kept()
    const leavesAgain = Effect.promise(() => behind.sealedResults(again.root))
    yield* again.take(again.root, 0)
    yield* again.becomesFinal(0)
    for (const request of again.requests) yield* again.end(request)
    yield* passed(MINUTE_MS)
    assert.equal(yield* again.forget(0, HOUR_MS), 1)
    assert.deepEqual(yield* leavesAgain, [null, null])
    assert.equal(yield* again.forget(0, 0), 6)
    assert.deepEqual(yield* leavesAgain, [])
    assert.equal(yield* again.forget(0, 0), 0)
  }))

  law("keeps the parts of a split batch as long as one of them may be wanted or mined", Effect.gen(function*() {
    const { behind } = world()
    const { lane, lanes, lease, requests, ids, root, end, take, becomesFinal, forget } = yield* kept()
    const parts = ids.map((requestId, index) => ({ name: random32(), requestId, isWanted: index === 0 }))
    const part = parts[0]!.name
    assert(yield* lanes.split(lane, lease, root, parts, "reverted"))
    yield* passed(MINUTE_MS)
    assert.equal(yield* forget(0, 0), 0, "their requests stand in them")
    for (const request of requests) yield* end(request)
    assert.equal(yield* forget(0, 0), 0, "one of them is queued")
    yield* lanes.pull(lane, lease, 1)
    yield* take(part, 0)
    yield* lanes.release(lane, lease, 0, "nonce-used")
    yield* lanes.pull(lane, lease, 1)
    yield* lanes.discard(lane, lease, part)
    assert.equal(yield* forget(0, 0), 0, "a transaction with it may be mined")
    assert.equal(yield* lanes.isOnItsWay(root), true)
    yield* becomesFinal(0)
    yield* passed(FAILURE_PAUSE_FIRST_MS)
    assert.equal(yield* forget(HOUR_MS, 0), 5, "the parts, their batch and both leaves")
    assert.equal(yield* lanes.isOnItsWay(root), false)
    assert.deepEqual(yield* Effect.promise(() => behind.sealedResults(root)), [])
  }))

  test("has a database in which signed bytes are never altered, and forgotten only when their nonce is final", async () => {
    const { behind, run } = world()
    const { roots, becomesFinal } = await run(Effect.tap(given(1), ({ roots: [first], take }) => take(first!, 0)))
    const root = roots[0]!
    const refused = (change: (root: Hex) => Promise<unknown>) => assert.rejects(change(root), { code: "23001" })
    await refused(behind.alterAttempts)
    await refused(behind.emptyAttempts)
    await refused(behind.deleteAttempts)
    await refused(behind.deleteSlots)
    assert(await run(becomesFinal(0)))
    await refused(behind.alterAttempts)
    await refused(behind.deleteAttempts)
    await behind.emptyAttempts(root)
    await refused(behind.alterAttempts)
    await behind.deleteAttempts(root)
  })
}
