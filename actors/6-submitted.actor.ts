/** threshold-verified -> submitted -> finalized. Batches are queued for their chain; each lane is driven by whoever holds its lease and pulls
 * from the queue when it has room; results are watched until their block is final. "Already done on chain" is success, whoever did
 * it. */
import { Clock, Deferred, Duration, Effect } from "effect"
import { contextOf, knowsMachineVersion } from "../machines/decide.ts"
import type { Hex } from "../src/domain/hex.ts"
import { LEASE_MS } from "../src/domain/limits.ts"
import type { StepOutcome } from "../src/domain/outcome.ts"
import { ResultContract } from "../src/journey/6-submitted/result-contract.port.ts"
import { findFulfilment, watchFinality } from "../src/journey/6-submitted/settle-submission.ts"
import { LaneLedger, laneLeaseName, type LaneId } from "../src/ledger/lane-ledger.port.ts"
import { type HeldLease, LeaseKeeper } from "../src/ledger/lease-keeper.port.ts"
import { Leases } from "../src/ledger/lease.port.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../src/ledger/result-ledger.port.ts"
import type { RequestId } from "../src/domain/request.ts"
import type { StoredRequest } from "../src/ledger/stored-request.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { laneRound, type MinedBatch } from "./runtime/lane.ts"
import { freshHealth, SPEND_BUDGET, type Driver, type LaneHealth, type SpendBudget } from "./runtime/lane-health.ts"
import type { GivenUp } from "./runtime/lane-sending.ts"
import { outcomesOfFailure, settle } from "./runtime/outcome-of-failure.ts"
import { publishOutcomes } from "./runtime/publish-outcomes.ts"
import { stepActor } from "./runtime/step-actor.ts"
import { supervise } from "./runtime/supervise.ts"

/** A lane looks around this often even when nobody wakes it. */
const LANE_TICK_MS = 500
/** While something of it is in the mempool it looks soon, and then less and less often: a chain that mines at once is not waited for, and one
 * that takes seconds is not asked a hundred times. */
const LANE_TICK_UNMINED_FIRST_MS = 4
const LANE_TICK_UNMINED_LONGEST_MS = 64
const LANE_RETRY_MS = 1_000
/** Every call in a round has a bound of its own; this ends what those forget. Well above thirty open nonces at an endpoint that takes a second for each
 * answer: a round that is cut off begins again at the lowest nonce, and never comes to what waits. The lease is renewed meanwhile, and fences. */
const ROUND_MS_MAX = 6 * LEASE_MS
/** Nobody sends on a stray lane, so a few seconds more or less do not matter there. */
const STRAY_LANES_EVERY_MS = 5_000
/** An operator waits for it, and it takes as long as the finality of what was sent before. */
const RESUME_POLL_MS = 1_000

/** Wakes the lanes of this process; others find their work at the next tick. */
export interface Bell {
  readonly ring: () => void
  /** Ends at the first ring after this call. */
  readonly listen: () => Effect.Effect<void>
}

export const makeBell = (): Bell => {
  let waiting = Deferred.makeUnsafe<void>()
  return {
    ring: () => {
      const rung = waiting
      waiting = Deferred.makeUnsafe<void>()
      Deferred.doneUnsafe(rung, Effect.void)
    },
    listen: () => Deferred.await(waiting)
  }
}

/** Queues attested batches. Sent again by the sweeper, it asks the chain what became of the result. A request without one goes back a step: its
 * outcome reached a database that had lost the result itself (docs/adr/0023). */
export const submitActor = (concurrency: number, bell: Bell) =>
  stepActor("threshold-verified", concurrency, (requests) =>
    enqueue(requests).pipe(
      Effect.tap(Effect.sync(bell.ring)),
      Effect.flatMap((roots) =>
        Effect.forEach(requests, (request) => settle(settleOnChain(request, roots.has(request.id)), request), { concurrency: 8 })
      ),
      Effect.catch((error) => outcomesOfFailure(error, requests))
    )
  )

