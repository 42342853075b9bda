/** Reads what a run left in the transition log: how many requests have ended, and how long each state lasted. */
import pg from "pg"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { rounded, type Quantiles } from "./statistics.ts"

export interface Durations {
  /** Detected to finalized. */
  readonly whole: Quantiles
  /** Detected to submitted: the result stands on chain. */
  readonly toSubmitted: Quantiles
  /** How long it took to reach each state from the one before. */
  readonly states: Readonly<Record<string, Quantiles>>
}

export interface TransitionLog {
  readonly finished: () => Promise<number>
  readonly counts: () => Promise<Readonly<Record<string, number>>>
  readonly nowMs: () => Promise<number>
  /** Of requests detected between two times of the database's clock and finalized since. */
  readonly durations: (fromMs: number, toMs: number) => Promise<Durations>
  readonly query: <Row extends pg.QueryResultRow>(text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly close: () => Promise<void>
}

const SECONDS = 1_000

const BETWEEN = `
WITH chosen AS (
  SELECT d.request_number, d.at AS detected_at, f.at AS finalized_at
  FROM transition d JOIN transition f ON f.request_number = d.request_number AND f.to_state = 'finalized'
  WHERE d.seq = 1 AND d.at >= to_timestamp($1::float8 / 1000) AND d.at < to_timestamp($2::float8 / 1000)
),
step AS (
  SELECT t.to_state, 1000 * extract(epoch FROM t.at - lag(t.at) OVER (PARTITION BY t.request_number ORDER BY t.seq)) AS ms,
         1000 * extract(epoch FROM t.at - c.detected_at) AS since_ms
  FROM transition t JOIN chosen c USING (request_number)
)
SELECT to_state AS state,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::float8 AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::float8 AS p99,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY since_ms)::float8 AS since50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY since_ms)::float8 AS since99
FROM step WHERE ms IS NOT NULL GROUP BY to_state ORDER BY min(since_ms)`

interface StateRow {
  readonly state: string
  readonly p50: number
  readonly p99: number
  readonly since50: number
  readonly since99: number
}

export const openTransitionLog = async (address: PostgresAddress): Promise<TransitionLog> => {
  const client = new pg.Client({ ...address, application_name: "bench" })
  await client.connect()
  const query = async <Row extends pg.QueryResultRow>(text: string, values: ReadonlyArray<unknown> = []) =>
    (await client.query<Row>(text, [...values])).rows
  return {
    query,
    finished: async () => {
      const [row] = await query<{ n: string }>("SELECT count(*) AS n FROM transition WHERE to_state = 'finalized'")
      return Number(row?.n ?? 0)
    },
    counts: async () => {
      const rows = await query<{ state: string; n: string }>("SELECT state, count(*) AS n FROM request GROUP BY state")
      return Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)]))
    },
    nowMs: async () => {
      const [row] = await query<{ now: number }>("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
      return (row?.now ?? 0) * SECONDS
    },
    durations: async (fromMs, toMs) => {
      const rows = await query<StateRow>(BETWEEN, [fromMs, toMs])
      const since = (state: string): Quantiles => {
        const row = rows.find((candidate) => candidate.state === state)
        return { p50: rounded(row?.since50 ?? 0), p99: rounded(row?.since99 ?? 0) }
      }
      return {
        whole: since("finalized"),
        toSubmitted: since("submitted"),
        states: Object.fromEntries(rows.map(({ state, p50, p99 }) => [state, { p50: rounded(p50), p99: rounded(p99) }]))
      }
    },
    close: () => client.end()
  }
}
