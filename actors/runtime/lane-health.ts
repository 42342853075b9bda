/** Whether a lane may send anything new, and what it says when it may not. What is known of it between two rounds lives here, in memory: all of it
 * is looked up again by whoever drives the lane next. */
import { Effect } from "effect"
import type { TransactionLaneSnapshot } from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { LaneLedger, type LaneId, type Slot } from "../../src/ledger/lane-ledger.port.ts"
import type { Lease } from "../../src/ledger/lease.port.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

/** Balance, nonce and spending are looked at this often while nothing is wrong, and a lane that stands still looks whether it may go on. */
const LOOK_EVERY_MS = 10_000
/** What was spent is read at most this often; what is signed since is added. */
const SPENDING_EVERY_MS = 5_000
/** The cheapest fulfilment; a lane that cannot pay for one at today's fees does not begin. */
export const LEAST_GAS = 200_000n
const GWEI = 10n ** 9n

/** Most that mined transactions may cost within a sliding window, in wei. */
export interface SpendBudget {
  readonly windowMs: number
  readonly lane: bigint
  readonly requester: bigint
}

/** Two ether in an hour pay for some two hundred full batches at 20 gwei; one requester may use a quarter of that. */
export const SPEND_BUDGET: SpendBudget = { windowMs: 3_600_000, lane: 2n * 10n ** 18n, requester: 5n * 10n ** 17n }

/** Why a lane sends nothing new. `no-key`: nobody who could sign drives it. */
export type Standstill = "out-of-funds" | "over-budget" | "strange-nonce" | "paused" | "no-key"

export interface LaneHealth {
  standstill: Standstill | undefined
  lookedAtMs: number
  spending: { readonly atMs: number; readonly lane: bigint; readonly overBudget: ReadonlySet<Hex> } | undefined
  /** Nonces whose batch others may carry. */
  readonly released: Set<number>
  /** How often the finality of a mined nonce was asked for, and when last. */
  readonly finality: Map<number, { readonly looks: number; readonly atMs: number }>
}

export const freshHealth = (): LaneHealth => ({
  standstill: undefined,
  lookedAtMs: Number.NEGATIVE_INFINITY,
  spending: undefined,
  released: new Set(),
  finality: new Map()
})

export interface Driver {
  readonly lane: LaneId
  readonly lease: Lease
  /** Without the key everything open is watched and sent again, and nothing is signed. */
  readonly hasKey: boolean
  readonly budget: SpendBudget
  readonly health: LaneHealth
}

/** Most that the transactions in the mempool can still cost. */
export const atStake = (slots: ReadonlyArray<Slot>): bigint =>
  slots
    .filter(({ snapshot }) => (snapshot as TransactionLaneSnapshot).context.mined === null)
    .reduce((sum, { attempts }) => sum + worstOf(attempts.at(-1)), 0n)

export const worstOf = (attempt: { readonly gasLimit: bigint; readonly maxFeePerGas: bigint } | undefined): bigint =>
  attempt === undefined ? 0n : attempt.gasLimit * attempt.maxFeePerGas

/** Looks at the finality of one nonce that need not be paced: chains that finalise at once are through by then. */
const FREE_LOOKS = 16
/** Then less and less often. Where finality takes a quarter of an hour a lane has a hundred mined nonces open, nobody waits for them here, and every
 * look is a call that the operator pays for. A block that went away is noticed as late; its transactions mostly come back by themselves. */
const FINALITY_PAUSE_FIRST_MS = 250
const FINALITY_PAUSE_LONGEST_MS = 16_000

/** Which of these mined slots are to be asked about now; forgets those that are no longer among them. */
export const dueForFinality = ({ health: { finality } }: Driver, mined: ReadonlyArray<Slot>, nowMs: number): ReadonlyArray<Slot> => {
  const open = new Set(mined.map(({ nonce }) => nonce))
  for (const nonce of finality.keys()) if (!open.has(nonce)) finality.delete(nonce)
  return mined.filter(({ nonce }) => {
    const { looks, atMs } = finality.get(nonce) ?? { looks: 0, atMs: nowMs }
    const pauseMs = looks < FREE_LOOKS ? 0 : Math.min(FINALITY_PAUSE_LONGEST_MS, FINALITY_PAUSE_FIRST_MS * 2 ** (looks - FREE_LOOKS))
    if (nowMs - atMs < pauseMs) return false
    finality.set(nonce, { looks: looks + 1, atMs: nowMs })
    return true
  })
}