/** Answers the requests that stand in a batch. */
const enqueue = Effect.fnUntraced(function* (requests: ReadonlyArray<StoredRequest>) {
  const results = yield* ResultLedger
  const lanes = yield* LaneLedger
  const contract = yield* ResultContract
  const roots = yield* results.rootOf(requests.map(({ id }) => id))
  for (const [root, ids] of Map.groupBy(roots.keys(), (id) => roots.get(id)!)) {
    yield* lanes.enqueue(contract.chainId, root, ids)
  }
  return roots
})

const settleOnChain = Effect.fnUntraced(function* (request: StoredRequest, hasResult: boolean) {
  const { id, facts } = request
  const contract = yield* ResultContract
  const [status] = yield* contract.statuses([id])
  const nowSeconds = (yield* Clock.currentTimeMillis) / 1_000
  if (status === "requested" && nowSeconds <= facts.deadline) return hasResult ? null : yield* resultLost(request) // null: on its way
  return (yield* findFulfilment(id, facts.deadline)) ?? null
})

/** It stands in no batch: a failover took its result, or it halted, which deletes that, and was redriven. What was signed or queued before may still
 * bring the result to the chain, so nothing else is sent until it cannot. */
const resultLost = Effect.fnUntraced(function* (request: StoredRequest) {
  if (!knowsMachineVersion(request.machineVersion)) return null
  const { root } = contextOf(request).known
  if (root !== undefined && (yield* LaneLedger.use((lanes) => lanes.isOnItsWay(root)))) {
    return { type: "postponed", reason: "an-earlier-transaction-may-carry-it", retryAfterMs: RESUME_POLL_MS } satisfies StepOutcome as StepOutcome
  }
  const telemetry = yield* Telemetry
  telemetry.count("results_lost")
  telemetry.warn("a verified result is gone: it is made again", { requestId: request.id, runbook: "docs/runbooks/failover.md" })
  return { type: "result-lost" } satisfies StepOutcome as StepOutcome
})

/** Watches submitted results until their block is final. */
export const finalityActor = (concurrency: number) =>
  stepActor("submitted", concurrency, (requests) =>
    Effect.forEach(
      requests,
      (request) => {
        // A newer build wrote it: it is given out again, until a worker of that build takes it.
        if (!knowsMachineVersion(request.machineVersion)) return Effect.succeed(null)
        const { submission } = contextOf(request).known
        const gone: StepOutcome = { type: "halted", reason: "no-submission", detail: "submitted without a transaction" }
        return submission === undefined
          ? Effect.succeed(gone)
          : settle(watchFinality(request.id, request.facts.deadline, submission.txHash, submission.block), request)
      },
      { concurrency: 8 }
    )
  )

export interface LaneOptions {
  /** This life of this node. */
  readonly owner: string
  readonly bell: Bell
  readonly budget?: SpendBudget
}

/** Drives one lane for as long as this process can have its lease. */
export const laneActor = Effect.fnUntraced(function* (lane: LaneId, { owner, bell, budget = SPEND_BUDGET }: LaneOptions) {
  const keeper = yield* LeaseKeeper
  const name = laneLeaseName(lane)
  let health = freshHealth()
  let held: HeldLease | undefined
  let unminedMs = LANE_TICK_UNMINED_FIRST_MS
  const lease = Effect.gen(function* () {
    if (held?.isTrusted()) return held.lease
    const [claimed] = yield* keeper.hold([name], owner)
    held = claimed
    return claimed?.lease
  })
  const round = Effect.gen(function* () {
    const mine = yield* lease
    if (mine === undefined) {
      health = freshHealth() // whoever has the lane now knows better
      return yield* Effect.sleep(Duration.millis(LANE_RETRY_MS))
    }
    const rung = bell.listen() // before the round: a ring in the middle of it is heard too
    const driver: Driver = { lane, lease: mine, hasKey: true, budget, health }
    const { isWaiting, hasMoved } = yield* laneRound(driver, HERALD).pipe(Effect.timeout(Duration.millis(ROUND_MS_MAX)))
    unminedMs = hasMoved ? LANE_TICK_UNMINED_FIRST_MS : Math.min(unminedMs * 2, LANE_TICK_UNMINED_LONGEST_MS)
    yield* Effect.race(rung, Effect.sleep(Duration.millis(isWaiting ? unminedMs : LANE_TICK_MS)))
  }).pipe(Effect.tapCause(() => Effect.sync(() => (held = undefined)))) // whatever went wrong, the next round asks who owns the lane
  // Before the rounds begin, so that it runs after they have ended: a round that is still claiming would take the lane back.
  yield* Effect.addFinalizer(() =>
    keeper.hold([name], owner).pipe(
      Effect.andThen(keeper.giveBack([name], owner)),
      Effect.timeout(Duration.seconds(2)),
      Effect.ignore
    )
  )
  yield* supervise(`lane-${lane.address.slice(0, 12)}`, round) // short enough to stand in a metric
})

