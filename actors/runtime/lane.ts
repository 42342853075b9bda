/** One round over a lane, by whoever has its lease: settle what is open, hand on what is stuck, send what waits. Everything it stands on is in the
 * ledger; a round that dies anywhere is begun again. */
import { Clock, Effect } from "effect"
import { hasPassed, nextSlot, type SlotEvent, type TransactionLaneSnapshot } from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { LaneLedger, NO_BATCH, type Slot } from "../../src/ledger/lane-ledger.port.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { dueForFinality, goOn, isLookDue, look, standStill, type Driver } from "./lane-health.ts"
import { fillHoles, firstNonce, sendWaiting, type GivenUp } from "./lane-sending.ts"
import { Freeze } from "./freeze.ts"
import { Pauses } from "./pauses.ts"
import { drive, isCancelled, isMined } from "./slot.ts"

/** geth keeps at most 64 executable transactions of an account; half of that leaves room for replacements. */
const UNMINED_MAX = 32
/** Nonces of a lane that are not final. All of them are read in each round; at one each second they last for a quarter of an hour without finality. */
const OPEN_MAX = 1_024
/** Mined slots whose finality is asked for at once. */
const MINED_AT_ONCE = 8
/** A transaction that this lane cannot help (no key, no money) or cannot find may be mined any time or never: after this long another lane carries its
 * results as well. Whichever comes second finds them fulfilled and pays for that; requesters do not wait. */
export const STRANDED_AFTER_MS = 120_000

export interface MinedBatch {
  readonly root: Hex
  readonly txHash: Hex
  readonly block: { readonly blockNumber: number; readonly blockHash: Hex }
}

/** Who hears of what a round finds. At once, so that nothing that fails later in the round can lose it. */
export interface Herald<E, R> {
  readonly mined: (mined: MinedBatch) => Effect.Effect<void, E, R>
  readonly givenUp: (given: GivenUp) => Effect.Effect<void, E, R>
}

/** A lane that an operator has paused settles what it has and sends nothing new. Answers whether more is in the mempool, and whether anything was sent or mined. */
export const laneRound = Effect.fnUntraced(function* <E, R>(driver: Driver, herald: Herald<E, R>) {
  const { lane, health } = driver
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  // After a failover nothing is broadcast, not even what is stored, until the chain has been asked what was lost.
  if ((yield* Freeze).isFrozen()) {
    health.lookedAtMs = Number.NEGATIVE_INFINITY // what looked strange before may be in order then
    return { isWaiting: false, hasMoved: false }
  }
  const { nextNonce, slots } = yield* ledger.open(lane)
  telemetry.gauge("lane_open_slots", slots.length, lane.address)
  const { mined = [], unmined = [] } = Object.groupBy(slots, ({ snapshot }) =>
    isMined(snapshot as TransactionLaneSnapshot) ? "mined" : "unmined"
  )
  let minedNow = 0
  for (const slot of unmined) {
    const seen = yield* driveSlot(driver, slot)
    if (seen === undefined) continue
    minedNow += 1
    yield* herald.mined(seen)
  }
  const isPaused = (yield* Pauses).isPaused(`lane:${lane.chainId}/${lane.address}`)
  if (isPaused) yield* standStill(driver, "paused")
  else if (health.standstill === "paused") yield* goOn(driver)
  if (isLookDue(driver, yield* monotonicMs)) {
    const chainNonce = yield* look(driver, slots)
    if (health.standstill === "strange-nonce") yield* firstNonce(driver, nextNonce)
    if (driver.hasKey && health.standstill === undefined && nextNonce !== undefined && chainNonce < nextNonce) yield* fillHoles(driver, chainNonce)
  }
  const maySend = driver.hasKey && health.standstill === undefined && unmined.length < UNMINED_MAX && slots.length < OPEN_MAX
  const sent = maySend ? yield* sendWaiting(driver, nextNonce, unmined, Math.min(UNMINED_MAX - unmined.length, OPEN_MAX - slots.length), herald.givenUp) : 0
  // Last, for where finality is slow there are many of them and nobody waits for them here.
  yield* Effect.forEach(dueForFinality(driver, mined, yield* monotonicMs), (slot) => driveSlot(driver, slot), { concurrency: MINED_AT_ONCE, discard: true })
  return { isWaiting: unmined.length + sent > 0, hasMoved: minedNow + sent > 0 }
})

/** What is newly seen mined, and is what was meant. */
const driveSlot = Effect.fnUntraced(function* (driver: Driver, slot: Slot) {
  const wasMined = isMined(slot.snapshot as TransactionLaneSnapshot)
  const now = yield* Clock.currentTimeMillis
  const tick: SlotEvent = { type: "tick", now }
  const driven = yield* drive(driver, slot, nextSlot(slot.snapshot as TransactionLaneSnapshot, tick))
  const { snapshot } = driven.step
  const { mined } = snapshot.context
  if (mined === null) yield* handOn(driver, slot, snapshot, now)
  return !wasMined && mined !== null && mined.isSuccess && slot.root !== NO_BATCH && !isCancelled(driven.slot, snapshot)
    ? ({ root: slot.root, txHash: mined.txHash, block: mined.block } satisfies MinedBatch)
    : undefined
})

/** The nonce stays this slot's for ever; only its batch may travel. */
const handOn = Effect.fnUntraced(function* ({ lane, lease, hasKey, health }: Driver, slot: Slot, snapshot: TransactionLaneSnapshot, now: number) {
  const { nonceUsedSinceMs } = snapshot.context
  const isHelpless = !hasKey || health.standstill === "out-of-funds"
  const sinceMs = nonceUsedSinceMs ?? (isHelpless ? slot.attempts[0]?.signedAtMs : undefined)
  if (sinceMs === undefined || !hasPassed(STRANDED_AFTER_MS, sinceMs, now) || slot.root === NO_BATCH || health.released.has(slot.nonce)) return
  health.released.add(slot.nonce)
  const why = nonceUsedSinceMs === null ? (hasKey ? "out-of-funds" : "no-key") : "nonce-used"
  if (!(yield* LaneLedger.use((ledger) => ledger.release(lane, lease, slot.nonce, why)))) return
  const telemetry = yield* Telemetry
  telemetry.count("batches_handed_on", 1, lane.address)
  telemetry.warn("a lane hands on a batch", { lane: lane.address, nonce: slot.nonce, why, runbook: "docs/runbooks/submitted.md" })
})
