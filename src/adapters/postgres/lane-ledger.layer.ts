/**
 * LaneLedger on PostgreSQL. Every write is one statement and carries the lane's lease, locked FOR KEY SHARE as in `save-
 * statement.ts`: a sender that lost its lane can neither take a nonce nor store signed bytes.
 */
import { Effect, Layer } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import { type Attempt, type LaneId, LaneLedger, type Slot } from "../../ledger/lane-ledger.port.ts"
import type { Lease } from "../../ledger/lease.port.ts"
import type { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { Database, type Prepared, sqlState, UNIQUE_VIOLATION } from "./pool.ts"
import { byteaOfHex } from "./wire-types.ts"

/**
 * Where a batch already is, it stays, unless the nonce that carried it is final: then whoever asks again wants it carried again.
 */
const ENQUEUE: Prepared = {
  name: "lane-enqueue",
  text: `
INSERT INTO lane_batch AS b (root, chain_id, address, request_ids) VALUES ($1, $2, $3, $4)
ON CONFLICT (root) DO UPDATE SET (chain_id, address, nonce) = (
  SELECT
    CASE WHEN s.is_final THEN excluded.chain_id ELSE b.chain_id END,
    CASE WHEN s.is_final THEN excluded.address ELSE b.address END,
    CASE WHEN s.is_final THEN NULL ELSE b.nonce END
  FROM (SELECT coalesce((
    SELECT is_final FROM lane_slot s WHERE s.chain_id = b.chain_id AND s.address = b.address AND s.nonce = b.nonce
  ), false) AS is_final) s
)
RETURNING chain_id, address`
}

const WAITING: Prepared = {
  name: "lane-waiting",
  text: `SELECT root, request_ids FROM lane_batch WHERE chain_id = $1 AND address = $2 AND nonce IS NULL ORDER BY queued LIMIT $3`
}

const NEXT_NONCE: Prepared = { name: "lane-next-nonce", text: "SELECT next_nonce FROM lane WHERE chain_id = $1 AND address = $2" }

const OPEN: Prepared = {
  name: "lane-open",
  text: `
SELECT s.nonce, s.root, s.version, s.snapshot, a.attempt_no, a.root AS attempt_root, a.tx_hash, a.raw_tx,
       a.max_fee_per_gas, a.max_priority_fee_per_gas, (extract(epoch FROM a.signed_at) * 1000)::float8 AS signed_at_ms
FROM lane_slot s JOIN tx_attempt a USING (chain_id, address, nonce)
WHERE s.chain_id = $1 AND s.address = $2 AND NOT s.is_final ORDER BY s.nonce, a.attempt_no`
}

interface OpenRow {
  readonly nonce: bigint
  readonly root: Hex
  readonly version: number
  readonly snapshot: unknown
  readonly attempt_no: number
  readonly attempt_root: Hex
  readonly tx_hash: Hex
  readonly raw_tx: Hex
  readonly max_fee_per_gas: string
  readonly max_priority_fee_per_gas: string
  readonly signed_at_ms: number
}

const FENCE = "SELECT name FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE"
const ATTEMPT_COLUMNS =
  "chain_id, address, nonce, attempt_no, root, tx_hash, raw_tx, max_fee_per_gas, max_priority_fee_per_gas, signed_at"

/** The batch must wait in this lane; the nonce must never have been taken, and none below it can be taken any more. */
const TAKE: Prepared = {
  name: "lane-take",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
moved AS (
  INSERT INTO lane AS l (chain_id, address, next_nonce) SELECT $3, $4, $5::bigint + 1 FROM fence
  WHERE EXISTS (SELECT FROM lane_batch b WHERE b.root = $6 AND b.chain_id = $3 AND b.address = $4 AND b.nonce IS NULL)
  ON CONFLICT (chain_id, address) DO UPDATE SET next_nonce = excluded.next_nonce WHERE l.next_nonce < excluded.next_nonce
  RETURNING next_nonce
),
carried AS (
  UPDATE lane_batch SET nonce = $5 FROM moved WHERE root = $6 AND chain_id = $3 AND address = $4 AND nonce IS NULL RETURNING root
),
slotted AS (
  INSERT INTO lane_slot (chain_id, address, nonce, root, version, snapshot, is_final)
  SELECT $3, $4, $5, root, 1, $7::json, false FROM carried
)
INSERT INTO tx_attempt (${ATTEMPT_COLUMNS})
SELECT $3, $4, $5, $8, $9, $10, $11, $12, $13, to_timestamp($14::float8 / 1000) FROM carried
RETURNING nonce`
}

const SAVE: Prepared = {
  name: "lane-save",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
saved AS (
  UPDATE lane_slot s SET version = s.version + 1, snapshot = $7::json, is_final = $8 FROM fence
  WHERE s.chain_id = $3 AND s.address = $4 AND s.nonce = $5 AND s.version = $6 RETURNING s.nonce
),
signed AS (
  INSERT INTO tx_attempt (${ATTEMPT_COLUMNS})
  SELECT $3, $4, $5, $9, $10, $11, $12, $13, $14, to_timestamp($15::float8 / 1000) FROM saved WHERE $9::integer IS NOT NULL
)
SELECT nonce FROM saved`
}

const DISCARD: Prepared = {
  name: "lane-discard",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
DELETE FROM lane_batch b USING fence WHERE b.root = $3 AND b.chain_id = $4 AND b.address = $5 AND b.nonce IS NULL`
}

const REQUEUE: Prepared = {
  name: "lane-requeue",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
UPDATE lane_batch b SET nonce = NULL FROM fence, lane_slot s
WHERE b.root = $3 AND b.chain_id = $4 AND b.address = $5
  AND s.chain_id = b.chain_id AND s.address = b.address AND s.nonce = b.nonce AND s.is_final`
}

const REQUESTS_OF: Prepared = { name: "lane-requests-of", text: "SELECT request_ids FROM lane_batch WHERE root = $1" }

const keyOf = (lane: LaneId): [bigint, string] => [lane.chainId, byteaOfHex(lane.address)]
const fenceOf = (lease: Lease): [string, bigint] => [lease.name, lease.epoch]

const attemptValues = (attempt: Attempt | undefined): ReadonlyArray<unknown> =>
  attempt === undefined
    ? [null, null, null, null, null, null, null]
    : [
        attempt.attemptNo,
        byteaOfHex(attempt.root),
        byteaOfHex(attempt.txHash),
        byteaOfHex(attempt.rawTx),
        attempt.maxFeePerGas,
        attempt.maxPriorityFeePerGas,
        attempt.signedAtMs
      ]

const attemptOf = (row: OpenRow): Attempt => ({
  nonce: Number(row.nonce),
  attemptNo: row.attempt_no,
  root: row.attempt_root,
  txHash: row.tx_hash,
  rawTx: row.raw_tx,
  maxFeePerGas: BigInt(row.max_fee_per_gas),
  maxPriorityFeePerGas: BigInt(row.max_priority_fee_per_gas),
  signedAtMs: Math.round(row.signed_at_ms)
})

const slotOf = (rows: ReadonlyArray<OpenRow>, head: OpenRow): Slot => ({
  nonce: Number(head.nonce),
  root: head.root,
  version: head.version,
  snapshot: head.snapshot,
  attempts: rows.map(attemptOf)
})

/** That nonce or attempt is there already, so this decision was made on old news. */
const staleWhenTaken = (error: LedgerUnavailable) => (sqlState(error) === UNIQUE_VIOLATION ? Effect.succeed(false) : Effect.fail(error))

export const laneLedgerLayer: Layer.Layer<LaneLedger, never, Database> = Layer.effect(
  LaneLedger,
  Effect.gen(function*() {
    const database = yield* Database
    const isDone = (doing: string, statement: Prepared, values: ReadonlyArray<unknown>) =>
      database.run(doing, statement, values).pipe(
        Effect.map((rows) => rows.length === 1),
        Effect.catch(staleWhenTaken)
      )

    return LaneLedger.of({
      enqueue: (lane, root, requestIds) =>
        database
          .run<{ chain_id: bigint; address: Hex }>("queue a batch", ENQUEUE, [
            byteaOfHex(root),
            ...keyOf(lane),
            requestIds.map(byteaOfHex)
          ])
          .pipe(Effect.map(([row]) => (row === undefined ? lane : { chainId: row.chain_id, address: row.address }))),

      waiting: (lane, limit) =>
        database
          .run<{ root: Hex; request_ids: ReadonlyArray<RequestId> }>("read waiting batches", WAITING, [...keyOf(lane), limit])
          .pipe(Effect.map((rows) => rows.map((row) => ({ root: row.root, requestIds: row.request_ids })))),

      open: Effect.fnUntraced(function*(lane) {
        const rows = yield* database.run<OpenRow>("read open slots", OPEN, keyOf(lane))
        const [next] = yield* database.run<{ next_nonce: bigint }>("read the next nonce", NEXT_NONCE, keyOf(lane))
        const groups = [...Map.groupBy(rows, (row) => row.nonce).values()]
        const slots = groups.flatMap((group) => (group[0] ? [slotOf(group, group[0])] : []))
        return { nextNonce: next === undefined ? undefined : Number(next.next_nonce), slots }
      }),

      take: (lane, lease, { nonce, root, snapshot, attempt }) =>
        isDone("take a nonce", TAKE, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, byteaOfHex(root), JSON.stringify(snapshot)],
          ...attemptValues(attempt)
        ]),

      save: (lane, lease, { nonce, version, snapshot, isFinal, attempt }) =>
        isDone("save a slot", SAVE, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, version, JSON.stringify(snapshot), isFinal],
          ...attemptValues(attempt)
        ]),

      discard: (lane, lease, root) =>
        Effect.asVoid(database.run("discard a batch", DISCARD, [...fenceOf(lease), byteaOfHex(root), ...keyOf(lane)])),

      requeue: (lane, lease, root) =>
        Effect.asVoid(database.run("put a batch back", REQUEUE, [...fenceOf(lease), byteaOfHex(root), ...keyOf(lane)])),

      requestsOf: (root) =>
        database
          .run<{ request_ids: ReadonlyArray<RequestId> }>("read the requests of a batch", REQUESTS_OF, [byteaOfHex(root)])
          .pipe(Effect.map(([row]) => row?.request_ids ?? []))
    })
  })
)
