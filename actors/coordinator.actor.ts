/** Hosts decision-making for the partitions it owns. For every event the same three things: decide (machines/), save (the ledger), dispatch
 * (the bus), many requests at a time. An event is acknowledged only after the decision it led to has been committed. */
import { Clock, Deferred, Effect, Queue, type Scope } from "effect"
import { decide, knowsMachineVersion, MACHINE_VERSION, type Decision } from "../machines/decide.ts"
import { outcomeSubject } from "../src/domain/journey.ts"
import type { Postponed, RequestEvent } from "../src/domain/outcome.ts"
import type { RequestId } from "../src/domain/request.ts"
import type { LedgerUnavailable } from "../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import type { Change, Saved, StoredRequest } from "../src/ledger/stored-request.ts"
import { Bus, type BusUnavailable, type Delivery, type Verdict } from "../src/messaging/bus.port.ts"
import { decodeOutcomes } from "../src/messaging/envelope.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { comeAgain } from "./runtime/come-again.ts"
import { type OwnedPartitions, PartitionNotOurs } from "./runtime/partitions.ts"
import { RecentRequests } from "./runtime/recent-requests.ts"
import { supervise } from "./runtime/supervise.ts"
import type { WaitingWork } from "./runtime/waiting-room.ts"
import { type NextWork, openWorkGate, type WorkGate } from "./runtime/work-gate.ts"

/** Something told about one request. `version` is missing when it holds whatever the version (signals). */
export interface Told {
  readonly requestId: RequestId
  readonly version?: number
  readonly event: RequestEvent | Postponed
  readonly signalId?: bigint
}

interface Pending extends Told {
  /** Resolves when whatever was decided has been committed. */
  readonly done: Deferred.Deferred<void, LedgerUnavailable | PartitionNotOurs>
}

export interface Coordinator {
  readonly partitions: OwnedPartitions
  /** Through which all work of these partitions is given out. */
  readonly gate: WorkGate
  /** For the steps in this process. */
  readonly recent: RecentRequests
  /** Resolves once everything that was decided on these has been committed; fails if some of it was for another to decide. */
  readonly tell: (told: ReadonlyArray<Told>) => Effect.Effect<void, LedgerUnavailable | PartitionNotOurs>
}

/** Beyond 100 rows a statement gains little and everybody waits longer (reliability.md section 3.2). */
const DECISIONS_PER_SAVE_MAX = 100
/** Messages of one partition that may wait for their commit at once. */
const DELIVERIES_IN_FLIGHT = 32

export const coordinator = Effect.fnUntraced(function* (worker: string, partitions: OwnedPartitions) {
  const inbox = yield* Queue.unbounded<Pending>() // bounded by DELIVERIES_IN_FLIGHT and the sweeper's page
  const recent = new RecentRequests(partitions)
  const gate = yield* openWorkGate(partitions)
  const work = Effect.gen(function* () {
    const batch = yield* Queue.takeBetween(inbox, 1, DECISIONS_PER_SAVE_MAX)
    const { first, again } = onePerRequest(batch)
    yield* Queue.offerAll(inbox, again)
    yield* decideAndSave(first, worker, partitions, recent, gate)
  })
  yield* supervise("coordinator", work)

  const tell = Effect.fnUntraced(function* (told: ReadonlyArray<Told>) {
    const pending = told.map((one): Pending => ({ ...one, done: Deferred.makeUnsafe<void, LedgerUnavailable | PartitionNotOurs>() }))
    yield* Queue.offerAll(inbox, pending)
    yield* Effect.forEach(pending, ({ done }) => Deferred.await(done), { discard: true })
  })
  return { partitions, gate, recent, tell } satisfies Coordinator
})

/** Hears outcomes for one partition until the scope closes. What cannot be heard now is for a supervisor to try again. */
export const hearOutcomes = ({ tell }: Pick<Coordinator, "tell">, partition: number): Effect.Effect<void, BusUnavailable, Bus | Scope.Scope> =>
  Bus.use((bus) => bus.consume(outcomeSubject(partition), { concurrency: DELIVERIES_IN_FLIGHT }, (delivery) => hear(tell, delivery)))

