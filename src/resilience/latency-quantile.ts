/**
 * Quantiles of how long answers took, in bounded memory: counts in buckets that are each a tenth wider than the one before, so
 * an estimate is never more than a tenth above the truth. Two generations, of which the older goes when the younger is full:
 * what was true an hour ago does not speak for ever. Pure.
 */

export interface Latencies {
  readonly young: Counts
  readonly old: Counts
}

interface Counts {
  readonly total: number
  /** By bucket; sparse. */
  readonly at: ReadonlyMap<number, number>
}

const GROWTH = 1.1
const LOG_GROWTH = Math.log(GROWTH)
/** The p95 of 128 samples rests on six of them; together with the older generation on up to twelve. */
const GENERATION = 128
/** Ten minutes: everything has been given up long before. */
const LONGEST_MS = 600_000

const NOTHING: Counts = { total: 0, at: new Map() }

export const noLatencies: Latencies = { young: NOTHING, old: NOTHING }

const bucketOf = (ms: number): number =>
  Math.max(0, Math.ceil(Math.log(Math.min(LONGEST_MS, Math.max(1, ms))) / LOG_GROWTH - 1e-9))

export const observe = ({ young, old }: Latencies, ms: number): Latencies => {
  const bucket = bucketOf(ms)
  const next = { total: young.total + 1, at: new Map(young.at).set(bucket, (young.at.get(bucket) ?? 0) + 1) }
  return next.total >= GENERATION ? { young: NOTHING, old: next } : { young: next, old }
}

export const samples = ({ young, old }: Latencies): number => young.total + old.total

/** Upper bound of the bucket in which the quantile lies; undefined before `samplesMin` answers. Milliseconds, at least 1. */
export const quantile = (latencies: Latencies, q: number, samplesMin = 1): number | undefined => {
  const { young, old } = latencies
  const total = samples(latencies)
  if (total < Math.max(1, samplesMin)) return undefined
  const rank = Math.max(1, Math.ceil(q * total))
  let seen = 0
  const buckets = [...new Set([...young.at.keys(), ...old.at.keys()])].toSorted((a, b) => a - b)
  for (const bucket of buckets) {
    seen += (young.at.get(bucket) ?? 0) + (old.at.get(bucket) ?? 0)
    if (seen >= rank) return GROWTH ** bucket
  }
  return undefined
}
