/** What is tolerated of each kind of thing outside of this process, and how its calls are named. Every number with its unit and reason. */
import { WORK_TIMEOUT_MS } from "../domain/limits.ts"
import type { BreakerPolicy } from "./breaker.ts"

/** Everything that is asked over a wire or may hang like one. Stands in metric labels. */
export const DEPENDENCIES = ["rpc", "kms-node", "object-store", "postgres", "nats", "key-provider"] as const
export type Dependency = (typeof DEPENDENCIES)[number]

/** One breaker each. Shown to operators: a target is a name or a host, never a URL with somebody's key in it. */
export interface Target {
  readonly dependency: Dependency
  readonly target: string
  readonly method: string
}

export interface CallPolicy extends BreakerPolicy {
  /** Of one attempt, from our side: a socket that has silently died (half-open) gives no error at all. */
  readonly timeoutMs: number
  /** Attempts on one target at once, all its methods together; beyond it a call is refused at once. */
  readonly concurrencyMax: number
}

/** Most calls are judged alike: half of at least eight failed within ten seconds, or nearly all of them slow. */
const USUAL = {
  windowMs: 10_000,
  volumeMin: 8,
  failureRatioMax: 0.5,
  slowRatioMax: 0.9,
  restMs: 1_000,
  restMsMax: 15_000,
  // As for KMS nodes (machines/kms-node.machine.ts): one success proves little and one failure too.
  probes: 4,
  probesGoodMin: 3,
  // Longer than any attempt below may take: only what was lost altogether is given up by the clock.
  probeMsMax: 30_000
} as const

export const CALL_POLICIES: Readonly<Record<Dependency, CallPolicy>> = {
  /** An answer takes 20 to 200 ms; whoever needs longer is treated as down and another endpoint may be asked. */
  rpc: { ...USUAL, timeoutMs: 10_000, slowMs: 5_000, concurrencyMax: 256 },
  /**
   * Three asks fit into the time after which a request's work is given out anew. Looser than the node machines, which rest a
   * node after five failures in a row: this one only ends a hammering that they do not see.
   */
  "kms-node": { ...USUAL, volumeMin: 16, failureRatioMax: 0.8, timeoutMs: 4_500, slowMs: 4_000, concurrencyMax: 512 },
  /** Bodies of up to 16 MiB: a whole reading may take this long and still be well. */
  "object-store": { ...USUAL, timeoutMs: 16_500, slowMs: 8_000, concurrencyMax: 64, volumeMin: 4 },
  /**
   * Statements take milliseconds. A database that hangs fails fast after the first round of connections; rests are so short that
   * it is noticed within half a second when it is back. Longer than the pool's own limits, which know more.
   */
  postgres: { ...USUAL, timeoutMs: 13_000, slowMs: 5_000, concurrencyMax: 1_024, restMs: 250, restMsMax: 500 },
  /** Without a leader there is no confirmation for 4 to 12 s (an election); the outbox keeps what could not be sent. */
  nats: { ...USUAL, timeoutMs: 2_500, slowMs: 1_500, concurrencyMax: 1_024, restMs: 500, restMsMax: 2_000 },
  /** Cloud providers answer within 50 ms and allow some thousands of calls a second for a whole account. */
  "key-provider": { ...USUAL, timeoutMs: 5_000, slowMs: 2_000, concurrencyMax: 64 }
}

/** Work that is given out anew meets the answer of the first try, or its failure: never a call that still hangs from before. */
export const TRIES_WITHIN_WORK_MAX = Math.floor(WORK_TIMEOUT_MS / CALL_POLICIES["kms-node"].timeoutMs)
