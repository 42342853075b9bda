/**
 * What operators ask about all requests. Each question uses an index, so that ten million finished requests do not make it
 * slower.
 */
import { Effect } from "effect"
import { type Kysely, type RawBuilder, sql } from "kysely"
import type { Hex } from "../../domain/hex.ts"
import { isEnd, type RequestState } from "../../domain/journey.ts"
import type { TransitionView } from "../../domain/outcome.ts"
import type { RequestSummary } from "../../ledger/request-ledger.port.ts"
import type { Database } from "./pool.ts"
import type { Tables } from "./tables.ts"

interface SummaryRow {
  readonly request_id: Hex
  readonly kind: "public" | "user"
  readonly state: RequestState
  readonly version: number
  readonly detected_at: Date
  readonly ended_at: Date | null
  readonly handles: number
  readonly last_event: TransitionView["event"]
}

const SUMMARY = sql`r.request_id, r.kind, r.state, r.version, r.detected_at, r.ended_at, cardinality(r.handles) AS handles,
  (SELECT t.event FROM transition t WHERE t.request_number = r.number AND t.seq = r.version) AS last_event`

/** State names are literals of ours, so that the planner can see that the partial index on ends applies. */
export const summaries = (state: RequestState | undefined, limit: number): RawBuilder<SummaryRow> => {
  if (state === undefined) {
    return sql<SummaryRow>`SELECT ${SUMMARY} FROM request r ORDER BY r.detected_at DESC, r.request_id LIMIT ${limit}`
  }
  if (isEnd(state)) {
    return sql<SummaryRow>`
      SELECT ${SUMMARY} FROM transition e JOIN request r ON r.request_id = e.request_id AND r.version = e.seq
      WHERE e.to_state = ${sql.lit(state)} ORDER BY e.at DESC LIMIT ${limit}`
  }
  return sql<SummaryRow>`
    SELECT ${SUMMARY} FROM wake w JOIN request r USING (request_id)
    WHERE r.state = ${sql.lit(state)} ORDER BY r.detected_at DESC, r.request_id LIMIT ${limit}`
}

/** Newest first: by the time of detection, and for an end by the time when it came. */
export const listRequests = (database: Database["Service"], state: RequestState | undefined, limit: number) =>
  database
    .ask("list requests", async (kysely) => (await summaries(state, limit).execute(kysely)).rows)
    .pipe(
      Effect.map((rows) =>
        rows.map(
          (row): RequestSummary => ({
            id: row.request_id,
            kind: row.kind,
            state: row.state,
            version: row.version,
            detectedAtMs: row.detected_at.getTime(),
            endedAtMs: row.ended_at?.getTime() ?? null,
            handles: row.handles,
            lastEvent: row.last_event
          })
        )
      )
    )

type Counts = Readonly<Partial<Record<RequestState, number>>>

const count = async (kysely: Kysely<Tables>): Promise<Counts> => {
  const living = await sql<{ state: RequestState; n: bigint }>`
    SELECT r.state, count(*) AS n FROM wake w JOIN request r USING (request_id) GROUP BY r.state`.execute(kysely)
  const ended = await kysely.transaction().execute(async (transaction) => {
    // One counter at a time folds: a second would not see the sum that the first has put in place of the rows.
    await sql`LOCK TABLE end_tally IN SHARE UPDATE EXCLUSIVE MODE`.execute(transaction)
    return sql<{ state: RequestState; n: bigint }>`
      WITH taken AS (DELETE FROM end_tally RETURNING state, n)
      INSERT INTO end_tally (state, n) SELECT state, sum(n) FROM taken GROUP BY state RETURNING state, n`.execute(transaction)
  })
  return Object.fromEntries([...living.rows, ...ended.rows].filter((row) => row.n > 0n).map((row) => [row.state, Number(row.n)]))
}

/** Living requests are counted, ended ones are added up from what the trigger on `request` has noted. */
export const countByState = (database: Database["Service"]) => database.ask("count requests", count)
