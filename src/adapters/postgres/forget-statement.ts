/** What is forgotten of nonces that are final, in one statement and in bounded portions: first the signed bytes, which are most of it, and long after
 * them the rows. A nonce goes whole: its slot, its attempts, the batch that it carried, and what is left of the results in it once their requests have
 * all ended: their payloads went with that, so nobody can ask for them any more, and who keeps the same batch again begins anew. */
import type { Prepared } from "./pool.ts"

/** Milliseconds of a parameter ago, by this clock. */
const ago = (parameter: string): string => `now() - ${parameter}::float8 * interval '1 millisecond'`

/** $1, $2: name and epoch of the lease; $3: the chain; $4, $5: how long bytes and rows are kept, in milliseconds; $6: how many of each kind at once.
 * Attempts with bytes are found by the time at which they were signed, and that is a sender's clock: it may keep bytes longer, never for less long.
 * A slot is gone when none of its attempts has bytes; its attempts go with it, and a trigger refuses all others. The parts of a batch that was split go
 * together: whoever asks for the batch again is given all of its parts, or none. */
export const FORGET: Prepared = {
  name: "lane-forget",
  text: `
WITH fence AS MATERIALIZED (SELECT name FROM lease WHERE name = $1 AND epoch = $2 FOR KEY SHARE),
signed AS MATERIALIZED (
  SELECT a.address, a.nonce, a.attempt_no FROM tx_attempt a JOIN lane_slot s USING (chain_id, address, nonce), fence
  WHERE least(octet_length(a.raw_tx), 1) = 1 AND a.signed_at < ${ago("$4")} AND a.chain_id = $3 AND s.is_final AND s.final_at < ${ago("$4")}
  ORDER BY a.signed_at LIMIT $6
),
emptied AS (
  UPDATE tx_attempt a SET raw_tx = '' FROM signed o
  WHERE a.chain_id = $3 AND a.address = o.address AND a.nonce = o.nonce AND a.attempt_no = o.attempt_no RETURNING 1
),
old AS MATERIALIZED (
  SELECT s.address, s.nonce FROM lane_slot s, fence
  WHERE s.chain_id = $3 AND s.is_final AND s.final_at < ${ago("$5")} AND NOT EXISTS (
    SELECT FROM tx_attempt a
    WHERE a.chain_id = s.chain_id AND a.address = s.address AND a.nonce = s.nonce AND octet_length(a.raw_tx) > 0
  )
  ORDER BY s.final_at LIMIT $6
),
gone AS (
  DELETE FROM lane_slot s USING old o
  WHERE s.chain_id = $3 AND s.address = o.address AND s.nonce = o.nonce AND s.is_final RETURNING s.address, s.nonce, s.root
),
noted AS (
  UPDATE lane l SET forgotten_below = greatest(l.forgotten_below, g.below)
  FROM (SELECT address, max(nonce) + 1 AS below FROM gone GROUP BY address) g WHERE l.chain_id = $3 AND l.address = g.address
),
attempts AS (
  DELETE FROM tx_attempt a USING gone g WHERE a.chain_id = $3 AND a.address = g.address AND a.nonce = g.nonce RETURNING 1
),
carried AS (
  DELETE FROM lane_batch b USING gone g
  WHERE b.root = g.root AND b.chain_id = $3 AND b.address = g.address AND b.nonce = g.nonce RETURNING b.root
),
whole AS MATERIALIZED (
  SELECT DISTINCT o.root FROM attested_part o JOIN attested_batch b USING (root), fence
  WHERE b.chain_id = $3 AND b.live = 0 AND o.split_at < ${ago("$5")}
    AND NOT EXISTS (SELECT FROM attested_part p JOIN lane_batch q ON q.root = p.part WHERE p.root = o.root)
    AND NOT EXISTS (SELECT FROM attested_part p JOIN lane_slot s ON s.root = p.part WHERE p.root = o.root AND NOT s.is_final)
  LIMIT $6
),
parts AS (
  DELETE FROM attested_part p USING whole w WHERE p.root = w.root RETURNING 1
),
ended AS (
  DELETE FROM attested_batch b USING (SELECT root FROM gone UNION SELECT root FROM whole) g
  WHERE b.root = g.root AND b.chain_id = $3 AND b.live = 0
    AND NOT EXISTS (SELECT FROM attested_part p WHERE p.root = b.root AND p.root NOT IN (SELECT root FROM whole))
  RETURNING b.root
),
leaves AS (
  DELETE FROM result r USING ended e WHERE r.root = e.root RETURNING 1
),
spent AS (
  DELETE FROM lane_spend m USING (
    SELECT o.chain_id, o.address, o.nonce, o.requester FROM lane_spend o, fence
    WHERE o.chain_id = $3 AND o.spent_at < ${ago("$5")} ORDER BY o.spent_at LIMIT $6
  ) o WHERE (m.chain_id, m.address, m.nonce, m.requester) = (o.chain_id, o.address, o.nonce, o.requester) RETURNING 1
)
SELECT ((SELECT count(*) FROM emptied) + (SELECT count(*) FROM gone) + (SELECT count(*) FROM attempts) + (SELECT count(*) FROM carried)
  + (SELECT count(*) FROM parts) + (SELECT count(*) FROM ended) + (SELECT count(*) FROM leaves) + (SELECT count(*) FROM spent))::integer AS forgotten`
}
