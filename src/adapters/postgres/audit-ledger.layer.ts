/** AuditLedger on PostgreSQL: each answer is one statement, and so one snapshot, whatever is written meanwhile. */
import { Effect, Layer } from "effect"
import type { NodeId } from "../../domain/committee.ts"
import type { Hex } from "../../domain/hex.ts"
import type { RequestState } from "../../domain/journey.ts"
import type { TransitionView } from "../../domain/outcome.ts"
import type { RequestId } from "../../domain/request.ts"
import { type AuditedLane, type AuditedRequest, AuditLedger } from "../../ledger/audit-ledger.port.ts"
import { Database, type Prepared } from "./pool.ts"
import { REQUEST_COLUMNS, type RequestRow, storedRequest } from "./request-statements.ts"
import { byteaOfHex } from "./wire-types.ts"

/** Histories are read and parsed whole: about 5 kB each. */
const IDS_PER_STATEMENT_MAX = 500

export const RECENT: Prepared = {
  name: "audit-recent",
  text: `
(SELECT request_id FROM wake ORDER BY due LIMIT $1)
UNION
(SELECT request_id FROM request ORDER BY detected_at DESC, request_id LIMIT $1)`
}

export const REQUESTS: Prepared = {
  name: "audit-requests",
  text: `
SELECT ${REQUEST_COLUMNS}, a.nodes, a.budget,
  (SELECT extract(epoch FROM now() - w.due) * 1000 FROM wake w WHERE w.request_id = r.request_id)::float8 AS overdue_ms,
  (SELECT json_agg(json_build_object('seq', t.seq, 'from', t.from_state, 'to', t.to_state, 'event', t.event,
     'atMs', round(extract(epoch FROM t.at) * 1000)::bigint, 'worker', t.worker, 'hash', '0x' || encode(t.hash, 'hex')) ORDER BY t.seq)
   FROM transition t WHERE t.request_number = r.number AND t.request_id = r.request_id) AS history
FROM request r LEFT JOIN share_ask a USING (request_id)
WHERE r.request_id = ANY ($1::bytea[])`
}

/** Ids alone, by the primary key: what stands beside them is read by id, as ever. */
export const PAGE: Prepared = {
  name: "audit-page",
  text: "SELECT request_id FROM request WHERE request_id > $1::bytea ORDER BY request_id LIMIT $2"
}

const LOST_UNTIL: Prepared = {
  name: "audit-lost-until",
  text: "SELECT round(extract(epoch FROM lost_until) * 1000)::float8 AS ms FROM database_timeline"
}

const LANES: Prepared = {
  name: "audit-lanes",
  text: `
SELECT l.chain_id, l.address, l.next_nonce,
  coalesce((SELECT json_agg(json_build_object('nonce', s.nonce, 'root', '0x' || encode(s.root, 'hex'), 'attempts', s.attempts) ORDER BY s.nonce)
   FROM (SELECT o.nonce, o.root,
     coalesce((SELECT json_agg(json_build_object('attemptNo', t.attempt_no, 'root', '0x' || encode(t.root, 'hex'),
        'txHash', '0x' || encode(t.tx_hash, 'hex')) ORDER BY t.attempt_no)
      FROM tx_attempt t WHERE (t.chain_id, t.address, t.nonce) = (o.chain_id, o.address, o.nonce)), '[]') AS attempts
     FROM lane_slot o WHERE (o.chain_id, o.address) = (l.chain_id, l.address) ORDER BY o.nonce DESC LIMIT $1) s), '[]') AS slots
FROM lane l ORDER BY l.chain_id, l.address`
}

interface AuditedRow extends RequestRow {
  readonly overdue_ms: number | null
  readonly nodes: ReadonlyArray<number> | null
  readonly budget: number | null
  readonly history: ReadonlyArray<Omit<TransitionView, "from" | "to"> & { readonly from: string | null; readonly to: string }> | null
}

interface LaneRow {
  readonly chain_id: bigint
  readonly address: Hex
  readonly next_nonce: bigint
  readonly slots: AuditedLane["slots"]
}

const audited = (row: AuditedRow): AuditedRequest => ({
  stored: storedRequest(row),
  history: (row.history ?? []).map((one) => ({ ...one, from: one.from as RequestState | null, to: one.to as RequestState })),
  overdueMs: row.overdue_ms,
  asked: row.nodes === null || row.budget === null ? null : { nodes: row.nodes as ReadonlyArray<NodeId>, budget: row.budget }
})

const pagesOf = (ids: ReadonlyArray<RequestId>): ReadonlyArray<ReadonlyArray<RequestId>> =>
  Array.from({ length: Math.ceil(ids.length / IDS_PER_STATEMENT_MAX) }, (_, page) =>
    ids.slice(page * IDS_PER_STATEMENT_MAX, (page + 1) * IDS_PER_STATEMENT_MAX)
  )

export const auditLedgerLayer: Layer.Layer<AuditLedger, never, Database> = Layer.effect(
  AuditLedger,
  Effect.gen(function*() {
    const database = yield* Database
    const requests = (ids: ReadonlyArray<RequestId>) =>
      Effect.forEach(pagesOf([...new Set(ids)]), (page) =>
        database.run<AuditedRow>("audit requests", REQUESTS, [page.map(byteaOfHex)])
      ).pipe(Effect.map((pages) => pages.flat().map(audited)))
    return AuditLedger.of({
      recentIds: (limit) =>
        database
          .run<{ request_id: RequestId }>("find what to audit", RECENT, [limit])
          .pipe(Effect.map((rows) => rows.map((row) => row.request_id))),
      requests,
      page: Effect.fnUntraced(function*(after, limit) {
        const rows = yield* database.run<{ request_id: RequestId }>("read a page of requests", PAGE, [byteaOfHex(after ?? "0x"), limit])
        const found = yield* requests(rows.map((row) => row.request_id))
        return found.toSorted((a, b) => (a.stored.id < b.stored.id ? -1 : 1))
      }),
      lostUntilMs: Effect.map(
        database.run<{ ms: number | null }>("read what a failover may have lost", LOST_UNTIL, []),
        ([row]) => row?.ms ?? null
      ),
      lanes: (slotsMax) =>
        database.run<LaneRow>("audit lanes", LANES, [slotsMax]).pipe(
          Effect.map((rows) =>
            rows.map(({ chain_id, address, next_nonce, slots }) => ({
              lane: { chainId: chain_id, address },
              nextNonce: Number(next_nonce),
              slots
            }))
          )
        )
    })
  })
)
