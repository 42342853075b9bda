/** The other statements on requests that are asked all the time, and what their rows mean. */
import type { Hex } from "../../domain/hex.ts"
import type { Milestone, RequestState } from "../../domain/journey.ts"
import { WORK_TIMEOUT_MS } from "../../domain/limits.ts"
import type { SignalEvent } from "../../domain/outcome.ts"
import type { RequestKind } from "../../domain/request.ts"
import type { Overdue, OutboxRow, PendingSignal, WaitingWork } from "../../ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../ledger/stored-request.ts"
import type { Prepared } from "./pool.ts"

export interface RequestRow {
  readonly request_id: Hex
  readonly chain_id: bigint
  readonly gateway: Hex
  readonly kind: RequestKind
  readonly requester: Hex
  readonly account: Hex
  readonly epoch: bigint
  readonly deadline: bigint
  readonly callback_gas: bigint
  readonly salt: Hex
  readonly handles: ReadonlyArray<Hex>
  readonly transport_key: Hex
  readonly partition: number
  readonly detected_at: Date
  readonly state: RequestState
  readonly version: number
  readonly machine_version: number
  readonly snapshot: unknown
  readonly chain_tail: Hex
  readonly anchor_block_number: bigint
  readonly anchor_block_hash: Hex
  readonly anchor_log_index: number
}

/** Of `request r`. By name: a statement that was prepared with `*` fails for as long as its connection lives once a migration has added a column. */
export const REQUEST_COLUMNS = `
  r.request_id, r.chain_id, r.gateway, r.kind, r.requester, r.account, r.epoch, r.deadline, r.callback_gas, r.salt,
  r.handles, r.transport_key, r.partition, r.detected_at, r.state, r.version, r.machine_version, r.snapshot,
  r.chain_tail, r.anchor_block_number, r.anchor_block_hash, r.anchor_log_index`

export const LOAD: Prepared = {
  name: "load",
  text: `SELECT ${REQUEST_COLUMNS} FROM request r WHERE r.request_id = ANY ($1::bytea[])`
}

/** By the number, under which the rows lie together; the id in each of them is what their hashes were made with. */
export const HISTORY: Prepared = {
  name: "history",
  text: `
SELECT t.seq, t.from_state, t.to_state, t.event, t.at, t.worker, t.hash
FROM request r JOIN transition t ON t.request_number = r.number AND t.request_id = r.request_id
WHERE r.request_id = $1::bytea ORDER BY t.seq`
}

export const storedRequest = (row: RequestRow): StoredRequest => ({
  id: row.request_id,
  facts: {
    chainId: row.chain_id,
    gateway: row.gateway,
    kind: row.kind,
    requester: row.requester,
    account: row.account,
    epoch: Number(row.epoch),
    deadline: Number(row.deadline),
    callbackGas: Number(row.callback_gas),
    salt: row.salt,
    handles: row.handles,
    transportKey: row.transport_key
  },
  anchor: { blockNumber: Number(row.anchor_block_number), blockHash: row.anchor_block_hash, logIndex: row.anchor_log_index },
  partition: row.partition,
  state: row.state,
  version: row.version,
  machineVersion: row.machine_version,
  snapshot: row.snapshot,
  chainTail: row.chain_tail,
  detectedAtMs: row.detected_at.getTime()
})

/*
 * The tables of what waits (wake, outbox, signal) are emptied and filled all the time, and plans are made once. To a planner that last saw them
 * empty, reading all of such a table once for each row of a list is as good as looking each up, and six thousand waiting requests then held a
 * sweep for ten seconds. So no statement finds their rows by a join: they are named by a list of keys (`= ANY`), or looked up by a subquery for one row,
 * both of which can only be done by the index (`enable_seqscan` is off in every session, pool.ts).
 */
const NTH = "array_position($1::bytea[], w.request_id)"
const OF_WAKE = "FROM request r WHERE r.request_id = w.request_id"
const VERSION_OF_WAKE = `(SELECT r.machine_version ${OF_WAKE})`
const isWaitedFor = (outbox: string): string => `(SELECT true FROM wake w WHERE w.request_id = ${outbox}.request_id AND w.version = ${outbox}.version)`

/**
 * An answer, even "not now", shows that the work poisons nobody, so claims start again. The version stands in the wake row
 * itself, so that a save that commits while this waits for the row makes it miss.
 */
export const POSTPONE: Prepared = {
  name: "postpone",
  text: `
UPDATE wake w SET due = next_due(($3::bigint[])[${NTH}], w.deadline), reason = ($4::text[])[${NTH}], claims = 0
WHERE w.request_id = ANY ($1::bytea[]) AND w.version = ($2::integer[])[${NTH}]`
}

/** P7: the update's answer is the truth about what was claimed. The pause doubles, up to eightfold: what is only queued somewhere is not given
 * out faster than it can be done. */
