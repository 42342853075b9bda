/** Who holds which lease, as the database says it: whom to kill, and whether a cluster shares its work already. A connection for each
 * question, because the server may be what was killed last. */
import { setTimeout as pause } from "node:timers/promises"
import pg from "pg"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { nodeNameOf } from "../../src/domain/cluster.ts"
import { PARTITIONS } from "../../src/domain/limits.ts"

const ANSWER_MS_MAX = 5_000
const SHARED_MS_MAX = 60_000
const LOOK_EVERY_MS = 250

export interface LeaseHolder {
  /** E.g. partition/3, listener/31337. */
  readonly lease: string
  /** Name of the node, without its boot nonce. */
  readonly node: string
}

export const ask = async <Row extends pg.QueryResultRow>(
  address: PostgresAddress,
  text: string,
  values: ReadonlyArray<unknown> = []
): Promise<ReadonlyArray<Row>> => {
  const limits = { connectionTimeoutMillis: ANSWER_MS_MAX, query_timeout: ANSWER_MS_MAX }
  const client = new pg.Client({ ...address, application_name: "bench", ...limits })
  client.on("error", () => undefined)
  try {
    await client.connect()
    return (await client.query<Row>(text, [...values])).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

export const leaseHolders = async (address: PostgresAddress): Promise<ReadonlyArray<LeaseHolder>> => {
  const rows = await ask<{ lease: string; owner: string }>(
    address,
    "SELECT name AS lease, owner FROM lease WHERE owner IS NOT NULL AND until > now() ORDER BY name"
  )
  return rows.map(({ lease, owner }) => ({ lease, node: nodeNameOf(owner) }))
}

/** Whoever holds most leases of that kind (`partition`, `listener`, `lane`). */
export const mostOf = (holders: ReadonlyArray<LeaseHolder>, kind: string): string | undefined => {
  const counts = Map.groupBy(holders.filter(({ lease }) => lease.startsWith(`${kind}/`)), ({ node }) => node)
  return [...counts].toSorted(([, a], [, b]) => b.length - a.length)[0]?.[0]
}

/** Every partition has an owner, the listener is elected, and each of so many coordinators has its fair share. */
export const isShared = (holders: ReadonlyArray<LeaseHolder>, coordinators: number): boolean => {
  const partitions = holders.filter(({ lease }) => lease.startsWith("partition/"))
  const sizes = [...Map.groupBy(partitions, ({ node }) => node).values()].map((some) => some.length)
  return (
    partitions.length === PARTITIONS &&
    holders.some(({ lease }) => lease.startsWith("listener/")) &&
    sizes.length === Math.min(coordinators, PARTITIONS) &&
    Math.min(...sizes) >= Math.floor(PARTITIONS / coordinators)
  )
}

export const untilShared = async (address: PostgresAddress, coordinators: number): Promise<void> => {
  const until = performance.now() + SHARED_MS_MAX
  for (;;) {
    const holders = await leaseHolders(address).catch(() => [])
    if (isShared(holders, coordinators)) return
    if (performance.now() > until) {
      throw new TypeError(`${coordinators} coordinators do not share the partitions after ${SHARED_MS_MAX / 1_000} s: ${JSON.stringify(holders)}`)
    }
    await pause(LOOK_EVERY_MS)
  }
}
