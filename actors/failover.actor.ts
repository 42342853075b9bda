/**
 * Notices that the database is in another history than the one that was compared with the chain (a promoted standby, a restored copy, an
 * empty one), or that it lacks commits that this process or a witness outside has seen (a snapshot that was put back), and compares: what lost commits may have sent, asked and promised is settled before lanes send again (docs/adr/0023). Any
 * number of nodes may do so; a lease chooses one, and one that dies anywhere is followed by the next, which begins again.
 */
import { Clock, Duration, Effect, Schedule } from "effect"
import { openSlot } from "../machines/transaction-lane.machine.ts"
import type { Hex } from "../src/domain/hex.ts"
import { LEASE_MS, NODE_BEAT_TIMEOUT_MS } from "../src/domain/limits.ts"
import { ResultContract } from "../src/journey/6-submitted/result-contract.port.ts"
import { signCancellation } from "../src/journey/6-submitted/sign-fulfilment.ts"
import { type Attempt, type LaneId, LaneLedger, NO_BATCH } from "../src/ledger/lane-ledger.port.ts"
import { type Lease, leaseLost, Leases } from "../src/ledger/lease.port.ts"
import { isBehind, type Standing } from "../src/ledger/standing.ts"
import { isReconciled, isThawed, RECONCILE_LEASE, Timeline, type TimelineView } from "../src/ledger/timeline.port.ts"
import { REMEMBER_EVERY_MS, Witness } from "../src/ledger/witness.port.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { rescan, type RescanOptions } from "./rescan.actor.ts"
import type { FreezeView } from "./runtime/freeze.ts"
import { supervise } from "./runtime/supervise.ts"

/** A promotion takes seconds; it is noticed within one, and by whoever would sign something, at once. */
const LOOK_EVERY_MS = 1_000
const LOOK_AGAIN_MS = 200
/** Nonces that lost commits can have used: so many transactions are minutes of a busy lane. More is no failover, and pages somebody. */
export const ADOPTED_MAX = 1_024

/** It is said at the first of a stranger's words, and again after so many: of one that comes every few seconds, about once a minute. */
const STRANGER_REMINDER = 12

const RUNBOOK = "docs/runbooks/failover.md"

/** Commits may be lost: what is remembered is not there; or the server has started again, and nobody remembers how far it had come. */
const mayHaveLost = (remembered: Standing | null, seen: TimelineView): boolean => {
  if (remembered === null) return isReconciled(seen) && !seen.isVouched
  // Another database says so itself, until it has been compared.
  return (isReconciled(seen) || seen.standing.system === remembered.system) && isBehind(remembered, seen.standing)
}

/** Looks once a second; the first look is taken before this answers. A look that fails changes no belief. */
export const watchTimeline = Effect.gen(function* () {
  const timeline = yield* Timeline
  const telemetry = yield* Telemetry
  const witness = yield* Witness
  let remembered = yield* witness.recall
  let isFrozen = true
  let wasReconciled = false
  const freeze = (frozen: boolean) => {
    isFrozen = frozen
    telemetry.gauge("reconciling", isFrozen ? 1 : 0)
  }
  const look = Effect.gen(function* () {
    const seen = yield* timeline.look
    const { here, reconciled, noticedAtMs, standing } = seen
    if (mayHaveLost(remembered, seen)) {
      freeze(true)
      sayLost(telemetry, remembered, seen)
      yield* timeline.rewind(standing, remembered?.system === standing.system ? remembered.rewinds : 0)
      return
    }
    if (isFrozen && !wasReconciled && isReconciled(seen) && noticedAtMs !== null) telemetry.info("the database and the chain are reconciled", { history: here })
    if (!isFrozen && !isReconciled(seen)) sayNoticed(telemetry, { here, reconciled })
    wasReconciled = isReconciled(seen)
    remembered = standing
    freeze(!isThawed(seen) && !(isReconciled(seen) && (yield* timeline.vouch(standing))))
  }).pipe(Effect.timeout(Duration.millis(NODE_BEAT_TIMEOUT_MS)))
  yield* look.pipe(Effect.retry({ schedule: Schedule.spaced(Duration.millis(LOOK_AGAIN_MS)) }))
  const pause = Effect.suspend(() => Effect.sleep(Duration.millis(isFrozen ? LOOK_AGAIN_MS : LOOK_EVERY_MS)))
  yield* supervise("timeline", Effect.andThen(pause, look))
  let spokenOf: string | undefined
  let strangers = 0
  const remember = Effect.gen(function* () {
    if (remembered === null) return
    const { system } = remembered
    const before = yield* witness.remember(remembered)
    // What a replaced database has left is overwritten by our first word. Whoever speaks of another one after that lives.
    const isStranger = before !== null && before.system !== system && spokenOf === system
    spokenOf = system
    if (!isStranger) return
    if (strangers % STRANGER_REMINDER === 0) {
      telemetry.error("another cluster uses the same NATS account", { database: system, theirs: before.system, runbook: RUNBOOK })
    }
    strangers += 1
  })
  yield* supervise("witness", Effect.andThen(remember, Effect.sleep(Duration.millis(REMEMBER_EVERY_MS))))
  return { isFrozen: () => isFrozen } satisfies FreezeView as FreezeView
})

