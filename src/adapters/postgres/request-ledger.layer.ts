/**
 * RequestLedger on PostgreSQL. Hot calls of many fibers are merged into few statements; each caller hears back after the commit.
 */
import { Effect, Layer } from "effect"
import { sql } from "kysely"
import assert from "node:assert/strict"
import type { Hex } from "../../domain/hex.ts"
import type { RequestState } from "../../domain/journey.ts"
import type { SignalEvent, TransitionView } from "../../domain/outcome.ts"
import type { RequestId } from "../../domain/request.ts"
import { RequestLedger } from "../../ledger/request-ledger.port.ts"
import type { Saved, StoredRequest } from "../../ledger/stored-request.ts"
import { Database, isRefusal } from "./pool.ts"
import { countByState, listRequests } from "./request-overview.ts"
import {
  BACKLOG,
  type BacklogRow,
  CLAIM_OVERDUE,
  DROP_SIGNALS,
  HISTORY,
  LOAD,
  OLDEST_OVERDUE,
  OLDEST_OVERDUE_PAUSED,
  type OldestOverdueRow,
  outboxRow,
  overdue,
  type OverdueRow,
  OWED,
  OWED_IN_TURN,
  type OwedRow,
  pendingSignal,
  POSTPONE,
  PUT_OFF_OWED,
  type RequestRow,
  SETTLE,
  SIGNAL,
  SIGNALS,
  type SignalRow,
  storedRequest,
  subjectOf,
  UNREADABLE,
  type WaitingRow,
  waitingWork,
  WORKLOAD,
  type WorkloadRow
} from "./request-statements.ts"
import { type Decided, SAVE, saveValues } from "./save-statement.ts"
import { byteaOfHex } from "./wire-types.ts"
import { makeCombiner } from "../../resilience/combiner.ts"

/** Beyond 100 the gain is small and the latency grows (reliability.md 3.3). */
const CHANGES_PER_STATEMENT_MAX = 100
/** One writes while the other is planned, sent and answered; a third would only wait for the same locks. */
const WRITERS_MAX = 2
const IDS_PER_STATEMENT_MAX = 256

interface SavedRow {
  readonly request_id: Hex
  readonly version: number
  readonly chain_tail: Hex
  readonly outbox_id: bigint | null
}

interface Postponement {
  readonly requestId: RequestId
  readonly version: number
  readonly afterMs: number
  readonly reason: string
}

type TransitionRow = Pick<TransitionView, "seq" | "event" | "worker" | "hash"> & {
  readonly from_state: string | null
  readonly to_state: string
  readonly at: Date
}

const transitionView = (row: TransitionRow): TransitionView => ({
  seq: row.seq,
  from: row.from_state as RequestState | null,
  to: row.to_state as RequestState,
  event: row.event,
  atMs: row.at.getTime(),
  worker: row.worker,
  hash: row.hash
})

const bytes = (ids: ReadonlyArray<Hex>): ReadonlyArray<string> => ids.map(byteaOfHex)

