/** How a statement knows in which history of the database it runs. Both functions may be called by any role, answer from memory or from one
 * small file, and see a promotion at once (`pg_control_checkpoint` would not before the next checkpoint). On a standby the first one fails. */
import type { Prepared } from "./pool.ts"

/** What the name of the write-ahead file that is written now begins with. */
const TIMELINE_HERE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"

/** Scalar: `<system identifier>/<timeline>`. */
export const HERE = `(SELECT system_identifier || '/' || ${TIMELINE_HERE} FROM pg_control_system())`

/** False while lanes must neither take nonces nor store signed bytes. */
export const IS_RECONCILED = `EXISTS (SELECT FROM database_timeline t WHERE t.reconciled = ${HERE})`

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
       (extract(epoch FROM t.reconciled_at) * 1000)::float8 AS reconciled_at_ms
FROM (VALUES (1)) AS one LEFT JOIN database_timeline t ON true`
}

const FENCE = "SELECT name FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE"

/** $3: states whose requests the chain may have moved on without the ledger; $4: how late nodes may answer. A database without a history (a new
 * one, or one that was wiped) has lost nothing of its own. A lease that was given here is nobody's but its owner's. */
export const BEGIN: Prepared = {
  name: "timeline-begin",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
unknown AS MATERIALIZED (SELECT ${HERE} AS here FROM fence WHERE NOT ${IS_RECONCILED}),
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
