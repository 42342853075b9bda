/** What a rig carries: a pile to begin with, then rates until one is held; with what the processes worked for it. */
import { cpus } from "node:os"
import { cpuMsEach, cpuSeconds, type CpuSeconds } from "./cpu-time.ts"
import { highestHeld, holdRate, saturate, type LoadRun, type Rig } from "./open-loop.ts"
import { rounded } from "./statistics.ts"
import type { TransitionLog } from "./transition-log.ts"

export interface Sustained {
  /** The highest rate that was held. */
  readonly requestsPerSecond: number
  /** Detected to finalized at that rate. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Working off a pile. */
  readonly saturatedPerSecond: number
  /** CPU time for each request of the pile, by role: milliseconds, all processes and threads. */
  readonly cpuMs: CpuSeconds
  /** What the cores of this machine could carry if they did nothing else: cores * 1000 / sum of the above. */
  readonly cpuLimitPerSecond: number
  readonly runs: ReadonlyArray<LoadRun>
}

export interface Load {
  readonly warmUp: number
  readonly pile: number
  readonly seconds: number
  readonly tries: number
  /** Of the pile's rate, to begin with. */
  readonly firstShare: number
}

export const measureSustained = async (rig: Rig, log: TransitionLog, load: Load): Promise<Sustained> => {
  await saturate(rig, load.warmUp)
  const before = cpuSeconds()
  const saturated = await saturate(rig, load.pile)
  const cpuMs = cpuMsEach(before, cpuSeconds(), load.pile)
  const cpuTotalMs = Object.values(cpuMs).reduce((sum, each) => sum + each, 0)
  const windows = new Map<number, number>()
  const hold = (rate: number) => holdRate(rig, rate, load.seconds, async () => void windows.set(rate, await log.nowMs()))
  const { best, runs } = await highestHeld(Math.max(1, Math.round(saturated * load.firstShare)), hold, load.tries)
  const from = windows.get(best?.rate ?? -1)
  const durations = from === undefined ? undefined : await log.durations(from, from + load.seconds * 1_000)
  return {
    requestsPerSecond: best?.rate ?? 0,
    p50Ms: durations?.whole.p50 ?? 0,
    p99Ms: durations?.whole.p99 ?? 0,
    saturatedPerSecond: rounded(saturated),
    cpuMs,
    cpuLimitPerSecond: cpuTotalMs === 0 ? 0 : rounded((cpus().length * 1_000) / cpuTotalMs),
    runs
  }
}