const hear = (tell: Coordinator["tell"], delivery: Delivery): Effect.Effect<Verdict> =>
  decodeOutcomes(delivery.body).pipe(
    Effect.flatMap(({ items }) =>
      tell(items.map(({ requestId, version, outcome }) => ({ requestId, version, event: outcome as RequestEvent | Postponed })))
    ),
    Effect.map((): Verdict => ({ type: "ack" })),
    Effect.catchTag("EnvelopeMalformed", ({ reason }) => Effect.succeed<Verdict>({ type: "park", reason })),
    // Not written, or not ours to decide: whoever owns the partition by then hears it again.
    Effect.catch(() => Effect.succeed(comeAgain(delivery)))
  )

/** A save takes one change for each request; what is told twice waits for the next round. */
const onePerRequest = (batch: ReadonlyArray<Pending>) => {
  const first = new Map<RequestId, Pending>()
  const again: Array<Pending> = []
  for (const pending of batch) {
    if (first.has(pending.requestId)) again.push(pending)
    else first.set(pending.requestId, pending)
  }
  return { first: [...first.values()], again }
}

const decideAndSave = (batch: ReadonlyArray<Pending>, worker: string, partitions: OwnedPartitions, recent: RecentRequests, gate: WorkGate) =>
  Effect.gen(function* () {
    const ledger = yield* RequestLedger
    const telemetry = yield* Telemetry
    // Taken now: while the others are read, it may be forgotten for lack of room.
    const known = new Map(batch.flatMap(({ requestId, version }) => (recent.has(requestId, version) ? [[requestId, recent.get(requestId)]] : [])))
    const unknown = batch.filter(({ requestId }) => !known.has(requestId)).map(({ requestId }) => requestId)
    const fresh = new Map((unknown.length > 0 ? yield* ledger.load(unknown) : []).map((request) => [request.id, request]))

    const changes: Array<Change> = []
    const decided = new Map<RequestId, StoredRequest>()
    const postponed: Array<{ requestId: RequestId; version: number; afterMs: number; reason: string }> = []
    const idleSignals: Array<bigint> = []
    const notOurs = new Map<RequestId, PartitionNotOurs>()
    for (const told of batch) {
      const stored = fresh.get(told.requestId) ?? recent.get(told.requestId) ?? known.get(told.requestId)
      if (stored === undefined || (told.version !== undefined && told.version !== stored.version)) continue
      if (told.event.type === "postponed") {
        const { retryAfterMs: afterMs, reason } = told.event
        postponed.push({ requestId: stored.id, version: stored.version, afterMs, reason })
        continue
      }
      const change = changeFor(stored, told.event, told.signalId, partitions)
      if (change === "undecidable") telemetry.error("a request cannot be decided", { requestId: stored.id, event: told.event.type })
      if (change === "unreadable") telemetry.count("unreadable_snapshots")
      if (change === "unowned") notOurs.set(stored.id, new PartitionNotOurs({ partition: stored.partition }))
      if (change === "ignored" && told.signalId !== undefined) idleSignals.push(told.signalId)
      if (typeof change === "string") continue
      changes.push(change)
      decided.set(stored.id, stored)
    }
    const next = changes.flatMap(nextWork)
    const admitted = yield* gate.admit(next)
    const saving = changes.map((change) => (admitted.has(change.requestId) ? { ...change, isGivenOutAtOnce: true as const } : change))
    const [saved] = yield* Effect.all(
      [
        saving.length > 0 ? ledger.save(saving, worker) : Effect.succeed<ReadonlyArray<Saved>>([]),
        postponed.length > 0 ? ledger.postpone(postponed) : Effect.void,
        idleSignals.length > 0 ? ledger.dropSignals(idleSignals) : Effect.void
      ],
      { concurrency: "unbounded" }
    ).pipe(Effect.onError(() => Effect.sync(() => gate.withdraw(next.filter(({ requestId }) => admitted.has(requestId))))))
    const stale = new Set(saved.filter(({ type }) => type === "stale").map(({ requestId }) => requestId))
    gate.withdraw(next.filter(({ requestId }) => admitted.has(requestId) && stale.has(requestId)))
    // A newer version or a newer epoch: the next look at the ledger tells, here or where the partition is by now.
    for (const { type, requestId } of saved) {
      const stored = decided.get(requestId)
      if (type !== "stale" || stored === undefined) continue
      recent.forget([requestId])
      notOurs.set(requestId, new PartitionNotOurs({ partition: stored.partition }))
    }
    for (const { done, requestId } of batch) {
      const refused = notOurs.get(requestId)
      Deferred.doneUnsafe(done, refused === undefined ? Effect.void : Effect.fail(refused))
    }
    const owed = yield* afterSave(saved, changes, decided, recent)
    yield* gate.answered(batch)
    yield* Effect.forkDetach(gate.giveOut(owed))
  }).pipe(
    Effect.tapCause((cause) =>
      Effect.sync(() => {
        recent.forget(batch.map(({ requestId }) => requestId)) // whether it was written is unknown: look again
        for (const { done } of batch) Deferred.doneUnsafe(done, Effect.failCause(cause))
      })
    )
  )

