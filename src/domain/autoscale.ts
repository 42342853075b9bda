/** How many workers a step should have, from how long its work waits to be given out and how much one worker was seen to do. Pure: a reading and what
 * was wanted before go in. Up at once; down slowly, and not below what was needed meanwhile. Where nothing was measured yet, numbers are tried. */
import assert from "node:assert/strict"

export interface ScaleBounds {
  readonly leastWorkers: number
  readonly mostWorkers: number
  /** Work may wait for so long before there are too few workers. */
  readonly targetSeconds: number
  /** Fewer have been enough for so long: then there are as many. */
  readonly downAfterSeconds: number
  /** Only where nothing was measured: a number of workers that was too few is not tried again before. */
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
/** In one step at most, where nothing was measured: a backlog tells that there are too few, and not well by how much. */
const GROWTH_MOST = 2
/** And where it was: the measure may be of workers that have only just started. */
const MEASURED_GROWTH_MOST = 4
/** Of those that were, in one step down, where nothing was measured. */
const DOWN_TO = 0.75
/** What waits should be worked off within so long. */
const DRAIN_SECONDS = 60
/** Workers should be so busy, so that a little more load asks for no more of them. */
const BUSY = 0.8
/** Of each new reading, in what is smoothed: about a minute of readings counts. */
const NEWEST = 0.2
/** More workers have to bring at least so much of what they should bring, or there is something else that all of them wait for. */
const GAIN_LEAST = 0.25
/** Nothing is said of workers that were seen less often. */
const CREW_READINGS_LEAST = 2
/** Then there are as many as before, and a few more are tried after so long. */
const NO_GAIN_SECONDS = 600
const CAREFUL_GROWTH_MOST = 1.25

interface Crew {
  readonly workers: number
  readonly readings: number
  readonly settled: number
}

export interface Scale {
  readonly desired: number
  /** When it was changed last. */
  readonly changedAt: number
  /** Since when fewer would have been enough, and how many that were at most. */
  readonly quiet: { readonly since: number; readonly needed: number }
  readonly backlogSeconds: number
  /** So many were too few, and when. */
  readonly tooFew: { readonly workers: number; readonly at: number }
  readonly readAt: number
  readonly owed: number
  /** Requests per second, smoothed. */
  readonly arriving: number
  /** What these workers have answered in a second since they were so many, on average of so many readings. */
  readonly crew: Crew
  /** What one worker does in a second; undefined until work has waited, for who idles shows nothing. */
  readonly speed: number | undefined
  /** Who was there when more were asked for last. */
  readonly raisedFrom: Crew | undefined
  /** When more workers brought nothing; undefined once nothing waits. */
  readonly noGainAt: number | undefined
}

export interface ScaleReading {
  /** Of any clock that only goes forward, in seconds. */
  readonly now: number
  /** Workers that live and take work. */
  readonly workers: number
  /** How long the oldest piece has waited to be given out; 0 when none waits. */
  readonly backlogSeconds: number
  /** Pieces that wait to be given out. */
  readonly owed: number
  /** What the workers together have answered in each second since the last reading; undefined when nobody could say. */
  readonly settledPerSecond: number | undefined
  /** Nobody works, because an operator says so. */
  readonly isPaused: boolean
}

assert(SCALE_BOUNDS.leastWorkers <= SCALE_BOUNDS.mostWorkers, "the least is not above the most")

const within = ({ leastWorkers, mostWorkers }: ScaleBounds, workers: number): number =>
  Math.max(leastWorkers, Math.min(mostWorkers, workers))

const smoothed = (before: number, now: number): number => before + NEWEST * (now - before)

/** The first reading after a change is of both crews, and of none. */
const crewAfter = ({ workers, readings, settled }: Crew, now: number, perSecond: number): Crew =>
  workers === now ? { workers, readings: readings + 1, settled: settled + (perSecond - settled) / (readings + 1) } : { workers: now, readings: 0, settled: 0 }

export const firstScale = ({ now, workers, owed }: ScaleReading, bounds = SCALE_BOUNDS): Scale => ({
  desired: within(bounds, workers),
  changedAt: now - UP_EVERY_SECONDS,
  quiet: { since: now, needed: 0 },
  backlogSeconds: 0,
  tooFew: { workers: 0, at: now - bounds.tooFewSeconds },
  readAt: now,
  owed,
  arriving: 0,
  crew: { workers, readings: 0, settled: 0 },
  speed: undefined,
  raisedFrom: undefined,
  noGainAt: undefined
})

export const nextScale = (before: Scale, reading: ScaleReading, bounds = SCALE_BOUNDS): Scale => {
  const { now, backlogSeconds, owed, isPaused } = reading
  // What piles up meanwhile says nothing about workers, and neither does what they do first when it is resumed.
  if (isPaused) return { ...before, quiet: { since: now, needed: 0 }, changedAt: now, backlogSeconds, readAt: now, owed, raisedFrom: undefined }
  const seen = measured(before, reading)
  return backlogSeconds > bounds.targetSeconds ? whileWaiting(seen, before, reading, bounds) : whileQuiet(seen, reading, bounds)
}

/** Takes in what was done. Who has work all the time shows what it can do; who idles shows only that it can do as much. */
const measured = (before: Scale, { now, workers, backlogSeconds, owed, settledPerSecond }: ScaleReading): Scale => {
  const after = { ...before, backlogSeconds, owed, readAt: now }
  const passed = now - before.readAt
  if (settledPerSecond === undefined || workers < 1 || passed <= 0) return after
  const one = settledPerSecond / workers
  const hadWork = before.owed > 0 && owed > 0 && settledPerSecond > 0
  const isFaster = before.speed !== undefined && one > before.speed
  return {
    ...after,
    crew: crewAfter(before.crew, workers, settledPerSecond),
    arriving: Math.max(0, smoothed(before.arriving, settledPerSecond + (owed - before.owed) / passed)),
    speed: hadWork || isFaster ? smoothed(before.speed ?? one, one) : before.speed
  }
}

const whileWaiting = (seen: Scale, before: Scale, reading: ScaleReading, bounds: ScaleBounds): Scale => {
  const { now, workers, backlogSeconds, owed, settledPerSecond } = reading
  const { desired, changedAt, speed, crew, raisedFrom } = seen
  const after = { ...seen, quiet: { since: now, needed: 0 } }
  // Those that were asked for have not come yet, or have only just, or are working it off.
  if (workers < desired || now - changedAt < UP_EVERY_SECONDS || backlogSeconds < before.backlogSeconds) return after
  // Nothing at all is answered: what they work with is away, and others could do no more.
  if (settledPerSecond === 0) return after
  if (settledPerSecond !== undefined && crew.readings < CREW_READINGS_LEAST) return after
  if (seen.noGainAt !== undefined && now - seen.noGainAt < NO_GAIN_SECONDS) return after
  if (raisedFrom !== undefined && !isGain(raisedFrom, crew)) {
    return { ...after, desired: within(bounds, raisedFrom.workers), changedAt: now, noGainAt: now, raisedFrom: undefined }
  }
  const growthMost = seen.noGainAt !== undefined ? CAREFUL_GROWTH_MOST : speed === undefined ? GROWTH_MOST : MEASURED_GROWTH_MOST
  const raised = speed === undefined
    ? desired * (backlogSeconds / bounds.targetSeconds)
    // What came at once is among what is owed already.
    : (Math.min(seen.arriving, arrivingNow(before, reading)) + owed / DRAIN_SECONDS) / speed
  const wanted = within(bounds, Math.max(desired + 1, Math.ceil(Math.min(desired * growthMost, raised))))
  if (wanted === desired) return after
  const raise = { desired: wanted, changedAt: now, tooFew: { workers: desired, at: now } }
  return { ...after, ...raise, raisedFrom: crew.readings > 0 && crew.settled > 0 ? crew : undefined }
}

const isGain = (before: Crew, now: Crew): boolean => now.settled / before.settled - 1 >= GAIN_LEAST * (now.workers / before.workers - 1)

const arrivingNow = (before: Scale, { now, owed, settledPerSecond = 0 }: ScaleReading): number =>
  now > before.readAt ? Math.max(0, settledPerSecond + (owed - before.owed) / (now - before.readAt)) : 0

const whileQuiet = (seen: Scale, { now }: ScaleReading, bounds: ScaleBounds): Scale => {
  const { desired, speed, arriving, tooFew } = seen
  const tried = Math.max(now - tooFew.at < bounds.tooFewSeconds ? tooFew.workers + 1 : 0, Math.floor(desired * DOWN_TO))
  const needed = within(bounds, speed === undefined ? tried : Math.ceil(arriving / (speed * BUSY)))
  if (needed >= desired) return { ...seen, quiet: { since: now, needed: 0 }, noGainAt: undefined }
  const quiet = { since: seen.quiet.since, needed: speed === undefined ? needed : Math.max(seen.quiet.needed, needed) }
  if (now - quiet.since < bounds.downAfterSeconds) return { ...seen, quiet, noGainAt: undefined }
  return { ...seen, desired: quiet.needed, changedAt: now, quiet: { since: now, needed: 0 }, raisedFrom: undefined, noGainAt: undefined }
}