export const requestLedgerLayer: Layer.Layer<RequestLedger, never, Database> = Layer.effect(
  RequestLedger,
  Effect.gen(function*() {
    const database = yield* Database

    const save = yield* makeCombiner({
      keyOf: ({ change }: Decided) => change.requestId,
      itemsMax: CHANGES_PER_STATEMENT_MAX,
      flightsMax: WRITERS_MAX,
      run: (decisions) =>
        database.run<SavedRow>("save decisions", SAVE, saveValues(decisions)).pipe(
          Effect.map((rows) => {
            const rowOf = new Map(rows.map((row) => [row.request_id, row]))
            return decisions.map(({ change: { requestId } }): Saved => {
              const row = rowOf.get(requestId)
              return row === undefined
                ? { requestId, type: "stale" }
                : { requestId, type: "saved", version: row.version, outboxId: row.outbox_id, chainTail: row.chain_tail }
            })
          })
        ),
      isRefusal
    })

    const load = yield* makeCombiner({
      itemsMax: IDS_PER_STATEMENT_MAX,
      flightsMax: WRITERS_MAX,
      run: (ids: ReadonlyArray<RequestId>) =>
        database.run<RequestRow>("load requests", LOAD, [bytes([...new Set(ids)])]).pipe(
          Effect.map((rows) => {
            const rowOf = new Map(rows.map((row) => [row.request_id, storedRequest(row)]))
            return ids.map((id): StoredRequest | undefined => rowOf.get(id))
          })
        ),
      isRefusal
    })

    const postpone = yield* makeCombiner({
      keyOf: (item: Postponement) => item.requestId,
      itemsMax: IDS_PER_STATEMENT_MAX,
      flightsMax: 1,
      run: (items) => {
        const sorted = items.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1))
        return database
          .run("postpone requests", POSTPONE, [
            bytes(sorted.map((item) => item.requestId)),
            sorted.map((item) => item.version),
            sorted.map((item) => Math.round(item.afterMs)),
            sorted.map((item) => item.reason)
          ])
          .pipe(Effect.as(items.map(() => undefined)))
      },
      isRefusal
    })

    const settle = yield* makeCombiner({
      itemsMax: IDS_PER_STATEMENT_MAX,
      flightsMax: 1,
      run: (ids: ReadonlyArray<bigint>) =>
        database.run("settle messages", SETTLE, [ids]).pipe(Effect.as(ids.map(() => undefined))),
      isRefusal
    })

    return RequestLedger.of({
      load: (ids) => load([...new Set(ids)]).pipe(Effect.map((found) => found.filter((one) => one !== undefined))),

      save: (changes, worker) => {
        const ids = new Set(changes.map((change) => change.requestId))
        assert(ids.size === changes.length, "one change for each request in a save")
        return save(changes.map((change) => ({ change, worker })))
      },

      postpone: (items) => Effect.asVoid(postpone(items)),

      claimOverdue: (partitions, limit, againAfterMs, machineVersions, paused = []) =>
        database
          .run<OverdueRow>("claim overdue requests", CLAIM_OVERDUE, [partitions, limit, againAfterMs, machineVersions, paused])
          .pipe(Effect.map((rows) => rows.map(overdue))),

      unreadable: (partitions, machineVersions) =>
        database
          .run<{ count: number }>("count unreadable requests", UNREADABLE, [partitions, machineVersions])
          .pipe(Effect.map((rows) => rows[0]?.count ?? 0)),

      owed: (partitions, olderThanMs, limit) =>
        database
          .run<OwedRow>("read the outbox", OWED, [partitions, olderThanMs, limit])
          .pipe(Effect.map((rows) => rows.map(outboxRow))),

      owedInTurn: ({ partitions, reached, after, olderThanMs, limit }) =>
        database
          .run<WaitingRow>("read the outbox in turn", OWED_IN_TURN, [partitions, reached, byteaOfHex(after), limit, olderThanMs])
          .pipe(Effect.map((rows) => rows.map(waitingWork))),

      backlog: (partitions) =>
        database
          .run<BacklogRow>("count what is owed", BACKLOG, [partitions])
          .pipe(Effect.map((rows) => rows.map(({ reached, count, oldest_ms }) => ({ reached, count, oldestMs: oldest_ms })))),

      workload: (underWayAtMost) =>
        database
          .run<WorkloadRow>("measure the workload", WORKLOAD, [underWayAtMost])
          .pipe(Effect.map(([row]) => ({ underWay: row?.under_way ?? 0, owed: row?.owed ?? 0, oldestOwedMs: row?.oldest_ms ?? 0 }))),

      putOffOwed: (partitions, byMs) => Effect.asVoid(database.run("put off what is owed", PUT_OFF_OWED, [partitions, byMs])),

      settle: (outboxIds) => Effect.asVoid(settle(outboxIds)),

      signal: (requestId: RequestId, event: SignalEvent) =>
        Effect.asVoid(database.run("signal a request", SIGNAL, [byteaOfHex(requestId), subjectOf(event), JSON.stringify(event)])),

      signals: (partitions, limit) =>
        database.run<SignalRow>("read signals", SIGNALS, [partitions, limit]).pipe(Effect.map((rows) => rows.map(pendingSignal))),

      dropSignals: (ids) => (ids.length === 0 ? Effect.void : Effect.asVoid(database.run("drop signals", DROP_SIGNALS, [ids]))),

      history: (id) =>
        database
          .run<TransitionRow>("read a history", HISTORY, [byteaOfHex(id)])
          .pipe(Effect.map((rows) => rows.map(transitionView))),

      list: ({ state, limit }) => listRequests(database, state, limit),

      countByState: countByState(database),

      oldestOverdue: (paused) =>
        (paused.length === 0
          ? database.run<OldestOverdueRow>("find the oldest overdue request", OLDEST_OVERDUE, [])
          : database.run<OldestOverdueRow>("find the oldest overdue requests", OLDEST_OVERDUE_PAUSED, [paused]))
          .pipe(Effect.map(([row]) => ({ seconds: row?.seconds ?? 0, pausedSeconds: row?.paused_seconds ?? 0 }))),

      ping: Effect.asVoid(database.ask("ping", (kysely) => sql`SELECT 1`.execute(kysely)))
    })
  })
)
