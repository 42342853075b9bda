/**
 * The statement by which requests come into being: version 1, first transition, first wake-up and first message, all or nothing.
 */
import type pg from "pg"
import type { Hex } from "../../domain/hex.ts"
import { GENESIS, transitionDigest } from "../../ledger/hash-chain.ts"
import type { SeenRequest } from "../../ledger/detection-ledger.port.ts"
import { MOMENT } from "./save-statement.ts"
import { byteaOfHex } from "./wire-types.ts"

export interface BornRow {
  readonly request_id: Hex
  readonly outbox_id: bigint
}

const BEAR = `
WITH moment AS MATERIALIZED (${MOMENT}),
born AS (
  INSERT INTO request (request_id, chain_id, gateway, kind, requester, account, epoch, deadline, callback_gas, salt, handles,
                       transport_key, partition, detected_at, state, version, machine_version, snapshot, chain_tail,
                       anchor_block_number, anchor_block_hash, anchor_log_index)
  SELECT c.request_id, c.chain_id, c.gateway, c.kind, c.requester, c.account, c.epoch, c.deadline, c.callback_gas, c.salt,
         c.handles::bytea[], c.transport_key, c.partition, (SELECT at FROM moment), 'detected', 1, c.machine_version, c.snapshot::json,
         sha256($20::bytea || c.digest || int8send((SELECT at_ms FROM moment))), c.anchor_number, c.anchor_hash, c.anchor_index
  FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::bigint[], $8::bigint[],
              $9::bigint[], $10::bytea[], $11::text[], $12::bytea[], $13::smallint[], $14::integer[], $15::text[], $16::bytea[], $17::bigint[],
              $18::bytea[], $19::integer[])
    AS c(request_id, chain_id, gateway, kind, requester, account, epoch, deadline, callback_gas, salt, handles, transport_key,
         partition, machine_version, snapshot, digest, anchor_number, anchor_hash, anchor_index)
  ON CONFLICT (request_id) DO NOTHING
  RETURNING request_id, number, requester, partition, deadline, chain_tail
),
written AS (
  INSERT INTO transition (request_number, request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
  SELECT b.number, b.request_id, 1, NULL, 'detected', e.event::json, (SELECT at FROM moment), $21, 0, b.chain_tail
  FROM born b JOIN unnest($1::bytea[], $22::text[]) AS e(request_id, event) USING (request_id)
),
woken AS (
  INSERT INTO wake (request_id, partition, version, deadline, due)
  SELECT request_id, partition, 1, deadline, next_due($23, deadline) FROM born
)
INSERT INTO outbox (request_id, requester, partition, version, reached, deadline, written_at)
SELECT request_id, requester, partition, 1, 'detected', deadline, now() FROM born
RETURNING outbox_id, request_id`

/** Answers those that were unknown. */
export const bear = async (
  client: pg.PoolClient,
  requests: ReadonlyArray<SeenRequest>,
  worker: string,
  wakeAfterMs: number
): Promise<ReadonlyArray<BornRow>> => {
  if (requests.length === 0) return []
  const sorted = requests.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const column = <A>(read: (request: SeenRequest) => A): ReadonlyArray<A> => sorted.map(read)
  const detected = column(({ anchor }) => ({ type: "detected", anchor }))
  const { rows } = await client.query<BornRow>(BEAR, [
    column(({ id }) => byteaOfHex(id)),
    column(({ facts }) => facts.chainId),
    column(({ facts }) => byteaOfHex(facts.gateway)),
    column(({ facts }) => facts.kind),
    column(({ facts }) => byteaOfHex(facts.requester)),
    column(({ facts }) => byteaOfHex(facts.account)),
    column(({ facts }) => facts.epoch),
    column(({ facts }) => facts.deadline),
    column(({ facts }) => facts.callbackGas),
    column(({ facts }) => byteaOfHex(facts.salt)),
    column(({ facts }) => `{${facts.handles.map((handle) => `"\\\\x${handle.slice(2)}"`).join(",")}}`),
    column(({ facts }) => byteaOfHex(facts.transportKey)),
    column(({ partition }) => partition),
    column(({ machineVersion }) => machineVersion),
    column(({ snapshot }) => JSON.stringify(snapshot)),
    sorted.map(({ id }, index) =>
      byteaOfHex(transitionDigest({ requestId: id, seq: 1, from: null, to: "detected", event: detected[index], worker }))
    ),
    column(({ anchor }) => anchor.blockNumber),
    column(({ anchor }) => byteaOfHex(anchor.blockHash)),
    column(({ anchor }) => anchor.logIndex),
    byteaOfHex(GENESIS),
    worker,
    detected.map((event) => JSON.stringify(event)),
    wakeAfterMs
  ])
  return rows
}
