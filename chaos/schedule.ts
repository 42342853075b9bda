/** From a scenario and a seed to a timetable: pure, so that a seed is all that has to be kept to do it again. */
import { targetsOfKind, type ClusterShape, type Target } from "./rig.ts"
import type { Aim, Drawn, Planned, Scenario } from "./scenario.ts"
import { seededRandom, type SeededRandom } from "./seeded-random.ts"
import { verbNamed } from "./vocabulary.ts"

export interface Step {
  readonly atMs: number
  readonly verb: string
  readonly target: Target
  readonly peer: Target | undefined
  readonly values: Readonly<Record<string, number>>
  /** Missing for what is over at once. */
  readonly forMs: number | undefined
}

/** What a lasting verb lasts when nothing is said. */
const FOR_MS = 3_000

/** In order of time. Nothing begins after the last round, and nothing lasts beyond its end by more than it lasts. */
export const timetable = (scenario: Scenario, shape: ClusterShape, seed: number, spanMs: number): ReadonlyArray<Step> => {
  const random = seededRandom(seed).fork(scenario.name)
  const rounds = Math.max(1, Math.floor(spanMs / scenario.roundMs))
  return Array.from({ length: rounds }, (_, round) =>
    scenario.round.flatMap((planned) => stepsOf(planned, shape, random, round * scenario.roundMs))
  )
    .flat()
    .toSorted((a, b) => a.atMs - b.atMs)
}

export const roundsOf = (scenario: Scenario, spanMs: number): number => Math.max(1, Math.floor(spanMs / scenario.roundMs))

const stepsOf = (planned: Planned, shape: ClusterShape, random: SeededRandom, roundMs: number): ReadonlyArray<Step> => {
  const verb = verbNamed(planned.verb)
  if (verb === undefined) throw new TypeError(`no verb is called ${planned.verb}`)
  const beginMs = roundMs + draw(planned.atMs, random)
  return aimedAt(planned.on, shape, random).map(({ target, afterMs }) => ({
    atMs: beginMs + afterMs,
    verb: planned.verb,
    target,
    peer: planned.peer,
    values: Object.fromEntries(
      Object.entries(verb.parameters).map(([name, { usual }]) => [name, draw(planned.with?.[name] ?? usual, random)])
    ),
    forMs: verb.duration === "at once" ? undefined : draw(planned.forMs ?? FOR_MS, random)
  }))
}

const aimedAt = (aim: Aim, shape: ClusterShape, random: SeededRandom): ReadonlyArray<{ readonly target: Target; readonly afterMs: number }> => {
  if (typeof aim === "string") return [{ target: aim, afterMs: 0 }]
  if ("any" in aim) return random.choose(targetsOfKind(shape, aim.any), aim.count ?? 1).map((target) => ({ target, afterMs: 0 }))
  return targetsOfKind(shape, aim.each).map((target, index) => ({ target, afterMs: index * (aim.everyMs ?? 0) }))
}

/** Whole numbers between whole numbers, so that a timetable reads well. */
const draw = (drawn: Drawn, random: SeededRandom): number => {
  if (typeof drawn === "number") return drawn
  const [least, most] = drawn
  return Number.isInteger(least) && Number.isInteger(most) ? random.between(least, most) : least + random.next() * (most - least)
}
