/** What the ledger holds about requests that have not ended when they should have: whoever looks for the cause begins with these rows. */
import pg from "pg"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import type { RequestId } from "../../src/domain/request.ts"

/** A report is read by a person: what is stuck for one reason mostly looks alike. */
export const LEFT_OVER_MAX = 100
const ANSWER_MS_MAX = 5_000

const from = (time: string): string => `round(extract(epoch FROM ${time} - now()), 1)`
const hex = (bytes: string): string => `'0x' || left(encode(${bytes}, 'hex'), 8)`

/** Everything that can wake, owe, queue or carry a request; neither results nor signed bytes. Times in seconds from now, negative: ago. */
const LEFT_OVER = `
SELECT '0x' || encode(r.request_id, 'hex') AS id, json_build_object(
  'request', json_build_object('state', r.state, 'version', r.version, 'partition', r.partition, 'detected', ${from("r.detected_at")}),
  'since', (SELECT ${from("max(t.at)")} FROM transition t WHERE t.request_number = r.number),
  'wake', (SELECT json_build_object('version', w.version, 'due', ${from("w.due")}, 'claims', w.claims, 'reason', w.reason)
           FROM wake w WHERE w.request_id = r.request_id),
  'outbox', (SELECT json_agg(json_build_object('version', o.version, 'reached', o.reached, 'written', ${from("o.written_at")}))
             FROM outbox o WHERE o.request_id = r.request_id),
  'standing', (SELECT ${hex("s.root")} FROM standing s WHERE s.request_id = r.request_id),
  'lane_batch', (SELECT json_agg(json_build_object(
      'root', ${hex("b.root")}, 'lane', ${hex("b.address")}, 'nonce', b.nonce, 'queued', ${from("b.queued_at")},
      'held_until', ${from("b.held_until")}, 'not_before', ${from("b.not_before")}, 'failures', b.failures, 'reason', b.reason))
    FROM lane_batch b WHERE r.request_id = ANY (b.request_ids)),
  'lane_slot', (SELECT json_agg(json_build_object(
      'root', ${hex("l.root")}, 'lane', ${hex("l.address")}, 'nonce', l.nonce, 'version', l.version, 'is_final', l.is_final,
      'state', l.snapshot -> 'value', 'attempts', (SELECT count(*) FROM tx_attempt a
        WHERE a.chain_id = l.chain_id AND a.address = l.address AND a.nonce = l.nonce)))
    FROM lane_slot l JOIN lane_batch b ON b.root = l.root WHERE r.request_id = ANY (b.request_ids))
) AS rows
FROM request r WHERE r.request_id = ANY ($1) ORDER BY r.detected_at`

/** A line for each request; says what kept it from the answer when there is none. */
export const leftOver = async (address: PostgresAddress, ids: ReadonlyArray<RequestId>): Promise<ReadonlyArray<string>> => {
  const client = new pg.Client({ ...address, application_name: "chaos", connectionTimeoutMillis: ANSWER_MS_MAX, query_timeout: ANSWER_MS_MAX })
  client.on("error", () => undefined)
  try {
    await client.connect()
    const asked = ids.slice(0, LEFT_OVER_MAX).map((id) => Buffer.from(id.slice(2), "hex"))
    const { rows } = await client.query<{ readonly id: string; readonly rows: unknown }>(LEFT_OVER, [asked])
    return rows.map((row) => `${row.id.slice(0, 8)} is left over: ${JSON.stringify(row.rows)}`)
  } catch (error) {
    return [`what is left over could not be read: ${error instanceof Error ? error.message : String(error)}`]
  } finally {
    await client.end().catch(() => undefined)
  }
}
