/** Where work leaves a coordinator: as much at once as is being answered, and when more is owed, one piece for each requester in turn. What has not
 * been given out stays in the outbox, so that nothing grows here and nothing is lost with this process (docs/adr/0022). */
import { Effect, Queue } from "effect"
import type { Hex } from "../../src/domain/hex.ts"
import { JOURNEY, type Milestone } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { dispatch, type OwedWork } from "./dispatch.ts"
import { GivenOut } from "./given-out.ts"
import type { OwnedPartitions } from "./partitions.ts"
import { supervise } from "./supervise.ts"
import { WaitingRoom, type WaitingWork } from "./waiting-room.ts"

export interface WorkGate {
  /** Before a decision is saved: whose work there is room for, so that nothing need be owed for it. The rest is to be owed. */
  readonly admit: (works: ReadonlyArray<NextWork>) => Effect.Effect<ReadonlySet<RequestId>>
  /** Admitted, and not saved after all. */
  readonly withdraw: (works: ReadonlyArray<NextWork>) => void
  /** After it has been saved: publishes what was admitted, in turn; what is owed waits longer. */
  readonly giveOut: (works: ReadonlyArray<WaitingWork>) => Effect.Effect<void, never, Needs>
  /** Admitted, and still in line here. */
  readonly isWaiting: (work: NextWork) => boolean
  /** Publishes work that the sweeper has claimed, whatever else is given out. */
  readonly giveAgain: (claimed: ReadonlyArray<OwedWork>) => Effect.Effect<void, never, Needs>
  /** Something was said about these: what they were given out for is done, or will be given out again. */
  readonly answered: (requests: ReadonlyArray<{ readonly requestId: RequestId; readonly version?: number }>) => Effect.Effect<void>
  /** Looks for what is owed in these partitions: left over by us, or by somebody who is gone. */
  readonly look: (partitions: ReadonlyArray<number>) => Effect.Effect<void, never, Needs>
  /** States whose work there is hardly room for. */
  readonly full: Effect.Effect<ReadonlyArray<Milestone>>
}

export type NextWork = Pick<OwedWork, "requestId" | "version" | "reached">

type Needs = Effect.Services<ReturnType<typeof dispatch>> | Telemetry

/** What waits for the chain is not answered for minutes, and what leaves these steps has its own queue: the lanes'. */
const UNBOUNDED: ReadonlySet<Milestone> = new Set<Milestone>(["threshold-verified", "submitted"])
/** Messages in one go where nothing bounds them. */
const PAGE = 200
/** Owed for so long, a message has been left over by whoever wrote it. The first of a request is written by listeners, which leave over what
 * they do not give out at once. */
const LEFT_OVER_MS = 2_000
const LEFT_OVER_BY_LISTENER_MS = 200
const NOBODY: Hex = "0x"

const leftOverMs = (reached: Milestone): number => (reached === "detected" ? LEFT_OVER_BY_LISTENER_MS : LEFT_OVER_MS)

