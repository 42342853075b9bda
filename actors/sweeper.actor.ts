/** The liveness guarantee: whatever was lost on the way (a message, a worker, the bus and its store) is noticed here, in the
 * ledger, and sent out again. It decides nothing itself: deadlines and signals are told to the coordinator. */
import { Duration, Effect } from "effect"
import { KNOWN_MACHINE_VERSIONS, MACHINE_VERSION } from "../machines/decide.ts"
import { isEnd, JOURNEY, stepFrom, type Milestone, type RequestState } from "../src/domain/journey.ts"
import { CLAIMS_MAX, SWEEP_PERIOD_MS, WORK_TIMEOUT_MS } from "../src/domain/limits.ts"
import type { RequestEvent } from "../src/domain/outcome.ts"
import { RequestLedger, type Overdue } from "../src/ledger/request-ledger.port.ts"
import { Bus } from "../src/messaging/bus.port.ts"
import { monotonicMs } from "../src/resilience/monotonic.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import type { Coordinator, Told } from "./coordinator.actor.ts"
import { Pauses, type PausesView } from "./runtime/pauses.ts"
import { supervise } from "./runtime/supervise.ts"

/** Rows in one sweep: a backlog is worked off in pages, not in one gulp. */
const PAGE = 200
/** A page that was full is followed by the next as soon as its work is being answered; of steps that have room, so that what comes back after a
 * rest does not crowd out what is new. */
const NEXT_PAGE_MS = 50
/** What waits for its turn is put off for so long at a time: few writes, and should anything forget it, the wake-up does not. */
const OWED_PUT_OFF_MS = 6 * WORK_TIMEOUT_MS
/** Requests of newer builds are counted this often. */
const UNREADABLE_PERIOD_MS = 10_000
const PAUSED_OVERDUE_PERIOD_MS = 5_000

export const sweeper = Effect.fnUntraced(function* (coordinator: Coordinator) {
  const look = lookForUnreadable(coordinator)
  const sayOverdue = yield* overdueSaid
  let isMoreDue = false
  const sweep = Effect.gen(function* () {
    const owned = coordinator.partitions.owned()
    if (owned.length === 0) return SWEEP_PERIOD_MS / 2
    yield* deliverSignals(coordinator, owned)
    // A claim counts against its request, so nothing is claimed that could not be given out.
    if (yield* Effect.isSuccess(Bus.use((bus) => bus.ping))) {
      yield* RequestLedger.use((ledger) => ledger.putOffOwed(owned, OWED_PUT_OFF_MS))
      isMoreDue = yield* resend(coordinator, owned, isMoreDue)
      yield* coordinator.gate.look(owned)
    }
    yield* sayOverdue
    return isMoreDue ? NEXT_PAGE_MS : SWEEP_PERIOD_MS / 2
  })
  yield* supervise("sweeper", Effect.flatMap(sweep, (pauseMs) => Effect.sleep(Duration.millis(pauseMs))))
  yield* supervise("unreadable", Effect.andThen(look, Effect.sleep(Duration.millis(UNREADABLE_PERIOD_MS))))
})

/** Says when requests wait for a newer build than this, at the first of them and not at each. */
const lookForUnreadable = ({ partitions }: Coordinator) => {
  let before = 0
  return Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const owned = partitions.owned()
    const now = owned.length === 0 ? 0 : yield* RequestLedger.use((ledger) => ledger.unreadable(owned, KNOWN_MACHINE_VERSIONS))
    telemetry.gauge("unreadable_requests", now)
    if (now > 0 && before === 0) telemetry.warn("requests wait for a newer build than this", { requests: now, machineVersion: MACHINE_VERSION })
    before = now
  })
}

/** While something is paused, all that waits for it is looked at: not so often. */
const overdueSaid = Effect.gen(function* () {
  const telemetry = yield* Telemetry
  const pauses = yield* Pauses
  let notBeforeMs = 0
  return Effect.gen(function* () {
    const paused = pausedStates(pauses)
    const nowMs = yield* monotonicMs
    if (paused.length > 0 && nowMs < notBeforeMs) return
    notBeforeMs = nowMs + PAUSED_OVERDUE_PERIOD_MS
    const { seconds, pausedSeconds } = yield* RequestLedger.use((ledger) => ledger.oldestOverdue(paused))
    telemetry.gauge("oldest_overdue_seconds", seconds)
    telemetry.gauge("paused_overdue_seconds", pausedSeconds)
  })
})

