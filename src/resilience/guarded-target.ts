/**
 * What is remembered of one target and method: its breaker, how long its answers took, and what was sent. In memory, never
 * saved.
 */
import { type Breaker, type BreakerPolicy, closedBreaker, restLeftMs, tally } from "./breaker.ts"
import type { Target } from "./call-policy.ts"
import { type Latencies, noLatencies, quantile, samples } from "./latency-quantile.ts"

export interface Guarded extends Target {
  breaker: Breaker
  policy: BreakerPolicy
  latencies: Latencies
  attempts: number
  failures: number
  refusals: number
  inFlight: number
}

/** As operators see it (`GET /resilience`). Times in milliseconds. */
export interface GuardState extends Target {
  readonly state: Breaker["state"]
  /** Openings since it was last well for two windows. */
  readonly trips: number
  /** When a resting one may be probed; 0 for the others. */
  readonly opensAgainInMs: number
  readonly inWindow: { readonly attempts: number; readonly failed: number; readonly slow: number }
  readonly sinceStart: { readonly attempts: number; readonly failed: number; readonly refused: number }
  readonly inFlight: number
  /** Null before twenty answers. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
}

/** Targets are named by committee records and by operators, so there could be any number of them in the end. */
export const TARGETS_MAX = 512
/** Below this a p95 is one answer that happened to be slow. */
export const QUANTILE_SAMPLES_MIN = 20

export const newGuarded = (of: Target, policy: BreakerPolicy, nowMs: number): Guarded => ({
  dependency: of.dependency,
  target: of.target,
  method: of.method,
  policy,
  breaker: closedBreaker(nowMs),
  latencies: noLatencies,
  attempts: 0,
  failures: 0,
  refusals: 0,
  inFlight: 0
})

export const stateOf = (guarded: Guarded, nowMs: number): GuardState => {
  const { breaker, latencies } = guarded
  const { volume, bad, slow } = tally(guarded.policy, breaker, nowMs)
  const known = samples(latencies) >= QUANTILE_SAMPLES_MIN
  return {
    dependency: guarded.dependency,
    target: guarded.target,
    method: guarded.method,
    state: breaker.state,
    trips: breaker.trips,
    opensAgainInMs: restLeftMs(breaker, nowMs),
    inWindow: { attempts: volume, failed: bad, slow },
    sinceStart: { attempts: guarded.attempts, failed: guarded.failures, refused: guarded.refusals },
    inFlight: guarded.inFlight,
    p50Ms: known ? Math.round(quantile(latencies, 0.5) ?? 0) : null,
    p95Ms: known ? Math.round(quantile(latencies, 0.95) ?? 0) : null
  }
}

const keyOf = ({ dependency, target, method }: Target): string => `${dependency} ${method} ${target}`

/**
 * Bounded: makes place by forgetting whom nobody is asking, the longest unused first, and those that are well before the others.
 */
export class GuardedTargets {
  readonly #byKey = new Map<string, Guarded>()
  readonly #max: number

  constructor(max = TARGETS_MAX) {
    this.#max = max
  }

  /** The most recently used one stands last. */
  of(target: Target, policy: BreakerPolicy, nowMs: number): Guarded {
    const key = keyOf(target)
    const known = this.#byKey.get(key)
    if (known !== undefined) {
      this.#byKey.delete(key)
      this.#byKey.set(key, known)
      return known
    }
    if (this.#byKey.size >= this.#max) this.#forgetOne()
    const made = newGuarded(target, policy, nowMs)
    this.#byKey.set(key, made)
    return made
  }

  peek(target: Target): Guarded | undefined {
    return this.#byKey.get(keyOf(target))
  }

  all(): ReadonlyArray<Guarded> {
    return [...this.#byKey.values()]
  }

  #forgetOne(): void {
    const entries = [...this.#byKey]
    const idle = entries.filter(([, { inFlight }]) => inFlight === 0)
    const [forgotten] = idle.find(([, { breaker }]) => breaker.state === "closed") ?? idle[0] ?? entries[0] ?? []
    if (forgotten !== undefined) this.#byKey.delete(forgotten)
  }
}
