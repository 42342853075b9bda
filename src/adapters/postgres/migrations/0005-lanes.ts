/** One queue of batches for each chain instead of one for each lane; what failed and what was spent is counted; how each lane is, for operators. */
import { type Kysely, sql } from "kysely"

const PARTS = [
  `
ALTER TABLE lane_batch ALTER COLUMN address DROP NOT NULL;
ALTER TABLE lane_batch
  ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN held_until timestamptz,
  ADD COLUMN not_before timestamptz,
  ADD COLUMN failures integer NOT NULL DEFAULT 0,
  ADD COLUMN reason text;
DROP INDEX lane_batch_waiting;
CREATE INDEX lane_batch_waiting ON lane_batch (chain_id, (coalesce(not_before, queued_at)), queued) WHERE nonce IS NULL;
COMMENT ON TABLE lane_batch IS
  'Batches that wait in the queue of their chain (nonce is null; until held_until the lane at address has reserved them) or have '
  'a slot in that lane.';
COMMENT ON COLUMN lane_batch.failures IS 'How often a transaction with it was mined and reverted.';
COMMENT ON COLUMN lane_batch.not_before IS 'Put off: no lane is given it before. reason says why.';
`,
  `
ALTER TABLE tx_attempt
  ADD COLUMN gas_limit bigint NOT NULL DEFAULT 0,
  ADD COLUMN is_cancellation boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN tx_attempt.is_cancellation IS 'Sends nothing to itself, only to use up the nonce.';
`,
  `
CREATE TABLE lane_spend (
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  nonce bigint NOT NULL,
  requester bytea NOT NULL,
  wei numeric(78) NOT NULL,
  spent_at timestamptz NOT NULL,
  PRIMARY KEY (chain_id, address, nonce, requester)
);
CREATE INDEX lane_spend_window ON lane_spend (chain_id, spent_at) INCLUDE (address, requester, wei);
COMMENT ON TABLE lane_spend IS
  'What mined transactions cost (gas used times price, by their receipts), divided among those who asked for the results in them.';

CREATE TABLE lane_report (
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  state text NOT NULL,
  balance numeric(78),
  chain_nonce bigint,
  reported_at timestamptz NOT NULL,
  PRIMARY KEY (chain_id, address)
);
COMMENT ON TABLE lane_report IS 'How a lane is, as whoever drives it saw it last. For operators: nothing decides by it.';
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
