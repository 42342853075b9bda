/**
 * `Telemetry` on prom-client and pino: the same call moves the metrics and writes the line. A listener may look over its
 * shoulder (the terminal view, tests); it is given the fact as it is and its failures are its own.
 */
import { Context, Effect, Layer } from "effect"
import { evidenceOf } from "../../telemetry/evidence.ts"
import { MetricsPage } from "../../telemetry/metrics-page.port.ts"
import { type FactReached, type LogData, Telemetry } from "../../telemetry/telemetry.port.ts"
import { type LogNotOpened, type LogOptions, openLog } from "../pino/log.ts"
import { gatewayMetrics } from "./gateway-metrics.ts"

export interface TelemetryOptions {
  /** The least important level that is written. */
  readonly level: LogOptions["level"]
  /** Stands on every line: which of many processes is speaking. */
  readonly worker: string
  readonly to: LogOptions["to"]
  /** Told of every fact after it was counted and written. */
  readonly onFact?: (fact: FactReached) => void
  /** Memory, event loop, garbage collection and handles of this process as well; on unless told otherwise. */
  readonly processMetrics?: boolean
}

export const telemetryLayer = (options: TelemetryOptions): Layer.Layer<Telemetry | MetricsPage, LogNotOpened> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const metrics = gatewayMetrics({ ofProcess: options.processMetrics ?? true })
      const log = yield* openLog({
        level: options.level,
        to: options.to,
        always: { worker: options.worker },
        onDropped: (count) => metrics.count("telemetry_dropped", count)
      })
      /** To be seen must not cost the work itself. */
      const safely = (say: () => void): void => {
        try {
          say()
        } catch {
          metrics.count("telemetry_dropped")
        }
      }
      const telemetry = Telemetry.of({
        reached: (fact) => {
          safely(() => metrics.fact(fact))
          safely(() => log.write("info", fact.to, factLine(fact)))
          safely(() => {
            if (fact.to === "halted") log.write("error", "a request was halted", haltedLine(fact))
          })
          safely(() => options.onFact?.(fact))
        },
        step: (step, outcome, seconds) => safely(() => metrics.step(step, outcome, seconds)),
        count: (name, by, label) => safely(() => metrics.count(name, by, label)),
        gauge: (name, value, label) => safely(() => metrics.gauge(name, value, label)),
        shareReply: (nodeId, outcome, seconds) => safely(() => metrics.shareReply(nodeId, outcome, seconds)),
        info: (what, data) => safely(() => log.write("info", what, data)),
        warn: (what, data) => safely(() => log.write("warn", what, data)),
        error: (what, data) => safely(() => log.write("error", what, data))
      })
      const page = MetricsPage.of({
        contentType: metrics.registry.contentType,
        text: Effect.promise(() => metrics.registry.metrics())
      })
      return Context.make(Telemetry, telemetry).pipe(Context.add(MetricsPage, page))
    })
  )

const factLine = ({ requestId, kind, from, to, event, version, sinceDetectedMs }: FactReached): LogData => ({
  request: requestId,
  kind,
  from,
  to,
  version,
  sinceMs: sinceDetectedMs,
  ...evidenceOf(event)
})

/** The one end that is nobody's answer: it pages someone, who begins at the runbook of the state in which it happened. */
const haltedLine = ({ requestId, from, event }: FactReached): LogData => ({
  request: requestId,
  ...evidenceOf(event),
  runbook: `docs/runbooks/${from ?? "detected"}.md`
})