export const openWorkGate = Effect.fnUntraced(function* (partitions: OwnedPartitions) {
  const steps = new Map(JOURNEY.map((reached) => [reached, { given: new GivenOut(), line: new WaitingRoom(), admitted: 0, turnAfter: NOBODY, isBehind: false, timesLeft: 0 }]))
  const stepOf = (reached: Milestone) => steps.get(reached)!
  const bell = yield* Queue.sliding<void>(1)
  /** As far as the last message could tell. While there is no bus all is owed, and goes out as soon as there is one. */
  let isBusThere = true

  const roomOf = (reached: Milestone, nowMs: number): number => (UNBOUNDED.has(reached) ? PAGE : stepOf(reached).given.room(nowMs))

  /** For half of what may be given out at once: worth a look into the outbox. */
  const hasRoom = (reached: Milestone, nowMs: number): boolean => {
    const { given } = stepOf(reached)
    return UNBOUNDED.has(reached) || given.room(nowMs) * 2 >= given.limit(nowMs)
  }
  const isWorthIt = (reached: Milestone, nowMs: number): boolean => {
    const { isBehind, line } = stepOf(reached)
    return (isBehind || line.size > 0) && hasRoom(reached, nowMs)
  }

  const publish = Effect.fnUntraced(function* (works: ReadonlyArray<OwedWork>) {
    const nowMs = yield* monotonicMs
    for (const { requestId, version, reached } of works) if (!UNBOUNDED.has(reached)) stepOf(reached).given.give(requestId, version, nowMs)
    const unsent = yield* dispatch(works)
    for (const { requestId, reached } of unsent) stepOf(reached).given.takeBack(requestId)
    if (works.length > 0) isBusThere = unsent.length === 0
    return unsent.length
  })

  /** How many more may be on their way into the line of a step. */
  const placesOf = (reached: Milestone, nowMs: number): number => {
    const { isBehind, given, line, admitted } = stepOf(reached)
    if (isBehind) return 0 // nobody overtakes those who wait
    return UNBOUNDED.has(reached) ? Number.POSITIVE_INFINITY : given.room(nowMs) + given.waitingMax(nowMs) - line.size - admitted
  }

  const admit: WorkGate["admit"] = Effect.fnUntraced(function* (works) {
    const nowMs = yield* monotonicMs
    const welcome = new Set<RequestId>()
    if (!isBusThere) return welcome
    for (const [reached, ofStep] of Map.groupBy(works, (work) => work.reached)) {
      const step = stepOf(reached)
      const places = Math.max(0, placesOf(reached, nowMs))
      for (const { requestId } of ofStep.slice(0, places)) welcome.add(requestId)
      step.admitted += Math.min(places, ofStep.length)
      if (ofStep.length > places) step.isBehind = true
    }
    return welcome
  })

  const withdraw: WorkGate["withdraw"] = (works) => works.forEach(({ reached }) => void stepOf(reached).admitted--)

  /** Publishes from the line of a step what there is room for; while much is to come, not in crumbs. */
  const callIn = Effect.fnUntraced(function* (reached: Milestone) {
    const { given, line } = stepOf(reached)
    const nowMs = yield* monotonicMs
    const room = UNBOUNDED.has(reached) ? line.size : given.room(nowMs)
    if (line.size > room && !hasRoom(reached, nowMs)) return
    yield* publish(line.take(room))
  })

  const giveOut: WorkGate["giveOut"] = Effect.fnUntraced(function* (works) {
    const nowMs = yield* monotonicMs
    for (const work of works) {
      const step = stepOf(work.reached)
      if (work.outboxId === null) {
        step.admitted--
        step.line.add(work)
      } else {
        step.isBehind = true
        step.timesLeft++
      }
    }
    const reached = [...new Set(works.map((work) => work.reached))]
    if (reached.some((one) => stepOf(one).isBehind && isWorthIt(one, nowMs))) yield* Queue.offer(bell, undefined)
    yield* Effect.forEach(reached, callIn, { concurrency: "unbounded", discard: true })
  })

  /** Publishes what waits in a step, in turn, until there is no more room or nothing more waits. */
  const release = Effect.fnUntraced(function* (reached: Milestone) {
    const ledger = yield* RequestLedger
    const step = stepOf(reached)
    for (;;) {
      const nowMs = yield* monotonicMs
      const limit = Math.min(PAGE, roomOf(reached, nowMs))
      if (limit < 1 || step.line.size > 0) return
      const { turnAfter: after, timesLeft } = step
      const olderThanMs = step.isBehind && reached !== "detected" ? 0 : leftOverMs(reached)
      const found = yield* ledger.owedInTurn({ partitions: partitions.owned(), reached, after, olderThanMs, limit })
      // One whose message is being settled at this moment.
      const waiting = found.filter(({ requestId, version }) => !step.given.has(requestId, version))
      step.turnAfter = found.reduce((last, { requester }) => (requester > last ? requester : last), NOBODY)
      if (found.length < limit) step.turnAfter = NOBODY
      const unsent = yield* publish(waiting.map(({ id, ...work }) => ({ ...work, outboxId: id, claim: 0 })))
      if (unsent > 0) return
      if (waiting.length > 0 || after !== NOBODY) continue
      if (found.length === 0 && step.timesLeft === timesLeft) step.isBehind = false
      return
    }
  })

  const releaseAll = Effect.gen(function* () {
    yield* Queue.take(bell)
    const askedFor = ([reached, step]: readonly [Milestone, { readonly isBehind: boolean }]) =>
      Effect.andThen(callIn(reached), step.isBehind ? release(reached) : Effect.void)
    yield* Effect.forEach(steps, askedFor, { concurrency: "unbounded", discard: true })
  })
  yield* supervise("work-gate", releaseAll)

  return {
    admit,
    withdraw,
    giveOut,
    isWaiting: ({ requestId, version, reached }) => stepOf(reached).line.has(requestId, version),
    giveAgain: (claimed) => Effect.asVoid(publish(claimed)),
    answered: Effect.fnUntraced(function* (requests) {
      const nowMs = yield* monotonicMs
      for (const { requestId, version } of requests) {
        for (const { given } of steps.values()) if (given.answered(requestId, version, nowMs)) break
      }
      if (JOURNEY.some((reached) => isWorthIt(reached, nowMs))) yield* Queue.offer(bell, undefined)
    }),
    look: Effect.fnUntraced(function* (owned) {
      const telemetry = yield* Telemetry
      const backlog = yield* RequestLedger.use((ledger) => ledger.backlog(owned)).pipe(Effect.orElseSucceed(() => []))
      const nowMs = yield* monotonicMs
      for (const [reached, step] of steps) {
        const owed = backlog.find((one) => one.reached === reached)
        if (owed !== undefined && owed.oldestMs >= leftOverMs(reached)) step.isBehind = true
        telemetry.gauge("work_owed", owed?.count ?? 0, reached)
        telemetry.gauge("work_given_out", step.given.size(nowMs), reached)
      }
      yield* Queue.offer(bell, undefined)
    }),
    full: Effect.map(monotonicMs, (nowMs) => JOURNEY.filter((reached) => !hasRoom(reached, nowMs)))
  } satisfies WorkGate as WorkGate
})
