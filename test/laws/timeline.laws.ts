/** What every Timeline promises: in a history that nobody has compared with the chain no signed bytes are stored, and no epoch is given twice. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { type Attempt, laneHistoryLeaseName, type LaneId, laneLeaseName, LaneLedger, NO_BATCH } from "../../src/ledger/lane-ledger.port.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { isBehind } from "../../src/ledger/standing.ts"
import { ANSWERED_LATE_MS, isReconciled, RECONCILE_LEASE, Timeline } from "../../src/ledger/timeline.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChainId, aChange, born, ownPartition, random32, randomAddress } from "../support/ledger-world.ts"
import { sayReconciled } from "../support/reconciled.ts"

const aSlot = (root: Hex, nonce: number, attemptNo = 0) => ({
  nonce,
  root,
  snapshot: { value: "signed" },
  attempt: {
    ...{ nonce, attemptNo, root, txHash: random32(), rawTx: "0x02f86b", gasLimit: 1n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
    ...{ isCancellation: false, signedAtMs: 1_795_000_000_123 }
  } satisfies Attempt
})

export const timelineLaws = (world: () => LedgerRig): void => {
  /** Each law leaves a ledger that works. */
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) =>
    test(promise, () => world().run(Effect.ensuring(program, Effect.ignore(sayReconciled))))

  const failOver = Effect.suspend(() => Effect.promise(world().failOver))
  const aLane = Effect.gen(function*() {
    const lane: LaneId = { chainId: aChainId(), address: randomAddress() }
    const lanes = yield* LaneLedger
    const claim = Effect.map(Leases.use((leases) => leases.claim([laneLeaseName(lane)], "sender", 60_000)), ([lease]) => lease!)
    const queued = Effect.gen(function*() {
      const root = random32()
      yield* lanes.enqueue(lane.chainId, root, [random32()])
      yield* lanes.pull(lane, yield* claim, 10)
      return root
    })
    return { lane, lanes, claim, queued }
  })
  const claimReconcile = Effect.map(Leases.use((leases) => leases.claim([RECONCILE_LEASE], "test", 60_000)), ([lease]) => lease!)

  law("takes no nonce, fills none and stores no replacement while its history is unreconciled, even for the lane's owner", Effect.gen(function*() {
    const { lane, lanes, claim, queued } = yield* aLane
    const first = yield* queued
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(first, 7)), true)
    yield* failOver
    const root = yield* queued
    const lease = yield* claim // also one of the new history does not help
    assert.equal(yield* lanes.take(lane, lease, aSlot(root, 8)), false)
    assert.equal(yield* lanes.fill(lane, lease, aSlot(NO_BATCH, 3)), false)
    const change = { nonce: 7, version: 1, snapshot: { value: "bumping" }, isFinal: false }
    assert.equal(yield* lanes.save(lane, lease, { ...change, attempt: aSlot(first, 7, 1).attempt }), false)
    assert.deepEqual((yield* lanes.open(lane)).slots.map(({ attempts }) => attempts.length), [1])
    assert.equal(yield* lanes.save(lane, lease, change), true) // what the chain shows may be noted
    yield* sayReconciled
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(root, 8)), true)
  }))

  law("takes every lease away that was given in another history, and gives epochs beyond all that can have been lost", Effect.gen(function*() {
    const leases = yield* Leases
    const [name, other] = [`test/${random32()}`, `test/${random32()}`]
    const [lost] = yield* leases.claim([name, other], "a", 60_000)
    yield* failOver
    // The owner itself: it cannot know whether the lost commits gave its lease to somebody else.
    const [mine] = yield* leases.claim([name], "a", 60_000)
    assert(mine!.epoch > lost!.epoch + 1_000_000n)
    assert.deepEqual(yield* leases.claim([name], "a", 60_000), [mine])
    const timeline = yield* Timeline
    assert(yield* timeline.begin(yield* claimReconcile))
    assert.deepEqual(yield* leases.renew([mine!], "a", 60_000), [mine])
    assert.deepEqual((yield* leases.holders).filter((one) => one.name === other), [])
    const [next] = yield* leases.claim([other], "b", 60_000)
    assert(next!.epoch > lost!.epoch + 1_000_000n)
  }))

  law("adopts the very next nonce while it reconciles, and never otherwise", Effect.gen(function*() {
    const { lane, lanes, claim, queued } = yield* aLane
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(yield* queued, 4)), true)
    const before = yield* claimReconcile
    assert.equal(yield* lanes.adopt(lane, before, aSlot(NO_BATCH, 5)), false)
    yield* failOver
    const lease = yield* claimReconcile
    assert.equal(yield* lanes.adopt(lane, before, aSlot(NO_BATCH, 5)), false)
    assert.equal(yield* lanes.adopt(lane, lease, aSlot(NO_BATCH, 6)), false)
    assert.equal(yield* lanes.adopt(lane, lease, aSlot(NO_BATCH, 5)), true)
    assert.equal(yield* lanes.adopt(lane, lease, aSlot(NO_BATCH, 5)), false)
    const fresh = { ...lane, address: randomAddress() }
    assert.equal(yield* lanes.adopt(fresh, lease, aSlot(NO_BATCH, 9)), true)
    const { nextNonce, slots } = yield* lanes.open(lane)
    assert.deepEqual([nextNonce, slots.map(({ nonce, root }) => [nonce, root === NO_BATCH])], [6, [[4, false], [5, true]]])
  }))

  law("forgets what is final also while it reconciles, and gives no forgotten nonce away", Effect.gen(function*() {
    const { lane, lanes, claim, queued } = yield* aLane
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(yield* queued, 4)), true)
    const final = { nonce: 4, version: 1, snapshot: { value: "final" }, isFinal: true }
    assert.equal(yield* lanes.save(lane, yield* claim, final), true)
    yield* world().passHistoryTime(60_000)
    yield* failOver
    const [keeper] = yield* Leases.use((leases) => leases.claim([laneHistoryLeaseName(lane.chainId)], "keeper", 60_000))
    while ((yield* lanes.forget(keeper!, lane.chainId, { bytesMs: 0, historyMs: 0 }, 10)) > 0);
    const reconciling = yield* claimReconcile
    assert.equal(yield* lanes.signed(lane, 4, 0), undefined)
    assert.equal(yield* lanes.adopt(lane, reconciling, aSlot(NO_BATCH, 4)), false)
    assert.equal(yield* lanes.adopt(lane, reconciling, aSlot(NO_BATCH, 5)), true)
    const root = yield* queued
    yield* sayReconciled
    assert.deepEqual(yield* lanes.holes(lane, 0, 10), [])
    assert.equal(yield* lanes.fill(lane, yield* claim, aSlot(NO_BATCH, 4)), false)
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(root, 4)), false)
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(root, 6)), true)
  }))

  law("notes when a history was noticed, once, and makes requests due whose results are on their way", Effect.gen(function*() {
    const ledger = yield* RequestLedger
    const timeline = yield* Timeline
    const partition = 3
    const lease = yield* ownPartition(partition, "a")
    const [on, early] = yield* born(2, { partition })
    const later = { state: "threshold-verified" as const, wakeAfterMs: 3_000_000 }
    const change = { ...aChange(on!, lease), to: later.state, dispatch: null, wakeAfterMs: later.wakeAfterMs }
    yield* ledger.save([change, { ...aChange(early!, lease), dispatch: null, wakeAfterMs: later.wakeAfterMs }], "a")
    const seen = yield* timeline.look
    assert.equal(isReconciled(seen), true)
    yield* failOver
    assert.equal(isReconciled(yield* timeline.look), false)
    const mine = yield* claimReconcile
    const history = yield* timeline.begin(mine)
    const lookAt = Effect.map(timeline.look, ({ standing: _standing, ...view }) => view)
    const noticed = yield* lookAt
    assert(history !== undefined && noticed.noticedAtMs !== null && noticed.here === history)
    assert.equal(yield* AuditLedger.use((audit) => audit.lostUntilMs), noticed.noticedAtMs + ANSWERED_LATE_MS)
    assert.equal(yield* timeline.begin(mine), history)
    assert.deepEqual(yield* lookAt, noticed)
    const due = yield* ledger.claimOverdue([partition], 100, 60_000, [1])
    assert.deepEqual(due.map(({ requestId }) => requestId).filter((id) => [on!.id, early!.id].includes(id)), [on!.id])
    assert.equal(yield* timeline.finish({ ...mine, epoch: mine.epoch + 1n }, history), false)
    assert.equal(yield* timeline.finish(mine, "another/9"), false)
    assert.equal(yield* timeline.finish(mine, history), true)
    assert.equal(isReconciled(yield* timeline.look), true)
    assert.equal(yield* timeline.begin(mine), undefined)
  }))

  law("stores nothing signed in a life of the server that nobody has vouched for", Effect.gen(function*() {
    const { lane, lanes, claim, queued } = yield* aLane
    const root = yield* queued
    const timeline = yield* Timeline
    yield* Effect.promise(world().restart)
    const seen = yield* timeline.look
    assert.deepEqual([isReconciled(seen), seen.isVouched], [true, false])
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(root, 0)), false)
    assert.equal(yield* timeline.vouch({ ...seen.standing, life: seen.standing.life - 1 }), false)
    assert.equal(yield* timeline.vouch({ ...seen.standing, rewinds: seen.standing.rewinds + 1 }), false)
    assert.equal(yield* timeline.vouch(seen.standing), true)
    assert.equal((yield* timeline.look).isVouched, true)
    assert.equal(yield* lanes.take(lane, yield* claim, aSlot(root, 0)), true)
  }))

  law("tells how far it has come, and that a start of the server has lost nothing", Effect.gen(function*() {
    const { standing: before } = yield* (yield* Timeline).look
    yield* Leases.use((leases) => leases.claim([`test/${random32()}`], "a", 1))
    const { standing: after } = yield* (yield* Timeline).look
    assert(after.position > before.position && after.life === before.life && after.beganAt <= before.position)
    yield* Effect.promise(world().restart)
    const { standing: again } = yield* (yield* Timeline).look
    assert(again.life !== after.life && again.beganAt >= after.position && again.position >= again.beganAt)
    assert.equal(isBehind(after, again), false)
    assert.equal(isBehind({ ...after, position: again.beganAt + 1 }, again), true)
  }))

  law("shows that it was set back in its own timeline, though more has been written since than was lost", Effect.gen(function*() {
    const commit = Leases.use((leases) => leases.claim([`test/${random32()}`], "a", 1))
    const look = Effect.map((yield* Timeline).look, ({ here, standing }) => ({ here, standing }))
    let before = yield* look
    yield* Effect.promise(() => world().setBack(async () => {
      await world().run(commit)
      before = await world().run(look)
    }))
    for (let more = 0; more < 10; more++) yield* commit
    const after = yield* look
    assert.equal(after.here, before.here)
    assert(after.standing.position > before.standing.position)
    assert.equal(isBehind(before.standing, after.standing), true)
  }))

  law("begins a new history when commits are said to be lost, once for all who saw it, and beyond all that are remembered", Effect.gen(function*() {
    const timeline = yield* Timeline
    const { standing, here } = yield* timeline.look
    assert.equal(yield* timeline.rewind({ ...standing, life: standing.life + 1 }, 0), false)
    assert.equal(yield* timeline.rewind(standing, standing.rewinds + 5), true)
    assert.equal(yield* timeline.rewind(standing, standing.rewinds), false)
    const seen = yield* timeline.look
    assert.equal(seen.standing.rewinds, standing.rewinds + 6)
    assert.equal(isReconciled(seen), false)
    assert.equal(seen.reconciled, here)
    const history = yield* timeline.begin(yield* claimReconcile)
    assert.equal(history, seen.here)
  }))

  law("compares again when an operator says so, writes that down, and not twice at once", Effect.gen(function*() {
    const timeline = yield* Timeline
    assert.equal(yield* timeline.order({ by: "ann", why: "a backup was restored" }), true)
    assert.equal(yield* timeline.order({ by: "ann", why: "again" }), false)
    const seen = yield* timeline.look
    assert.equal(isReconciled(seen), false)
    const [action] = yield* Cluster.use((cluster) => cluster.actions(1))
    const { atMs: _atMs, ...written } = action!
    assert.deepEqual(written, { by: "ann", action: "reconcile", target: seen.here, why: "a backup was restored" })
  }))
}
