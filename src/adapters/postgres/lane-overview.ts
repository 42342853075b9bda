/** Every lane as operators see it: who drives it, its nonces from the lowest that is open, what it spent, how it is. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { laneLeaseName, type LaneView } from "../../ledger/lane-ledger.port.ts"
import type { Database, Prepared } from "./pool.ts"

const LANES: Prepared = {
  name: "lanes-all",
  text: `
SELECT l.chain_id, l.address, n.next_nonce, r.state, r.balance::text AS balance, r.chain_nonce,
       (extract(epoch FROM r.reported_at) * 1000)::float8 AS reported_at_ms,
       (SELECT coalesce(sum(wei), 0)::text FROM lane_spend m WHERE m.chain_id = l.chain_id AND m.address = l.address
          AND m.spent_at > now() - $1::float8 * interval '1 millisecond') AS spent
FROM (SELECT chain_id, address FROM lane UNION SELECT chain_id, address FROM lane_report) AS l
LEFT JOIN lane n USING (chain_id, address) LEFT JOIN lane_report r USING (chain_id, address)
ORDER BY l.chain_id, l.address`
}

const LADDERS: Prepared = {
  name: "lanes-ladders",
  text: `
SELECT s.chain_id, s.address, s.nonce, s.snapshot->>'value' AS state, count(*)::integer AS attempts,
       (extract(epoch FROM min(a.signed_at)) * 1000)::float8 AS since_ms
FROM lane_slot s JOIN tx_attempt a USING (chain_id, address, nonce) WHERE NOT s.is_final
GROUP BY s.chain_id, s.address, s.nonce ORDER BY s.nonce`
}

const OWNERS: Prepared = {
  name: "lanes-owners",
  text: "SELECT name, owner FROM lease WHERE name LIKE 'lane/%' AND owner IS NOT NULL AND until > now()"
}

interface LaneRow {
  readonly chain_id: bigint
  readonly address: Hex
  readonly next_nonce: bigint | null
  readonly state: string | null
  readonly balance: string | null
  readonly chain_nonce: bigint | null
  readonly reported_at_ms: number | null
  readonly spent: string
}

interface RungRow {
  readonly chain_id: bigint
  readonly address: Hex
  readonly nonce: bigint
  readonly state: string | null
  readonly attempts: number
  readonly since_ms: number
}

const numberOrNull = (value: bigint | null): number | null => (value === null ? null : Number(value))

export const lanesOverview = (database: Database["Service"], windowMs: number) =>
  Effect.gen(function*() {
    const lanes = yield* database.run<LaneRow>("read lanes", LANES, [windowMs])
    const rungs = yield* database.run<RungRow>("read open slots", LADDERS, [])
    const owners = yield* database.run<{ name: string; owner: string }>("read the owners of lanes", OWNERS, [])
    const ownerOf = new Map(owners.map(({ name, owner }) => [name, owner]))
    const ladders = Map.groupBy(rungs, (rung) => laneLeaseName({ chainId: rung.chain_id, address: rung.address }))
    return lanes.map((row): LaneView => {
      const name = laneLeaseName({ chainId: row.chain_id, address: row.address })
      const { state, reported_at_ms: atMs } = row
      return {
        chainId: row.chain_id,
        address: row.address,
        owner: ownerOf.get(name) ?? null,
        report: state === null || atMs === null ? null : {
          state,
          balance: row.balance === null ? null : BigInt(row.balance),
          chainNonce: numberOrNull(row.chain_nonce),
          atMs: Math.round(atMs)
        },
        nextNonce: numberOrNull(row.next_nonce),
        slots: (ladders.get(name) ?? []).map((rung) => ({
          nonce: Number(rung.nonce),
          state: rung.state ?? "unknown",
          attempts: rung.attempts,
          sinceMs: Math.round(rung.since_ms)
        })),
        spent: BigInt(row.spent)
      }
    })
  })
