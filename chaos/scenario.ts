/** What a scenario is: data. Which cluster, what load, what is done to it in each round, and what must hold at the end besides the checkers. */
import type { End } from "../src/domain/journey.ts"
import type { ClusterShape, RigEvent, RigName, Settled, Target, TargetKind } from "./rig.ts"

/** A number, or any between two, drawn anew for every round. */
export type Drawn = number | readonly [least: number, most: number]

export type Aim =
  | Target
  /** So many different ones of a kind, drawn anew for every round; one when no number is given. */
  | { readonly any: TargetKind; readonly count?: number }
  /** One after the other, or all at once when nothing lies between. */
  | { readonly each: TargetKind; readonly everyMs?: number }

/** What is done in a round. */
export interface Planned {
  readonly verb: string
  readonly on: Aim
  /** The other end of the connection, for verbs that take one. */
  readonly peer?: Target
  readonly with?: Readonly<Record<string, Drawn>>
  /** From the beginning of the round. */
  readonly atMs: Drawn
  /** How long it lasts, for verbs that last. */
  readonly forMs?: Drawn
}

export type Load =
  | { readonly type: "steady"; readonly perSecond: number }
  /** All in one block, once, at the beginning. Real processes get fewer, because two cores have to carry them. */
  | { readonly type: "herd"; readonly requests: number; readonly requestsOnProcesses: number }

/** What a run left behind, for sentences that only this scenario can say. */
export interface Seen {
  readonly settled: Settled
  readonly events: ReadonlyArray<RigEvent>
  /** How often each verb was injected. */
  readonly injected: Readonly<Record<string, number>>
  readonly requests: number
}

export interface Expectation {
  readonly sentence: string
  readonly holds: (seen: Seen) => boolean
}

export interface Scenario {
  readonly name: string
  /** One sentence: what happens, and what must not come of it. */
  readonly sentence: string
  readonly shape?: Partial<ClusterShape>
  readonly load: Load
  /** One round; a longer run repeats it with other draws. */
  readonly roundMs: number
  readonly round: ReadonlyArray<Planned>
  readonly rigs: ReadonlyArray<RigName>
  /** How requests may end; `finalized` alone when it is not said. */
  readonly mayEnd?: ReadonlyArray<End>
  readonly holds?: ReadonlyArray<Expectation>
  /** After the last fault is undone, everything must have ended within this. */
  readonly settleMs?: number
}

export const SETTLE_MS = 120_000

export const finalizedAll: ReadonlyArray<End> = ["finalized"]

export const endsOf = (scenario: Scenario): ReadonlyArray<End> => scenario.mayEnd ?? finalizedAll
