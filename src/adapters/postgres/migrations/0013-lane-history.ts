/** When a nonce became final, by the database's clock, and below which nonces a lane has forgotten its slots; nobody forgets what is not final. */
import { type Kysely, sql } from "kysely"

const PARTS = [
  `
-- What is final already counts as final since now: kept a little longer. The table is not written anew.
ALTER TABLE lane_slot ADD COLUMN final_at timestamptz DEFAULT now();
ALTER TABLE lane_slot ALTER COLUMN final_at DROP DEFAULT;
COMMENT ON COLUMN lane_slot.final_at IS 'Since when it is final. Of one that is not, it says nothing.';
CREATE FUNCTION note_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.final_at := now();
  RETURN NEW;
END $$;
COMMENT ON FUNCTION note_final IS 'A trigger, because senders of an older build do not say it.';
CREATE TRIGGER becomes_final BEFORE UPDATE OF is_final ON lane_slot FOR EACH ROW
  WHEN (NEW.is_final AND NOT OLD.is_final) EXECUTE FUNCTION note_final();
-- For whoever forgets: what has been final for longest.
CREATE INDEX lane_slot_final ON lane_slot (chain_id, final_at) WHERE is_final;
`,
  `
CREATE FUNCTION keep_open_nonce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'nonce % is not final', OLD.nonce USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION keep_open_nonce IS 'Attempts at a nonce without a slot may be forgotten (keep_signed_bytes), so a slot stays until it is final.';
CREATE TRIGGER stays_until_final BEFORE DELETE ON lane_slot FOR EACH ROW WHEN (NOT OLD.is_final) EXECUTE FUNCTION keep_open_nonce();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON lane_slot FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON tx_attempt FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`,
  `
ALTER TABLE lane ADD COLUMN forgotten_below bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN lane.forgotten_below IS
  'A nonce just below it was final and is forgotten. So all below it are used up on the chain, and none of them is ever a hole that wants filling.';
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