const sayLost = (telemetry: Telemetry["Service"], remembered: Standing | null, { here, standing }: TimelineView): void => {
  const where = { history: here, beganAt: standing.beganAt, position: standing.position, runbook: RUNBOOK }
  if (remembered === null) return telemetry.warn("the database started again, and nobody remembers how far it had come: lanes wait until the chain has been asked", where)
  const { system, timeline, rewinds } = remembered
  telemetry.warn("the database lacks commits that were seen: lanes wait until the chain has been asked what was lost", {
    ...{ ...where, remembered: `${system}/${timeline}.${rewinds}`, rememberedPosition: remembered.position }
  })
}

const sayNoticed = (telemetry: Telemetry["Service"], { here, reconciled }: Pick<TimelineView, "here" | "reconciled">): void =>
  telemetry.warn("the database is in another history: lanes wait until the chain has been asked what was lost", { here, reconciled, runbook: RUNBOOK })

export interface ReconcileOptions {
  /** This life of this node. */
  readonly owner: string
  /** Blocks that are read again; undefined where nothing is. */
  readonly rescan: Omit<RescanOptions, "everyMs"> | undefined
  readonly freeze: FreezeView
}

/** Compares whenever it has to. */
export const reconcileActor = Effect.fnUntraced(function* (options: ReconcileOptions) {
  const round = Effect.gen(function* () {
    if (options.freeze.isFrozen()) yield* reconcile(options)
    yield* Effect.sleep(Duration.millis(LOOK_AGAIN_MS))
  })
  yield* supervise("reconcile", round)
})

/** Each part is safe to do again, and changes nothing when it was done. Answers whether this node did it. */
export const reconcile = Effect.fnUntraced(function* ({ owner, rescan: range }: Omit<ReconcileOptions, "freeze">) {
  const leases = yield* Leases
  const timeline = yield* Timeline
  const telemetry = yield* Telemetry
  const contract = yield* ResultContract
  const [lease] = yield* leases.claim([RECONCILE_LEASE], owner, LEASE_MS)
  if (lease === undefined) return false
  return yield* Effect.gen(function* () {
    const history = yield* timeline.begin(lease)
    if (history === undefined) return false
    const lanes = contract.addresses.map((address): LaneId => ({ chainId: contract.chainId, address }))
    const adopted = yield* Effect.forEach(lanes, (lane) => reconcileLane(lane, lease, owner))
    const stray = (yield* LaneLedger.use((ledger) => ledger.busy(contract.chainId))).filter(({ address }) => !contract.addresses.includes(address))
    for (const { address } of stray) {
      telemetry.warn("a lane cannot be compared with the chain: this node does not have its key", { lane: address, runbook: RUNBOOK })
    }
    if (range !== undefined) yield* rescan(range, undefined)
    const mine = yield* stillMine(lease, owner)
    const isDone = yield* timeline.finish(mine, history)
    if (isDone) telemetry.info("compared the database with the chain", { history, lanes: lanes.length, adopted: adopted.reduce((sum, n) => sum + n, 0) })
    return isDone
  }).pipe(Effect.ensuring(Effect.ignore(leases.resign([lease], owner))))
})

/** Renewed as the work goes on: another node waits for it to end. */
const stillMine = Effect.fnUntraced(function* (lease: Lease, owner: string) {
  const [mine] = yield* Leases.use((leases) => leases.renew([lease], owner, LEASE_MS))
  return mine ?? (yield* leaseLost(lease))
})

/**
 * Every nonce up to the chain's that the ledger does not know gets a slot without a batch, with bytes that send nothing. Where the lost bytes
 * were mined or will be, the slot finds that out and ends; where they were forgotten, ours use the nonce up. Nobody signs anything else there.
 * An endpoint that lies about the nonce costs gas, and leaves no gap.
 */
const reconcileLane = Effect.fnUntraced(function* (lane: LaneId, lease: Lease, owner: string) {
  const contract = yield* ResultContract
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const { address } = lane
  const [latest, pending] = yield* contract.together(
    Effect.all([contract.nonceOf(address), contract.pendingNonceOf(address)], { concurrency: 2 })
  )
  const { nextNonce: known } = yield* ledger.open(lane)
  // A lane of which the ledger knows nothing begins where the chain is.
  const from = known ?? latest
  const to = Math.min(Math.max(latest, pending), from + ADOPTED_MAX)
  if (Math.max(latest, pending) > to) {
    telemetry.error("a lane's nonce leapt ahead", { lane: address, nextNonce: from, onChain: Math.max(latest, pending), runbook: RUNBOOK })
  }
  for (let nonce = from; nonce < to; nonce++) {
    const root: Hex = NO_BATCH
    const { rawTx, txHash, gasLimit, fees } = yield* signCancellation(address, nonce)
    const now = yield* Clock.currentTimeMillis
    const attempt: Attempt = { nonce, attemptNo: 0, root, txHash, rawTx, gasLimit, ...fees, isCancellation: true, signedAtMs: now }
    const { snapshot } = openSlot({ nonce, root, txHash, now })
    const mine = yield* stillMine(lease, owner)
    if (!(yield* ledger.adopt(lane, mine, { nonce, root, snapshot, attempt }))) return yield* leaseLost(lease)
  }
  if (to > from) telemetry.warn("the ledger had lost nonces of a lane", { lane: address, from, to: to - 1, runbook: RUNBOOK })
  return Math.max(0, to - from)
})
