/** Telemetry that only remembers what it was told. */
import { Layer } from "effect"
import { type FactReached, type LogData, Telemetry } from "../../../src/telemetry/telemetry.port.ts"

export interface Said {
  readonly what: string
  readonly data: LogData
}

export interface HeardTelemetry {
  readonly layer: Layer.Layer<Telemetry>
  readonly facts: ReadonlyArray<FactReached>
  readonly warnings: ReadonlyArray<Said>
  /** Each of these pages somebody. */
  readonly errors: ReadonlyArray<Said>
  readonly infos: ReadonlyArray<Said>
  /** Every value that a gauge was given, in order. */
  readonly gauged: (name: string) => ReadonlyArray<number>
  readonly counted: (name: string) => number
  readonly steps: ReadonlyArray<{ readonly step: string; readonly outcome: string }>
}

export const heardTelemetry = (): HeardTelemetry => {
  const facts: Array<FactReached> = []
  const warnings: Array<Said> = []
  const errors: Array<Said> = []
  const steps: Array<{ readonly step: string; readonly outcome: string }> = []
  const infos: Array<Said> = []
  const gauges: Array<{ readonly name: string; readonly value: number }> = []
  const counts = new Map<string, number>()
  const layer = Layer.succeed(Telemetry, {
    reached: (fact) => void facts.push(fact),
    step: (step, outcome) => void steps.push({ step, outcome }),
    count: (name, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    gauge: (name, value) => void gauges.push({ name, value }),
    shareReply: () => undefined,
    warn: (what, data) => void warnings.push({ what, data }),
    error: (what, data) => void errors.push({ what, data }),
    info: (what, data) => void infos.push({ what, data })
  })
  const gauged = (name: string) => gauges.filter((one) => one.name === name).map(({ value }) => value)
  return { layer, facts, warnings, errors, infos, steps, gauged, counted: (name) => counts.get(name) ?? 0 }
}
