/** What a doctor wants to know of a database: that it answers, which server it is, what time it thinks it is, and whether it has our schema.
 * Writes nothing. */
import { Effect } from "effect"
import { pendingMigrations } from "./migrate.ts"
import { Database, type Prepared } from "./pool.ts"

export interface DatabaseReport {
  /** E.g. 18.4. */
  readonly version: string
  /** Unix milliseconds by the server's clock. */
  readonly clockMs: number
  /** How long that question took: the clock may be off by as much. */
  readonly answerMs: number
  readonly pendingMigrations: ReadonlyArray<string>
}

const SERVER: Prepared = {
  name: "describe-server",
  text: `
SELECT current_setting('server_version') AS version, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock_ms`
}

/** `nowMs`: a clock of ours, to tell how long the answer took. */
export const databaseReport = (nowMs: () => number) =>
  Effect.gen(function* () {
    const database = yield* Database
    // Connecting is not part of the answer's time.
    yield* database.run("ask the database for its version", SERVER, [])
    const startMs = nowMs()
    const [row] = yield* database.run<{ readonly version: string; readonly clock_ms: number }>("ask the database for its version", SERVER, [])
    const answerMs = nowMs() - startMs
    const pending = yield* database.ask("read which migrations were run", pendingMigrations)
    return {
      version: (row?.version ?? "").split(" ")[0] ?? "",
      clockMs: row?.clock_ms ?? 0,
      answerMs,
      pendingMigrations: pending
    } satisfies DatabaseReport
  })
