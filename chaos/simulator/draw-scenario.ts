/** A scenario that nobody wrote: from a seed a cluster, a load and a handful of faults of every kind, within what the system claims to bear.
 * Never more liars than the committee can spare, never a reorganisation below what is final. */
import { USUAL_SHAPE, targetsOfKind, type ClusterShape, type Target } from "../rig.ts"
import type { Planned, Scenario } from "../scenario.ts"
import { verbNamed } from "../vocabulary.ts"
import type { Verb } from "../verb.ts"
import { Chance } from "./chance.ts"
import { FINAL_DEPTH } from "./sim-world.ts"

export interface Drawn {
  readonly scenario: Scenario
  readonly shape: ClusterShape
}

const ROUND_MS = 30_000
const FAULTS_MOST = 9
const COMMITTEES = [
  { kmsNodes: 3, threshold: 2 },
  { kmsNodes: 4, threshold: 3 },
  { kmsNodes: 5, threshold: 3 }
] as const

/** Faults of which only the committee's spare nodes may have any: they leave a mark on a request that does not heal. */
const LIES: ReadonlySet<string> = new Set(["wrong-share", "equivocation", "malformed-share"])

interface Choice {
  readonly verb: string
  /** How often it is drawn, compared with the others. */
  readonly weight: number
  readonly lasts?: readonly [least: number, most: number]
  readonly values?: Readonly<Record<string, readonly [least: number, most: number]>>
}

const CHOICES: ReadonlyArray<Choice> = [
  { verb: "kill", weight: 5, lasts: [500, 15_000] },
  { verb: "restart", weight: 2, lasts: [500, 5_000] },
  { verb: "freeze", weight: 4, lasts: [1_000, 25_000] },
  { verb: "partition", weight: 4, lasts: [1_000, 20_000], values: { direction: [0, 2] } },
  { verb: "delay", weight: 2, lasts: [1_000, 15_000], values: { ms: [20, 2_000] } },
  { verb: "half-open", weight: 2, lasts: [1_000, 15_000] },
  { verb: "slow-drip", weight: 1, lasts: [1_000, 10_000], values: { bytesPerSecond: [200, 5_000] } },
  { verb: "duplicate", weight: 2, lasts: [2_000, 20_000], values: { share: [0.1, 1] } },
  { verb: "reorder", weight: 2, lasts: [2_000, 20_000], values: { share: [0.1, 1] } },
  { verb: "lose", weight: 3, lasts: [2_000, 20_000], values: { share: [0.1, 1] } },
  { verb: "roll-back", weight: 2, lasts: [500, 12_000] },
  { verb: "wipe", weight: 2 },
  { verb: "poison", weight: 1 },
  { verb: "stop-immediate", weight: 2, lasts: [500, 8_000] },
  { verb: "promote-standby", weight: 4, values: { lostMs: [0, 3_000] } },
  { verb: "skew-clock", weight: 2, lasts: [1_000, 15_000], values: { ms: [-60_000, 60_000] } },
  { verb: "reorg", weight: 5, values: { depth: [1, FINAL_DEPTH], lostShare: [0, 0.5] } },
  { verb: "stale-rpc", weight: 2, lasts: [1_000, 15_000], values: { blocks: [1, 12] } },
  { verb: "missing-logs", weight: 1, lasts: [1_000, 15_000], values: { share: [0.1, 1] } },
  { verb: "rate-limit", weight: 2, lasts: [1_000, 15_000], values: { share: [0.1, 0.9] } },
  { verb: "already-known", weight: 1, lasts: [2_000, 15_000] },
  { verb: "nonce-too-low", weight: 1, lasts: [2_000, 15_000] },
  { verb: "fee-spike", weight: 2, lasts: [1_000, 90_000], values: { times: [2, 50] } },
  { verb: "lose-lane-key", weight: 1, lasts: [2_000, 15_000], values: { lane: [1, 2] } },
  { verb: "kms-throttle", weight: 1, lasts: [1_000, 15_000] },
  { verb: "kms-timeout", weight: 2, lasts: [1_000, 15_000] },
  { verb: "kms-5xx", weight: 1, lasts: [1_000, 15_000] },
  { verb: "kms-amnesia", weight: 1 },
  { verb: "wrong-share", weight: 2, lasts: [5_000, 25_000] },
  { verb: "equivocation", weight: 1, lasts: [5_000, 25_000] },
  { verb: "malformed-share", weight: 1, lasts: [5_000, 25_000] },
  { verb: "oversized-reply", weight: 1, lasts: [1_000, 15_000] },
  { verb: "corrupt-ciphertext", weight: 1, lasts: [1_000, 15_000], values: { share: [0.2, 1] } },
  { verb: "store-404", weight: 1, lasts: [1_000, 15_000], values: { share: [0.2, 1] } },
  { verb: "store-503", weight: 1, lasts: [1_000, 15_000], values: { share: [0.2, 1] } },
  { verb: "store-slow", weight: 1, lasts: [1_000, 15_000], values: { ms: [100, 5_000] } }
]
const WEIGHTS = CHOICES.reduce((sum, { weight }) => sum + weight, 0)

