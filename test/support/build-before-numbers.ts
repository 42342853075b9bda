/** What the build before migration 0015 wrote, in its own words: births and decisions whose history knows no number. */
import { GENESIS, transitionDigest } from "../../src/ledger/hash-chain.ts"
import type { RequestState } from "../../src/domain/journey.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { byteaOfHex } from "../../src/adapters/postgres/wire-types.ts"
import { anEvent, random32 } from "./ledger-world.ts"

type Query = (text: string, values: ReadonlyArray<unknown>) => Promise<unknown>

const WORKER = "gateway-before"
const MOMENT = "SELECT at, (extract(epoch FROM at) * 1000)::bigint AS at_ms FROM (SELECT date_trunc('milliseconds', now()) AS at) AS clock"

const BIRTH = `
WITH moment AS MATERIALIZED (${MOMENT}),
born AS (
  INSERT INTO request (request_id, chain_id, gateway, kind, requester, account, epoch, deadline, callback_gas, salt, handles,
                       transport_key, partition, detected_at, state, version, machine_version, snapshot, chain_tail,
                       anchor_block_number, anchor_block_hash, anchor_log_index)
  SELECT c.request_id, 1, '\\x00', 'public', '\\x00', '\\x00', 1, 4102444800, 0, '\\x00', '{}', '\\x', $4, (SELECT at FROM moment), 'detected', 1, 1,
         '{"value":"detected"}', sha256($3::bytea || c.digest || int8send((SELECT at_ms FROM moment))), 1, '\\x00', 1
  FROM unnest($1::bytea[], $2::bytea[]) AS c(request_id, digest)
  ON CONFLICT (request_id) DO NOTHING
  RETURNING request_id, chain_tail
)
INSERT INTO transition (request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
SELECT b.request_id, 1, NULL, 'detected', e.event::json, (SELECT at FROM moment), '${WORKER}', 0, b.chain_tail
FROM born b JOIN unnest($1::bytea[], $5::text[]) AS e(request_id, event) USING (request_id)`

const DECISION = `
WITH moment AS MATERIALIZED (${MOMENT}),
decided AS (
  UPDATE request r SET state = $4, version = r.version + 1,
    ended_at = CASE WHEN $4 = 'refused' THEN (SELECT at FROM moment) END,
    chain_tail = sha256(r.chain_tail || c.digest || int8send((SELECT at_ms FROM moment)))
  FROM unnest($1::bytea[], $2::bytea[]) AS c(request_id, digest)
  WHERE r.request_id = c.request_id AND r.state = $3
  RETURNING r.request_id, r.version, r.chain_tail
)
INSERT INTO transition (request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
SELECT request_id, version, $3, $4, $5::json, (SELECT at FROM moment), '${WORKER}', 1, chain_tail FROM decided`

export const bearAsBefore = async (query: Query, count: number, partition: number): Promise<ReadonlyArray<Hex>> => {
  const ids = Array.from({ length: count }, random32)
  const event = { type: "detected", anchor: { blockNumber: 1, blockHash: random32(), logIndex: 1 } }
  const digests = ids.map((requestId) => transitionDigest({ requestId, seq: 1, from: null, to: "detected", event, worker: WORKER }))
  await query(BIRTH, [ids.map(byteaOfHex), digests.map(byteaOfHex), byteaOfHex(GENESIS), partition, ids.map(() => JSON.stringify(event))])
  return ids
}

export const decideAsBefore = async (query: Query, ids: ReadonlyArray<Hex>, seq: number, from: RequestState, to: RequestState): Promise<void> => {
  const event = anEvent()
  const digests = ids.map((requestId) => transitionDigest({ requestId, seq, from, to, event, worker: WORKER }))
  await query(DECISION, [ids.map(byteaOfHex), digests.map(byteaOfHex), from, to, JSON.stringify(event)])
}
