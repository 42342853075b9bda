/** Work waits in the outbox for its requester's turn (docs/adr/0022); operators may bring back halted requests. */
import { type Kysely, sql } from "kysely"

const PARTS = [
  `
ALTER TABLE outbox ADD COLUMN requester bytea NOT NULL DEFAULT '\\x00';
-- Without the partition: a requester's messages then stand in their order, and as few are read as are wanted, whatever the planner has been told of
-- a table that is emptied and filled all the time.
CREATE INDEX outbox_turn ON outbox (reached, requester, outbox_id);
COMMENT ON COLUMN outbox.requester IS 'Whose turn the message takes when more is owed than may be given out at once.';
`,
  `
ALTER TABLE operator_action DROP CONSTRAINT operator_action_action_check;
ALTER TABLE operator_action ADD CONSTRAINT operator_action_action_check
  CHECK (action IN ('pause', 'resume', 'drain', 'redrive message', 'drop message'));
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
