/**
 * Open-loop load: requests are raised at a given rate whether or not those before have ended, so that waiting shows as
 * waiting. A rate is held when, over the whole measured time, the number under way does not grow.
 */
import { setTimeout as pause } from "node:timers/promises"
import { mean, rounded } from "./statistics.ts"

export interface Rig {
  /** Raises so many now; the answer may come before they are detected. */
  readonly raise: (count: number) => Promise<void>
  /** Requests that have been finalized since the rig was made. */
  readonly finished: () => Promise<number>
}

export interface LoadRun {
  readonly rate: number
  readonly isHeld: boolean
  /** Finalized in the measured time, by the second. */
  readonly finishedPerSecond: number
  /** Mean number under way in the first and in the last third of the measured time. */
  readonly underWay: { readonly first: number; readonly last: number }
  /** How long the rest took to finish after the last was raised, milliseconds; undefined when it did not in time. */
  readonly drainMs: number | undefined
}

const TICK_MS = 250
const WARM_UP_MS = 4_000
const DRAIN_MS_MAX = 60_000
/** Noise that is not growth: a second's worth of requests. */
const GROWTH_SECONDS = 1

export const holdRate = async (rig: Rig, rate: number, seconds: number, onMeasuring?: () => Promise<void>): Promise<LoadRun> => {
  const before = await rig.finished()
  const startMs = performance.now()
  const endMs = WARM_UP_MS + seconds * 1_000
  const samples: Array<{ readonly atMs: number; readonly underWay: number; readonly finished: number }> = []
  let raised = 0
  let isMeasuring = false
  for (let tick = 1; ; tick++) {
    const atMs = performance.now() - startMs
    if (atMs >= endMs) break
    const due = Math.floor((rate * Math.min(atMs + TICK_MS, endMs)) / 1_000) - raised
    if (due > 0) await rig.raise(due)
    raised += Math.max(0, due)
    if (!isMeasuring && atMs >= WARM_UP_MS) {
      isMeasuring = true
      await onMeasuring?.()
    }
    const finished = (await rig.finished()) - before
    if (isMeasuring) samples.push({ atMs: performance.now() - startMs, underWay: raised - finished, finished })
    await pause(Math.max(0, tick * TICK_MS - (performance.now() - startMs)))
  }
  const drainMs = await drained(rig, before + raised)
  const third = Math.max(1, Math.floor(samples.length / 3))
  const underWay = {
    first: Math.round(mean(samples.slice(0, third).map((sample) => sample.underWay))),
    last: Math.round(mean(samples.slice(-third).map((sample) => sample.underWay)))
  }
  const [first, last] = [samples[0], samples.at(-1)]
  const finishedPerSecond =
    first === undefined || last === undefined
      ? 0
      : rounded(((last.finished - first.finished) * 1_000) / Math.max(1, last.atMs - first.atMs))
  const isHeld = drainMs !== undefined && underWay.last <= underWay.first * 1.25 + rate * GROWTH_SECONDS * 0.5
  return { rate, isHeld, finishedPerSecond, underWay, drainMs }
}

const drained = async (rig: Rig, target: number): Promise<number | undefined> => {
  const startMs = performance.now()
  while (performance.now() - startMs < DRAIN_MS_MAX) {
    if ((await rig.finished()) >= target) return Math.round(performance.now() - startMs)
    await pause(50)
  }
  return undefined
}

/**
 * How fast a pile of `count` is worked off, requests per second from the first raised to the last finished: the beginning and
 * the end, where not every part is busy, make it a little less than can be held.
 */
export const saturate = async (rig: Rig, count: number): Promise<number> => {
  const target = (await rig.finished()) + count
  const startMs = performance.now()
  await rig.raise(count)
  const drainMs = await drained(rig, target)
  return drainMs === undefined ? 0 : (count * 1_000) / (performance.now() - startMs)
}

/**
 * Tries `first` and then less, or a little more, until a rate is held that the next step would not hold. At most `tries` runs.
 */
export const highestHeld = async (
  first: number,
  hold: (rate: number) => Promise<LoadRun>,
  tries: number
): Promise<{ readonly best: LoadRun | undefined; readonly runs: ReadonlyArray<LoadRun> }> => {
  const runs: Array<LoadRun> = []
  let best: LoadRun | undefined
  let rate = first
  for (let attempt = 0; attempt < tries; attempt++) {
    const run = await hold(rate)
    runs.push(run)
    if (run.isHeld && (best === undefined || run.rate > best.rate)) best = run
    const failed = runs.filter(({ isHeld }) => !isHeld).map((one) => one.rate)
    const ceiling = Math.min(...failed, Infinity)
    if (best === undefined) rate = Math.floor(rate * 0.85)
    else if (ceiling === Infinity) rate = Math.ceil(rate * 1.12)
    else break
  }
  return { best, runs }
}
