/** Works out, for each step, how many workers it should have, from how long work waits to be given out anywhere in the cluster and how much the
 * workers say they do. It only says so: to start and stop workers is somebody else's trade. Any number of these may run; each has its own opinion,
 * and they differ little. */
import { Duration, Effect } from "effect"
import { firstScale, nextScale, type Scale, type ScaleReading } from "../src/domain/autoscale.ts"
import { doesStep } from "../src/domain/cluster.ts"
import { JOURNEY, stepFrom, type Step } from "../src/domain/journey.ts"
import { NODE_DEAD_AFTER_MS, PARTITIONS } from "../src/domain/limits.ts"
import { settledPerSecond } from "../src/domain/work-rate.ts"
import { Cluster, type ClusterNode } from "../src/ledger/cluster.port.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import { monotonicMs } from "../src/resilience/monotonic.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import type { PausesView } from "./runtime/pauses.ts"
import { supervise } from "./runtime/supervise.ts"

export interface Advice {
  readonly desiredWorkers: number
  readonly workers: number
  readonly backlogSeconds: number
  readonly owed: number
  /** What all workers together answered in a second since the last reading, and what one of them was seen to be able to; null before it was seen. */
  readonly settledPerSecond: number | null
  readonly perWorkerPerSecond: number | null
}

const READ_MS = 5_000
const EVERYWHERE = Array.from({ length: PARTITIONS }, (_, partition) => partition)
/** The last step before the chain is the lanes': more workers would not send more. */
const SCALED = JOURNEY.filter((reached) => stepFrom(reached) !== "submitted")

/** Answers how to read the newest advice, by step. */
export const autoscaleActor = Effect.fnUntraced(function* ({ isPaused }: Pick<PausesView, "isPaused">) {
  const telemetry = yield* Telemetry
  const scales = new Map<Step, Scale>()
  const advice: Partial<Record<Step, Advice>> = {}
  let before: ReadonlyArray<ClusterNode> = []
  const read = Effect.gen(function* () {
    const backlog = yield* RequestLedger.use((ledger) => ledger.backlog(EVERYWHERE))
    const nodes = (yield* Cluster.use((cluster) => cluster.nodes)).filter(
      ({ state, silentMs }) => state === "working" && silentMs <= NODE_DEAD_AFTER_MS
    )
    const now = (yield* monotonicMs) / 1_000
    for (const reached of SCALED) {
      const step = stepFrom(reached)
      const { oldestMs = 0, count: owed = 0 } = backlog.find((one) => one.reached === reached) ?? {}
      const workers = nodes.filter(({ roles }) => doesStep(new Set(roles), step))
      const settled = settledPerSecond(before, workers, step)
      const reading: ScaleReading = {
        ...{ now, owed, workers: workers.length, backlogSeconds: oldestMs / 1_000 },
        ...{ settledPerSecond: settled, isPaused: isPaused(`step:${step}`) }
      }
      const last = scales.get(step)
      const scale = last === undefined ? firstScale(reading) : nextScale(last, reading)
      scales.set(step, scale)
      advice[step] = {
        ...{ desiredWorkers: scale.desired, workers: workers.length, backlogSeconds: reading.backlogSeconds, owed },
        ...{ settledPerSecond: rounded(settled), perWorkerPerSecond: rounded(scale.speed) }
      }
      telemetry.gauge("desired_workers", scale.desired, step)
      telemetry.gauge("backlog_seconds", reading.backlogSeconds, step)
      telemetry.gauge("worker_rate", scale.speed ?? 0, step)
    }
    before = nodes
  })
  yield* supervise("autoscale", Effect.andThen(read, Effect.sleep(Duration.millis(READ_MS))))
  return Effect.sync((): Readonly<Partial<Record<Step, Advice>>> => ({ ...advice }))
})

const rounded = (perSecond: number | undefined): number | null => (perSecond === undefined ? null : Math.round(perSecond * 100) / 100)
