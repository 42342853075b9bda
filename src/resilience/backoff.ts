/**
 * How long to wait before the next try: full jitter (AWS, "Exponential backoff and jitter"), which is any time up to a bound
 * that doubles. Pure.
 */

export interface BackoffPolicy {
  readonly firstMs: number
  readonly longestMs: number
}

/** Upper bound of the wait after this many failed tries (1 after the first). */
export const backoffBoundMs = ({ firstMs, longestMs }: BackoffPolicy, tries: number): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(Math.max(0, tries - 1), 30))

/** `chance`: uniform in [0, 1). Never sooner than the other side asked for. */
export const backoffMs = (policy: BackoffPolicy, tries: number, chance: number, askedForMs = 0): number =>
  Math.max(askedForMs, Math.round(backoffBoundMs(policy, tries) * chance))
