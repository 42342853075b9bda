/** The tables of a cluster: who lives, and what operators have ordered (docs/adr/0013). Never edit a migration that has been released. */
import { type Kysely, sql } from "kysely"

const CLUSTER = `
CREATE UNLOGGED TABLE gateway_node (
  worker text PRIMARY KEY,
  name text NOT NULL,
  version text NOT NULL,
  roles text[] NOT NULL,
  machine_versions integer[] NOT NULL,
  state text NOT NULL CHECK (state IN ('joining', 'working', 'draining', 'gone')),
  started_at timestamptz NOT NULL,
  beat_at timestamptz NOT NULL,
  farewell text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE gateway_node IS
  'Lives of gateway nodes. Not logged: a beat is worth a second, and a crash of the server only empties the table until the next one.';
COMMENT ON COLUMN gateway_node.beat_at IS 'When it was heard last, by this clock.';

CREATE TABLE pause (
  target text PRIMARY KEY,
  operator text NOT NULL,
  why text NOT NULL,
  since timestamptz NOT NULL
);
COMMENT ON TABLE pause IS 'What is paused at the moment. Logged: what an operator has stopped must not start again because a server crashed.';

CREATE TABLE drain_order (
  worker text PRIMARY KEY,
  operator text NOT NULL,
  why text NOT NULL,
  at timestamptz NOT NULL
);
COMMENT ON TABLE drain_order IS 'Lives of nodes that are to end. A worker id has a boot nonce, so an order never meets the next life.';

CREATE TABLE operator_action (
  action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  operator text NOT NULL,
  action text NOT NULL CHECK (action IN ('pause', 'resume', 'drain')),
  target text NOT NULL,
  why text NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operator_action FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON operator_action FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE operator_action IS 'Who switched what, when and why. Append-only.';
`

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql.raw(CLUSTER).execute(db)
}
