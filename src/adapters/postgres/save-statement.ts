/**
 * The one statement behind every decision (reliability.md P1): row-version and fencing-epoch compare-and-set with transition,
 * wake-up, outbox and answered signals, for many requests at once. All of it is committed, or nothing.
 *
 * Against zombies: the partitions' leases are locked FOR KEY SHARE. A change of owner changes `epoch`, which is part of a key, so
 * it waits for this statement, or this statement waits for it and then reads the new epoch. A mere renewal changes no key and
 * waits for nobody.
 */
import { ENDS } from "../../domain/journey.ts"
import { transitionDigest } from "../../ledger/hash-chain.ts"
import type { Change } from "../../ledger/stored-request.ts"
import type { Prepared } from "./pool.ts"
import { byteaOfHex, plainArray } from "./wire-types.ts"

export const partitionLease = (partition: number): string => `partition/${partition}`

const END_STATES = ENDS.map((end) => `'${end}'`).join(", ")

/** The database's clock, as the hash chain counts it. */
export const MOMENT = `
  SELECT at, (extract(epoch FROM at) * 1000)::bigint AS at_ms FROM (SELECT date_trunc('milliseconds', now()) AS at) AS clock`

export const SAVE: Prepared = {
  name: "save",
  text: `
WITH moment AS MATERIALIZED (${MOMENT}),
input AS (
  SELECT * FROM unnest(
    $1::bytea[], $2::smallint[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::integer[],
    $10::text[], $11::bigint[], $12::bytea[], $13::integer[], $14::text[], $15::bigint[], $16::text[]
  ) AS c(request_id, partition, version, lease_epoch, from_state, to_state, event, digest, machine_version, snapshot,
         anchor_number, anchor_hash, anchor_index, dispatch, wake_after, worker)
),
fence AS MATERIALIZED (
  SELECT name, epoch FROM lease WHERE name = ANY ($17::text[]) ORDER BY name FOR KEY SHARE
),
decided AS (
  UPDATE request r SET
    state = c.to_state,
    version = r.version + 1,
    machine_version = c.machine_version,
    snapshot = c.snapshot::json,
    chain_tail = sha256(r.chain_tail || c.digest || int8send((SELECT at_ms FROM moment))),
    ended_at = CASE WHEN c.to_state IN (${END_STATES}) THEN coalesce(r.ended_at, (SELECT at FROM moment)) END,
    anchor_block_number = coalesce(c.anchor_number, r.anchor_block_number),
    anchor_block_hash = coalesce(c.anchor_hash, r.anchor_block_hash),
    anchor_log_index = coalesce(c.anchor_index, r.anchor_log_index)
  FROM input c JOIN fence f ON f.name = 'partition/' || c.partition AND f.epoch = c.lease_epoch
  WHERE r.request_id = c.request_id AND r.version = c.version AND r.state = c.from_state AND r.partition = c.partition
  RETURNING r.request_id, r.number, r.requester, r.partition, r.version, r.chain_tail, r.deadline, c.lease_epoch, c.from_state, c.to_state,
            c.event, c.dispatch, c.wake_after, c.worker, CASE WHEN c.dispatch IS NOT NULL THEN nextval('outbox_ids') END AS outbox_id
),
written AS (
  INSERT INTO transition (request_number, request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
  SELECT number, request_id, version, from_state, to_state, event::json, (SELECT at FROM moment), worker, lease_epoch, chain_tail
  FROM decided
),
woken AS (
  INSERT INTO wake (request_id, partition, version, deadline, due)
  SELECT request_id, partition, version, deadline, next_due(wake_after, deadline) FROM decided WHERE wake_after IS NOT NULL
  ON CONFLICT (request_id) DO UPDATE SET version = excluded.version, due = excluded.due, claims = 0, reason = NULL
),
asleep AS (
  DELETE FROM wake w WHERE w.request_id = ANY (ARRAY(SELECT request_id FROM decided WHERE wake_after IS NULL))
),
owed AS (
  INSERT INTO outbox (outbox_id, request_id, requester, partition, version, reached, deadline, written_at)
  SELECT outbox_id, request_id, requester, partition, version, dispatch, deadline, now() FROM decided WHERE dispatch IS NOT NULL
),
answered AS (
  DELETE FROM signal s WHERE s.signal_id = ANY ($18::bigint[]) AND s.request_id = ANY (ARRAY(SELECT request_id FROM decided))
)
SELECT request_id, version, chain_tail, outbox_id FROM decided`
}

/** A decision and who made it. */
export interface Decided {
  readonly change: Change
  readonly worker: string
}

/** In the order of the statement's parameters. Sorted by id, so that two statements lock rows in the same order. */
export const saveValues = (decisions: ReadonlyArray<Decided>): ReadonlyArray<unknown> => {
  const sorted = decisions.toSorted((a, b) => (a.change.requestId < b.change.requestId ? -1 : 1))
  const column = (read: (change: Change) => string | number | bigint | null): string => plainArray(sorted.map(({ change }) => read(change)))
  return [
    column((change) => byteaOfHex(change.requestId)),
    column((change) => change.partition),
    column((change) => change.version),
    column((change) => change.leaseEpoch),
    column((change) => change.from),
    column((change) => change.to),
    column((change) => JSON.stringify(change.event)),
    plainArray(sorted.map(({ change, worker }) => byteaOfHex(transitionDigest({ ...change, seq: change.version + 1, worker })))),
    column((change) => change.machineVersion),
    column((change) => JSON.stringify(change.snapshot)),
    column((change) => change.anchor?.blockNumber ?? null),
    column((change) => (change.anchor === undefined ? null : byteaOfHex(change.anchor.blockHash))),
    column((change) => change.anchor?.logIndex ?? null),
    column((change) => (change.isGivenOutAtOnce ? null : change.dispatch)),
    column((change) => (change.wakeAfterMs === null ? null : Math.round(change.wakeAfterMs))),
    sorted.map(({ worker }) => worker),
    [...new Set(sorted.map(({ change }) => partitionLease(change.partition)))],
    sorted.flatMap(({ change }) => change.answeredSignals)
  ]
}
