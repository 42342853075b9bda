/**
 * How many requests the engine alone carries through its six transitions: real PostgreSQL with fsync, a real bus, one gateway
 * process, and
 * an outside world that answers at once.
 *
 *     node bench/engine.ts [--seconds 20] [--bus nats|inProcess] [--stubbed steps|ports]
 */
import { parseArgs } from "node:util"
import { startEngineRig, type BusName } from "./support/engine-rig.ts"
import { highestHeld, holdRate, saturate, type LoadRun } from "./support/open-loop.ts"
import { rounded, type Quantiles } from "./support/statistics.ts"
import type { Stubbed } from "./support/stub-gateway.ts"

export interface EngineFigures {
  /** The highest rate that was held. */
  readonly requestsPerSecond: number
  /** Detected to finalized at that rate. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Working off a pile. */
  readonly saturatedPerSecond: number
  readonly states: Readonly<Record<string, Quantiles>>
  readonly runs: ReadonlyArray<LoadRun>
}

export interface EngineReport extends EngineFigures {
  readonly inProcessBus: EngineFigures
  /**
   * The steps are ours as well: shares, results and lanes go through the ledger, and only the ports behind them answer at
   * once.
   */
  readonly stubPorts: EngineFigures
  readonly stubPortsInProcessBus: EngineFigures
}

const WARM_UP = 1_000
const PILE = { steps: 6_000, ports: 3_000 } as const
const TRIES = 3

export const measureEngineOn = async (stubbed: Stubbed, bus: BusName, seconds: number): Promise<EngineFigures> => {
  const rig = await startEngineRig(stubbed, bus)
  try {
    await saturate(rig, WARM_UP)
    const saturated = await saturate(rig, PILE[stubbed])
    const windows = new Map<number, number>()
    const hold = (rate: number) => holdRate(rig, rate, seconds, async () => void windows.set(rate, await rig.log.nowMs()))
    const { best, runs } = await highestHeld(Math.max(50, Math.round(saturated * 0.85)), hold, TRIES)
    const from = windows.get(best?.rate ?? -1)
    const durations = from === undefined ? undefined : await rig.log.durations(from, from + seconds * 1_000)
    return {
      requestsPerSecond: best?.rate ?? 0,
      p50Ms: durations?.whole.p50 ?? 0,
      p99Ms: durations?.whole.p99 ?? 0,
      saturatedPerSecond: rounded(saturated),
      states: durations?.states ?? {},
      runs
    }
  } finally {
    await rig.stop()
  }
}

export const measureEngine = async (seconds: number): Promise<EngineReport> => ({
  ...(await measureEngineOn("steps", "nats", seconds)),
  inProcessBus: await measureEngineOn("steps", "inProcess", seconds),
  stubPorts: await measureEngineOn("ports", "nats", seconds),
  stubPortsInProcessBus: await measureEngineOn("ports", "inProcess", seconds)
})

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "20" },
      bus: { type: "string", default: "nats" },
      stubbed: { type: "string", default: "steps" }
    }
  })
  const figures = await measureEngineOn(values.stubbed as Stubbed, values.bus as BusName, Number(values.seconds))
  console.log(JSON.stringify(figures, undefined, 2))
}
