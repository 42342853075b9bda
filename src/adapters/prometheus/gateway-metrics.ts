/**
 * The instruments of prom-client, one for each declared metric, and what moves them. No label is written that its declaration
 * does not allow, so that neither a mistake nor a stranger can fill the server that reads them. Nothing here throws.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client"
import { isEnd } from "../../domain/journey.ts"
import type { RequestId } from "../../domain/request.ts"
import * as declared from "../../telemetry/metrics.ts"
import type { LabelRule, Metric } from "../../telemetry/metrics.ts"
import type { CounterName, FactReached, GaugeName, Telemetry } from "../../telemetry/telemetry.port.ts"

/**
 * Requests whose last fact is remembered for the dwell time: the older half may go, so twice what a process has under way
 * (10,000).
 */
const UNDER_WAY_MAX = 20_000
const OTHER = "other"

export interface GatewayMetrics extends Pick<Telemetry["Service"], "step" | "count" | "gauge" | "shareReply"> {
  readonly registry: Registry
  readonly fact: (fact: FactReached) => void
}

export const gatewayMetrics = (options: { readonly ofProcess: boolean }): GatewayMetrics => {
  const registry = new Registry()
  const config = ({ name, help, labels }: Metric) => ({ name, help, labelNames: Object.keys(labels), registers: [registry] })
  const counter = (metric: Metric) => ({ metric, instrument: new Counter(config(metric)), label: labeller(metric) })
  const gauge = (metric: Metric) => ({ metric, instrument: new Gauge(config(metric)), label: labeller(metric) })
  const histogram = (metric: Metric) => ({
    instrument: new Histogram({ ...config(metric), buckets: [...(metric.buckets ?? [])] }),
    label: labeller(metric)
  })

  const requests = counter(declared.REQUESTS)
  const requestSeconds = histogram(declared.REQUEST_SECONDS)
  const aclDenials = counter(declared.ACL_DENIALS)
  const stepSeconds = histogram(declared.STEP_SECONDS)
  const stepAttempts = counter(declared.STEP_ATTEMPTS)
  const dwellSeconds = histogram(declared.STATE_DWELL_SECONDS)
  const shareSeconds = histogram(declared.SHARE_REPLY_SECONDS)
  const counters = new Map(Object.entries(declared.COUNTER_METRICS).map(([name, metric]) => [name, counter(metric)]))
  const gauges = new Map(Object.entries(declared.GAUGE_METRICS).map(([name, metric]) => [name, gauge(metric)]))
  if (options.ofProcess) collectDefaultMetrics({ register: registry })

  const count = (name: CounterName, by = 1, label?: string): void => {
    const found = counters.get(name)
    if (found === undefined || !isAmount(by)) return drop()
    found.instrument.inc(found.label(onlyLabel(found.metric, label)), by)
  }
  const drop = (): void => count("telemetry_dropped")

  /** Seconds go to a histogram only when they are a duration. */
  const observe = (of: ReturnType<typeof histogram>, labels: Record<string, string>, seconds: number): void => {
    if (isAmount(seconds)) of.instrument.observe(of.label(labels), seconds)
    else drop()
  }

  const lastFacts = lastFactTimes()
  const dwell = ({ requestId, from, to, version, sinceDetectedMs }: FactReached): void => {
    const beforeMs = lastFacts.take(requestId) ?? (version === 2 ? 0 : undefined)
    if (beforeMs !== undefined && from !== null) {
      observe(dwellSeconds, { state: from }, Math.max(0, sinceDetectedMs - beforeMs) / 1_000)
    }
    if (!isEnd(to)) lastFacts.keep(requestId, sinceDetectedMs)
  }

  return {
    registry,
    fact: (fact) => {
      const { kind, to, event, sinceDetectedMs } = fact
      dwell(fact)
      if (event.type !== "moved") requests.instrument.inc(requests.label({ kind, state: to }))
      if (isEnd(to)) observe(requestSeconds, { kind, outcome: to }, sinceDetectedMs / 1_000)
      if (event.type === "refused" && declared.ACCESS_REASONS.includes(event.reason)) {
        aclDenials.instrument.inc({ reason: event.reason })
      }
    },
    step: (step, outcome, seconds) => {
      observe(stepSeconds, { step, outcome }, seconds)
      stepAttempts.instrument.inc(stepAttempts.label({ step, outcome }))
    },
    count,
    gauge: (name: GaugeName, value, label) => {
      const found = gauges.get(name)
      if (found === undefined || typeof value !== "number" || !Number.isFinite(value)) return drop()
      found.instrument.set(found.label(onlyLabel(found.metric, label)), value)
    },
    shareReply: (nodeId, outcome, seconds) => observe(shareSeconds, { node: String(nodeId), outcome }, seconds)
  }
}

/**
 * When each request under way reached its last fact. Two generations, of which the older is dropped whole: a bound that costs
 * nothing.
 */
const lastFactTimes = () => {
  let young = new Map<RequestId, number>()
  let old = new Map<RequestId, number>()
  return {
    take: (id: RequestId): number | undefined => {
      const sinceMs = young.get(id) ?? old.get(id)
      young.delete(id)
      old.delete(id)
      return sinceMs
    },
    keep: (id: RequestId, sinceMs: number): void => {
      young.set(id, sinceMs)
      if (young.size < UNDER_WAY_MAX / 2) return
      old = young
      young = new Map()
    }
  }
}

const isAmount = (value: number): boolean => typeof value === "number" && Number.isFinite(value) && value >= 0

/** The port's counters and gauges have one label or none. */
const onlyLabel = ({ labels }: Metric, value: string | undefined): Record<string, string> => {
  const [name] = Object.keys(labels)
  return name === undefined ? {} : { [name]: value ?? OTHER }
}

/** Holds labels to their rules; remembers which texts of a form it has let through. */
const labeller = ({ labels }: Metric) => {
  const checks = Object.entries(labels).map(([name, rule]) => [name, allows(rule)] as const)
  return (given: Readonly<Record<string, string>>): Record<string, string> => {
    const held: Record<string, string> = {}
    for (const [name, isAllowed] of checks) held[name] = isAllowed(given[name]) ? (given[name] ?? OTHER) : OTHER
    return held
  }
}

const allows = (rule: LabelRule): ((value: unknown) => boolean) => {
  if (!("form" in rule)) return (value) => (rule as ReadonlyArray<unknown>).includes(value)
  const seen = new Set<string>()
  return (value) => {
    if (typeof value !== "string" || !rule.form.test(value)) return false
    if (seen.size < rule.differentMax) seen.add(value)
    return seen.has(value)
  }
}
