/**
 * DetectionLedger on PostgreSQL: one transaction moves the cursor, keeps the blocks, bears the requests and raises signals (I1).
 * The lease is locked first (FOR KEY SHARE, as in save-statement.ts): a change of leader waits for this, or this sees its epoch. Then the
 * row of the cursor, so that of two listeners one waits, sees that the cursor has moved, and writes nothing.
 */
import { Effect, Layer } from "effect"
import { sql } from "kysely"
import assert from "node:assert/strict"
import type pg from "pg"
import type { Hex } from "../../domain/hex.ts"
import { WORK_TIMEOUT_MS } from "../../domain/limits.ts"
import type { Anchor, RequestId } from "../../domain/request.ts"
import {
  type Advanced,
  CursorMoved,
  DetectionLedger,
  type SeenBlock,
  type SeenRequest
} from "../../ledger/detection-ledger.port.ts"
import { checkFound, checkStep } from "../../ledger/detection-preconditions.ts"
import { type Lease, type LeaseLost, leaseLost } from "../../ledger/lease.port.ts"
import { bear, type BornRow } from "./birth-statement.ts"
import { Database } from "./pool.ts"
import { SIGNAL_UPSERT } from "./request-statements.ts"
import { byteaOfHex } from "./wire-types.ts"

type Step = Parameters<DetectionLedger["Service"]["advance"]>[0]

interface BlockRow {
  readonly block_number: bigint
  readonly block_hash: Hex
  readonly parent_hash: Hex
}

const seenBlock = (row: BlockRow): SeenBlock => ({
  number: Number(row.block_number),
  hash: row.block_hash,
  parentHash: row.parent_hash
})

/** `false`: the epoch is not the current one. Nobody can take the lease until the transaction ends. */
const holdsLease = async (client: pg.PoolClient, lease: Lease): Promise<boolean> => {
  const { rowCount } = await client.query("SELECT FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE", [lease.name, lease.epoch])
  return rowCount === 1
}

/** `false`: somebody else moved it. Locks its row until the transaction ends. */
const moveCursor = async (client: pg.PoolClient, { chainId, expected }: Step, to: SeenBlock): Promise<boolean> => {
  const values = [chainId, to.number, byteaOfHex(to.hash), byteaOfHex(to.parentHash)]
  const { rowCount } =
    expected === null
      ? await client.query("INSERT INTO chain_cursor VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", values)
      : await client.query(
          "UPDATE chain_cursor SET block_number = $2, block_hash = $3, parent_hash = $4 WHERE chain_id = $1 AND block_hash = $5",
          [...values, byteaOfHex(expected)]
        )
  return rowCount === 1
}

const canonicalAt = async (client: pg.PoolClient, chainId: bigint, number: number): Promise<SeenBlock | undefined> => {
  const { rows } = await client.query<BlockRow>(
    "SELECT block_number, block_hash, parent_hash FROM chain_block WHERE chain_id = $1 AND block_number = $2 AND is_canonical",
    [chainId, number]
  )
  return rows[0] === undefined ? undefined : seenBlock(rows[0])
}

/** Requests that were seen in the blocks above the ancestor, which are canonical no longer. */
const removeBlocks = async (client: pg.PoolClient, { chainId, ancestor }: Step): Promise<Map<RequestId, SeenBlock>> => {
  const { rows } = await client.query<BlockRow & { request_id: Hex | null }>(
    `WITH removed AS (
       UPDATE chain_block SET is_canonical = false WHERE chain_id = $1 AND block_number > $2 AND is_canonical
       RETURNING block_number, block_hash, parent_hash
     )
     SELECT r.*, s.request_id FROM removed r LEFT JOIN sighting s ON s.chain_id = $1 AND s.block_hash = r.block_hash`,
    [chainId, ancestor]
  )
  return new Map(rows.flatMap((row) => (row.request_id === null ? [] : [[row.request_id, seenBlock(row)] as const])))
}

const keepBlocks = async (client: pg.PoolClient, { chainId, blocks, requests, keepFrom }: Step): Promise<void> => {
  await client.query(
    `INSERT INTO chain_block (chain_id, block_hash, block_number, parent_hash, is_canonical)
     SELECT $1, b.hash, b.number, b.parent, true FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS b(hash, number, parent)
     ON CONFLICT (chain_id, block_hash) DO UPDATE SET is_canonical = true`,
    [chainId, blocks.map((b) => byteaOfHex(b.hash)), blocks.map((b) => b.number), blocks.map((b) => byteaOfHex(b.parentHash))]
  )
  await client.query(
    `INSERT INTO sighting (chain_id, block_hash, log_index, request_id)
     SELECT $1, * FROM unnest($2::bytea[], $3::integer[], $4::bytea[]) ON CONFLICT DO NOTHING`,
    [
      chainId,
      requests.map((request) => byteaOfHex(request.anchor.blockHash)),
      requests.map((request) => request.anchor.logIndex),
      requests.map((request) => byteaOfHex(request.id))
    ]
  )
  await client.query(
    `WITH forgotten AS (DELETE FROM chain_block WHERE chain_id = $1 AND block_number < $2 RETURNING block_hash)
     DELETE FROM sighting s USING forgotten f WHERE s.chain_id = $1 AND s.block_hash = f.block_hash`,
    [chainId, keepFrom]
  )
}

