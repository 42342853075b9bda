/** Timeline on PostgreSQL: its system identifier and its timeline, asked of the server itself within each statement. */
import { Effect, Layer } from "effect"
import { ANSWERED_LATE_MS, type History, Timeline } from "../../ledger/timeline.port.ts"
import { Database } from "./pool.ts"
import { BEGIN, FINISH, LOOK, ORDER, REWIND, VOUCH } from "./timeline-statements.ts"

interface LookRow {
  readonly here: History
  readonly reconciled: History | null
  readonly noticed_at_ms: number | null
  readonly reconciled_at_ms: number | null
  readonly vouched: boolean
  readonly system: string
  readonly timeline: number
  readonly rewinds: number
  readonly life: number
  readonly position: number
  readonly began_at: number
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
        reconciledAtMs: rounded(row!.reconciled_at_ms),
        isVouched: row!.vouched,
        standing: {
          ...{ system: row!.system, timeline: row!.timeline, rewinds: row!.rewinds },
          ...{ life: row!.life, position: row!.position, beganAt: row!.began_at }
        }
      })),
      begin: ({ name, epoch }) =>
        Effect.map(database.run<{ here: History }>("begin to reconcile", BEGIN, [name, epoch, ON_THEIR_WAY, ANSWERED_LATE_MS]), ([row]) => row?.here),
      finish: ({ name, epoch }, history) =>
        Effect.map(database.run("end the reconciliation", FINISH, [name, epoch, history]), (rows) => rows.length === 1),
      vouch: ({ life, rewinds }) => Effect.map(database.run("vouch for the database", VOUCH, [life, rewinds]), (rows) => rows.length === 1),
      rewind: ({ life, rewinds }, remembered) =>
        Effect.map(database.run("begin a new history", REWIND, [life, rewinds, remembered]), (rows) => rows.length === 1),
      order: ({ by, why }) => Effect.map(database.run("order a comparison", ORDER, [by, why]), (rows) => rows.length === 1)
    })
  })
)