export const drawScenario = (seed: number): Drawn => {
  const chance = new Chance(seed).stream("scenario")
  const shape: ClusterShape = {
    ...USUAL_SHAPE,
    ...chance.pick(COMMITTEES),
    gateways: chance.between(1, 4),
    rpcEndpoints: chance.between(1, 3),
    lanes: chance.between(1, 2),
    hasStandby: chance.happens(0.5)
  }
  const spares = new Set(chance.shuffled(targetsOfKind(shape, "kms")).slice(0, shape.kmsNodes - shape.threshold))
  const planned = Array.from({ length: chance.between(0, FAULTS_MOST) }, () => draw(chance, shape, spares))
  return {
    shape,
    scenario: {
      name: "anything",
      sentence: "Whatever the seed says, within what the system claims to bear.",
      load: { type: "steady", perSecond: chance.between(1, 3) / 10 },
      roundMs: ROUND_MS,
      round: planned.flatMap((one) => one ?? []),
      rigs: ["sim"],
      mayEnd: ["finalized", "refused", "expired", "orphaned"],
      settleMs: SETTLE_MS
    }
  }
}

/** Of virtual time, after the last fault: a lease, the longest pauses between tries, finality. */
const SETTLE_MS = 400_000

const draw = (chance: Chance, shape: ClusterShape, spares: ReadonlySet<Target>): Planned | undefined => {
  let at = chance.fraction() * WEIGHTS
  const choice = CHOICES.find(({ weight }) => (at -= weight) < 0) ?? CHOICES[0]!
  const verb = verbNamed(choice.verb)
  if (verb === undefined) throw new TypeError(`no verb is called ${choice.verb}`)
  const target = aim(chance, shape, verb, spares)
  const atMs = chance.between(500, ROUND_MS - 5_000)
  const forMs = choice.lasts === undefined ? undefined : chance.between(...choice.lasts)
  const values = Object.fromEntries(Object.entries(choice.values ?? {}).map(([name, range]) => [name, within(chance, range)]))
  if (target === undefined) return undefined
  return { verb: choice.verb, on: target, atMs, with: values, ...(forMs === undefined ? {} : { forMs }) }
}

const aim = (chance: Chance, shape: ClusterShape, verb: Verb, spares: ReadonlySet<Target>): Target | undefined => {
  // A standby is there to be promoted; the simulator has no process of it to kill.
  const kinds = verb.targets.filter((kind) => kind !== "standby" || verb.name === "promote-standby")
  const targets = kinds.flatMap((kind) => targetsOfKind(shape, kind)).filter((target) => !LIES.has(verb.name) || spares.has(target))
  return targets.length === 0 ? undefined : chance.pick(targets)
}

/** Whole numbers between whole numbers. */
const within = (chance: Chance, [least, most]: readonly [number, number]): number =>
  Number.isInteger(least) && Number.isInteger(most) ? chance.between(least, most) : least + chance.fraction() * (most - least)
