/** Why a living request was postponed last, for an operator who asks why nothing happens. Writes nothing. */
import { Effect } from "effect"
import type { RequestId } from "../../domain/request.ts"
import { Database, type Prepared } from "./pool.ts"
import { byteaOfHex } from "./wire-types.ts"

const WAITING: Prepared = { name: "waiting-reason", text: "SELECT reason FROM wake WHERE request_id = $1" }

/** Undefined when it was not postponed in its present state, or has ended. */
export const waitingReason = (id: RequestId) =>
  Database.use((database) => database.run<{ readonly reason: string | null }>("read why a request waits", WAITING, [byteaOfHex(id)])).pipe(
    Effect.map((rows) => rows[0]?.reason ?? undefined)
  )
