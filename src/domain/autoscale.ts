/** How many workers a step should have, from how long its work waits to be given out. Pure: a reading and what was wanted before go in. Up at once,
 * down slowly; and never soon again to a number that was too few, or two numbers would take turns for ever. */
import assert from "node:assert/strict"

export interface ScaleBounds {
  readonly leastWorkers: number
  readonly mostWorkers: number
  /** Work may wait for so long before there are too few workers. */
  readonly targetSeconds: number
  /** Nothing has waited for so long: one worker fewer. */
  readonly downAfterSeconds: number
  /** A number of workers that was too few is not tried again before. */
  readonly tooFewSeconds: number
}

export const SCALE_BOUNDS: ScaleBounds = {
  leastWorkers: 1,
  mostWorkers: 64,
  targetSeconds: 5,
  downAfterSeconds: 300,
  tooFewSeconds: 3_600
}

/** A worker needs a while to start. Until then the backlog says nothing about it. */
const UP_EVERY_SECONDS = 30
/** In one step at most: a backlog tells that there are too few, and not well by how much. */
const GROWTH_MOST = 2

/** Of those that were, in one step down. */
const DOWN_TO = 0.75

export interface Scale {
  readonly desired: number
  /** When it was changed last. */
  readonly changedAt: number
  /** When work waited for too long last. */
  readonly waitedAt: number
  readonly backlogSeconds: number
  /** So many were too few, and when. */
  readonly tooFew: { readonly workers: number; readonly at: number }
}

export interface ScaleReading {
  /** Of any clock that only goes forward, in seconds. */
  readonly now: number
  /** Workers that live and take work. */
  readonly workers: number
  /** How long the oldest piece has waited to be given out; 0 when none waits. */
  readonly backlogSeconds: number
}

assert(SCALE_BOUNDS.leastWorkers <= SCALE_BOUNDS.mostWorkers, "the least is not above the most")

const within = ({ leastWorkers, mostWorkers }: ScaleBounds, workers: number): number =>
  Math.max(leastWorkers, Math.min(mostWorkers, workers))

export const firstScale = ({ now, workers }: ScaleReading, bounds = SCALE_BOUNDS): Scale => ({
  desired: within(bounds, workers),
  changedAt: now - UP_EVERY_SECONDS,
  waitedAt: now,
  backlogSeconds: 0,
  tooFew: { workers: 0, at: now - bounds.tooFewSeconds }
})

export const nextScale = (before: Scale, { now, workers, backlogSeconds }: ScaleReading, bounds = SCALE_BOUNDS): Scale => {
  const { desired, changedAt, tooFew } = before
  const isWaiting = backlogSeconds > bounds.targetSeconds
  if (isWaiting) {
    const after = { ...before, waitedAt: now, backlogSeconds }
    // Those that were asked for have not come yet, or have only just, or are working it off.
    if (workers < desired || now - changedAt < UP_EVERY_SECONDS || backlogSeconds < before.backlogSeconds) return after
    const growth = Math.min(GROWTH_MOST, backlogSeconds / bounds.targetSeconds)
    const wanted = within(bounds, Math.max(desired + 1, Math.ceil(desired * growth)))
    return wanted === desired ? after : { ...after, desired: wanted, changedAt: now, tooFew: { workers: desired, at: now } }
  }
  const isQuiet = now - Math.max(before.waitedAt, changedAt) >= bounds.downAfterSeconds
  const floor = now - tooFew.at < bounds.tooFewSeconds ? tooFew.workers + 1 : bounds.leastWorkers
  const wanted = within(bounds, Math.max(floor, Math.floor(desired * DOWN_TO)))
  return isQuiet && wanted < desired ? { ...before, backlogSeconds, desired: wanted, changedAt: now } : { ...before, backlogSeconds }
}
