/** How a statement knows in which history and in which life of the database it runs. All these functions may be called by any role, answer from
 * memory or from one small file, and see a promotion at once (`pg_control_checkpoint` would not before the next checkpoint, but is right about where
 * recovery ended). On a standby those of the write-ahead log fail. */
import type { Prepared } from "./pool.ts"

/** What the name of the write-ahead file that is written now begins with. */
const TIMELINE_HERE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"

/** Scalar, by the rewinds in the row at hand, so that a statement that waited for the row looks again. */
const historyBy = (rewinds: string): string =>
  `(SELECT system_identifier || '/' || ${TIMELINE_HERE} || CASE WHEN ${rewinds} > 0 THEN '.' || ${rewinds} ELSE '' END FROM pg_control_system())`

/** Scalar: `<system identifier>/<timeline>`, and `.<rewinds>` when there were any. */
export const HERE = historyBy("coalesce((SELECT w.rewinds FROM database_timeline w), 0)")

/** Microseconds; every start of the server has another one, and commits can be lost from one to the next only. */
const LIFE = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"

const IS_RECONCILED = `EXISTS (SELECT FROM database_timeline t WHERE t.reconciled = ${historyBy("t.rewinds")})`
/** What commits may have lost has not been compared yet. */
export const IS_UNRECONCILED = `NOT ${IS_RECONCILED}`

/** False while lanes must neither take nonces nor store signed bytes: until the history has been compared with the chain, and until somebody who
 * remembers how far the database had come has seen that this life of the server lacks nothing. */
export const IS_THAWED =
  `EXISTS (SELECT FROM database_timeline t WHERE t.vouched_life = ${LIFE} AND t.reconciled = ${historyBy("t.rewinds")})`

/** Epochs of one timeline: more than any timeline will ever give away. */
const EPOCHS_PER_TIMELINE_BITS = 32

/** The first epoch of a lease that this history does not know. */
export const FIRST_EPOCH = `(((${TIMELINE_HERE} - 1) << ${EPOCHS_PER_TIMELINE_BITS}) + 1)`

/** An epoch beyond any that lost commits can have given away: of this timeline or a later one, and since a restored copy may have a lower
 * timeline than what it is a copy of, moved on with the time as well. */
export const epochBeyond = (epoch: string): string =>
  `greatest(${epoch} + 1, (greatest(${TIMELINE_HERE} - 1, ${epoch} >> ${EPOCHS_PER_TIMELINE_BITS}) << ${EPOCHS_PER_TIMELINE_BITS}) + extract(epoch FROM now())::bigint)`

export const LOOK: Prepared = {
  name: "timeline",
  text: `
SELECT ${HERE} AS here, t.reconciled, (extract(epoch FROM t.noticed_at) * 1000)::float8 AS noticed_at_ms,
       (extract(epoch FROM t.reconciled_at) * 1000)::float8 AS reconciled_at_ms, coalesce(t.vouched_life = ${LIFE}, false) AS vouched,
       s.system_identifier::text AS system, (${TIMELINE_HERE})::float8 AS timeline, coalesce(t.rewinds, 0) AS rewinds, (${LIFE})::float8 AS life,
       (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::float8 AS position, (c.redo_lsn - '0/0'::pg_lsn)::float8 AS began_at
FROM pg_control_system() s, pg_control_checkpoint() c LEFT JOIN database_timeline t ON true`
}

/** $1: the life that was looked at; $2: its rewinds. */
export const VOUCH: Prepared = {
  name: "timeline-vouch",
  text: `UPDATE database_timeline SET vouched_life = $1::bigint WHERE ${LIFE} = $1::bigint AND rewinds = $2 RETURNING rewinds`
}

/** $1, $2: as above; $3: the highest number of rewinds that anybody remembers. */
export const REWIND: Prepared = {
  name: "timeline-rewind",
  text: `
INSERT INTO database_timeline AS t (rewinds) SELECT $3::integer + 1 WHERE ${LIFE} = $1::bigint
ON CONFLICT (only_row) DO UPDATE SET rewinds = greatest(t.rewinds, $3::integer) + 1 WHERE t.rewinds = $2 RETURNING rewinds`
}

/** $1, $2: who and why. */
export const ORDER: Prepared = {
  name: "timeline-order",
  text: `
WITH ordered AS (
  UPDATE database_timeline t SET rewinds = t.rewinds + 1 WHERE t.reconciled = ${historyBy("t.rewinds")}
  RETURNING ${historyBy("t.rewinds")} AS here
)
INSERT INTO operator_action (at, operator, action, target, why) SELECT now(), $1, 'reconcile', here, $2 FROM ordered RETURNING action_id`
}

const FENCE = "SELECT name FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE"

/** $3: states whose requests the chain may have moved on without the ledger; $4: how late nodes may answer. A database without a history (a new
 * one, or one that was wiped) has lost nothing of its own. A lease that was given here is nobody's but its owner's. */
export const BEGIN: Prepared = {
  name: "timeline-begin",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
unknown AS MATERIALIZED (SELECT ${HERE} AS here FROM fence WHERE ${IS_UNRECONCILED}),
noticed AS (
  INSERT INTO database_timeline AS t (noticed, noticed_at, lost_until) SELECT here, now(), now() FROM unknown
  ON CONFLICT (only_row) DO UPDATE SET
    noticed = excluded.noticed,
    noticed_at = excluded.noticed_at,
    lost_until = excluded.lost_until + CASE WHEN t.reconciled IS NULL THEN 0 ELSE $4::bigint END * interval '1 millisecond'
  WHERE t.noticed IS DISTINCT FROM excluded.noticed
  RETURNING noticed
),
taken AS (
  UPDATE lease l SET epoch = ${epochBeyond("l.epoch")}, owner = NULL, until = now(), given_in = u.here
  FROM unknown u WHERE l.given_in <> u.here
),
woken AS (
  UPDATE wake w SET due = now() FROM noticed, request r
  WHERE w.due > now() AND r.request_id = w.request_id AND r.state = ANY ($3::text[])
)
SELECT here FROM unknown`
}

export const FINISH: Prepared = {
  name: "timeline-finish",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
UPDATE database_timeline t SET reconciled = $3, reconciled_at = now() FROM fence
WHERE t.noticed = $3 AND ${HERE} = $3 RETURNING t.reconciled`
}