export const CLAIM_OVERDUE: Prepared = {
  name: "claim-overdue",
  text: `
WITH overdue AS MATERIALIZED (
  SELECT request_id FROM wake w
  WHERE due <= now() AND partition = ANY ($1::smallint[]) AND (
    SELECT r.machine_version = ANY ($4::integer[]) AND (r.state <> ALL ($5::text[]) OR w.deadline + 1 < extract(epoch FROM now())) ${OF_WAKE}
  )
  ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
),
claimed AS (
  UPDATE wake w SET claims = w.claims + 1, due = next_due($3 * (1 << least(w.claims, 3)), w.deadline)
  WHERE w.request_id = ANY (ARRAY(SELECT request_id FROM overdue))
  RETURNING w.request_id, w.partition, w.version, w.claims, w.deadline, w.reason
)
SELECT c.request_id, c.partition, c.version, c.claims, c.deadline, c.deadline + 1 < extract(epoch FROM now()) AS is_past_deadline, c.reason,
  (SELECT r.state FROM request r WHERE r.request_id = c.request_id) AS state
FROM claimed c`
}

export const UNREADABLE: Prepared = {
  name: "unreadable",
  text: `
SELECT count(*)::integer AS count FROM wake w
WHERE due <= now() AND partition = ANY ($1::smallint[]) AND ${VERSION_OF_WAKE} <> ALL ($2::integer[])`
}

export interface OverdueRow {
  readonly request_id: Hex
  readonly partition: number
  readonly version: number
  readonly claims: number
  readonly deadline: bigint
  readonly is_past_deadline: boolean
  readonly reason: string | null
  readonly state: RequestState
}

export const overdue = (row: OverdueRow): Overdue => ({
  requestId: row.request_id,
  partition: row.partition,
  version: row.version,
  state: row.state,
  claims: row.claims,
  deadline: Number(row.deadline),
  isPastDeadline: row.is_past_deadline,
  lastReason: row.reason
})

export const OWED: Prepared = {
  name: "owed",
  text: `
SELECT outbox_id, request_id, version, reached, deadline FROM outbox
WHERE partition = ANY ($1::smallint[]) AND written_at <= now() - $2::bigint * interval '1 millisecond'
ORDER BY outbox_id LIMIT $3`
}

export interface OwedRow {
  readonly outbox_id: bigint
  readonly request_id: Hex
  readonly version: number
  readonly reached: Milestone
  readonly deadline: bigint
}

export const outboxRow = (row: OwedRow): OutboxRow => ({
  id: row.outbox_id,
  requestId: row.request_id,
  version: row.version,
  reached: row.reached,
  deadline: Number(row.deadline)
})

/** How long a message may be owed before its request is put off instead of claimed, and before settling it begins the wait for an answer anew. */
const OWED_LATE = "interval '2 seconds'"
const OURS_LATE = `o.partition = ANY ($1::smallint[]) AND o.written_at <= now() - ${OWED_LATE}`

export const SETTLE: Prepared = {
  name: "settle",
  text: `
WITH paid AS (DELETE FROM outbox WHERE outbox_id = ANY ($1::bigint[]) RETURNING request_id, version, written_at),
late AS MATERIALIZED (
  SELECT array_agg(request_id) AS ids, array_agg(version) AS versions FROM paid WHERE written_at <= now() - ${OWED_LATE}
)
UPDATE wake w SET due = next_due(${WORK_TIMEOUT_MS}, w.deadline)
WHERE w.request_id = ANY ((SELECT ids FROM late)::bytea[])
  AND w.version = ((SELECT versions FROM late)::integer[])[array_position((SELECT ids FROM late), w.request_id)]`
}

const OURS = "reached = $2 AND partition = ANY ($1::smallint[])"

/** From requester to requester by looks into the index, however many messages each of them waits for. */
export const OWED_IN_TURN: Prepared = {
  name: "owed-in-turn",
  text: `
WITH RECURSIVE requesters AS (
  (SELECT requester FROM outbox WHERE ${OURS} AND requester > $3::bytea ORDER BY requester LIMIT 1)
  UNION ALL
  SELECT (SELECT requester FROM outbox WHERE ${OURS} AND requester > r.requester ORDER BY requester LIMIT 1)
  FROM requesters r WHERE r.requester IS NOT NULL
),
chosen AS MATERIALIZED (SELECT requester FROM requesters WHERE requester IS NOT NULL LIMIT $4)
SELECT w.* FROM chosen c CROSS JOIN LATERAL (
  SELECT f.*, row_number() OVER (ORDER BY f.outbox_id) AS turn FROM (
    SELECT outbox_id, request_id, partition, version, reached, deadline, requester FROM outbox o
    WHERE ${OURS} AND requester = c.requester
      AND o.written_at <= now() - $5 * interval '1 millisecond'
      AND ${isWaitedFor("o")}
    ORDER BY o.written_at LIMIT ($4 + (SELECT count(*) FROM chosen) - 1) / (SELECT count(*) FROM chosen)
  ) f
) w ORDER BY w.turn, w.requester LIMIT $4`
}

