/**
 * ResultLedger on PostgreSQL. A request stands in one batch only; a batch is stored whole, because its Merkle tree needs every
 * leaf.
 */
import { Effect, Layer } from "effect"
import type pg from "pg"
import type { Hex } from "../../domain/hex.ts"
import { fromHex, toHex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { ResultLedger } from "../../ledger/result-ledger.port.ts"
import { Sealer } from "../../ledger/sealer.port.ts"
import { partOf } from "../../threshold/part-of-batch.ts"
import { Database, type Prepared } from "./pool.ts"
import { byteaOfBytes, byteaOfHex } from "./wire-types.ts"

const ROOTS: Prepared = {
  name: "read-standing",
  text: "SELECT request_id, root FROM standing WHERE request_id = ANY ($1::bytea[])"
}

interface StandingRow {
  readonly request_id: Hex
  readonly root: Hex
}

const BATCH: Prepared = {
  name: "read-batch",
  text: `
WITH asked AS MATERIALIZED (
  SELECT $1::bytea AS root, NULL::bytea AS only_request WHERE NOT EXISTS (SELECT FROM attested_part WHERE part = $1)
  UNION ALL
  SELECT p.root, p.request_id FROM attested_part p JOIN standing s USING (request_id, root) WHERE p.part = $1
)
SELECT b.root, b.chain_id, b.gateway, b.epoch, b.count, b.expiry, b.attestation, r.request_id, r.sealed, a.only_request
FROM asked a JOIN attested_batch b USING (root) JOIN result r USING (root) ORDER BY r.position`
}

interface BatchRow {
  readonly root: Hex
  readonly chain_id: bigint
  readonly gateway: Hex
  readonly epoch: bigint
  readonly count: number
  readonly expiry: bigint
  readonly attestation: Hex
  readonly request_id: Hex
  readonly sealed: Hex | null
  /** Whose result is wanted alone. */
  readonly only_request: Hex | null
}

/**
 * Living requests that stand nowhere now stand under this root. FOR SHARE: one that ends at this moment does so before or after.
 */
const STAND = `
WITH living AS MATERIALIZED (
  SELECT request_id FROM request WHERE request_id = ANY ($1::bytea[]) AND ended_at IS NULL ORDER BY request_id FOR SHARE
)
INSERT INTO standing (request_id, root) SELECT request_id, $2 FROM living ON CONFLICT DO NOTHING RETURNING request_id`

const KEEP_BATCH = `
INSERT INTO attested_batch AS b (root, chain_id, gateway, epoch, count, expiry, attestation, live, kept_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT (root) DO UPDATE SET live = b.live + excluded.live`

/** A batch whose payloads were deleted, because all its requests had ended, gets them back when one of them stands again. */
const KEEP_RESULTS = `
INSERT INTO result (root, position, request_id, sealed)
SELECT $1, c.place - 1, c.request_id, c.sealed
FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS c(request_id, sealed, place)
ON CONFLICT (root, position) DO UPDATE SET sealed = excluded.sealed WHERE result.sealed IS NULL`

const keep = async (
  client: pg.PoolClient,
  batch: AttestedBatch,
  sealed: ReadonlyArray<Uint8Array>
): Promise<ReadonlyArray<StandingRow>> => {
  const root = byteaOfHex(batch.attested.root)
  const ids = batch.responses.map(({ requestId }) => byteaOfHex(requestId))
  const { rows: stood } = await client.query(STAND, [ids, root])
  if (stood.length > 0) {
    const { epoch, count, expiry } = batch.attested
    await client.query(KEEP_BATCH, [
      ...[root, batch.chainId, byteaOfHex(batch.gateway), epoch, count, expiry, byteaOfBytes(batch.attestation), stood.length]
    ])
    await client.query(KEEP_RESULTS, [root, ids, sealed.map((record) => byteaOfHex(toHex(record)))])
  }
  const { rows } = await client.query<StandingRow>({ ...ROOTS, values: [ids] })
  return rows
}

const rootsOf = (rows: ReadonlyArray<StandingRow>): ReadonlyMap<RequestId, Hex> =>
  new Map(rows.map((row) => [row.request_id, row.root]))

const contextOf = (root: Hex, requestId: RequestId) => ({ table: "result", root, request: requestId })

export const resultLedgerLayer: Layer.Layer<ResultLedger, never, Database | Sealer> = Layer.effect(
  ResultLedger,
  Effect.gen(function*() {
    const database = yield* Database
    const sealer = yield* Sealer
    const unavailable = (doing: string) => (cause: unknown) => new LedgerUnavailable({ doing, cause })

    return ResultLedger.of({
      keep: Effect.fnUntraced(function*(batch) {
        const { root } = batch.attested
        const sealed = yield* Effect.forEach(batch.responses, ({ requestId, result }) =>
          sealer.seal(contextOf(root, requestId), result)
        ).pipe(Effect.mapError(unavailable("seal results")))
        return rootsOf(yield* database.transact("keep results", (client) => keep(client, batch, sealed)))
      }),

      rootOf: (ids) =>
        database.run<StandingRow>("read where results stand", ROOTS, [ids.map(byteaOfHex)]).pipe(Effect.map(rootsOf)),

      batch: Effect.fnUntraced(function*(root) {
        const rows = yield* database.run<BatchRow>("read a batch", BATCH, [byteaOfHex(root)])
        const [head] = rows
        if (head === undefined || rows.some((row) => row.sealed === null)) return undefined
        const responses = yield* Effect.forEach(rows, ({ request_id: requestId, sealed }) =>
          sealer.open(contextOf(head.root, requestId), fromHex(sealed ?? "0x")).pipe(Effect.map((result) => ({ requestId, result })))
        ).pipe(Effect.mapError(unavailable(`open the results under ${root}`)))
        const batch: AttestedBatch = {
          attested: { root: head.root, count: head.count, epoch: Number(head.epoch), expiry: Number(head.expiry) },
          chainId: head.chain_id,
          gateway: head.gateway,
          attestation: fromHex(head.attestation),
          responses
        }
        return head.only_request === null ? batch : partOf(batch, head.only_request)
      })
    })
  })
)
