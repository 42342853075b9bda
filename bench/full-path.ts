/**
 * How many public decryptions one machine carries from a contract's request to a final block, everything real: PostgreSQL
 * with fsync, a bus,
 * an EVM chain, three KMS processes (2 of 3) over mutual TLS, ciphertexts in a store, and the client on the same cores.
 *
 *     node bench/full-path.ts [--seconds 20] [--bus nats|inProcess]
 *
 * Handles are encrypted and registered beforehand. Requests are raised open-loop, many in one transaction.
 */
import { cpus } from "node:os"
import { parseArgs } from "node:util"
import { cpuMsEach, cpuSeconds, type CpuSeconds } from "./support/cpu-time.ts"
import type { BusName } from "./support/engine-rig.ts"
import { startJourneyRig } from "./support/journey-rig.ts"
import { highestHeld, holdRate, saturate, type LoadRun } from "./support/open-loop.ts"
import { rounded, type Quantiles } from "./support/statistics.ts"

export interface FullPathFigures {
  /** The highest rate that was held. */
  readonly requestsPerSecond: number
  /** Detected to finalized at that rate. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Detected to submitted: the result stands on chain. */
  readonly toSubmitted: Quantiles
  readonly states: Readonly<Record<string, Quantiles>>
  /** Working off a pile. */
  readonly saturatedPerSecond: number
  /** CPU time for each request of the pile, by role: milliseconds, all processes and threads. */
  readonly cpuMs: CpuSeconds
  /** What the cores of this machine could carry if they did nothing else: cores * 1000 / sum of the above. */
  readonly cpuLimitPerSecond: number
  readonly runs: ReadonlyArray<LoadRun>
}

export interface FullPathReport extends FullPathFigures {
  readonly inProcessBus: FullPathFigures
}

const WARM_UP = 300
const PILE = 500
const TRIES = 3
/** Each is asked for in turn, and when all were, again: nodes and combiner do the same work for a handle the second time. */
const HANDLES = 1_000

export const measureFullPathOn = async (bus: BusName, seconds: number): Promise<FullPathFigures> => {
  const rig = await startJourneyRig({ bus })
  try {
    await rig.client.prepare(HANDLES)
    await saturate(rig, WARM_UP)
    const before = cpuSeconds()
    const saturated = await saturate(rig, PILE)
    const cpuMs = cpuMsEach(before, cpuSeconds(), PILE)
    const cpuTotalMs = Object.values(cpuMs).reduce((sum, each) => sum + each, 0)
    const windows = new Map<number, number>()
    const hold = (rate: number) => holdRate(rig, rate, seconds, async () => void windows.set(rate, await rig.log.nowMs()))
    const { best, runs } = await highestHeld(Math.max(5, Math.round(saturated * 0.95)), hold, TRIES)
    const from = windows.get(best?.rate ?? -1)
    const durations = from === undefined ? undefined : await rig.log.durations(from, from + seconds * 1_000)
    return {
      requestsPerSecond: best?.rate ?? 0,
      p50Ms: durations?.whole.p50 ?? 0,
      p99Ms: durations?.whole.p99 ?? 0,
      toSubmitted: durations?.toSubmitted ?? { p50: 0, p99: 0 },
      states: durations?.states ?? {},
      saturatedPerSecond: rounded(saturated),
      cpuMs,
      cpuLimitPerSecond: rounded((cpus().length * 1_000) / cpuTotalMs),
      runs
    }
  } finally {
    await rig.stop()
  }
}

export const measureFullPath = async (seconds: number): Promise<FullPathReport> => ({
  ...(await measureFullPathOn("nats", seconds)),
  inProcessBus: await measureFullPathOn("inProcess", seconds)
})

if (import.meta.main) {
  const { values } = parseArgs({
    options: { seconds: { type: "string", default: "20" }, bus: { type: "string", default: "nats" } }
  })
  console.log(JSON.stringify(await measureFullPathOn(values.bus as BusName, Number(values.seconds)), undefined, 2))
}
