/** Timeline in memory: a promotion of MemoryDatabase begins another history, a snapshot that is put back does not, and a stop and start is another
 * life. */
import { Layer } from "effect"
import type { SeenStanding } from "../../../src/ledger/standing.ts"
import { ANSWERED_LATE_MS, Timeline } from "../../../src/ledger/timeline.port.ts"
import type { Connection } from "./connection.ts"
import { epochBeyond, historyIn, isFenced, SYSTEM } from "./leases.ts"
import type { Transaction } from "./memory-table.ts"
import {
  DATABASE_TIMELINE,
  type DatabaseTimelineRow,
  databaseTimelineTable,
  leaseTable,
  operatorActionTable,
  requestTable,
  wakeTable
} from "./tables.ts"

const NOTHING: DatabaseTimelineRow = {
  ...{ reconciled: null, reconciledAtMs: null, noticed: null, noticedAtMs: null, lostUntilMs: null },
  ...{ rewinds: 0, vouchedLife: null }
}

const rowIn = ({ table }: Transaction): DatabaseTimelineRow => table(databaseTimelineTable).get(DATABASE_TIMELINE) ?? NOTHING

const keep = (transaction: Transaction, change: Partial<DatabaseTimelineRow>): void => {
  const timelines = transaction.table(databaseTimelineTable)
  const row = { ...rowIn(transaction), ...change }
  if (timelines.get(DATABASE_TIMELINE) === undefined) timelines.insert(row)
  else timelines.update(DATABASE_TIMELINE, () => row)
}

/** What nodes answered until then may be about asks that were lost. */
export const lostUntilIn = (transaction: Transaction): number | null => rowIn(transaction).lostUntilMs

/** What commits may have lost has been compared with the chain. */
export const isReconciledIn = (transaction: Transaction): boolean => rowIn(transaction).reconciled === historyIn(transaction)

const isVouchedIn = (transaction: Transaction): boolean => rowIn(transaction).vouchedLife === transaction.life

/** False while lanes must neither take nonces nor store signed bytes. */
export const isThawedIn = (transaction: Transaction): boolean => isReconciledIn(transaction) && isVouchedIn(transaction)

const standingIn = (transaction: Transaction): SeenStanding => {
  const { timelineId, life, position, beganAt } = transaction
  return { system: SYSTEM, timeline: timelineId, rewinds: rowIn(transaction).rewinds, life, position, beganAt }
}

const ON_THEIR_WAY: ReadonlySet<string> = new Set(["threshold-verified", "submitted"])

const begin = (transaction: Transaction): void => {
  const { table, nowMs } = transaction
  const history = historyIn(transaction)
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
      const here = historyIn(transaction)
      return { here, reconciled, noticedAtMs, reconciledAtMs, isVouched: isVouchedIn(transaction), standing: standingIn(transaction) }
    }),
    begin: (lease) =>
      connection.statement("timeline-begin", (transaction) => {
        if (!isFenced(transaction, lease) || isReconciledIn(transaction)) return undefined
        begin(transaction)
        return historyIn(transaction)
      }),
    finish: (lease, history) =>
      connection.statement("timeline-finish", (transaction) => {
        const isSame = rowIn(transaction).noticed === history && historyIn(transaction) === history
        if (!isFenced(transaction, lease) || !isSame) return false
        keep(transaction, { reconciled: history, reconciledAtMs: transaction.nowMs })
        return true
      }),
    vouch: ({ life, rewinds }) =>
      connection.statement("timeline-vouch", (transaction) => {
        const isKnown = transaction.table(databaseTimelineTable).get(DATABASE_TIMELINE) !== undefined
        if (!isKnown || transaction.life !== life || rowIn(transaction).rewinds !== rewinds) return false
        keep(transaction, { vouchedLife: life })
        return true
      }),
    rewind: ({ life, rewinds }, remembered) =>
      connection.statement("timeline-rewind", (transaction) => {
        if (transaction.life !== life || rowIn(transaction).rewinds !== rewinds) return false
        keep(transaction, { rewinds: Math.max(rewinds, remembered) + 1 })
        return true
      }),
    order: ({ by, why }) =>
      connection.statement("timeline-order", (transaction) => {
        if (!isReconciledIn(transaction)) return false
        keep(transaction, { rewinds: rowIn(transaction).rewinds + 1 })
        const { table, next, nowMs: atMs } = transaction
        table(operatorActionTable).insert({ id: next("operator-action"), atMs, by, action: "reconcile", target: historyIn(transaction), why })
        return true
      })
  })
