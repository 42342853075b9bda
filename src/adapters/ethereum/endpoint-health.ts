/** What is believed of each RPC endpoint of a chain, from what it said when all were last asked. Pure; the words are Chainlink MultiNode's. */
import type { EndpointState } from "../../telemetry/chain-endpoints.port.ts"

/** What one endpoint answered when it was looked at. */
export type Sight =
  /** Not looked at yet. */
  | { readonly type: "unseen" }
  /** No answer, or none that could be read. */
  | { readonly type: "silent" }
  | {
      readonly type: "seen"
      readonly chainId: bigint
      readonly head: number
      /** Undefined: it does not say what is final. */
      readonly finalized: number | undefined
    }

export interface HealthPolicy {
  readonly chainId: bigint
  /** Blocks that a head may stand behind the best one. */
  readonly lagBlocksMax: number
}

/**
 * The height that others are measured by. Of three or more, the second highest: what a single endpoint says of itself must not
 * make all the others look late. Of two, the higher one: which of them is wrong cannot be known from here.
 */
export const bestHead = (sights: ReadonlyArray<Sight>, chainId: bigint): number | undefined => {
  const heads = sights.flatMap((sight) => (sight.type === "seen" && sight.chainId === chainId ? [sight.head] : [])).toSorted((a, b) => b - a)
  return heads.length > 2 ? heads[1] : heads[0]
}

/** One state for each sight, in their order. */
export const judge = (sights: ReadonlyArray<Sight>, { chainId, lagBlocksMax }: HealthPolicy): ReadonlyArray<EndpointState> => {
  const best = bestHead(sights, chainId) ?? 0
  return sights.map((sight): EndpointState => {
    if (sight.type === "unseen") return "unknown"
    if (sight.type === "silent") return "unreachable"
    if (sight.chainId !== chainId) return "wrong-chain"
    if (best - sight.head > lagBlocksMax) return "out-of-sync"
    return sight.finalized === undefined ? "finality-missing" : "alive"
  })
}

/** Who is asked before whom. One that lags is still better than silence, for its answers are checked; another chain's is not an answer. */
const RANK: Readonly<Record<EndpointState, number>> = {
  alive: 0,
  unknown: 1,
  "finality-missing": 2,
  "out-of-sync": 3,
  unreachable: 4,
  "wrong-chain": Number.POSITIVE_INFINITY
}

/** Positions of the endpoints that may be asked, best first; within a state as the operator listed them, those that just failed last. */
export const preference = (states: ReadonlyArray<EndpointState>, hasJustFailed: (index: number) => boolean): ReadonlyArray<number> => {
  const cost = (index: number) => RANK[states[index]!] + (hasJustFailed(index) ? RANK.unreachable : 0)
  return [...states.keys()].filter((index) => Number.isFinite(cost(index))).toSorted((a, b) => cost(a) - cost(b) || a - b)
}

/** Whose word counts as a witness's, or is worth a broadcast: whoever is on our chain and was there when last looked at. */
export const isUsable = (state: EndpointState): boolean => RANK[state] < RANK.unreachable
