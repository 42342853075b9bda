/** What the lane ledger says to PostgreSQL: one statement for each write. Each carries the lane's lease, locked FOR KEY SHARE as in `save-
 * statement.ts`, so that a sender who lost its lane writes nothing; what stores signed bytes also looks itself whether the database is in the
 * history that was compared with the chain, so that nobody signs after a failover, however old its beliefs. */
import type { Prepared } from "./pool.ts"
import { IS_THAWED, IS_UNRECONCILED } from "./timeline-statements.ts"

/** $1, $2: name and epoch of the lease. */
const FENCE = "SELECT name FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE"
const ATTEMPT_COLUMNS =
  "chain_id, address, nonce, attempt_no, root, tx_hash, raw_tx, gas_limit, max_fee_per_gas, max_priority_fee_per_gas, is_cancellation, signed_at"
/** Nine values from this parameter on, in the order of `attemptValues`. */
const attemptFrom = (first: number): string => {
  const at = (index: number) => `$${first + index}`
  return `$3, $4, $5, ${[0, 1, 2, 3, 4, 5, 6, 7].map(at).join(", ")}, to_timestamp(${at(8)}::float8 / 1000)`
}

/** Where a batch already is, it stays, unless the nonce that carried it is final: then whoever asks again wants it carried again. */
export const ENQUEUE: Prepared = {
  name: "lane-enqueue",
  text: `
WITH part AS MATERIALIZED (SELECT part, request_id FROM attested_part WHERE root = $1)
INSERT INTO lane_batch AS b (root, chain_id, request_ids)
SELECT $1::bytea, $2::bigint, $3::bytea[] WHERE NOT EXISTS (SELECT FROM part)
UNION ALL
SELECT part, $2::bigint, ARRAY[request_id] FROM part WHERE request_id = ANY ($3::bytea[])
ON CONFLICT (root) DO UPDATE SET
  request_ids = b.request_ids || ARRAY(SELECT id FROM unnest(excluded.request_ids) AS more(id) WHERE NOT id = ANY (b.request_ids)),
  nonce = CASE WHEN EXISTS (
    SELECT FROM lane_slot s WHERE s.chain_id = b.chain_id AND s.address = b.address AND s.nonce = b.nonce AND s.is_final
  ) THEN NULL ELSE b.nonce END`
}

