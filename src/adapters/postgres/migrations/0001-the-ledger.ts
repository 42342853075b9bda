/**
 * The tables of the ledger, for PostgreSQL 15 and later. What changes with every transition is never indexed, so that updates of
 * `request` stay heap-only (HOT); what must be searched (wake-ups, outbox, signals) stands in small tables of its own. No foreign
 * keys between hot tables: requests are never deleted, and each key check would lock the request's row once more. Never edit a
 * migration that has been released: add the next one.
 */
import { type Kysely, sql } from "kysely"

const REQUESTS = `
CREATE TABLE request (
  request_id bytea PRIMARY KEY CHECK (octet_length(request_id) = 32),
  chain_id bigint NOT NULL,
  gateway bytea NOT NULL,
  kind text NOT NULL CHECK (kind IN ('public', 'user')),
  requester bytea NOT NULL,
  account bytea NOT NULL,
  epoch bigint NOT NULL,
  deadline bigint NOT NULL,
  callback_gas bigint NOT NULL,
  salt bytea NOT NULL,
  handles bytea[] NOT NULL,
  transport_key bytea NOT NULL,
  partition smallint NOT NULL,
  detected_at timestamptz NOT NULL,
  state text NOT NULL,
  version integer NOT NULL CHECK (version >= 1),
  machine_version integer NOT NULL,
  snapshot json NOT NULL,
  chain_tail bytea NOT NULL CHECK (octet_length(chain_tail) = 32),
  ended_at timestamptz,
  anchor_block_number bigint NOT NULL,
  anchor_block_hash bytea NOT NULL,
  anchor_log_index integer NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX request_newest ON request (detected_at DESC, request_id);
COMMENT ON TABLE request IS 'One row for each decryption request, with its present state. Rows are never deleted.';
COMMENT ON COLUMN request.request_id IS 'Content-derived (docs/protocol.md section 4): the same on every chain fork.';
COMMENT ON COLUMN request.deadline IS 'Unix seconds.';
COMMENT ON COLUMN request.partition IS 'Decides which coordinator owns the request: lease partition/<n>.';
COMMENT ON COLUMN request.state IS
  'Milestone reached, or how the request ended. Never indexed: it changes with every transition.';
COMMENT ON COLUMN request.version IS
  'Counts saved decisions; equals the seq of the latest transition. Every write names the version it was decided '
  'on.';
COMMENT ON COLUMN request.snapshot IS 'Persisted machine snapshot: plain JSON without secrets.';
COMMENT ON COLUMN request.chain_tail IS 'Hash of the latest transition row.';

CREATE TABLE transition (
  request_id bytea NOT NULL,
  seq integer NOT NULL CHECK (seq >= 1),
  from_state text,
  to_state text NOT NULL,
  event json NOT NULL,
  at timestamptz NOT NULL,
  worker text NOT NULL,
  lease_epoch bigint NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (request_id, seq)
);
CREATE INDEX transition_ends ON transition (to_state, at DESC)
  WHERE to_state IN ('finalized', 'refused', 'expired', 'orphaned', 'cancelled', 'halted');
COMMENT ON TABLE transition IS
  'History of every request. Append-only (a trigger refuses change) and hash-chained for each request '
  '(src/ledger/hash-chain.ts).';
COMMENT ON COLUMN transition.lease_epoch IS 'Fencing epoch of the partition under which it was decided; 0 for detection.';
COMMENT ON COLUMN transition.hash IS 'sha256(previous hash, digest of this row, its time).';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transition FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON transition FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`

