/** One seed: a cluster, a load and faults drawn from it, then peace, then every check. The same seed always gives the same history. */
import { check as checkRecords, CHECKS, type CheckName } from "../../bin/verify/check.ts"
import { runCampaign, type Check, type Verdict } from "../campaign.ts"
import type { ClusterShape } from "../rig.ts"
import type { Scenario } from "../scenario.ts"
import { drawScenario } from "./draw-scenario.ts"
import type { History, SometimesName } from "./history.ts"
import { nobodyDied, onlyPoisonParked, rightEnds } from "./right-ends.ts"
import { startSimRig, type SimRig } from "./sim-rig.ts"
import { beginMischief, drawMischief, type MischiefOptions } from "./sim-mischief.ts"
import { watchForgetting, watchIntents } from "./signed-bytes.ts"
import type { Mutation } from "./surroundings.ts"

export interface SeedOptions {
  readonly seed: number
  readonly mutation?: Mutation
  /** Instead of one that is drawn: then there is no mischief besides. */
  readonly scenario?: Scenario
  readonly shape?: ClusterShape
  readonly spanMs?: number
  /** Instead of what is drawn. */
  readonly mischief?: Partial<MischiefOptions>
}

export interface SeedResult extends Verdict {
  readonly digest: string
  readonly sometimes: ReadonlyMap<SometimesName, number>
  readonly virtualMs: number
  readonly history: History
}

export const checksOf = (rig: SimRig, records: Parameters<typeof checkRecords>[0], others: ReadonlyArray<Check>): ReadonlyArray<Check> => {
  const { verdicts, violations } = checkRecords(records)
  return [
    ...(Object.keys(CHECKS) as ReadonlyArray<CheckName>).map((name) => ({
      name,
      examined: verdicts[name].looked,
      violations: violations.filter(({ check }) => check === name).map(({ subject, what }) => `${subject} ${what}`)
    })),
    rightEnds(rig.world),
    ...others,
    nobodyDied(rig.world),
    onlyPoisonParked(rig.world)
  ]
}

export const runSeed = async ({ seed, mutation, ...given }: SeedOptions): Promise<SeedResult> => {
  const drawn = drawScenario(seed)
  const scenario = given.scenario ?? drawn.scenario
  const shape = given.shape ?? drawn.shape
  const isDrawn = given.scenario === undefined
  const spanMs = given.spanMs ?? scenario.roundMs
  const rig = await startSimRig({ seed, shape, requestsMax: Number.MAX_SAFE_INTEGER, isVaried: isDrawn, ...(mutation === undefined ? {} : { mutation }) })
  if (isDrawn) {
    const mischief = { ...drawMischief(rig.world.chance.stream("drawn mischief")), ...given.mischief }
    rig.beforePeace(beginMischief(rig.world, mischief))
  }
  const watched = [watchIntents(rig.world), watchForgetting(rig.world)]
  const verdict = await runCampaign(rig, { scenario, seed, spanMs, check: (records) => checksOf(rig, records, watched.map((check) => check())) })
  const { history } = rig.world
  return { ...verdict, digest: history.digest, sometimes: history.seen, virtualMs: rig.nowMs(), history }
}
