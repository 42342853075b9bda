/** What every step actor does: take a hint, look the requests up, do the work, say what came of it. It decides nothing and does not know
 * what comes next. A stale hint is dropped; a lost answer is asked for again by the sweeper. */
import { Clock, Effect } from "effect"
import type { Milestone } from "../../src/domain/journey.ts"
import { workSubject } from "../../src/domain/journey.ts"
import type { StepOutcome, WorkItem } from "../../src/domain/outcome.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { Bus, type Delivery, type Verdict } from "../../src/messaging/bus.port.ts"
import { decodeWork } from "../../src/messaging/envelope.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { comeAgain } from "./come-again.ts"
import { FailedTries, rememberTries } from "./failed-tries.ts"
import { publishOutcomes } from "./publish-outcomes.ts"
import { Recent, type RecentRequests } from "./recent-requests.ts"

/** One outcome for each request, in order; null when there is nothing to say yet (the wake-up row remembers the request). */
export type Perform<R> = (requests: ReadonlyArray<StoredRequest>) => Effect.Effect<ReadonlyArray<StepOutcome | null>, never, R>

export const stepActor = <R>(reached: Milestone, concurrency: number, perform: Perform<R>) =>
  Effect.gen(function* () {
    const bus = yield* Bus
    const context = yield* Effect.context<R | RequestLedger | Telemetry | Bus>()
    const underWay = new Set<string>()
    const recent = yield* Recent
    const tries = rememberTries()
    yield* bus.consume(workSubject(reached), { concurrency }, (delivery) =>
      handle(reached, perform, delivery, underWay, recent).pipe(Effect.provideService(FailedTries, tries), Effect.provideContext(context))
    )
  })

/** `underWay`: what this actor is working on. The sweeper gives slow work out again; doing it twice at once would only make it slower. */
const handle = <R>(reached: Milestone, perform: Perform<R>, delivery: Delivery, underWay: Set<string>, recent: RecentRequests) =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const envelope = yield* decodeWork(delivery.body)
    if (isTooLate(reached, envelope.deadlineMs, yield* Clock.currentTimeMillis)) return ACK
    const requests = (yield* current(reached, envelope.items, recent)).filter((request) => !underWay.has(workOf(request)))
    if (requests.length === 0) return ACK
    for (const request of requests) underWay.add(workOf(request))
    yield* Effect.addFinalizer(() => Effect.sync(() => requests.forEach((request) => underWay.delete(workOf(request)))))
    const startedMs = yield* monotonicMs
    const outcomes = yield* perform(requests)
    const seconds = ((yield* monotonicMs) - startedMs) / 1_000
    for (const outcome of outcomes) telemetry.step(reached, outcome?.type ?? "waiting", seconds)
    yield* publishOutcomes(
      requests.flatMap(({ id, version, partition }, index) => {
        const outcome = outcomes[index]
        return outcome === undefined || outcome === null ? [] : [{ partition, item: { requestId: id, version, reached, outcome } }]
      })
    )
    return ACK
  }).pipe(
    Effect.scoped,
    Effect.catchTag("EnvelopeMalformed", (malformed) => Effect.succeed<Verdict>({ type: "park", reason: malformed.reason })),
    // Ledger or bus: nothing was decided, so the hint may simply come again.
    Effect.catch(() => Effect.succeed(comeAgain(delivery)))
  )

/** Before anything is verified, work after the deadline helps nobody: the sweeper ends the request. Later the chain has to be asked. */
const isTooLate = (reached: Milestone, deadlineMs: number | undefined, nowMs: number): boolean =>
  deadlineMs !== undefined && nowMs > deadlineMs && reached !== "threshold-verified" && reached !== "submitted"

const workOf = ({ id, version }: StoredRequest): string => `${id}:${version}`

const ACK: Verdict = { type: "ack" }

/** The requests that still stand where the hint says. */
const current = Effect.fnUntraced(function* (reached: Milestone, items: ReadonlyArray<WorkItem>, recent: RecentRequests) {
  const ledger = yield* RequestLedger
  const versions = new Map(items.map(({ requestId, version }) => [requestId, version]))
  const known = [...versions.keys()].map((id) => recent.get(id)).filter((request) => request !== undefined)
  const found = new Map(known.filter(({ id, version }) => version >= versions.get(id)!).map((request) => [request.id, request]))
  const unknown = [...versions.keys()].filter((id) => !found.has(id))
  const read = unknown.length > 0 ? yield* ledger.load(unknown) : []
  recent.learn(read)
  return [...found.values(), ...read].filter(({ id, version, state }) => state === reached && version === versions.get(id))
})
