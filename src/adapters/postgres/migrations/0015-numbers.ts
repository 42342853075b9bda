/** Requests have numbers that grow as they come, and the history is keyed by them: what is written together lies together (docs/adr/0028). */
import { type Kysely, sql } from "kysely"

/** Years of history are written again and indexed: minutes, where other statements have seconds. The client's side is `MIGRATION_MS_MAX` (pool.ts). */
const PATIENCE = "SET LOCAL statement_timeout = '4h'"

const PARTS = [
  // Both at once and in this order, as the save does: nobody is met half way.
  "LOCK TABLE request, transition IN ACCESS EXCLUSIVE MODE",
  // Rows that are there get numbers as they lie in the table, which is about the order in which they came.
  `
ALTER TABLE request ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
COMMENT ON COLUMN request.number IS
  'Grows as requests are detected, with gaps; the key of the history, because ids are hashes and would spread it over the whole index. Given '
  'once and never changed. Not indexed: nobody searches by it, and the key of transition refuses the birth of a second request with the same.';
`,
  // Written again as a whole: an update would leave each row twice, and the append-only trigger would have to look away.
  `
CREATE FUNCTION number_of(id bytea) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT number FROM request WHERE request_id = id);
END $$;
ALTER TABLE transition ADD COLUMN request_number bigint;
ALTER TABLE transition
  DROP CONSTRAINT transition_pkey,
  ALTER COLUMN request_number TYPE bigint USING number_of(request_id),
  ALTER COLUMN request_number SET NOT NULL,
  ADD PRIMARY KEY (request_number, seq);
DROP FUNCTION number_of;
COMMENT ON COLUMN transition.request_number IS 'request.number: rows that are written at about the same time share a page of the index.';
COMMENT ON COLUMN transition.request_id IS
  'Of the request with this number. For whoever reads a row by itself, and part of its hash; not indexed.';
`,
  `
CREATE FUNCTION number_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT number INTO STRICT NEW.request_number FROM request WHERE request_id = NEW.request_id;
  RETURN NEW;
END $$;
COMMENT ON FUNCTION number_transition IS
  'For the build before this one, which knows no numbers and goes on while nodes are replaced one by one. Nobody else calls it.';
CREATE TRIGGER numbered BEFORE INSERT ON transition FOR EACH ROW
  WHEN (NEW.request_number IS NULL) EXECUTE FUNCTION number_transition();
`,
  // Nobody has seen the new columns: until it has, the planner would take the history of one request for half the table.
  "ANALYZE request; ANALYZE transition"
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql.raw(PATIENCE).execute(db)
  for (const part of PARTS) await sql.raw(part).execute(db)
}