/** Watches lanes that nobody drives, because their key is lost or their nodes are down: what is open there is looked for on chain and sent again as it
 * is, and what stays stuck is handed on. It never keeps such a lane: whoever has the key finds its lease free. */
export const strayLanesActor = Effect.fnUntraced(function* ({ owner, budget = SPEND_BUDGET }: Omit<LaneOptions, "bell">) {
  const leases = yield* Leases
  const contract = yield* ResultContract
  const ours = new Set(contract.addresses)
  const healths = new Map<Hex, LaneHealth>()
  const visit = Effect.fnUntraced(function* (lane: LaneId) {
    const [lease] = yield* leases.claim([laneLeaseName(lane)], owner, LEASE_MS)
    if (lease === undefined) return
    const health = healths.get(lane.address) ?? freshHealth()
    healths.set(lane.address, health)
    yield* laneRound({ lane, lease, hasKey: false, budget, health }, HERALD).pipe(
      Effect.timeout(Duration.millis(LEASE_MS)),
      Effect.ensuring(Effect.ignore(leases.resign([lease], owner)))
    )
  })
  const look = Effect.gen(function* () {
    yield* Effect.sleep(Duration.millis(STRAY_LANES_EVERY_MS))
    const busy = yield* LaneLedger.use((ledger) => ledger.busy(contract.chainId))
    yield* Effect.forEach(busy.filter(({ address }) => !ours.has(address)), visit, { discard: true })
  })
  yield* supervise("stray-lanes", look)
})

/** A batch was mined: every request in it that the contract now calls fulfilled has been submitted. */
const announce = Effect.fnUntraced(function* ({ root, txHash, block }: MinedBatch) {
  const lanes = yield* LaneLedger
  const ledger = yield* RequestLedger
  const contract = yield* ResultContract
  const batch = yield* ResultLedger.use((results) => results.batch(root))
  const ids = batch?.responses.map(({ requestId }) => requestId) ?? (yield* lanes.requestsOf(root))
  const [requests, statuses, receipt] = yield* Effect.all([ledger.load(ids), contract.statuses(ids), contract.mined([txHash])], { concurrency: 3 })
  // A request may stand in two batches, and whichever is mined first has fulfilled it: the other's transaction succeeds, and is not the one.
  const isSkipped = (id: RequestId) => receipt?.fulfilled !== undefined && !receipt.fulfilled.includes(id)
  const fulfilled = new Set(ids.filter((id, index) => statuses[index] === "fulfilled" && !isSkipped(id)))
  yield* sayOf(requests.filter(({ id }) => fulfilled.has(id)), { type: "submitted", txHash, block })
})

/** Nothing that we can do brings these results to the chain, and somebody was paged long ago. */
const giveUp = Effect.fnUntraced(function* ({ batch, reason, detail }: GivenUp) {
  const requests = yield* RequestLedger.use((ledger) => ledger.load(batch.responses.map(({ requestId }) => requestId)))
  yield* sayOf(requests, { type: "halted", reason, detail })
})

const HERALD = { mined: announce, givenUp: giveUp }

const sayOf = (requests: ReadonlyArray<StoredRequest>, outcome: StepOutcome) =>
  publishOutcomes(
    requests
      .filter(({ state }) => state === "threshold-verified")
      .map(({ id, version, partition }) => ({ partition, item: { requestId: id, version, reached: "threshold-verified" as const, outcome } }))
  )
