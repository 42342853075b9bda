/** Timeline on PostgreSQL: its system identifier and its timeline, asked of the server itself within each statement. */
import { Effect, Layer } from "effect"
import { ANSWERED_LATE_MS, type History, Timeline } from "../../ledger/timeline.port.ts"
import { Database } from "./pool.ts"
import { BEGIN, FINISH, LOOK } from "./timeline-statements.ts"

interface LookRow {
  readonly here: History
  readonly reconciled: History | null
  readonly noticed_at_ms: number | null
  readonly reconciled_at_ms: number | null
}

/** Their results may be on the chain by now. */
const ON_THEIR_WAY = ["threshold-verified", "submitted"]

const rounded = (ms: number | null): number | null => (ms === null ? null : Math.round(ms))

export const timelineLayer: Layer.Layer<Timeline, never, Database> = Layer.effect(
  Timeline,
  Effect.gen(function*() {
    const database = yield* Database
    return Timeline.of({
      look: Effect.map(database.run<LookRow>("read the timeline", LOOK, []), ([row]) => ({
        here: row!.here,
        reconciled: row!.reconciled,
        noticedAtMs: rounded(row!.noticed_at_ms),
        reconciledAtMs: rounded(row!.reconciled_at_ms)
      })),
      begin: ({ name, epoch }) =>
        Effect.map(database.run<{ here: History }>("begin to reconcile", BEGIN, [name, epoch, ON_THEIR_WAY, ANSWERED_LATE_MS]), ([row]) => row?.here),
      finish: ({ name, epoch }, history) =>
        Effect.map(database.run("end the reconciliation", FINISH, [name, epoch, history]), (rows) => rows.length === 1)
    })
  })
)
