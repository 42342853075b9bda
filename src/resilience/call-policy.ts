/**
 * What is tolerated of each kind of thing outside of this process, and how its calls are named. Every number with its unit and
 * reason.
 */
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
  /** Attempts on one target at once, all its methods together. */
  readonly concurrencyMax: number
  /** Whoever comes when that many are under way waits this long for a place, and is then refused. */
  readonly placeWaitMs: number
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
  /**
   * An answer takes 20 to 200 ms. The transport's own limit is shorter by half a second and knows more. Calls of one turn travel
   * together, so there may be many: eight messages of 64 requests in each of five steps.
   */
  rpc: { ...USUAL, timeoutMs: 10_500, slowMs: 5_000, concurrencyMax: 4_096, placeWaitMs: 0, restMs: 500, restMsMax: 4_000 },
  /**
   * Three asks fit into the time after which a request's work is given out anew (the call's own deadline is 4 s). Looser than
   * the node machines, which rest a node after five failures in a row and for longer: this one ends the hammering when too few
   * nodes are left for them to be choosy. Rests no longer than a channel does between two tries to connect.
   */
  "kms-node": {
    ...USUAL,
    volumeMin: 16,
    failureRatioMax: 0.8,
    timeoutMs: 4_500,
    slowMs: 4_000,
    concurrencyMax: 2_048,
    placeWaitMs: 0,
    restMs: 500,
    restMsMax: 2_000
  },
  /**
   * One object, its body of up to 16 MiB included. A store that hangs holds these places and the messages that wait for them,
   * which is one of the eight that step 3 works on; the others are sent away after two seconds. That is enough for all 512
   * readings of eight messages from a store that is well and takes 100 ms for each.
   */
  "object-store": {
    ...USUAL,
    volumeMin: 4,
    timeoutMs: 16_500,
    slowMs: 8_000,
    concurrencyMax: 32,
    placeWaitMs: 2_000,
    restMsMax: 8_000
  },
  /**
   * Statements take milliseconds. The pool's own limits (12 s for an answer) are shorter and know more. A database that hangs
   * fails fast after its first failures; rests are so short that it is noticed within half a second when it is back.
   */
  postgres: { ...USUAL, timeoutMs: 13_000, slowMs: 5_000, concurrencyMax: 4_096, placeWaitMs: 0, restMs: 250, restMsMax: 500 },
  /**
   * Two seconds for a connection and two for a confirmation. Without a leader there is none for 4 to 12 s (an election); what
   * could not be sent is sent by the sweeper. How many travel at once, the adapter bounds by itself.
   */
  nats: { ...USUAL, timeoutMs: 4_500, slowMs: 1_500, concurrencyMax: 4_096, placeWaitMs: 0, restMs: 250, restMsMax: 1_000 },
  /** Cloud providers answer within 50 ms and allow some thousands of calls a second for a whole account. */
  "key-provider": { ...USUAL, timeoutMs: 5_000, slowMs: 2_000, concurrencyMax: 64, placeWaitMs: 1_000 }
}
