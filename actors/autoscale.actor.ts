/** Works out, for each step, how many workers it should have, from how long work waits to be given out anywhere in the cluster. It only says so: to
 * start and stop workers is somebody else's trade. Any number of these may run; each has its own opinion, and they differ little. */
import { Duration, Effect } from "effect"
import { firstScale, nextScale, type Scale } from "../src/domain/autoscale.ts"
import { JOURNEY, stepFrom, type Step } from "../src/domain/journey.ts"
import { PARTITIONS } from "../src/domain/limits.ts"
import { Cluster } from "../src/ledger/cluster.port.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import { monotonicMs } from "../src/resilience/monotonic.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { supervise } from "./runtime/supervise.ts"

export interface Advice {
  readonly desiredWorkers: number
  readonly workers: number
  readonly backlogSeconds: number
  readonly owed: number
}

const READ_MS = 5_000
const EVERYWHERE = Array.from({ length: PARTITIONS }, (_, partition) => partition)
/** The last step before the chain is the lanes': more workers would not send more. */
const SCALED = JOURNEY.filter((reached) => stepFrom(reached) !== "submitted")

/** Answers how to read the newest advice, by step. */
export const autoscaleActor = Effect.gen(function* () {
  const telemetry = yield* Telemetry
  const scales = new Map<Step, Scale>()
  const advice: Partial<Record<Step, Advice>> = {}
  const read = Effect.gen(function* () {
    const backlog = yield* RequestLedger.use((ledger) => ledger.backlog(EVERYWHERE))
    const nodes = (yield* Cluster.use((cluster) => cluster.nodes)).filter(({ state }) => state === "working")
    const now = (yield* monotonicMs) / 1_000
    for (const reached of SCALED) {
      const step = stepFrom(reached)
      const owed = backlog.find((one) => one.reached === reached)
      const workers = nodes.filter(({ roles }) => roles.some((role) => role === "worker" || role === `worker:${step}`)).length
      const reading = { now, workers, backlogSeconds: (owed?.oldestMs ?? 0) / 1_000 }
      const before = scales.get(step)
      const scale = before === undefined ? firstScale(reading) : nextScale(before, reading)
      scales.set(step, scale)
      advice[step] = { desiredWorkers: scale.desired, workers, backlogSeconds: reading.backlogSeconds, owed: owed?.count ?? 0 }
      telemetry.gauge("desired_workers", scale.desired, step)
      telemetry.gauge("backlog_seconds", reading.backlogSeconds, step)
    }
  })
  yield* supervise("autoscale", Effect.andThen(read, Effect.sleep(Duration.millis(READ_MS))))
  return Effect.sync((): Readonly<Partial<Record<Step, Advice>>> => ({ ...advice }))
})
