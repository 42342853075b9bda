/** What a verb is: a fault with a name, as data that `--list` shows, and how it is made out of a rig's levers. One file for each in verbs/. */
import type { Levers, RigName, Target, TargetKind, Undo } from "./rig.ts"

/** A number in a range with a unit. */
export interface Parameter {
  readonly unit: "choice" | "ms" | "blocks" | "share" | "bytes/s" | "times" | "lane"
  readonly least: number
  readonly most: number
  /** When a scenario names none. */
  readonly usual: number
  readonly says: string
}

export type Values<P extends string = string> = Readonly<Record<P, number>>

export interface Verb<P extends string = string> {
  readonly name: string
  /** One sentence. */
  readonly does: string
  readonly targets: ReadonlyArray<TargetKind>
  readonly parameters: Readonly<Record<P, Parameter>>
  readonly rigs: ReadonlyArray<RigName>
  /** `lasts`: until it is undone, after the time that the schedule names. `at once`: it is over when it has happened. */
  readonly duration: "lasts" | "at once"
  /** One sentence: what becomes of it. */
  readonly ends: string
  /** Whether the other end of the connection may be named. */
  readonly takesPeer?: boolean
  readonly apply: (levers: Levers, target: Target, values: Values<P>, peer: Target | undefined) => Promise<Undo>
}

export const BOTH_RIGS: ReadonlyArray<RigName> = ["sim", "process"]

/** Keeps the names of the parameters in the type of `values`. */
export const defineVerb = <const P extends string = never>(verb: Verb<P>): Verb => verb as unknown as Verb