/** By the time since which it could be carried: what is put off again and again must not stand before what was never looked at. */
export const PULL: Prepared = {
  name: "lane-pull",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
next AS MATERIALIZED (
  SELECT b.root FROM lane_batch b, fence
  WHERE b.chain_id = $3 AND b.nonce IS NULL AND (b.not_before IS NULL OR b.not_before <= now())
    AND (b.held_until IS NULL OR b.held_until <= now() OR b.address = $4)
  ORDER BY coalesce(b.not_before, b.queued_at), b.queued LIMIT $5 FOR UPDATE OF b SKIP LOCKED
)
UPDATE lane_batch b SET address = $4, held_until = now() + $6::bigint * interval '1 millisecond' FROM next
WHERE b.root = next.root RETURNING b.root, b.request_ids, b.failures, b.rejections, b.reason, b.queued`
}

export const WAITING: Prepared = {
  name: "lane-waiting",
  text: "SELECT root, request_ids, failures, rejections, reason, queued FROM lane_batch WHERE chain_id = $1 AND nonce IS NULL ORDER BY queued LIMIT $2"
}

export const BACKLOG: Prepared = {
  name: "lane-backlog",
  text: `
SELECT count(*)::integer AS waiting, count(*) FILTER (WHERE not_before > now())::integer AS put_off,
       coalesce(extract(epoch FROM now() - min(queued_at)) * 1000, 0)::float8 AS oldest_ms
FROM lane_batch WHERE chain_id = $1 AND nonce IS NULL`
}

export const NEXT_NONCE: Prepared = {
  name: "lane-next-nonce",
  text: "SELECT next_nonce FROM lane WHERE chain_id = $1 AND address = $2"
}

export const OPEN: Prepared = {
  name: "lane-open",
  // Of a mined slot, and where finality is slow there are many, the bytes are not even read from where long values are kept.
  text: `
SELECT s.nonce, s.root, s.version, s.snapshot, a.attempt_no, a.root AS attempt_root, a.tx_hash,
       CASE WHEN s.snapshot #>> '{context,mined}' IS NULL THEN a.raw_tx END AS raw_tx, a.gas_limit,
       a.max_fee_per_gas, a.max_priority_fee_per_gas, a.is_cancellation, (extract(epoch FROM a.signed_at) * 1000)::float8 AS signed_at_ms
FROM lane_slot s JOIN tx_attempt a USING (chain_id, address, nonce)
WHERE s.chain_id = $1 AND s.address = $2 AND NOT s.is_final ORDER BY s.nonce, a.attempt_no`
}

export const SIGNED: Prepared = {
  name: "lane-signed",
  text: `
SELECT raw_tx FROM tx_attempt WHERE chain_id = $1 AND address = $2 AND nonce = $3 AND attempt_no = $4 AND octet_length(raw_tx) > 0`
}

/** For signed bytes. */
const THAWED_FENCE = `SELECT name FROM lease WHERE name = $1 AND epoch = $2 AND ${IS_THAWED} FOR KEY SHARE`

/** The batch must be this lane's; the nonce must never have been taken, and none below it can be taken any more. */
export const TAKE: Prepared = {
  name: "lane-take",
  text: `
WITH fence AS MATERIALIZED (${THAWED_FENCE}),
moved AS (
  INSERT INTO lane AS l (chain_id, address, next_nonce) SELECT $3, $4, $5::bigint + 1 FROM fence
  WHERE EXISTS (SELECT FROM lane_batch b WHERE b.root = $6 AND b.chain_id = $3 AND b.address = $4 AND b.nonce IS NULL)
  ON CONFLICT (chain_id, address) DO UPDATE SET next_nonce = excluded.next_nonce WHERE l.next_nonce < excluded.next_nonce
  RETURNING next_nonce
),
carried AS (
  UPDATE lane_batch SET nonce = $5, held_until = NULL FROM moved
  WHERE root = $6 AND chain_id = $3 AND address = $4 AND nonce IS NULL RETURNING root
),
slotted AS (
  INSERT INTO lane_slot (chain_id, address, nonce, root, version, snapshot, is_final)
  SELECT $3, $4, $5, root, 1, $7::json, false FROM carried
)
INSERT INTO tx_attempt (${ATTEMPT_COLUMNS}) SELECT ${attemptFrom(8)} FROM carried RETURNING nonce`
}

/** Not looked for far above: a lane has a few dozen slots open. Nor among what is forgotten, however low an endpoint says that the nonce is. */
export const HOLES: Prepared = {
  name: "lane-holes",
  text: `
SELECT hole.nonce FROM lane l, generate_series(greatest($3::bigint, l.forgotten_below), least(l.next_nonce - 1, $3::bigint + 1024)) AS hole(nonce)
WHERE l.chain_id = $1 AND l.address = $2
  AND NOT EXISTS (SELECT FROM lane_slot s WHERE s.chain_id = l.chain_id AND s.address = l.address AND s.nonce = hole.nonce)
ORDER BY hole.nonce LIMIT $4`
}

export const FILL: Prepared = {
  name: "lane-fill",
  text: `
WITH fence AS MATERIALIZED (${THAWED_FENCE}),
slotted AS (
  INSERT INTO lane_slot (chain_id, address, nonce, root, version, snapshot, is_final)
  SELECT $3, $4, $5, $6, 1, $7::json, false FROM fence
  WHERE EXISTS (SELECT FROM lane l WHERE l.chain_id = $3 AND l.address = $4 AND l.next_nonce > $5 AND l.forgotten_below <= $5)
  ON CONFLICT DO NOTHING RETURNING nonce
)
INSERT INTO tx_attempt (${ATTEMPT_COLUMNS}) SELECT ${attemptFrom(8)} FROM slotted RETURNING nonce`
}

/** While the lanes are frozen: the very next nonce gets a slot without a batch. Under the lease of who reconciles. */
export const ADOPT: Prepared = {
  name: "lane-adopt",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
moved AS (
  INSERT INTO lane AS l (chain_id, address, next_nonce) SELECT $3, $4, $5::bigint + 1 FROM fence WHERE ${IS_UNRECONCILED}
  ON CONFLICT (chain_id, address) DO UPDATE SET next_nonce = excluded.next_nonce WHERE l.next_nonce = $5
  RETURNING next_nonce
),
slotted AS (
  INSERT INTO lane_slot (chain_id, address, nonce, root, version, snapshot, is_final)
  SELECT $3, $4, $5, $6, 1, $7::json, false FROM moved
)
INSERT INTO tx_attempt (${ATTEMPT_COLUMNS}) SELECT ${attemptFrom(8)} FROM moved RETURNING nonce`
}

/** $9 and $10: requesters and what each spent, or null; $11 and $12: why the batch goes back, or null, and whether that is a failure; $13 and
 * $14: the first and the longest pause after a failure; from $15 a further attempt, or nulls. */
