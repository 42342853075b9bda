/** RequestLedger in memory: the statements of src/adapters/postgres/save-statement.ts and request-statements.ts, each at once. */
import { Effect, Layer } from "effect"
import assert from "node:assert/strict"
import { isEnd, type RequestState } from "../../../src/domain/journey.ts"
import { WORK_TIMEOUT_MS } from "../../../src/domain/limits.ts"
import type { TransitionView } from "../../../src/domain/outcome.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import { type OutboxRow, RequestLedger, type RequestSummary } from "../../../src/ledger/request-ledger.port.ts"
import type { Change, Saved, StoredRequest } from "../../../src/ledger/stored-request.ts"
import type { Connection } from "./connection.ts"
import { isFenced } from "./leases.ts"
import type { Transaction } from "./memory-table.ts"
import {
  operatorActionTable,
  outboxTable,
  type OutboxTableRow,
  type RequestRow,
  requestTable,
  signalTable,
  transitionTable,
  wakeTable,
  type WakeRow
} from "./tables.ts"
import { nextDueMs, raiseSignal, writeTransition } from "./wake-up.ts"

/** The pause of a claim doubles up to this often. */
const DOUBLINGS_MAX = 3

export const storedRequest = (row: RequestRow): StoredRequest => ({
  id: row.id,
  facts: { ...row.facts, handles: [...row.facts.handles] },
  anchor: { ...row.anchor },
  partition: row.partition,
  state: row.state,
  version: row.version,
  machineVersion: row.machineVersion,
  snapshot: JSON.parse(row.snapshot),
  chainTail: row.chainTail,
  detectedAtMs: row.detectedAtMs
})

export const historyOf = ({ table }: Transaction, id: RequestId): ReadonlyArray<TransitionView> => {
  const version = table(requestTable).get(id)?.version ?? 0
  return Array.from({ length: version }, (_, index) => table(transitionTable).get(`${id}/${index + 1}`)).flatMap((row) =>
    row === undefined
      ? []
      : [
          {
            ...{ seq: row.seq, from: row.from, to: row.to, event: JSON.parse(row.event) as TransitionView["event"] },
            ...{ atMs: row.atMs, worker: row.worker, hash: row.hash }
          }
        ]
  )
}

const wake = ({ table, nowMs }: Transaction, { requestId, partition, wakeAfterMs }: Change, version: number, deadline: number): void => {
  const wakes = table(wakeTable)
  wakes.delete(requestId)
  if (wakeAfterMs === null) return
  const dueMs = nextDueMs(nowMs, Math.round(wakeAfterMs), deadline)
  wakes.insert({ requestId, partition, version, deadline, dueMs, claims: 0, reason: null })
}

const owe = ({ table, next, nowMs }: Transaction, change: Change, version: number, deadline: number) => {
  const { requestId, partition, dispatch } = change
  if (dispatch === null || change.isGivenOutAtOnce) return null
  const id = next("outbox")
  table(outboxTable).insert({ id, requestId, partition, version, reached: dispatch, deadline, writtenAtMs: nowMs })
  return id
}

/** P1: row-version and lease-epoch compare-and-set, with everything that follows from the decision. */
const saveOne = (transaction: Transaction, change: Change, worker: string): Saved => {
  const { table, nowMs } = transaction
  const { requestId, partition, from, to, event, leaseEpoch } = change
  const row = table(requestTable).get(requestId)
  const isCurrent = row?.version === change.version && row.state === from && row.partition === partition
  if (row === undefined || !isCurrent || !isFenced(transaction, { name: `partition/${partition}`, epoch: leaseEpoch })) {
    return { requestId, type: "stale" }
  }
  const version = row.version + 1
  const chainTail = writeTransition(transaction, row.chainTail, { requestId, seq: version, from, to, event, worker, leaseEpoch })
  table(requestTable).update(requestId, () => ({
    ...row,
    ...{ state: to, version, machineVersion: change.machineVersion, snapshot: JSON.stringify(change.snapshot), chainTail },
    ...{ endedAtMs: isEnd(to) ? (row.endedAtMs ?? nowMs) : null, anchor: change.anchor ?? row.anchor }
  }))
  wake(transaction, change, version, row.facts.deadline)
  for (const id of change.answeredSignals) {
    if (table(signalTable).get(String(id))?.requestId === requestId) table(signalTable).delete(String(id))
  }
  return { requestId, type: "saved", version, outboxId: owe(transaction, change, version, row.facts.deadline), chainTail }
}

const summary = (transaction: Transaction, row: RequestRow): RequestSummary => ({
  ...{ id: row.id, kind: row.facts.kind, state: row.state, version: row.version, detectedAtMs: row.detectedAtMs },
  ...{ endedAtMs: row.endedAtMs, handles: row.facts.handles.length },
  lastEvent: JSON.parse(transaction.table(transitionTable).get(`${row.id}/${row.version}`)?.event ?? "null")
})

