/** What a doctor wants to know of a database: that it answers, which server it is, what time it thinks it is, and whether it has our schema.
 * Writes nothing. */
import { Effect } from "effect"
import { pendingMigrations } from "./migrate.ts"
import { Database, type Prepared } from "./pool.ts"

export interface DatabaseReport {
  /** E.g. 18.4. */
  readonly version: string
  /** By how much the server's clock is ahead of ours; 0 when the difference is within the time that its answer took. */
  readonly skewMs: number
  readonly pendingMigrations: ReadonlyArray<string>
}

const SERVER: Prepared = {
  name: "describe-server",
  text: `
SELECT current_setting('server_version') AS version, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock_ms`
}

/** `nowMs`: our clock, Unix milliseconds. */
export const databaseReport = (nowMs: () => number) =>
  Effect.gen(function* () {
    const database = yield* Database
    // Connecting is not part of the answer's time.
    yield* database.run("ask the database for its version", SERVER, [])
    const startMs = nowMs()
    const [row] = yield* database.run<{ readonly version: string; readonly clock_ms: number }>("ask the database for its version", SERVER, [])
    const endMs = nowMs()
    const pending = yield* database.ask("read which migrations were run", pendingMigrations)
    const clockMs = row?.clock_ms ?? 0
    return {
      version: (row?.version ?? "").split(" ")[0] ?? "",
      skewMs: clockMs < startMs ? clockMs - startMs : clockMs > endMs ? clockMs - endMs : 0,
      pendingMigrations: pending
    } satisfies DatabaseReport
  })