export const isLookDue = ({ health }: Driver, nowMs: number): boolean => nowMs - health.lookedAtMs >= LOOK_EVERY_MS

/** Looks at balance, nonce and spending, says how the lane is, and lets it go on when what stopped it is over. Answers the chain's nonce. */
export const look = Effect.fnUntraced(function* (driver: Driver, slots: ReadonlyArray<Slot>) {
  const { lane, lease, health, budget } = driver
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const contract = yield* ResultContract
  const now = yield* monotonicMs
  const [balance, chainNonce, fees] = yield* contract.together(
    Effect.all([contract.balanceOf(lane.address), contract.nonceOf(lane.address), contract.fees], { concurrency: "unbounded" })
  )
  const { lane: spent } = yield* spending(driver, now)
  const { waiting, oldestMs } = yield* ledger.backlog(lane.chainId)
  health.lookedAtMs = now
  const staked = atStake(slots)
  if (!driver.hasKey) yield* standStill(driver, "no-key")
  else if (health.standstill === "paused") yield* Effect.void // whoever resumes it finds out how it is
  else if (balance - staked < LEAST_GAS * fees.maxFeePerGas) yield* standStill(driver, "out-of-funds")
  else if (spent + staked >= budget.lane) yield* standStill(driver, "over-budget")
  else if (health.standstill !== "strange-nonce") yield* goOn(driver)
  telemetry.gauge("lane_balance_gwei", Number(balance / GWEI), lane.address)
  telemetry.gauge("lane_spend_gwei", Number(spent / GWEI), lane.address)
  telemetry.gauge("lane_standstill", health.standstill === undefined ? 0 : 1, lane.address)
  telemetry.gauge("lane_queue_batches", waiting)
  telemetry.gauge("lane_queue_oldest_seconds", oldestMs / 1_000)
  yield* ledger.report(lane, lease, { state: health.standstill ?? "working", balance, chainNonce })
  return chainNonce
})

/** What was spent within the window: by this lane, and which requesters spent too much. Says so of each that was not one of them before. */
export const spending = Effect.fnUntraced(function* ({ lane, budget, health }: Driver, nowMs: number) {
  if (health.spending !== undefined && nowMs - health.spending.atMs < SPENDING_EVERY_MS) return health.spending
  const seen = yield* LaneLedger.use((ledger) => ledger.spending(lane, budget.windowMs, budget.requester))
  const telemetry = yield* Telemetry
  for (const requester of seen.overBudget) {
    if (health.spending?.overBudget.has(requester)) continue
    telemetry.warn("a requester has used up its budget: its results wait", {
      ...{ requester, lane: lane.address, gwei: Number(budget.requester / GWEI), windowMs: budget.windowMs, runbook: "docs/runbooks/submitted.md" }
    })
  }
  health.spending = { ...seen, atMs: nowMs }
  return health.spending
})

/** Says once that the lane sends nothing new, and why. Other lanes find what waits. */
export const standStill = Effect.fnUntraced(function* ({ lane, health }: Driver, why: Standstill) {
  if (health.standstill === why) return
  const telemetry = yield* Telemetry
  health.standstill = why
  telemetry.gauge("lane_standstill", 1, lane.address)
  // An operator knows what was paused.
  telemetry[why === "paused" ? "info" : "warn"]("a lane sends nothing new", { lane: lane.address, why, runbook: "docs/runbooks/submitted.md" })
})

export const goOn = Effect.fnUntraced(function* ({ lane, health }: Driver) {
  const was = health.standstill
  health.standstill = undefined
  if (was === undefined) return
  const telemetry = yield* Telemetry
  telemetry.gauge("lane_standstill", 0, lane.address)
  telemetry.info("a lane sends again", { lane: lane.address, was })
})