export const SAVE: Prepared = {
  name: "lane-save",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
saved AS (
  UPDATE lane_slot s SET version = s.version + 1, snapshot = $7::json, is_final = $8 FROM fence
  WHERE s.chain_id = $3 AND s.address = $4 AND s.nonce = $5 AND s.version = $6
    AND CASE WHEN $15::integer IS NULL THEN true ELSE ${IS_THAWED} END
  RETURNING s.nonce, s.root
),
spent AS (
  INSERT INTO lane_spend AS m (chain_id, address, nonce, requester, wei, spent_at)
  SELECT $3, $4, $5, share.requester, share.wei, now() FROM saved, unnest($9::bytea[], $10::numeric[]) AS share(requester, wei)
  ON CONFLICT (chain_id, address, nonce, requester) DO UPDATE SET wei = excluded.wei
),
given AS (
  UPDATE lane_batch b SET
    nonce = NULL, address = NULL, held_until = NULL, reason = $11,
    failures = b.failures + ($12::boolean)::integer,
    not_before = CASE WHEN $12::boolean THEN
      now() + least($13::float8 * power(2, least(b.failures, 30)), $14::float8) * interval '1 millisecond' END
  FROM saved WHERE $11::text IS NOT NULL AND b.root = saved.root AND b.chain_id = $3 AND b.address = $4 AND b.nonce = $5
),
signed AS (
  INSERT INTO tx_attempt (${ATTEMPT_COLUMNS}) SELECT ${attemptFrom(15)} FROM saved WHERE $15::integer IS NOT NULL
)
SELECT nonce FROM saved`
}

export const PUT_BACK: Prepared = {
  name: "lane-put-back",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
UPDATE lane_batch b SET
  address = NULL, held_until = NULL, reason = $6, not_before = now() + $7::float8 * interval '1 millisecond',
  rejections = b.rejections + ($8::boolean)::integer
FROM fence WHERE b.root = $3 AND b.chain_id = $4 AND b.address = $5 AND b.nonce IS NULL`
}

/** $6, $7 and $8: the parts' names, whose results they are, and whether they are queued now. */
export const SPLIT: Prepared = {
  name: "lane-split",
  text: `
WITH fence AS MATERIALIZED (${FENCE}),
whole AS (
  DELETE FROM lane_batch b USING fence WHERE b.root = $3 AND b.chain_id = $4 AND b.address = $5 AND b.nonce IS NULL
  RETURNING b.root, b.chain_id, b.failures, b.queued_at
),
part AS MATERIALIZED (SELECT * FROM unnest($6::bytea[], $7::bytea[], $8::boolean[]) AS p(name, request_id, is_wanted)),
named AS (
  INSERT INTO attested_part (part, root, request_id) SELECT part.name, whole.root, part.request_id FROM whole, part
  ON CONFLICT DO NOTHING
),
queued AS (
  INSERT INTO lane_batch (root, chain_id, request_ids, failures, reason, queued_at)
  SELECT part.name, whole.chain_id, ARRAY[part.request_id], whole.failures, $9, whole.queued_at FROM whole, part WHERE part.is_wanted
  ON CONFLICT DO NOTHING
)
SELECT root FROM whole`
}

export const DISCARD: Prepared = {
  name: "lane-discard",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
DELETE FROM lane_batch b USING fence WHERE b.root = $3 AND b.chain_id = $4 AND b.address = $5 AND b.nonce IS NULL`
}

export const RELEASE: Prepared = {
  name: "lane-release",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
UPDATE lane_batch b SET nonce = NULL, address = NULL, held_until = NULL, reason = $6 FROM fence, lane_slot s
WHERE s.chain_id = $3 AND s.address = $4 AND s.nonce = $5 AND NOT s.is_final
  AND b.root = s.root AND b.chain_id = s.chain_id AND b.address = s.address AND b.nonce = s.nonce
RETURNING b.root`
}

export const REQUESTS_OF: Prepared = { name: "lane-requests-of", text: "SELECT request_ids FROM lane_batch WHERE root = $1" }

/** A batch that is queued may have been pulled and be on the way to its nonce at this moment. */
export const IS_ON_ITS_WAY: Prepared = {
  name: "lane-is-on-its-way",
  text: `
WITH carrier AS MATERIALIZED (SELECT $1::bytea AS name UNION ALL SELECT part FROM attested_part WHERE root = $1)
SELECT EXISTS (SELECT FROM attested_batch WHERE root = $1 AND live > 0)
    OR EXISTS (SELECT FROM lane_batch b JOIN carrier c ON b.root = c.name WHERE b.nonce IS NULL)
    OR EXISTS (SELECT FROM lane_slot s JOIN carrier c ON s.root = c.name WHERE NOT s.is_final) AS answer`
}

export const BUSY: Prepared = {
  name: "lane-busy",
  text: "SELECT DISTINCT chain_id, address FROM lane_slot WHERE chain_id = $1 AND NOT is_final"
}

export const SPENDING: Prepared = {
  name: "lane-spending",
  text: `
WITH recent AS MATERIALIZED (
  SELECT address, requester, wei FROM lane_spend WHERE chain_id = $1 AND spent_at > now() - $3::float8 * interval '1 millisecond'
)
SELECT NULL::bytea AS requester, coalesce(sum(wei), 0)::text AS wei FROM recent WHERE address = $2
UNION ALL
SELECT requester, sum(wei)::text FROM recent GROUP BY requester HAVING sum(wei) > $4::numeric`
}

export const REPORT: Prepared = {
  name: "lane-report",
  text: `
WITH fence AS MATERIALIZED (${FENCE})
INSERT INTO lane_report (chain_id, address, state, balance, chain_nonce, reported_at) SELECT $3, $4, $5, $6, $7, now() FROM fence
ON CONFLICT (chain_id, address) DO UPDATE SET
  state = excluded.state, balance = excluded.balance, chain_nonce = excluded.chain_nonce, reported_at = excluded.reported_at`
}
