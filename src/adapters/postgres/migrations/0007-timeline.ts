/** Which history of the database was last compared with the chain, and in which one each lease was given (docs/adr/0023). */
import { type Kysely, sql } from "kysely"

/** As `HERE` in timeline-statements.ts was when this was released. */
const HERE =
  "(SELECT system_identifier || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint FROM pg_control_system())"

const TIMELINE = `
CREATE TABLE database_timeline (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  reconciled text,
  reconciled_at timestamptz,
  noticed text,
  noticed_at timestamptz,
  lost_until timestamptz
);
COMMENT ON TABLE database_timeline IS
  'One row: the history of this database (system identifier and timeline) that was last compared with the chain. While the server is in '
  'another one, lanes take no nonce and store no signed bytes.';
COMMENT ON COLUMN database_timeline.noticed_at IS
  'When the newest change of history was noticed. What was committed before may be lost.';
COMMENT ON COLUMN database_timeline.lost_until IS
  'What nodes answered until then may be about asks that were lost with the last commits: portcullis verify does not judge it.';

ALTER TABLE lease ADD COLUMN given_in text NOT NULL DEFAULT '';
COMMENT ON COLUMN lease.given_in IS 'The history in which this epoch was given. In another one it is given away beyond all that may have been lost.';

-- A database that has worked already goes on in its own history. An empty one may have been wiped: it asks the chain first.
INSERT INTO database_timeline (reconciled, reconciled_at) SELECT ${HERE}, now() WHERE EXISTS (SELECT FROM lease);
UPDATE lease SET given_in = ${HERE};
`

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql.raw(TIMELINE).execute(db)
}
