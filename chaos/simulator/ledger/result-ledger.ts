/** ResultLedger in memory: a request stands in one batch only, and a batch's payloads go with the last request that stands in it. */
import { Effect, Layer } from "effect"
import type { Hex } from "../../../src/domain/hex.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import type { AttestedBatch } from "../../../src/domain/response.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { ResultLedger } from "../../../src/ledger/result-ledger.port.ts"
import { Sealer } from "../../../src/ledger/sealer.port.ts"
import { partOf } from "../../../src/threshold/part-of-batch.ts"
import type { Connection } from "./connection.ts"
import type { Transaction } from "./memory-table.ts"
import { attestedBatchTable, attestedPartTable, requestTable, resultTable, standingTable } from "./tables.ts"

const rootsOf = ({ table }: Transaction, ids: ReadonlyArray<RequestId>): ReadonlyMap<RequestId, Hex> =>
  new Map(
    ids.flatMap((id) => {
      const standing = table(standingTable).get(id)
      return standing === undefined ? [] : [[id, standing.root] as const]
    })
  )

/** Living requests that stand nowhere now stand under this root. Payloads that were deleted come back with one that stands again. */
const keep = (transaction: Transaction, batch: AttestedBatch, sealed: ReadonlyArray<Uint8Array>): void => {
  const { table } = transaction
  const { root, epoch, count, expiry } = batch.attested
  const stood = batch.responses.filter(
    ({ requestId }) =>
      table(requestTable).get(requestId)?.endedAtMs === null && table(standingTable).insertIfNew({ requestId, root }) !== undefined
  )
  if (stood.length === 0) return
  const { chainId, gateway } = batch
  const attestation = Uint8Array.from(batch.attestation)
  if (table(attestedBatchTable).get(root) === undefined) {
    table(attestedBatchTable).insert({ root, chainId, gateway, epoch, count, expiry, attestation, live: stood.length })
  } else {
    table(attestedBatchTable).update(root, (row) => ({ ...row, live: row.live + stood.length }))
  }
  for (const [position, { requestId }] of batch.responses.entries()) {
    const key = `${root}/${position}`
    const known = table(resultTable).get(key)
    const record = sealed[position] ?? null
    if (known === undefined) table(resultTable).insert({ root, position, requestId, sealed: record })
    else if (known.sealed === null) table(resultTable).update(key, (row) => ({ ...row, sealed: record }))
  }
}

const contextOf = (root: Hex, requestId: RequestId) => ({ table: "result", root, request: requestId })

export const resultLedgerOn = (connection: Connection): Layer.Layer<ResultLedger, never, Sealer> =>
  Layer.effect(
    ResultLedger,
    Effect.map(Sealer, (sealer) => {
      const unavailable = (doing: string) => (cause: unknown) => new LedgerUnavailable({ doing, cause })
      return ResultLedger.of({
        keep: Effect.fnUntraced(function* (batch) {
          const { root } = batch.attested
          const sealed = yield* Effect.forEach(batch.responses, ({ requestId, result }) =>
            sealer.seal(contextOf(root, requestId), result)
          ).pipe(Effect.mapError(unavailable("seal results")))
          return yield* connection.statement("keep-results", (transaction) => {
            keep(transaction, batch, sealed)
            return rootsOf(
              transaction,
              batch.responses.map(({ requestId }) => requestId)
            )
          })
        }),

        rootOf: (ids) => connection.statement("read-standing", (transaction) => rootsOf(transaction, ids)),

        batch: Effect.fnUntraced(function* (root) {
          const { part, head, rows } = yield* connection.statement("read-batch", ({ table }) => {
            const named = table(attestedPartTable).get(root)
            const isStanding = named === undefined || table(standingTable).get(named.requestId)?.root === named.root
            const at = named?.root ?? root
            const rows = table(resultTable).where("root", at).toSorted((a, b) => a.position - b.position)
            return { part: named, head: isStanding ? table(attestedBatchTable).get(at) : undefined, rows }
          })
          if (head === undefined || rows.length === 0 || rows.some(({ sealed }) => sealed === null)) return undefined
          const responses = yield* Effect.forEach(rows, ({ requestId, sealed }) =>
            sealer
              .open(contextOf(head.root, requestId), sealed ?? new Uint8Array())
              .pipe(Effect.map((result) => ({ requestId, result })))
          ).pipe(Effect.mapError(unavailable(`open the results under ${root}`)))
          const batch: AttestedBatch = {
            attested: { root: head.root, count: head.count, epoch: head.epoch, expiry: head.expiry },
            ...{ chainId: head.chainId, gateway: head.gateway, attestation: Uint8Array.from(head.attestation), responses }
          }
          return part === undefined ? batch : partOf(batch, part.requestId)
        })
      })
    })
  )
