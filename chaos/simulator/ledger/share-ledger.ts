/** ShareLedger in memory: the budget is one row for each request (I7), shares are sealed and go with the end of their request. */
import { Effect, Layer } from "effect"
import { decodeAnswer, encodeAnswer } from "../../../src/adapters/postgres/share-record.ts"
import type { NodeId } from "../../../src/domain/committee.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import type { ShareAnswer } from "../../../src/domain/share.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { Sealer } from "../../../src/ledger/sealer.port.ts"
import { ShareLedger } from "../../../src/ledger/share-ledger.port.ts"
import type { Connection } from "./connection.ts"
import type { Transaction } from "./memory-table.ts"
import { evidenceTable, requestTable, shareAskTable, type ShareRow, shareTable } from "./tables.ts"

type Ask = Parameters<ShareLedger["Service"]["intend"]>[0][number]

/** A new row takes as many nodes as the budget allows; a known one keeps its nodes and takes what is left of the budget, in order. */
const intend = ({ table, nowMs }: Transaction, { requestId, nodes, budget }: Ask): ReadonlyArray<NodeId> => {
  const asks = table(shareAskTable)
  const wanted = [...new Set(nodes)]
  const known = asks.get(requestId)
  if (known === undefined) {
    const granted = wanted.slice(0, Math.max(0, budget))
    asks.insert({ requestId, nodes: granted, budget, firstAtMs: nowMs, lastAtMs: nowMs })
    return granted
  }
  const further = wanted.filter((node) => !known.nodes.includes(node)).slice(0, Math.max(0, budget - known.nodes.length))
  const all = asks.update(requestId, (row) => ({
    ...row,
    ...{ nodes: [...row.nodes, ...further], budget: Math.max(row.budget, budget), lastAtMs: nowMs }
  })).nodes
  return wanted.filter((node) => all.includes(node))
}

const isRejected = ({ table }: Transaction, { requestId, nodeId }: Pick<ShareAnswer, "requestId" | "nodeId">): boolean =>
  table(evidenceTable).by("node", `${requestId}/${nodeId}`) !== undefined

const isLiving = ({ table }: Transaction, id: RequestId): boolean => table(requestTable).get(id)?.endedAtMs === null

const contextOf = (row: Pick<ShareAnswer, "requestId" | "nodeId" | "epoch">) => ({
  ...{ table: "share", request: row.requestId, node: String(row.nodeId), epoch: String(row.epoch) }
})

const sorted = (ids: ReadonlyArray<RequestId>): ReadonlyArray<RequestId> => [...new Set(ids)].toSorted()
const byNode = (a: { readonly nodeId: NodeId }, b: { readonly nodeId: NodeId }): number => a.nodeId - b.nodeId

export const shareLedgerOn = (connection: Connection): Layer.Layer<ShareLedger, never, Sealer> =>
  Layer.effect(
    ShareLedger,
    Effect.map(Sealer, (sealer) => {
      const openRow = ({ requestId, nodeId, epoch, sealed }: ShareRow): Effect.Effect<ShareAnswer, LedgerUnavailable> =>
        sealer.open(contextOf({ requestId, nodeId, epoch }), sealed).pipe(
          Effect.map((plain) => ({ requestId, nodeId, epoch, ...decodeAnswer(plain) })),
          Effect.mapError((cause) => new LedgerUnavailable({ doing: `open the share of node ${nodeId} for ${requestId}`, cause }))
        )

      return ShareLedger.of({
        intend: (asks) =>
          asks.length === 0
            ? Effect.succeed(new Map())
            : connection.statement(
                "intend-asks",
                (transaction) => new Map(asks.map((ask) => [ask.requestId, intend(transaction, ask)]))
              ),

        keep: Effect.fnUntraced(function* (answers) {
          if (answers.length === 0) return
          const rows = yield* Effect.forEach(answers, (answer) =>
            Effect.map(sealer.seal(contextOf(answer), encodeAnswer(answer)), (sealed): ShareRow => ({
              ...{ requestId: answer.requestId, nodeId: answer.nodeId, epoch: answer.epoch, sealed }
            }))
          ).pipe(Effect.mapError((cause) => new LedgerUnavailable({ doing: "seal shares", cause })))
          yield* connection.statement("keep-shares", (transaction) => {
            for (const row of rows) {
              if (isLiving(transaction, row.requestId) && !isRejected(transaction, row)) {
                transaction.table(shareTable).insertIfNew(row)
              }
            }
          })
        }),

        sharesOf: (ids) =>
          connection
            .statement("read-shares", (transaction) =>
              sorted(ids).flatMap((id) =>
                transaction
                  .table(shareTable)
                  .where("request", id)
                  .filter((row) => !isRejected(transaction, row))
                  .toSorted(byNode)
              )
            )
            .pipe(
              Effect.flatMap((rows) => Effect.forEach(rows, openRow)),
              Effect.map((answers) => Map.groupBy(answers, (answer) => answer.requestId))
            ),

        reject: (requestId, nodeId, evidence) =>
          connection.statement("reject-share", ({ table, next, nowMs }) => {
            table(evidenceTable).insertIfNew({
              ...{ id: next("evidence"), requestId, nodeId, file: JSON.stringify(evidence), atMs: nowMs }
            })
            table(shareTable).delete(`${requestId}/${nodeId}`)
          }),

        rejectedNodes: (ids) =>
          connection.statement("read-rejected-nodes", ({ table }) => {
            const rows = sorted(ids).flatMap((id) => table(evidenceTable).where("request", id).toSorted(byNode))
            return new Map([...Map.groupBy(rows, (row) => row.requestId)].map(([id, of]) => [id, of.map((row) => row.nodeId)]))
          }),

        evidence: (limit) =>
          connection.statement("read-evidence", ({ table }) =>
            table(evidenceTable)
              .all()
              .toReversed()
              .slice(0, limit)
              .map(({ file }) => JSON.parse(file) as unknown)
          )
      })
    })
  )