const LIVENESS = `
CREATE FUNCTION next_due(after_ms bigint, deadline bigint) RETURNS timestamptz STABLE LANGUAGE sql AS $$
  SELECT CASE
    WHEN deadline > extract(epoch FROM now()) AND deadline + 1 < extract(epoch FROM now()) + after_ms / 1000.0
    THEN to_timestamp(deadline + 1)
    ELSE now() + after_ms * interval '1 millisecond'
  END
$$;
COMMENT ON FUNCTION next_due IS
  'When to look again: after so many milliseconds, but a second after the deadline at the latest if that lies '
  'ahead.';

CREATE TABLE wake (
  request_id bytea PRIMARY KEY,
  partition smallint NOT NULL,
  version integer NOT NULL,
  deadline bigint NOT NULL,
  due timestamptz NOT NULL,
  claims integer NOT NULL DEFAULT 0,
  reason text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX wake_due ON wake (due, partition);
COMMENT ON TABLE wake IS
  'One row for each request that has not ended: when somebody must look at it again. min(due) far in the past '
  'means that nobody does.';
COMMENT ON COLUMN wake.claims IS
  'How often it was claimed as overdue in its present state: many claims mean that its work never answers.';
COMMENT ON COLUMN wake.reason IS 'Why it was postponed last.';

CREATE SEQUENCE outbox_ids;
CREATE TABLE outbox (
  outbox_id bigint PRIMARY KEY DEFAULT nextval('outbox_ids'),
  request_id bytea NOT NULL,
  partition smallint NOT NULL,
  version integer NOT NULL,
  reached text NOT NULL,
  deadline bigint NOT NULL,
  written_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE outbox IS
  'Messages owed to the bus; deleted when it has confirmed them. Only hints: the wake-ups regenerate what is '
  'lost.';

CREATE TABLE signal (
  signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id bytea NOT NULL,
  partition smallint NOT NULL,
  subject text NOT NULL,
  event json NOT NULL,
  UNIQUE (request_id, subject)
);
COMMENT ON TABLE signal IS 'What the world told a request, until a decision answers it.';
COMMENT ON COLUMN signal.subject IS
  'At most one signal waits about each subject; the newer replaces the older under a new id. orphaned and moved '
  'share "position".';

CREATE TABLE lease (
  name text PRIMARY KEY,
  owner text,
  epoch bigint NOT NULL CHECK (epoch >= 1),
  until timestamptz NOT NULL,
  UNIQUE (name, epoch)
) WITH (fillfactor = 50);
COMMENT ON TABLE lease IS 'Who works on what. Logged on purpose: an epoch that a crash resets would let a zombie write.';
COMMENT ON COLUMN lease.epoch IS
  'Part of a key on purpose: a change of owner waits for saves that hold FOR KEY SHARE, and a renewal does not.';
`

const EFFECTS = `
CREATE TABLE share_ask (
  request_id bytea PRIMARY KEY,
  nodes smallint[] NOT NULL,
  budget smallint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  CONSTRAINT share_budget CHECK (cardinality(nodes) <= budget)
) WITH (fillfactor = 70);
COMMENT ON TABLE share_ask IS
  'Nodes that may have been asked for a share: written before anybody is asked, kept for ever. The budget bounds '
  'what can leak.';

CREATE FUNCTION keep_asked_nodes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NOT NEW.nodes @> OLD.nodes OR NEW.budget < OLD.budget THEN
    RAISE EXCEPTION 'a node that was asked stays asked' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON share_ask FOR EACH ROW EXECUTE FUNCTION keep_asked_nodes();

CREATE TABLE share (
  request_id bytea NOT NULL,
  node_id smallint NOT NULL,
  epoch bigint NOT NULL,
  sealed bytea NOT NULL,
  kept_at timestamptz NOT NULL,
  PRIMARY KEY (request_id, node_id)
);
COMMENT ON TABLE share IS 'Shares that nodes answered, sealed (src/ledger/sealer.port.ts). Deleted when the request ends.';

CREATE TABLE evidence (
  evidence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id bytea NOT NULL,
  node_id smallint NOT NULL,
  file json NOT NULL,
  at timestamptz NOT NULL,
  UNIQUE (request_id, node_id)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON evidence FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON evidence FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE evidence IS 'Signed proof that a node lied about a request. Append-only.';

CREATE TABLE attested_batch (
  root bytea PRIMARY KEY CHECK (octet_length(root) = 32),
  chain_id bigint NOT NULL,
  gateway bytea NOT NULL,
  epoch bigint NOT NULL,
  count integer NOT NULL,
  expiry bigint NOT NULL,
  attestation bytea NOT NULL,
  live integer NOT NULL,
  kept_at timestamptz NOT NULL
);
COMMENT ON TABLE attested_batch IS 'Results under one Merkle root with their attestation.';
COMMENT ON COLUMN attested_batch.live IS
  'Requests that stand in it and have not ended; its payloads are deleted at 0 (a batch is only useful whole).';

CREATE TABLE result (
  root bytea NOT NULL,
  position smallint NOT NULL,
  request_id bytea NOT NULL,
  sealed bytea,
  PRIMARY KEY (root, position)
);
COMMENT ON TABLE result IS 'The leaves of a batch, in order. sealed is NULL once every request of the batch has ended.';

CREATE TABLE standing (
  request_id bytea PRIMARY KEY,
  root bytea NOT NULL
);
COMMENT ON TABLE standing IS 'The one batch in which a request that has not ended is on its way.';

CREATE TABLE end_tally (
  tally_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state text NOT NULL,
  n bigint NOT NULL
);
COMMENT ON TABLE end_tally IS
  'How many requests ended how: sum(n) by state. Rows are added by a trigger and folded together by whoever '
  'counts.';

CREATE FUNCTION on_request_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  batch record;
BEGIN
  IF OLD.ended_at IS NOT NULL THEN INSERT INTO end_tally (state, n) VALUES (OLD.state, -1); END IF;
  IF NEW.ended_at IS NULL THEN RETURN NULL; END IF;
  INSERT INTO end_tally (state, n) VALUES (NEW.state, 1);
  DELETE FROM share WHERE request_id = NEW.request_id;
  DELETE FROM standing WHERE request_id = NEW.request_id RETURNING root INTO batch;
  IF FOUND THEN
    UPDATE attested_batch SET live = live - 1 WHERE root = batch.root RETURNING root, live INTO batch;
    IF batch.live = 0 THEN UPDATE result SET sealed = NULL WHERE root = batch.root; END IF;
  END IF;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION on_request_end IS
  'A request that ended keeps no secrets, whoever ended it. A trigger, because its statements see what was committed '
  'while the update waited.';
CREATE TRIGGER ends AFTER UPDATE ON request FOR EACH ROW
  WHEN (OLD.ended_at IS NOT NULL OR NEW.ended_at IS NOT NULL) EXECUTE FUNCTION on_request_end();
`

