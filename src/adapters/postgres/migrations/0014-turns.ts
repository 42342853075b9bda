/** Whose turn it is is read by age. With `outbox_id` at its end, the index looked as good for finding one message by its id as the primary key does. */
import { type Kysely, sql } from "kysely"

const PARTS = ["DROP INDEX outbox_turn", "CREATE INDEX outbox_turn ON outbox (reached, requester, written_at)"]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
