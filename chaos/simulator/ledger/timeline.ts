/** Timeline in memory: a promotion of MemoryDatabase begins another history, and a stop and start does not. */
import { Layer } from "effect"
import { ANSWERED_LATE_MS, Timeline } from "../../../src/ledger/timeline.port.ts"
import type { Connection } from "./connection.ts"
import { epochBeyond, isFenced } from "./leases.ts"
import type { Transaction } from "./memory-table.ts"
import { DATABASE_TIMELINE, type DatabaseTimelineRow, databaseTimelineTable, leaseTable, requestTable, wakeTable } from "./tables.ts"

const NOTHING: DatabaseTimelineRow = { reconciled: null, reconciledAtMs: null, noticed: null, noticedAtMs: null, lostUntilMs: null }

const rowIn = ({ table }: Transaction): DatabaseTimelineRow => table(databaseTimelineTable).get(DATABASE_TIMELINE) ?? NOTHING

const keep = (transaction: Transaction, change: Partial<DatabaseTimelineRow>): void => {
  const timelines = transaction.table(databaseTimelineTable)
  const row = { ...rowIn(transaction), ...change }
  if (timelines.get(DATABASE_TIMELINE) === undefined) timelines.insert(row)
  else timelines.update(DATABASE_TIMELINE, () => row)
}

/** What nodes answered until then may be about asks that were lost. */
export const lostUntilIn = (transaction: Transaction): number | null => rowIn(transaction).lostUntilMs

/** False while lanes must neither take nonces nor store signed bytes. */
export const isReconciledIn = (transaction: Transaction): boolean => rowIn(transaction).reconciled === transaction.history

const ON_THEIR_WAY: ReadonlySet<string> = new Set(["threshold-verified", "submitted"])

const begin = (transaction: Transaction): void => {
  const { table, nowMs, history } = transaction
  for (const { name, givenIn } of table(leaseTable).all()) {
    if (givenIn === history) continue
    table(leaseTable).update(name, (row) => ({
      ...{ name, owner: null, untilMs: nowMs, givenIn: history },
      epoch: epochBeyond(transaction, row.epoch)
    }))
  }
  if (rowIn(transaction).noticed === history) return
  const lateMs = rowIn(transaction).reconciled === null ? 0 : ANSWERED_LATE_MS
  keep(transaction, { noticed: history, noticedAtMs: nowMs, lostUntilMs: nowMs + lateMs })
  for (const { requestId, dueMs } of table(wakeTable).all()) {
    if (dueMs <= nowMs || !ON_THEIR_WAY.has(table(requestTable).get(requestId)?.state ?? "")) continue
    table(wakeTable).update(requestId, (row) => ({ ...row, dueMs: nowMs }))
  }
}

export const timelineOn = (connection: Connection): Layer.Layer<Timeline> =>
  Layer.succeed(Timeline, {
    look: connection.statement("timeline", (transaction) => {
      const { reconciled, noticedAtMs, reconciledAtMs } = rowIn(transaction)
      return { here: transaction.history, reconciled, noticedAtMs, reconciledAtMs }
    }),
    begin: (lease) =>
      connection.statement("timeline-begin", (transaction) => {
        if (!isFenced(transaction, lease) || isReconciledIn(transaction)) return undefined
        begin(transaction)
        return transaction.history
      }),
    finish: (lease, history) =>
      connection.statement("timeline-finish", (transaction) => {
        const isSame = rowIn(transaction).noticed === history && transaction.history === history
        if (!isFenced(transaction, lease) || !isSame) return false
        keep(transaction, { reconciled: history, reconciledAtMs: transaction.nowMs })
        return true
      })
  })