const nextWork = ({ requestId, version, dispatch: reached }: Change): ReadonlyArray<NextWork> =>
  reached === null ? [] : [{ requestId, version: version + 1, reached }]

/**
 * `undecidable`: our bug, which must not hold up the other requests of the batch. `unowned`: the partition is not surely ours, so that its owner
 * must hear of it. `unreadable`: written by a newer build, which will find it in the ledger; this one leaves it alone.
 */
const changeFor = (
  stored: StoredRequest,
  event: RequestEvent,
  signalId: bigint | undefined,
  partitions: OwnedPartitions
): Change | "ignored" | "unowned" | "unreadable" | "undecidable" => {
  const leaseEpoch = partitions.epochOf(stored.partition)
  if (leaseEpoch === undefined) return "unowned"
  if (!knowsMachineVersion(stored.machineVersion)) return "unreadable"
  let decision: Decision
  try {
    decision = decide(stored, event)
  } catch {
    return "undecidable"
  }
  if (decision.type === "ignored") return "ignored"
  return {
    requestId: stored.id,
    partition: stored.partition,
    version: stored.version,
    leaseEpoch,
    from: decision.from,
    to: decision.to,
    event,
    machineVersion: MACHINE_VERSION,
    snapshot: decision.snapshot,
    dispatch: decision.dispatch,
    wakeAfterMs: decision.wakeAfterMs,
    answeredSignals: signalId === undefined ? [] : [signalId],
    ...(decision.anchor === undefined ? {} : { anchor: decision.anchor })
  }
}

/** Remembers what was saved, says so, and answers the work that is owed now. */
const afterSave = Effect.fnUntraced(function* (
  saved: ReadonlyArray<Saved>,
  changes: ReadonlyArray<Change>,
  decided: ReadonlyMap<RequestId, StoredRequest>,
  recent: RecentRequests
) {
  const telemetry = yield* Telemetry
  const nowMs = yield* Clock.currentTimeMillis
  const changeOf = new Map(changes.map((change) => [change.requestId, change]))
  const owed: Array<WaitingWork> = []
  for (const result of saved) {
    const change = changeOf.get(result.requestId)
    const before = decided.get(result.requestId)
    if (change === undefined || before === undefined) continue
    if (result.type === "stale") {
      telemetry.count("stale_decisions")
      continue
    }
    recent.keep([
      {
        ...before,
        anchor: change.anchor ?? before.anchor,
        state: change.to,
        version: result.version,
        machineVersion: change.machineVersion,
        snapshot: change.snapshot,
        chainTail: result.chainTail
      }
    ])
    telemetry.reached({
      requestId: change.requestId,
      kind: before.facts.kind,
      from: change.from,
      to: change.to,
      event: change.event,
      version: result.version,
      sinceDetectedMs: Math.max(0, nowMs - before.detectedAtMs)
    })
    if (change.dispatch !== null) {
      const { deadline, requester } = before.facts
      owed.push({
        requestId: change.requestId,
        version: result.version,
        reached: change.dispatch,
        outboxId: result.outboxId,
        deadline,
        requester,
        claim: 0
      })
    }
  }
  return owed
})