/**
 * Known requests that are seen elsewhere than the ledger says, or that were believed gone. One that stands where it always stood,
 * with no word to the contrary under way, is no news: reading a block twice is harmless.
 */
const movedOf = (client: pg.PoolClient, known: ReadonlyArray<SeenRequest>) =>
  otherwiseThan(client, known, `${MISPLACED} OR s.signal_id IS NOT NULL`)

/** The same without those whom a signal waits for: it may be about just this. */
const misplacedOf = (client: pg.PoolClient, known: ReadonlyArray<SeenRequest>) =>
  otherwiseThan(client, known, `(${MISPLACED}) AND s.signal_id IS NULL`)

const MISPLACED = "(r.anchor_block_hash, r.anchor_log_index) <> (seen.block_hash, seen.log_index) OR r.state = 'orphaned'"

const otherwiseThan = async (
  client: pg.PoolClient,
  known: ReadonlyArray<SeenRequest>,
  isNews: string
): Promise<ReadonlyArray<SeenRequest>> => {
  if (known.length === 0) return []
  const { rows } = await client.query<{ request_id: Hex }>(
    `SELECT r.request_id
     FROM unnest($1::bytea[], $2::bytea[], $3::integer[]) AS seen(request_id, block_hash, log_index)
     JOIN request r USING (request_id)
     LEFT JOIN LATERAL (SELECT signal_id FROM signal WHERE request_id = r.request_id AND subject = 'position' LIMIT 1) AS s ON true
     WHERE ${isNews}`,
    [
      known.map((request) => byteaOfHex(request.id)),
      known.map((request) => byteaOfHex(request.anchor.blockHash)),
      known.map((request) => request.anchor.logIndex)
    ]
  )
  const moved = new Set(rows.map((row) => row.request_id))
  return known.filter((request) => moved.has(request.id))
}

interface Told {
  readonly requestId: RequestId
  readonly event: { readonly type: "moved"; readonly anchor: Anchor } | { readonly type: "orphaned"; readonly block: unknown }
}

const tell = async (client: pg.PoolClient, told: ReadonlyArray<Told>): Promise<void> => {
  if (told.length === 0) return
  await client.query(
    `INSERT INTO signal (request_id, partition, subject, event)
     SELECT r.request_id, r.partition, 'position', told.event::json
     FROM unnest($1::bytea[], $2::text[]) AS told(request_id, event) JOIN request r USING (request_id) ORDER BY r.request_id
     ${SIGNAL_UPSERT}`,
    [told.map(({ requestId }) => byteaOfHex(requestId)), told.map(({ event }) => JSON.stringify(event))]
  )
}

const advance = async (client: pg.PoolClient, step: Step): Promise<Advanced | "lease lost" | "cursor moved"> => {
  if (step.lease !== null && !(await holdsLease(client, step.lease))) return "lease lost"
  const to = step.blocks.at(-1) ?? (await canonicalAt(client, step.chainId, step.ancestor))
  assert(to !== undefined, "a step leads to a block: its last one, or an ancestor that is still kept")
  if (!(await moveCursor(client, step, to))) return "cursor moved"
  const removed = await removeBlocks(client, step)
  const born: ReadonlyArray<BornRow> = await bear(client, step.requests, step.worker, WORK_TIMEOUT_MS)
  await keepBlocks(client, step)
  const isBorn = new Set(born.map((row) => row.request_id))
  const moved = await movedOf(
    client,
    step.requests.filter((request) => !isBorn.has(request.id))
  )
  const seen = new Set(step.requests.map((request) => request.id))
  const orphaned = [...removed].filter(([id]) => !seen.has(id))
  const told: ReadonlyArray<Told> = [
    ...moved.map(({ id, anchor }) => ({ requestId: id, event: { type: "moved", anchor } as const })),
    ...orphaned.map(([requestId, { number, hash }]) => ({
      requestId,
      event: { type: "orphaned", block: { blockNumber: number, blockHash: hash } } as const
    }))
  ]
  await tell(client, told)
  return {
    born: born.map((row) => ({ requestId: row.request_id, outboxId: row.outbox_id })),
    signalled: told.map(({ requestId }) => requestId)
  }
}

