/** How fast workers work, from what each of them says it has done since its start. Pure: two readings go in. */
import type { Step } from "./journey.ts"

/** Requests that a worker has answered since its start, by step. */
export type WorkDone = Readonly<Partial<Record<Step, number>>>

export interface Progress {
  /** One life of a node. */
  readonly worker: string
  /** When it said so, by a clock that all of them share. */
  readonly heardAtMs: number
  readonly done: WorkDone
}

/** What these together answer in a second: of those who were heard twice. Undefined when none was. */
export const settledPerSecond = (before: ReadonlyArray<Progress>, now: ReadonlyArray<Progress>, step: Step): number | undefined => {
  const first = new Map(before.map((one) => [one.worker, one]))
  const rates = now.flatMap(({ worker, heardAtMs, done }) => {
    const then = first.get(worker)
    if (then === undefined || heardAtMs <= then.heardAtMs) return []
    return [(Math.max(0, (done[step] ?? 0) - (then.done[step] ?? 0)) * 1_000) / (heardAtMs - then.heardAtMs)]
  })
  if (rates.length === 0) return undefined
  // Of somebody who has only just come nothing is known; it will do what the others do.
  return (rates.reduce((sum, rate) => sum + rate, 0) * now.length) / rates.length
}