export interface WaitingRow extends OwedRow {
  readonly partition: number
  readonly requester: Hex
}

export const waitingWork = (row: WaitingRow): WaitingWork => ({ ...outboxRow(row), partition: row.partition, requester: row.requester })

export const BACKLOG: Prepared = {
  name: "backlog",
  text: `
SELECT reached, count(*)::integer AS count, (extract(epoch FROM now() - min(written_at)) * 1000)::float8 AS oldest_ms
FROM outbox WHERE partition = ANY ($1::smallint[]) GROUP BY reached`
}

export const WORKLOAD: Prepared = {
  name: "workload",
  text: `
SELECT (SELECT count(*)::integer FROM (SELECT 1 FROM wake LIMIT $1) AS unended) AS under_way, count(*)::integer AS owed,
       (extract(epoch FROM now() - coalesce(min(written_at), now())) * 1000)::float8 AS oldest_ms
FROM outbox`
}

export interface WorkloadRow {
  readonly under_way: number
  readonly owed: number
  readonly oldest_ms: number
}

export interface BacklogRow {
  readonly reached: Milestone
  readonly count: number
  readonly oldest_ms: number
}

/**
 * What is due within the next seconds as well: between this and the claim that follows nothing more becomes overdue. Messages of requests that have
 * gone on go.
 */
export const PUT_OFF_OWED: Prepared = {
  name: "put-off-owed",
  text: `
WITH decided AS (DELETE FROM outbox o WHERE ${OURS_LATE} AND ${isWaitedFor("o")} IS NOT TRUE)
UPDATE wake w SET due = next_due($2, w.deadline)
WHERE w.partition = ANY ($1::smallint[]) AND w.due <= now() + interval '5 seconds' AND w.deadline > extract(epoch FROM now())
  AND ((w.request_id, w.version) IN (SELECT o.request_id, o.version FROM outbox o WHERE ${OURS_LATE})) IS TRUE`
}

/** A newer signal about the same subject gets a new id: whoever answers the older one does not answer this. */
export const SIGNAL_UPSERT = `
ON CONFLICT (request_id, subject) DO UPDATE SET signal_id = DEFAULT, event = excluded.event
WHERE signal.event::text <> excluded.event::text`

export const SIGNAL: Prepared = {
  name: "signal",
  text: `
INSERT INTO signal (request_id, partition, subject, event)
SELECT request_id, partition, $2, $3::json FROM request WHERE request_id = $1 ${SIGNAL_UPSERT}`
}

/** Where a request stands is one subject: a request cannot be moved and gone at once. */
export const subjectOf = ({ type }: SignalEvent): string => (type === "orphaned" || type === "moved" ? "position" : type)

export const SIGNALS: Prepared = {
  name: "signals",
  text: `SELECT signal_id, request_id, event FROM signal WHERE partition = ANY ($1::smallint[]) ORDER BY signal_id LIMIT $2`
}

export interface SignalRow {
  readonly signal_id: bigint
  readonly request_id: Hex
  readonly event: SignalEvent
}

export const pendingSignal = (row: SignalRow): PendingSignal => ({
  id: row.signal_id,
  requestId: row.request_id,
  event: row.event
})

export const DROP_SIGNALS: Prepared = { name: "drop-signals", text: `DELETE FROM signal WHERE signal_id = ANY ($1::bigint[])` }

const RESUMED = `(
  SELECT at FROM operator_action WHERE action = 'resume' AND (target = 'everything' OR target LIKE 'step:%') ORDER BY action_id DESC LIMIT 1
)`
const secondsSince = (moment: string): string => `greatest(0, coalesce(extract(epoch FROM now() - ${moment}), 0))::float8`
const MOVING_SINCE = `CASE WHEN due IS NOT NULL THEN greatest(due, ${RESUMED}) END`

export const OLDEST_OVERDUE: Prepared = {
  name: "oldest-overdue",
  text: `SELECT ${secondsSince(MOVING_SINCE)} AS seconds, 0::float8 AS paused_seconds FROM (SELECT min(due) AS due FROM wake) AS oldest`
}

/** Looks at every overdue request; only while something is paused. */
export const OLDEST_OVERDUE_PAUSED: Prepared = {
  name: "oldest-overdue-paused",
  text: `
SELECT ${secondsSince(MOVING_SINCE)} AS seconds, ${secondsSince("paused_due")} AS paused_seconds
FROM (
  SELECT min(w.due) FILTER (WHERE r.state <> ALL ($1::text[])) AS due, min(w.due) FILTER (WHERE r.state = ANY ($1::text[])) AS paused_due
  FROM wake w JOIN request r USING (request_id) WHERE w.due <= now()
) AS oldest`
}

export interface OldestOverdueRow {
  readonly seconds: number
  readonly paused_seconds: number
}
