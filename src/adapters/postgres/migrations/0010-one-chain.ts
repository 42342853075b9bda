/** A database belongs to one chain (docs/adr/0026), and nodes say what they have done, so that an autoscaler sees how fast they are. */
import { type Kysely, sql } from "kysely"

const PARTS = [
  `
CREATE TABLE served_chain (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  chain_id bigint NOT NULL,
  since timestamptz NOT NULL
);
COMMENT ON TABLE served_chain IS 'The chain whose gateways share this database: the first that one of them named.';
INSERT INTO served_chain (chain_id, since) SELECT min(chain_id), now() FROM chain_cursor HAVING count(*) = 1;
`,
  `
ALTER TABLE gateway_node ADD COLUMN done json NOT NULL DEFAULT '{}';
COMMENT ON COLUMN gateway_node.done IS 'Requests that each step of this life has answered, as it said last.';
`
]

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of PARTS) await sql.raw(part).execute(db)
}
