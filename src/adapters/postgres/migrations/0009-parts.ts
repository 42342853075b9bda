/** Results of one batch that are carried alone (docs/adr/0027); what is known of nonces that are final is forgotten after a while. */
import { type Kysely, sql } from "kysely"

const PARTS = [
  `
CREATE TABLE attested_part (
  part bytea PRIMARY KEY CHECK (octet_length(part) = 32),
  root bytea NOT NULL,
  request_id bytea NOT NULL,
  split_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (root, request_id)
);
COMMENT ON TABLE attested_part IS
  'Batches whose results are carried alone, each under this name in place of its root, because one transaction with all of them failed.';
ALTER TABLE lane_batch ADD COLUMN rejections integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN lane_batch.rejections IS 'How often the contract would have rejected it, alone, before it was sent.';
`,
  `
CREATE FUNCTION keep_signed_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM lane_slot s
    WHERE s.chain_id = OLD.chain_id AND s.address = OLD.address AND s.nonce = OLD.nonce AND NOT s.is_final
  ) THEN
    IF TG_OP = 'DELETE' THEN
      IF OLD.raw_tx = '' THEN RETURN OLD; END IF;
    ELSE
      OLD.raw_tx := '';
      IF NEW IS NOT DISTINCT FROM OLD THEN RETURN NEW; END IF;
    END IF;
  END IF;
  RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION keep_signed_bytes IS
  'Attempts at a nonce that is not final stay as they are. Of those at a final one the bytes may be forgotten, and then the row.';
DROP TRIGGER append_only ON tx_attempt;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tx_attempt FOR EACH ROW EXECUTE FUNCTION keep_signed_bytes();
-- For whoever forgets: what is oldest, with its bytes and without them.
CREATE INDEX tx_attempt_age ON tx_attempt ((least(octet_length(raw_tx), 1)), signed_at);
COMMENT ON TABLE tx_attempt IS
  'Signed transactions, stored before they are broadcast. Any of them may be the one that is mined. Append-only until their nonce is final.';
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
