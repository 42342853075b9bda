/** What the checks C1..C7 cannot know: which end each request deserved, and which bytes were the right result. The simulator knows, because it
 * asked the question and holds the key. */
import { toHex } from "../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { DELIVERIES_MAX } from "../../src/messaging/bus-limits.ts"
import type { Check } from "../campaign.ts"
import type { Expected, SimWorld } from "./sim-world.ts"

/** What is looked at. */
export interface Judged extends Pick<SimWorld, "expected" | "stateOf"> {
  readonly chain: Pick<SimWorld["chain"], "canonical" | "lost" | "head">
  readonly resultOf: (facts: DecryptionRequest) => Uint8Array
}

export const rightEnds = (world: Judged): Check => {
  const effects = Map.groupBy(world.chain.canonical().flatMap((block) => block.effects), ({ requestId }) => requestId)
  const wrong = (expected: Expected): ReadonlyArray<string> => {
    const { id, facts, mayEnd } = expected
    const state = world.stateOf(id)
    const done = effects.get(id) ?? []
    const right = toHex(world.resultOf(facts))
    return [
      ...(state !== undefined && !mayEnd.includes(state) && !(state === "orphaned" && world.chain.lost.has(id)) ? [`ended as ${state}, and may only end as ${mayEnd.join(" or ")}`] : []),
      ...(state === "finalized" && done.length !== 1 ? [`is finalized, and the chain has ${done.length} results`] : []),
      ...(state !== "finalized" && done.length > 0 ? [`ended as ${state ?? "nothing"}, and the chain has its result`] : []),
      ...done.filter(({ result }) => result !== right).map(() => "has a wrong result on chain"),
      ...(state === "expired" && world.chain.head.timestamp <= facts.deadline ? ["ended as expired before its deadline"] : [])
    ].map((what) => `${id} ${what}`)
  }
  return { name: "right ends", examined: world.expected.size, violations: [...world.expected.values()].flatMap(wrong) }
}

/** Defects of ours: nothing that is injected excuses one. */
export const nobodyDied = (world: Pick<SimWorld, "gateways" | "died">): Check => ({
  name: "no defects",
  examined: world.gateways.size,
  violations: world.died.map(({ node, what }) => `${node}: ${what}`)
})

/** Only what nobody can read is parked. A message that came back too often was called poison, and somebody looks at it, for an outage of ours. */
export const onlyPoisonParked = ({ broker }: { readonly broker: Pick<SimWorld["broker"], "deliveredCount" | "parked"> }): Check => ({
  name: "only poison parked",
  examined: broker.deliveredCount,
  violations: broker.parked.filter(({ deliveries }) => deliveries >= DELIVERIES_MAX).map(({ subject, reason }) => `${subject}: ${reason}`)
})