const pausedStates = ({ isPaused }: PausesView): ReadonlyArray<Milestone> => JOURNEY.filter((reached) => isPaused(`step:${stepFrom(reached)}`))

/** Whose partition it is by now has the same rows, and sweeps them. */
const tell = (coordinator: Coordinator, told: ReadonlyArray<Told>) =>
  coordinator.tell(told).pipe(Effect.catchTag("PartitionNotOurs", () => Effect.void))

const deliverSignals = Effect.fnUntraced(function* (coordinator: Coordinator, owned: ReadonlyArray<number>) {
  const ledger = yield* RequestLedger
  const pending = yield* ledger.signals(owned, PAGE)
  if (pending.length > 0) {
    yield* tell(coordinator, pending.map(({ id, requestId, event }) => ({ requestId, event, signalId: id })))
  }
})

/** Answers whether more is due than there was room for, and room is being made. */
const resend = Effect.fnUntraced(function* (coordinator: Coordinator, owned: ReadonlyArray<number>, isNextPage: boolean) {
  const ledger = yield* RequestLedger
  const telemetry = yield* Telemetry
  const pauses = yield* Pauses
  const paused: ReadonlyArray<RequestState> = pausedStates(pauses)
  const full: ReadonlyArray<RequestState> = yield* coordinator.gate.full
  const leftAlone = isNextPage ? [...new Set([...paused, ...full])] : paused
  const overdue = yield* ledger.claimOverdue(owned, PAGE, WORK_TIMEOUT_MS, KNOWN_MACHINE_VERSIONS, leftAlone as ReadonlyArray<Milestone>)
  const late = overdue.filter(isLate)
  // Not lost but in line, and that is not their fault.
  const inLine = overdue.filter(
    (row) => !late.includes(row) && !isEnd(row.state) && coordinator.gate.isWaiting({ ...row, reached: row.state as Milestone })
  )
  if (inLine.length > 0) yield* ledger.postpone(inLine.map(waitsForItsTurn))
  const poisoned = overdue.filter(
    (row) => !late.includes(row) && !inLine.includes(row) && row.claims > CLAIMS_MAX && !WAITS_FOR_THE_CHAIN.has(row.state) && !paused.includes(row.state)
  )
  const work = overdue.filter((row) => !late.includes(row) && !inLine.includes(row) && !poisoned.includes(row) && !isEnd(row.state) && !paused.includes(row.state))
  if (late.length + poisoned.length > 0) {
    yield* tell(coordinator, [
      ...late.map((row) => ({ requestId: row.requestId, version: row.version, event: expired(row) })),
      ...poisoned.map(({ requestId, version, claims }) => ({
        requestId,
        version,
        event: { type: "halted", reason: "poisoned", detail: `given out ${claims} times without an answer that helped` } as const
      }))
    ])
  }
  if (work.length > 0) telemetry.count("work_resent", work.length)
  yield* coordinator.gate.giveAgain(
    work.map(({ requestId, version, state, claims, deadline }) => ({
      requestId,
      version,
      reached: state as Milestone,
      outboxId: null,
      deadline,
      claim: claims
    }))
  )
  return overdue.length === PAGE
})

const waitsForItsTurn = ({ requestId, version }: Overdue) => ({ requestId, version, afterMs: WORK_TIMEOUT_MS, reason: "it waits for its turn" })

/** A verified result may be on chain, or on its way there, and that may take as long as the chain likes: only the step that
 * asks the chain can say how it ends. */
const WAITS_FOR_THE_CHAIN: ReadonlySet<RequestState> = new Set<RequestState>(["threshold-verified", "submitted"])

const expired = ({ state, lastReason }: Overdue): RequestEvent => ({
  type: "expired",
  detail: lastReason === null ? `in ${state}` : `in ${state}; it was waiting because: ${lastReason}`
})

/** By the database's clock, never by ours: an end cannot be taken back. */
const isLate = ({ isPastDeadline, state }: Overdue): boolean => isPastDeadline && !WAITS_FOR_THE_CHAIN.has(state)
