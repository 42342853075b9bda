/**
 * Waits for a server that is not there yet: one that reads its log again after a crash, changes places with its standby, or starts beside
 * us. A node that ended instead would be started again by whatever supervises it, ever less often, and would be away for longer than the
 * database was. What waiting cannot change (a wrong password, no such database) fails at once.
 */
import { Duration, Effect } from "effect"
import { type Kysely, sql } from "kysely"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { isOutage } from "./pool.ts"

/** Recovery takes seconds and a failover up to half a minute; a longer absence is for whoever operates it to see. */
const WAIT_MS_MAX = 60_000
const ASK_AGAIN_MS = 500
/** Said again and again, so that a log that is looked at late still tells. */
const SAY_AGAIN_MS = 10_000

export const awaitServer = Effect.fnUntraced(function*<Tables>(database: Kysely<Tables>) {
  const startedMs = yield* monotonicMs
  let saidMs = Number.NEGATIVE_INFINITY
  const ask = Effect.tryPromise({
    try: () => sql`SELECT 1`.execute(database),
    catch: (cause) => new LedgerUnavailable({ doing: "reach the database", cause })
  })
  const waits = Effect.fnUntraced(function*(error: LedgerUnavailable) {
    const nowMs = yield* monotonicMs
    if (!isOutage(error) || nowMs - startedMs >= WAIT_MS_MAX) return false
    if (nowMs - saidMs >= SAY_AGAIN_MS) {
      saidMs = nowMs
      yield* Effect.logWarning("the database cannot be reached yet; waiting for it", { cause: error.message, secondsMax: WAIT_MS_MAX / 1_000 })
    }
    yield* Effect.sleep(Duration.millis(ASK_AGAIN_MS))
    return true
  })
  yield* Effect.asVoid(Effect.retry(ask, { while: waits }))
})
