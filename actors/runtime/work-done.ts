/** What this node has done since its start, for its heartbeat: from the difference of two an autoscaler sees how fast it works. */
import { Context } from "effect"
import type { Step } from "../../src/domain/journey.ts"
import type { WorkDone } from "../../src/domain/work-rate.ts"

export interface DoneHere {
  readonly add: (step: Step, requests: number) => void
  readonly totals: () => WorkDone
}

export const countDone = (): DoneHere => {
  const done: Partial<Record<Step, number>> = {}
  return {
    add: (step, requests) => void (done[step] = (done[step] ?? 0) + requests),
    totals: () => ({ ...done })
  }
}

/** Where nobody provides one, it is counted and never said. */
export const DoneHere: Context.Reference<DoneHere> = Context.Reference("portcullis/actors/DoneHere", { defaultValue: countDone })
