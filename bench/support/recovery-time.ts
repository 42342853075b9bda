/** From when each request was raised and when it ended to what a kill has cost. Pure; the times are of one clock. */
import { quantiles, type Quantiles } from "./statistics.ts"

export interface Followed {
  readonly raisedMs: number
  /** Undefined: it had not ended when nobody looked any more. */
  readonly endedMs: number | undefined
}

export interface Recovery {
  /** The slowest request of those that ended before the kill. */
  readonly usualMs: number
  /** The longest time in which no request ended, from the last end before the kill on. */
  readonly silenceMs: number
  /** From the kill to the end of the last request that took clearly longer than usual; 0 when none did. */
  readonly recoveredMs: number
  /** How many took clearly longer than usual. */
  readonly delayed: number
  /** How many never ended. */
  readonly open: number
}

/** A little more than usual is noise of the machine: only what took longer than this many times the slowest one before counts as delayed. */
export const DELAYED_TIMES = 1.5

export const recoveryOf = (followed: ReadonlyArray<Followed>, killedMs: number): Recovery => {
  const ended = followed.flatMap(({ raisedMs, endedMs }) => (endedMs === undefined ? [] : [{ raisedMs, endedMs }]))
  const before = ended.filter(({ endedMs }) => endedMs <= killedMs)
  if (before.length === 0) throw new TypeError("no request ended before the kill: it is not known how long they usually take")
  const usualMs = Math.max(...before.map(({ raisedMs, endedMs }) => endedMs - raisedMs))
  const later = ended.filter(({ endedMs }) => endedMs > killedMs)
  const delayed = later.filter(({ raisedMs, endedMs }) => endedMs - raisedMs > usualMs * DELAYED_TIMES)
  const ends = [Math.max(...before.map(({ endedMs }) => endedMs)), ...later.map(({ endedMs }) => endedMs).toSorted((a, b) => a - b)]
  return {
    usualMs,
    silenceMs: Math.max(0, ...ends.slice(1).map((end, index) => end - (ends[index] ?? end))),
    recoveredMs: Math.max(0, ...delayed.map(({ endedMs }) => endedMs - killedMs)),
    delayed: delayed.length,
    open: followed.length - ended.length
  }
}

export interface RecoveryFigures {
  readonly repetitions: number
  readonly recoveredMs: Quantiles
  readonly silenceMs: Quantiles
  readonly usualMs: Quantiles
  readonly delayed: number
  /** Must be 0: nothing is lost. */
  readonly open: number
}

export const summarised = (all: ReadonlyArray<Recovery>): RecoveryFigures => ({
  repetitions: all.length,
  recoveredMs: quantiles(all.map(({ recoveredMs }) => recoveredMs)),
  silenceMs: quantiles(all.map(({ silenceMs }) => silenceMs)),
  usualMs: quantiles(all.map(({ usualMs }) => usualMs)),
  delayed: all.reduce((sum, { delayed }) => sum + delayed, 0),
  open: all.reduce((sum, { open }) => sum + open, 0)
})