const CHAIN = `
CREATE TABLE chain_cursor (
  chain_id bigint PRIMARY KEY,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  parent_hash bytea NOT NULL
);
COMMENT ON TABLE chain_cursor IS 'The newest canonical block that was read; moves in the transaction that writes its requests.';

CREATE TABLE chain_block (
  chain_id bigint NOT NULL,
  block_hash bytea NOT NULL,
  block_number bigint NOT NULL,
  parent_hash bytea NOT NULL,
  is_canonical boolean NOT NULL,
  PRIMARY KEY (chain_id, block_hash)
);
CREATE INDEX chain_block_number ON chain_block (chain_id, block_number);
CREATE UNIQUE INDEX chain_block_canonical ON chain_block (chain_id, block_number) WHERE is_canonical;
COMMENT ON TABLE chain_block IS 'Blocks that were read and are not final yet, also those that a reorganisation removed.';

CREATE TABLE sighting (
  chain_id bigint NOT NULL,
  block_hash bytea NOT NULL,
  log_index integer NOT NULL,
  request_id bytea NOT NULL,
  PRIMARY KEY (chain_id, block_hash, log_index)
);
COMMENT ON TABLE sighting IS 'In which blocks a request was seen; kept as long as the blocks.';

CREATE TABLE lane (
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  next_nonce bigint NOT NULL,
  PRIMARY KEY (chain_id, address)
);
COMMENT ON TABLE lane IS 'One sending account. next_nonce moves in the transaction that stores the signed bytes.';

CREATE TABLE lane_batch (
  root bytea PRIMARY KEY,
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  request_ids bytea[] NOT NULL,
  queued bigint GENERATED ALWAYS AS IDENTITY,
  nonce bigint
);
CREATE INDEX lane_batch_waiting ON lane_batch (chain_id, address, queued) WHERE nonce IS NULL;
COMMENT ON TABLE lane_batch IS 'Batches that wait for a lane (nonce is null) or have a slot in one.';

CREATE TABLE lane_slot (
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  nonce bigint NOT NULL,
  root bytea NOT NULL,
  version integer NOT NULL,
  snapshot json NOT NULL,
  is_final boolean NOT NULL,
  PRIMARY KEY (chain_id, address, nonce)
) WITH (fillfactor = 70);
CREATE INDEX lane_slot_open ON lane_slot (chain_id, address, nonce) WHERE NOT is_final;
COMMENT ON TABLE lane_slot IS 'One nonce and the batch it carries. A nonce is given once and never again.';

CREATE TABLE tx_attempt (
  chain_id bigint NOT NULL,
  address bytea NOT NULL,
  nonce bigint NOT NULL,
  attempt_no integer NOT NULL,
  root bytea NOT NULL,
  tx_hash bytea NOT NULL,
  raw_tx bytea NOT NULL,
  max_fee_per_gas numeric(78) NOT NULL,
  max_priority_fee_per_gas numeric(78) NOT NULL,
  signed_at timestamptz NOT NULL,
  UNIQUE (chain_id, address, nonce, attempt_no)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tx_attempt FOR EACH ROW EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE tx_attempt IS
  'Signed transactions, stored before they are broadcast. Any of them may be the one that is mined. Append-only.';
`

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const part of [REQUESTS, LIVENESS, EFFECTS, CHAIN]) await sql.raw(part).execute(db)
}