const of =
  (partitions: ReadonlyArray<number>) =>
  <Row>(table: { readonly where: (index: string, value: string) => ReadonlyArray<Row> }): ReadonlyArray<Row> =>
    partitions.flatMap((partition) => table.where("partition", String(partition)))

/** What is due in these partitions, with the machine version under which it stands. */
const overdueOf = ({ table, nowMs }: Transaction, partitions: ReadonlyArray<number>) =>
  of(partitions)(table(wakeTable)).flatMap((row: WakeRow) => {
    const request = row.dueMs <= nowMs ? table(requestTable).get(row.requestId) : undefined
    return request === undefined ? [] : [{ row, version: request.machineVersion, state: request.state }]
  })

/** How long a message may be owed before its request is put off instead of claimed. */
const OWED_LATE_MS = 2_000

const isUndecided = ({ table }: Transaction, { requestId, version }: OutboxTableRow): boolean =>
  table(wakeTable).get(requestId)?.version === version

const owedRow = ({ id, requestId, version, reached, deadline }: OutboxTableRow): OutboxRow => ({ id, requestId, version, reached, deadline })

const byId = (a: { readonly id: bigint }, b: { readonly id: bigint }): number => (a.id < b.id ? -1 : 1)

export const requestLedgerOn = (connection: Connection): Layer.Layer<RequestLedger> =>
  Layer.succeed(RequestLedger, {
    load: (ids) =>
      ids.length === 0
        ? Effect.succeed([])
        : connection.statement("load", ({ table }) =>
            [...new Set(ids)].flatMap((id) => {
              const row = table(requestTable).get(id)
              return row === undefined ? [] : [storedRequest(row)]
            })
          ),

    save: (changes, worker) => {
      assert(new Set(changes.map((change) => change.requestId)).size === changes.length, "one change for each request in a save")
      if (changes.length === 0) return Effect.succeed([])
      return connection.statement("save", (transaction) => changes.map((change) => saveOne(transaction, change, worker)))
    },

    postpone: (items) =>
      items.length === 0
        ? Effect.void
        : connection.statement("postpone", ({ table, nowMs }) => {
            for (const { requestId, version, afterMs, reason } of items) {
              if (table(wakeTable).get(requestId)?.version !== version) continue
              table(wakeTable).update(requestId, (row) => ({
                ...row,
                ...{ dueMs: nextDueMs(nowMs, Math.round(afterMs), row.deadline), reason, claims: 0 }
              }))
            }
          }),

    claimOverdue: (partitions, limit, againAfterMs, machineVersions, paused: ReadonlyArray<RequestState> = []) =>
      connection.statement("claim-overdue", (transaction) => {
        const { table, nowMs } = transaction
        const overdue = overdueOf(transaction, partitions).filter(
          ({ row, version, state }) => machineVersions.includes(version) && (!paused.includes(state) || (row.deadline + 1) * 1_000 < nowMs)
        )
        const first = overdue.map(({ row }) => row).toSorted((a, b) => a.dueMs - b.dueMs)
        return first.slice(0, limit).flatMap(({ requestId }) => {
          const claimed = table(wakeTable).update(requestId, (row) => {
            const afterMs = againAfterMs * 2 ** Math.min(row.claims, DOUBLINGS_MAX)
            return { ...row, claims: row.claims + 1, dueMs: nextDueMs(nowMs, afterMs, row.deadline) }
          })
          const request = table(requestTable).get(requestId)
          if (request === undefined) return []
          const { partition, version, claims, deadline, reason } = claimed
          const isPastDeadline = (deadline + 1) * 1_000 < nowMs
          return [{ requestId, partition, version, state: request.state, claims, deadline, isPastDeadline, lastReason: reason }]
        })
      }),

    unreadable: (partitions, machineVersions) =>
      connection.statement(
        "unreadable",
        (transaction) => overdueOf(transaction, partitions).filter(({ version }) => !machineVersions.includes(version)).length
      ),

    owed: (partitions, olderThanMs, limit) =>
      connection.statement("owed", ({ table, nowMs }) =>
        of(partitions)(table(outboxTable))
          .filter((row) => row.writtenAtMs <= nowMs - olderThanMs)
          .toSorted(byId)
          .slice(0, limit)
          .map(owedRow)
      ),

    owedInTurn: ({ partitions, reached, after, olderThanMs, limit }) =>
      connection.statement("owed-in-turn", (transaction) => {
        const { table, nowMs } = transaction
        const waiting = of(partitions)(table(outboxTable))
          .filter((row) => row.reached === reached && row.writtenAtMs <= nowMs - olderThanMs && isUndecided(transaction, row))
          .toSorted(byId)
          .flatMap((row) => {
            const requester = table(requestTable).get(row.requestId)?.facts.requester ?? "0x"
            return requester > after ? [{ ...owedRow(row), partition: row.partition, requester }] : []
          })
        const requesters = [...Map.groupBy(waiting, ({ requester }) => requester)].toSorted(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit)
        const turns = Math.ceil(limit / Math.max(1, requesters.length))
        return Array.from({ length: turns }, (_, turn) => requesters.flatMap(([, rows]) => rows.slice(turn, turn + 1))).flat().slice(0, limit)
      }),

    backlog: (partitions) =>
      connection.statement("backlog", ({ table, nowMs }) => {
        return [...Map.groupBy(of(partitions)(table(outboxTable)), ({ reached }) => reached)].map(([reached, owed]) => ({
          ...{ reached, count: owed.length, oldestMs: owed.reduce((oldest, { writtenAtMs }) => Math.max(oldest, nowMs - writtenAtMs), 0) }
        }))
      }),

    workload: (underWayAtMost) =>
      connection.statement("workload", ({ table, nowMs }) => {
        const owed = table(outboxTable).all()
        return {
          underWay: Math.min(underWayAtMost, table(wakeTable).all().length),
          owed: owed.length,
          oldestOwedMs: owed.reduce((oldest, { writtenAtMs }) => Math.max(oldest, nowMs - writtenAtMs), 0)
        }
      }),

    putOffOwed: (partitions, byMs) =>
      connection.statement("put-off-owed", (transaction) => {
        const { table, nowMs } = transaction
        for (const row of of(partitions)(table(outboxTable)).filter(({ writtenAtMs }) => writtenAtMs <= nowMs - OWED_LATE_MS)) {
          if (!isUndecided(transaction, row)) table(outboxTable).delete(String(row.id))
          else if (row.deadline * 1_000 > nowMs) {
            table(wakeTable).update(row.requestId, (wake) =>
              wake.dueMs <= nowMs + 5_000 ? { ...wake, dueMs: nextDueMs(nowMs, byMs, wake.deadline) } : wake
            )
          }
        }
      }),

    settle: (outboxIds) =>
      outboxIds.length === 0
        ? Effect.void
        : connection.statement("settle", (transaction) => {
            const { table, nowMs } = transaction
            for (const id of outboxIds) {
              const row = table(outboxTable).get(String(id))
              if (row === undefined) continue
              table(outboxTable).delete(String(id))
              if (row.writtenAtMs > nowMs - OWED_LATE_MS || !isUndecided(transaction, row)) continue
              table(wakeTable).update(row.requestId, (wake) => ({ ...wake, dueMs: nextDueMs(nowMs, WORK_TIMEOUT_MS, wake.deadline) }))
            }
          }),

    signal: (requestId, event) => connection.statement("signal", (transaction) => raiseSignal(transaction, requestId, event)),

    signals: (partitions, limit) =>
      connection.statement("signals", ({ table }) =>
        of(partitions)(table(signalTable))
          .toSorted(byId)
          .slice(0, limit)
          .map(({ id, requestId, event }) => ({ id, requestId, event: JSON.parse(event) }))
      ),

    dropSignals: (ids) =>
      ids.length === 0
        ? Effect.void
        : connection.statement("drop-signals", ({ table }) => {
            for (const id of ids) table(signalTable).delete(String(id))
          }),

    history: (id) => connection.statement("history", (transaction) => historyOf(transaction, id)),

    list: ({ state, limit }) =>
      connection.statement("list", (transaction) => {
        const timeOf = (row: RequestRow) => (state !== undefined && isEnd(state) ? (row.endedAtMs ?? 0) : row.detectedAtMs)
        return transaction
          .table(requestTable)
          .all()
          .filter((row) => state === undefined || row.state === state)
          .toSorted((a, b) => timeOf(b) - timeOf(a) || (a.id < b.id ? -1 : 1))
          .slice(0, limit)
          .map((row) => summary(transaction, row))
      }),

    countByState: connection.statement("count-by-state", ({ table }) => {
      const counts: Partial<Record<RequestState, number>> = {}
      for (const { state } of table(requestTable).all()) counts[state] = (counts[state] ?? 0) + 1
      return counts
    }),

    oldestOverdue: (paused: ReadonlyArray<RequestState>) =>
      connection.statement("oldest-overdue", ({ table, nowMs }) => {
        const resumedAtMs = table(operatorActionTable)
          .all()
          .filter(({ action, target }) => action === "resume" && (target === "everything" || target.startsWith("step:")))
          .reduce((newest, { atMs }) => Math.max(newest, atMs), Number.NEGATIVE_INFINITY)
        const since = { moving: nowMs, paused: nowMs }
        for (const { requestId, dueMs } of table(wakeTable).all()) {
          const state = paused.length === 0 ? undefined : table(requestTable).get(requestId)?.state
          if (state !== undefined && paused.includes(state)) since.paused = Math.min(since.paused, dueMs)
          else since.moving = Math.min(since.moving, Math.max(dueMs, resumedAtMs))
        }
        return { seconds: (nowMs - since.moving) / 1_000, pausedSeconds: (nowMs - since.paused) / 1_000 }
      }),

    ping: connection.statement("ping", () => undefined)
  })