type Found = Parameters<DetectionLedger["Service"]["birthMissed"]>[0]

/** Holds off whoever moves the cursor until the transaction ends: only such a step adds, removes or forgets blocks. A height below the cursor
 * that has no block any more is final and was forgotten. */
const standsOn = async (client: pg.PoolClient, { chainId, on }: Found): Promise<boolean> => {
  const cursor = await client.query("SELECT block_number FROM chain_cursor WHERE chain_id = $1 FOR SHARE", [chainId])
  const kept = await client.query("SELECT block_hash FROM chain_block WHERE chain_id = $1 AND block_number = $2 AND is_canonical", [
    chainId,
    on.number
  ])
  if (kept.rows.length > 0) return kept.rows[0].block_hash === on.hash
  return cursor.rows.length > 0 && Number(cursor.rows[0].block_number) > on.number
}

/** As long as a block is kept, it is kept in mind what was seen in it: if it goes after all, its requests hear of it. */
const noteSightings = (client: pg.PoolClient, chainId: bigint, requests: ReadonlyArray<SeenRequest>) =>
  client.query(
    `INSERT INTO sighting (chain_id, block_hash, log_index, request_id)
     SELECT $1, s.block_hash, s.log_index, s.request_id
     FROM unnest($2::bytea[], $3::integer[], $4::bytea[]) AS s(block_hash, log_index, request_id)
     JOIN chain_block b ON b.chain_id = $1 AND b.block_hash = s.block_hash ON CONFLICT DO NOTHING`,
    [
      chainId,
      requests.map((request) => byteaOfHex(request.anchor.blockHash)),
      requests.map((request) => request.anchor.logIndex),
      requests.map((request) => byteaOfHex(request.id))
    ]
  )

const birthMissed = async (client: pg.PoolClient, found: Found): Promise<Advanced | "cursor moved"> => {
  if (!(await standsOn(client, found))) return "cursor moved"
  const born = await bear(client, found.requests, found.worker, WORK_TIMEOUT_MS)
  await noteSightings(client, found.chainId, found.requests)
  const isBorn = new Set(born.map((row) => row.request_id))
  const moved = await misplacedOf(
    client,
    found.requests.filter((request) => !isBorn.has(request.id))
  )
  await tell(client, moved.map(({ id, anchor }) => ({ requestId: id, event: { type: "moved", anchor } })))
  return {
    born: born.map((row) => ({ requestId: row.request_id, outboxId: row.outbox_id })),
    signalled: moved.map(({ id }) => id)
  }
}

export const detectionLedgerLayer: Layer.Layer<DetectionLedger, never, Database> = Layer.effect(
  DetectionLedger,
  Effect.gen(function*() {
    const database = yield* Database
    return DetectionLedger.of({
      cursor: (chainId) =>
        database
          .ask("read the block cursor", (kysely) =>
            kysely
              .selectFrom("chain_cursor")
              .select(["block_number", "block_hash", "parent_hash"])
              .where("chain_id", "=", chainId)
              .executeTakeFirst()
          )
          .pipe(Effect.map((row) => (row === undefined ? undefined : seenBlock(row)))),
      blockAt: (chainId, number) =>
        database
          .ask("read a block", (kysely) =>
            kysely
              .selectFrom("chain_block")
              .select(["block_number", "block_hash", "parent_hash"])
              .where("chain_id", "=", chainId)
              .where("block_number", "=", BigInt(number))
              .where(sql<boolean>`is_canonical`)
              .executeTakeFirst()
          )
          .pipe(Effect.map((row) => (row === undefined ? undefined : seenBlock(row)))),
      birthMissed: (found) => {
        checkFound(found)
        if (found.requests.length === 0) return Effect.succeed({ born: [], signalled: [] })
        return database
          .transact("bear requests that were missed", (client) => birthMissed(client, found))
          .pipe(
            Effect.flatMap((done): Effect.Effect<Advanced, CursorMoved> =>
              done === "cursor moved" ? Effect.fail(new CursorMoved({ chainId: String(found.chainId) })) : Effect.succeed(done)
            )
          )
      },
      advance: (step) => {
        checkStep(step)
        return database
          .transact("keep blocks and their requests", (client) => advance(client, step))
          .pipe(
            Effect.flatMap((done): Effect.Effect<Advanced, CursorMoved | LeaseLost> => {
              if (done === "lease lost" && step.lease !== null) return Effect.fail(leaseLost(step.lease))
              if (typeof done === "string") return Effect.fail(new CursorMoved({ chainId: String(step.chainId) }))
              return Effect.succeed(done)
            })
          )
      }
    })
  })
)
