/** The other statements on requests that are asked all the time, and what their rows mean. */
import type { Hex } from "../../domain/hex.ts"
import type { Milestone, RequestState } from "../../domain/journey.ts"
import type { SignalEvent } from "../../domain/outcome.ts"
import type { RequestKind } from "../../domain/request.ts"
import type { Overdue, OutboxRow, PendingSignal } from "../../ledger/request-ledger.port.ts"
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

export const LOAD: Prepared = {
  name: "load",
  text: `
SELECT request_id, chain_id, gateway, kind, requester, account, epoch, deadline, callback_gas, salt, handles, transport_key,
       partition, detected_at, state, version, machine_version, snapshot, chain_tail,
       anchor_block_number, anchor_block_hash, anchor_log_index
FROM request WHERE request_id = ANY ($1::bytea[])`
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

/**
 * An answer, even "not now", shows that the work poisons nobody, so claims start again. The version stands in the wake row
 * itself, so that a save that commits while this waits for the row makes it miss.
 */
export const POSTPONE: Prepared = {
  name: "postpone",
  text: `
UPDATE wake w SET due = next_due(c.after_ms, w.deadline), reason = c.reason, claims = 0
FROM unnest($1::bytea[], $2::integer[], $3::bigint[], $4::text[]) AS c(request_id, version, after_ms, reason)
WHERE w.request_id = c.request_id AND w.version = c.version`
}

/** A subquery and not a join, which a planner could turn round: one look into a key for each overdue row, however many requests there are. */
const OF_WAKE = "FROM request r WHERE r.request_id = w.request_id"
const VERSION_OF_WAKE = `(SELECT r.machine_version ${OF_WAKE})`

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
  UPDATE wake w SET claims = w.claims + 1, due = next_due($3 * (1 << least(w.claims, 3)), w.deadline) FROM overdue o WHERE w.request_id = o.request_id
  RETURNING w.request_id, w.version, w.claims, w.deadline, w.reason
)
SELECT c.request_id, c.version, c.claims, c.deadline, c.deadline + 1 < extract(epoch FROM now()) AS is_past_deadline, c.reason, r.state
FROM claimed c JOIN request r USING (request_id)`
}

export const UNREADABLE: Prepared = {
  name: "unreadable",
  text: `
SELECT count(*)::integer AS count FROM wake w
WHERE due <= now() AND partition = ANY ($1::smallint[]) AND ${VERSION_OF_WAKE} <> ALL ($2::integer[])`
}

export interface OverdueRow {
  readonly request_id: Hex
  readonly version: number
  readonly claims: number
  readonly deadline: bigint
  readonly is_past_deadline: boolean
  readonly reason: string | null
  readonly state: RequestState
}

export const overdue = (row: OverdueRow): Overdue => ({
  requestId: row.request_id,
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

export const SETTLE: Prepared = { name: "settle", text: `DELETE FROM outbox WHERE outbox_id = ANY ($1::bigint[])` }

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

export const OLDEST_OVERDUE: Prepared = {
  name: "oldest-overdue",
  text: `SELECT greatest(0, coalesce(extract(epoch FROM now() - min(due)), 0))::float8 AS seconds FROM wake`
}
