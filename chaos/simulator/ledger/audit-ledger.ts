/** AuditLedger in memory: each answer is one statement, and so one moment. */
import { Effect, Layer } from "effect"
import { type AuditedRequest, AuditLedger } from "../../../src/ledger/audit-ledger.port.ts"
import type { Connection } from "./connection.ts"
import { historyOf, storedRequest } from "./request-ledger.ts"
import type { Transaction } from "./memory-table.ts"
import { laneSlotTable, laneTable, type RequestRow, requestTable, shareAskTable, txAttemptTable, wakeTable } from "./tables.ts"
import { lostUntilIn } from "./timeline.ts"

const audited = (transaction: Transaction, row: RequestRow): AuditedRequest => {
  const { table, nowMs } = transaction
  const dueMs = table(wakeTable).get(row.id)?.dueMs
  const asked = table(shareAskTable).get(row.id)
  return {
    ...{ stored: storedRequest(row), history: historyOf(transaction, row.id) },
    overdueMs: dueMs === undefined ? null : nowMs - dueMs,
    asked: asked === undefined ? null : { nodes: [...asked.nodes], budget: asked.budget }
  }
}

export const auditLedgerOn = (connection: Connection): Layer.Layer<AuditLedger> =>
  Layer.succeed(AuditLedger, {
    recentIds: (limit) =>
      connection.statement("audit-recent", ({ table }) => {
        const open = table(wakeTable)
          .all()
          .toSorted((a, b) => a.dueMs - b.dueMs)
          .slice(0, limit)
        const newest = table(requestTable)
          .all()
          .toSorted((a, b) => b.detectedAtMs - a.detectedAtMs || (a.id < b.id ? -1 : 1))
          .slice(0, limit)
        return [...new Set([...open.map((row) => row.requestId), ...newest.map((row) => row.id)])]
      }),

    requests: (ids) =>
      ids.length === 0
        ? Effect.succeed([])
        : connection.statement("audit-requests", (transaction) =>
            [...new Set(ids)].flatMap((id) => {
              const row = transaction.table(requestTable).get(id)
              return row === undefined ? [] : [audited(transaction, row)]
            })
          ),

    page: (after, limit) =>
      connection.statement("audit-page", (transaction) =>
        transaction
          .table(requestTable)
          .all()
          .filter(({ id }) => after === null || id > after)
          .toSorted((a, b) => (a.id < b.id ? -1 : 1))
          .slice(0, limit)
          .map((row) => audited(transaction, row))
      ),

    lostUntilMs: connection.statement("audit-lost-until", lostUntilIn),

    lanes: (slotsMax) =>
      connection.statement("audit-lanes", ({ table }) =>
        table(laneTable)
          .all()
          .toSorted((a, b) => Number(a.chainId - b.chainId) || (a.address < b.address ? -1 : 1))
          .map(({ chainId, address, nextNonce }) => ({
            ...{ lane: { chainId, address }, nextNonce },
            slots: table(laneSlotTable)
              .where("lane", `${chainId}/${address}`)
              .toSorted((a, b) => a.nonce - b.nonce)
              .slice(-slotsMax)
              .map(({ nonce, root }) => ({
                ...{ nonce, root },
                attempts: table(txAttemptTable)
                  .where("slot", `${chainId}/${address}/${nonce}`)
                  .map((row) => ({ attemptNo: row.attemptNo, root: row.root, txHash: row.txHash }))
                  .toSorted((a, b) => a.attemptNo - b.attemptNo)
              }))
          }))
      )
  })
