/**
 * ShareLedger on PostgreSQL. The budget is one row for each request, so that two who ask at once cannot both have the last place
 * (I7).
 */
import { Effect, Layer } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { NodeId } from "../../domain/committee.ts"
import { fromHex, toHex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import type { ShareAnswer } from "../../domain/share.ts"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { Sealer } from "../../ledger/sealer.port.ts"
import { ShareLedger } from "../../ledger/share-ledger.port.ts"
import { Database, isRefusal, type Prepared } from "./pool.ts"
import { decodeAnswer, encodeAnswer } from "./share-record.ts"
import { byteaOfHex } from "./wire-types.ts"
import { makeCombiner } from "../../resilience/combiner.ts"

/**
 * A new row takes as many nodes as the budget allows; a known one keeps its nodes and takes what is left of the budget, in order.
 */
const INTEND: Prepared = {
  name: "intend-asks",
  text: `
INSERT INTO share_ask AS s (request_id, nodes, budget, first_at, last_at)
SELECT request_id, (nodes::smallint[])[1:budget], budget, now(), now()
FROM unnest($1::bytea[], $2::text[], $3::smallint[]) AS c(request_id, nodes, budget)
ON CONFLICT (request_id) DO UPDATE SET
  nodes = s.nodes || coalesce((
    SELECT array_agg(node ORDER BY place) FROM (
      SELECT node, place FROM unnest(excluded.nodes) WITH ORDINALITY AS wanted(node, place) WHERE node <> ALL (s.nodes)
      ORDER BY place LIMIT greatest(0, excluded.budget - cardinality(s.nodes))
    ) AS granted
  ), '{}'),
  budget = greatest(s.budget, excluded.budget),
  last_at = excluded.last_at
RETURNING request_id, nodes`
}

/**
 * Nothing is kept for a request that has ended: FOR SHARE makes the end wait, and its trigger then deletes what this has written.
 */
const KEEP: Prepared = {
  name: "keep-shares",
  text: `
WITH living AS MATERIALIZED (
  SELECT request_id FROM request WHERE request_id = ANY ($1::bytea[]) AND ended_at IS NULL ORDER BY request_id FOR SHARE
)
INSERT INTO share (request_id, node_id, epoch, sealed, kept_at)
SELECT c.request_id, c.node_id, c.epoch, c.sealed, now()
FROM unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bytea[]) AS c(request_id, node_id, epoch, sealed)
JOIN living USING (request_id)
WHERE NOT EXISTS (SELECT FROM evidence e WHERE e.request_id = c.request_id AND e.node_id = c.node_id)
ON CONFLICT DO NOTHING`
}

const SHARES: Prepared = {
  name: "read-shares",
  text: `
SELECT request_id, node_id, epoch, sealed FROM share s
WHERE request_id = ANY ($1::bytea[])
  AND NOT EXISTS (SELECT FROM evidence e WHERE e.request_id = s.request_id AND e.node_id = s.node_id)
ORDER BY request_id, node_id`
}

const REJECT: Prepared = {
  name: "reject-share",
  text: `
WITH proof AS (
  INSERT INTO evidence (request_id, node_id, file, at) VALUES ($1, $2, $3::json, now()) ON CONFLICT DO NOTHING
)
DELETE FROM share WHERE request_id = $1 AND node_id = $2`
}

const REJECTED: Prepared = {
  name: "read-rejected-nodes",
  text: `SELECT request_id, node_id FROM evidence WHERE request_id = ANY ($1::bytea[]) ORDER BY request_id, node_id`
}

interface ShareRow {
  readonly request_id: Hex
  readonly node_id: NodeId
  readonly epoch: bigint
  readonly sealed: Hex
}

const contextOf = (row: Pick<ShareAnswer, "requestId" | "nodeId" | "epoch">) => ({
  table: "share",
  request: row.requestId,
  node: String(row.nodeId),
  epoch: String(row.epoch)
})

const STATEMENT_ITEMS_MAX = 256
const CONCURRENT_SEALS_MAX = 16

export const shareLedgerLayer: Layer.Layer<ShareLedger, never, Database | Sealer> = Layer.effect(
  ShareLedger,
  Effect.gen(function*() {
    const database = yield* Database
    const sealer = yield* Sealer

    type Ask = Parameters<ShareLedger["Service"]["intend"]>[0][number]
    const intend = yield* makeCombiner({
      keyOf: (ask: Ask) => ask.requestId,
      itemsMax: STATEMENT_ITEMS_MAX,
      flightsMax: 2,
      run: (asks) => {
        const sorted = asks.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1))
        return database
          .run<{ request_id: Hex; nodes: ReadonlyArray<NodeId> }>("record whom to ask", INTEND, [
            sorted.map((ask) => byteaOfHex(ask.requestId)),
            sorted.map((ask) => `{${[...new Set(ask.nodes)].join(",")}}`),
            sorted.map((ask) => ask.budget)
          ])
          .pipe(
            Effect.map((rows) => {
              const grantedOf = new Map(rows.map((row) => [row.request_id, new Set(row.nodes)]))
              return asks.map((ask) => {
                const granted = grantedOf.get(ask.requestId)
                return { requestId: ask.requestId, nodes: [...new Set(ask.nodes)].filter((node) => granted?.has(node)) }
              })
            })
          )
      },
      isRefusal
    })

    const keep = yield* makeCombiner({
      keyOf: (answer: ShareAnswer) => `${answer.requestId}/${answer.nodeId}`,
      itemsMax: STATEMENT_ITEMS_MAX,
      flightsMax: 2,
      run: (answers) =>
        Effect.forEach(answers, (answer) => sealer.seal(contextOf(answer), encodeAnswer(answer)), {
          concurrency: CONCURRENT_SEALS_MAX
        }).pipe(
          Effect.mapError((cause) => new LedgerUnavailable({ doing: "seal shares", cause })),
          Effect.flatMap((sealed) =>
            database.run("keep shares", KEEP, [
              answers.map((answer) => byteaOfHex(answer.requestId)),
              answers.map((answer) => answer.nodeId),
              answers.map((answer) => answer.epoch),
              sealed.map((record) => byteaOfHex(toHex(record)))
            ])
          ),
          Effect.as(answers.map(() => undefined))
        ),
      isRefusal
    })

    const openRow = (row: ShareRow): Effect.Effect<ShareAnswer, LedgerUnavailable> => {
      const names = { requestId: row.request_id, nodeId: row.node_id, epoch: Number(row.epoch) }
      return sealer.open(contextOf(names), fromHex(row.sealed)).pipe(
        Effect.map((plain) => ({ ...names, ...decodeAnswer(plain) })),
        Effect.mapError(
          (cause) => new LedgerUnavailable({ doing: `open the share of node ${row.node_id} for ${row.request_id}`, cause })
        )
      )
    }

    return ShareLedger.of({
      intend: (asks) =>
        intend(asks).pipe(Effect.map((grants) => new Map(grants.map(({ requestId, nodes }) => [requestId, nodes])))),
      keep: (answers) => Effect.asVoid(keep(answers)),
      sharesOf: (ids) =>
        database.run<ShareRow>("read shares", SHARES, [ids.map(byteaOfHex)]).pipe(
          Effect.flatMap((rows) => Effect.forEach(rows, openRow, { concurrency: CONCURRENT_SEALS_MAX })),
          Effect.map((answers) => Map.groupBy(answers, (answer) => answer.requestId))
        ),
      reject: (requestId: RequestId, nodeId, evidence) =>
        Effect.asVoid(database.run("keep evidence", REJECT, [byteaOfHex(requestId), nodeId, JSON.stringify(evidence)])),
      rejectedNodes: (ids) =>
        database.run<{ request_id: Hex; node_id: NodeId }>("read rejected nodes", REJECTED, [ids.map(byteaOfHex)]).pipe(
          Effect.map((rows) => {
            const byRequest = Map.groupBy(rows, (row) => row.request_id)
            return new Map([...byRequest].map(([id, rejected]) => [id, rejected.map((row) => row.node_id)]))
          })
        ),
      evidence: (limit) =>
        database
          .ask("read evidence", (kysely) =>
            kysely.selectFrom("evidence").select("file").orderBy("evidence_id", "desc").limit(limit).execute()
          )
          .pipe(Effect.map((rows) => rows.map((row) => row.file)))
    })
  })
)
