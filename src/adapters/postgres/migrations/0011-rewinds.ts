/** A database that has lost commits under the same name and timeline begins a new history, and each start of the server is vouched for. */
import { type Kysely, sql } from "kysely"

/** As `LIFE` in timeline-statements.ts was when this was released. */
const LIFE = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"

const PARTS = [
  `
ALTER TABLE database_timeline ADD COLUMN rewinds integer NOT NULL DEFAULT 0, ADD COLUMN vouched_life bigint;
COMMENT ON COLUMN database_timeline.rewinds IS 'How often somebody noticed, or an operator said, that this database had lost commits. Part of the name of its history.';
COMMENT ON COLUMN database_timeline.vouched_life IS
  'The start of the server (microseconds) of which somebody who remembers how far the database had come has seen that it lacks nothing. In '
  'another life lanes take no nonce and store no signed bytes.';
-- What is compared with the chain already goes on: nobody remembers anything before this.
UPDATE database_timeline SET vouched_life = ${LIFE} WHERE reconciled IS NOT NULL;
`,
  `
ALTER TABLE operator_action DROP CONSTRAINT operator_action_action_check;
ALTER TABLE operator_action ADD CONSTRAINT operator_action_action_check
  CHECK (action IN ('pause', 'resume', 'drain', 'redrive message', 'drop message', 'reconcile'));
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
